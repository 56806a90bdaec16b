/*
 * vswitch_fuzz.c - frames from hostile guests, through every policy
 *
 * Input: one byte of shape, then records of {port, flags, mss u16, tci u16,
 * l4_at, cut, pad u16, length u16, bytes}; pad zeros follow the bytes, so
 * that short inputs make large sends.
 *
 * What comes out must keep the promises of frame.h to a receiver, must have
 * right checksums where it says so, and must not be what the sender's guards
 * stop, as a second, simpler reader sees it.  What an uplink brings leaves by
 * none.
 */
#include "base/le.h"
#include "dev/clock.h"
#include "net/pkt.h"
#include "net/sum.h"
#include "net/vswitch.h"

#include <stdlib.h>

#define RECORD 12
#define PORTS 6			/* the last two are uplinks; one of them only in some shapes */
#define UPLINK 4
#define NOBODY PORTS		/* the switch itself, which tells where ports are */
#define GUARDED 0		/* this one's frames are checked for what it may not say */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_port {
	struct port *port;
	uint32_t takes, max;
	unsigned room;
};

static struct fuzz_port ports[PORTS];
static unsigned sending, nr_ports;
static struct clock *the_clock;
static uint8_t whole[NET_LSO_MAX + 64];

/* Plain IPv4 and IPv6 without options: nothing here is shared with what is tested. */
static void check_guarded(const uint8_t *b, uint32_t n)
{
	static const uint8_t own[6] = { 0, 0x15, 0x5d, 0, 0, GUARDED };

	BUG_IF(memcmp(b + 6, own, 6) != 0);
	if (n >= 42 && b[12] == 8 && b[13] == 0 && b[14] == 0x45 && (b[20] & 0x1f) == 0 && b[21] == 0 &&
	    b[23] == 17 && b[16] * 256 + b[17] >= 28)
		BUG_IF(b[36] == 0 && b[37] == 68);
	if (n >= 58 && b[12] == 0x86 && b[13] == 0xdd && b[14] >> 4 == 6 && b[20] == 58 &&
	    b[18] * 256 + b[19] >= 4)
		BUG_IF(b[54] == 134 || b[54] == 137);
	if (n >= 42 && b[12] == 8 && b[13] == 6)
		BUG_IF(memcmp(b + 22, own, 6) != 0);
}

static void check_sums(const struct packet *p)
{
	uint64_t acc;

	if (!(p->what & PKT_L4) || (p->what & PKT_FRAG) || (p->proto != IP_TCP && p->proto != IP_UDP))
		return;
	acc = sum_pseudo(p, p->ip_end - p->l4_at);
	acc = sum_bytes(acc, whole + p->l4_at, p->ip_end - p->l4_at, false);
	BUG_IF(sum_fold(acc) != 0xffff);
}

static int fuzz_deliver(void *dev, const struct net_frame *f)
{
	struct fuzz_port *t = dev;
	static struct packet p;
	uint64_t sum = 0;

	if (t->room == 0)
		return -EAGAIN;
	t->room--;
	BUG_IF((sending == UPLINK || sending == UPLINK + 1) && t >= &ports[UPLINK]);
	for (uint32_t i = 0; i < f->nr_iov; i++)
		sum += f->iov[i].iov_len;
	BUG_IF(f->nr_iov > NET_IOV_OUT || sum != f->len || f->len < ETH_HLEN);
	BUG_IF(f->len > t->max + 4 && !(f->flags & FRAME_LSO));
	BUG_IF((f->flags & FRAME_TAGGED) && !(t->takes & PORT_TAKES_TAG));
	BUG_IF((f->flags & (FRAME_SUM_IP | FRAME_SUM_L4)) && !(t->takes & PORT_TAKES_SUM));
	BUG_IF((f->flags & FRAME_LSO4) && !(t->takes & PORT_TAKES_LSO4));
	BUG_IF((f->flags & FRAME_LSO6) && !(t->takes & PORT_TAKES_LSO6));
	BUG_IF((f->flags & FRAME_SUM_OK) && (f->flags & (FRAME_SUM_IP | FRAME_SUM_L4)));
	BUG_IF(!frame_copy(f, 0, whole, f->len));
	if (sending == GUARDED)
		check_guarded(whole, f->len);
	if (!(f->flags & FRAME_SUM_OK) && f->nr_iov <= NET_IOV_MAX) {
		BUG_IF(!pkt_parse(&p, f, true));	/* its claims are true */
	} else if (f->flags & FRAME_SUM_OK) {
		struct iovec flat = { whole, f->len };
		struct net_frame g = { .iov = &flat, .nr_iov = 1, .len = f->len, .mss = 1000 };

		g.flags = f->flags & FRAME_LSO;
		g.l4_at = f->l4_at;
		BUG_IF(!pkt_parse(&p, &g, true));
		if (p.len == f->len && sending < UPLINK)	/* an uplink is believed */
			check_sums(&p);
	}
	return 0;
}

static void fuzz_resume(void *dev)
{
	(void)dev;
}

static const struct port_client client = { .deliver = fuzz_deliver, .resume = fuzz_resume };

static void make_port(struct vswitch *sw, unsigned i, uint8_t shape)
{
	static const struct acl_rule rules[] = {
		{ .action = ACL_METER, .dirs = ACL_OUT | ACL_IN },
		{ .action = ACL_ALLOW, .dirs = ACL_OUT, .what = ACL_IP, .stateful = true, .weight = -1 },
		{ .action = ACL_DENY, .dirs = ACL_IN, .what = ACL_IP4, .proto = IP_TCP, .local_lo = 80,
		  .local_hi = 90, .weight = -2 },
	};
	struct port_conf c = { .name = "fuzz", .mac = { 0, 0x15, 0x5d, 0, 0, (uint8_t)i } };
	struct port_caps caps = { 0 };

	if (i >= UPLINK) {
		c.role = PORT_UPLINK;
		memset(c.mac, 0, 6);
		c.bps = shape & 128 ? 1000000 : 0;
	}
	if (i < UPLINK && (shape & 128))
		c.policy.min_weight = i * 10;
	if (i == GUARDED)
		c.policy.guard = (struct guard_conf){ .dhcp = true, .router = true, .addr = true };
	c.policy.mac_spoofing = i != GUARDED && (shape & 1);
	if (i == 1 && (shape & 2)) {
		c.policy.acl = rules;
		c.policy.nr_acl = ARRAY_LEN(rules);
	}
	if (i == 2 && (shape & 4))
		c.policy.mirror = MIRROR_DESTINATION;
	if (i == 3 && (shape & 4))
		c.policy.mirror = MIRROR_SOURCE;
	if (i == 3 && (shape & 8)) {
		c.policy.vlan.mode = VLAN_TRUNK;
		vlan_allow(&c.policy.vlan, 5);
	}
	if (i == 1 && (shape & 16))
		c.policy.max_out_bps = c.policy.max_in_bps = 1000000;
	ports[i].takes = i == 1 ? 15 : i == 3 ? PORT_TAKES_SUM : i >= UPLINK ? PORT_TAKES_LSO6 | PORT_TAKES_TAG : 0;
	ports[i].max = i & 1 ? NET_FRAME_MAX : 1514;
	ports[i].room = i == 3 ? 5 : UINT32_MAX;
	caps.flags = ports[i].takes;
	caps.max_frame = ports[i].max;
	BUG_IF(vswitch_port(sw, &c, &ports[i].port, NULL) < 0);
	port_bind(ports[i].port, &client, &ports[i], &caps);
}

/* The record at R, of N bytes; how many it used. */
static size_t one_frame(const uint8_t *r, size_t n)
{
	static const uint8_t zeros[65536];
	uint32_t len = (uint32_t)min_u64(ld16(r + 10), n - RECORD), pad = ld16(r + 8);
	uint32_t a = (uint32_t)min_u64(r[7], len);
	struct iovec iov[NET_IOV_MAX] = {
		{ (uint8_t *)(uintptr_t)r + RECORD, a },
		{ (uint8_t *)(uintptr_t)r + RECORD + a, len - a },
		{ (uint8_t *)(uintptr_t)zeros, pad },
	};
	struct net_frame f = {
		.iov = iov, .nr_iov = 3, .len = len + pad, .flags = r[1] & 0x7f,
		.mss = ld16(r + 2), .tci = ld16(r + 4), .l4_at = r[6],
	};

	if (r[1] & 0x80) {		/* the last piece in many */
		uint32_t m = pad / (NET_IOV_MAX - 2);

		for (f.nr_iov = 2; f.nr_iov < NET_IOV_MAX - 1; f.nr_iov++)
			iov[f.nr_iov] = (struct iovec){ (uint8_t *)(uintptr_t)zeros, m };
		iov[f.nr_iov++] = (struct iovec){ (uint8_t *)(uintptr_t)zeros, pad - m * (NET_IOV_MAX - 3) };
	}
	sending = r[0] % nr_ports;
	/* The clock moves with what is refused only. */
	if (port_send(ports[sending].port, &f, 1) == 0) {
		port_room(ports[3].port);
		clock_step(the_clock, 3000000);
	}
	sending = NOBODY;
	return RECORD + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vswitch_conf conf = { .kind = VSWITCH_EXTERNAL, .max_macs = 16 };
	struct vswitch *sw;

	if (size == 0)
		return 0;
	if (the_clock == NULL)
		BUG_IF(clock_new_manual(&the_clock) < 0);
	clock_step(the_clock, NS_PER_SEC);
	conf.team = data[0] & 64 ? TEAM_DYNAMIC : TEAM_PORT;
	sending = NOBODY;
	nr_ports = data[0] & 32 ? PORTS : PORTS - 1;
	BUG_IF(vswitch_new(&conf, the_clock, &sw, NULL) < 0);
	for (unsigned i = 0; i < nr_ports; i++)
		make_port(sw, i, data[0]);
	for (size_t at = 1; size - at >= RECORD;)
		at += one_frame(data + at, size - at);
	for (unsigned i = 0; i < nr_ports; i++)
		vswitch_port_free(ports[i].port);
	vswitch_free(sw);
	return 0;
}
