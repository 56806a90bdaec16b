/* What a guest reads from CPUID, and that the MSRs it was promised are there. */
#include "hv/hv_fake.h"

static void vendor_and_interface(void **state)
{
	struct fake *f = *state;
	uint32_t r[4] = { 1, 2, 3, 4 };

	hv_cpuid(f->hv, 0, 0x40000000, 0, r);
	CHECK(r[0] >= 0x40000005 && r[0] < 0x40010000);
	CHECK_MEM(&r[1], "Microsoft Hv", 12);
	hv_cpuid(f->hv, 0, 0x40000001, 0, r);
	CHECK_MEM(&r[0], "Hv#1", 4);
	CHECK_EQ(r[1] | r[2] | r[3], 0);
}

static void hypervisor_bit_is_added(void **state)
{
	struct fake *f = *state;
	uint32_t r[4] = { 0, 0, 0x5, 0 };

	hv_cpuid(f->hv, 0, 1, 0, r);
	CHECK_EQ(r[2], 0x80000005);
}

static void other_leaves_are_left_alone(void **state)
{
	struct fake *f = *state;
	uint32_t r[4] = { 1, 2, 3, 4 };
	static const uint32_t want[4] = { 1, 2, 3, 4 };

	hv_cpuid(f->hv, 0, 7, 0, r);
	hv_cpuid(f->hv, 0, 0x80000001, 0, r);
	hv_cpuid(f->hv, 0, 0x3fffffff, 0, r);
	CHECK_MEM(r, want, sizeof(r));
	hv_cpuid(f->hv, 0, 0x40000100, 0, r);	/* no second hypervisor there */
	CHECK_EQ(r[0] | r[1] | r[2] | r[3], 0);
}

/* Bits that make a guest do what we cannot answer; see the reference for each. */
static void nothing_dangerous_is_announced(void **state)
{
	struct fake *f = *state;
	uint32_t r[4];

	hv_cpuid(f->hv, 0, 0x40000003, 0, r);
	CHECK_EQ(r[0] & (1u << 10 | 1u << 13), 0);	/* guest idle, reenlightenment */
	CHECK_EQ(r[1] & (1u << 1 | 1u << 12 | 1u << 16 | 1u << 20 | 1u << 22), 0);
	CHECK_EQ(r[1] & 0x30, 0x30);
	hv_cpuid(f->hv, 0, 0x40000004, 0, r);
	CHECK_EQ(r[2], 42);
}

static void every_announced_msr_answers(void **state)
{
	static const struct { unsigned bit; uint32_t first, last; } gates[] = {
		{ 0, 0x40000010, 0x40000010 }, { 1, 0x40000020, 0x40000020 },
		{ 2, 0x40000080, 0x40000084 }, { 2, 0x40000090, 0x4000009f },
		{ 3, 0x400000b0, 0x400000b7 }, { 4, 0x40000071, 0x40000073 },
		{ 5, 0x40000000, 0x40000001 }, { 6, 0x40000002, 0x40000002 },
		{ 7, 0x40000003, 0x40000003 }, { 8, 0x400000e8, 0x400000e8 },
		{ 9, 0x40000021, 0x40000021 }, { 10, 0x400000f0, 0x400000f0 },
		{ 11, 0x40000022, 0x40000023 }, { 12, 0x400000f1, 0x400000f1 },
		{ 13, 0x40000106, 0x40000108 }, { 15, 0x40000118, 0x40000118 },
	};
	struct fake *f = *state;
	uint32_t r[4];
	uint64_t val;

	hv_cpuid(f->hv, 0, 0x40000003, 0, r);
	for (size_t i = 0; i < ARRAY_LEN(gates); i++)
		for (uint32_t msr = gates[i].first; msr <= gates[i].last; msr++)
			CHECK_EQ(hv_msr_read(f->hv, 0, msr, &val),
				 (r[0] >> gates[i].bit & 1) != 0 ? 0 : -ENOENT);
}

static void invariant_tsc_shows_once_asked_for(void **state)
{
	struct fake *f = *state;
	uint32_t r[4] = { 0 };

	hv_cpuid(f->hv, 0, 0x80000007, 0, r);
	CHECK_EQ(r[3], 0);
	wrmsr(f, 3, HV_MSR_TSC_INVARIANT, 1);
	hv_cpuid(f->hv, 0, 0x80000007, 0, r);
	CHECK_EQ(r[3], 1u << 8);
	wrmsr(f, 3, HV_MSR_TSC_INVARIANT, 0);		/* no way back ... */
	CHECK_EQ(rdmsr(f, 0, HV_MSR_TSC_INVARIANT), 1);
	CHECK_EQ(hv_msr_write(f->hv, 0, HV_MSR_TSC_INVARIANT, 2), -ENOENT);
	hv_reset(f->hv);				/* ... but this */
	CHECK_EQ(rdmsr(f, 0, HV_MSR_TSC_INVARIANT), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(vendor_and_interface),
		FAKE_TEST(hypervisor_bit_is_added),
		FAKE_TEST(other_leaves_are_left_alone),
		FAKE_TEST(nothing_dangerous_is_announced),
		FAKE_TEST(every_announced_msr_answers),
		FAKE_TEST(invariant_tsc_shows_once_asked_for),
	};

	return cmocka_run_group_tests_name("hv-cpuid", tests, NULL, NULL);
}
