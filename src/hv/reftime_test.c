/* One time, however it is asked for. */
#include "hv/hv_fake.h"

#define PAGE UINT64_C(0x7000)

/* What a guest does with the page; false: sequence 0, it must use the MSR. */
static bool page_time(struct fake *f, uint64_t *ret_time)
{
	struct hv_tsc_page p;

	CHECK_EQ(gmem_read(f->mem, PAGE, &p, sizeof(p)), 0);
	if (le32_get(p.sequence) == 0)
		return false;
	*ret_time = (uint64_t)(((unsigned __int128)fake_tsc(f) * le64_get(p.scale)) >> 64) +
		    le64_get(p.offset);
	return true;
}

static void runs_at_ten_megahertz_from_zero(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(hv_ref_time(f->hv), 0);
	clock_step(f->clock, 3600 * NS_PER_SEC);
	CHECK(hv_ref_time(f->hv) <= UINT64_C(36000000000));
	CHECK(hv_ref_time(f->hv) >= UINT64_C(36000000000) - 2);
	CHECK_EQ(rdmsr(f, 3, HV_MSR_REF_COUNT), hv_ref_time(f->hv));
}

static void page_agrees_with_msr(void **state)
{
	struct fake *f = *state;
	uint64_t t;

	wrmsr(f, 0, HV_MSR_REF_TSC, PAGE | 1);
	CHECK_EQ(rdmsr(f, 1, HV_MSR_REF_TSC), PAGE | 1);
	for (unsigned i = 0; i < 1000; i++) {
		CHECK(page_time(f, &t));
		CHECK_EQ(t, rdmsr(f, 0, HV_MSR_REF_COUNT));
		clock_step(f->clock, 1234567891);
	}
}

static void page_is_an_overlay_of_ram(void **state)
{
	struct fake *f = *state;
	uint8_t b[8];

	CHECK_EQ(gmem_write(f->mem, PAGE, "beneath", 8), 0);
	wrmsr(f, 0, HV_MSR_REF_TSC, PAGE | 1);
	wrmsr(f, 0, HV_MSR_REF_TSC, 0);
	CHECK_EQ(gmem_read(f->mem, PAGE, b, 8), 0);
	CHECK_MEM(b, "beneath", 8);
	CHECK_EQ(hv_msr_write(f->hv, 0, HV_MSR_REF_TSC, FAKE_RAM | 1), -ENOENT);
	CHECK_EQ(rdmsr(f, 0, HV_MSR_REF_TSC), 0);
}

static void stands_still_while_stopped(void **state)
{
	struct fake *f = *state;
	uint64_t before, t;
	uint32_t seq, seq2;

	wrmsr(f, 0, HV_MSR_REF_TSC, PAGE | 1);
	clock_step(f->clock, NS_PER_SEC);
	before = hv_ref_time(f->hv);
	CHECK_EQ(gmem_load32(f->mem, PAGE, &seq), 0);
	hv_stop(f->hv);
	hv_stop(f->hv);					/* twice is once */
	f->tsc_jump += 7 * FAKE_TSC_HZ;			/* the TSC does not stop */
	CHECK_EQ(hv_ref_time(f->hv), before);
	hv_start(f->hv);
	hv_start(f->hv);
	CHECK_EQ(hv_ref_time(f->hv), before);
	CHECK_EQ(gmem_load32(f->mem, PAGE, &seq2), 0);
	CHECK(seq2 != seq && seq2 != 0);
	clock_step(f->clock, NS_PER_SEC);
	CHECK(hv_ref_time(f->hv) - before >= 10000000 - 1);
	CHECK(hv_ref_time(f->hv) - before <= 10000000 + 1);
	CHECK(page_time(f, &t));
	CHECK_EQ(t, hv_ref_time(f->hv));
	/* A reset that puts the TSC back to zero. */
	before = hv_ref_time(f->hv);
	hv_stop(f->hv);
	f->tsc_jump -= fake_tsc(f);
	hv_reset(f->hv);
	hv_start(f->hv);
	CHECK_EQ(hv_ref_time(f->hv), before);
}

static void sequence_skips_what_means_invalid(void **state)
{
	struct fake *f = *state;
	struct hv_tsc_page p;

	f->hv->time.sequence = UINT32_MAX - 1;
	hv_stop(f->hv);
	hv_start(f->hv);
	reftime_page(f->hv, &p);
	CHECK_EQ(le32_get(p.sequence), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(runs_at_ten_megahertz_from_zero),
		FAKE_TEST(page_agrees_with_msr),
		FAKE_TEST(page_is_an_overlay_of_ram),
		FAKE_TEST(stands_still_while_stopped),
		FAKE_TEST(sequence_skips_what_means_invalid),
	};

	return cmocka_run_group_tests_name("hv-reftime", tests, NULL, NULL);
}
