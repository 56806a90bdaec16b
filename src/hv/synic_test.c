/* Messages and event flags, taken as guests take them: from the pages. */
#include "hv/hv_fake.h"

#include <pthread.h>

#define SIMP UINT64_C(0x10000)
#define SIEFP UINT64_C(0x11000)
#define VP 3u
#define SINT 2u
#define VECTOR 0xf3u

static uint64_t slot(unsigned sint)
{
	return SIMP + sint * 256;
}

static void synic_on(struct fake *f, uint64_t sint_bits)
{
	wrmsr(f, VP, HV_MSR_SIMP, SIMP | 1);
	wrmsr(f, VP, HV_MSR_SIEFP, SIEFP | 1);
	wrmsr(f, VP, HV_MSR_SINT0 + SINT, VECTOR | sint_bits);
}

static int post(struct fake *f, uint32_t n)
{
	return hv_synic_post(f->hv, VP, SINT, 1, &n, sizeof(n));
}

static bool slot_full(struct fake *f)
{
	uint32_t type;

	CHECK_EQ(gmem_load32(f->mem, slot(SINT), &type), 0);
	return type != 0;
}

/* Reads the message, frees the slot, and says EOM only if it must. */
static struct hv_msg take(struct fake *f)
{
	uint8_t flags;
	struct hv_msg m;

	CHECK_EQ(gmem_read(f->mem, slot(SINT), &m, sizeof(m)), 0);
	CHECK(le32_get(m.type) != 0);
	CHECK_EQ(gmem_store32(f->mem, slot(SINT), 0), 0);
	CHECK_EQ(gmem_read(f->mem, slot(SINT) + 5, &flags, 1), 0);
	if ((flags & HV_MSG_PENDING) != 0)
		wrmsr(f, VP, HV_MSR_EOM, 0);
	return m;
}

static uint32_t take_number(struct fake *f)
{
	struct hv_msg m = take(f);

	CHECK_EQ(m.size, 4);
	return ld32(m.payload);
}

static void a_message_arrives(void **state)
{
	struct fake *f = *state;
	uint8_t text[HV_MSG_PAYLOAD];
	struct fake_raise r;
	struct hv_msg m;

	memset(text, 0x5a, sizeof(text));
	synic_on(f, 0);
	CHECK_EQ(hv_synic_post(f->hv, VP, SINT, 1, text, sizeof(text)), 0);
	r = one_raise(f);
	CHECK_EQ(r.vp, VP);
	CHECK_EQ(r.vector, VECTOR);
	CHECK(!r.auto_eoi);
	m = take(f);
	CHECK_EQ(le32_get(m.type), 1);
	CHECK_EQ(m.size, HV_MSG_PAYLOAD);
	CHECK_EQ(m.flags, 0);
	CHECK_MEM(m.payload, text, sizeof(text));
	CHECK(!slot_full(f));
}

static void many_arrive_in_order(void **state)
{
	struct fake *f = *state;

	synic_on(f, HV_SINT_AUTO_EOI);
	for (uint32_t i = 0; i < 300; i++)
		CHECK_EQ(post(f, i), 0);
	CHECK(one_raise(f).auto_eoi);		/* of the first: the rest must wait */
	for (uint32_t i = 0; i < 300; i++) {
		CHECK_EQ(take_number(f), i);
		CHECK_EQ(f->nr_raises, i == 299 ? 0 : 1);
		f->nr_raises = 0;
	}
	CHECK(!slot_full(f));
}

/* A guest that says EOI and no EOM, because the flag came after it looked. */
static void eoi_is_as_good_as_eom(void **state)
{
	struct fake *f = *state;

	synic_on(f, 0);
	CHECK_EQ(post(f, 1), 0);
	CHECK_EQ(post(f, 2), 0);
	CHECK_EQ(gmem_store32(f->mem, slot(SINT), 0), 0);
	hv_eoi(f->hv, VP, VECTOR + 1);		/* somebody else's */
	CHECK(!slot_full(f));
	hv_eoi(f->hv, VP, VECTOR);
	CHECK_EQ(take_number(f), 2);
	CHECK_EQ(f->nr_raises, 2);
}

static void flags_tell_that_more_waits(void **state)
{
	struct fake *f = *state;
	struct hv_msg m;

	synic_on(f, 0);
	CHECK_EQ(post(f, 1), 0);
	CHECK_EQ(gmem_read(f->mem, slot(SINT), &m, sizeof(m)), 0);
	CHECK_EQ(m.flags, 0);
	CHECK_EQ(post(f, 2), 0);
	CHECK_EQ(gmem_read(f->mem, slot(SINT), &m, sizeof(m)), 0);
	CHECK_EQ(m.flags, HV_MSG_PENDING);	/* set in the slot the guest has */
	CHECK_EQ(post(f, 3), 0);
	take(f);
	CHECK_EQ(gmem_read(f->mem, slot(SINT), &m, sizeof(m)), 0);
	CHECK_EQ(m.flags, HV_MSG_PENDING);	/* 3 is behind 2 */
	take(f);
	CHECK_EQ(gmem_read(f->mem, slot(SINT), &m, sizeof(m)), 0);
	CHECK_EQ(m.flags, 0);
}

static void held_until(struct fake *f, uint32_t msr, uint64_t off, uint64_t on)
{
	wrmsr(f, VP, msr, off);
	f->nr_raises = 0;
	CHECK_EQ(post(f, msr), 0);
	hv_synic_signal(f->hv, VP, SINT, 77);
	CHECK_EQ(f->nr_raises, 0);
	CHECK(!slot_full(f));
	wrmsr(f, VP, msr, on);
}

static void take_all(struct fake *f, uint32_t number)
{
	uint32_t g;

	CHECK(f->nr_raises >= 1);
	CHECK_EQ(take_number(f), number);
	CHECK_EQ(gmem_and32(f->mem, SIEFP + SINT * 256 + 8, 0, &g), 0);
	CHECK_EQ(g, 1u << 13);			/* 77 */
}

static void nothing_is_lost_while_off(void **state)
{
	struct fake *f = *state;

	synic_on(f, 0);
	held_until(f, HV_MSR_SCONTROL, 0, 1);
	take_all(f, HV_MSR_SCONTROL);
	held_until(f, HV_MSR_SINT0 + SINT, HV_SINT_MASKED, VECTOR);
	take_all(f, HV_MSR_SINT0 + SINT);
	wrmsr(f, VP, HV_MSR_SIEFP, SIEFP);
	held_until(f, HV_MSR_SIMP, 0, SIMP | 1);
	CHECK_EQ(f->nr_raises, 1);		/* the message; flags still wait */
	wrmsr(f, VP, HV_MSR_SIEFP, SIEFP | 1);
	CHECK_EQ(f->nr_raises, 2);
	take_all(f, HV_MSR_SIMP);
}

static void a_vp_that_is_not_up_yet(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(post(f, 9), 0);
	hv_synic_signal(f->hv, VP, SINT, 77);
	CHECK_EQ(f->nr_raises, 0);
	synic_on(f, 0);
	take_all(f, 9);
}

static void goodbye_empties_the_queues(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(post(f, 9), 0);
	hv_synic_signal(f->hv, VP, SINT, 77);
	wrmsr(f, 0, HV_MSR_GUEST_OS_ID, 0);
	synic_on(f, 0);
	CHECK_EQ(f->nr_raises, 0);
	CHECK(!slot_full(f));
	CHECK_EQ(post(f, 1), 0);
	CHECK_EQ(take_number(f), 1);
	/* And so does a reset. */
	wrmsr(f, VP, HV_MSR_SINT0 + SINT, HV_SINT_MASKED);
	CHECK_EQ(post(f, 2), 0);
	f->nr_raises = 0;
	hv_reset(f->hv);
	synic_on(f, 0);
	CHECK_EQ(f->nr_raises, 0);
}

static void polling_raises_nothing(void **state)
{
	struct fake *f = *state;

	synic_on(f, HV_SINT_POLLING);
	CHECK_EQ(post(f, 5), 0);
	hv_synic_signal(f->hv, VP, SINT, 77);
	CHECK_EQ(f->nr_raises, 0);
	f->nr_raises = 1;
	take_all(f, 5);
}

static void a_flag_interrupts_once(void **state)
{
	struct fake *f = *state;
	uint32_t g;

	synic_on(f, 0);
	hv_synic_signal(f->hv, VP, SINT, 2047);
	hv_synic_signal(f->hv, VP, SINT, 2047);
	CHECK_EQ(one_raise(f).vector, VECTOR);
	CHECK_EQ(gmem_and32(f->mem, SIEFP + SINT * 256 + 252, 0, &g), 0);
	CHECK_EQ(g, 1u << 31);
	hv_synic_signal(f->hv, VP, SINT, 2047);
	CHECK_EQ(one_raise(f).vector, VECTOR);
	hv_synic_signal(f->hv, VP, SINT, 0);
	CHECK_EQ(one_raise(f).vector, VECTOR);
	CHECK_EQ(gmem_load32(f->mem, SIEFP + SINT * 256, &g), 0);
	CHECK_EQ(g, 1);
}

static void nonsense_is_refused(void **state)
{
	struct fake *f = *state;
	uint8_t big[HV_MSG_PAYLOAD + 1] = { 0 };

	synic_on(f, 0);
	CHECK_EQ(hv_synic_post(f->hv, FAKE_VPS, SINT, 1, big, 1), -EINVAL);
	CHECK_EQ(hv_synic_post(f->hv, VP, 16, 1, big, 1), -EINVAL);
	CHECK_EQ(hv_synic_post(f->hv, VP, SINT, 0, big, 1), -EINVAL);
	CHECK_EQ(hv_synic_post(f->hv, VP, SINT, 1, big, sizeof(big)), -EINVAL);
	hv_synic_signal(f->hv, FAKE_VPS, SINT, 1);
	hv_synic_signal(f->hv, VP, 16, 1);
	hv_synic_signal(f->hv, VP, SINT, 2048);
	CHECK_EQ(f->nr_raises, 0);
	base_fail_alloc(1);
	CHECK_EQ(post(f, 1), -ENOMEM);
}

static void queues_are_bounded(void **state)
{
	struct fake *f = *state;
	unsigned n = 0;

	while (post(f, n) == 0)
		CHECK(++n <= 2000);
	CHECK_EQ(n, 1024);
	CHECK_EQ(post(f, n), -ENOBUFS);
	CHECK_EQ(hv_synic_post(f->hv, VP, SINT + 1, 1, &n, 4), 0);	/* one each */
	synic_on(f, 0);
	for (uint32_t i = 0; i < 1024; i++)
		CHECK_EQ(take_number(f), i);
}

static void registers_keep_and_check(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(rdmsr(f, VP, HV_MSR_SCONTROL), 1);
	CHECK_EQ(rdmsr(f, VP, HV_MSR_SVERSION), 1);
	CHECK_EQ(rdmsr(f, VP, HV_MSR_SIMP), 0);
	CHECK_EQ(rdmsr(f, VP, HV_MSR_EOM), 0);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(rdmsr(f, VP, HV_MSR_SINT0 + i), HV_SINT_MASKED);
	CHECK_EQ(hv_msr_write(f->hv, VP, HV_MSR_SINT0, 0xf), -ENOENT);
	wrmsr(f, VP, HV_MSR_SINT0, 0xf | HV_SINT_MASKED);
	wrmsr(f, VP, HV_MSR_SINT0 + 15, UINT64_C(0xabcd000000160010));
	CHECK_EQ(rdmsr(f, VP, HV_MSR_SINT0 + 15), UINT64_C(0xabcd000000160010));
	CHECK_EQ(rdmsr(f, VP + 1, HV_MSR_SINT0 + 15), HV_SINT_MASKED);
	CHECK_EQ(hv_msr_write(f->hv, VP, HV_MSR_SIMP, FAKE_RAM | 1), -ENOENT);
	CHECK_EQ(hv_msr_write(f->hv, VP, HV_MSR_SIEFP, UINT64_MAX), -ENOENT);
	wrmsr(f, VP, HV_MSR_SIMP, FAKE_RAM);	/* off: any number will do */
	CHECK_EQ(rdmsr(f, VP, HV_MSR_SIMP), FAKE_RAM);
}

/* Two posters and a guest at once: nothing lost, nothing swapped. */
#define RACE 20000u

static void *poster(void *arg)
{
	struct fake *f = arg;

	for (uint32_t i = 0; i < RACE; ) {
		hv_synic_signal(f->hv, VP, SINT, i % HV_NR_FLAGS);
		if (hv_synic_post(f->hv, VP, SINT, 1, &i, sizeof(i)) == 0)
			i++;
	}
	return NULL;
}

static void races_lose_nothing(void **state)
{
	struct fake *f = *state;
	uint32_t next[2] = { 0 };
	pthread_t thread[2];

	synic_on(f, 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, poster, f), 0);
	while (next[0] + next[1] < 2 * RACE) {
		uint32_t n;

		while (!slot_full(f))
			sched_yield();	/* hangs here if a message got stuck */
		n = take_number(f);
		CHECK(n == next[0] || n == next[1]);
		next[n == next[0] ? 0 : 1]++;
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	CHECK(!slot_full(f));
}

static void a_bare_interrupt_needs_an_unmasked_source(void **state)
{
	struct fake *f = *state;

	hv_synic_raise(f->hv, VP, SINT);
	CHECK_EQ(f->nr_raises, 0);
	wrmsr(f, VP, HV_MSR_SINT0 + SINT, VECTOR | HV_SINT_AUTO_EOI);
	hv_synic_raise(f->hv, VP, SINT);
	CHECK_EQ(f->nr_raises, 1);
	CHECK_EQ(f->raise[0].vector, VECTOR);
	CHECK(f->raise[0].auto_eoi);
	hv_synic_raise(f->hv, FAKE_VPS, SINT);
	hv_synic_raise(f->hv, VP, HV_NR_SINTS);
	CHECK_EQ(f->nr_raises, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_message_arrives),
		FAKE_TEST(many_arrive_in_order),
		FAKE_TEST(eoi_is_as_good_as_eom),
		FAKE_TEST(flags_tell_that_more_waits),
		FAKE_TEST(nothing_is_lost_while_off),
		FAKE_TEST(a_vp_that_is_not_up_yet),
		FAKE_TEST(goodbye_empties_the_queues),
		FAKE_TEST(polling_raises_nothing),
		FAKE_TEST(a_flag_interrupts_once),
		FAKE_TEST(nonsense_is_refused),
		FAKE_TEST(queues_are_bounded),
		FAKE_TEST(registers_keep_and_check),
		FAKE_TEST(races_lose_nothing),
		FAKE_TEST(a_bare_interrupt_needs_an_unmasked_source),
	};

	return cmocka_run_group_tests_name("hv-synic", tests, NULL, NULL);
}
