/*
 * nat_fuzz.c - frames from a hostile guest to the NAT
 *
 * Input: records of {length u16, that many bytes}.  A record is a frame; one
 * of length 0xffff has no bytes and moves the clock on by 700 ms, so that
 * what waits times out.  Everything happens on this thread, in order, and in
 * a network of its own.  Each frame that comes back is whole: long enough,
 * and of a kind that a guest knows.
 */
#include "net/nat.c"
#include "net/nat_run.c"

#include "net/nat_rig.h"

#define STEP_MS 700u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_out(struct rig *r)
{
	for (unsigned i = 0; i < r->nr; i++) {
		const struct rig_frame *f = &r->f[(r->first + i) % RIG_KEEP];
		unsigned type;

		BUG_IF(f->len < ETH_HLEN);
		type = rig_be16(f->b + 12);
		BUG_IF(type != 0x0800 && type != 0x0806 && type != 0x86dd);
	}
	rig_drop_all(r);
}

static void look(struct rig *r, struct nat *n)
{
	timers_fire(n);
	while (nat_in_drain(n))
		;
	nat_out_flush(n);
	n->again = true;			/* no sleep */
	BUG_IF(!turn(n));
	nat_out_flush(n);
	check_out(r);
}

static void feed(struct rig *r, struct nat *n, const uint8_t *data, size_t size)
{
	while (size >= 2) {
		size_t len = ld16(data);

		data += 2;
		size -= 2;
		if (len == UINT16_MAX) {
			n->skew_ns += STEP_MS * UINT64_C(1000000);
			len = 0;
		} else {
			len = min_u64(len, size);
			rig_send(r, data, (uint32_t)len);
		}
		look(r, n);
		data += len;
		size -= len;
	}
}

/* Once: alone or not at all. */
static bool can_run(void)
{
	static int alone = -1;

	if (alone < 0) {
		alone = rig_alone();
		log_set_level(LOG_ERR);
		if (!alone)
			fprintf(stderr, "no network namespace here: nothing was tried\n");
	}
	return alone == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	struct nat_conf c;
	struct nat *n;

	if (!can_run())
		return 0;
	rig_init(&r);
	/* The host's loopback is open or closed, and who asks there may be answered. */
	BUG_IF(nat_parse(size & 1 ? "nat,hostloopback=on,tftp=/usr/include/slirp,bootfile=b" :
				    "nat,tftp=/usr/include/slirp,bootfile=b", &c, NULL) < 0);
	n = new0(struct nat);
	BUG_IF(n == NULL);
	n->port = &r.port;
	pthread_mutex_init(&n->lock, NULL);
	BUG_IF(nat_start(n, &c, NULL) < 0);
	n->pfd[0] = (struct pollfd){ .fd = n->wake, .events = POLLIN };
	port_bind(&r.port, &nat_client, n, NULL);
	feed(&r, n, data, size);
	nat_destroy(n);
	return 0;
}
