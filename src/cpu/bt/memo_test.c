/*
 * memo_test.c - what is remembered of an instruction is what decoding it gives
 */
#include "cpu/bt/memo.c"

#include "base/test.h"

#include <stdlib.h>

#define CASES 100000u
#define LIN UINT64_C(0x7f1234500000)

struct rig {
	struct decoder d;
	struct scan *with, *without;	/* [owned] */
	uint64_t seed;
	unsigned recalled;
};

static uint64_t rnd(struct rig *r)
{
	r->seed ^= r->seed << 13;
	r->seed ^= r->seed >> 7;
	r->seed ^= r->seed << 17;
	return r->seed;
}

static unsigned put_prefixes(struct rig *r, uint8_t *b)
{
	static const uint8_t prefix[] = { 0x66, 0xf2, 0xf3, 0xf0, 0x64, 0x65, 0x67, 0x2e };
	unsigned n = 0;

	while (n < 3 && rnd(r) % 4 == 0)
		b[n++] = prefix[rnd(r) % sizeof(prefix)];
	switch (rnd(r) % 8) {
	case 0:
		b[n++] = 0xc5;
		b[n++] = (uint8_t)rnd(r);
		return n;
	case 1:
		b[n++] = 0xc4;
		b[n++] = (uint8_t)((rnd(r) & 0xe0) | (rnd(r) % 4));
		b[n++] = (uint8_t)rnd(r);
		return n;
	case 2:
	case 3:
		b[n++] = (uint8_t)(0x40 | rnd(r) % 16);
		break;
	default:
		break;
	}
	if (rnd(r) % 2)
		b[n++] = 0x0f;
	if (n && b[n - 1] == 0x0f && rnd(r) % 4 == 0)
		b[n++] = rnd(r) % 2 ? 0x38 : 0x3a;
	return n;
}

/* An instruction that begins at 0 of a page and fills it with more bytes. */
static void make(struct rig *r, uint8_t *page)
{
	unsigned n = put_prefixes(r, page);

	for (; n < 64; n++)
		page[n] = (uint8_t)(rnd(r) % 8 ? rnd(r) : rnd(r) % 2 ? 0 : 0xff);
}

/* Other values behind the first SAME bytes. */
static void vary(struct rig *r, uint8_t *page, unsigned same)
{
	for (unsigned n = same; n < 64; n++)
		page[n] = (uint8_t)rnd(r);
}

static void same_insn(const struct scan *a, const struct scan *b)
{
	struct scan_insn x = a->insn[0], y = b->insn[0];

	CHECK_EQ(a->nr != 0, b->nr != 0);
	if (a->nr == 0)
		return;
	CHECK_EQ(x.imm != NULL, y.imm != NULL);
	if (x.imm != NULL)
		CHECK_EQ(x.imm - a->copy, y.imm - b->copy);
	x.imm = y.imm = NULL;
	x.live = y.live = 0;		/* by what follows */
	CHECK_MEM(&x, &y, sizeof(x));
}

static void forget(struct scan *s, const uint8_t *b, unsigned mode)
{
	struct shape h;

	if (!shape_of(b, 64, &h))
		return;
	h.key[SCAN_KEY - 1] = (uint8_t)((mode & ~(unsigned)BT_PLAIN) + 1);
	memset(slot_of(s, h.key)->key, 0, SCAN_KEY);
}

static void one(struct rig *r, unsigned mode)
{
	uint8_t page[PAGE_SIZE] = { 0 };
	struct scan_insn i;
	unsigned len;

	make(r, page);
	scan_block(&r->d, LIN, page, NULL, mode, false, r->with);
	len = r->with->nr ? r->with->insn[0].len : 1;
	for (unsigned same = 1; same <= len; same++) {
		vary(r, page, same);
		r->recalled += scan_recall(r->with, page, 64, LIN, mode, &i);
		forget(r->without, page, mode);
		scan_block(&r->d, LIN, page, NULL, mode, false, r->with);
		scan_block(&r->d, LIN, page, NULL, mode, false, r->without);
		same_insn(r->with, r->without);
	}
}

static void remembered_is_decoded(void **state)
{
	static const unsigned modes[] = { 0, BT_USER, BT_NO_FP | BT_NO_AVX, BT_USER | BT_TSD };
	struct rig r = { .seed = 0x9e3779b97f4a7c15 };

	(void)state;
	decoder_init(&r.d, cpu_model_find("x86-64-v3"));
	r.with = new0(struct scan);
	r.without = new0(struct scan);
	for (unsigned n = 0; n < CASES; n++)
		one(&r, modes[rnd(&r) % ARRAY_LEN(modes)]);
	CHECK(r.recalled > CASES / 8);
	free(r.with);
	free(r.without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembered_is_decoded),
	};

	return cmocka_run_group_tests_name("bt_memo", tests, NULL, NULL);
}
