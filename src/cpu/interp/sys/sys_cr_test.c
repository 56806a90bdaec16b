/* sys_cr_test.c - control and debug registers, EFER, reset */
#include "cpu/interp/sys/sys_test.h"

#define STEP(t, code) (ITEST_CODE_IS(t, code), itest_step(t))
#define OK(t, code) CHECK_EQ(STEP(t, code), ITEST_HLT)

static const uint8_t to_cr0[] = { 0x0f, 0x22, 0xc0 };		/* mov cr0, (r)ax */
static const uint8_t to_cr3[] = { 0x0f, 0x22, 0xd8 };
static const uint8_t to_cr4[] = { 0x0f, 0x22, 0xe0 };
static const uint8_t wrmsr[] = { 0x0f, 0x30 };

static void set_cr(struct itest *t, const uint8_t code[3], uint64_t v, int want)
{
	t->c->gpr[CPU_RAX] = v;
	itest_code(t, code, 3);
	CHECK_EQ(itest_step(t), want);
	if (want == X86_GP)
		CHECK_EQ(t->c->exc_code, 0);
}

static void set_efer(struct itest *t, uint64_t v, int want)
{
	t->c->gpr[CPU_RCX] = X86_MSR_EFER;
	t->c->gpr[CPU_RAX] = v;
	t->c->gpr[CPU_RDX] = v >> 32;
	CHECK_EQ(STEP(t, wrmsr), want);
}

static void cr0_rules(void **state)
{
	struct itest t;
	uint64_t old;

	(void)state;
	itest_open(&t, ITEST_32);
	old = t.c->cr0;
	set_cr(&t, to_cr0, X86_CR0_PG, X86_GP);			/* PG without PE */
	set_cr(&t, to_cr0, old | X86_CR0_NW, X86_GP);		/* NW without CD */
	CHECK_EQ(t.c->cr0, old);
	set_cr(&t, to_cr0, old | X86_CR0_NW | X86_CR0_CD, ITEST_HLT);
	/* Reserved bits are dropped, ET is always 1. */
	set_cr(&t, to_cr0, (old | 1u << 10 | 1u << 28) & ~X86_CR0_ET, ITEST_HLT);
	CHECK_EQ(t.c->cr0, old);
	itest_mode(&t, ITEST_64);
	set_cr(&t, to_cr0, t.c->cr0 | UINT64_C(1) << 32, X86_GP);
	set_cr(&t, to_cr0, t.c->cr0 & ~X86_CR0_PG, X86_GP);	/* not in 64-bit mode */
	itest_user(&t);
	set_cr(&t, to_cr0, t.c->cr0, X86_GP);
	itest_close(&t);
}

static const uint8_t from_cr3[] = { 0x0f, 0x20, 0xd8 };

/* [SDM 3] 4.10.1: where CR4.PCIDE may be set, and what CR3 then holds. */
static void pcid_rules(void **state)
{
	const uint64_t no_flush = UINT64_C(1) << 63;
	struct itest t;
	uint64_t cr4;

	(void)state;
	itest_open(&t, ITEST_64);				/* a model without it */
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_PCIDE, X86_GP);
	itest_close(&t);
	itest_open_as(&t, ITEST_32, &ITEST_ENGINE, "x86-64-v3");
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_PCIDE, X86_GP);	/* outside of long mode */
	itest_mode(&t, ITEST_64);
	cr4 = t.c->cr4;
	set_cr(&t, to_cr3, ITEST_PML4 | no_flush, X86_GP);
	set_cr(&t, to_cr3, ITEST_PML4 | 0x18, ITEST_HLT);	/* PWT, PCD so far */
	set_cr(&t, to_cr4, cr4 | X86_CR4_PCIDE, X86_GP);	/* as PCID 18 it would be */
	CHECK_EQ(t.c->cr4, cr4);
	set_cr(&t, to_cr3, ITEST_PML4, ITEST_HLT);
	set_cr(&t, to_cr4, cr4 | X86_CR4_PCIDE, ITEST_HLT);
	set_cr(&t, to_cr3, ITEST_PML4 | 0xfff, ITEST_HLT);
	set_cr(&t, to_cr3, ITEST_PML4 | 0x123 | no_flush, ITEST_HLT);
	OK(&t, from_cr3);
	CHECK_EQ(t.c->gpr[CPU_RAX], ITEST_PML4 | 0x123);	/* bit 63 is never stored */
	set_cr(&t, to_cr3, ITEST_PML4 | UINT64_C(1) << 62, X86_GP);
	set_cr(&t, to_cr3, ITEST_PML4 | UINT64_C(1) << 46 | no_flush, X86_GP);
	CHECK_EQ(t.c->cr3, ITEST_PML4 | 0x123);
	/* From compatibility mode paging could go, but not with PCIDE. */
	t.c->seg[CPU_CS].attr = (t.c->seg[CPU_CS].attr & ~(uint32_t)SEG_L) | SEG_DB;
	interp_mode_changed(t.c);
	set_cr(&t, to_cr0, t.c->cr0 & ~X86_CR0_PG, X86_GP);
	itest_mode(&t, ITEST_64);
	t.c->cr4 |= X86_CR4_PCIDE;
	t.c->cr3 = ITEST_PML4 | 5;
	set_cr(&t, to_cr4, cr4, ITEST_HLT);			/* off with any PCID */
	CHECK_EQ(t.c->cr3, ITEST_PML4 | 5);
	itest_close(&t);
}

/* A mapping changed under one PCID is seen when another, or it again, is loaded. */
static void pcid_switches(void **state)
{
	const uint64_t lin = 0x200000, rights = X86_PTE_P | X86_PTE_W | X86_PTE_U;
	struct itest t;

	(void)state;
	itest_open_as(&t, ITEST_64, &ITEST_ENGINE, "x86-64-v3");
	itest_put64(&t, 0x200000, 1);
	itest_put64(&t, 0x300000, 2);
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_PCIDE, ITEST_HLT);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
	itest_put64(&t, itest_pte(lin), 0x300000 | rights);
	set_cr(&t, to_cr3, ITEST_PML4 | 1, ITEST_HLT);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 2);
	itest_put64(&t, itest_pte(lin), 0x200000 | rights | X86_PTE_G);
	set_cr(&t, to_cr3, ITEST_PML4 | UINT64_C(1) << 63 | 2, ITEST_HLT);
	CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
	itest_close(&t);
}

static int invpcid(struct itest *t, uint64_t type, uint64_t pcid, uint64_t lin)
{
	static const uint8_t code[] = { 0x66, 0x0f, 0x38, 0x82, 0x03 };	/* invpcid rax, [rbx] */

	itest_put64(t, ITEST_DATA, pcid);
	itest_put64(t, ITEST_DATA + 8, lin);
	t->c->gpr[CPU_RAX] = type;
	t->c->gpr[CPU_RBX] = ITEST_DATA;
	return STEP(t, code);
}

static void invpcid_checks(void **state)
{
	const uint64_t bad_lin = UINT64_C(1) << 47;
	static const uint8_t real[] = { 0x66, 0x0f, 0x38, 0x82, 0x07 };	/* invpcid eax, [bx] */
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	CHECK_EQ(invpcid(&t, 2, 0, 0), X86_UD);			/* a model without it */
	itest_close(&t);
	itest_open_as(&t, ITEST_64, &ITEST_ENGINE, "x86-64-v3");
	for (uint64_t type = 0; type < 4; type++) {
		CHECK_EQ(invpcid(&t, type, 0, 0), ITEST_HLT);
		CHECK_EQ(invpcid(&t, type, 0x1000, 0), X86_GP);
		CHECK_EQ(invpcid(&t, type, UINT64_C(1) << 63, 0), X86_GP);
		CHECK_EQ(invpcid(&t, type, 5, 0), type < 2 ? X86_GP : ITEST_HLT);
		CHECK_EQ(invpcid(&t, type, 0, bad_lin), type == 0 ? X86_GP : ITEST_HLT);
	}
	CHECK_EQ(invpcid(&t, 4, 0, 0), X86_GP);
	CHECK_EQ(invpcid(&t, UINT64_C(1) << 32, 0, 0), X86_GP);	/* all of the register counts */
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_PCIDE, ITEST_HLT);
	for (uint64_t type = 0; type < 4; type++)
		CHECK_EQ(invpcid(&t, type, 0xfff, 0), ITEST_HLT);
	itest_put64(&t, itest_pte(ITEST_DATA), 0);		/* the descriptor is read like data */
	interp_tlb_flush(t.c, true);
	ITEST_CODE_IS(&t, real);
	t.c->gpr[CPU_RDI] = ITEST_DATA;
	CHECK_EQ(itest_step(&t), X86_PAGE);
	itest_user(&t);
	CHECK_EQ(itest_step(&t), X86_GP);
	itest_mode(&t, ITEST_16);
	itest_put64(&t, 0x80000 + 0x10, 0);
	t.c->gpr[CPU_RAX] = UINT64_C(1) << 32;			/* of which EAX is all */
	t.c->gpr[CPU_RBX] = 0x10;
	ITEST_CODE_IS(&t, real);
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	itest_close(&t);
}

/* What each type must drop, and the one that must keep global pages. */
static void invpcid_types(void **state)
{
	const uint64_t lin = 0x200000, rights = X86_PTE_P | X86_PTE_W | X86_PTE_U;
	struct itest t;

	(void)state;
	itest_open_as(&t, ITEST_64, &ITEST_ENGINE, "x86-64-v3");
	itest_put64(&t, 0x200000, 1);
	itest_put64(&t, 0x300000, 2);
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_PCIDE, ITEST_HLT);
	for (uint64_t type = 0; type < 4; type++) {
		itest_put64(&t, itest_pte(lin), 0x200000 | rights);
		interp_tlb_flush(t.c, true);
		CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
		itest_put64(&t, itest_pte(lin), 0x300000 | rights);
		CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
		CHECK_EQ(invpcid(&t, type, 0, lin), ITEST_HLT);
		CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 2);
	}
	for (uint64_t type = 1; type < 4; type++) {
		itest_put64(&t, itest_pte(lin), 0x200000 | rights | X86_PTE_G);
		interp_tlb_flush(t.c, true);
		CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), 1);
		itest_put64(&t, itest_pte(lin), 0x300000 | rights | X86_PTE_G);
		CHECK_EQ(invpcid(&t, type, 0, lin), ITEST_HLT);
		CHECK_EQ(interp_load(t.c, CPU_DS, lin, 8), type == 2 ? 2 : 1);
	}
	itest_close(&t);
}

static void entering_long_mode(void **state)
{
	struct itest t;
	uint64_t on;

	(void)state;
	itest_open(&t, ITEST_32);
	on = t.c->cr0 | X86_CR0_PG;
	t.c->cr3 = ITEST_PML4;
	set_efer(&t, X86_EFER_LME, ITEST_HLT);
	CHECK_EQ(t.c->efer, X86_EFER_LME);
	set_cr(&t, to_cr0, on, X86_GP);				/* without PAE */
	set_cr(&t, to_cr4, X86_CR4_PAE, ITEST_HLT);
	t.c->seg[CPU_CS].attr |= SEG_L;
	set_cr(&t, to_cr0, on, X86_GP);				/* CS.L is set already */
	t.c->seg[CPU_CS].attr &= ~(uint32_t)SEG_L;
	t.c->seg[CPU_TR].attr = 0x83;
	set_cr(&t, to_cr0, on, X86_GP);				/* a 16-bit TSS */
	t.c->seg[CPU_TR].attr = 0x8b;
	set_cr(&t, to_cr0, on, ITEST_HLT);
	CHECK_EQ(t.c->efer, X86_EFER_LME | X86_EFER_LMA);
	CHECK_EQ(t.c->code64, 0);
	CHECK_EQ(t.c->code32, 1);
	set_efer(&t, 0, X86_GP);				/* LME with paging on */
	set_cr(&t, to_cr4, 0, X86_GP);				/* PAE cannot go */
	set_cr(&t, to_cr0, on & ~X86_CR0_PG, ITEST_HLT);	/* from compatibility mode */
	CHECK_EQ(t.c->efer, X86_EFER_LME);
	itest_close(&t);
}

static void efer_rules(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	set_efer(&t, X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE, ITEST_HLT);
	CHECK_EQ(t.c->efer, X86_EFER_NXE | X86_EFER_SCE);	/* LMA is read-only */
	set_efer(&t, 1u << 12, X86_GP);				/* SVME */
	set_efer(&t, 2, X86_GP);
	set_efer(&t, UINT64_C(1) << 32, X86_GP);
	CHECK_EQ(t.c->efer, X86_EFER_NXE | X86_EFER_SCE);
	itest_close(&t);
}

static void pae_checks_its_top_entries(void **state)
{
	struct itest t;
	uint64_t on;

	(void)state;
	itest_open(&t, ITEST_32);
	on = t.c->cr0 | X86_CR0_PG;
	for (unsigned i = 0; i < 4; i++)
		itest_put64(&t, ITEST_DATA + i * 8, 0);
	itest_put64(&t, ITEST_DATA, (ITEST_PML4 + 0x2000) | X86_PTE_P);
	t.c->cr4 |= X86_CR4_PAE;
	t.c->cr3 = ITEST_DATA;
	itest_put64(&t, ITEST_DATA + 24, X86_PTE_P | X86_PTE_W);	/* reserved there */
	set_cr(&t, to_cr0, on, X86_GP);
	CHECK(!(t.c->cr0 & X86_CR0_PG));
	itest_put64(&t, ITEST_DATA + 24, X86_PTE_W);		/* not present: never mind */
	set_cr(&t, to_cr0, on, ITEST_HLT);
	itest_put64(&t, ITEST_DATA + 8, X86_PTE_P | UINT64_C(1) << 46);
	set_cr(&t, to_cr3, ITEST_DATA, X86_GP);
	itest_put64(&t, ITEST_DATA + 8, X86_PTE_P | X86_PTE_NX);
	set_cr(&t, to_cr4, t.c->cr4 ^ X86_CR4_PGE, X86_GP);
	itest_put64(&t, ITEST_DATA + 8, 0);
	set_cr(&t, to_cr3, ITEST_DATA, ITEST_HLT);
	itest_close(&t);
}

static void cr3_rules(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	set_cr(&t, to_cr3, ITEST_PML4 | UINT64_C(1) << 46, X86_GP);
	set_cr(&t, to_cr3, ITEST_PML4 | UINT64_C(1) << 63, X86_GP);
	set_cr(&t, to_cr3, ITEST_PML4 | 0x18, ITEST_HLT);
	CHECK_EQ(t.c->cr3, ITEST_PML4 | 0x18);
	itest_close(&t);
}

static void cr4_rules(void **state)
{
	static const unsigned refused[] = { 0, 1, 12, 13, 14, 15, 17, 19, 22, 23, 24, 31 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++)
		set_cr(&t, to_cr4, t.c->cr4 | 1u << refused[i], X86_GP);
	set_cr(&t, to_cr4, t.c->cr4 | UINT64_C(1) << 40, X86_GP);
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_SMEP | X86_CR4_UMIP | X86_CR4_FSGSBASE, ITEST_HLT);
	itest_close(&t);
}

/* A changed mapping is seen after the flush that was promised, and a global one stays. */
static void flushes(void **state)
{
	/* mov eax, [0x300000]; hlt */
	static const uint8_t read[] = { 0x8b, 4, 0x25, 0, 0, 0x30, 0, 0xf4 };
	/* invlpg [0x300000] */
	static const uint8_t invlpg[] = { 0x0f, 1, 0x3c, 0x25, 0, 0, 0x30, 0 };
	struct itest t;
	uint64_t bits = X86_PTE_P | X86_PTE_W;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, 0x301000, 1);
	itest_put64(&t, 0x302000, 2);
	itest_put64(&t, 0x303000, 3);
	itest_put64(&t, itest_pte(0x300000), 0x301000 | bits);
	interp_tlb_flush(t.c, true);
	CHECK_EQ(RUN(&t, read), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	itest_put64(&t, itest_pte(0x300000), 0x302000 | bits | X86_PTE_G);
	set_cr(&t, to_cr3, ITEST_PML4, ITEST_HLT);
	CHECK_EQ(RUN(&t, read), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);
	itest_put64(&t, itest_pte(0x300000), 0x303000 | bits | X86_PTE_G);
	set_cr(&t, to_cr3, ITEST_PML4, ITEST_HLT);
	CHECK_EQ(RUN(&t, read), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 2);				/* global */
	set_cr(&t, to_cr4, t.c->cr4 ^ X86_CR4_PGE, ITEST_HLT);
	CHECK_EQ(RUN(&t, read), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 3);
	itest_put64(&t, itest_pte(0x300000), 0x301000 | bits);
	OK(&t, invlpg);
	CHECK_EQ(RUN(&t, read), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 1);
	itest_user(&t);
	CHECK_FAULT(&t, invlpg, X86_GP, 0);
	itest_close(&t);
}

/* What the TLB knows must not outlive the bit that made it true. */
static void rights_are_flushed(void **state)
{
	/* mov byte [0x300000], 1; hlt */
	static const uint8_t write[] = { 0xc6, 4, 0x25, 0, 0, 0x30, 0, 1, 0xf4 };
	/* mov eax, 0x300000; call rax; hlt */
	static const uint8_t fetch[] = { 0xb8, 0, 0, 0x30, 0, 0xff, 0xd0, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, itest_pte(ITEST_CODE), ITEST_CODE | X86_PTE_P | X86_PTE_W);
	itest_put64(&t, itest_pte(0x300000), 0x300000 | X86_PTE_P);
	interp_tlb_flush(t.c, true);
	set_cr(&t, to_cr0, t.c->cr0 & ~X86_CR0_WP, ITEST_HLT);
	CHECK_EQ(RUN(&t, write), ITEST_HLT);
	set_cr(&t, to_cr0, t.c->cr0 | X86_CR0_WP, ITEST_HLT);
	CHECK_FAULT(&t, write, X86_PAGE, X86_PF_P | X86_PF_W);
	itest_put64(&t, 0x300000, 0xc3);
	itest_put64(&t, itest_pte(0x300000), 0x300000 | X86_PTE_P | X86_PTE_U);
	interp_tlb_flush(t.c, true);
	CHECK_EQ(RUN(&t, fetch), ITEST_HLT);
	set_cr(&t, to_cr4, t.c->cr4 | X86_CR4_SMEP, ITEST_HLT);
	CHECK_EQ(RUN(&t, fetch), X86_PAGE);
	CHECK_EQ(t.c->exc_code, X86_PF_P | X86_PF_I);
	set_cr(&t, to_cr4, t.c->cr4 & ~X86_CR4_SMEP, ITEST_HLT);
	itest_put64(&t, itest_pte(0x300000), 0x300000 | X86_PTE_P | X86_PTE_NX);
	set_efer(&t, X86_EFER_LME, ITEST_HLT);
	CHECK_EQ(RUN(&t, write), X86_PAGE);			/* NX is reserved now */
	CHECK_EQ(t.c->exc_code, X86_PF_P | X86_PF_W | X86_PF_RSVD);
	itest_put64(&t, itest_pte(0x300000), 0x300000 | X86_PTE_P | X86_PTE_U);
	CHECK_EQ(RUN(&t, fetch), ITEST_HLT);
	itest_put64(&t, itest_pte(0x300000), 0x300000 | X86_PTE_P | X86_PTE_NX);
	set_efer(&t, X86_EFER_LME | X86_EFER_NXE, ITEST_HLT);
	CHECK_EQ(RUN(&t, fetch), X86_PAGE);
	itest_close(&t);
}

static void privileged_moves(void **state)
{
	/* mov rax, cr0 */
	static const uint8_t from_cr[] = { 0x0f, 0x20, 0xc0 };
	/* mov rax, dr6 */
	static const uint8_t from_dr[] = { 0x0f, 0x21, 0xf0 };
	/* lmsw ax */
	static const uint8_t lmsw[] = { 0x0f, 1, 0xf0 };
	/* wbinvd */
	static const uint8_t wbinvd[] = { 0x0f, 9 };
	/* invd */
	static const uint8_t invd[] = { 0x0f, 8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	OK(&t, from_cr);
	CHECK_EQ(t.c->gpr[CPU_RAX], t.c->cr0);
	OK(&t, wbinvd);
	OK(&t, invd);
	itest_user(&t);
	CHECK_FAULT(&t, from_cr, X86_GP, 0);
	CHECK_FAULT(&t, from_dr, X86_GP, 0);
	CHECK_FAULT(&t, lmsw, X86_GP, 0);
	CHECK_FAULT(&t, wbinvd, X86_GP, 0);
	CHECK_FAULT(&t, invd, X86_GP, 0);
	itest_close(&t);
}

static void cr8_is_the_client_s(void **state)
{
	/* mov cr8, rax; mov rbx, cr8; hlt */
	static const uint8_t cr8[] = { 0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc3, 0xf4 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = 9;
	CHECK_EQ(RUN(&t, cr8), ITEST_HLT);
	CHECK_EQ(t.tpr, 9);
	CHECK_EQ(t.c->gpr[CPU_RBX], 9);
	t.c->gpr[CPU_RAX] = 0x10;
	CHECK_FAULT(&t, cr8, X86_GP, 0);
	itest_close(&t);
}

static void machine_status_word(void **state)
{
	/* lmsw ax */
	static const uint8_t lmsw[] = { 0x0f, 1, 0xf0 };
	/* smsw eax */
	static const uint8_t smsw[] = { 0x66, 0x0f, 1, 0xe0 };
	/* smsw [0x80000] */
	static const uint8_t smsw_mem[] = { 0x0f, 1, 0x24, 0x25, 0, 0, 8, 0 };
	/* clts */
	static const uint8_t clts[] = { 0x0f, 6 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->cr0 = X86_CR0_ET | X86_CR0_CD;
	t.c->gpr[CPU_RAX] = 0xffff;
	OK(&t, lmsw);
	CHECK_EQ(t.c->cr0, X86_CR0_ET | X86_CR0_CD | 0xf);
	CHECK_EQ(t.c->cpl, 0);
	t.c->gpr[CPU_RAX] = 0;
	itest_put(&t, 0x40000, lmsw, sizeof(lmsw));
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->cr0, X86_CR0_ET | X86_CR0_CD | X86_CR0_PE);	/* PE stays */
	itest_put(&t, 0x40000, smsw, sizeof(smsw));
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], X86_CR0_ET | X86_CR0_CD | X86_CR0_PE);
	itest_mode(&t, ITEST_64);
	itest_put64(&t, ITEST_DATA, UINT64_MAX);
	itest_user(&t);
	OK(&t, smsw_mem);
	CHECK_EQ(get32(&t, ITEST_DATA), 0xffff0000 | (t.c->cr0 & 0xffff));
	t.c->cr4 |= X86_CR4_UMIP;
	CHECK_FAULT(&t, smsw_mem, X86_GP, 0);
	CHECK_FAULT(&t, clts, X86_GP, 0);
	itest_mode(&t, ITEST_64);
	t.c->cr0 |= X86_CR0_TS;
	OK(&t, clts);
	CHECK(!(t.c->cr0 & X86_CR0_TS));
	itest_close(&t);
}

static void debug_registers(void **state)
{
	/* mov dr3, rax; mov dr6, rbx; mov dr7, rcx; mov rax, dr6; mov rbx, dr7; hlt */
	static const uint8_t all[] = {
		0x0f, 0x23, 0xd8, 0x0f, 0x23, 0xf3, 0x0f, 0x23, 0xf9, 0x0f, 0x21, 0xf0, 0x0f,
		0x21, 0xfb, 0xf4,
	};
	/* mov rax, dr4; mov rbx, dr5; hlt */
	static const uint8_t dr4[] = { 0x0f, 0x21, 0xe0, 0x0f, 0x21, 0xeb, 0xf4 };
	/* mov dr6, rax */
	static const uint8_t dr6[] = { 0x0f, 0x23, 0xf0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = UINT64_C(0x123456789abc);
	t.c->gpr[CPU_RBX] = 0xffffffff;
	t.c->gpr[CPU_RCX] = 0xffffdc00;				/* all that is reserved, no GD */
	CHECK_EQ(RUN(&t, all), ITEST_HLT);
	CHECK_EQ(t.c->dr[3], UINT64_C(0x123456789abc));
	CHECK_EQ(t.c->gpr[CPU_RAX], 0xffffefff);
	CHECK_EQ(t.c->gpr[CPU_RBX], 0xffff0400);
	CHECK_EQ(RUN(&t, dr4), ITEST_HLT);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0xffffefff);
	CHECK_EQ(t.c->gpr[CPU_RBX], 0xffff0400);
	t.c->cr4 |= X86_CR4_DE;
	CHECK_UD(&t, dr4);
	t.c->gpr[CPU_RAX] = UINT64_C(1) << 32;
	CHECK_FAULT(&t, dr6, X86_GP, 0);
	itest_user(&t);
	CHECK_FAULT(&t, dr6, X86_GP, 0);
	itest_close(&t);
}

/* A breakpoint on data counts from the next instruction on, whoever runs that. */
static void data_breakpoints_begin_at_once(void **state)
{
	static const uint8_t dr0[] = { 0x0f, 0x23, 0xc0 }, dr7[] = { 0x0f, 0x23, 0xf8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	interp_store(t.c, CPU_DS, ITEST_DATA, 4, 1);		/* the TLB knows the page */
	t.c->gpr[CPU_RAX] = ITEST_DATA;
	OK(&t, dr0);
	t.c->gpr[CPU_RAX] = 0xd0401;				/* 4 bytes, written */
	OK(&t, dr7);
	CHECK_EQ(t.c->watch, 1);
	interp_store(t.c, CPU_DS, ITEST_DATA, 4, 2);
	CHECK_EQ(t.c->watch_hit, 1);
	t.c->watch_hit = 0;
	t.c->gpr[CPU_RAX] = ITEST_DATA + 64;
	OK(&t, dr0);
	interp_store(t.c, CPU_DS, ITEST_DATA, 4, 3);
	CHECK_EQ(t.c->watch_hit, 0);
	interp_store(t.c, CPU_DS, ITEST_DATA + 66, 1, 3);
	CHECK_EQ(t.c->watch_hit, 1);
	t.c->watch_hit = 0;
	t.c->gpr[CPU_RAX] = 0x400;
	OK(&t, dr7);
	CHECK_EQ(t.c->watch, 0);
	itest_close(&t);
}

/* Segments need no checks only when all four that matter are flat. */
static void flat_is_derived(void **state)
{
	static const uint8_t regs[] = { CPU_CS, CPU_SS, CPU_DS, CPU_ES };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	CHECK_EQ(t.c->flat, 1);
	for (unsigned i = 0; i < ARRAY_LEN(regs); i++) {
		struct cpu_seg old = t.c->seg[regs[i]];

		t.c->seg[regs[i]].base = 0x1000;
		interp_mode_changed(t.c);
		CHECK_EQ(t.c->flat, 0);
		t.c->seg[regs[i]] = old;
		t.c->seg[regs[i]].limit = 0xfffffffe;
		interp_mode_changed(t.c);
		CHECK_EQ(t.c->flat, 0);
		t.c->seg[regs[i]] = old;
		t.c->seg[regs[i]].attr &= ~2u;
		interp_mode_changed(t.c);
		CHECK_EQ(t.c->flat, 0);
		t.c->seg[regs[i]] = old;
		t.c->seg[regs[i]].attr |= CPU_SEG_UNUSABLE;
		interp_mode_changed(t.c);
		CHECK_EQ(t.c->flat, 0);
		t.c->seg[regs[i]] = old;
	}
	t.c->seg[CPU_DS].attr |= 4;			/* expand-down */
	interp_mode_changed(t.c);
	CHECK_EQ(t.c->flat, 0);
	itest_close(&t);
}

static void reset_and_init(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->mtrr_def = 0x806;
	t.c->xsave[200] = 9;
	t.c->lstar = t.c->kernel_gs_base = t.c->tsc_aux = t.c->tsc_adjust = 0x1234;
	t.c->spec_ctrl = t.c->shadow = t.c->halted = t.c->nmi_masked = 1;
	t.c->xcr0 = 3;
	t.c->misc_enable = 0;
	t.c->dr7 = 0x401;
	t.c->dr[2] = 5;
	interp_reset(t.c, true);
	CHECK_EQ(t.c->gdt.limit, 0xffff);
	CHECK_EQ(t.c->idt.base, 0);
	CHECK_EQ(t.c->dr7, 0x400);
	CHECK_EQ(t.c->dr[2], 0);
	CHECK_EQ(t.c->shadow | t.c->halted | t.c->nmi_masked, 0);
	CHECK_EQ(t.c->xcr0, 3);
	CHECK_EQ(t.c->kernel_gs_base, 0x1234);
	CHECK_EQ(t.c->tsc_adjust, 0x1234);
	CHECK_EQ(t.c->cr0 & ~(X86_CR0_CD | X86_CR0_NW), X86_CR0_ET);
	CHECK_EQ(t.c->efer, 0);
	CHECK_EQ(t.c->rip, 0xfff0);
	CHECK_EQ(t.c->seg[CPU_CS].sel, 0xf000);
	CHECK_EQ(t.c->seg[CPU_CS].base, 0xffff0000);
	CHECK_EQ(t.c->gpr[CPU_RDX], 0x206c2);			/* CPUID.1.EAX */
	CHECK_EQ(t.c->rflags, 2);
	CHECK_EQ(t.c->mtrr_def, 0x806);
	CHECK_EQ(t.c->xsave[200], 9);
	CHECK_EQ(t.c->lstar, 0x1234);
	CHECK_EQ(t.c->code64, 0);
	interp_reset(t.c, false);
	CHECK_EQ(t.c->cr0, 0x60000010);
	CHECK_EQ(t.c->mtrr_def, 0);
	CHECK_EQ(t.c->xsave[200], 0);
	CHECK_EQ(t.c->xsave[0], 0x40);
	CHECK_EQ(t.c->lstar, 0);
	CHECK_EQ(t.c->pat, X86_PAT_RESET);
	CHECK_EQ(t.c->xcr0, 1);
	CHECK_EQ(t.c->kernel_gs_base | t.c->tsc_aux | t.c->tsc_adjust | t.c->spec_ctrl, 0);
	CHECK_EQ(t.c->misc_enable, 1);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(cr0_rules),
		cmocka_unit_test(pcid_rules),
		cmocka_unit_test(pcid_switches),
		cmocka_unit_test(invpcid_checks),
		cmocka_unit_test(invpcid_types),
		cmocka_unit_test(entering_long_mode),
		cmocka_unit_test(efer_rules),
		cmocka_unit_test(pae_checks_its_top_entries),
		cmocka_unit_test(cr3_rules),
		cmocka_unit_test(cr4_rules),
		cmocka_unit_test(flushes),
		cmocka_unit_test(rights_are_flushed),
		cmocka_unit_test(privileged_moves),
		cmocka_unit_test(cr8_is_the_client_s),
		cmocka_unit_test(machine_status_word),
		cmocka_unit_test(debug_registers),
		cmocka_unit_test(data_breakpoints_begin_at_once),
		cmocka_unit_test(flat_is_derived),
		cmocka_unit_test(reset_and_init),
	};

	return cmocka_run_group_tests_name("sys_cr", tests, NULL, NULL);
}
