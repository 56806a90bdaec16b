#include "base/test.h"
#include "dev/disp.c"

struct painter {
	uint32_t w, h, color;
	uint32_t x, y, n;	/* a dash of the color */
	unsigned calls, alls;
};

static void paint(void *self, struct disp *d, bool all)
{
	struct painter *p = self;
	uint32_t px[200];

	p->calls++;
	p->alls += all;
	disp_size(d, p->w, p->h);
	for (uint32_t i = 0; i < ARRAY_LEN(px); i++)
		px[i] = p->color;
	disp_line(d, p->x, p->y, px, p->n);
}

static void test_dirty_is_what_changed_since_the_viewer_looked(void **state)
{
	struct painter p = { .w = 320, .h = 200, .color = 0xff0000, .x = 70, .y = 17, .n = 3 };
	const struct disp_adapter a = { paint, &p };
	struct disp_rect r[4];
	struct disp_view v;
	struct disp *d = NULL;
	uint64_t seen;

	(void)state;
	CHECK_EQ(disp_new(&d), 0);
	CHECK_EQ(disp_attach(d, &a), 0);
	disp_open(d, &v);
	CHECK_EQ(v.width, 320);
	CHECK_EQ(disp_changed(d, 0, r, 4), 1);
	CHECK_EQ(r[0].w, 320);
	CHECK_EQ(r[0].h, 200);
	CHECK_EQ(v.pixels[17 * v.stride + 72], 0xff0000);
	CHECK_EQ(v.pixels[17 * v.stride + 73], 0);
	seen = v.seq;
	disp_close(d);

	disp_open(d, &v);	/* the same dash again is no change */
	CHECK_EQ(disp_changed(d, seen, r, 4), 0);
	disp_close(d);

	p.x = 60;		/* over the edge of two tiles, and three beyond the picture */
	p.n = 10;
	disp_open(d, &v);
	CHECK_EQ(disp_changed(d, seen, r, 4), 1);
	CHECK_EQ(r[0].x, 0);
	CHECK_EQ(r[0].y, 16);
	CHECK_EQ(r[0].w, 128);
	CHECK_EQ(r[0].h, 16);
	disp_close(d);
	CHECK_EQ(p.calls, 3);
	CHECK_EQ(p.alls, 1);
	disp_free(d);
}

static void test_size_and_edges(void **state)
{
	struct painter p = { .w = 0, .h = 100000, .color = 1, .x = 0, .y = 0, .n = 200 };
	const struct disp_adapter a = { paint, &p };
	struct disp_rect r[1];
	struct disp_view v;
	struct disp *d = NULL;

	(void)state;
	CHECK_EQ(disp_new(&d), 0);
	disp_open(d, &v);	/* nobody paints */
	CHECK_EQ(v.width, 640);
	disp_close(d);
	CHECK_EQ(disp_attach(d, &a), 0);
	disp_open(d, &v);
	CHECK_EQ(v.width, 1);
	CHECK_EQ(v.height, DISP_MAX_HEIGHT);
	CHECK_EQ(v.pixels[0], 1);
	CHECK_EQ(v.pixels[1], 0);
	disp_close(d);
	p.w = 70;
	p.h = 20;
	p.y = 20;
	disp_open(d, &v);
	CHECK_EQ(disp_changed(d, v.seq - 1, r, 1), 1);	/* a new size is all new */
	CHECK_EQ(r[0].w, 70);
	CHECK_EQ(v.pixels[0], 0);
	disp_close(d);
	disp_detach(d, &a);
	disp_open(d, &v);
	CHECK_EQ(v.width, 640);
	disp_close(d);
	CHECK_EQ(p.calls, 2);
	disp_free(d);
}

static void test_many_spots_become_one_rectangle(void **state)
{
	struct disp_rect r[3];
	struct disp_view v;
	struct disp *d = NULL;

	(void)state;
	CHECK_EQ(disp_new(&d), 0);
	disp_open(d, &v);
	disp_close(d);
	disp_open(d, &v);
	for (uint32_t y = 0; y < 4; y++)	/* a checkerboard of tiles */
		for (uint32_t x = y % 2; x < 6; x += 2)
			disp_line(d, x * DISP_TILE_W, y * DISP_TILE_H + 3,
				  &(uint32_t){ 0x123456 }, 1);
	CHECK_EQ(disp_changed(d, v.seq - 1, r, 3), 1);
	CHECK_EQ(r[0].x, 0);
	CHECK_EQ(r[0].w, 6 * DISP_TILE_W);
	CHECK_EQ(r[0].h, 4 * DISP_TILE_H);
	disp_close(d);
	disp_open(d, &v);
	for (uint32_t y = 0; y < 3; y++)	/* a column is one */
		disp_line(d, 0, y * DISP_TILE_H, &(uint32_t){ 0xabcdef }, 1);
	CHECK_EQ(disp_changed(d, v.seq - 1, r, 3), 1);
	CHECK_EQ(r[0].w, DISP_TILE_W);
	CHECK_EQ(r[0].h, 3 * DISP_TILE_H);
	disp_close(d);
	disp_free(d);
}

static void test_the_last_adapter_paints(void **state)
{
	struct painter p = { .w = 100, .h = 100 }, q = { .w = 200, .h = 200 };
	const struct disp_adapter a = { paint, &p }, b = { paint, &q };
	struct disp_view v;
	struct disp *d = NULL;

	(void)state;
	CHECK_EQ(disp_new(&d), 0);
	CHECK_EQ(disp_attach(d, &a), 0);
	CHECK_EQ(disp_attach(d, &b), 0);
	disp_open(d, &v);
	CHECK_EQ(v.width, 200);
	disp_close(d);
	disp_detach(d, &b);
	disp_open(d, &v);
	CHECK_EQ(v.width, 100);
	disp_close(d);
	CHECK_EQ(p.alls, 1);
	for (unsigned i = 1; i < DISP_MAX_ADAPTERS; i++)
		CHECK_EQ(disp_attach(d, &b), 0);
	CHECK_EQ(disp_attach(d, &b), -ENOSPC);
	disp_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dirty_is_what_changed_since_the_viewer_looked),
		cmocka_unit_test(test_size_and_edges),
		cmocka_unit_test(test_many_spots_become_one_rectangle),
		cmocka_unit_test(test_the_last_adapter_paints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
