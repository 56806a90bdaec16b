/* The synthetic MSRs as a guest reads and writes them. */
#include "hv/hv_fake.h"

#define PAGE UINT64_C(0x5000)

static uint64_t word(struct fake *f, uint64_t gpa)
{
	uint8_t b[8];

	CHECK_EQ(gmem_read(f->mem, gpa, b, sizeof(b)), 0);
	return ld64(b);
}

static void strangers_get_gp(void **state)
{
	static const uint32_t none[] = {
		0x3fffffff, 0x40000004, 0x40000024, 0x40000040, 0x40000074, 0x40000085, 0x400000a0,
		0x400000af, 0x400000b8, 0x400000f0, 0x400000ff, 0x40000106, 0x40000114, 0x400001ff,
		0x10, 0xc0000080, 0xffffffff,
	};
	static const uint32_t read_only[] = {
		HV_MSR_VP_INDEX, HV_MSR_VP_RUNTIME, HV_MSR_REF_COUNT, HV_MSR_TSC_FREQUENCY,
		HV_MSR_APIC_FREQUENCY, HV_MSR_SVERSION,
	};
	struct fake *f = *state;
	uint64_t val;

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		CHECK_EQ(hv_msr_read(f->hv, 0, none[i], &val), -ENOENT);
		CHECK_EQ(hv_msr_write(f->hv, 0, none[i], 0), -ENOENT);
	}
	for (size_t i = 0; i < ARRAY_LEN(read_only); i++) {
		CHECK_EQ(hv_msr_read(f->hv, 0, read_only[i], &val), 0);
		CHECK_EQ(hv_msr_write(f->hv, 0, read_only[i], 0), -ENOENT);
	}
	CHECK_EQ(hv_msr_read(f->hv, 0, HV_MSR_EOI, &val), -ENOENT);
}

static void hypercall_page_comes_and_goes(void **state)
{
	static const uint8_t vmcall[8] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x01, 0xc1, 0xc3 };
	struct fake *f = *state;
	uint8_t b[8];

	CHECK_EQ(gmem_write(f->mem, PAGE, "guest's", 8), 0);
	CHECK_EQ(gmem_write(f->mem, PAGE + PAGE_SIZE, "another", 8), 0);
	wrmsr(f, 0, HV_MSR_HYPERCALL, PAGE | 0x801);
	CHECK_EQ(rdmsr(f, 5, HV_MSR_HYPERCALL), PAGE | 0x801);
	CHECK_EQ(gmem_read(f->mem, PAGE, b, 8), 0);
	CHECK_MEM(b, vmcall, 8);
	/* It moves. */
	wrmsr(f, 0, HV_MSR_HYPERCALL, (PAGE + PAGE_SIZE) | 1);
	CHECK_EQ(gmem_read(f->mem, PAGE, b, 8), 0);
	CHECK_MEM(b, "guest's", 8);
	CHECK_EQ(gmem_read(f->mem, PAGE + PAGE_SIZE, b, 8), 0);
	CHECK_MEM(b, vmcall, 8);
	/* It goes with its guest. */
	wrmsr(f, 0, HV_MSR_GUEST_OS_ID, 0);
	CHECK_EQ(gmem_read(f->mem, PAGE + PAGE_SIZE, b, 8), 0);
	CHECK_MEM(b, "another", 8);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_HYPERCALL), PAGE + PAGE_SIZE);
	wrmsr(f, 0, HV_MSR_HYPERCALL, PAGE | 1);	/* nobody asked who we are */
	CHECK_EQ(rdmsr(f, 0, HV_MSR_HYPERCALL), PAGE);
}

static void hypercall_page_must_be_ram_and_can_be_locked(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(hv_msr_write(f->hv, 0, HV_MSR_HYPERCALL, FAKE_RAM | 1), -ENOENT);
	CHECK_EQ(hv_msr_write(f->hv, 0, HV_MSR_HYPERCALL, ~UINT64_C(0xffe)), -ENOENT);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_HYPERCALL), 0);
	wrmsr(f, 0, HV_MSR_HYPERCALL, PAGE | 3);
	CHECK_EQ(hv_msr_write(f->hv, 0, HV_MSR_HYPERCALL, 0), -ENOENT);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_HYPERCALL), PAGE | 3);
	hv_reset(f->hv);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_HYPERCALL), 0);
}

static void code_traps_as_the_engine_wants(void **state)
{
	static const uint8_t vmmcall[8] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x01, 0xd9, 0xc3 };
	static const uint8_t out[8] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xe6, 0xea, 0xc3, 0xcc };
	struct fake *f = *state;
	struct hv_conf conf = fake_conf(f);
	struct hv *hv;
	uint8_t b[8];

	for (unsigned port = 0; port <= 0xea; port += 0xea) {
		conf.amd = true;
		conf.hypercall_port = (uint8_t)port;
		CHECK_EQ(hv_new(&conf, &hv, NULL), 0);
		CHECK_EQ(hv_msr_write(hv, 0, HV_MSR_GUEST_OS_ID, 1), 0);
		CHECK_EQ(hv_msr_write(hv, 0, HV_MSR_HYPERCALL, PAGE | 1), 0);
		CHECK_EQ(gmem_read(f->mem, PAGE, b, 8), 0);
		CHECK_MEM(b, port == 0 ? vmmcall : out, 8);
		hv_free(hv);
	}
}

static void who_and_how_fast(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(rdmsr(f, 0, HV_MSR_VP_INDEX), 0);
	CHECK_EQ(rdmsr(f, 69, HV_MSR_VP_INDEX), 69);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_TSC_FREQUENCY), FAKE_TSC_HZ);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_APIC_FREQUENCY), 200000000);
	CHECK_EQ(rdmsr(f, 9, HV_MSR_GUEST_OS_ID), FAKE_OS_ID);
	CHECK_EQ(hv_guest_os_id(f->hv), FAKE_OS_ID);
}

static void runtime_grows_with_work(void **state)
{
	struct fake *f = *state;
	uint64_t then = rdmsr(f, 0, HV_MSR_VP_RUNTIME), now = then;

	for (unsigned i = 0; i < 100000000 && now - then < 1000; i++)
		now = rdmsr(f, 0, HV_MSR_VP_RUNTIME);
	CHECK(now - then >= 1000);
}

static void reset_register(void **state)
{
	struct fake *f = *state;

	wrmsr(f, 0, HV_MSR_RESET, 2);
	CHECK_EQ(f->nr_resets, 0);
	wrmsr(f, 0, HV_MSR_RESET, 1);
	CHECK_EQ(f->nr_resets, 1);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_RESET), 0);
}

static void apic_registers(void **state)
{
	struct fake *f = *state;

	wrmsr(f, 1, HV_MSR_EOI, 0x55);
	CHECK_EQ(f->apic_reg, 0xb0);
	CHECK_EQ(f->apic_val, 0);
	wrmsr(f, 1, HV_MSR_ICR, UINT64_C(0x0300000000004031));
	CHECK_EQ(f->apic_reg, 0x300);
	CHECK_EQ(f->apic_val, UINT64_C(0x0300000000004031));
	wrmsr(f, 1, HV_MSR_TPR, 0x1f0);
	CHECK_EQ(f->apic_reg, 0x80);
	CHECK_EQ(f->apic_val, 0xf0);
	CHECK_EQ(rdmsr(f, 4, HV_MSR_TPR), UINT64_C(0x400000080));
	CHECK_EQ(rdmsr(f, 4, HV_MSR_ICR), UINT64_C(0x400000300));
}

static void assist_page_is_zeroed(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(gmem_write(f->mem, PAGE, "dirt", 4), 0);
	wrmsr(f, 2, HV_MSR_VP_ASSIST, PAGE | 1);
	CHECK_EQ(word(f, PAGE), 0);
	CHECK_EQ(rdmsr(f, 2, HV_MSR_VP_ASSIST), PAGE | 1);
	CHECK_EQ(rdmsr(f, 3, HV_MSR_VP_ASSIST), 0);
	CHECK_EQ(hv_msr_write(f->hv, 2, HV_MSR_VP_ASSIST, FAKE_RAM | 1), -ENOENT);
	wrmsr(f, 2, HV_MSR_VP_ASSIST, 0);
}

static void crash_with_text(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(gmem_write(f->mem, PAGE, "Kernel panic", 12), 0);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_CRASH_CTL), HV_CRASH_NOTIFY | HV_CRASH_MESSAGE);
	for (unsigned i = 0; i < 3; i++)
		wrmsr(f, 0, HV_MSR_CRASH_P0 + i, 100 + i);
	wrmsr(f, 0, HV_MSR_CRASH_P0 + 3, PAGE);
	wrmsr(f, 0, HV_MSR_CRASH_P0 + 4, 12);
	CHECK_EQ(rdmsr(f, 1, HV_MSR_CRASH_P0 + 4), 12);
	wrmsr(f, 0, HV_MSR_CRASH_CTL, HV_CRASH_MESSAGE);	/* without notify: nothing yet */
	CHECK_EQ(f->nr_crashes, 0);
	wrmsr(f, 0, HV_MSR_CRASH_CTL, HV_CRASH_NOTIFY | HV_CRASH_MESSAGE);
	CHECK_EQ(f->nr_crashes, 1);
	CHECK_EQ(f->crash[2], 102);
	CHECK_STR(f->crash_text, "Kernel panic");
}

static void crash_with_lies(void **state)
{
	static const uint64_t len[] = { 4097, UINT64_MAX, 12, 0 };
	static const uint64_t gpa[] = { PAGE, PAGE, FAKE_RAM - 6, PAGE };
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(len); i++) {
		wrmsr(f, 0, HV_MSR_CRASH_P0 + 3, gpa[i]);
		wrmsr(f, 0, HV_MSR_CRASH_P0 + 4, len[i]);
		wrmsr(f, 0, HV_MSR_CRASH_CTL, HV_CRASH_NOTIFY | HV_CRASH_MESSAGE);
		CHECK_EQ(f->nr_crashes, i + 1);
		CHECK_STR(f->crash_text, "");
	}
}

static void reset_forgets_the_guest(void **state)
{
	struct fake *f = *state;

	wrmsr(f, 0, HV_MSR_HYPERCALL, PAGE | 1);
	wrmsr(f, 0, HV_MSR_REF_TSC, (PAGE + PAGE_SIZE) | 1);
	wrmsr(f, 8, HV_MSR_VP_ASSIST, (PAGE + 2 * PAGE_SIZE) | 1);
	wrmsr(f, 8, HV_MSR_SIMP, (PAGE + 3 * PAGE_SIZE) | 1);
	wrmsr(f, 8, HV_MSR_SIEFP, (PAGE + 4 * PAGE_SIZE) | 1);
	wrmsr(f, 8, HV_MSR_SINT0 + 2, 0xf3);
	wrmsr(f, 8, HV_MSR_SCONTROL, 0);
	wrmsr(f, 8, HV_MSR_STIMER0_CONFIG, 0xed << 4 | HV_STIMER_DIRECT);
	wrmsr(f, 8, HV_MSR_CRASH_P0, 1);
	clock_step(f->clock, NS_PER_SEC);
	hv_reset(f->hv);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_GUEST_OS_ID), 0);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_HYPERCALL), 0);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_REF_TSC), 0);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_VP_ASSIST), 0);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_SIMP), 0);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_SIEFP), 0);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_SINT0 + 2), 0x10000);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_SCONTROL), 1);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_STIMER0_CONFIG), 0);
	CHECK_EQ(rdmsr(f, 8, HV_MSR_CRASH_P0), 0);
	CHECK(rdmsr(f, 0, HV_MSR_REF_COUNT) >= 9999999);	/* goes on */
}

static void creation_can_fail(void **state)
{
	struct fake *f = *state;
	struct hv_conf conf = fake_conf(f);
	struct err err;
	struct hv *hv;

	conf.nr_vps = 0;
	CHECK_EQ(hv_new(&conf, &hv, &err), -EINVAL);
	conf = fake_conf(f);
	conf.tsc_hz = 0;
	CHECK_EQ(hv_new(&conf, &hv, &err), -EINVAL);
	conf = fake_conf(f);
	conf.nr_vps = 1;
	for (unsigned n = 1; n <= 6; n++) {	/* the partition, its VP, four timers */
		base_fail_alloc(n);
		CHECK_EQ(hv_new(&conf, &hv, &err), -ENOMEM);
	}
	base_fail_alloc(0);
	CHECK_EQ(hv_new(&conf, &hv, &err), 0);
	hv_free(hv);
	hv_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(strangers_get_gp),
		FAKE_TEST(hypercall_page_comes_and_goes),
		FAKE_TEST(hypercall_page_must_be_ram_and_can_be_locked),
		FAKE_TEST(code_traps_as_the_engine_wants),
		FAKE_TEST(who_and_how_fast),
		FAKE_TEST(runtime_grows_with_work),
		FAKE_TEST(reset_register),
		FAKE_TEST(apic_registers),
		FAKE_TEST(assist_page_is_zeroed),
		FAKE_TEST(crash_with_text),
		FAKE_TEST(crash_with_lies),
		FAKE_TEST(reset_forgets_the_guest),
		FAKE_TEST(creation_can_fail),
	};

	return cmocka_run_group_tests_name("hv-msr", tests, NULL, NULL);
}
