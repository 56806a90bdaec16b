/* sys_seg_test.c - segment registers, descriptor tables, questions about descriptors */
#include "cpu/interp/sys/sys_test.h"

#define SEL ITEST_GDT_FREE			/* 0x58 */
#define STEP(t, code) (ITEST_CODE_IS(t, code), itest_step(t))
#define OK(t, code) CHECK_EQ(STEP(t, code), ITEST_HLT)

static void data_segments(void **state)
{
	/* mov ds, ax */
	static const uint8_t mov[] = { 0x8e, 0xd8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0x12345678, 0x54321, 0x92, 4));
	OK(&t, mov);
	CHECK_EQ(t.c->seg[CPU_DS].base, 0x12345678);
	CHECK_EQ(t.c->seg[CPU_DS].limit, 0x54321);
	CHECK_EQ(t.c->seg[CPU_DS].attr, 0x4093);
	CHECK_EQ(get_desc(&t, SEL) >> 40 & 0xff, 0x93);	/* accessed */
	put_desc(&t, SEL, mk_desc(0, 0xfffff, 0x9a, 0xc));	/* readable code */
	OK(&t, mov);
	CHECK_EQ(t.c->seg[CPU_DS].limit, UINT32_MAX);
	put_desc(&t, SEL, mk_desc(0, 0xfffff, 0x98, 0xc));	/* execute only */
	CHECK_FAULT(&t, mov, X86_GP, SEL);
	put_desc(&t, SEL, mk_desc(0, 0xfffff, 0x12, 0xc));
	CHECK_FAULT(&t, mov, X86_NP, SEL);
	put_desc(&t, SEL, mk_desc(0, 0xfffff, 0x82, 0xc));	/* a system segment */
	CHECK_FAULT(&t, mov, X86_GP, SEL);
	t.c->gpr[CPU_RAX] = 0x1003;
	CHECK_FAULT(&t, mov, X86_GP, 0x1000);
	t.c->gpr[CPU_RAX] = 0x14;				/* an LDT there is not */
	seg_set_null(t.c, CPU_LDTR, 0);
	CHECK_FAULT(&t, mov, X86_GP, 0x14);
	t.c->gpr[CPU_RAX] = 3;
	OK(&t, mov);
	CHECK_EQ(t.c->seg[CPU_DS].attr, CPU_SEG_UNUSABLE);
	CHECK_EQ(t.c->seg[CPU_DS].sel, 3);
	itest_close(&t);
}

static void data_segment_privilege(void **state)
{
	/* mov es, ax */
	static const uint8_t mov[] = { 0x8e, 0xc0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = ITEST_DATA32 | 3;			/* RPL weaker than DPL */
	CHECK_FAULT(&t, mov, X86_GP, ITEST_DATA32);
	user32(&t);
	t.c->gpr[CPU_RAX] = ITEST_DATA32;
	CHECK_FAULT(&t, mov, X86_GP, ITEST_DATA32);
	t.c->gpr[CPU_RAX] = ITEST_USER_DATA & 0xfff8;
	OK(&t, mov);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0, 0xfffff, 0x9f, 0xc));	/* conforming, ring 0 */
	OK(&t, mov);
	itest_close(&t);
}

static void stack_segments(void **state)
{
	/* mov ss, ax */
	static const uint8_t mov[] = { 0x8e, 0xd0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0x93, 0));
	OK(&t, mov);
	CHECK_EQ(t.c->stack_size, 2);
	CHECK_EQ(t.c->shadow, SHADOW_MOV_SS);
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0x92, 0));
	OK(&t, mov);
	CHECK_EQ(get_desc(&t, SEL) >> 40 & 0xff, 0x93);
	t.c->gpr[CPU_RAX] = 0;
	CHECK_FAULT(&t, mov, X86_GP, 0);
	t.c->gpr[CPU_RAX] = SEL | 1;
	CHECK_FAULT(&t, mov, X86_GP, SEL);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0x91, 0));		/* read only */
	CHECK_FAULT(&t, mov, X86_GP, SEL);
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0x9b, 0));
	CHECK_FAULT(&t, mov, X86_GP, SEL);
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0xf3, 0));		/* DPL 3 */
	CHECK_FAULT(&t, mov, X86_GP, SEL);
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0x13, 0));
	CHECK_FAULT(&t, mov, X86_SS, SEL);
	itest_close(&t);
}

/* 64-bit kernels run with a null SS, but only their own. */
static void null_ss_in_64_bit_mode(void **state)
{
	/* mov ss, eax */
	static const uint8_t mov[] = { 0x8e, 0xd0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	OK(&t, mov);
	CHECK_EQ(t.c->cpl, 0);
	CHECK_EQ(t.c->seg[CPU_SS].attr, CPU_SEG_UNUSABLE);
	for (unsigned rpl = 1; rpl < 4; rpl++) {
		t.c->gpr[CPU_RAX] = rpl;
		CHECK_FAULT(&t, mov, X86_GP, 0);
	}
	itest_user(&t);
	CHECK_FAULT(&t, mov, X86_GP, 0);			/* RPL 3 in ring 3 */
	itest_close(&t);
}

static void real_mode_keeps_limits(void **state)
{
	/* mov ds, ax */
	static const uint8_t mov[] = { 0x8e, 0xd8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	t.c->gpr[CPU_RAX] = 0x1234;
	t.c->seg[CPU_DS].limit = UINT32_MAX;
	OK(&t, mov);
	CHECK_EQ(t.c->seg[CPU_DS].base, 0x12340);
	CHECK_EQ(t.c->seg[CPU_DS].limit, UINT32_MAX);		/* "unreal" mode */
	itest_mode(&t, ITEST_32);
	v86(&t, 0);
	t.c->seg[CPU_DS].limit = UINT32_MAX;
	t.c->gpr[CPU_RAX] = 0x1234;
	ITEST_CODE_IS(&t, mov);
	t.c->rip = 0;
	CHECK_EQ(itest_step(&t), ITEST_HLT);
	CHECK_EQ(t.c->seg[CPU_DS].limit, 0xffff);
	itest_close(&t);
}

static void push_and_pop(void **state)
{
	/* push fs */
	static const uint8_t push_fs[] = { 0x0f, 0xa0 };
	/* pop gs */
	static const uint8_t pop_gs[] = { 0x0f, 0xa9 };
	/* push ds */
	static const uint8_t push_ds[] = { 0x1e };
	/* pop ss */
	static const uint8_t pop_ss[] = { 0x17 };
	/* o16 pop es */
	static const uint8_t pop_es16[] = { 0x66, 7 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	itest_put64(&t, ITEST_STACK - 8, UINT64_MAX);
	OK(&t, push_fs);
	CHECK_EQ(itest_get64(&t, ITEST_STACK - 8), ITEST_DATA32);
	itest_put64(&t, ITEST_STACK - 8, 0xabcd0000 | ITEST_USER_DATA);
	OK(&t, pop_gs);
	CHECK_EQ(t.c->seg[CPU_GS].sel, ITEST_USER_DATA);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK);
	itest_mode(&t, ITEST_32);
	OK(&t, push_ds);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK - 4);
	put_desc(&t, SEL, mk_desc(0, 0xffff, 0x93, 0));
	put32(&t, ITEST_STACK - 4, SEL);
	OK(&t, pop_ss);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK);
	CHECK_EQ(t.c->shadow, SHADOW_MOV_SS);
	itest_mode(&t, ITEST_32);
	put16(&t, ITEST_STACK, ITEST_USER_DATA);
	OK(&t, pop_es16);
	CHECK_EQ(t.c->seg[CPU_ES].sel, ITEST_USER_DATA);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK + 2);
	put16(&t, ITEST_STACK + 2, 0x1000);
	CHECK_FAULT(&t, pop_es16, X86_GP, 0x1000);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK + 2);
	itest_close(&t);
}

static void stores_of_selectors(void **state)
{
	/* mov eax, ds */
	static const uint8_t reg32[] = { 0x8c, 0xd8 };
	/* mov ax, ds */
	static const uint8_t reg16[] = { 0x66, 0x8c, 0xd8 };
	/* mov [0x80000], ds */
	static const uint8_t mem[] = { 0x8c, 0x1d, 0, 0, 8, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = 0xffffffff;
	OK(&t, reg16);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0xffff0000 | ITEST_DATA32);
	OK(&t, reg32);
	CHECK_EQ(t.c->gpr[CPU_RAX], ITEST_DATA32);
	put32(&t, ITEST_DATA, 0xffffffff);
	OK(&t, mem);
	CHECK_EQ(get32(&t, ITEST_DATA), 0xffff0000 | ITEST_DATA32);
	itest_close(&t);
}

static void far_pointers(void **state)
{
	/* les ebx, [0x80000] */
	static const uint8_t les[] = { 0xc4, 0x1d, 0, 0, 8, 0 };
	/* lss esp, [0x80000] */
	static const uint8_t lss[] = { 0x0f, 0xb2, 0x25, 0, 0, 8, 0 };
	/* o64 lgs rbx, [0x80000] */
	static const uint8_t lgs[] = { 0x48, 0x0f, 0xb5, 0x1c, 0x25, 0, 0, 8, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	itest_put64(&t, ITEST_DATA, 0x12345678 | (uint64_t)ITEST_USER_DATA << 32);
	OK(&t, les);
	CHECK_EQ(t.c->gpr[CPU_RBX], 0x12345678);
	CHECK_EQ(t.c->seg[CPU_ES].sel, ITEST_USER_DATA);
	CHECK_FAULT(&t, lss, X86_GP, ITEST_USER_DATA & 0xfff8);
	CHECK_EQ(t.c->gpr[CPU_RSP], ITEST_STACK);
	itest_mode(&t, ITEST_64);
	itest_put64(&t, ITEST_DATA, UINT64_C(0x1122334455667788));
	itest_put64(&t, ITEST_DATA + 8, 3);
	OK(&t, lgs);
	CHECK_EQ(t.c->gpr[CPU_RBX], UINT64_C(0x1122334455667788));
	CHECK_EQ(t.c->seg[CPU_GS].sel, 3);
	itest_close(&t);
}

/* ---- GDTR, IDTR, LDTR, TR ------------------------------------------------------------------------- */

static void table_registers(void **state)
{
	/* lgdt [0x80000] */
	static const uint8_t lgdt[] = { 0x0f, 1, 0x14, 0x25, 0, 0, 8, 0 };
	/* sgdt [0x80010] */
	static const uint8_t sgdt[] = { 0x0f, 1, 4, 0x25, 0x10, 0, 8, 0 };
	/* o16 lidt [0x80000] */
	static const uint8_t lidt16[] = { 0x66, 0x0f, 1, 0x1d, 0, 0, 8, 0 };
	/* sidt [0x80010] */
	static const uint8_t sidt[] = { 0x0f, 1, 0x0d, 0x10, 0, 8, 0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	put16(&t, ITEST_DATA, 0x1234);
	itest_put64(&t, ITEST_DATA + 2, UINT64_C(0xffff800012345678));
	OK(&t, lgdt);
	CHECK_EQ(t.c->gdt.base, UINT64_C(0xffff800012345678));
	CHECK_EQ(t.c->gdt.limit, 0x1234);
	OK(&t, sgdt);
	CHECK_EQ(get16(&t, ITEST_DATA + 16), 0x1234);
	CHECK_EQ(itest_get64(&t, ITEST_DATA + 18), UINT64_C(0xffff800012345678));
	itest_put64(&t, ITEST_DATA + 2, UINT64_C(0x800000000000));
	CHECK_FAULT(&t, lgdt, X86_GP, 0);
	itest_user(&t);
	CHECK_FAULT(&t, lgdt, X86_GP, 0);
	OK(&t, sgdt);
	t.c->cr4 |= X86_CR4_UMIP;
	CHECK_FAULT(&t, sgdt, X86_GP, 0);
	itest_mode(&t, ITEST_32);
	put32(&t, ITEST_DATA + 2, 0xaabbccdd);
	OK(&t, lidt16);
	CHECK_EQ(t.c->idt.base, 0xbbccdd);			/* 24 bits */
	OK(&t, sidt);
	CHECK_EQ(get32(&t, ITEST_DATA + 18), 0xbbccdd);
	itest_close(&t);
}

static void task_register(void **state)
{
	/* ltr ax */
	static const uint8_t ltr[] = { 0x0f, 0, 0xd8 };
	/* ltr ax */
	static const uint8_t ltr64[] = { 0x0f, 0, 0xd8 };
	/* str eax */
	static const uint8_t str[] = { 0x0f, 0, 0xc8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x89, 0));
	OK(&t, ltr);
	CHECK_EQ(t.c->seg[CPU_TR].base, 0x12345);
	CHECK_EQ(t.c->seg[CPU_TR].attr, 0x8b);
	CHECK_EQ(get_desc(&t, SEL) >> 40 & 0xff, 0x8b);
	CHECK_FAULT(&t, ltr, X86_GP, SEL);			/* busy now */
	OK(&t, str);
	CHECK_EQ(t.c->gpr[CPU_RAX], SEL);
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x09, 0));
	CHECK_FAULT(&t, ltr, X86_NP, SEL);
	put_desc(&t, SEL, mk_desc(0x12345, 0x2b, 0x81, 0));	/* 16 bits */
	OK(&t, ltr);
	t.c->gpr[CPU_RAX] = 0;
	CHECK_FAULT(&t, ltr, X86_GP, 0);
	t.c->gpr[CPU_RAX] = 0x14;
	CHECK_FAULT(&t, ltr, X86_GP, 0x14);
	itest_mode(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x89, 0));
	put_desc(&t, SEL + 8, 0xffffffff);
	OK(&t, ltr64);
	CHECK_EQ(t.c->seg[CPU_TR].base, UINT64_C(0xffffffff00012345));
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x89, 0));
	put_desc(&t, SEL + 8, 0x8000);				/* not canonical */
	CHECK_FAULT(&t, ltr64, X86_GP, SEL);
	put_desc(&t, SEL + 8, UINT64_C(0x1f0000000000));
	CHECK_FAULT(&t, ltr64, X86_GP, SEL);
	put_desc(&t, SEL, mk_desc(0x12345, 0x2b, 0x81, 0));
	CHECK_FAULT(&t, ltr64, X86_GP, SEL);
	CHECK_EQ(get_desc(&t, SEL) >> 40 & 0xff, 0x81);		/* a fault marks nothing */
	itest_close(&t);
}

static void local_table(void **state)
{
	/* lldt ax */
	static const uint8_t lldt[] = { 0x0f, 0, 0xd0 };
	/* mov ds, bx */
	static const uint8_t mov[] = { 0x8e, 0xdb };
	/* sldt ecx */
	static const uint8_t sldt[] = { 0x0f, 0, 0xc1 };
	/* lldt ax */
	static const uint8_t real[] = { 0x0f, 0, 0xd0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0x25000, 0xf, 0x82, 0));
	itest_put64(&t, 0x25008, mk_desc(0x7000, 0xff, 0x93, 0));
	OK(&t, lldt);
	t.c->gpr[CPU_RBX] = 0xc;
	OK(&t, mov);
	CHECK_EQ(t.c->seg[CPU_DS].base, 0x7000);
	t.c->gpr[CPU_RBX] = 0x14;
	CHECK_FAULT(&t, mov, X86_GP, 0x14);
	OK(&t, sldt);
	CHECK_EQ(t.c->gpr[CPU_RCX], SEL);
	t.c->gpr[CPU_RAX] = ITEST_DATA32;
	CHECK_FAULT(&t, lldt, X86_GP, ITEST_DATA32);
	t.c->gpr[CPU_RAX] = 0;
	OK(&t, lldt);
	t.c->gpr[CPU_RBX] = 0xc;
	CHECK_FAULT(&t, mov, X86_GP, 0xc);
	itest_mode(&t, ITEST_16);
	CHECK_UD(&t, real);
	itest_close(&t);
}

static void system_segments_need_protected_mode(void **state)
{
	static const uint8_t code[][3] = {
		{ 0x0f, 0x00, 0xd0 },		/* lldt ax */
		{ 0x0f, 0x00, 0xd8 },		/* ltr ax */
		{ 0x0f, 0x00, 0xc0 },		/* sldt ax */
		{ 0x0f, 0x00, 0xc8 },		/* str ax */
		{ 0x0f, 0x00, 0xe0 },		/* verr ax */
		{ 0x0f, 0x00, 0xe8 },		/* verw ax */
		{ 0x0f, 0x02, 0xc0 },		/* lar ax, ax */
		{ 0x0f, 0x03, 0xc0 },		/* lsl ax, ax */
		{ 0x63, 0xc0, 0x90 },		/* arpl ax, ax */
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_16);
	for (unsigned i = 0; i < ARRAY_LEN(code); i++)
		CHECK_EQ(STEP(&t, code[i]), X86_UD);
	itest_mode(&t, ITEST_32);
	v86(&t, 3);
	for (unsigned i = 0; i < ARRAY_LEN(code); i++)
		CHECK_EQ(RUN_V86(&t, code[i]), X86_UD);
	itest_close(&t);
}

static void table_privilege(void **state)
{
	static const uint8_t code[][4] = {
		{ 0x0f, 0x00, 0xd0, 0x90 },	/* lldt ax */
		{ 0x0f, 0x00, 0xd8, 0x90 },	/* ltr ax */
		{ 0x0f, 0x00, 0xc0, 0x90 },	/* sldt eax; UMIP */
		{ 0x0f, 0x00, 0xc8, 0x90 },	/* str eax; UMIP */
		{ 0x0f, 0x01, 0x13, 0x90 },	/* lgdt [ebx] */
		{ 0x0f, 0x01, 0x1b, 0x90 },	/* lidt [ebx] */
	};
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->cr4 |= X86_CR4_UMIP;
	t.c->gpr[CPU_RBX] = ITEST_DATA;
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x89, 0));
	put_desc(&t, SEL + 8, mk_desc(0x12345, 0x67, 0x82, 0));
	for (unsigned i = 0; i < ARRAY_LEN(code); i++) {
		t.c->gpr[CPU_RAX] = i == 0 ? SEL + 8 : SEL;
		user32(&t);
		CHECK_FAULT(&t, code[i], X86_GP, 0);
		for (unsigned s = CPU_ES; s <= CPU_GS; s++)
			t.c->seg[s] = (struct cpu_seg){ ITEST_DATA32, 0xc093, UINT32_MAX, 0 };
		t.c->seg[CPU_CS] = (struct cpu_seg){ ITEST_CODE32, 0xc09b, UINT32_MAX, 0 };
		interp_mode_changed(t.c);
		OK(&t, code[i]);
	}
	itest_close(&t);
}

static void refused_tables(void **state)
{
	/* lldt ax */
	static const uint8_t lldt[] = { 0x0f, 0, 0xd0 };
	/* ltr ax */
	static const uint8_t ltr[] = { 0x0f, 0, 0xd8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->seg[CPU_LDTR] = (struct cpu_seg){ SEL, 0x82, 0xff, 0x25000 };
	itest_put64(&t, 0x25008, mk_desc(0x12345, 0x67, 0x89, 0));	/* good, but in an LDT */
	itest_put64(&t, 0x25010, mk_desc(0x12345, 0x67, 0x82, 0));
	t.c->gpr[CPU_RAX] = 0xc;
	CHECK_FAULT(&t, ltr, X86_GP, 0xc);
	t.c->gpr[CPU_RAX] = 0x14;
	CHECK_FAULT(&t, lldt, X86_GP, 0x14);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x02, 0));
	CHECK_FAULT(&t, lldt, X86_NP, SEL);
	put_desc(&t, SEL, mk_desc(0x12345, 0x67, 0x99, 0));		/* code, type 9 */
	CHECK_FAULT(&t, ltr, X86_GP, SEL);
	put_desc(&t, 0, mk_desc(0x12345, 0x67, 0x89, 0));
	t.c->gpr[CPU_RAX] = 0;
	CHECK_FAULT(&t, ltr, X86_GP, 0);
	itest_close(&t);
}

/* ---- LAR, LSL, VERR, VERW, ARPL -------------------------------------------------------------------- */

static void lar_and_lsl(void **state)
{
	/* lar ecx, eax */
	static const uint8_t lar[] = { 0x0f, 2, 0xc8 };
	/* lsl edx, eax */
	static const uint8_t lsl[] = { 0x0f, 3, 0xd0 };
	/* lar ecx, eax */
	static const uint8_t lar64[] = { 0x0f, 2, 0xc8 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0x12345678, 0xabcde, 0xf3, 0xc));
	OK(&t, lar);
	CHECK(t.c->rflags & X86_ZF);
	CHECK_EQ(t.c->gpr[CPU_RCX], 0xcaf300);
	OK(&t, lsl);
	CHECK_EQ(t.c->gpr[CPU_RDX], 0xabcdefff);
	t.c->gpr[CPU_RAX] = 0;
	OK(&t, lar);
	CHECK(!(t.c->rflags & X86_ZF));
	CHECK_EQ(t.c->gpr[CPU_RCX], 0xcaf300);			/* unchanged */
	user32(&t);
	t.c->gpr[CPU_RAX] = ITEST_DATA32;
	OK(&t, lar);
	CHECK(!(t.c->rflags & X86_ZF));
	itest_mode(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_gate(ITEST_CODE32, 0, 0x8c, 0));	/* a call gate */
	OK(&t, lar);
	CHECK(t.c->rflags & X86_ZF);
	OK(&t, lsl);
	CHECK(!(t.c->rflags & X86_ZF));
	put_desc(&t, SEL, mk_desc(0, 0x2b, 0x81, 0));		/* a 16-bit TSS */
	OK(&t, lar);
	CHECK(t.c->rflags & X86_ZF);
	itest_mode(&t, ITEST_64);
	t.c->gpr[CPU_RAX] = SEL;
	OK(&t, lar64);
	CHECK(!(t.c->rflags & X86_ZF));
	itest_close(&t);
}

static void verr_verw_arpl(void **state)
{
	/* verr ax */
	static const uint8_t verr[] = { 0x0f, 0, 0xe0 };
	/* verw ax */
	static const uint8_t verw[] = { 0x0f, 0, 0xe8 };
	/* arpl ax, bx */
	static const uint8_t arpl[] = { 0x63, 0xd8 };
	/* mov ds, ax; arpl [esi], bx */
	static const uint8_t load[] = { 0x8e, 0xd8 }, arpl_mem[] = { 0x63, 0x1e };
	/* verr ax */
	static const uint8_t real[] = { 0x0f, 0, 0xe0 };
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_32);
	t.c->gpr[CPU_RAX] = SEL;
	put_desc(&t, SEL, mk_desc(0, 0xff, 0x91, 0));		/* read only */
	OK(&t, verr);
	CHECK(t.c->rflags & X86_ZF);
	OK(&t, verw);
	CHECK(!(t.c->rflags & X86_ZF));
	put_desc(&t, SEL, mk_desc(0, 0xff, 0x99, 0));		/* execute only */
	OK(&t, verr);
	CHECK(!(t.c->rflags & X86_ZF));
	t.c->gpr[CPU_RAX] = 0x1234 & 0xfffc;
	t.c->gpr[CPU_RBX] = 2;
	OK(&t, arpl);
	CHECK(t.c->rflags & X86_ZF);
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x1236);
	t.c->gpr[CPU_RBX] = 1;
	OK(&t, arpl);
	CHECK(!(t.c->rflags & X86_ZF));
	CHECK_EQ(t.c->gpr[CPU_RAX], 0x1236);
	put_desc(&t, SEL, mk_desc(0, 0xfffff, 0x91, 0xc));	/* read only: no harm without a change */
	t.c->gpr[CPU_RAX] = SEL;
	OK(&t, load);
	t.c->gpr[CPU_RSI] = ITEST_DATA;
	itest_put64(&t, ITEST_DATA, 0x1236);
	OK(&t, arpl_mem);
	CHECK(!(t.c->rflags & X86_ZF));
	itest_put64(&t, ITEST_DATA, 0x1234);
	CHECK_FAULT(&t, arpl_mem, X86_GP, 0);
	itest_mode(&t, ITEST_16);
	CHECK_UD(&t, real);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_segments),
		cmocka_unit_test(data_segment_privilege),
		cmocka_unit_test(stack_segments),
		cmocka_unit_test(null_ss_in_64_bit_mode),
		cmocka_unit_test(real_mode_keeps_limits),
		cmocka_unit_test(push_and_pop),
		cmocka_unit_test(stores_of_selectors),
		cmocka_unit_test(far_pointers),
		cmocka_unit_test(table_registers),
		cmocka_unit_test(task_register),
		cmocka_unit_test(local_table),
		cmocka_unit_test(system_segments_need_protected_mode),
		cmocka_unit_test(table_privilege),
		cmocka_unit_test(refused_tables),
		cmocka_unit_test(lar_and_lsl),
		cmocka_unit_test(verr_verw_arpl),
	};

	return cmocka_run_group_tests_name("sys_seg", tests, NULL, NULL);
}
