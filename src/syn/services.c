/*
 * services.c - shutdown, heartbeat and time synchronisation
 *
 * Three small services on the framework of ic.c.  Heartbeats go every two
 * seconds; the time is told once when the guest's driver comes up (it then
 * sets its clock) and as samples every five seconds after.
 *
 * Spec     hyperv-interface.md F.3.1, F.3.2, F.3.3
 * Missing  restart and hibernate by the shutdown service; time protocol below 4.0
 * Lock     none of its own: counters are atomic, ic.c locks the channels
 */
#include "syn/services.h"

#include "base/log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEARTBEAT_NS (2 * NS_PER_SEC)
#define SAMPLE_NS (5 * NS_PER_SEC)
#define EPOCH_1601 UINT64_C(116444736000000000)	/* 1601 to 1970 in 100 ns */
#define SHUTDOWN_BODY 2060u			/* shorter ones Linux drops */
#define SHUTDOWN_PLANNED 0x80000000u
#define SHUTDOWN_FORCE 1u
#define HEARTBEAT_BODY 40u
#define TIME_BODY 24u

enum { TIME_SYNC = 1, TIME_SAMPLE = 2 };

struct services {
	struct services_conf conf;	/* [const] */
	struct ic *shutdown, *heartbeat, *timesync;
	struct timer *beat, *sample;
	_Atomic bool beating, sampling, set_clock;
	_Atomic uint64_t sequence, answers;
};

static const struct ic_version shutdown_versions[] = { { 1, 0 }, { 3, 0 }, { 3, 1 }, { 3, 2 } };
static const struct ic_version heartbeat_versions[] = { { 1, 0 }, { 3, 0 } };
static const struct ic_version time_versions[] = { { 4, 0 } };

static const struct ic_service shutdown_service = {
	.name = "shutdown", .message = IC_SHUTDOWN,
	.type = GUID_INIT(0x0e0b6031, 0x5213, 0x4934, 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39,
			  0xdb),
	.instance = GUID_INIT(0xb6650ff7, 0x33bc, 0x4840, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3,
			      0x93),
	.versions = shutdown_versions, .nr_versions = ARRAY_LEN(shutdown_versions),
};

static const struct ic_service heartbeat_service = {
	.name = "heartbeat", .message = IC_HEARTBEAT,
	.type = GUID_INIT(0x57164f39, 0x9115, 0x4e78, 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42,
			  0x2d),
	.instance = GUID_INIT(0xfd149e91, 0x82e0, 0x4a7d, 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7,
			      0xc0),
	.versions = heartbeat_versions, .nr_versions = ARRAY_LEN(heartbeat_versions),
};

static const struct ic_service time_service = {
	.name = "time synchronisation", .message = IC_TIMESYNC,
	.type = GUID_INIT(0x9527e630, 0xd0ae, 0x497b, 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c,
			  0xaf),
	.instance = GUID_INIT(0x2dd1ce17, 0x079e, 0x403c, 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07,
			      0xee),
	.versions = time_versions, .nr_versions = ARRAY_LEN(time_versions),
};

/* ---- shutdown ------------------------------------------------------------ */

static void shutdown_answer(void *self, const uint8_t *body, size_t n, uint32_t status)
{
	(void)self, (void)body, (void)n;
	if (status != 0)
		log_warn("shutdown", "the guest refuses with status %#x", status);
}

static const struct ic_client shutdown_client = { .answer = shutdown_answer };

int services_shutdown(struct services *s)
{
	uint8_t body[SHUTDOWN_BODY] = { 0 };

	st32(body, SHUTDOWN_PLANNED);
	st32(body + 8, SHUTDOWN_FORCE);
	return ic_send(s->shutdown, body, sizeof(body));
}

/* ---- heartbeat ----------------------------------------------------------- */

static void arm(struct services *s, struct timer *t, uint64_t in_ns)
{
	timer_arm(t, clock_now_ns(s->conf.clock) + in_ns);
}

static void beat(void *arg)
{
	struct services *s = arg;
	uint8_t body[HEARTBEAT_BODY] = { 0 };

	if (!atomic_load(&s->beating))
		return;
	st64(body, atomic_fetch_add(&s->sequence, 2));
	if (ic_send(s->heartbeat, body, sizeof(body)) == -ENOTCONN)
		return;
	arm(s, s->beat, HEARTBEAT_NS);
}

static void heartbeat_ready(void *self)
{
	struct services *s = self;

	atomic_store(&s->beating, true);
	arm(s, s->beat, 0);
}

static void heartbeat_answer(void *self, const uint8_t *body, size_t n, uint32_t status)
{
	struct services *s = self;

	(void)body, (void)n, (void)status;
	atomic_fetch_add(&s->answers, 1);
}

static void heartbeat_closed(void *self)
{
	struct services *s = self;

	atomic_store(&s->beating, false);
}

static const struct ic_client heartbeat_client = {
	.ready = heartbeat_ready, .answer = heartbeat_answer, .closed = heartbeat_closed,
};

uint64_t services_heartbeats(struct services *s)
{
	return atomic_load(&s->answers);
}

/* ---- time ---------------------------------------------------------------- */

static void tell_time(void *arg)
{
	struct services *s = arg;
	uint8_t body[TIME_BODY] = { 0 };
	struct timespec ts;

	if (!atomic_load(&s->sampling))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	st64(body, EPOCH_1601 + (uint64_t)ts.tv_sec * 10000000 + (uint64_t)ts.tv_nsec / 100);
	st64(body + 8, s->conf.ref_time(s->conf.self));
	body[16] = atomic_exchange(&s->set_clock, false) ? TIME_SYNC : TIME_SAMPLE;
	switch (ic_send(s->timesync, body, sizeof(body))) {
	case 0:
		break;
	case -ENOTCONN:
		return;
	default:		/* busy: the clock is still to be set, next time */
		if (body[16] == TIME_SYNC)
			atomic_store(&s->set_clock, true);
	}
	arm(s, s->sample, SAMPLE_NS);
}

static void time_ready(void *self)
{
	struct services *s = self;

	atomic_store(&s->set_clock, true);
	atomic_store(&s->sampling, true);
	arm(s, s->sample, 0);
}

static void time_closed(void *self)
{
	struct services *s = self;

	atomic_store(&s->sampling, false);
}

static const struct ic_client time_client = { .ready = time_ready, .closed = time_closed };

void services_time_jumped(struct services *s)
{
	atomic_store(&s->set_clock, true);
	if (atomic_load(&s->sampling))
		arm(s, s->sample, 0);
}

/* -------------------------------------------------------------------------- */

int services_new(struct vmbus *bus, const struct services_conf *conf, struct services **ret_s,
		 struct err *err)
{
	struct services *s = new0(struct services);
	int rc;

	if (s == NULL)
		return err_set(err, -ENOMEM, "no memory for the integration services");
	s->conf = *conf;
	rc = timer_new(conf->clock, beat, s, &s->beat);
	if (rc == 0)
		rc = timer_new(conf->clock, tell_time, s, &s->sample);
	if (rc < 0)
		err_set(err, rc, "no timer for the integration services");
	if (rc == 0)
		rc = ic_new(bus, &shutdown_service, &shutdown_client, s, &s->shutdown, err);
	if (rc == 0)
		rc = ic_new(bus, &heartbeat_service, &heartbeat_client, s, &s->heartbeat, err);
	if (rc == 0)
		rc = ic_new(bus, &time_service, &time_client, s, &s->timesync, err);
	if (rc < 0) {
		services_free(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

void services_free(struct services *s)
{
	if (s == NULL)
		return;
	if (s->sample != NULL)
		timer_free(s->sample);
	if (s->beat != NULL)
		timer_free(s->beat);
	ic_free(s->timesync);
	ic_free(s->heartbeat);
	ic_free(s->shutdown);
	free(s);
}
