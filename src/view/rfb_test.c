/*
 * rfb_test.c - a viewer of our own making against a session
 *
 * The decoder here is written from the specification and shares nothing with
 * the encoder.
 */
#include "base/test.h"
#include "view/rfb_priv.h"

#include "base/le.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_W = 300, MAX_H = 200 };

struct bench {
	struct disp *disp;
	struct input *input;
	struct input_sink sink;
	struct disp_adapter adapter;
	struct rfb_conf conf;
	struct rfb s;
	/* what is on the machine's screen */
	uint32_t w, h, px[MAX_H][MAX_W];
	/* what the viewer thinks is */
	uint32_t vw, vh, seen[MAX_H][MAX_W];
	uint8_t *in;
	size_t in_n, in_at;
	z_stream z;
	uint32_t copied;		/* lines that the viewer had to move itself */
	/* what the machine was told */
	unsigned keys[64], nr_keys;
	struct input_motion motion;
};

static void paint(void *self, struct disp *d, bool all)
{
	struct bench *b = self;

	(void)all;
	disp_size(d, b->w, b->h);
	for (uint32_t y = 0; y < b->h; y++)
		disp_line(d, 0, y, b->px[y], b->w);
}

static void on_key(void *self, unsigned key, bool down)
{
	struct bench *b = self;

	if (b->nr_keys < ARRAY_LEN(b->keys))
		b->keys[b->nr_keys++] = key | (down ? 0x10000 : 0);
}

static void on_pointer(void *self, const struct input_motion *m)
{
	((struct bench *)self)->motion = *m;
}

static struct bench *bench_new(const char *password)
{
	struct bench *b = new0(struct bench);

	BUG_IF(b == NULL || disp_new(&b->disp) < 0 || input_new(&b->input) < 0);
	b->w = 200;
	b->h = 130;
	b->adapter = (struct disp_adapter){ paint, b };
	b->sink = (struct input_sink){ on_key, NULL, on_pointer, b };
	BUG_IF(disp_attach(b->disp, &b->adapter) < 0 || input_attach(b->input, &b->sink) < 0);
	BUG_IF(inflateInit(&b->z) != Z_OK);
	b->conf = (struct rfb_conf){ b->disp, b->input, "a machine", password };
	rfb_open(&b->s, &b->conf);
	return b;
}

static void bench_free(struct bench *b)
{
	rfb_close(&b->s);
	inflateEnd(&b->z);
	disp_free(b->disp);
	input_free(b->input);
	free(b->in);
	free(b);
}

/* All that the session has to say, as the viewer's input. */
static void listen_all(struct bench *b)
{
	const uint8_t *p;
	size_t n = rfb_pending(&b->s, &p);

	free(b->in);
	b->in = malloc(n + 1);
	BUG_IF(b->in == NULL);
	if (n > 0)
		memcpy(b->in, p, n);
	b->in_n = n;
	b->in_at = 0;
	rfb_sent(&b->s, n);
}

static const uint8_t *get(struct bench *b, size_t n)
{
	const uint8_t *p = b->in + b->in_at;

	CHECK(n <= b->in_n - b->in_at);
	b->in_at += n;
	return p;
}

static uint32_t get_be(struct bench *b, unsigned n)
{
	const uint8_t *p = get(b, n);
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

static void say(struct bench *b, const void *buf, size_t n)
{
	rfb_input(&b->s, buf, n);
}

static void enter(struct bench *b)
{
	listen_all(b);
	CHECK_MEM(get(b, 12), "RFB 003.008\n", 12);
	say(b, "RFB 003.008\n", 12);
	listen_all(b);
	CHECK_EQ(get_be(b, 1), 1);
	CHECK_EQ(get_be(b, 1), 1);
	say(b, "\1", 1);
	say(b, "\0", 1);
	listen_all(b);
	CHECK_EQ(get_be(b, 4), 0);
	b->vw = get_be(b, 2);
	b->vh = get_be(b, 2);
	CHECK_MEM(get(b, 16), "\x20\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0", 16);
	CHECK_EQ(get_be(b, 4), 9);
	CHECK_MEM(get(b, 9), "a machine", 9);
	CHECK_EQ(b->in_at, b->in_n);
}

static void ask(struct bench *b, bool incremental)
{
	uint8_t m[10] = { 3, incremental, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };

	say(b, m, sizeof(m));
}

static void encodings(struct bench *b, unsigned n, const int32_t *e)
{
	uint8_t m[4] = { 2, 0, 0, (uint8_t)n };

	say(b, m, sizeof(m));
	for (unsigned i = 0; i < n; i++) {
		be32 v = be32_of((uint32_t)e[i]);

		say(b, v.b, 4);
	}
}

/* ---- the viewer's decoder: pixels of 32 bits, little-endian, 00RRGGBB ----------- */

static void read_raw(struct bench *b, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	for (uint32_t j = 0; j < h; j++)
		for (uint32_t i = 0; i < w; i++)
			b->seen[y + j][x + i] = ld32(get(b, 4));
}

static uint32_t cpixel(const uint8_t **p)
{
	uint32_t v = (uint32_t)((*p)[0] | (*p)[1] << 8 | (*p)[2] << 16);

	*p += 3;
	return v;
}

static const uint8_t *read_tile(struct bench *b, const uint8_t *p, uint32_t x, uint32_t y,
				uint32_t w, uint32_t h)
{
	uint32_t palette[127] = { 0 }, n = 0;
	uint8_t type = *p++;

	CHECK(type <= 16 || type == 128);
	for (unsigned i = 0; i < type && type <= 16; i++)
		palette[i] = cpixel(&p);
	for (uint32_t j = 0; j < h; j++) {
		unsigned bits = type == 2 ? 1 : type <= 4 ? 2 : 4, have = 0, byte = 0;
		static uint32_t run, color;

		if (j == 0)
			run = 0;
		for (uint32_t i = 0; i < w; i++, n++) {
			uint32_t v;

			if (type == 0) {
				v = cpixel(&p);
			} else if (type == 1) {
				v = palette[0];
			} else if (type == 128) {
				if (run == 0) {
					color = cpixel(&p);
					do
						run += *p;
					while (*p++ == 255);
					run++;
				}
				run--;
				v = color;
			} else {
				if (have == 0) {
					byte = *p++;
					have = 8;
				}
				have -= bits;
				v = palette[byte >> have & ((1u << bits) - 1)];
			}
			b->seen[y + j][x + i] = v;
		}
	}
	CHECK_EQ(n, w * h);
	return p;
}

static void read_zrle(struct bench *b, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	static uint8_t plain[MAX_W * MAX_H * 4];
	uint32_t n = get_be(b, 4);
	const uint8_t *p = plain;

	b->z.next_in = (Bytef *)(uintptr_t)get(b, n);
	b->z.avail_in = n;
	b->z.next_out = plain;
	b->z.avail_out = sizeof(plain);
	CHECK_EQ(inflate(&b->z, Z_SYNC_FLUSH), Z_OK);
	CHECK_EQ(b->z.avail_in, 0);
	for (uint32_t j = 0; j < h; j += 64)
		for (uint32_t i = 0; i < w; i += 64)
			p = read_tile(b, p, x + i, y + j, w - i < 64 ? w - i : 64,
				      h - j < 64 ? h - j : 64);
	CHECK_EQ(p - plain, sizeof(plain) - b->z.avail_out);
}

static uint32_t read_copy(struct bench *b, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	static uint32_t old[MAX_H][MAX_W];
	uint32_t from_x = get_be(b, 2), from_y = get_be(b, 2);

	CHECK(from_x + w <= b->vw && from_y + h <= b->vh);
	memcpy(old, b->seen, sizeof(old));
	for (uint32_t j = 0; j < h; j++)
		memcpy(&b->seen[y + j][x], &old[from_y + j][from_x], w * sizeof(uint32_t));
	return h;
}

/* Reads an update; how many rectangles it had, 0: none came. */
static unsigned update(struct bench *b, int32_t *ret_last)
{
	unsigned nr;

	rfb_update(&b->s);
	listen_all(b);
	if (b->in_n == 0)
		return 0;
	CHECK_EQ(get_be(b, 1), 0);
	get(b, 1);
	nr = get_be(b, 2);
	for (unsigned i = 0; i < nr; i++) {
		uint32_t x = get_be(b, 2), y = get_be(b, 2), w = get_be(b, 2), h = get_be(b, 2);

		*ret_last = (int32_t)get_be(b, 4);
		if (*ret_last == ENC_DESKTOP_SIZE) {
			b->vw = w;
			b->vh = h;
			continue;
		}
		CHECK(x + w <= b->vw && y + h <= b->vh);
		if (*ret_last == ENC_RAW)
			read_raw(b, x, y, w, h);
		else if (*ret_last == ENC_ZRLE)
			read_zrle(b, x, y, w, h);
		else if (*ret_last == ENC_COPY)
			b->copied += read_copy(b, x, y, w, h);
		else
			CHECK_EQ(*ret_last, ENC_QEMU_KEYS);
	}
	CHECK_EQ(b->in_at, b->in_n);
	return nr;
}

static void same(const struct bench *b)
{
	for (uint32_t y = 0; y < b->vh; y++)
		for (uint32_t x = 0; x < b->vw; x++)
			CHECK_EQ(b->seen[y][x],
				 y < b->h && x < b->w ? b->px[y][x] & 0xffffff : 0);
}

/* Every kind of tile: one color, few, many, long runs, noise. */
static void draw(struct bench *b, uint32_t seed)
{
	for (uint32_t y = 0; y < b->h; y++)
		for (uint32_t x = 0; x < b->w; x++)
			switch ((x / 64 + y / 64 * 4 + seed) % 6) {
			case 0:
				b->px[y][x] = 0x102030 + seed;
				break;
			case 1:
				b->px[y][x] = (x ^ y) & 1 ? 0xffffff : seed;
				break;
			case 2:
				b->px[y][x] = (x + y) % 3 * 0x500000;
				break;
			case 3:
				b->px[y][x] = (x * 7 + y) % 15 * 0x111111;
				break;
			case 4:
				b->px[y][x] = y * 0x010203;
				break;
			case 5:
				b->px[y][x] = (x * 0x9e3779b1u ^ y * 0x85ebca6bu) >> 8;
				break;
			}
}

/* ---- tests ---------------------------------------------------------------------- */

static void pictures_arrive(void **state)
{
	static const int32_t list[2][2] = { { ENC_RAW, ENC_ZRLE }, { ENC_ZRLE, ENC_RAW } };

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct bench *b = bench_new(NULL);
		int32_t last = 0;

		draw(b, 0);
		enter(b);
		CHECK_EQ(b->vw, 200);
		encodings(b, 2, list[way]);
		CHECK_EQ(update(b, &last), 0);		/* nobody asked */
		for (uint32_t seed = 0; seed < 6; seed++) {
			draw(b, seed);
			ask(b, seed > 0);
			CHECK(update(b, &last) > 0);
			CHECK_EQ(last, list[way][0]);
			same(b);
		}
		ask(b, true);
		CHECK_EQ(update(b, &last), 0);		/* nothing is new... */
		b->px[100][150] ^= 0x808080;
		CHECK_EQ(update(b, &last), 1);		/* ...until it is */
		same(b);
		encodings(b, 0, NULL);			/* all taken back: Raw is what is left */
		ask(b, false);
		CHECK(update(b, &last) > 0);
		CHECK_EQ(last, ENC_RAW);
		same(b);
		bench_free(b);
	}
}

static void a_slow_viewer_gets_the_latest(void **state)
{
	struct bench *b = bench_new(NULL);
	int32_t last = 0;
	const uint8_t *p;
	size_t n;

	(void)state;
	enter(b);
	ask(b, false);
	rfb_update(&b->s);
	n = rfb_pending(&b->s, &p);
	CHECK(n > 200 * 130 * 4);
	for (unsigned i = 0; i < 100; i++) {	/* it reads none of it, and asks on */
		b->px[1][1]++;
		ask(b, true);
		CHECK(!rfb_asks(&b->s));
		rfb_update(&b->s);
		CHECK_EQ(rfb_pending(&b->s, &p), n);
	}
	listen_all(b);
	b->px[2][2] = 0x123456;
	CHECK_EQ(update(b, &last), 1);
	CHECK_EQ(b->seen[2][2], 0x123456);
	CHECK_EQ(b->seen[1][1], 100);
	bench_free(b);
}

static void sizes_change(void **state)
{
	static const int32_t knows[] = { ENC_ZRLE, ENC_DESKTOP_SIZE };

	(void)state;
	for (unsigned can = 0; can < 2; can++) {
		struct bench *b = bench_new(NULL);
		int32_t last = 0;

		draw(b, 1);
		enter(b);
		encodings(b, 1 + can, knows);
		ask(b, false);
		CHECK(update(b, &last) > 0);
		same(b);
		b->w = 300;
		b->h = 60;
		draw(b, 2);
		ask(b, true);
		CHECK_EQ(update(b, &last), 1);
		if (can) {
			CHECK_EQ(last, ENC_DESKTOP_SIZE);
			CHECK_EQ(b->vw, 300);
			CHECK_EQ(b->vh, 60);
			ask(b, true);
			CHECK_EQ(update(b, &last), 1);
		}
		CHECK_EQ(last, ENC_ZRLE);
		same(b);		/* cut off and black around it, if it cannot */
		bench_free(b);
	}
}

/* A console: lines of text go up, and once down; the last ones are new. */
static void what_moves_is_moved_by_the_viewer(void **state)
{
	static const int32_t list[] = { ENC_COPY, ENC_ZRLE };
	static const int by[] = { 16, 16, 48, -16, 1 };
	struct bench *b = bench_new(NULL);
	int32_t last = 0;
	uint32_t fresh = 1;

	(void)state;
	for (uint32_t y = 0; y < b->h; y++)
		for (uint32_t x = 0; x < b->w; x++)
			b->px[y][x] = y % 16 < 12 ? (y * 977 + x / 3) * 0x010101 & 0xffffff : 0;
	enter(b);
	encodings(b, 2, list);
	ask(b, false);
	CHECK(update(b, &last) > 0);
	same(b);
	CHECK_EQ(b->copied, 0);
	for (unsigned i = 0; i < ARRAY_LEN(by); i++) {
		static uint32_t old[MAX_H][MAX_W];

		memcpy(old, b->px, sizeof(old));
		for (int y = 0; y < (int)b->h; y++)
			for (uint32_t x = 0; x < b->w; x++)
				b->px[y][x] = y + by[i] >= 0 && y + by[i] < (int)b->h ?
					      old[y + by[i]][x] : ++fresh;
		b->copied = 0;
		ask(b, true);
		CHECK(update(b, &last) > 0);
		same(b);
		CHECK_EQ(b->copied, b->h - (uint32_t)abs(by[i]));
	}
	/* another picture is not moved, nor is what is asked for anew */
	draw(b, 4);
	b->copied = 0;
	ask(b, true);
	CHECK(update(b, &last) > 0);
	same(b);
	memset(b->seen, 0, sizeof(b->seen));
	memmove(b->px[0], b->px[20], 100 * sizeof(b->px[0]));
	ask(b, false);
	CHECK(update(b, &last) > 0);
	same(b);
	CHECK_EQ(b->copied, 0);
	bench_free(b);
}

/* 16 bits, big-endian, 565: the protocol's own example of another format. */
static void other_formats(void **state)
{
	static const uint8_t m565[20] = { 0, 0, 0, 0, 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 };
	static const uint8_t m233[20] = { 0, 0, 0, 0, 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6 };
	struct bench *b = bench_new(NULL);
	uint8_t m[20];

	(void)state;
	enter(b);
	b->px[0][0] = 0xff0000;
	b->px[0][1] = 0x00ff00;
	b->px[0][2] = 0x808080;
	say(b, m565, sizeof(m565));
	ask(b, false);
	rfb_update(&b->s);
	listen_all(b);
	get(b, 16);
	CHECK_EQ(get_be(b, 2), 0xf800);
	CHECK_EQ(get_be(b, 2), 0x07e0);
	CHECK_EQ(get_be(b, 2), 0x8410);
	say(b, m233, sizeof(m233));
	ask(b, false);
	rfb_update(&b->s);
	listen_all(b);
	get(b, 16);
	CHECK_EQ(get_be(b, 1), 0x07);
	CHECK_EQ(get_be(b, 1), 0x38);
	CHECK_EQ(get_be(b, 1), 0xa4);		/* 4, 4, 2 */
	CHECK(!b->s.over);
	memcpy(m, m565, sizeof(m));
	m[4] = 24;
	say(b, m, sizeof(m));
	CHECK(b->s.over);
	bench_free(b);
}

static void passwords(void **state)
{
	uint8_t answer[16], wrong[16];
	struct bench *b = bench_new("secret12");

	(void)state;
	listen_all(b);
	say(b, "RFB 003.008\n", 12);
	listen_all(b);
	CHECK_EQ(get_be(b, 2), 0x0102);
	say(b, "\2", 1);
	listen_all(b);
	CHECK_EQ(rfb_respond("secret12 and more", get(b, 16), answer), 0);
	say(b, answer, 16);
	listen_all(b);
	CHECK_EQ(get_be(b, 4), 0);
	say(b, "\1", 1);
	listen_all(b);
	CHECK_EQ(get_be(b, 2), 200);
	bench_free(b);

	b = bench_new("secret12");
	say(b, "RFB 003.003\n", 12);	/* 3.3 is told */
	listen_all(b);
	get(b, 12);
	CHECK_EQ(get_be(b, 4), 2);
	CHECK_EQ(rfb_respond("secret13", get(b, 16), wrong), 0);
	say(b, wrong, 16);
	CHECK(b->s.over && b->s.denied);
	listen_all(b);
	CHECK_EQ(get_be(b, 4), 1);
	CHECK_EQ(b->in_at, b->in_n);
	bench_free(b);

	b = bench_new("secret12");
	say(b, "RFB 003.889\n", 12);
	say(b, "\1", 1);		/* "none" was not offered */
	CHECK(b->s.over);
	bench_free(b);
}

static void des_is_des(void **state)
{
	/*
	 * FIPS 81's example: key 0123456789abcdef, "Now is t" gives 3fa40e8a984d4815.
	 * The key's bytes turned around are the password.
	 */
	static const char password[] = "\x80\xc4\xa2\xe6\x91\xd5\xb3\xf7";
	uint8_t r[16];

	(void)state;
	CHECK_EQ(rfb_respond(password, (const uint8_t *)"Now is tNow is t", r), 0);
	CHECK_MEM(r, "\x3f\xa4\x0e\x8a\x98\x4d\x48\x15\x3f\xa4\x0e\x8a\x98\x4d\x48\x15", 16);
}

static void keys_and_pointer(void **state)
{
	static const int32_t qemu[] = { ENC_QEMU_KEYS };
	struct bench *b = bench_new(NULL);
	int32_t last = 0;

	(void)state;
	enter(b);
	say(b, "\4\1\0\0\0\0\0A", 8);		/* A, without Shift */
	say(b, "\4\0\0\0\0\0\0A", 8);
	CHECK_EQ(b->nr_keys, 4);
	CHECK_EQ(b->keys[0], 0x1002a);
	CHECK_EQ(b->keys[1], 0x1001e);
	CHECK_EQ(b->keys[2], 0x2a);
	CHECK_EQ(b->keys[3], 0x1e);
	say(b, "\4\1\0\0\0\0\xff\xe2", 8);	/* with the right one */
	say(b, "\4\1\0\0\0\0\0A", 8);
	CHECK_EQ(b->nr_keys, 6);
	CHECK_EQ(b->keys[5], 0x1001e);
	encodings(b, 1, qemu);
	ask(b, true);
	CHECK_EQ(update(b, &last), 2);
	ask(b, true);
	CHECK_EQ(update(b, &last), 0);		/* told once */
	say(b, "\xff\0\0\1\0\0\0\0\0\0\0\x9d", 12);	/* right Ctrl by its code */
	CHECK_EQ(b->keys[6], 0x1e01d);
	say(b, "\5\1\0\x63\0\x40", 6);
	CHECK_EQ(b->motion.x, 99 * 32767 / 199);
	CHECK_EQ(b->motion.dx, 99);
	CHECK_EQ(b->motion.dy, 64);
	CHECK_EQ(b->motion.buttons, INPUT_LEFT);
	say(b, "\5\x0d\0\x64\xff\xff", 6);	/* past the edge; right too; the wheel */
	CHECK_EQ(b->motion.dx, 1);
	CHECK_EQ(b->motion.y, 32767);
	CHECK_EQ(b->motion.dy, 65);
	CHECK_EQ(b->motion.buttons, INPUT_LEFT | INPUT_RIGHT);
	CHECK_EQ(b->motion.wheel, 1);
	say(b, "\5\x0d\0\x64\xff\xff", 6);
	CHECK_EQ(b->motion.wheel, 0);
	b->nr_keys = 0;
	rfb_close(&b->s);		/* it goes: A, Shift and Ctrl come up, and the buttons */
	CHECK_EQ(b->nr_keys, 3);
	CHECK_EQ(b->motion.buttons, 0);
	bench_free(b);
}

static void nonsense_ends_it(void **state)
{
	struct bench *b = bench_new(NULL);

	(void)state;
	say(b, "GET / HTTP/1.1\r\n", 16);
	CHECK(b->s.over);
	bench_free(b);
	b = bench_new(NULL);
	enter(b);
	say(b, "\6\0\0\0\x7f\xff\xff\xff", 8);	/* a text of 2 GiB: skipped as it comes */
	for (unsigned i = 0; i < 100; i++)
		say(b, "\x09\x09\x09\x09\x09\x09\x09", 7);
	CHECK(!b->s.over);
	CHECK_EQ(b->s.skip, 0x7fffffff - 700);
	bench_free(b);
	b = bench_new(NULL);
	enter(b);
	say(b, "\x2a", 1);
	CHECK(b->s.over);
	say(b, "\4\1\0\0\0\0\0A", 8);
	CHECK_EQ(b->nr_keys, 0);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_arrive),
		cmocka_unit_test(a_slow_viewer_gets_the_latest),
		cmocka_unit_test(sizes_change),
		cmocka_unit_test(what_moves_is_moved_by_the_viewer),
		cmocka_unit_test(other_formats),
		cmocka_unit_test(passwords),
		cmocka_unit_test(des_is_des),
		cmocka_unit_test(keys_and_pointer),
		cmocka_unit_test(nonsense_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
