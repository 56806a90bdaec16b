/*
 * vhdx_fuzz.c - a stranger's VHDX: opened, read, written, flushed, trimmed
 *
 * The input patches a well-formed image (clean, or with a log to replay) in
 * the structures that opening believes, mends the checksums when it says so,
 * and then drives whatever opens with requests.
 *
 *	byte 0		1 the dirty image, 2 read-only, 4 mend checksums, 8 a child of the clean one
 *	patches		u8 place (0xff ends them), u16 offset, u8 n, n bytes
 *	requests	u8 operation, u32 offset, u16 length
 *
 * Lock     none, one thread; the two images are made once
 */
#include "disk/disk_priv.h"
#include "disk/fake.h"
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_REQUESTS 64u

struct input {
	const uint8_t *p;
	size_t n;
};

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < bytes && in->n > 0; i++, in->p++, in->n--)
		v |= (uint32_t)*in->p << 8 * i;
	return v;
}

static struct blk *open_fake(struct fake *f, unsigned flags, struct fake *parent)
{
	struct blk *on = NULL, *b = NULL;

	if (parent != NULL)
		on = open_fake(parent, DISK_READ_ONLY, NULL);
	if (vhdx_open_on(fake_open(f, false, 1), "image", flags, on, &b, NULL) < 0)
		return NULL;
	return b;
}

static const struct vhdx_create conf = {
	.size = 16 * MIB, .block_size = MIB, .logical = 512, .physical = 4096,
};

/* A child of PARENT with a few sectors of its own. */
static struct fake *make_child(struct fake *parent)
{
	static uint8_t buf[8192];
	struct blk *b = open_fake(parent, DISK_READ_ONLY, NULL);
	const struct vhdx_over over = {
		.size = b->size, .logical = b->logical, .absolute = "/p", .relative = "./p",
		.data_write = CONTAINER_OF(b, struct vhdx, blk)->hdr.data_write,
	};
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	blk_close(b);
	BUG_IF(vhdx_format_over(a, &conf, &over, NULL) < 0);
	aio_close(a);
	b = open_fake(f, 0, parent);
	BUG_IF(b == NULL);
	BUG_IF(blk_rw_wait(b, BLK_WRITE, 3 * MIB + 512, buf, sizeof(buf)) < 0);
	BUG_IF(blk_rw_wait(b, BLK_WRITE, 4 * MIB + 512, buf, sizeof(buf)) < 0);
	blk_close(b);
	return f;
}

static struct fake *make_image(bool dirty)
{
	static uint8_t buf[8192];
	struct fake *f = fake_new(), *copy;
	struct aio *a = fake_open(f, false, 0);
	struct blk *b;

	BUG_IF(vhdx_format(a, &conf, NULL) < 0);
	aio_close(a);
	b = open_fake(f, 0, NULL);
	BUG_IF(b == NULL);
	for (unsigned i = 0; i < 4; i++) {
		memset(buf, (int)i + 1, sizeof(buf));
		BUG_IF(blk_rw_wait(b, BLK_WRITE, i * 3 * MIB, buf, sizeof(buf)) < 0);
	}
	BUG_IF(blk_rw_wait(b, BLK_FLUSH, 0, NULL, 0) < 0);
	copy = dirty ? fake_clone(f) : NULL;
	blk_close(b);
	if (!dirty)
		return f;
	fake_free(f);
	return copy;
}

static void patch(struct fake *f, struct input *in)
{
	static const uint32_t places[] = {
		VHDX_HEADER_1, VHDX_HEADER_2, VHDX_REGIONS_1, VHDX_REGIONS_2,
		MIB, MIB + 4096, MIB + 8192, MIB + 12288,	/* log */
		2 * MIB, 2 * MIB + VHDX_ITEMS_OFF,		/* metadata: table, items */
		3 * MIB, 3 * MIB + 4096,			/* BAT */
		0,
		2 * MIB + VHDX_ITEMS_OFF + 0x28,		/* parent locator */
		3 * MIB + 65536, 4 * MIB, 5 * MIB,		/* bits: their entry, and they */
	};

	while (in->n > 0) {
		uint32_t place = take(in, 1), off, n;
		uint8_t bytes[255];

		if (place == 0xff)
			return;
		off = take(in, 2);
		n = take(in, 1);
		for (uint32_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)take(in, 1);
		fake_put(f, places[place % ARRAY_LEN(places)] + off % 4096, bytes, n);
	}
}

static void mend(struct fake *f, uint64_t off, size_t len)
{
	static uint8_t buf[VHDX_REGION_TABLE_LEN];

	fake_get(f, off, buf, len);
	vhdx_seal(buf, len, 4);
	fake_put(f, off, buf, len);
}

/* Log entries: as long as each says it is, within reason. */
static void mend_log(struct fake *f)
{
	for (uint64_t at = MIB; at < MIB + 4 * 4096; at += 4096) {
		uint8_t head[12];
		uint32_t len;

		fake_get(f, at, head, sizeof(head));
		len = ld32(head + 8);
		if (memcmp(head, "loge", 4) == 0 && len >= 64 && len <= VHDX_REGION_TABLE_LEN)
			mend(f, at, len);
	}
}

static void drive(struct blk *b, struct input *in)
{
	static const enum blk_op ops[] = { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_UNMAP,
					   BLK_WRITE_ZEROES };
	static uint8_t buf[65536];

	for (unsigned i = 0; i < MAX_REQUESTS && in->n > 0; i++) {
		enum blk_op op = ops[take(in, 1) % ARRAY_LEN(ops)];
		uint64_t off = (uint64_t)take(in, 4) * 512 % (b->size + 4096);
		uint64_t len = (take(in, 2) & 0xfe00) % sizeof(buf);

		/* A refusal is an answer too; what may not happen the sanitizers see. */
		if (blk_rw_wait(b, op, op == BLK_FLUSH ? 0 : off, buf, op == BLK_FLUSH ? 0 : len) <
		    0)
			continue;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *images[3];
	struct input in = { data, size };
	unsigned how = take(&in, 1);
	bool child = how & 8;
	struct disk_info info;
	struct fake *f;
	struct blk *b;

	for (unsigned i = 0; i < 3; i++)
		if (images[i] == NULL)
			images[i] = i == 2 ? make_child(images[0]) : make_image(i == 1);
	f = fake_clone(images[child ? 2 : how & 1]);
	patch(f, &in);
	if (how & 4) {
		mend_log(f);
		mend(f, VHDX_HEADER_1, sizeof(struct vhdx_header));
		mend(f, VHDX_HEADER_2, sizeof(struct vhdx_header));
		mend(f, VHDX_REGIONS_1, VHDX_REGION_TABLE_LEN);
		mend(f, VHDX_REGIONS_2, VHDX_REGION_TABLE_LEN);
	}
	if (vhdx_inspect(fake_open(f, false, 1), "image", &info, NULL) == 0)
		BUG_IF(strlen(info.parent) >= sizeof(info.parent));
	b = open_fake(f, how & 2 ? DISK_READ_ONLY : 0, child ? images[0] : NULL);
	if (b != NULL) {
		drive(b, &in);
		blk_close(b);
	}
	fake_free(f);
	return 0;
}
