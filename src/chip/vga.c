/*
 * vga.c - the display adapter of a Generation 1 machine
 *
 * On the bus it is what Hyper-V shows, 1414:5353 with a frame buffer of 64 MiB
 * in BAR 0 and a ROM; guests' drivers look for just that.  Inside it is a VGA
 * with the extended modes of Bochs's display, for Hyper-V's own (an S3 Trio's)
 * has no free BIOS and SeaVGABIOS has one for these.
 *
 * SeaBIOS runs an option ROM only if the ids in its PCI data structure are
 * those of the function.  SeaVGABIOS's image says 1234:1111, so our copy of it
 * gets our ids, and the checksum is made right again in a reserved byte of the
 * structure.  SeaVGABIOS itself does not look at them: it takes the frame
 * buffer's address from BAR 0.
 *
 * The registers are in vga_regs.c and vga_dispi.c, the ways to video memory in
 * vga_mem.c, the picture in vga_paint.c, vga_scan.c and vga_text.c.
 *
 * Spec     machines.md 2.2; [PCI] 6.3.1 expansion ROMs
 * Missing  the S3 registers at 4AE8; the interrupt (INTA is declared and never
 *          raised); legacy addresses answer whatever the command register says
 * Lock     chip; the picture: see vga_paint.c
 */
#include "chip/vga_priv.h"

#include "base/le.h"

#include <stdlib.h>
#include <string.h>

#define VENDOR 0x1414u
#define DEVICE 0x5353u

static uint64_t rom_read(void *self, uint32_t off, unsigned width)
{
	const struct vga *v = self;
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++)
		val |= (uint64_t)(v->rom != NULL ? v->rom[off + i] : 0xff) << 8 * i;
	return val;
}

static void rom_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)self, (void)off, (void)width, (void)val;
}

static const struct io_ops rom_io = {
	.widths = IO_W1 | IO_W2 | IO_W4 | IO_W8,
	.read = rom_read,
	.write = rom_write,
};

static const struct pci_desc vga_pci = {
	.vendor = VENDOR, .device = DEVICE, .class = 0x030000, .int_pin = 1,
	.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
	.status = 0x0200,		/* medium DEVSEL */
	.bar = {
		[0] = { PCI_BAR_MEM, VGA_BAR_LEN, &vga_frame_io },
		[PCI_BAR_ROM] = { PCI_BAR_MEM, VGA_ROM_LEN, &rom_io },
	},
};

/* ---- the ROM ------------------------------------------------------------------- */

enum { ROM_SIZE = 2, ROM_PCIR = 0x18, PCIR_VENDOR = 4, PCIR_DEVICE = 6, PCIR_LENGTH = 0x0a,
       PCIR_RESERVED = 0x16, PCIR_LEN = 0x18 };

static int rom_adopt(uint8_t *rom, size_t n, struct err *err)
{
	size_t image = rom[ROM_SIZE] * 512u, pcir = ld16(rom + ROM_PCIR);
	uint8_t sum = 0;

	if (ld16(rom) != 0xaa55 || image == 0 || image > n)
		return err_set(err, -EINVAL, "VGA BIOS: no option ROM of %zu bytes", n);
	if (pcir > image - PCIR_LEN || memcmp(rom + pcir, "PCIR", 4) != 0 ||
	    ld16(rom + pcir + PCIR_LENGTH) < PCIR_LEN)
		return err_set(err, -EINVAL, "VGA BIOS: it has no PCI data structure, expected "
			       "a build for PCI such as vgabios-stdvga.bin");
	st16(rom + pcir + PCIR_VENDOR, VENDOR);
	st16(rom + pcir + PCIR_DEVICE, DEVICE);
	for (size_t i = 0; i < image; i++)
		sum = (uint8_t)(sum + rom[i]);
	rom[pcir + PCIR_RESERVED] = (uint8_t)(rom[pcir + PCIR_RESERVED] - sum);
	return 0;
}

static int rom_take(struct vga *v, struct err *err)
{
	if (v->conf.rom == NULL)
		return 0;
	if (v->conf.rom_len < 512 || v->conf.rom_len > VGA_ROM_LEN)
		return err_set(err, -EINVAL, "VGA BIOS: %zu bytes, expected 512 to %u",
			       v->conf.rom_len, VGA_ROM_LEN);
	v->rom = new_array(uint8_t, VGA_ROM_LEN);
	if (v->rom == NULL)
		return err_set(err, -ENOMEM, "no memory for the VGA BIOS");
	memcpy(v->rom, v->conf.rom, v->conf.rom_len);
	return rom_adopt(v->rom, v->conf.rom_len, err);
}

/* ---- the device ---------------------------------------------------------------- */

static void vga_fini(void *self)
{
	struct vga *v = self;

	vga_paint_fini(v);
	free(v->rom);
	free(v->dirty);
	free(v->own_vram);
}

static int add_windows(struct vga *v, const struct dev_env *env, struct err *err)
{
	int rc = bus_add(env->pio, env->name, 0x3b0, 0x30, &vga_port_io, v, err);

	if (rc == 0)
		rc = bus_add(env->pio, env->name, 0x1ce, 4, &vga_dispi_io, v, err);
	if (rc == 0)
		rc = bus_add(env->mmio, env->name, 0xa0000, 0x20000, &vga_window_io, v, err);
	if (rc == 0)
		rc = pci_add(env->pci, v->conf.devfn, &vga_pci, env, v, &v->pci, err);
	return rc;
}

static int vga_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct vga *v = self;
	int rc;

	v->conf = *(const struct vga_conf *)conf;
	v->clock = env->clock;
	v->lock = env->lock;
	BUG_IF(v->conf.vram_len < VGA_PLANES_LEN || v->conf.vram_len > VGA_BAR_LEN ||
	       (v->conf.vram_len & (v->conf.vram_len - 1)) != 0);
	if (v->conf.vram == NULL)
		v->own_vram = new_array(uint8_t, v->conf.vram_len);
	v->vram = v->conf.vram == NULL ? v->own_vram : v->conf.vram;
	v->dirty = new_array(uint64_t, v->conf.vram_len / VGA_PAGE / 64);
	rc = v->vram == NULL || v->dirty == NULL ?
	     err_set(err, -ENOMEM, "no memory for the display adapter") : rom_take(v, err);
	if (rc == 0)
		rc = add_windows(v, env, err);
	if (rc == 0) {
		rc = vga_paint_init(v);
		if (rc < 0)
			err_fill(err, "no memory for the display adapter's picture");
	}
	if (rc < 0)
		vga_fini(v);
	return rc;
}

/* Video memory keeps what is in it. */
static void vga_reset(void *self)
{
	struct vga *v = self;

	vga_regs_reset(&v->r);
	vga_dispi_reset(v);
	pci_reset(&v->pci);
	v->regs_changed = true;
}

static int vga_loaded(void *self, struct err *err)
{
	struct vga *v = self;
	const struct vga_regs *r = &v->r;

	if (r->dac_step > 2 || r->ac_data > 1 || r->dac_reading > 1 || r->gc[GC_READ_MAP] > 3 ||
	    r->gc[GC_ROTATE] > 0x1f || r->ac[AC_PLANES] > 0x3f || r->ac[AC_PAN] > 0x0f)
		return err_set(err, -EBADMSG, "vga: registers are impossible");
	if (!vga_dispi_ok(v))
		return err_set(err, -EBADMSG, "vga: the extended mode is impossible");
	vga_vram_changed(v);
	return pci_loaded(&v->pci, err);
}

uint8_t *vga_vram(void *self, uint32_t *ret_len)
{
	struct vga *v = self;

	*ret_len = v->conf.vram_len;
	return v->vram;
}

void vga_vram_changed(void *self)
{
	struct vga *v = self;

	for (uint32_t off = 0; off < v->conf.vram_len; off += VGA_PAGE)
		vga_dirty(v, off);
	v->regs_changed = true;
}

static const struct state_field vga_state[] = {
	STATE(1, struct vga, r.misc),
	STATE(2, struct vga, r.feature),
	STATE(3, struct vga, r.seq_index),
	STATE(4, struct vga, r.crtc_index),
	STATE(5, struct vga, r.gc_index),
	STATE(6, struct vga, r.ac_index),
	STATE(7, struct vga, r.ac_data),
	STATE(8, struct vga, r.seq),
	STATE(9, struct vga, r.crtc),
	STATE(10, struct vga, r.gc),
	STATE(11, struct vga, r.ac),
	STATE(12, struct vga, r.latch),
	STATE(13, struct vga, r.dac_mask),
	STATE(14, struct vga, r.dac_reading),
	STATE(15, struct vga, r.dac_index),
	STATE(16, struct vga, r.dac_step),
	STATE(17, struct vga, r.dac_latch),
	STATE(18, struct vga, r.dac),
	STATE(19, struct vga, r.dispi_index),
	STATE(20, struct vga, r.dispi),
	PCI_STATE(30, struct vga, pci),
	{ 0 },
};

const struct dev_ops vga_dev = {
	.name = "vga",
	.size = sizeof(struct vga),
	.state = vga_state,
	.init = vga_init,
	.reset = vga_reset,
	.loaded = vga_loaded,
	.fini = vga_fini,
};
