/*
 * piix4_pm.c - function 3 of the PIIX4: where power management and SMBus answer
 *
 * PCI function 00:07.3. The power-management block itself is pm.c; here are its
 * base and its enable, which firmware sets. The SMBus host has no slaves:
 * every transfer ends at once in "no device answers", which is what drivers
 * that scan the bus expect.
 *
 * Bit 25 of register 58 (writes to port B2 raise an SMI) is set from the
 * beginning: SeaBIOS takes it for "somebody has set up system management" and
 * leaves it alone. There is none.
 *
 * Spec     [PIIX4] Intel 290562 7.1, 7.3; reference/firmware.md 5.1
 * Missing  device monitors and their traps; SMBus slave side and block data
 * Lock     chip
 */
#include "chip/chips.h"

#include "base/le.h"
#include "dev/pci.h"

#define PMBASE 0x40u
#define DEVACTB 0x58u
#define PMREGMISC 0x80u
#define SMBBA 0x90u
#define SMBHSTCFG 0xd2u
#define SMB_LEN 16u

enum { HST_STS = 0, SLV_STS, HST_CNT, HST_CMD, HST_ADD, HST_DAT0, HST_DAT1, BLK_DAT, SLV_CNT };
enum { STS_BUSY = 1, STS_ERRORS = 0x1e, STS_NO_DEVICE = 4, CNT_START = 0x40, CNT_INT = 1 };

struct piix4_pm {
	struct piix4_pm_conf conf;	/* [const] */
	struct pci_func pci;
	struct bus_window *smbus;	/* [const] */
	uint8_t reg[SMB_LEN];
};

static void config_written(void *self, unsigned off, unsigned width);

static const struct pci_reg regs[] = {
	{ .off = PMBASE, .width = 4, .reset = 1, .writable = 0xffc0 },
	{ .off = 0x44, .width = 4, .writable = 0xffffffff },
	{ .off = 0x48, .width = 4, .writable = 0xffffffff },
	{ .off = 0x4c, .width = 4, .writable = 0xffffffff },
	{ .off = 0x50, .width = 4, .writable = 0xffffffff },
	{ .off = 0x54, .width = 4, .writable = 0xffffffff },
	{ .off = DEVACTB, .width = 4, .reset = 0x02000000, .writable = 0x03ffffff },
	{ .off = 0x5c, .width = 4, .writable = 0xffffffff },
	{ .off = 0x60, .width = 4, .writable = 0xffffffff },
	{ .off = 0x64, .width = 4, .writable = 0xffffffff },
	{ .off = 0x68, .width = 4, .writable = 0xffffffff },
	{ .off = 0x6c, .width = 4, .writable = 0xffffffff },
	{ .off = 0x70, .width = 4, .writable = 0xffffffff },
	{ .off = 0x74, .width = 4, .writable = 0xffffffff },
	{ .off = 0x78, .width = 2, .writable = 0xffff },
	{ .off = PMREGMISC, .width = 1, .writable = 0x01 },
	{ .off = SMBBA, .width = 4, .reset = 1, .writable = 0xfff0 },
	{ .off = SMBHSTCFG, .width = 1, .writable = 0x0f },
	{ .off = 0xd3, .width = 3, .writable = 0xffffff },
	{ 0 },
};

static const struct pci_desc desc = {
	.vendor = 0x8086, .device = 0x7113, .subsystem_vendor = 0x1414,
	.class = 0x068000, .revision = 2, .int_pin = 1,
	.command_mask = 0x0001, .status = 0x0280, .regs = regs, .written = config_written,
};

static void settle(struct piix4_pm *p)
{
	const uint8_t *cfg = p->pci.cfg;
	uint16_t pm = ld16(cfg + PMBASE) & 0xffc0, smb = ld16(cfg + SMBBA) & 0xfff0;

	if (p->conf.move != NULL)
		p->conf.move(p->conf.arg, pm, (cfg[PMREGMISC] & 1) != 0 && pm != 0);
	bus_window_move(p->smbus, smb, (cfg[SMBHSTCFG] & 1) != 0 && smb != 0);
}

static void config_written(void *self, unsigned off, unsigned width)
{
	if (off + width > PMBASE)
		settle(self);
}

/* ---- SMBus ---------------------------------------------------------------------------- */

static uint64_t smbus_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return ((const struct piix4_pm *)self)->reg[off];
}

static void smbus_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct piix4_pm *p = self;

	(void)width;
	switch (off) {
	case HST_STS:
	case SLV_STS:
		p->reg[off] &= (uint8_t)~val;
		break;
	case HST_CNT:
		p->reg[HST_CNT] = val & 0x1f;
		if ((val & CNT_START) != 0)
			p->reg[HST_STS] |= STS_NO_DEVICE;
		break;
	default:
		p->reg[off] = (uint8_t)val;
	}
}

static const struct io_ops smbus_io = { IO_W1, smbus_read, smbus_write };

static void piix4_pm_reset(void *self)
{
	struct piix4_pm *p = self;

	for (unsigned i = 0; i < SMB_LEN; i++)
		p->reg[i] = 0;
	pci_reset(&p->pci);
	settle(p);
}

static int piix4_pm_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct piix4_pm *p = self;
	int rc;

	p->conf = *(const struct piix4_pm_conf *)conf;
	rc = bus_window_new(env->pio, env->name, SMB_LEN, &smbus_io, p, &p->smbus, err);
	if (rc == 0)
		rc = pci_add(env->pci, p->conf.devfn, &desc, env, p, &p->pci, err);
	return rc;
}

static int piix4_pm_loaded(void *self, struct err *err)
{
	struct piix4_pm *p = self;
	int rc = pci_loaded(&p->pci, err);

	if (rc == 0)
		settle(p);
	return rc;
}

static const struct state_field piix4_pm_state[] = {
	PCI_STATE(1, struct piix4_pm, pci),
	STATE(3, struct piix4_pm, reg),
	{ 0 },
};

const struct dev_ops piix4_pm_dev = {
	.name = "piix4-pm",
	.size = sizeof(struct piix4_pm),
	.state = piix4_pm_state,
	.init = piix4_pm_init,
	.reset = piix4_pm_reset,
	.loaded = piix4_pm_loaded,
};
