/*
 * pci.h - one PCI bus, its configuration space, and what a device on it declares
 *
 * The board makes the bus (pci_dev, port CF8) first and hands it to devices as
 * env->pci.  A device embeds a struct pci_func in its own struct, describes it
 * in one constant table and adds it in its init:
 *
 *	static const struct pci_desc ide_desc = {
 *		.vendor = 0x8086, .device = 0x7111, .revision = 1, .class = 0x010180,
 *		.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MASTER, .status = 0x0280,
 *		.bar = { [4] = { PCI_BAR_IO, 16, &bus_master_io } },
 *		.regs = (const struct pci_reg[]){
 *			{ .off = 0x40, .width = 4, .reset = 0x80008000, .writable = 0xffffffff },
 *			{ 0 },
 *		},
 *		.written = ide_config_written,
 *	};
 *
 *	init():    rc = pci_add(env->pci, conf->devfn, &ide_desc, env, d, &d->pci, err);
 *	reset():   pci_reset(&d->pci);
 *	loaded():  rc = pci_loaded(&d->pci, err);
 *	state:     PCI_STATE(1, struct ide, pci), of its own tag
 *	INTx:      pci_irq(&d->pci, level);	(int_pin 1 to 4 in the description)
 *	DMA:       only while pci_is_master(&d->pci)
 *
 * The bus maps and unmaps the BARs as the guest moves them and as the command
 * register says; their io_ops get the device (SELF of pci_add) and an offset
 * into the BAR.  No fini is needed.  The chip lock is held around every call
 * here except pci_add.
 */
#ifndef DEV_PCI_H
#define DEV_PCI_H

#include "dev/dev.h"

#define PCI_CFG_LEN 256u
#define PCI_NR_BARS 7u			/* 0 to 5, and 6: the expansion ROM */
#define PCI_BAR_ROM 6u
#define PCI_DEVFN(slot, func) ((uint8_t)((slot) << 3 | (func)))

enum { PCI_VENDOR = 0, PCI_DEVICE = 2, PCI_COMMAND = 4, PCI_STATUS = 6, PCI_REVISION = 8,
       PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10, PCI_SUBSYSTEM_VENDOR = 0x2c,
       PCI_SUBSYSTEM = 0x2e, PCI_ROM = 0x30, PCI_INT_LINE = 0x3c, PCI_INT_PIN = 0x3d };
enum { PCI_COMMAND_IO = 1, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4,
       PCI_COMMAND_INTX_OFF = 0x400 };
enum { PCI_STATUS_INTX = 8, PCI_STATUS_ERRORS = 0xf900 };

struct pci_bus;
struct pci_func;

/*
 * A BAR of 32 address bits.  I/O BARs keep all of them, for SeaBIOS takes what it
 * can write for the size, and answer in the 64 KiB that there are.
 */
struct pci_bar {
	enum { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM, PCI_BAR_PREFETCH } kind;
	uint32_t len;			/* a power of two, I/O from 4, memory from 16 (ROM from 2048) */
	const struct io_ops *ops;	/* NULL: the device maps it itself, see moved */
};

/* A register of the device's own, 1, 2 or 4 bytes; what has no row reads 0. */
struct pci_reg {
	uint8_t off, width;		/* width 0 ends the table */
	uint32_t reset, writable, w1c;	/* w1c: writing 1 clears */
};

struct pci_desc {			/* constant; zero = as the bus specification resets it */
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class;			/* base class << 16 | sub-class << 8 | interface */
	uint8_t revision, header_type;	/* 0x80: other functions in this slot */
	uint8_t int_pin;		/* 0 none, 1 = INTA */
	uint16_t command, command_mask, status;
	struct pci_bar bar[PCI_NR_BARS];
	const struct pci_reg *regs;
	/* The guest wrote bytes [off, off + width), 1 to 4, already in cfg; may be NULL. */
	void (*written)(void *self, unsigned off, unsigned width);
	/* A BAR of this function came, went or moved, whoever serves it; may be NULL. */
	void (*moved)(void *self, unsigned bar, uint64_t base, bool on);
};

struct pci_func {
	const struct pci_desc *desc;	/* [const] all up to cfg are set by pci_add */
	struct pci_bus *bus;
	void *self;
	uint8_t devfn;
	struct bus_window *win[PCI_NR_BARS];
	uint64_t base[PCI_NR_BARS];	/* where each BAR answers; derived */
	bool on[PCI_NR_BARS];
	uint8_t mask[PCI_CFG_LEN], w1c[PCI_CFG_LEN];
	uint8_t cfg[PCI_CFG_LEN];	/* saved; the device may write its own registers here */
	bool intx;			/* saved: what the device says */
	bool driven;			/* what the bus has heard of it; derived */
};

#define PCI_STATE(tag, stype, member) \
	STATE(tag, stype, member.cfg), STATE((tag) + 1, stype, member.intx)

/* The bus itself: mechanism #1 at CF8 to CFF. */
struct pci_conf {
	uint16_t port;			/* 0xcf8 */
	struct irq pirq[4];		/* INTx of slot S, pin P: line (S - 1 + P - 1) mod 4 */
};
extern const struct dev_ops pci_dev;
/* Byte accesses to CF8 to CFB, which are none to the address register: of the reset control. */
void pci_byte_port(struct pci_bus *b, const struct io_ops *ops, void *self);

/* In a device's init.  NAME of ENV is borrowed; -EBUSY if DEVFN is taken. */
MUST_CHECK int pci_add(struct pci_bus *b, uint8_t devfn, const struct pci_desc *desc,
		       const struct dev_env *env, void *self, struct pci_func *f,
		       struct err *err);
void pci_reset(struct pci_func *f);
/*
 * A stranger's configuration space: -EBADMSG if fixed bits below 40 differ,
 * else maps and drives.  The device's own registers are its own to check.
 */
MUST_CHECK int pci_loaded(struct pci_func *f, struct err *err);
void pci_irq(struct pci_func *f, bool level);
bool pci_is_master(const struct pci_func *f);
/*
 * For the rare device with two faces: from now on it is DESC, with the same
 * BARs; what the guest may change keeps its value.  In loaded, before
 * pci_loaded; in reset, before pci_reset.
 */
void pci_become(struct pci_func *f, const struct pci_desc *desc);

/* As the guest's own accesses; all ones where no function is. */
uint32_t pci_cfg_read(struct pci_bus *b, uint8_t devfn, unsigned off, unsigned width);
void pci_cfg_write(struct pci_bus *b, uint8_t devfn, unsigned off, unsigned width, uint32_t val);

#endif
