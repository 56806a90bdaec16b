/*
 * rtc.c - MC146818 clock and CMOS memory
 *
 * The clock advances with virtual time, one update a second, and is set right
 * by the host's clock when the two disagree by more than a second (after a
 * pause, or as the host's clock is disciplined).  A guest that sets the time
 * sets a distance to the host's clock, so that it stays right while the
 * machine is off.
 *
 * Registers change only in an update.  For 244 microseconds before it UIP
 * reads one: whoever saw zero has that long to read them all.  Nothing runs
 * for this: reading finds out how many updates have passed.  A timer is armed
 * only while an interrupt is enabled.
 *
 * A Generation 1 machine has a second bank of memory, and all four ports twice.
 *
 * Register D holds the day of the alarm, as on PIIX4; our FADT says so.
 *
 * Spec     [MC146818A]; [PIIX4] 7.1; reference/machines.md 2.3
 * Missing  daylight saving, square wave; with the alarm's interrupt disabled,
 *          AF of alarms more than an hour before somebody looks
 * Lock     chip
 */
#include "chip/chips.h"

#include <string.h>
#include <time.h>

enum { R_SEC = 0, R_SEC_ALARM, R_MIN, R_MIN_ALARM, R_HOUR, R_HOUR_ALARM, R_WDAY, R_MDAY,
       R_MONTH, R_YEAR, R_A, R_B, R_C, R_D, R_CENTURY = 0x32, NR_CMOS = RTC_NR_CMOS };

enum { A_UIP = 0x80, A_RATE = 0x0f, A_DV = 0x70, A_DV_RESET = 0x60, A_DV_RUN = 0x20 };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_BINARY = 0x04, B_24H = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VALID = 0x80, D_MDAY = 0x3f };

#define HOUR_PM 0x80
#define UIP_NS UINT64_C(244141)
#define ALARM_ANY 0xc0			/* both top bits: every value matches */
#define CATCH_UP 3600u			/* seconds whose alarms are looked for */

struct rtc {
	struct rtc_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] */
	struct timer *timer;		/* [owned] the next interrupt */
	uint8_t index, index2;
	uint8_t bank2[NR_CMOS];
	uint8_t cmos[NR_CMOS];		/* time as of the last update; A without UIP */
	int64_t offset;			/* guest's seconds minus the host's */
	int64_t seconds;		/* since 1970, what the registers say */
	uint64_t next_ns;		/* virtual time of the next update */
	uint64_t period_nr;		/* periods of the rate that flag PF knows of */
};

static int64_t host_seconds(const struct rtc *r)
{
	return r->conf.unix_time != NULL ? r->conf.unix_time(r->conf.arg) : (int64_t)time(NULL);
}

static bool counting(const struct rtc *r)
{
	return (r->cmos[R_B] & B_SET) == 0 && (r->cmos[R_A] & A_DV_RESET) != A_DV_RESET;
}

static uint8_t encode(const struct rtc *r, int v)
{
	return (uint8_t)((r->cmos[R_B] & B_BINARY) != 0 ? v : v / 10 % 10 << 4 | v % 10);
}

static int decode(const struct rtc *r, uint8_t v)
{
	return (r->cmos[R_B] & B_BINARY) != 0 ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, int hour)
{
	if ((r->cmos[R_B] & B_24H) != 0)
		return encode(r, hour);
	return (uint8_t)(encode(r, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? HOUR_PM : 0));
}

static int decode_hour(const struct rtc *r, uint8_t v)
{
	int hour;

	if ((r->cmos[R_B] & B_24H) != 0)
		return decode(r, v);
	hour = decode(r, v & (uint8_t)~HOUR_PM) % 12;
	return (v & HOUR_PM) != 0 ? hour + 12 : hour;
}

static void split_time(int64_t seconds, struct tm *ret_tm)
{
	time_t t = (time_t)seconds;

	if (gmtime_r(&t, ret_tm) == NULL)
		*ret_tm = (struct tm){ .tm_year = 70, .tm_mday = 1, .tm_wday = 4 };
}

/* The registers say r->seconds. */
static void registers_fill(struct rtc *r)
{
	struct tm tm;
	int year;

	split_time(r->seconds, &tm);
	year = tm.tm_year + 1900 < 0 ? 0 : tm.tm_year + 1900;
	r->cmos[R_SEC] = encode(r, tm.tm_sec);
	r->cmos[R_MIN] = encode(r, tm.tm_min);
	r->cmos[R_HOUR] = encode_hour(r, tm.tm_hour);
	r->cmos[R_WDAY] = encode(r, tm.tm_wday + 1);
	r->cmos[R_MDAY] = encode(r, tm.tm_mday);
	r->cmos[R_MONTH] = encode(r, tm.tm_mon + 1);
	r->cmos[R_YEAR] = encode(r, year % 100);
	r->cmos[R_CENTURY] = encode(r, year / 100);
}

/* The guest wrote the registers: they are the time now.  Nonsense is normalised. */
static void registers_take(struct rtc *r)
{
	struct tm tm = {
		.tm_sec = decode(r, r->cmos[R_SEC]),
		.tm_min = decode(r, r->cmos[R_MIN]),
		.tm_hour = decode_hour(r, r->cmos[R_HOUR]),
		.tm_mday = decode(r, r->cmos[R_MDAY]),
		.tm_mon = decode(r, r->cmos[R_MONTH]) - 1,
		.tm_year = decode(r, r->cmos[R_YEAR]) + decode(r, r->cmos[R_CENTURY]) * 100 - 1900,
	};

	r->seconds = (int64_t)timegm(&tm);
	r->offset = r->seconds - host_seconds(r);
}

static bool alarm_field(uint8_t alarm, uint8_t now)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

static bool alarm_matches(const struct rtc *r, int64_t seconds)
{
	uint8_t mday = r->cmos[R_D] & D_MDAY;
	struct tm tm;

	split_time(seconds, &tm);
	return alarm_field(r->cmos[R_SEC_ALARM], encode(r, tm.tm_sec)) &&
	       alarm_field(r->cmos[R_MIN_ALARM], encode(r, tm.tm_min)) &&
	       alarm_field(r->cmos[R_HOUR_ALARM], encode_hour(r, tm.tm_hour)) &&
	       (mday == 0 || mday == encode(r, tm.tm_mday));
}

static void irq_update(struct rtc *r)
{
	if ((r->cmos[R_B] & r->cmos[R_C] & (C_PF | C_AF | C_UF)) != 0)
		r->cmos[R_C] |= C_IRQF;
	irq_set(&r->conf.irq, (r->cmos[R_C] & C_IRQF) != 0);
}

/* Nanoseconds of one period of the selected rate; 0 = none. */
static uint64_t period_ns(const struct rtc *r)
{
	unsigned rate = r->cmos[R_A] & A_RATE;

	if (rate == 0)
		return 0;
	if (rate <= 2)		/* 256 and 128 Hz */
		rate += 7;
	return (NS_PER_SEC << (rate - 1)) >> 15;
}

/* Brings registers and flags to the present. */
static void rtc_update(struct rtc *r)
{
	uint64_t now = clock_now_ns(r->clock), period = period_ns(r), passed, nr;
	int64_t host;

	if (period != 0 && now / period != r->period_nr) {
		r->period_nr = now / period;
		r->cmos[R_C] |= C_PF;
	}
	if (!counting(r) || now < r->next_ns)
		return;
	passed = (now - r->next_ns) / NS_PER_SEC + 1;
	r->next_ns += passed * NS_PER_SEC;
	nr = min_u64(passed, CATCH_UP);
	for (uint64_t i = 0; i < nr && (r->cmos[R_C] & C_AF) == 0; i++)
		if (alarm_matches(r, r->seconds + (int64_t)(passed - i)))
			r->cmos[R_C] |= C_AF;
	r->seconds += (int64_t)passed;
	host = host_seconds(r) + r->offset;
	if (host > r->seconds + 1 || host < r->seconds - 1)
		r->seconds = host;
	r->cmos[R_C] |= C_UF;
	registers_fill(r);
}

static void rtc_arm(struct rtc *r)
{
	uint64_t at = TIMER_NEVER, period = period_ns(r);

	if ((r->cmos[R_B] & (B_AIE | B_UIE)) != 0 && counting(r))
		at = r->next_ns;
	/* A period that nobody acknowledged (C is read) has nothing to add. */
	if ((r->cmos[R_B] & B_PIE) != 0 && period != 0 && (r->cmos[R_C] & C_PF) == 0)
		at = min_u64(at, (r->period_nr + 1) * period);
	timer_arm(r->timer, at);
}

static void rtc_fire(void *arg)
{
	struct rtc *r = arg;

	pthread_mutex_lock(r->lock);
	rtc_update(r);
	irq_update(r);
	rtc_arm(r);
	pthread_mutex_unlock(r->lock);
}

static uint8_t cmos_read(struct rtc *r)
{
	uint8_t val;

	rtc_update(r);
	val = r->cmos[r->index];
	if (r->index == R_A && counting(r) &&
	    clock_now_ns(r->clock) + UIP_NS >= r->next_ns)
		val |= A_UIP;
	if (r->index == R_C)
		r->cmos[R_C] = 0;
	irq_update(r);
	if (r->index == R_C)
		rtc_arm(r);
	return val;
}

/* Once the divider runs again the first update comes after half a second. */
static void rate_write(struct rtc *r, uint8_t val)
{
	bool was = counting(r);

	r->cmos[R_A] = val & (uint8_t)~A_UIP;
	if (!was && counting(r))
		r->next_ns = clock_now_ns(r->clock) + NS_PER_SEC / 2;
	if (period_ns(r) != 0)
		r->period_nr = clock_now_ns(r->clock) / period_ns(r);
}

/* Ending SET makes what was written the time; a second later comes the next update. */
static void control_write(struct rtc *r, uint8_t val)
{
	uint8_t old = r->cmos[R_B];

	if ((val & B_SET) != 0)		/* SET also ends the update interrupt */
		val &= (uint8_t)~B_UIE;
	if ((old & B_SET) != 0 && (val & B_SET) == 0) {
		r->cmos[R_B] = val;	/* in the format it is read from now on */
		registers_take(r);
		r->next_ns = clock_now_ns(r->clock) + NS_PER_SEC;
	}
	r->cmos[R_B] = val;
}

static bool is_time(uint8_t index)
{
	return index == R_SEC || index == R_MIN || index == R_HOUR ||
	       (index >= R_WDAY && index <= R_YEAR) || index == R_CENTURY;
}

static void cmos_write(struct rtc *r, uint8_t val)
{
	rtc_update(r);
	switch (r->index) {
	case R_A:
		rate_write(r, val);
		break;
	case R_B:
		control_write(r, val);
		break;
	case R_C:
		break;
	case R_D:
		r->cmos[R_D] = D_VALID | (val & D_MDAY);
		break;
	default:
		r->cmos[r->index] = val;
		if (is_time(r->index) && (r->cmos[R_B] & B_SET) == 0)
			registers_take(r);
	}
	irq_update(r);
	rtc_arm(r);
}

/* The index can be written only; its bit 7 would mask NMI.  That of the second bank reads back. */
static uint64_t rtc_read(void *self, uint32_t off, unsigned width)
{
	struct rtc *r = self;

	(void)width;
	switch (off & 3) {
	case 0:
		return 0xff;
	case 1:
		return cmos_read(r);
	case 2:
		return r->index2;
	default:
		return r->bank2[r->index2];
	}
}

static void rtc_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct rtc *r = self;

	(void)width;
	switch (off & 3) {
	case 0:
		r->index = val & (NR_CMOS - 1);
		break;
	case 1:
		cmos_write(r, (uint8_t)val);
		break;
	case 2:
		r->index2 = val & (NR_CMOS - 1);
		break;
	default:
		r->bank2[r->index2] = (uint8_t)val;
	}
}

static const struct io_ops rtc_io = {
	.widths = IO_W1,
	.read = rtc_read,
	.write = rtc_write,
};

/* The battery keeps time and memory; reset only quiets interrupts. */
static void rtc_reset(void *self)
{
	struct rtc *r = self;

	r->index = r->index2 = 0;
	r->cmos[R_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE);
	r->cmos[R_C] = 0;
	irq_update(r);
	rtc_arm(r);
}

static int rtc_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct rtc *r = self;
	int rc;

	r->conf = *(const struct rtc_conf *)conf;
	r->clock = env->clock;
	r->lock = env->lock;
	if (r->conf.cmos != NULL)
		memcpy(r->cmos, r->conf.cmos, sizeof(r->cmos));
	r->cmos[R_A] = A_DV_RUN | 6;		/* 32,768 Hz crystal, 1,024 Hz */
	r->cmos[R_B] = B_24H;
	r->cmos[R_D] = D_VALID;
	r->seconds = host_seconds(r);
	r->next_ns = clock_now_ns(r->clock) + NS_PER_SEC;
	registers_fill(r);
	rc = timer_new(r->clock, rtc_fire, r, &r->timer);
	if (rc < 0)
		return err_set(err, rc, "no timer");
	rc = bus_add(env->pio, env->name, r->conf.port, r->conf.two_banks ? 8 : 2, &rtc_io, r, err);
	if (rc < 0)
		timer_free(r->timer);
	return rc;
}

static int rtc_loaded(void *self, struct err *err)
{
	struct rtc *r = self;
	const int64_t most = INT64_C(400) * 366 * 86400 * 100;	/* 40,000 years */

	if (r->index >= NR_CMOS || r->index2 >= NR_CMOS || (r->cmos[R_A] & A_UIP) != 0)
		return err_set(err, -EBADMSG, "rtc: registers are impossible");
	if (r->next_ns > clock_now_ns(r->clock) + NS_PER_SEC)
		return err_set(err, -EBADMSG, "rtc: the next update is too far away");
	if (r->offset > most || r->offset < -most || r->seconds > most || r->seconds < -most)
		return err_set(err, -EBADMSG, "rtc: the time is out of any range");
	rtc_arm(r);
	irq_set(&r->conf.irq, (r->cmos[R_C] & C_IRQF) != 0);
	return 0;
}

static void rtc_fini(void *self)
{
	struct rtc *r = self;

	timer_free(r->timer);
}

static const struct state_field rtc_state[] = {
	STATE(1, struct rtc, index),
	STATE(2, struct rtc, cmos),
	STATE(3, struct rtc, offset),
	STATE(4, struct rtc, seconds),
	STATE(5, struct rtc, next_ns),
	STATE(6, struct rtc, period_nr),
	STATE(7, struct rtc, index2),
	STATE(8, struct rtc, bank2),
	{ 0 },
};

const struct dev_ops rtc_dev = {
	.name = "rtc",
	.size = sizeof(struct rtc),
	.state = rtc_state,
	.init = rtc_init,
	.reset = rtc_reset,
	.loaded = rtc_loaded,
	.fini = rtc_fini,
};
