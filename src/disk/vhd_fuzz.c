/*
 * vhd_fuzz.c - a stranger's VHD: opened, read, written, flushed, trimmed
 *
 * The input patches a well-formed image in the structures that opening
 * believes, mends the checksums when it says so, and then drives whatever
 * opens with requests.  Its texts go through the readers of parents' names.
 *
 *	byte 0		1 differencing, 2 read-only, 4 mend checksums, 8 no tail, 16 fixed
 *	patches		u8 place (0xff ends them), u16 offset, u8 n, n bytes
 *	requests	u8 operation, u32 offset, u16 length
 *
 * Lock     none, one thread; the images are made once
 */
#include "disk/fake.h"
#include "disk/vhd.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_REQUESTS 64u
#define SIZE (16 * MIB)

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

static const struct guid parent_id = { "parent's own id" };

static struct fake *make_image(enum vhd_kind kind)
{
	const struct vhd_create conf = {
		.kind = kind, .size = SIZE, .block_size = kind == VHD_MAKE_FIXED ? 0 : 512 * 1024,
		.disk_id = kind == VHD_MAKE_DIFFERENCING ? (struct guid){ { 1 } } : parent_id,
	};
	const struct vhd_over over = {
		.size = SIZE, .id = parent_id, .absolute = "/a/parent.vhd", .relative = "./parent.vhd",
	};
	struct fake *f = fake_new();
	struct aio *a = fake_open(f, false, 0);

	if (kind == VHD_MAKE_DIFFERENCING)
		BUG_IF(vhd_format_over(a, &conf, &over, NULL) < 0);
	else
		BUG_IF(vhd_format(a, &conf, NULL) < 0);
	aio_close(a);
	return f;
}

static struct blk *open_fake(struct fake *f, unsigned flags, struct fake *parent)
{
	struct blk *on = NULL, *b = NULL;

	if (parent != NULL)
		BUG_IF(vhd_open_on(fake_open(parent, false, 1), "parent", DISK_READ_ONLY, NULL, &on,
				   NULL) < 0);
	if (vhd_open_on(fake_open(f, false, 1), "image", flags, on, &b, NULL) < 0)
		return NULL;
	/* A file of a few MiB each time. */
	CONTAINER_OF(b, struct vhd, blk)->grow_step = MIB;
	return b;
}

/* A few blocks in it, not only of zeros. */
static void fill(struct fake *f, struct fake *parent)
{
	static uint8_t buf[8192];
	struct blk *b = open_fake(f, 0, parent);

	BUG_IF(b == NULL);
	for (unsigned i = 0; i < 4; i++) {
		memset(buf, (int)i + 1, sizeof(buf));
		BUG_IF(blk_rw_wait(b, BLK_WRITE, i * 3 * MIB + 512, buf, sizeof(buf)) < 0);
	}
	blk_close(b);
}

static void patch(struct fake *f, struct input *in)
{
	while (in->n > 0) {
		const uint64_t places[] = {
			0, fake_size(f) - 512, 512, 512 + 576,	/* footers, header, locators */
			0x600, 0x1000, 0x2000, 0x3000,		/* tables and names */
			0x1e00, 0x13e00,			/* a first bitmap */
		};
		uint32_t place = take(in, 1), off, n;
		uint8_t bytes[255];

		if (place == 0xff)
			return;
		off = take(in, 2);
		n = take(in, 1);
		for (uint32_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)take(in, 1);
		fake_put(f, places[place % ARRAY_LEN(places)] + off % 1024, bytes, n);
	}
}

static void mend(struct fake *f, uint64_t off, size_t len, size_t at)
{
	uint8_t buf[1024];

	fake_get(f, off, buf, len);
	stbe32(buf + at, vhd_checksum(buf, len, at));
	fake_put(f, off, buf, len);
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

/* Information, and every name of the parent; nothing is looked for in the host's files. */
static void inspect(struct fake *f)
{
	struct disk_info info;

	if (vhd_inspect(fake_open(f, false, 1), "image", &info, NULL) == 0)
		BUG_IF(strlen(info.parent) >= sizeof(info.parent));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *images[3];
	struct input in = { data, size };
	unsigned how = take(&in, 1);
	enum vhd_kind kind = how & 1 ? VHD_MAKE_DIFFERENCING : how & 16 ? VHD_MAKE_FIXED :
			     VHD_MAKE_DYNAMIC;
	struct fake *f;
	struct blk *b;

	if (images[0] == NULL) {
		images[VHD_MAKE_DYNAMIC] = make_image(VHD_MAKE_DYNAMIC);
		fill(images[VHD_MAKE_DYNAMIC], NULL);
		images[VHD_MAKE_FIXED] = make_image(VHD_MAKE_FIXED);
		images[VHD_MAKE_DIFFERENCING] = make_image(VHD_MAKE_DIFFERENCING);
		fill(images[VHD_MAKE_DIFFERENCING], images[VHD_MAKE_DYNAMIC]);
	}
	f = fake_clone(images[kind]);
	patch(f, &in);
	if (how & 4) {
		mend(f, 0, 512, offsetof(struct vhd_footer, checksum));
		mend(f, fake_size(f) - 512, 512, offsetof(struct vhd_footer, checksum));
		mend(f, 512, 1024, offsetof(struct vhd_header, checksum));
	}
	if (how & 8)
		fake_resize(f, fake_size(f) - 512);
	inspect(f);
	b = open_fake(f, how & 2 ? DISK_READ_ONLY : 0,
		      kind == VHD_MAKE_DIFFERENCING ? images[VHD_MAKE_DYNAMIC] : NULL);
	if (b != NULL) {
		drive(b, &in);
		blk_close(b);
	}
	fake_free(f);
	return 0;
}
