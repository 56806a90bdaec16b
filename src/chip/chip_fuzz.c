/*
 * chip_fuzz.c - a hostile guest against the chips and the local APICs
 *
 * The first byte chooses a chip; then records of ten bytes: what to do, two
 * small numbers, a 32-bit place and a value.  Checked is what the sanitizers
 * and BUG_IF check, and that every chip takes back what it saved.
 */
#include "chip/chip_zoo.h"

#include "base/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 10u
#define MAX_RECORDS 1000u
#define MAX_NS (4 * NS_PER_SEC)		/* a tick of the APIC timer is not free for us */

struct record {
	uint8_t what, a, b;
	uint32_t where;
	uint64_t val;
};

static void drive_lapic(struct zoo_bench *b, const struct record *r)
{
	struct lapic_set *s = b->lapics;
	unsigned vp = r->b % ZOO_LAPICS;
	uint64_t val;
	int rc = 0;

	switch (r->a % 8) {
	case 0:
		(void)lapic_read(s, vp, r->where);
		break;
	case 1:
		lapic_write(s, vp, r->where % 0x400 & ~0xfu, (uint32_t)r->val);
		break;
	case 2:		/* what a writable register says it takes back */
		rc = lapic_msr_read(s, vp, 0x800 + r->where % 0x100, &val);
		if (rc == 0)
			rc = lapic_msr_write(s, vp, 0x800 + r->where % 0x100, val);
		break;
	case 3:
		rc = lapic_msr_write(s, vp, 0x800 + r->where % 0x100, r->val);
		break;
	case 4:
		rc = (r->where & 1) != 0 ? lapic_msr_write(s, vp, 0x6e0, r->val) :
		     lapic_msr_write(s, vp, 0x1b, r->val & 0xfff);
		break;
	case 5:
		lapic_post(s, vp, (uint8_t)r->val, (r->where & 1) != 0, (r->where & 2) != 0);
		break;
	case 6:
		(void)lapic_deliver(s, r->where, (r->val & 0x100) != 0, r->val >> 9 & 7,
				    (uint8_t)r->val, (r->val & 0x1000) != 0);
		break;
	case 7:
		if (lapic_ready(s, vp))
			BUG_IF(lapic_take(s, vp) < 16);
		lapic_set_cr8(s, vp, (uint8_t)r->val);
		break;
	}
	BUG_IF(rc != 0 && rc != -ENOENT);
}

static void save_and_load_lapic(struct zoo_bench *b, unsigned vp)
{
	uint8_t buf[1024], again[1024];
	size_t n = lapic_save(b->lapics, vp, buf, sizeof(buf));

	BUG_IF(n > sizeof(buf) || lapic_load(b->lapics, vp, buf, n, NULL) < 0);
	BUG_IF(lapic_save(b->lapics, vp, again, sizeof(again)) != n);
	BUG_IF(memcmp(buf, again, n) != 0);
}

/* A chip must accept its own state, whatever the guest did to it. */
static void save_and_load(struct zoo_bench *b)
{
	static uint8_t buf[256 * 1024], again[256 * 1024];
	size_t n = state_save(b->r.ops->state, b->r.dev, buf, sizeof(buf));

	BUG_IF(n > sizeof(buf));
	BUG_IF(state_load(b->r.ops->state, b->r.dev, buf, n, NULL) < 0);
	if (b->r.ops->loaded != NULL)
		BUG_IF(b->r.ops->loaded(b->r.dev, NULL) < 0);
	BUG_IF(state_save(b->r.ops->state, b->r.dev, again, sizeof(again)) != n);
	BUG_IF(memcmp(buf, again, n) != 0);
}

static void perform(struct zoo_bench *b, const struct zoo_row *row, const struct record *r)
{
	switch (r->what % 8) {
	case 0:
	case 1:
		zoo_access(b, row, r->where, r->a, (r->what & 1) != 0, r->val);
		break;
	case 2:
		zoo_poke(b, r->where, r->b);
		break;
	case 3:
		if (clock_now_ns(b->r.clock) < MAX_NS)
			clock_step(b->r.clock, (uint64_t)ld16(&r->a) << (r->where % 13));
		break;
	case 4:
	case 5:
		drive_lapic(b, r);
		break;
	case 6:
		save_and_load(b);
		save_and_load_lapic(b, r->b % ZOO_LAPICS);
		break;
	case 7:
		if ((r->a & 1) != 0 && b->r.ops->reset != NULL)
			b->r.ops->reset(b->r.dev);
		else
			lapic_reset(b->lapics, r->b % ZOO_LAPICS, (r->a & 2) != 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct zoo_row *row;
	struct zoo_bench b;

	if (size < 1)
		return 0;
	row = &zoo[data[0] % ARRAY_LEN(zoo)];
	zoo_open(&b, row);
	for (size_t i = 0; i < MAX_RECORDS && 1 + (i + 1) * RECORD <= size; i++) {
		const uint8_t *p = data + 1 + i * RECORD;
		struct record r = { .what = p[0], .a = p[1], .b = p[2], .where = ld32(p + 2),
				    .val = ld32(p + 6) };

		if ((r.what & 0x80) != 0)	/* now and then all of the high half too */
			r.val |= r.val << 32;
		perform(&b, row, &r);
	}
	zoo_close(&b);
	return 0;
}
