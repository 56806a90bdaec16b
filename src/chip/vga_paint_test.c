/*
 * vga_paint_test.c - pictures
 *
 * What is expected is drawn here by hand, dot by dot, or follows from what a
 * mode means, not from how it is made.
 */
#include "base/test.h"
#include "chip/vga_rig.h"

/* A letter and a corner of a frame, as a font has them. */
static const uint8_t glyph_l[16] = { 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0xfe, 0x01 };
static const uint8_t glyph_corner[16] = { 0x18, 0x18, 0x1f, 0x00, 0x01 };

static const char *const art_l[8] = {
	".........",
	"#........",
	"#........",
	"#........",
	"#........",
	"#........",
	"#######..",
	".......#.",
};

/* In C0 to DF the ninth dot is the eighth. */
static const char *const art_corner[8] = {
	"...##....",
	"...##....",
	"...######",
	".........",
	".......##",
	".........",
	".........",
	".........",
};

static void expect_art(const struct vga_rig *v, uint32_t x0, uint32_t y0, const char *const *art,
		       unsigned rows, uint32_t ink, uint32_t paper)
{
	for (uint32_t y = 0; y < rows; y++)
		for (uint32_t x = 0; art[y][x] != '\0'; x++)
			CHECK_EQ(dot(v, x0 + x, y0 + y), art[y][x] == '#' ? ink : paper);
}

static void expect_box(const struct vga_rig *v, uint32_t x0, uint32_t y0, uint32_t w, uint32_t h,
		       uint32_t color)
{
	for (uint32_t y = y0; y < y0 + h; y++)
		for (uint32_t x = x0; x < x0 + w; x++)
			if (dot(v, x, y) != color)
				fail_msg("%u,%u: %06x, expected %06x", x, y, dot(v, x, y), color);
}

static void open_text(struct vga_rig *v)
{
	vga_open(v, 1 << 20, NULL, 0);
	set_mode(v, &mode_03);
	out_pair(v, 0x3d4, 0x0a, 0x20);		/* no cursor */
	load_glyph(v, 0, 'L', glyph_l);
	load_glyph(v, 0, 0xda, glyph_corner);
}

static void text_is_drawn_from_the_font(void **state)
{
	struct vga_rig v;

	(void)state;
	open_text(&v);
	put_char(&v, 0, 'L', 0x07);
	put_char(&v, 81, 'L', 0x4e);		/* yellow (3E) on red (04), second row */
	put_char(&v, 82, 0xda, 0x21);
	put_char(&v, 24 * 80 + 79, 'L', 0x70);
	look(&v);
	CHECK_EQ(v.view.width, 720);
	CHECK_EQ(v.view.height, 400);
	expect_art(&v, 0, 0, art_l, 8, entry_rgb(7), 0);
	expect_art(&v, 9, 16, art_l, 8, entry_rgb(0x3e), entry_rgb(4));
	expect_box(&v, 9, 24, 9, 8, entry_rgb(4));
	expect_art(&v, 18, 16, art_corner, 8, entry_rgb(1), entry_rgb(2));
	expect_art(&v, 711, 384, art_l, 8, entry_rgb(0), entry_rgb(7));
	expect_box(&v, 27, 0, 693, 384, entry_rgb(0));
	/* eight dots, no ninth */
	out_pair(&v, 0x3c4, 1, 1);
	look(&v);
	CHECK_EQ(v.view.width, 640);
	CHECK_EQ(dot(&v, 8, 17), entry_rgb(0x3e));
	CHECK_EQ(dot(&v, 7, 17), 0);
	vga_close(&v);
}

static void the_cursor_blinks(void **state)
{
	struct disp_rect r[4];
	struct vga_rig v;

	(void)state;
	open_text(&v);
	out_pair(&v, 0x3d4, 0x0a, 13);
	out_pair(&v, 0x3d4, 0x0b, 14);
	out_pair(&v, 0x3d4, 0x0e, 0);
	out_pair(&v, 0x3d4, 0x0f, 85);
	put_char(&v, 85, ' ', 0x02);
	look(&v);
	expect_box(&v, 45, 16 + 13, 9, 2, entry_rgb(2));
	expect_box(&v, 45, 16 + 12, 9, 1, 0);
	expect_box(&v, 45, 16 + 15, 9, 1, 0);
	CHECK_EQ(changed(&v, r, 4), 0);
	clock_step(v.r.clock, NS_PER_SEC / 70 * 8);
	CHECK_EQ(changed(&v, r, 4), 1);
	expect_box(&v, 45, 16, 9, 16, 0);
	CHECK_EQ(r[0].x, 0);
	CHECK_EQ(r[0].y, 16);
	CHECK_EQ(r[0].w, 64);
	clock_step(v.r.clock, NS_PER_SEC / 70 * 8 + 1000000);
	look(&v);
	expect_box(&v, 45, 16 + 13, 9, 2, entry_rgb(2));
	/* start after end: none */
	out_pair(&v, 0x3d4, 0x0b, 12);
	look(&v);
	expect_box(&v, 45, 16, 9, 16, 0);
	vga_close(&v);
}

static void attributes(void **state)
{
	struct vga_rig v;

	(void)state;
	open_text(&v);
	load_glyph(&v, 1, 'L', glyph_corner);
	put_char(&v, 0, 'L', 0x87);		/* blinks, on black */
	put_char(&v, 1, 'L', 0x0f);
	look(&v);
	expect_art(&v, 0, 0, art_l, 8, entry_rgb(7), 0);
	clock_step(v.r.clock, NS_PER_SEC / 70 * 16 + 1000000);
	look(&v);
	expect_box(&v, 0, 0, 9, 16, 0);
	expect_art(&v, 9, 0, art_l, 8, entry_rgb(0x3f), 0);
	/* no blinking: bit 7 is the background's brightness */
	set_ac(&v, 0x10, 0x04);
	look(&v);
	expect_art(&v, 0, 0, art_l, 8, entry_rgb(7), entry_rgb(0x38));
	/* two fonts: bit 3 chooses */
	out_pair(&v, 0x3c4, 3, 0x04);
	look(&v);
	expect_art(&v, 0, 0, art_l, 8, entry_rgb(7), entry_rgb(0x38));
	CHECK_EQ(dot(&v, 9 + 3, 0), entry_rgb(0x3f));
	CHECK_EQ(dot(&v, 9 + 0, 1), 0);
	/* underline in row 13 for attributes x001 */
	put_char(&v, 2, ' ', 0x01);
	out_pair(&v, 0x3d4, 0x14, 13);
	look(&v);
	expect_box(&v, 18, 13, 9, 1, entry_rgb(1));
	expect_box(&v, 18, 12, 9, 1, 0);
	vga_close(&v);
}

static void panning_start_and_split(void **state)
{
	struct vga_rig v;

	(void)state;
	open_text(&v);
	put_char(&v, 0, 'L', 0x01);
	put_char(&v, 160, 'L', 0x02);
	put_char(&v, 161, 'L', 0x03);
	/* the picture begins at cell 160, 3 dots to the left (pan 2), 4 rows down in the letter */
	out_pair(&v, 0x3d4, 0x0d, 160);
	set_ac(&v, 0x13, 2);
	out_pair(&v, 0x3d4, 8, 4);
	look(&v);
	CHECK_EQ(dot(&v, 6, 0), entry_rgb(3));	/* the stem of the second letter, row 4 */
	CHECK_EQ(dot(&v, 0, 0), 0);
	CHECK_EQ(dot(&v, 3, 2), entry_rgb(2));	/* foot of the first, row 6 */
	CHECK_EQ(dot(&v, 4, 2), 0);
	/* byte panning is a whole cell */
	out_pair(&v, 0x3d4, 8, 0x24);
	look(&v);
	CHECK_EQ(dot(&v, 3, 2), entry_rgb(3));
	out_pair(&v, 0x3d4, 8, 0);
	/* line compare 199: from line 200 on it is cell 0 again, panned as well */
	out_pair(&v, 0x3d4, 0x18, 199);
	out_pair(&v, 0x3d4, 7, 0x0f);
	out_pair(&v, 0x3d4, 9, 0x0f);
	look(&v);
	CHECK_EQ(dot(&v, 0, 206), entry_rgb(1));
	CHECK_EQ(dot(&v, 0, 201), 0);
	CHECK_EQ(dot(&v, 0, 199), 0);
	/* ... or not panned */
	set_ac(&v, 0x10, 0x2c);
	look(&v);
	expect_art(&v, 0, 200, art_l, 8, entry_rgb(1), 0);
	vga_close(&v);
}

static void chain_4_doubles_its_pixels(void **state)
{
	struct disp_rect r[4];
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_13);
	for (uint32_t i = 0; i < 320 * 200; i += 8) {
		uint64_t val = 0;

		for (unsigned k = 0; k < 8; k++)
			val |= (uint64_t)(uint8_t)((i + k) % 320 * 7 + (i + k) / 320 * 13) << 8 * k;
		bus_write(v.r.mmio, 0xa0000 + i, 8, val);
	}
	look(&v);
	CHECK_EQ(v.view.width, 640);
	CHECK_EQ(v.view.height, 400);
	for (uint32_t y = 0; y < 400; y++)
		for (uint32_t x = 0; x < 640; x++)
			CHECK_EQ(dot(&v, x, y), entry_rgb((x / 2 * 7 + y / 2 * 13) & 0xff));
	/* one pixel changes one tile */
	poke8(&v, 0xa0000 + 100 * 320 + 200, 0x11);
	CHECK_EQ(changed(&v, r, 4), 1);
	CHECK_EQ(r[0].x, 384);
	CHECK_EQ(r[0].y, 192);
	CHECK_EQ(r[0].w, 64);
	CHECK_EQ(r[0].h, 16);
	expect_box(&v, 400, 200, 2, 2, entry_rgb(0x11));
	/* panned by one pixel (2) */
	set_ac(&v, 0x13, 2);
	look(&v);
	expect_box(&v, 398, 200, 2, 2, entry_rgb(0x11));
	/* the mask of the DAC */
	out8(&v, 0x3c6, 0x01);
	look(&v);
	expect_box(&v, 398, 200, 2, 2, entry_rgb(1));
	vga_close(&v);
}

/* 320x240 without chain-4: plane X % 4, byte X / 4; two pages, flipped by the start address. */
static void mode_x(void **state)
{
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_13);
	out_pair(&v, 0x3c4, 4, 6);
	out8(&v, 0x3c2, 0xe3);
	out_pair(&v, 0x3d4, 0x11, 0x2c);
	out_pair(&v, 0x3d4, 6, 0x0d);
	out_pair(&v, 0x3d4, 7, 0x3e);
	out_pair(&v, 0x3d4, 0x10, 0xea);
	out_pair(&v, 0x3d4, 0x12, 0xdf);
	out_pair(&v, 0x3d4, 0x14, 0);
	out_pair(&v, 0x3d4, 0x17, 0xe3);
	for (uint32_t p = 0; p < 4; p++) {
		out_pair(&v, 0x3c4, 2, (uint8_t)(1 << p));
		for (uint32_t i = 0; i < 80 * 240; i++) {
			poke8(&v, 0xa0000 + i, (uint8_t)(i / 80 + (i % 80 * 4 + p) * 3));
			poke8(&v, 0xa0000 + 19200 + i, (uint8_t)(p << 4));
		}
	}
	look(&v);
	CHECK_EQ(v.view.width, 640);
	CHECK_EQ(v.view.height, 480);
	for (uint32_t y = 0; y < 480; y += 3)
		for (uint32_t x = 0; x < 640; x++)
			CHECK_EQ(dot(&v, x, y), entry_rgb((y / 2 + x / 2 * 3) & 0xff));
	out_pair(&v, 0x3d4, 0x0c, 19200 >> 8);
	look(&v);
	for (uint32_t x = 0; x < 640; x++)
		CHECK_EQ(dot(&v, x, 333), entry_rgb(x / 2 % 4 << 4));
	vga_close(&v);
}

static void sixteen_colors(void **state)
{
	static const uint32_t through[16] = { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b,
					      0x3c, 0x3d, 0x3e, 0x3f };
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_12);
	out_pair(&v, 0x3ce, 5, 2);		/* write mode 2: dot by dot, as a BIOS does */
	for (unsigned c = 0; c < 16; c++) {
		out_pair(&v, 0x3ce, 8, (uint8_t)(0x80 >> c % 8));
		(void)peek8(&v, 0xa0000 + 479 * 80 + 40 + c / 8);
		poke8(&v, 0xa0000 + 479 * 80 + 40 + c / 8, (uint8_t)c);
	}
	look(&v);
	CHECK_EQ(v.view.width, 640);
	CHECK_EQ(v.view.height, 480);
	for (unsigned c = 0; c < 16; c++)
		CHECK_EQ(dot(&v, 320 + c, 479), entry_rgb(through[c]));
	/* without plane 3 */
	set_ac(&v, 0x12, 7);
	look(&v);
	CHECK_EQ(dot(&v, 320 + 9, 479), entry_rgb(1));
	set_ac(&v, 0x12, 15);
	/* color select: bits 7 and 6, and with bit 7 of the mode 5 and 4 too */
	set_ac(&v, 0x14, 0x0a);
	look(&v);
	CHECK_EQ(dot(&v, 320 + 9, 479), entry_rgb(0x80 | 0x39));
	set_ac(&v, 0x10, 0x81);
	look(&v);
	CHECK_EQ(dot(&v, 320 + 9, 479), entry_rgb(0x80 | 0x29));
	/* the screen is off */
	(void)in8(&v, 0x3da);
	out8(&v, 0x3c0, 0);
	look(&v);
	CHECK_EQ(v.view.height, 480);
	expect_box(&v, 0, 470, 640, 10, 0);
	vga_close(&v);
}

/* Even lines at 0, odd lines at 2000; two bits a pixel. */
static void cga_memory(void **state)
{
	static const uint32_t through[4] = { 0, 0x13, 0x15, 0x17 };
	struct vga_rig v;

	(void)state;
	vga_open(&v, 1 << 20, NULL, 0);
	set_mode(&v, &mode_04);
	for (uint32_t y = 0; y < 200; y++)
		for (uint32_t i = 0; i < 80; i++)
			poke8(&v, 0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + i,
			      (uint8_t)(0x1b + y * 5 + i * 3));
	look(&v);
	CHECK_EQ(v.view.width, 640);
	CHECK_EQ(v.view.height, 400);
	for (uint32_t y = 0; y < 400; y++)
		for (uint32_t x = 0; x < 640; x++) {
			uint8_t byte = (uint8_t)(0x1b + y / 2 * 5 + x / 8 * 3);

			CHECK_EQ(dot(&v, x, y), entry_rgb(through[byte >> (6 - x / 2 % 4 * 2) & 3]));
		}
	vga_close(&v);
}

/* ---- extended modes ------------------------------------------------------------- */

static void open_extended(struct vga_rig *v, uint16_t w, uint16_t h, uint16_t bpp)
{
	vga_open(v, VGA_VRAM_LEN, NULL, 0);
	pthread_mutex_lock(&v->r.lock);
	pci_cfg_write(v->pci, VGA_DEVFN, PCI_BAR0, 4, FRAME_AT);
	pci_cfg_write(v->pci, VGA_DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pthread_mutex_unlock(&v->r.lock);
	set_mode(v, &mode_12);
	dispi(v, 1, w);
	dispi(v, 2, h);
	dispi(v, 3, bpp);
	dispi(v, 4, 0x41);
}

static void depths(void **state)
{
	static const struct {
		uint16_t bpp;
		uint32_t val, rgb;
	} row[] = {
		{ 8, 0xc5, 0 },			/* by the DAC, see below */
		{ 15, 0x7c00, 0xff0000 }, { 15, 0x0201, 0x008408 },
		{ 16, 0xf800, 0xff0000 }, { 16, 0x0410, 0x008284 }, { 16, 0x07e0, 0x00ff00 },
		{ 24, 0x123456, 0x123456 }, { 32, 0xff123456, 0x123456 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		unsigned size = (row[i].bpp + 7) / 8;
		struct disp_rect r[4];
		struct vga_rig v;
		uint32_t at;

		open_extended(&v, 1920, 1080, row[i].bpp);
		look(&v);
		CHECK_EQ(v.view.width, 1920);
		CHECK_EQ(v.view.height, 1080);
		at = FRAME_AT + (1079 * 1920 + 1919) * size;
		for (unsigned k = 0; k < size; k++)
			poke8(&v, at + k, (uint8_t)(row[i].val >> 8 * k));
		CHECK_EQ(changed(&v, r, 4), 1);
		CHECK_EQ(r[0].x, 1856);
		CHECK_EQ(r[0].y, 1072);
		CHECK_EQ(r[0].w, 64);
		CHECK_EQ(r[0].h, 8);
		CHECK_EQ(dot(&v, 1919, 1079),
			 row[i].bpp == 8 ? entry_rgb(row[i].val) : row[i].rgb);
		CHECK_EQ(dot(&v, 1918, 1079), 0);
		CHECK_EQ(changed(&v, r, 4), 0);
		vga_close(&v);
	}
}

static void virtual_picture_and_offsets(void **state)
{
	struct disp_rect r;
	struct vga_rig v;

	(void)state;
	open_extended(&v, 640, 480, 32);
	dispi(&v, 6, 800);
	bus_write(v.r.mmio, FRAME_AT + (100 * 800 + 700) * 4, 4, 0x00abcdef);
	look(&v);
	expect_box(&v, 0, 100, 640, 1, 0);
	dispi(&v, 8, 150);
	dispi(&v, 9, 90);
	look(&v);
	CHECK_EQ(dot(&v, 550, 10), 0xabcdef);
	CHECK_EQ(dot(&v, 549, 10), 0);
	/* a write that nobody sees dirties nothing */
	bus_write(v.r.mmio, FRAME_AT, 4, 0xffffff);
	CHECK_EQ(changed(&v, &r, 1), 0);
	dispi(&v, 4, 0);			/* back to what the registers say */
	look(&v);
	CHECK_EQ(v.view.width, 640);
	CHECK_EQ(v.view.height, 480);
	vga_close(&v);
}

/* The guest's RAM behind the frame buffer: nobody tells us of writes. */
static void writes_that_are_not_seen(void **state)
{
	static uint8_t vram[1 << 20];
	struct disp_rect r[2];
	struct vga_rig v;

	(void)state;
	vga_open_conf(&v, (struct vga_conf){ .vram_len = sizeof(vram), .vram = vram });
	set_mode(&v, &mode_12);
	dispi(&v, 1, 320);
	dispi(&v, 2, 240);
	dispi(&v, 3, 32);
	dispi(&v, 4, 0x41);
	look(&v);
	CHECK_EQ(changed(&v, r, 2), 0);
	vram[(100 * 320 + 70) * 4 + 1] = 0xaa;
	CHECK_EQ(changed(&v, r, 2), 1);
	CHECK_EQ(r[0].x, 64);
	CHECK_EQ(r[0].y, 96);
	CHECK_EQ(dot(&v, 70, 100), 0x00aa00);
	CHECK_EQ(changed(&v, r, 2), 0);
	dispi(&v, 5, 1);		/* and through the window */
	poke8(&v, 0xa0000, 0x55);
	CHECK_EQ(changed(&v, r, 2), 1);
	CHECK_EQ(dot(&v, 65536 / 4 % 320, 65536 / 4 / 320), 0x55);
	vga_close(&v);
}

static void extended_planes(void **state)
{
	struct vga_rig v;

	(void)state;
	open_extended(&v, 800, 600, 4);
	out_pair(&v, 0x3ce, 5, 2);
	out_pair(&v, 0x3ce, 8, 0x10);		/* dot 3 of a byte */
	(void)peek8(&v, 0xa0000 + 599 * 100 + 99);
	poke8(&v, 0xa0000 + 599 * 100 + 99, 0x0b);
	look(&v);
	CHECK_EQ(v.view.width, 800);
	CHECK_EQ(v.view.height, 600);
	CHECK_EQ(dot(&v, 795, 599), entry_rgb(0x3b));
	CHECK_EQ(dot(&v, 794, 599), 0);
	vga_close(&v);
}

/* Offsets of a narrow picture do not outlive its becoming wide. */
static void offsets_stay_inside(void **state)
{
	struct vga_rig v;

	(void)state;
	open_extended(&v, 8, 1, 16);
	dispi(&v, 9, 32772);
	dispi(&v, 6, 0xfff8);
	assert_true(dispi_in(&v, 9) < dispi_in(&v, 7));
	dispi(&v, 8, 30);
	look(&v);
	dispi(&v, 6, 8);
	CHECK_EQ(dispi_in(&v, 8), 0);
	vga_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_drawn_from_the_font),
		cmocka_unit_test(the_cursor_blinks),
		cmocka_unit_test(attributes),
		cmocka_unit_test(panning_start_and_split),
		cmocka_unit_test(chain_4_doubles_its_pixels),
		cmocka_unit_test(mode_x),
		cmocka_unit_test(sixteen_colors),
		cmocka_unit_test(cga_memory),
		cmocka_unit_test(depths),
		cmocka_unit_test(virtual_picture_and_offsets),
		cmocka_unit_test(offsets_stay_inside),
		cmocka_unit_test(writes_that_are_not_seen),
		cmocka_unit_test(extended_planes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
