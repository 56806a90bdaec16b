/* memory_test.c - the TLB and guest memory by segment: limits, faults, crossings, devices */
#include "base/test.h"
#include "cpu/interp/itest.h"

#include <pthread.h>
#include <string.h>

/* The vector that STMT raises, or ITEST_HLT. */
#define RAISED(t, stmt) ({ \
	jmp_buf env_; \
	volatile int rc_ = ITEST_HLT; \
	(t)->c->unwind = &env_; \
	if (setjmp(env_) == 0) { \
		stmt; \
	} else { \
		rc_ = (t)->c->exc_vector; \
	} \
	rc_; })

static int load_raises(struct itest *t, uint64_t lin, unsigned pl)
{
	return RAISED(t, (void)interp_lin_load(t->c, lin, 4, pl));
}

static void set_pte(struct itest *t, uint64_t lin, uint64_t flags)
{
	itest_put64(t, itest_pte(lin), lin | flags);
}

#define ALL (X86_PTE_P | X86_PTE_W | X86_PTE_U)

/* ---- TLB ----------------------------------------------------------------------------- */

static void test_tlb_keeps(void **state)
{
	const uint64_t lin = 0x200000;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, 0x200000, 1);
	itest_put64(&t, 0x300000, 2);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
	itest_put64(&t, itest_pte(lin), 0x300000 | ALL);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);		/* until told */
	interp_tlb_invlpg(t.c, lin + 0x123);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 2);
	itest_put64(&t, itest_pte(lin), 0x200000 | ALL | X86_PTE_G);
	interp_tlb_flush(t.c, false);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
	itest_put64(&t, itest_pte(lin), 0x300000 | ALL | X86_PTE_G);
	interp_tlb_flush(t.c, false);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);		/* global ones stay */
	interp_tlb_flush(t.c, true);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 2);
	itest_close(&t);
}

/* INVLPG anywhere in a large page drops all of it. */
static void test_tlb_large(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, ITEST_PML4 + 0x2000 + 1 * 8, 0x400000 | ALL | X86_PTE_PS);
	itest_put64(&t, 0x407000, 7);
	itest_put64(&t, 0x607000, 8);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x207000, 8), 7);
	itest_put64(&t, ITEST_PML4 + 0x2000 + 1 * 8, 0x600000 | ALL | X86_PTE_PS);
	interp_tlb_invlpg(t.c, 0x3ff000);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x207000, 8), 8);
	/* 1 GiB, more of them than are remembered one by one */
	for (uint64_t i = 1; i < 20; i++) {
		itest_put64(&t, ITEST_PML4 + 0x1000 + i * 8, ALL | X86_PTE_PS);
		CHECK_EQ(interp_load(t.c, CPU_DS, i * GIB + 0x407000, 8), 7);
	}
	for (uint64_t i = 1; i < 20; i++) {
		itest_put64(&t, ITEST_PML4 + 0x1000 + i * 8, 0);
		interp_tlb_invlpg(t.c, i * GIB);
		CHECK_EQ(load_raises(&t, i * GIB + 0x407000, 0), X86_PAGE);
	}
	itest_close(&t);
}

/* More fills than the log holds, then a flush: nothing old is left in any set. */
static void test_tlb_overflow(void **state)
{
	const uint64_t first = 0x200000, end = ITEST_RAM;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned round = 0; t.c->tlb->nr_log[0] <= TLB_LOG; round++) {
		t.c->rflags ^= round & 1 ? X86_AC : 0;
		for (uint64_t lin = first; lin < end; lin += PAGE_SIZE) {
			(void)interp_load(t.c, CPU_DS, lin, 4);
			(void)interp_lin_load(t.c, lin, 4, 3);
			interp_store(t.c, CPU_DS, lin, 4, 0);
		}
		CHECK(round < 100);
	}
	for (uint64_t lin = first; lin < end; lin += PAGE_SIZE)
		set_pte(&t, lin, 0);
	interp_tlb_flush(t.c, false);
	for (uint64_t lin = first; lin < end; lin += PAGE_SIZE) {
		CHECK_EQ(load_raises(&t, lin, 0), X86_PAGE);
		CHECK_EQ(t.c->cr2, lin);
		CHECK_EQ(load_raises(&t, lin, 3), X86_PAGE);
		t.c->rflags ^= X86_AC;
		CHECK_EQ(load_raises(&t, lin, 0), X86_PAGE);
	}
	itest_close(&t);
}

/* A page cached for reading is walked again for the first write, which sets D. */
static void test_tlb_dirty(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	(void)interp_load(t.c, CPU_DS, 0x200000, 4);
	CHECK_EQ(itest_get64(&t, itest_pte(0x200000)) & X86_PTE_D, 0);
	interp_store(t.c, CPU_DS, 0x200000, 4, 1);
	CHECK_EQ(itest_get64(&t, itest_pte(0x200000)) & X86_PTE_D, X86_PTE_D);
	set_pte(&t, 0x201000, X86_PTE_P | X86_PTE_U);
	(void)interp_load(t.c, CPU_DS, 0x201000, 4);
	CHECK_EQ(RAISED(&t, interp_store(t.c, CPU_DS, 0x201004, 4, 1)), X86_PAGE);
	CHECK_EQ(t.c->cr2, 0x201004);
	CHECK_EQ(t.c->exc_code, X86_PF_P | X86_PF_W);
	itest_close(&t);
}

/* What the kernel may touch and cached, a user may not, and the other way round under SMAP. */
static void test_tlb_rights(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	set_pte(&t, 0x200000, X86_PTE_P | X86_PTE_W);
	(void)interp_load(t.c, CPU_DS, 0x200000, 4);
	(void)interp_load(t.c, CPU_DS, 0x201000, 4);
	itest_user(&t);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x200000, 4)), X86_PAGE);
	CHECK_EQ(t.c->exc_code, X86_PF_P | X86_PF_U);
	CHECK_EQ(interp_lin_load(t.c, 0x200000, 4, 0), 0);
	CHECK_EQ(interp_sys_load(t.c, 0x200000, 4), 0);
	(void)interp_load(t.c, CPU_DS, 0x201000, 4);
	itest_mode(&t, ITEST_64);
	t.c->cr4 |= X86_CR4_SMAP;
	interp_tlb_flush(t.c, true);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x201000, 4)), X86_PAGE);
	CHECK_EQ(t.c->exc_code, X86_PF_P);
	t.c->rflags |= X86_AC;
	(void)interp_load(t.c, CPU_DS, 0x201000, 4);
	CHECK_EQ(RAISED(&t, (void)interp_sys_load(t.c, 0x201000, 4)), X86_PAGE);
	t.c->rflags &= ~(uint64_t)X86_AC;
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x201000, 4)), X86_PAGE);
	itest_close(&t);
}

/* ---- crossings ----------------------------------------------------------------------- */

static void test_crossing(void **state)
{
	uint8_t buf[64];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	interp_store(t.c, CPU_DS, 0x200ffd, 8, 0x1122334455667788);
	CHECK_EQ(itest_get64(&t, 0x200ffd), 0x1122334455667788);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x200ffd, 8), 0x1122334455667788);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x200fff, 2), 0x5566);
	/* fault on the second page: CR2 is its first byte, and nothing was stored */
	set_pte(&t, 0x202000, 0);
	CHECK_EQ(RAISED(&t, interp_store(t.c, CPU_DS, 0x201ffc, 8, UINT64_MAX)), X86_PAGE);
	CHECK_EQ(t.c->cr2, 0x202000);
	CHECK_EQ(itest_get64(&t, 0x201ff8), 0);
	CHECK_EQ(RAISED(&t, interp_probe_write(t.c, CPU_DS, 0x201ffc, 5)), X86_PAGE);
	CHECK_EQ(RAISED(&t, interp_probe_write(t.c, CPU_DS, 0x201ffc, 4)), ITEST_HLT);
	memset(buf, 0xaa, sizeof(buf));
	CHECK_EQ(RAISED(&t, interp_store_n(t.c, CPU_DS, 0x201fe0, buf, 64)), X86_PAGE);
	CHECK_EQ(itest_get64(&t, 0x201ff8), 0);
	/* and on the first: CR2 is the first byte of the access */
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x202ffe, 8)), X86_PAGE);
	CHECK_EQ(t.c->cr2, 0x202ffe);
	interp_store_n(t.c, CPU_DS, 0x203fe0, buf, 64);
	memset(buf, 0, sizeof(buf));
	interp_load_n(t.c, CPU_DS, 0x203fe0, buf, 64);
	CHECK_EQ(buf[0], 0xaa);
	CHECK_EQ(buf[63], 0xaa);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x203fe0 + 64, 1), 0);
	itest_close(&t);
}

static void test_canonical(void **state)
{
	const uint64_t hole = UINT64_C(1) << 47;
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, hole, 1)), X86_GP);
	CHECK_EQ(t.c->exc_code, 0);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_SS, hole, 1)), X86_SS);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, hole - 4, 8)), X86_GP);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, hole - 8, 8)), X86_PAGE);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, -hole - 1, 1)), X86_GP);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, -hole, 1)), X86_PAGE);
	CHECK_EQ(RAISED(&t, (void)interp_sys_load(t.c, hole, 8)), X86_GP);
	/* bases count for FS and GS only */
	t.c->seg[CPU_DS].base = 0x1000;
	t.c->seg[CPU_FS].base = 0x1000;
	itest_put64(&t, 0x200000, 1);
	itest_put64(&t, 0x201000, 2);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x200000, 8), 1);
	CHECK_EQ(interp_load(t.c, CPU_FS, 0x200000, 8), 2);
	CHECK_EQ(interp_load(t.c, CPU_FS, UINT64_C(0x1ff000) + 0x1000, 8), 2);
	t.c->seg[CPU_GS].base = -UINT64_C(0x1000);
	CHECK_EQ(interp_load(t.c, CPU_GS, 0x201000, 8), 1);
	itest_close(&t);
}

/* ---- segments ------------------------------------------------------------------------ */

static void test_real(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	interp_store(t.c, CPU_DS, 0xfffe, 2, 0x1234);
	CHECK_EQ(interp_sys_load(t.c, 0x8fffe, 2), 0x1234);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0xffff, 2)), X86_GP);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_SS, 0xffff, 2)), X86_SS);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x10000, 1)), X86_GP);
	interp_store(t.c, CPU_CS, 0x100, 1, 0x56);	/* code may be written in real mode */
	CHECK_EQ(interp_load(t.c, CPU_CS, 0x100, 1), 0x56);
	t.c->seg[CPU_ES].base = 0xffff0;		/* above 1 MiB: no A20 gate */
	interp_store(t.c, CPU_ES, 0x20, 1, 0x78);
	CHECK_EQ(interp_sys_load(t.c, 0x100010, 1), 0x78);
	itest_close(&t);
}

static int seg_access(struct itest *t, uint32_t attr, uint32_t limit, uint64_t off, enum access a)
{
	t->c->seg[CPU_ES] = (struct cpu_seg){ .sel = 0x10, .attr = attr, .limit = limit };
	interp_mode_changed(t->c);
	if (a == ACCESS_WRITE)
		return RAISED(t, interp_store(t->c, CPU_ES, off, 4, 0));
	return RAISED(t, (void)interp_load(t->c, CPU_ES, off, 4));
}

static void test_protected(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	CHECK_EQ(seg_access(&t, 0xc093, 0xffffffff, 0x200000, ACCESS_WRITE), ITEST_HLT);
	CHECK_EQ(seg_access(&t, 0x4093, 0x2fff, 0x2ffc, ACCESS_WRITE), ITEST_HLT);
	CHECK_EQ(seg_access(&t, 0x4093, 0x2fff, 0x2ffd, ACCESS_WRITE), X86_GP);
	CHECK_EQ(seg_access(&t, 0x4093, 0x2fff, 0xfffffffe, ACCESS_READ), X86_GP);
	/* read-only; code readable; code execute-only */
	CHECK_EQ(seg_access(&t, 0xc091, 0xffffffff, 0x2000, ACCESS_READ), ITEST_HLT);
	CHECK_EQ(seg_access(&t, 0xc091, 0xffffffff, 0x2000, ACCESS_WRITE), X86_GP);
	CHECK_EQ(seg_access(&t, 0xc09b, 0xffffffff, 0x2000, ACCESS_READ), ITEST_HLT);
	CHECK_EQ(seg_access(&t, 0xc09b, 0xffffffff, 0x2000, ACCESS_WRITE), X86_GP);
	CHECK_EQ(seg_access(&t, 0xc099, 0xffffffff, 0x2000, ACCESS_READ), X86_GP);
	CHECK_EQ(seg_access(&t, CPU_SEG_UNUSABLE, 0xffffffff, 0x2000, ACCESS_READ), X86_GP);
	/* expand-down: above the limit, up to 4 GiB or 64 KiB */
	CHECK_EQ(seg_access(&t, 0xc097, 0x1fff, 0x2000, ACCESS_WRITE), ITEST_HLT);
	CHECK_EQ(seg_access(&t, 0xc097, 0x1fff, 0x1fff, ACCESS_WRITE), X86_GP);
	CHECK_EQ(seg_access(&t, 0x0097, 0x1fff, 0xfffc, ACCESS_WRITE), ITEST_HLT);
	CHECK_EQ(seg_access(&t, 0x0097, 0x1fff, 0xfffd, ACCESS_WRITE), X86_GP);
	itest_close(&t);
}

static void test_alignment(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->cr0 |= X86_CR0_AM;
	t.c->rflags |= X86_AC;
	(void)interp_load(t.c, CPU_DS, 0x200001, 4);	/* ring 0 is free */
	itest_user(&t);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x200001, 4)), X86_ALIGN);
	CHECK_EQ(t.c->exc_code, 0);
	CHECK_EQ(RAISED(&t, interp_store(t.c, CPU_DS, 0x200004, 8, 0)), X86_ALIGN);
	CHECK_EQ(RAISED(&t, interp_store(t.c, CPU_DS, 0x200008, 8, 0)), ITEST_HLT);
	CHECK_EQ(RAISED(&t, interp_store(t.c, CPU_DS, 0x200007, 1, 0)), ITEST_HLT);
	t.c->rflags &= ~(uint64_t)X86_AC;
	(void)interp_load(t.c, CPU_DS, 0x200001, 4);
	itest_close(&t);
}

/* ---- devices ------------------------------------------------------------------------- */

static void test_mmio(void **state)
{
	const uint64_t at = ITEST_MMIO + 0x100;
	uint8_t buf[16];
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.mmio_in = 0x1122334455667788;
	CHECK_EQ(interp_load(t.c, CPU_DS, at, 4), 0x55667788);
	interp_store(t.c, CPU_DS, at + 4, 2, 0xabcdef);
	CHECK_EQ(t.nr_mmio, 2);
	CHECK_EQ(t.mmio[0].addr, at);
	CHECK_EQ(t.mmio[0].width, 4);
	CHECK_EQ(t.mmio[1].addr, at + 4);
	CHECK_EQ(t.mmio[1].width, 2);
	CHECK_EQ(t.mmio[1].val, 0xcdef);
	/* half RAM, half device */
	t.nr_mmio = 0;
	interp_store(t.c, CPU_DS, ITEST_MMIO - 4, 8, 0xaaaaaaaabbbbbbbb);
	CHECK_EQ(t.nr_mmio, 1);
	CHECK_EQ(t.mmio[0].addr, ITEST_MMIO);
	CHECK_EQ(t.mmio[0].val, 0xaaaaaaaa);
	CHECK_EQ(interp_load(t.c, CPU_DS, ITEST_MMIO - 4, 4), 0xbbbbbbbb);
	/* 16 bytes are two accesses, odd ones are cut to natural pieces */
	t.nr_mmio = 0;
	interp_load_n(t.c, CPU_DS, at, buf, 16);
	CHECK_EQ(t.nr_mmio, 2);
	CHECK_EQ(t.mmio[1].addr, at + 8);
	t.nr_mmio = 0;
	interp_load_n(t.c, CPU_DS, at + 1, buf, 7);
	CHECK_EQ(t.nr_mmio, 3);
	CHECK_EQ(t.mmio[2].width, 4);
	CHECK_EQ(RAISED(&t, (void)interp_load(t.c, CPU_DS, 0x1000000, 1)), X86_PAGE);
	itest_close(&t);
}

static void test_rmw(void **state)
{
	struct itest t;
	struct rmw m;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, 0x200000, 5);
	interp_rmw_begin(t.c, &m, CPU_DS, 0x200000, 8, true);
	CHECK(!m.copied);
	*(uint64_t *)m.p += 1;
	interp_rmw_end(t.c, &m);
	CHECK_EQ(itest_get64(&t, 0x200000), 6);
	/* page-crossing LOCK: by copy, under the machine's lock */
	itest_put64(&t, 0x200ffc, 0xffffffff);
	interp_rmw_begin(t.c, &m, CPU_DS, 0x200ffc, 8, true);
	CHECK(m.copied && t.c->shared_locked);
	*(uint64_t *)m.p += 1;
	interp_rmw_end(t.c, &m);
	CHECK(!t.c->shared_locked);
	CHECK_EQ(itest_get64(&t, 0x200ffc), UINT64_C(0x100000000));
	/* device */
	t.mmio_in = 0xf0;
	t.nr_mmio = 0;
	interp_rmw_begin(t.c, &m, CPU_DS, ITEST_MMIO, 4, false);
	*(uint32_t *)m.p |= 1;
	interp_rmw_end(t.c, &m);
	CHECK_EQ(t.nr_mmio, 2);
	CHECK(t.mmio[1].write);
	CHECK_EQ(t.mmio[1].val, 0xf1);
	/* write rights are needed although it reads first */
	set_pte(&t, 0x202000, X86_PTE_P | X86_PTE_U);
	CHECK_EQ(RAISED(&t, interp_rmw_begin(t.c, &m, CPU_DS, 0x202000, 4, true)), X86_PAGE);
	CHECK_EQ(t.c->exc_code, X86_PF_P | X86_PF_W);
	CHECK(!t.c->shared_locked);
	itest_close(&t);
}

/* lock inc qword [rsi]; dec ecx; jnz; hlt: on two processors at once, across two pages. */
static const uint8_t counting[] = { 0xf0, 0x48, 0xff, 0x06, 0xff, 0xc9, 0x75, 0xf8, 0xf4 };

static void *count(void *arg)
{
	(void)itest_go(arg, UINT64_MAX);
	return NULL;
}

UNUSED static void test_rmw_threads(void **state)
{
	static const uint64_t at[] = { 0x200ffc, 0x200f00, 0x200f3d };
	struct itest a, b;
	pthread_t th;

	(void)state;
	itest_open(&a, ITEST_64);
	itest_open_second(&b, &a);
	ITEST_CODE_IS(&a, counting);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		a.c->rip = b.c->rip = ITEST_CODE;
		a.c->halted = b.c->halted = 0;
		a.c->gpr[CPU_RCX] = b.c->gpr[CPU_RCX] = 30000;
		a.c->gpr[CPU_RSI] = b.c->gpr[CPU_RSI] = at[i];
		itest_put64(&a, at[i], 0xffff0000);	/* the carry crosses as well */
		CHECK_EQ(pthread_create(&th, NULL, count, &b), 0);
		(void)count(&a);
		pthread_join(th, NULL);
		CHECK_EQ(itest_get64(&a, at[i]), 0xffff0000 + UINT64_C(60000));
	}
	itest_close(&b);
	itest_close(&a);
}

static void test_span(void **state)
{
	_Atomic uint32_t *page;
	struct itest t;
	uint8_t *p;

	(void)state;
	itest_open(&t, ITEST_64);
	p = interp_span(t.c, CPU_DS, 0x200f00, 0x100, ACCESS_WRITE, &page);
	CHECK(p != NULL);
	memset(p, 0x5a, 0x100);
	interp_span_written(t.c, page);
	CHECK_EQ(itest_get64(&t, 0x200ff8), 0x5a5a5a5a5a5a5a5a);
	CHECK(interp_span(t.c, CPU_DS, 0x200f00, 0x101, ACCESS_WRITE, &page) == NULL);
	CHECK(interp_span(t.c, CPU_DS, ITEST_MMIO, 8, ACCESS_READ, &page) == NULL);
	CHECK(interp_span(t.c, CPU_DS, 0x1000000, 8, ACCESS_READ, &page) == NULL);
	set_pte(&t, 0x202000, X86_PTE_P | X86_PTE_U);
	CHECK(interp_span(t.c, CPU_DS, 0x202000, 8, ACCESS_READ, &page) != NULL);
	CHECK(interp_span(t.c, CPU_DS, 0x202000, 8, ACCESS_WRITE, &page) == NULL);
	itest_close(&t);
}

static void test_stack(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->gpr[CPU_RSP] = 0xabcd0000;			/* 16-bit stack: only SP moves */
	interp_push(t.c, 2, 0x1234);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0xabcdfffe);
	CHECK_EQ(interp_sys_load(t.c, 0x5fffe, 2), 0x1234);
	CHECK_EQ(interp_pop(t.c, 2), 0x1234);
	CHECK_EQ(t.c->gpr[CPU_RSP], 0xabcd0000);
	t.c->gpr[CPU_RSP] = 1;
	CHECK_EQ(RAISED(&t, interp_push(t.c, 2, 0)), X86_SS);
	CHECK_EQ(t.c->gpr[CPU_RSP], 1);
	itest_close(&t);
}

/* With all segments flat nothing is checked but this: a code segment is not written. */
static void test_flat_code(void **state)
{
	const uint64_t lin = 0x200000;
	uint8_t buf[4] = { 0 };
	struct itest t;
	struct rmw m;

	(void)state;
	itest_open(&t, ITEST_32);
	CHECK(t.c->flat);
	itest_put64(&t, lin, 7);
	interp_store(t.c, CPU_DS, lin, 4, 8);		/* now the TLB knows the page */
	CHECK_EQ(RAISED(&t, interp_store(t.c, CPU_CS, lin, 4, 9)), X86_GP);
	CHECK_EQ(RAISED(&t, interp_store_n(t.c, CPU_CS, lin, buf, 4)), X86_GP);
	CHECK_EQ(RAISED(&t, interp_rmw_begin(t.c, &m, CPU_CS, lin, 4, false)), X86_GP);
	CHECK_EQ(interp_load(t.c, CPU_CS, lin, 4), 8);
	itest_mode(&t, ITEST_64);			/* where the override means nothing */
	interp_store(t.c, CPU_CS, lin, 4, 9);
	CHECK_EQ(interp_load(t.c, CPU_CS, lin, 4), 9);
	itest_close(&t);
}

/* Pages that are read only whatever the tables say: a store is one to a device. */
static void test_read_only(void **state)
{
	const uint64_t lin = 0x200000;
	_Atomic uint32_t *page_state;
	struct itest t;
	struct rmw m;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(gmem_shadow_new(t.c->conf.mem, lin, 0x2000, NULL), 0);
	itest_put64(&t, lin, 7);
	interp_store(t.c, CPU_DS, lin, 4, 8);		/* the right to write is in the TLB */
	CHECK(gmem_shadow_set(t.c->conf.mem, lin, 0x1000, GMEM_SHADOW_READ, GMEM_NO_ROM));
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 4), 8);
	interp_tlb_flush(t.c, true);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 4), 8);
	CHECK_EQ(t.nr_mmio, 0);
	interp_store(t.c, CPU_DS, lin, 4, 9);
	CHECK_EQ(t.nr_mmio, 1);
	CHECK_EQ(t.mmio[0].addr, lin);
	CHECK_EQ(t.mmio[0].val, 9);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 4), 8);
	CHECK(interp_span(t.c, CPU_DS, lin, 4, ACCESS_READ, &page_state) != NULL);
	CHECK(interp_span(t.c, CPU_DS, lin, 4, ACCESS_WRITE, &page_state) == NULL);
	interp_rmw_begin(t.c, &m, CPU_DS, lin, 4, true);
	interp_rmw_end(t.c, &m);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 4), 8);
	/* Half of it on the next page, which takes it. */
	interp_store(t.c, CPU_DS, lin + 0xffe, 4, 0x11223344);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin + 0x1000, 2), 0x1122);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin + 0xffe, 2), 0);
	/* A page table there is used, and nothing is noted in it. */
	CHECK(gmem_shadow_set(t.c->conf.mem, lin, 0x1000, 3, GMEM_NO_ROM));
	itest_put64(&t, lin + 8, 0x400000 | ALL);
	itest_put64(&t, 0x400000, 42);
	CHECK(gmem_shadow_set(t.c->conf.mem, lin, 0x1000, GMEM_SHADOW_READ, GMEM_NO_ROM));
	itest_put64(&t, ITEST_PML4 + 0x2000 + 1 * 8, lin | ALL);
	interp_tlb_flush(t.c, true);
	CHECK_EQ(interp_load(t.c, CPU_DS, 0x201000, 8), 42);
	interp_store(t.c, CPU_DS, 0x201000, 8, 43);
	CHECK_EQ(itest_get64(&t, 0x400000), 43);
	CHECK_EQ(itest_get64(&t, lin + 8), 0x400000 | ALL);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tlb_keeps),
		cmocka_unit_test(test_tlb_large),
		cmocka_unit_test(test_tlb_overflow),
		cmocka_unit_test(test_tlb_dirty),
		cmocka_unit_test(test_tlb_rights),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_rmw),
#ifndef ITEST_LOCK	/* two processors */
		cmocka_unit_test(test_rmw_threads),
#endif
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_flat_code),
		cmocka_unit_test(test_read_only),
	};

	return cmocka_run_group_tests_name("interp_memory", tests, NULL, NULL);
}
