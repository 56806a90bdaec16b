/*
 * hv_fake.h - a board and a guest for the tests of hv/
 *
 * Records what the partition asks of its board.  Time is a manual clock, and
 * the TSC runs with it at 2.5 GHz.
 */
#ifndef HV_HV_FAKE_H
#define HV_HV_FAKE_H

#include "base/test.h"
#include "hv/hv_priv.h"

#include <stdlib.h>
#include <string.h>

#define FAKE_VPS 70u			/* more than one mask holds */
#define FAKE_RAM (16 * MIB)
#define FAKE_TSC_HZ UINT64_C(2500000000)
#define FAKE_OS_ID UINT64_C(0x8100060100000000)
#define FAKE_CONN 7u

struct fake_raise {
	unsigned vp;
	uint8_t vector;
	bool auto_eoi;
};

struct fake {
	struct hv *hv;
	struct gmem *mem;
	struct clock *clock;
	uint64_t tsc_jump;		/* added to the TSC */
	pthread_mutex_t lock;		/* over what follows */
	struct fake_raise raise[256];
	unsigned nr_raises, nr_flushes, nr_resets, nr_crashes, nr_posts, nr_signals;
	unsigned flushed[FAKE_VPS], raised[FAKE_VPS];
	uint32_t apic_reg;
	uint64_t apic_val;
	uint64_t crash[5];
	char crash_text[HV_CRASH_TEXT_MAX + 1];
	uint32_t post_conn, post_type;
	uint8_t post_msg[HV_MSG_PAYLOAD];
	size_t post_len;
	unsigned post_vp;
	uint16_t signal_flag;
};

static inline void fake_raise(void *self, unsigned vp, uint8_t vector, bool auto_eoi)
{
	struct fake *f = self;

	pthread_mutex_lock(&f->lock);
	f->raise[f->nr_raises++ % ARRAY_LEN(f->raise)] = (struct fake_raise){ vp, vector, auto_eoi };
	f->raised[vp]++;
	pthread_mutex_unlock(&f->lock);
}

static inline void fake_flush(void *self, unsigned vp)
{
	struct fake *f = self;

	pthread_mutex_lock(&f->lock);
	f->flushed[vp]++;
	f->nr_flushes++;
	pthread_mutex_unlock(&f->lock);
}

static inline void fake_reset(void *self)
{
	((struct fake *)self)->nr_resets++;
}

static inline uint64_t fake_apic_read(void *self, unsigned vp, uint32_t reg)
{
	(void)self;
	return (uint64_t)vp << 32 | reg;
}

static inline void fake_apic_write(void *self, unsigned vp, uint32_t reg, uint64_t val)
{
	struct fake *f = self;

	(void)vp;
	f->apic_reg = reg;
	f->apic_val = val;
}

static inline void fake_crash(void *self, unsigned vp, const uint64_t p[5], const char *text, size_t n)
{
	struct fake *f = self;

	(void)vp;
	f->nr_crashes++;
	memcpy(f->crash, p, sizeof(f->crash));
	memset(f->crash_text, 0, sizeof(f->crash_text));
	if (text != NULL)
		memcpy(f->crash_text, text, n);
}

static inline uint64_t fake_tsc(void *self)
{
	struct fake *f = self;

	return mul_div(clock_now_ns(f->clock), FAKE_TSC_HZ, NS_PER_SEC) + f->tsc_jump;
}

static inline uint16_t fake_post(void *self, unsigned vp, uint32_t conn, uint32_t type,
				 const void *msg, size_t n)
{
	struct fake *f = self;

	if (conn != FAKE_CONN)
		return HV_INVALID_CONNECTION_ID;
	f->nr_posts++;
	f->post_vp = vp;
	f->post_conn = conn;
	f->post_type = type;
	f->post_len = n;
	memcpy(f->post_msg, msg, n);
	return HV_SUCCESS;
}

static inline uint16_t fake_signal(void *self, uint32_t conn, uint16_t flag)
{
	struct fake *f = self;

	if (conn != FAKE_CONN)
		return HV_INVALID_CONNECTION_ID;
	f->nr_signals++;
	f->signal_flag = flag;
	return HV_SUCCESS;
}

static const struct hv_client fake_client = {
	.raise = fake_raise,
	.flush_tlb = fake_flush,
	.reset = fake_reset,
	.apic_read = fake_apic_read,
	.apic_write = fake_apic_write,
	.crash = fake_crash,
	.tsc = fake_tsc,
};

static const struct hv_port fake_port = { .post = fake_post, .signal = fake_signal };

static inline struct hv_conf fake_conf(struct fake *f)
{
	return (struct hv_conf){
		.nr_vps = FAKE_VPS,
		.mem = f->mem,
		.clock = f->clock,
		.tsc_hz = FAKE_TSC_HZ,
		.apic_hz = 200000000,
		.phys_bits = 42,
		.invariant_tsc = true,
		.client = &fake_client,
		.port = &fake_port,
		.self = f,
	};
}

/* 0 or -errno, for the fuzzer too. */
static inline int fake_new(struct fake **ret_f, bool manual)
{
	static const struct gmem_range ram = { .gpa = 0, .len = FAKE_RAM };
	struct fake *f = new0(struct fake);
	struct hv_conf conf;
	int rc;

	if (f == NULL)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	rc = gmem_new(&ram, 1, &f->mem, NULL);
	if (rc == 0)
		rc = manual ? clock_new_manual(&f->clock) : clock_new(&f->clock);
	if (rc < 0)
		return rc;
	conf = fake_conf(f);
	rc = hv_new(&conf, &f->hv, NULL);
	*ret_f = f;
	return rc;
}

static inline void fake_free(struct fake *f)
{
	hv_free(f->hv);
	clock_free(f->clock);
	gmem_free(f->mem);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static inline int fake_setup(void **state)
{
	struct fake *f;

	if (fake_new(&f, true) < 0 || hv_msr_write(f->hv, 0, HV_MSR_GUEST_OS_ID, FAKE_OS_ID) < 0)
		return -1;
	*state = f;
	return 0;
}

static inline int fake_teardown(void **state)
{
	fake_free(*state);
	return 0;
}

#define FAKE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fake_setup, fake_teardown)

static inline uint64_t rdmsr(struct fake *f, unsigned vp, uint32_t msr)
{
	uint64_t val = 0xdead;

	CHECK_EQ(hv_msr_read(f->hv, vp, msr, &val), 0);
	return val;
}

static inline void wrmsr(struct fake *f, unsigned vp, uint32_t msr, uint64_t val)
{
	CHECK_EQ(hv_msr_write(f->hv, vp, msr, val), 0);
}

/* The one interrupt since the last look. */
static inline struct fake_raise one_raise(struct fake *f)
{
	CHECK_EQ(f->nr_raises, 1);
	f->nr_raises = 0;
	return f->raise[0];
}

#endif
