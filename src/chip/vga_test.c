/*
 * vga_test.c - registers, ways to video memory, extended modes, time, state
 */
#include "base/test.h"
#include "chip/vga_rig.h"

static void registers_hold_what_exists(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	out8(&v, 0x3c2, 0x67);
	CHECK_EQ(in8(&v, 0x3cc), 0x67);
	out_pair(&v, 0x3c4, 4, 0xff);
	CHECK_EQ(in8(&v, 0x3c5), 0x0e);
	out_pair(&v, 0x3ce, 5, 0xff);
	CHECK_EQ(in8(&v, 0x3cf), 0x7b);
	out_pair(&v, 0x3ce, 9, 0x12);
	CHECK_EQ(in8(&v, 0x3cf), 0);
	/* 0 to 7 are protected, bit 4 of 7 is not */
	out_pair(&v, 0x3d4, 0, 0x5f);
	out_pair(&v, 0x3d4, 7, 0x0f);
	out_pair(&v, 0x3d4, 0x11, 0x8e);
	out_pair(&v, 0x3d4, 0, 0);
	CHECK_EQ(in8(&v, 0x3d5), 0x5f);
	out_pair(&v, 0x3d4, 7, 0xf0);
	CHECK_EQ(in8(&v, 0x3d5), 0x1f);
	/* the CRTC moves with bit 0 of misc */
	CHECK_EQ(in8(&v, 0x3b5), 0xff);
	out8(&v, 0x3c2, 0x66);
	CHECK_EQ(in8(&v, 0x3d5), 0xff);
	CHECK_EQ(in8(&v, 0x3b4), 7);
	CHECK_EQ(in8(&v, 0x3b5), 0x1f);
	vga_close(&v);
}

static void attribute_index_and_data_take_turns(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	out8(&v, 0x3c2, 0x67);
	(void)in8(&v, 0x3da);
	out8(&v, 0x3c0, 0x10);
	out8(&v, 0x3c0, 0xff);
	CHECK_EQ(in8(&v, 0x3c1), 0xef);
	out8(&v, 0x3c0, 0x12);		/* an index again */
	CHECK_EQ(in8(&v, 0x3c0), 0x12);
	(void)in8(&v, 0x3da);		/* the data never came */
	out8(&v, 0x3c0, 0x14);
	out8(&v, 0x3c0, 0x05);
	CHECK_EQ(in8(&v, 0x3c1), 0x05);
	vga_close(&v);
}

static void dac_takes_three_bytes_a_color(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	out8(&v, 0x3c8, 0xff);
	for (unsigned i = 0; i < 6; i++)	/* entry 255, then 0 */
		out8(&v, 0x3c9, (uint8_t)(0x41 + i));
	out8(&v, 0x3c9, 7);			/* a third of a color */
	out8(&v, 0x3c7, 0xff);
	CHECK_EQ(in8(&v, 0x3c7), 3);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(in8(&v, 0x3c9), 1 + i);
	CHECK_EQ(in8(&v, 0x3c8), 1);
	CHECK_EQ(in8(&v, 0x3c9), 0);
	/* eight bits keep the looks */
	dispi(&v, 4, 0x20);
	out8(&v, 0x3c7, 0xff);
	CHECK_EQ(in8(&v, 0x3c9), 1 << 2);
	out8(&v, 0x3c8, 9);
	for (unsigned i = 0; i < 3; i++)
		out8(&v, 0x3c9, 0xab);
	out8(&v, 0x3c7, 9);
	CHECK_EQ(in8(&v, 0x3c9), 0xab);
	dispi(&v, 4, 0);
	out8(&v, 0x3c7, 9);
	CHECK_EQ(in8(&v, 0x3c9), 0xab >> 2);
	vga_close(&v);
}

/* ---- the graphics controller ---------------------------------------------------- */

static void plane_bytes(struct vga_rig *v, uint32_t off, uint8_t p[4])
{
	for (uint8_t i = 0; i < 4; i++) {
		out_pair(v, 0x3ce, 4, i);
		p[i] = peek8(v, 0xa0000 + off);
	}
}

static void expect_planes(struct vga_rig *v, uint32_t off, uint32_t planes)
{
	uint8_t p[4];

	plane_bytes(v, off, p);
	CHECK_EQ((uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3], planes);
}

static void write_modes(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_12);
	/* 0: the byte to the planes of the map mask */
	out_pair(&v, 0x3c4, 2, 0x05);
	poke8(&v, 0xa0010, 0xa5);
	expect_planes(&v, 0x10, 0xa500a500);
	/* ... turned by 3, mixed with the latches by the bit mask: */
	out_pair(&v, 0x3c4, 2, 0x0f);
	(void)peek8(&v, 0xa0010);
	out_pair(&v, 0x3ce, 3, 3);
	out_pair(&v, 0x3ce, 8, 0x0f);
	poke8(&v, 0xa0011, 0x81);		/* 0x81 >>> 3 = 0x30 */
	out_pair(&v, 0x3ce, 8, 0xff);
	expect_planes(&v, 0x11, 0xa000a000);
	/* ... set/reset for two of the planes, XOR with the latches */
	(void)peek8(&v, 0xa0010);		/* latches A5 00 A5 00 */
	out_pair(&v, 0x3ce, 3, 0x18);
	out_pair(&v, 0x3ce, 0, 0x01);
	out_pair(&v, 0x3ce, 1, 0x03);
	poke8(&v, 0xa0012, 0x0f);
	expect_planes(&v, 0x12, 0x5a00aa0f);	/* FF^A5, 00^00, 0F^A5, 0F^00 */
	/* AND and OR */
	(void)peek8(&v, 0xa0012);
	out_pair(&v, 0x3ce, 1, 0);
	out_pair(&v, 0x3ce, 3, 0x08);
	poke8(&v, 0xa0013, 0x3c);
	expect_planes(&v, 0x13, 0x1800280c);
	(void)peek8(&v, 0xa0012);
	out_pair(&v, 0x3ce, 3, 0x10);
	poke8(&v, 0xa0013, 0x81);
	expect_planes(&v, 0x13, 0xdb81ab8f);
	/* 1: the latches, whatever the byte, mask and function */
	(void)peek8(&v, 0xa0012);
	out_pair(&v, 0x3ce, 8, 0x00);
	out_pair(&v, 0x3ce, 5, 1);
	poke8(&v, 0xa0014, 0x77);
	expect_planes(&v, 0x14, 0x5a00aa0f);
	/* 2: the low bits are a color */
	out_pair(&v, 0x3ce, 3, 0);
	out_pair(&v, 0x3ce, 8, 0xf0);
	out_pair(&v, 0x3ce, 5, 2);
	(void)peek8(&v, 0xa0014);
	poke8(&v, 0xa0015, 0x0a);		/* planes 1 and 3 */
	expect_planes(&v, 0x15, 0x0af00aff);
	/* 3: the byte is a mask, set/reset the color */
	out_pair(&v, 0x3ce, 5, 3);
	out_pair(&v, 0x3ce, 0, 0x0c);
	out_pair(&v, 0x3ce, 8, 0x3c);
	(void)peek8(&v, 0xa0015);
	poke8(&v, 0xa0016, 0xf0);		/* 3C & F0 = 30 */
	expect_planes(&v, 0x16, 0x0ac03aff);
	vga_close(&v);
}

static void read_mode_1_finds_a_color(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_12);
	for (uint8_t p = 0; p < 4; p++) {
		out_pair(&v, 0x3c4, 2, (uint8_t)(1 << p));
		poke8(&v, 0xa0000, (uint8_t[]){ 0xf0, 0xcc, 0xaa, 0xff }[p]);
	}
	/* dots, left to right: F B D 9 E A C 8 (bits of planes 3 2 1 0) */
	out_pair(&v, 0x3ce, 5, 8);
	out_pair(&v, 0x3ce, 2, 0x0d);
	out_pair(&v, 0x3ce, 7, 0x0f);
	CHECK_EQ(peek8(&v, 0xa0000), 0x20);
	out_pair(&v, 0x3ce, 7, 0x05);		/* planes 0 and 2 decide: x1x1 */
	CHECK_EQ(peek8(&v, 0xa0000), 0xa0);
	out_pair(&v, 0x3ce, 7, 0);		/* none does */
	CHECK_EQ(peek8(&v, 0xa0000), 0xff);
	vga_close(&v);
}

static void windows_and_chains(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_03);
	put_char(&v, 0, 0x41, 0x1f);
	CHECK_EQ(bus_read(v.r.mmio, 0xb8000, 4), 0x1f41);
	CHECK_EQ(peek8(&v, 0xa0000), 0xff);	/* not decoded */
	CHECK_EQ(peek8(&v, 0xb0000), 0xff);
	/* planar: the character is in plane 0 at 0, the attribute in plane 1 at 0 */
	set_mode(&v, &mode_12);
	expect_planes(&v, 0, 0x411f0000);
	/* chain-4: four neighbours are four planes, the next four lie 4 further on */
	set_mode(&v, &mode_13);
	bus_write(v.r.mmio, 0xa0000, 8, 0x0807060504030201);
	CHECK_EQ(bus_read(v.r.mmio, 0xa0002, 4), 0x06050403);
	poke8(&v, 0xa4001, 0x99);
	set_mode(&v, &mode_12);
	expect_planes(&v, 0, 0x01020304);
	expect_planes(&v, 4, 0x05060708);
	expect_planes(&v, 0x4001, 0x00990000);
	/* without MISC_RAM nothing answers, nothing is taken */
	out8(&v, 0x3c2, 0xe1);
	CHECK_EQ(peek8(&v, 0xa0000), 0xff);
	poke8(&v, 0xa0000, 0x55);
	out8(&v, 0x3c2, 0xe3);
	expect_planes(&v, 0, 0x01020304);
	/* 128 KiB window, the upper half is the same planes */
	out_pair(&v, 0x3ce, 6, 1);
	out_pair(&v, 0x3ce, 4, 1);
	CHECK_EQ(peek8(&v, 0xb0000), 0x02);
	vga_close(&v);
}

/* ---- extended modes ------------------------------------------------------------- */

static void map_frame(struct vga_rig *v)
{
	pthread_mutex_lock(&v->r.lock);
	pci_cfg_write(v->pci, VGA_DEVFN, PCI_BAR0, 4, FRAME_AT);
	pci_cfg_write(v->pci, VGA_DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pthread_mutex_unlock(&v->r.lock);
}

static void on_pci_it_is_hyper_vs(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	pthread_mutex_lock(&v.r.lock);
	CHECK_EQ(pci_cfg_read(v.pci, VGA_DEVFN, 0, 4), 0x53531414);
	CHECK_EQ(pci_cfg_read(v.pci, VGA_DEVFN, PCI_REVISION, 4), 0x03000000);
	pci_cfg_write(v.pci, VGA_DEVFN, PCI_BAR0, 4, 0xffffffff);
	CHECK_EQ(pci_cfg_read(v.pci, VGA_DEVFN, PCI_BAR0, 4), 0xfc000000);
	pci_cfg_write(v.pci, VGA_DEVFN, PCI_ROM, 4, 0xfffffffe);
	CHECK_EQ(pci_cfg_read(v.pci, VGA_DEVFN, PCI_ROM, 4), 0xffff0000);
	pthread_mutex_unlock(&v.r.lock);
	map_frame(&v);
	bus_write(v.r.mmio, FRAME_AT + 0xffffe, 4, 0x44332211);	/* half of it is past the end */
	CHECK_EQ(bus_read(v.r.mmio, FRAME_AT + 0xffffc, 8), 0xffffffff22110000);
	vga_close(&v);
}

static void extended_registers_stay_possible(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 4 << 20, NULL, 0);
	CHECK_EQ(dispi_in(&v, 0), 0xb0c5);
	dispi(&v, 0, 0xb0c0);
	CHECK_EQ(dispi_in(&v, 0), 0xb0c0);
	dispi(&v, 0, 0x1234);
	CHECK_EQ(dispi_in(&v, 0), 0xb0c0);
	CHECK_EQ(dispi_in(&v, 10), 64);
	dispi(&v, 4, 2);
	CHECK_EQ(dispi_in(&v, 1), DISP_MAX_WIDTH);
	CHECK_EQ(dispi_in(&v, 2), DISP_MAX_HEIGHT);
	CHECK_EQ(dispi_in(&v, 3), 32);
	dispi(&v, 4, 0);
	dispi(&v, 1, 1024);
	dispi(&v, 2, 768);
	dispi(&v, 3, 32);
	dispi(&v, 3, 17);		/* no such depth */
	dispi(&v, 1, 5000);
	dispi(&v, 2, 0);
	dispi(&v, 4, 0x41);
	CHECK_EQ(dispi_in(&v, 1), 1024);
	CHECK_EQ(dispi_in(&v, 2), 768);
	CHECK_EQ(dispi_in(&v, 3), 32);
	CHECK_EQ(dispi_in(&v, 6), 1024);
	CHECK_EQ(dispi_in(&v, 7), 1024);	/* 4 MiB in lines of 4 KiB */
	dispi(&v, 1, 640);		/* not while it is on */
	CHECK_EQ(dispi_in(&v, 1), 1024);
	dispi(&v, 9, 65535);
	CHECK_EQ(dispi_in(&v, 9), 1024 - 768);
	dispi(&v, 9, 0);
	dispi(&v, 6, 1365);		/* 1360 in multiples of 8: 771 lines */
	CHECK_EQ(dispi_in(&v, 6), 1360);
	CHECK_EQ(dispi_in(&v, 7), 771);
	dispi(&v, 8, 1000);
	CHECK_EQ(dispi_in(&v, 8), 336);
	dispi(&v, 6, 60000);		/* would not fit: as wide as the picture */
	CHECK_EQ(dispi_in(&v, 6), 1024);
	dispi(&v, 5, 63);
	CHECK_EQ(dispi_in(&v, 5), 63);
	dispi(&v, 5, 64);
	CHECK_EQ(dispi_in(&v, 5), 63);
	/* a mode larger than memory has fewer lines */
	dispi(&v, 4, 0);
	dispi(&v, 1, 1920);
	dispi(&v, 2, 1080);
	dispi(&v, 4, 0x41);
	CHECK_EQ(dispi_in(&v, 2), 546);
	vga_close(&v);
}

static void banks_and_clearing(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	map_frame(&v);
	set_mode(&v, &mode_13);
	dispi(&v, 1, 640);
	dispi(&v, 2, 480);
	dispi(&v, 3, 8);
	dispi(&v, 4, 1);
	dispi(&v, 5, 3);
	bus_write(v.r.mmio, 0xa0102, 2, 0xbeef);
	CHECK_EQ(bus_read(v.r.mmio, FRAME_AT + 0x30102, 2), 0xbeef);
	bus_write(v.r.mmio, FRAME_AT + 0x30104, 1, 0x77);
	CHECK_EQ(peek8(&v, 0xa0104), 0x77);
	dispi(&v, 4, 0);
	dispi(&v, 4, 0x81);		/* as it was */
	CHECK_EQ(bus_read(v.r.mmio, FRAME_AT + 0x30102, 2), 0xbeef);
	bus_write(v.r.mmio, FRAME_AT + 640 * 480, 1, 0x12);
	dispi(&v, 4, 0);
	dispi(&v, 4, 1);
	CHECK_EQ(bus_read(v.r.mmio, FRAME_AT + 0x30102, 2), 0);
	CHECK_EQ(bus_read(v.r.mmio, FRAME_AT + 640 * 480, 1), 0x12);
	vga_close(&v);
}

/* ---- time ----------------------------------------------------------------------- */

/* Falling edges of a bit of 3DA in one second, looked at every 2 microseconds. */
static unsigned edges(struct vga_rig *v, uint8_t bit, uint64_t *ret_high_ns)
{
	unsigned n = 0;
	bool was = false;

	*ret_high_ns = 0;
	for (uint64_t t = 0; t < NS_PER_SEC; t += 2000) {
		bool is = (in8(v, 0x3da) & bit) != 0;

		n += was && !is;
		*ret_high_ns += is ? 2000 : 0;
		was = is;
		clock_step(v->r.clock, 2000);
	}
	return n;
}

static void retrace_has_the_rate_of_the_mode(void **state)
{
	struct vga_rig v;
	uint64_t high;
	unsigned n;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	/* 28.322 MHz / (900 dots * 449 lines) = 70.09; sync is 2 lines of 31.78 us */
	set_mode(&v, &mode_03);
	CHECK_EQ(edges(&v, 8, &high), 70);
	CHECK(high / 70 > 60000 && high / 70 < 68000);
	/* 25.175 MHz / (800 * 525) = 59.94 */
	set_mode(&v, &mode_12);
	n = edges(&v, 8, &high);
	CHECK(n == 59 || n == 60);
	/* of 800 * 525 dots 640 * 480 are shown: blank for 26.9 % */
	(void)edges(&v, 1, &high);
	CHECK(high / 1000000 > 262 && high / 1000000 < 276);
	/* one edge a line: 31,469 lines a second, but for those of the vertical blank */
	CHECK(edges(&v, 1, &high) > 28000);
	dispi(&v, 4, 1);
	n = edges(&v, 8, &high);
	CHECK(n == 59 || n == 60);
	vga_close(&v);
}

/* ---- ROM and state -------------------------------------------------------------- */

static void make_rom(uint8_t *rom, size_t n)
{
	uint8_t sum = 0;

	memset(rom, 0x5a, n);
	rom[0] = 0x55;
	rom[1] = 0xaa;
	rom[2] = (uint8_t)(n / 512);
	rom[0x18] = 0x40;
	rom[0x19] = 0;
	memcpy(rom + 0x40, "PCIR\x34\x12\x11\x11\0\0\x18\0\0\0\0\3", 16);
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + rom[i]);
	rom[n - 1] = (uint8_t)(rom[n - 1] - sum);
}

static void the_rom_gets_our_ids(void **state)
{
	uint8_t rom[1024], sum = 0;
	struct vga_rig v;

	(void)state;
	make_rom(rom, sizeof(rom));
	vga_open(&v, 1 << 20, rom, sizeof(rom));
	pthread_mutex_lock(&v.r.lock);
	pci_cfg_write(v.pci, VGA_DEVFN, PCI_ROM, 4, 0xfeb00001);
	pci_cfg_write(v.pci, VGA_DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pthread_mutex_unlock(&v.r.lock);
	CHECK_EQ(bus_read(v.r.mmio, 0xfeb00000, 2), 0xaa55);
	CHECK_EQ(bus_read(v.r.mmio, 0xfeb00044, 4), 0x53531414);
	for (uint32_t i = 0; i < sizeof(rom); i++)
		sum = (uint8_t)(sum + peek8(&v, 0xfeb00000 + i));
	CHECK_EQ(sum, 0);
	CHECK_EQ(peek8(&v, 0xfeb00000 + 1024), 0);	/* past the image */
	vga_close(&v);
}

static void a_rom_that_is_none_is_refused(void **state)
{
	uint8_t rom[1024];
	struct vga_rig v;
	struct vga_conf c = { .devfn = PCI_DEVFN(9, 0), .vram_len = 1 << 20, .rom = rom,
			      .rom_len = sizeof(rom) };
	struct err err;
	void *dev;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	make_rom(rom, sizeof(rom));
	rom[2] = 3;
	CHECK_EQ(dev_new(&vga_dev, &v.r.env, &c, &dev, &err), -EINVAL);
	make_rom(rom, sizeof(rom));
	rom[0x19] = 0xff;
	CHECK_EQ(dev_new(&vga_dev, &v.r.env, &c, &dev, &err), -EINVAL);
	CHECK(strstr(err.msg, "vgabios-stdvga.bin") != NULL);
	c.rom_len = 100;
	CHECK_EQ(dev_new(&vga_dev, &v.r.env, &c, &dev, &err), -EINVAL);
	vga_close(&v);
}

static void state_comes_back(void **state)
{
	static uint8_t buf[8192], vram[1 << 20];
	struct vga_rig a, b;
	uint32_t len;
	size_t n;

	(void)state;
	vga_open(&a, 1 << 20, NULL, 0);
	set_mode(&a, &mode_13);
	bus_write(a.r.mmio, 0xa0000, 4, 0x30201000);
	n = state_save(vga_dev.state, a.r.dev, buf, sizeof(buf));
	CHECK(n <= sizeof(buf));
	memcpy(vram, vga_vram(a.r.dev, &len), sizeof(vram));
	look(&a);
	vga_open(&b, 1 << 20, NULL, 0);
	look(&b);
	CHECK_EQ(b.view.width, 640);
	CHECK_EQ(b.view.height, 480);
	CHECK_EQ(state_load(vga_dev.state, b.r.dev, buf, n, NULL), 0);
	memcpy(vga_vram(b.r.dev, &len), vram, sizeof(vram));
	CHECK_EQ(vga_dev.loaded(b.r.dev, NULL), 0);
	look(&b);
	CHECK_EQ(b.view.height, 400);
	for (uint32_t y = 0; y < 400; y++)
		CHECK_MEM(a.view.pixels + y * a.view.stride, b.view.pixels + y * b.view.stride,
			  640 * 4);
	vga_close(&b);
	vga_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_hold_what_exists),
		cmocka_unit_test(attribute_index_and_data_take_turns),
		cmocka_unit_test(dac_takes_three_bytes_a_color),
		cmocka_unit_test(write_modes),
		cmocka_unit_test(read_mode_1_finds_a_color),
		cmocka_unit_test(windows_and_chains),
		cmocka_unit_test(on_pci_it_is_hyper_vs),
		cmocka_unit_test(extended_registers_stay_possible),
		cmocka_unit_test(banks_and_clearing),
		cmocka_unit_test(retrace_has_the_rate_of_the_mode),
		cmocka_unit_test(the_rom_gets_our_ids),
		cmocka_unit_test(a_rom_that_is_none_is_refused),
		cmocka_unit_test(state_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
