/*
 * chips.h - configuration of the small chips; each is a dev_ops of its own
 */
#ifndef CHIP_CHIPS_H
#define CHIP_CHIPS_H

#include "dev/chr.h"
#include "dev/dev.h"

struct lapic_set;
struct ioapic;

struct ioapic_conf {
	uint64_t base;			/* 0xfec00000 */
	struct lapic_set *lapics;
};
extern const struct dev_ops ioapic_dev;
void ioapic_pin(void *self, unsigned pin, bool level);	/* chip lock held; irq.set of lines */
void ioapic_eoi(void *self, uint8_t vector);		/* chip lock held */

/* Two 8259As. */
struct pic_conf {
	struct irq intr;		/* to LINT0 of the boot processor */
	uint8_t base[2], mask[2];	/* after reset, as firmware leaves them */
};
extern const struct dev_ops pic_dev;
void pic_pin(void *self, unsigned pin, bool level);	/* chip lock held; 0 to 15 */
uint8_t pic_ack(void *self);				/* chip lock held: the vector */

struct rtc_conf {
	uint16_t port;			/* 0x70 */
	struct irq irq;
	int64_t (*unix_time)(void *arg);	/* seconds, the host's; NULL = time() */
	void *arg;
	const uint8_t *cmos;		/* [RTC_NR_CMOS] what the battery kept; read once; may be NULL */
	bool two_banks;			/* eight ports */
};
#define RTC_NR_CMOS 128u
extern const struct dev_ops rtc_dev;

struct pm_conf {
	uint16_t base;			/* 0x400; 0: nowhere until pm_move */
	struct irq sci;
	bool acpi_on;			/* SCI_EN from reset (Generation 2) */
	void (*power_off)(void *arg);	/* S5; chip lock held: only note it */
	void (*reset)(void *arg);
	void *arg;
};
extern const struct dev_ops pm_dev;
/* Chip lock held, of those without a fixed base. */
void pm_move(void *self, uint16_t base, bool on);
/* Chip lock held: ACPI mode (SCI_EN). */
void pm_acpi(void *self, bool on);
/* Chip lock held: the power button was pressed. */
void pm_power_button(void *self);
/* Chip lock held: general event LINE (0 generation id, 9 battery, 11 processors). */
void pm_event(void *self, unsigned line);

/* ---- Generation 1 --------------------------------------------------------------------- */

struct i440bx_conf {			/* 00:00.0 */
	uint64_t bios_end, bios_len;	/* the BIOS in guest memory: ends at 4 GiB */
	void (*map_changed)(void *arg);	/* chip lock held: gmem_shadow_set says what is due */
	void *arg;
};
extern const struct dev_ops i440bx_dev;

struct piix4_conf {
	uint8_t devfn;
	struct irq isa[16];
	void (*reset)(void *arg);	/* chip lock held for all of them: only note it */
	void (*init)(void *arg);	/* of the processors alone */
	void (*a20)(void *arg, bool on);	/* address line 20 passes or not; may be NULL */
	/* VAL was written to port B2, LAST was before it. */
	void (*apm)(void *arg, uint8_t last, uint8_t val);
	void *arg;
};
extern const struct dev_ops piix4_dev;
void piix4_pirq(void *self, unsigned pin, bool level);	/* chip lock held; irq.set of PIRQA to D */
/* Chip lock held, all of them.  A20 is one line with two switches: the other has it here. */
void piix4_set_a20(void *self, bool on);
bool piix4_a20(const void *self);
void piix4_init_processors(void *self);	/* as by port 92 */
bool piix4_ferr(void *self, bool error);	/* the processor's FERR#; true: IGNNE# is out */

struct piix4_pm_conf {
	uint8_t devfn;
	void (*move)(void *arg, uint16_t base, bool on);	/* the PM block */
	void *arg;
};
extern const struct dev_ops piix4_pm_dev;

struct pit_conf {
	uint16_t port;			/* 0x40; and 0x61 */
	struct irq irq;
};
extern const struct dev_ops pit_dev;

/* Two 8237s; no configuration.  Chip lock held for all calls. */
extern const struct dev_ops dma_dev;
/* Whether channel CH is set up for this direction. */
bool dma_ready(void *self, unsigned ch, bool to_memory);
/* At most N bytes; how many went, *ret_tc: the last of the channel's count was among them. */
size_t dma_to_memory(void *self, unsigned ch, const void *buf, size_t n, bool *ret_tc);
size_t dma_from_memory(void *self, unsigned ch, void *buf, size_t n, bool *ret_tc);

struct input;
struct i8042_conf {
	uint16_t port;			/* 0x60; and 0x64 */
	struct irq kbd_irq, aux_irq;
	struct input *input;		/* where keys come from; may be NULL */
	void (*init)(void *arg);	/* chip lock held: resets the processors, only note it */
	/* Address line 20 has another switch too, so how it stands is asked; may both be NULL. */
	void (*a20)(void *arg, bool on);
	bool (*a20_is)(void *arg);
	void *arg;
};
extern const struct dev_ops i8042_dev;

/* W83977: only its own registers; what they configure does not move. */
struct superio_conf {
	uint16_t port[2];		/* 0x3f0, 0x370 */
};
extern const struct dev_ops superio_dev;

/* What firmware asks the host: numbered items, some with a file's name. */
struct fwcfg_item {
	uint16_t key;
	const char *name;		/* NULL: only the key */
	const void *data;		/* borrowed for the device's life */
	uint32_t len;
};
struct fwcfg_conf {
	const struct fwcfg_item *items;	/* borrowed */
	unsigned nr;
};
#define FWCFG_FILE_KEY 0x20u		/* the first for files */
extern const struct dev_ops fwcfg_dev;

/* Port 402: what a BIOS says, line by line. */
struct biosdbg_conf {
	void (*line)(void *arg, const char *text);	/* chip lock held; printable only */
	void *arg;
};
extern const struct dev_ops biosdbg_dev;

struct uart_conf {
	uint16_t port;			/* 0x3f8 */
	struct irq irq;
	struct chr *chr;		/* NULL: nothing attached */
};
extern const struct dev_ops uart_dev;	/* 16550A */

/* Ports that a Generation 2 machine absorbs silently: 20/21, A0/A1, 40-43, 61, CF8-CFF, 87, 80. */
struct absorb_range {
	uint16_t port, len;
};
struct absorb_conf {
	const struct absorb_range *ranges;	/* borrowed for the device's life */
	unsigned nr;
};
extern const struct dev_ops absorb_dev;

/*
 * --test-devices only: debug-exit 0xF4, the latch at E0, sizes of the machine
 * at 510, IRQ lines at 2000, synthetic interrupts at 3000, 64 KiB of memory at
 * FF000000.
 */
enum testdev_synic {
	TESTDEV_SINT_CREATE = 1, TESTDEV_SINT_DESTROY, TESTDEV_SINT_RAISE, TESTDEV_MSG_CREATE,
	TESTDEV_MSG_DESTROY, TESTDEV_EVENT_CREATE, TESTDEV_EVENT_DESTROY,
};
struct testdev_conf {
	void (*exit)(void *arg, uint32_t val);	/* chip lock held: only note it */
	/* Chip lock held.  WHAT may be none of the enum; NULL: nothing listens. */
	void (*synic)(void *arg, enum testdev_synic what, uint8_t vp, uint8_t sint, uint8_t conn);
	void *arg;
	uint64_t memory;
	uint16_t cpus;
	struct irq lines[24];
};
extern const struct dev_ops testdev_dev;

#endif
