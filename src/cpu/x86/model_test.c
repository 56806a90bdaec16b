/* model_test.c - the CPUID models */
#include "base/test.h"
#include "cpu/x86/model.h"

#include <Zydis/Zydis.h>
#include <string.h>

static const struct cpu_model *v2(void)
{
	const struct cpu_model *m = cpu_model_find("x86-64-v2");

	CHECK(m != NULL);
	return m;
}

static void test_names(void **state)
{
	(void)state;
	(void)v2();
	CHECK(cpu_model_find("host") == NULL);
	CHECK(cpu_model_find("") == NULL);
}

static void test_identity(void **state)
{
	uint32_t r[4];
	char text[49] = { 0 };

	(void)state;
	cpu_model_cpuid(v2(), 0, 7, r);		/* the subleaf is ignored */
	CHECK_EQ(r[0], 0xd);
	memcpy(text, &r[1], 4);
	memcpy(text + 4, &r[3], 4);
	memcpy(text + 8, &r[2], 4);
	CHECK_STR(text, "GenuineIntel");
	for (uint32_t i = 0; i < 3; i++) {
		cpu_model_cpuid(v2(), 0x80000002 + i, 0, r);
		memcpy(text + 16 * i, r, 16);
	}
	CHECK(strstr(text, "Genvisor") != NULL);
}

/* The psABI's list for the level, bit by bit. */
static void test_level(void **state)
{
	uint32_t r[4];

	(void)state;
	cpu_model_cpuid(v2(), 1, 0, r);
	CHECK_EQ(r[2] & 0x00982201u, 0x00982201u);	/* SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT */
	CHECK_EQ(r[3] & 0x07808101u, 0x07808101u & ~0u);	/* FPU CX8 CMOV MMX FXSR SSE SSE2 */
	CHECK_EQ(r[2] & (1u << 27 | 1u << 31 | 1u << 28), 0);	/* OSXSAVE, HYPERVISOR, AVX */
	cpu_model_cpuid(v2(), 0x80000001, 0, r);
	CHECK(r[2] & 1);				/* LAHF */
	CHECK(r[3] & 1u << 29);
	cpu_model_cpuid(v2(), 7, 1, r);			/* no such subleaf */
	CHECK_EQ(r[0] | r[1] | r[2] | r[3], 0);
	cpu_model_cpuid(v2(), 0x40000000, 0, r);
	CHECK_EQ(r[0] | r[1] | r[2] | r[3], 0);
}

static void test_consistent(void **state)
{
	uint32_t r[4];

	(void)state;
	cpu_model_cpuid(v2(), 0x80000008, 0, r);
	CHECK_EQ(r[0] & 0xff, cpu_model_phys_bits(v2()));
	cpu_model_cpuid(v2(), 0xd, 0, r);
	CHECK_EQ(r[0], cpu_model_xcr0(v2()));
	CHECK_EQ(r[2], 512 + 64);
	cpu_model_cpuid(v2(), 7, 0, r);
	CHECK(r[3] & 1u << 29);
	CHECK(cpu_model_arch_capabilities(v2()) & 1);	/* not vulnerable to Meltdown */
	cpu_model_cpuid(v2(), 7, 2, r);
	CHECK_EQ(r[3], 1u << 4 | 1u << 5);		/* BHI_CTRL, MCDT_NO */
	cpu_model_cpuid(v2(), 4, 2, r);			/* 256 KiB of L2 */
	CHECK_EQ(((r[1] >> 22) + 1) * ((r[1] & 0xfff) + 1) * (r[2] + 1), 256 * 1024);
}

static const struct cpu_model *v3(void)
{
	const struct cpu_model *m = cpu_model_find("x86-64-v3");

	CHECK(m != NULL);
	return m;
}

static uint32_t bits(const struct cpu_model *m, uint32_t leaf, uint32_t sub, unsigned reg)
{
	uint32_t r[4];

	cpu_model_cpuid(m, leaf, sub, r);
	return r[reg];
}

/* All that v2 shows, and the psABI's list: AVX BMI F16C FMA LZCNT MOVBE; no TSX, no AVX-512. */
static void test_level_3(void **state)
{
	static const uint32_t leaves[] = { 1, 7, 0x80000001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
		for (unsigned reg = 1; reg < 4; reg++)
			CHECK_EQ(bits(v2(), leaves[i], 0, reg) & ~bits(v3(), leaves[i], 0, reg), 0);
	CHECK_EQ(bits(v3(), 1, 0, 2) & 0x30401000u, 0x30401000u);
	CHECK_EQ(bits(v3(), 7, 0, 1) & 0x128u, 0x128u);
	CHECK(bits(v3(), 0x80000001, 0, 2) & 1u << 5);
	CHECK_EQ(bits(v3(), 7, 0, 1) & (1u << 4 | 1u << 11 | 1u << 16), 0);
	CHECK_EQ(bits(v3(), 0xd, 0, 0), cpu_model_xcr0(v3()));
	CHECK_EQ(bits(v3(), 0xd, 2, 0), 256);
	CHECK_EQ(bits(v3(), 0xd, 2, 1), 576);
	CHECK_EQ(bits(v3(), 0xd, 2, 0) + bits(v3(), 0xd, 2, 1), bits(v3(), 0xd, 0, 2));
	CHECK_EQ(bits(v3(), 0xd, 1, 0) & 8, 0);
	CHECK_EQ(bits(v3(), 0xd, 3, 0), 0);
}

/* As v3, but for keys and the room for PKRU. */
static void test_pk(void **state)
{
	const struct cpu_model *m = cpu_model_find("x86-64-v3-pk");

	(void)state;
	CHECK_EQ(bits(m, 7, 0, 2) ^ bits(v3(), 7, 0, 2), 1u << 3 | 1u << 31);
	CHECK_EQ(bits(m, 7, 0, 1), bits(v3(), 7, 0, 1));
	CHECK_EQ(bits(m, 1, 0, 2), bits(v3(), 1, 0, 2));
	CHECK_EQ(bits(m, 0xd, 0, 0), cpu_model_xcr0(m));
	CHECK_EQ(bits(m, 0xd, 9, 0) + bits(m, 0xd, 9, 1), bits(m, 0xd, 0, 2));
	CHECK_EQ(bits(m, 0xd, 2, 0), 256);
	CHECK(cpu_model_isa(m, ZYDIS_ISA_SET_PKU));
	CHECK(!cpu_model_isa(v3(), ZYDIS_ISA_SET_PKU));
}

/* The other vendor's: the same features, none of them where only Intel has them. */
static void test_amd(void **state)
{
	const struct cpu_model *m = cpu_model_find("x86-64-v2-amd");
	uint32_t r[4], edx = bits(m, 1, 0, 3);

	(void)state;
	cpu_model_cpuid(m, 0, 0, r);
	CHECK_MEM(&r[1], "Auth", 4);
	CHECK_MEM(&r[3], "enti", 4);
	CHECK_MEM(&r[2], "cAMD", 4);
	CHECK_EQ(bits(m, 0x80000000, 0, 1), r[1]);
	CHECK_EQ(bits(m, 0x80000001, 0, 0), bits(m, 1, 0, 0));
	CHECK_EQ(bits(m, 0x80000001, 0, 3) & 0x0183f3ff, edx & 0x0183f3ff);
	CHECK_EQ(bits(m, 1, 0, 2) & 0x00982201u, 0x00982201u);
	CHECK_EQ(bits(m, 7, 0, 3), 0);			/* IBRS, ARCH_CAPABILITIES */
	CHECK_EQ(bits(m, 7, 0, 1) & 2, 0);		/* TSC_ADJUST */
	CHECK_EQ(bits(m, 4, 0, 0) | bits(m, 2, 0, 0), 0);
	CHECK_EQ(cpu_model_arch_capabilities(m), 0);
	CHECK_EQ(bits(m, 0x80000008, 0, 0) & 0xff, cpu_model_phys_bits(m));
	CHECK(cpu_model_host_ok(m));
}

/* What the host has, as the compiler sees it; a model it lacks is not the best. */
static void test_host(void **state)
{
	bool sse42 = __builtin_cpu_supports("sse4.2"), avx2 = __builtin_cpu_supports("avx2"),
	     bmi2 = __builtin_cpu_supports("bmi2"), fma = __builtin_cpu_supports("fma");

	(void)state;
	CHECK_EQ(cpu_host_isa(ZYDIS_ISA_SET_SSE42), sse42);
	CHECK_EQ(cpu_host_isa(ZYDIS_ISA_SET_AVX2), avx2);
	CHECK_EQ(cpu_host_isa(ZYDIS_ISA_SET_BMI2), bmi2);
	CHECK(!cpu_host_isa(ZYDIS_ISA_SET_KNCV));
	CHECK(cpu_model_host_ok(v2()));
	if (!avx2 || !bmi2 || !fma)
		CHECK(!cpu_model_host_ok(v3()));
	CHECK_STR(cpu_model_best(), cpu_model_host_ok(v3()) ? "x86-64-v3" : "x86-64-v2");
	CHECK_STR(cpu_model_name(0), "x86-64-v3");
	CHECK_STR(cpu_model_name(1), "x86-64-v3-pk");
	CHECK_STR(cpu_model_name(2), "x86-64-v2-amd");
	CHECK_STR(cpu_model_name(3), "x86-64-v2");
	CHECK(cpu_model_name(4) == NULL);
}

static void test_isa(void **state)
{
	(void)state;
	CHECK(cpu_model_isa(v2(), ZYDIS_ISA_SET_I86));
	CHECK(cpu_model_isa(v2(), ZYDIS_ISA_SET_SSE42));
	CHECK(cpu_model_isa(v2(), ZYDIS_ISA_SET_SMAP));
	CHECK(!cpu_model_isa(v2(), ZYDIS_ISA_SET_AVX));
	CHECK(!cpu_model_isa(v2(), ZYDIS_ISA_SET_RDRAND));
	CHECK(!cpu_model_isa(v2(), ZYDIS_ISA_SET_BMI1));
	CHECK(!cpu_model_isa(v2(), ZYDIS_ISA_SET_MONITOR));
	CHECK(!cpu_model_isa(v2(), ZYDIS_ISA_SET_XSAVEOPT));
	CHECK(cpu_model_isa(v3(), ZYDIS_ISA_SET_AVX2));
	CHECK(cpu_model_isa(v3(), ZYDIS_ISA_SET_XSAVEC));
	CHECK(!cpu_model_isa(v3(), ZYDIS_ISA_SET_XSAVES));
	CHECK(!cpu_model_isa(v3(), ZYDIS_ISA_SET_AVX512F_512));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_consistent),
		cmocka_unit_test(test_level_3),
		cmocka_unit_test(test_pk),
		cmocka_unit_test(test_amd),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_isa),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
