/* walk_test.c - the page walk: every mode, every bit of the fault code */
#include "base/test.h"
#include "cpu/interp/itest.h"
#include "cpu/interp/mem_priv.h"

#define P X86_PTE_P
#define W X86_PTE_W
#define U X86_PTE_U
#define A X86_PTE_A
#define D X86_PTE_D
#define PS X86_PTE_PS
#define G X86_PTE_G
#define NX X86_PTE_NX
#define HIGH (UINT64_C(1) << 46)	/* first bit above MAXPHYADDR */

enum { OK = -1, T0 = 0x100000, T1 = 0x101000, T2 = 0x102000, T3 = 0x103000 };

#define LIN (UINT64_C(5) << 39 | UINT64_C(6) << 30 | UINT64_C(7) << 21 | UINT64_C(8) << 12 | 0x123)

struct row {
	uint64_t e[4];			/* flags of the four levels, leaf last */
	enum access a;
	unsigned set;
	uint64_t cr0, cr4, efer;	/* bits changed from the default */
	int code;			/* or OK */
};

#define WALK_RD ACCESS_READ
#define WALK_WR ACCESS_WRITE
#define WALK_EX ACCESS_EXEC
#define ALL (P | W | U)
#define UP { ALL, ALL, ALL, ALL }

static const struct row rows_4level[] = {
	{ UP, WALK_RD, SET_SUPER, 0, 0, 0, OK },
	{ UP, WALK_WR, SET_SUPER, 0, 0, 0, OK },
	{ UP, WALK_EX, SET_USER, 0, 0, 0, OK },
	/* P, at each level */
	{ { 0, ALL, ALL, ALL }, WALK_RD, SET_SUPER, 0, 0, 0, 0 },
	{ { ALL, W | U, ALL, ALL }, WALK_RD, SET_SUPER, 0, 0, 0, 0 },
	{ { ALL, ALL, W | U, ALL }, WALK_WR, SET_SUPER, 0, 0, 0, X86_PF_W },
	{ { ALL, ALL, ALL, 0 }, WALK_RD, SET_USER, 0, 0, 0, X86_PF_U },
	{ { ALL, ALL, ALL, 0 }, WALK_EX, SET_USER, 0, 0, 0, X86_PF_U | X86_PF_I },
	{ { ALL, ALL, ALL, 0 }, WALK_EX, SET_USER, 0, 0, X86_EFER_NXE, X86_PF_U },
	{ { ALL, ALL, ALL, 0 }, WALK_EX, SET_SUPER, 0, X86_CR4_SMEP, X86_EFER_NXE, X86_PF_I },
	/* a reserved bit beside P = 0 does not matter */
	{ { ALL, ALL, ALL, HIGH }, WALK_RD, SET_SUPER, 0, 0, 0, 0 },
	/* W */
	{ { P | U, ALL, ALL, ALL }, WALK_WR, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_W },
	{ { ALL, ALL, ALL, P | U }, WALK_WR, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_W },
	{ { ALL, ALL, ALL, P | U }, WALK_WR, SET_SUPER, X86_CR0_WP, 0, 0, OK },
	{ { ALL, ALL, ALL, P | U }, WALK_WR, SET_USER, X86_CR0_WP, 0, 0,
	  X86_PF_P | X86_PF_W | X86_PF_U },
	{ { ALL, ALL, ALL, P | U }, WALK_RD, SET_USER, 0, 0, 0, OK },
	/* U */
	{ { ALL, ALL, P | W, ALL }, WALK_RD, SET_USER, 0, 0, 0, X86_PF_P | X86_PF_U },
	{ { ALL, P | W, ALL, ALL }, WALK_WR, SET_USER, 0, 0, 0, X86_PF_P | X86_PF_U | X86_PF_W },
	{ { ALL, ALL, P | W, ALL }, WALK_RD, SET_SUPER, 0, 0, 0, OK },
	{ { ALL, ALL, ALL, P | W }, WALK_EX, SET_USER, 0, 0, 0, X86_PF_P | X86_PF_U | X86_PF_I },
	/* NX, at each level */
	{ { ALL | NX, ALL, ALL, ALL }, WALK_EX, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_I },
	{ { ALL, ALL, ALL, ALL | NX }, WALK_EX, SET_USER, 0, 0, 0, X86_PF_P | X86_PF_I | X86_PF_U },
	{ { ALL, ALL, ALL, ALL | NX }, WALK_WR, SET_USER, 0, 0, 0, OK },
	/* SMEP, SMAP */
	{ UP, WALK_EX, SET_SUPER, 0, X86_CR4_SMEP, 0, X86_PF_P | X86_PF_I },
	{ { ALL, ALL, P | W, ALL }, WALK_EX, SET_SUPER, 0, X86_CR4_SMEP, 0, OK },
	{ UP, WALK_RD, SET_SUPER, 0, X86_CR4_SMAP, 0, X86_PF_P },
	{ UP, WALK_WR, SET_SUPER, 0, X86_CR4_SMAP, 0, X86_PF_P | X86_PF_W },
	{ UP, WALK_RD, SET_SUPER_AC, 0, X86_CR4_SMAP, 0, OK },
	{ UP, WALK_RD, SET_USER, 0, X86_CR4_SMAP, 0, OK },
	{ UP, WALK_EX, SET_SUPER, 0, X86_CR4_SMAP, 0, OK },
	{ { ALL, P | W, ALL, ALL }, WALK_RD, SET_SUPER, 0, X86_CR4_SMAP, 0, OK },
	/* RSVD */
	{ { ALL | HIGH, ALL, ALL, ALL }, WALK_RD, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_RSVD },
	{ { ALL, ALL, ALL, ALL | HIGH }, WALK_WR, SET_USER, 0, 0, 0,
	  X86_PF_P | X86_PF_RSVD | X86_PF_W | X86_PF_U },
	{ { ALL | PS, ALL, ALL, ALL }, WALK_RD, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_RSVD },
	{ { ALL, ALL, ALL, ALL | NX }, WALK_RD, SET_SUPER, 0, 0, X86_EFER_NXE,
	  X86_PF_P | X86_PF_RSVD },
	{ { ALL, ALL, ALL | PS | 0x2000, 0 }, WALK_RD, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_RSVD },
	{ { ALL, ALL | PS | 0x100000, 0, 0 }, WALK_RD, SET_SUPER, 0, 0, 0, X86_PF_P | X86_PF_RSVD },
	/* bits 62:52 are the guest's own */
	{ { ALL, ALL, ALL, ALL | UINT64_C(0x7ff) << 52 }, WALK_RD, SET_SUPER, 0, 0, 0, OK },
};

static void put_4level(struct itest *t, const uint64_t e[4])
{
	static const uint64_t next[4] = { T1, T2, T3, 0x200000 };
	static const unsigned idx[4] = { 5, 6, 7, 8 };

	for (unsigned i = 0; i < 4; i++) {
		/* A large page has its own address: bits 20:13 must be 0. */
		uint64_t at = e[i] & PS ? 0 : next[i];

		itest_put64(t, T0 + i * PAGE_SIZE + idx[i] * 8, e[i] | at);
	}
	t->c->cr3 = T0;
}

static void test_4level(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < ARRAY_LEN(rows_4level); i++) {
		const struct row *r = &rows_4level[i];
		struct interp saved = *t.c;
		struct walk w;
		uint32_t code = 0;
		int rc;

		put_4level(&t, r->e);
		t.c->cr0 ^= r->cr0;
		t.c->cr4 ^= r->cr4;
		t.c->efer ^= r->efer;
		rc = interp_walk_set(t.c, LIN, r->a, r->set, &w, &code);
		if (rc != (r->code != OK) || (rc && (int)code != r->code))
			fail_msg("row %u: rc %d code 0x%x, expected 0x%x", i, rc, code, r->code);
		if (rc == 0 && w.gpa != 0x200123)
			fail_msg("row %u: leads to 0x%llx", i, (unsigned long long)w.gpa);
		t.c->cr0 = saved.cr0;
		t.c->cr4 = saved.cr4;
		t.c->efer = saved.efer;
	}
	itest_close(&t);
}

/* A on every level of a good walk, D on the leaf of a write, nothing on a fault. */
static void test_accessed(void **state)
{
	const uint64_t e[4] = UP, ro[4] = { ALL, ALL, ALL, P | U };
	struct itest t;
	struct walk w;
	uint32_t code;

	(void)state;
	itest_open(&t, ITEST_64);
	put_4level(&t, e);
	CHECK_EQ(interp_walk(t.c, LIN, ACCESS_READ, false, &w, &code), 0);
	CHECK_EQ(itest_get64(&t, T0 + 5 * 8) & (A | D), A);
	CHECK_EQ(itest_get64(&t, T1 + 6 * 8) & (A | D), A);
	CHECK_EQ(itest_get64(&t, T2 + 7 * 8) & (A | D), A);
	CHECK_EQ(itest_get64(&t, T3 + 8 * 8) & (A | D), A);
	CHECK(!w.dirty);
	CHECK_EQ(interp_walk(t.c, LIN, ACCESS_WRITE, false, &w, &code), 0);
	CHECK_EQ(itest_get64(&t, T2 + 7 * 8) & (A | D), A);
	CHECK_EQ(itest_get64(&t, T3 + 8 * 8) & (A | D), A | D);
	CHECK(w.dirty);
	put_4level(&t, ro);
	CHECK_EQ(interp_walk(t.c, LIN, ACCESS_WRITE, false, &w, &code), 1);
	CHECK_EQ(itest_get64(&t, T3 + 8 * 8) & (A | D), 0);
	itest_close(&t);
}

static void test_large(void **state)
{
	const uint64_t e2m[4] = { ALL, ALL, ALL | PS | G, 0 }, e1g[4] = { ALL, ALL | PS, 0, 0 };
	struct itest t;
	struct walk w;
	uint32_t code;

	(void)state;
	itest_open(&t, ITEST_64);
	put_4level(&t, e2m);
	itest_put64(&t, T2 + 7 * 8, 0x600000 | 1 << 12 | ALL | PS | G);	/* bit 12 is PAT */
	CHECK_EQ(interp_walk(t.c, LIN, ACCESS_WRITE, true, &w, &code), 0);
	CHECK_EQ(w.gpa, 0x600000 | (LIN & 0x1fffff));
	CHECK_EQ(w.page_size, 2 * MIB);
	CHECK(w.global);
	CHECK_EQ(itest_get64(&t, T2 + 7 * 8) & (A | D), A | D);
	t.c->cr4 &= ~(uint64_t)X86_CR4_PGE;
	CHECK_EQ(interp_walk(t.c, LIN, ACCESS_WRITE, true, &w, &code), 0);
	CHECK(!w.global);
	put_4level(&t, e1g);
	itest_put64(&t, T1 + 6 * 8, 0x40000000 | ALL | PS);
	CHECK_EQ(interp_walk(t.c, LIN, ACCESS_READ, true, &w, &code), 0);
	CHECK_EQ(w.gpa, 0x40000000 | (LIN & 0x3fffffff));
	CHECK_EQ(w.page_size, GIB);
	itest_close(&t);
}

/* Tables outside of RAM hold nothing that is present. */
static void test_no_ram(void **state)
{
	struct itest t;
	struct walk w;
	uint32_t code;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->cr3 = UINT64_C(0x3fffffff) << 12;
	CHECK_EQ(interp_walk(t.c, 0, ACCESS_READ, false, &w, &code), 1);
	CHECK_EQ(code, 0);
	itest_close(&t);
}

/* ---- PAE ----------------------------------------------------------------------------- */

static int pae(struct itest *t, uint64_t top, uint64_t mid, uint64_t leaf, enum access a, bool user,
	       struct walk *w)
{
	uint32_t code;

	t->c->cr3 = T0 + 0x40;		/* 32-byte aligned is enough */
	itest_put64(t, T0 + 0x40 + 2 * 8, top);
	itest_put64(t, T2 + 7 * 8, mid);
	itest_put64(t, T3 + 8 * 8, leaf);
	return interp_walk(t->c, 0x80e08123, a, user, w, &code) == 0 ? OK : (int)code;
}

static void test_pae(void **state)
{
	struct itest t;
	struct walk w;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->cr0 |= X86_CR0_PG;
	t.c->cr4 |= X86_CR4_PAE;
	t.c->efer |= X86_EFER_NXE;
	CHECK_EQ(pae(&t, T2 | P, T3 | ALL, 0x200000 | ALL, ACCESS_WRITE, true, &w), OK);
	CHECK_EQ(w.gpa, 0x200123);
	CHECK_EQ(itest_get64(&t, T0 + 0x50), T2 | P);		/* no A bit at the top */
	CHECK_EQ(itest_get64(&t, T3 + 64) & (A | D), A | D);
	CHECK_EQ(pae(&t, T2, T3 | ALL, 0x200000 | ALL, ACCESS_READ, false, &w), 0);
	CHECK_EQ(pae(&t, T2 | P | W, T3 | ALL, ALL, ACCESS_READ, false, &w),
		 X86_PF_P | X86_PF_RSVD);
	CHECK_EQ(pae(&t, T2 | P | NX, T3 | ALL, ALL, ACCESS_READ, false, &w),
		 X86_PF_P | X86_PF_RSVD);
	CHECK_EQ(pae(&t, T2 | P | PS, T3 | ALL, ALL, ACCESS_READ, false, &w),
		 X86_PF_P | X86_PF_RSVD);
	CHECK_EQ(pae(&t, T2 | P, T3 | ALL | UINT64_C(1) << 52, ALL, ACCESS_READ, false, &w),
		 X86_PF_P | X86_PF_RSVD);
	CHECK_EQ(pae(&t, T2 | P, T3 | ALL | NX, ALL, ACCESS_EXEC, false, &w), X86_PF_P | X86_PF_I);
	CHECK_EQ(pae(&t, T2 | P, 0x400000 | ALL | PS, 0, ACCESS_READ, false, &w), OK);
	CHECK_EQ(w.gpa, 0x408123);
	CHECK_EQ(w.page_size, 2 * MIB);
	itest_close(&t);
}

/* ---- 32-bit -------------------------------------------------------------------------- */

static int legacy(struct itest *t, uint32_t pde, uint32_t pte, enum access a, bool user,
		  struct walk *w)
{
	uint32_t code;

	t->c->cr3 = T0 | 0x18;		/* PCD and PWT are no address */
	itest_put(t, T0 + 0x203 * 4, &pde, 4);
	itest_put(t, T1 + 8 * 4, &pte, 4);
	return interp_walk(t->c, 0x80c08123, a, user, w, &code) == 0 ? OK : (int)code;
}

static void test_legacy(void **state)
{
	struct itest t;
	struct walk w;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->cr0 |= X86_CR0_PG;
	CHECK_EQ(legacy(&t, T1 | ALL, 0x200000 | ALL, ACCESS_WRITE, true, &w), OK);
	CHECK_EQ(w.gpa, 0x200123);
	CHECK_EQ(itest_get64(&t, T1 + 8 * 4) & (A | D), A | D);
	CHECK_EQ(itest_get64(&t, T0 + 0x203 * 4) & (A | D), A);
	/* I only with NX or SMEP */
	CHECK_EQ(legacy(&t, T1 | ALL, 0, ACCESS_EXEC, true, &w), X86_PF_U);
	CHECK_EQ(legacy(&t, T1 | ALL, P | U, ACCESS_WRITE, true, &w),
		 X86_PF_P | X86_PF_W | X86_PF_U);
	CHECK_EQ(legacy(&t, T1 | P | W, ALL, ACCESS_READ, true, &w), X86_PF_P | X86_PF_U);
	/* 4 MiB, and PSE-36: bits 20:13 are address bits 39:32 */
	CHECK_EQ(legacy(&t, 0x00800000 | ALL | PS, 0, ACCESS_READ, true, &w), OK);
	CHECK_EQ(w.gpa, 0x00808123);
	CHECK_EQ(w.page_size, 4 * MIB);
	CHECK_EQ(legacy(&t, 0x00800000 | 5 << 13 | ALL | PS, 0, ACCESS_READ, true, &w), OK);
	CHECK_EQ(w.gpa, UINT64_C(5) << 32 | 0x00808123);
	CHECK_EQ(legacy(&t, 1 << 21 | ALL | PS, 0, ACCESS_READ, true, &w),
		 X86_PF_P | X86_PF_RSVD | X86_PF_U);
	/* without PSE the bit means nothing */
	t.c->cr4 &= ~(uint64_t)X86_CR4_PSE;
	CHECK_EQ(legacy(&t, T1 | ALL | PS, 0x300000 | ALL, ACCESS_READ, true, &w), OK);
	CHECK_EQ(w.gpa, 0x300123);
	itest_close(&t);
}

static void test_unpaged(void **state)
{
	struct itest t;
	struct walk w;
	uint32_t code;

	(void)state;
	itest_open(&t, ITEST_32);
	CHECK_EQ(interp_walk(t.c, 0xfedc1234, ACCESS_WRITE, true, &w, &code), 0);
	CHECK_EQ(w.gpa, 0xfedc1234);
	CHECK(w.writable && w.user && w.dirty);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_4level),
		cmocka_unit_test(test_accessed),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_no_ram),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_unpaged),
	};

	return cmocka_run_group_tests_name("interp_walk", tests, NULL, NULL);
}
