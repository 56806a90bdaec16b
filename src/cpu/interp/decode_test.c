/* decode_test.c - bytes to struct insn: operands, ends, and what is no instruction */
#include "base/test.h"
#include "cpu/interp/decode.h"
#include "cpu/interp/itest.h"

static struct insn decode(enum decode_mode mode, const char *bytes, unsigned n)
{
	struct decoder d;
	struct insn in;

	decoder_init(&d, cpu_model_find("x86-64-v2"));
	CHECK_EQ(decode_insn(&d, mode, (const uint8_t *)bytes, n, &in), 0);
	return in;
}

static struct insn common(enum decode_mode mode, const char *bytes, unsigned n)
{
	struct decoder d;
	struct insn in = { 0 };
	struct zin z;

	decoder_init(&d, cpu_model_find("x86-64-v2"));
	CHECK(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d.z[mode], bytes, n, &z.i, z.op)));
	decode_common(&z, &in);
	return in;
}

#define COMMON(mode, bytes) common(mode, bytes, sizeof(bytes) - 1)

static void test_operands(void **state)
{
	struct insn in;

	(void)state;
	in = COMMON(DECODE_64, "\x48\x01\xd8");			/* add rax, rbx */
	CHECK_EQ(in.len, 3);
	CHECK_EQ(in.osz, 8);
	CHECK_EQ(in.reg, CPU_RBX);
	CHECK_EQ(in.rm, CPU_RAX);
	CHECK_EQ(in.mem, 0);
	in = COMMON(DECODE_64, "\x4d\x89\xfe");			/* mov r14, r15 */
	CHECK_EQ(in.reg, 15);
	CHECK_EQ(in.rm, 14);
	in = COMMON(DECODE_64, "\x88\xe1");			/* mov cl, ah */
	CHECK_EQ(in.osz, 1);
	CHECK_EQ(in.reg, 0x14);
	CHECK_EQ(in.rm, 1);
	in = COMMON(DECODE_64, "\x40\x88\xe1");			/* mov cl, spl */
	CHECK_EQ(in.reg, 4);
	in = COMMON(DECODE_64, "\x41\x50");			/* push r8 */
	CHECK_EQ(in.rm, 8);
	CHECK_EQ(in.osz, 8);
	in = COMMON(DECODE_64, "\x8e\xd0");			/* mov ss, eax */
	CHECK_EQ(in.reg, CPU_SS);
	in = COMMON(DECODE_64, "\x0f\x22\xd8");			/* mov cr3, rax */
	CHECK_EQ(in.reg, 3);
	in = COMMON(DECODE_64, "\x66\x44\x0f\xef\xc1");		/* pxor xmm8, xmm1 */
	CHECK_EQ(in.reg, 8);
	CHECK_EQ(in.rm, 1);
}

static void test_memory(void **state)
{
	struct insn in;

	(void)state;
	in = COMMON(DECODE_64, "\x65\x4a\x8b\x44\xa5\xf8");	/* mov rax, gs:[rbp + r12*4 - 8] */
	CHECK_EQ(in.mem, 1);
	CHECK_EQ(in.base, CPU_RBP);
	CHECK_EQ(in.index, 12);
	CHECK_EQ(in.scale, 2);
	CHECK_EQ(in.disp, -8);
	CHECK_EQ(in.seg, CPU_GS);
	CHECK_EQ(in.asz, 8);
	in = COMMON(DECODE_64, "\x8b\x05\x00\x10\x00\x00");	/* mov eax, [rip + 0x1000] */
	CHECK_EQ(in.base, REG_NEXT_RIP);
	CHECK_EQ(in.index, REG_NONE);
	CHECK_EQ(in.seg, CPU_DS);
	in = COMMON(DECODE_64, "\x67\x8b\x04\x24");		/* mov eax, [esp] */
	CHECK_EQ(in.asz, 4);
	CHECK_EQ(in.base, CPU_RSP);
	CHECK_EQ(in.index, REG_NONE);
	CHECK_EQ(in.seg, CPU_SS);
	in = COMMON(DECODE_16, "\x8b\x42\x10");			/* mov ax, [bp + si + 0x10] */
	CHECK_EQ(in.osz, 2);
	CHECK_EQ(in.asz, 2);
	CHECK_EQ(in.base, CPU_RBP);
	CHECK_EQ(in.index, CPU_RSI);
	CHECK_EQ(in.seg, CPU_SS);
	in = COMMON(DECODE_32, "\xa1\x78\x56\x34\x92");		/* mov eax, [0x92345678] */
	CHECK_EQ(in.mem, 1);
	CHECK_EQ(in.base, REG_NONE);
	CHECK_EQ((uint32_t)in.disp, 0x92345678);
	in = COMMON(DECODE_64, "\xff\x33");			/* push qword [rbx] */
	CHECK_EQ(in.mem, 1);
	CHECK_EQ(in.base, CPU_RBX);
	CHECK_EQ(in.seg, CPU_DS);
	in = COMMON(DECODE_64, "\x64\xa4");			/* movsb es:[rdi], fs:[rsi] */
	CHECK_EQ(in.seg, CPU_FS);
	CHECK_EQ(in.rep, 0);
	in = COMMON(DECODE_64, "\xf3\x48\xab");			/* rep stosq */
	CHECK_EQ(in.rep, 0xf3);
	CHECK_EQ(in.osz, 8);
	in = COMMON(DECODE_64, "\xf2\xae");			/* repne scasb */
	CHECK_EQ(in.rep, 0xf2);
	in = COMMON(DECODE_64, "\xf0\x48\x0f\xb1\x0b");		/* lock cmpxchg [rbx], rcx */
	CHECK_EQ(in.lock, 1);
}

static void test_immediates(void **state)
{
	struct insn in;

	(void)state;
	in = COMMON(DECODE_64, "\x48\x83\xc0\xff");		/* add rax, -1 */
	CHECK_EQ(in.imm, UINT64_MAX);
	in = COMMON(DECODE_64, "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11");
	CHECK_EQ(in.imm, 0x1122334455667788);
	in = COMMON(DECODE_64, "\x68\x00\x00\x00\x80");		/* push imm32 */
	CHECK_EQ(in.imm, 0xffffffff80000000);
	in = COMMON(DECODE_64, "\xeb\xfe");			/* jmp $ */
	CHECK_EQ(in.imm, (uint64_t)-2);
	in = COMMON(DECODE_64, "\xe8\x00\x01\x00\x00");
	CHECK_EQ(in.imm, 0x100);
}

static void test_ends(void **state)
{
	static const struct { enum decode_mode mode; const char *bytes; uint8_t ends; } rows[] = {
		{ DECODE_64, "\x48\x01\xd8\x90", END_NO },
		{ DECODE_64, "\x75\xfe\x90\x90", END_DIRECT },
		{ DECODE_64, "\xeb\xfe\x90\x90", END_DIRECT },
		{ DECODE_64, "\xe2\xfe\x90\x90", END_DIRECT },		/* loop */
		{ DECODE_64, "\xff\xe0\x90\x90", END_INDIRECT },
		{ DECODE_64, "\xff\xd0\x90\x90", END_INDIRECT },
		{ DECODE_64, "\xc3\x90\x90\x90", END_INDIRECT },
		{ DECODE_64, "\xc2\x08\x00\x90", END_INDIRECT },
		{ DECODE_64, "\xcb\x90\x90\x90", END_SPECIAL },		/* retf */
		{ DECODE_64, "\xff\x28\x90\x90", END_SPECIAL },		/* jmp far [rax] */
		{ DECODE_64, "\x48\xcf\x90\x90", END_SPECIAL },		/* iretq */
		{ DECODE_64, "\xf3\xaa\x90\x90", END_DIRECT },		/* rep stosb */
		{ DECODE_64, "\xaa\x90\x90\x90", END_NO },
		{ DECODE_64, "\xfb\x90\x90\x90", END_SPECIAL },		/* sti */
		{ DECODE_64, "\x9d\x90\x90\x90", END_SPECIAL },		/* popf */
		{ DECODE_64, "\xf4\x90\x90\x90", END_SPECIAL },		/* hlt */
		{ DECODE_64, "\x8e\xd0\x90\x90", END_SPECIAL },		/* mov ss, eax */
		{ DECODE_32, "\x17\x90\x90\x90", END_SPECIAL },		/* pop ss */
		{ DECODE_64, "\x0f\x22\xd8\x90", END_SPECIAL },		/* mov cr3, rax */
		{ DECODE_64, "\x0f\x23\xf8\x90", END_SPECIAL },		/* mov dr7, rax */
		{ DECODE_64, "\x0f\x05\x90\x90", END_SPECIAL },		/* syscall */
		{ DECODE_64, "\x0f\x01\xc1\x90", END_SPECIAL },		/* vmcall */
		{ DECODE_64, "\xcc\x90\x90\x90", END_SPECIAL },
		{ DECODE_64, "\xcd\x80\x90\x90", END_SPECIAL },
		{ DECODE_64, "\x0f\x0b\x90\x90", END_SPECIAL },		/* ud2 */
		{ DECODE_64, "\xe6\x80\x90\x90", END_SPECIAL },		/* out */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct insn in = decode(rows[i].mode, rows[i].bytes, 4);

		if (in.ends != rows[i].ends)
			fail_msg("row %u: ends %u, expected %u", i, in.ends, rows[i].ends);
	}
}

/* What raises what, as the guest sees it. */
static int raises(struct itest *t, const char *bytes, unsigned n)
{
	itest_code(t, bytes, n);
	return itest_step(t);
}

#define RAISES(t, bytes) raises(t, bytes, sizeof(bytes) - 1)

static void test_undefined(void **state)
{
	struct itest t;

	(void)state;
	itest_open(&t, ITEST_64);
	t.c->gpr[CPU_RBX] = ITEST_DATA;
	t.c->gpr[CPU_RCX] = ITEST_DATA;
	CHECK_EQ(RAISES(&t, "\x0f\x04"), X86_UD);
	CHECK_EQ(RAISES(&t, "\x06"), X86_UD);				/* push es */
	CHECK_EQ(RAISES(&t, "\x0f\x0b"), X86_UD);
	/* LOCK: a memory destination and an instruction of the list, or #UD */
	CHECK_EQ(RAISES(&t, "\xf0\x01\x03"), ITEST_HLT);		/* lock add [rbx], eax */
	CHECK_EQ(RAISES(&t, "\xf0\x01\xc3"), X86_UD);			/* lock add ebx, eax */
	CHECK_EQ(RAISES(&t, "\xf0\x03\x03"), X86_UD);			/* lock add eax, [rbx] */
	CHECK_EQ(RAISES(&t, "\xf0\x89\x03"), X86_UD);			/* lock mov */
	CHECK_EQ(RAISES(&t, "\xf0\x39\x03"), X86_UD);			/* lock cmp */
	CHECK_EQ(RAISES(&t, "\xf0\x0f\xa3\x03"), X86_UD);		/* lock bt */
	CHECK_EQ(RAISES(&t, "\xf0\x90"), X86_UD);
	/* not of the model */
	CHECK_EQ(RAISES(&t, "\xc5\xf8\x28\xc1"), X86_UD);		/* vmovaps */
	CHECK_EQ(RAISES(&t, "\xc4\xe2\x70\xf2\xc1"), X86_UD);		/* andn */
	CHECK_EQ(RAISES(&t, "\x0f\xc7\xf0"), X86_UD);			/* rdrand */
	CHECK_EQ(RAISES(&t, "\x0f\x38\xf0\x03"), X86_UD);		/* movbe */
	CHECK_EQ(RAISES(&t, "\x0f\x01\xc8"), X86_UD);			/* monitor */
	CHECK_EQ(RAISES(&t, "\x0f\x01\xd5"), X86_UD);			/* xend */
	CHECK_EQ(RAISES(&t, "\x66\x0f\xae\x3b"), X86_UD);		/* clflushopt */
	/* hints and their later owners */
	CHECK_EQ(RAISES(&t, "\xf3\x0f\x1e\xfa"), ITEST_HLT);		/* endbr64 */
	CHECK_EQ(RAISES(&t, "\x0f\x1f\x44\x00\x00"), ITEST_HLT);
	CHECK_EQ(RAISES(&t, "\xf2\xeb\x00"), ITEST_HLT);		/* bnd jmp */
	CHECK_EQ(RAISES(&t, "\xf3\x90"), ITEST_HLT);			/* pause */
	CHECK_EQ(RAISES(&t, "\x0f\x0d\x0b"), ITEST_HLT);		/* prefetchw */
	CHECK_EQ(RAISES(&t, "\xf3\x0f\xbc\xc1"), ITEST_HLT);		/* tzcnt is bsf */
	CHECK_EQ(RAISES(&t, "\x0f\xae\x3b"), ITEST_HLT);		/* clflush */
	CHECK_EQ(RAISES(&t, "\xf3\x0f\xae\xc0"), X86_UD);		/* rdfsbase: CR4 forbids */
	itest_close(&t);
}

static void test_length(void **state)
{
	static const char fits[] = "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90";
	static const char over[] =
		"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90";
	struct decoder d;
	struct insn in;
	struct itest t;

	(void)state;
	decoder_init(&d, cpu_model_find("x86-64-v2"));
	CHECK_EQ(decode_insn(&d, DECODE_64, (const uint8_t *)"\x48\x01", 2, &in), -ENODATA);
	CHECK_EQ(decode_insn(&d, DECODE_64, (const uint8_t *)fits, 14, &in), -ENODATA);
	itest_open(&t, ITEST_64);
	CHECK_EQ(RAISES(&t, fits), ITEST_HLT);
	CHECK_EQ(t.c->rip, ITEST_CODE + 15);
	CHECK_EQ(RAISES(&t, over), X86_GP);
	CHECK_EQ(t.c->exc_code, 0);
	/* long by its operands: 10 prefixes before an 8-byte instruction */
	CHECK_EQ(RAISES(&t, "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e"
			"\xc7\x84\x00\x00\x00\x00\x00\x00\x00\x00\x00"), X86_GP);
	itest_close(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_immediates),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_undefined),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests_name("interp_decode", tests, NULL, NULL);
}
