/*
 * i440bx.c - the 440BX host bridge: shadow RAM, and who the machine says it is
 *
 * PCI function 00:00.0. Its PAM registers say for thirteen pieces of C0000 to
 * FFFFF whether RAM or the bus behind the bridge answers reads and takes
 * writes; on that bus lie the BIOS, whose last 128 KiB show at E0000, and
 * nothing else.
 *
 * The odd truth: SeaBIOS unlocks shadow RAM, and asks our configuration
 * device, only on the host bridge of another machine (8086:1237, subsystem
 * 1af4:1100). So that is what a reset shows. When SeaBIOS has locked its own
 * segment again (PAM0 from writable to read only, right before it starts the
 * boot sector) the bridge becomes Hyper-V's 8086:7192 and stays that until
 * the next reset; no operating system sees the other.
 *
 * Spec     [440BX] Intel 290633 3.3; reference/machines.md 2.2, firmware.md 5.1
 * Missing  SMRAM opens nothing; DRAM timing, ECC and GART registers only keep
 *          what is written
 * Lock     chip
 */
#include "chip/chips.h"

#include "dev/pci.h"
#include "mem/gmem.h"

#include <string.h>

#define SHADOW 0xc0000u
#define SHADOW_END 0x100000u
#define BIOS_ALIAS 0xe0000u		/* the BIOS's last 128 KiB */
#define PAM0 0x59u
#define NR_PAM 7u
#define PAM_READ 1u
#define PAM_WRITE 2u

struct i440bx {
	struct i440bx_conf conf;	/* [const] */
	struct gmem *mem;		/* [const] */
	struct pci_func pci;
	bool handed_over;		/* the second face */
	bool unlocked;			/* PAM0 has been writable */
};

#define REGS \
	{ .off = 0x50, .width = 4, .reset = 0, .writable = 0xffffffff }, \
	{ .off = 0x57, .width = 1, .reset = 0x01, .writable = 0x3f }, \
	{ .off = 0x58, .width = 1, .writable = 0x03 }, \
	{ .off = PAM0, .width = 1, .writable = 0x30 }, \
	{ .off = 0x5a, .width = 2, .writable = 0x3333 }, \
	{ .off = 0x5c, .width = 4, .writable = 0x33333333 }, \
	{ .off = 0x60, .width = 4, .reset = 0x02020202, .writable = 0xffffffff }, \
	{ .off = 0x64, .width = 4, .reset = 0x02020202, .writable = 0xffffffff }, \
	{ .off = 0x68, .width = 1, .writable = 0xff }, \
	{ .off = 0x72, .width = 2, .reset = 0x3802, .writable = 0xf878 }, \
	{ .off = 0xf8, .width = 2, .reset = 0x0f20 }

static const struct pci_reg regs[] = { REGS, { 0 } };

static void config_written(void *self, unsigned off, unsigned width);

static const struct pci_desc seabios_face = {
	.vendor = 0x8086, .device = 0x1237, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	.class = 0x060000, .revision = 2, .command = 0x0006, .command_mask = 0x0100,
	.status = 0x0200, .regs = regs, .written = config_written,
};

static const struct pci_desc hyperv_face = {
	.vendor = 0x8086, .device = 0x7192, .class = 0x060000, .revision = 3,
	.command = 0x0006, .command_mask = 0x0100, .status = 0x0200,
	.regs = regs, .written = config_written,
};

/* The piece's bits: PAM0 has F0000 in its high half; the others 16 KiB in each. */
static unsigned pam_bits(const struct i440bx *b, uint32_t gpa)
{
	const uint8_t *pam = b->pci.cfg + PAM0;

	if (gpa >= 0xf0000)
		return pam[0] >> 4 & 3;
	return pam[1 + (gpa - SHADOW) / 0x8000] >> (gpa / 0x4000 % 2 * 4) & 3;
}

static void map_shadow(struct i440bx *b)
{
	bool changed = false;

	for (uint32_t gpa = SHADOW; gpa < SHADOW_END; gpa += 0x4000) {
		unsigned bits = pam_bits(b, gpa);
		uint64_t rom = gpa < BIOS_ALIAS ? GMEM_NO_ROM : b->conf.bios_end -
			       (SHADOW_END - gpa);

		changed |= gmem_shadow_set(b->mem, gpa, 0x4000,
					   (bits & PAM_READ ? GMEM_SHADOW_READ : 0) |
					   (bits & PAM_WRITE ? GMEM_SHADOW_WRITE : 0), rom);
	}
	if (changed && b->conf.map_changed != NULL)
		b->conf.map_changed(b->conf.arg);
}

static void config_written(void *self, unsigned off, unsigned width)
{
	struct i440bx *b = self;
	unsigned bits = pam_bits(b, 0xf0000);

	if (off + width <= PAM0 || off >= PAM0 + NR_PAM)
		return;
	map_shadow(b);
	if (bits == (PAM_READ | PAM_WRITE))
		b->unlocked = true;
	if (bits != PAM_READ || !b->unlocked || b->handed_over)
		return;
	b->handed_over = true;
	pci_become(&b->pci, &hyperv_face);
}

/* What engines do not do themselves: stores to pages that take none, and words across such. */
static uint64_t shadow_read(void *self, uint32_t off, unsigned width)
{
	const struct i440bx *b = self;
	uint64_t val = 0;

	if (gmem_read(b->mem, SHADOW + off, &val, width) < 0)
		return UINT64_MAX;
	return val;
}

static void shadow_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	const struct i440bx *b = self;

	gmem_shadow_write(b->mem, SHADOW + off, &val, width);
}

static uint64_t bios_read(void *self, uint32_t off, unsigned width)
{
	const struct i440bx *b = self;
	uint64_t val = 0;

	if (gmem_read(b->mem, b->conf.bios_end - b->conf.bios_len + off, &val, width) < 0)
		return UINT64_MAX;
	return val;
}

/* A flash that nobody unlocked. */
static void bios_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)self, (void)off, (void)width, (void)val;
}

#define ANY (IO_W1 | IO_W2 | IO_W4 | IO_W8)
static const struct io_ops shadow_io = { ANY, shadow_read, shadow_write };
static const struct io_ops bios_io = { ANY, bios_read, bios_write };

static void i440bx_reset(void *self)
{
	struct i440bx *b = self;

	b->handed_over = b->unlocked = false;
	pci_become(&b->pci, &seabios_face);
	pci_reset(&b->pci);
	map_shadow(b);
}

static int i440bx_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct i440bx *b = self;
	int rc;

	b->conf = *(const struct i440bx_conf *)conf;
	b->mem = env->mem;
	rc = bus_add(env->mmio, env->name, SHADOW, SHADOW_END - SHADOW, &shadow_io, b, err);
	if (rc == 0)
		rc = bus_add(env->mmio, env->name, b->conf.bios_end - b->conf.bios_len,
			     b->conf.bios_len, &bios_io, b, err);
	if (rc == 0)
		rc = pci_add(env->pci, PCI_DEVFN(0, 0), &seabios_face, env, b, &b->pci, err);
	return rc;
}

static int i440bx_loaded(void *self, struct err *err)
{
	struct i440bx *b = self;
	int rc;

	if (b->handed_over)
		b->pci.desc = &hyperv_face;
	else
		b->pci.desc = &seabios_face;
	rc = pci_loaded(&b->pci, err);
	if (rc == 0)
		map_shadow(b);
	return rc;
}

static const struct state_field i440bx_state[] = {
	PCI_STATE(1, struct i440bx, pci),
	STATE(3, struct i440bx, handed_over),
	STATE(4, struct i440bx, unlocked),
	{ 0 },
};

const struct dev_ops i440bx_dev = {
	.name = "i440bx",
	.size = sizeof(struct i440bx),
	.state = i440bx_state,
	.init = i440bx_init,
	.reset = i440bx_reset,
	.loaded = i440bx_loaded,
};
