/*
 * dec21140_threads_test.c - a guest, a switch and the clock at the 21140 at once
 *
 * The guest gives receive descriptors back without a word and sends as fast as
 * it can; the switch waits where it finds no room, and has none itself now and
 * then.  Every frame comes through once and in order, both ways, and nobody
 * waits for a call that never comes.
 */
#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/dec21140_priv.h"

#include <stdatomic.h>
#include <unistd.h>

#define DEVFN PCI_DEVFN(10, 0)
#define IO 0xc000u
#define RING 8u
#define TX 0x1000u
#define RX 0x2000u
#define BUF 0x10000u
#define FRAMES 20000u
#define LEN 100u
#define TOO_LONG_NS (20 * NS_PER_SEC)

struct both {
	struct rig r;
	struct port port;
	const struct port_client *client;
	void *dev;
	atomic_uint rooms, calls, sent;	/* port_room; sends tried; frames taken */
	atomic_bool held, wrong, over;
	pthread_t peer;
};

static struct both b;

static unsigned both_send(struct port *p, const struct net_frame *f, unsigned nr)
{
	uint8_t seq[4];

	(void)p;
	if (atomic_fetch_add(&b.calls, 1) % 7 == 6) {
		atomic_store(&b.held, true);
		return 0;
	}
	if (nr != 1 || f->len != LEN || !frame_copy(f, 14, seq, 4) || ld32(seq) != atomic_load(&b.sent))
		atomic_store(&b.wrong, true);
	atomic_fetch_add(&b.sent, 1);
	return 1;
}

static void both_room(struct port *p)
{
	(void)p;
	atomic_fetch_add(&b.rooms, 1);
}

static void both_bind(struct port *p, const struct port_client *client, void *dev, const struct port_caps *caps)
{
	(void)p, (void)caps;
	b.client = client;
	b.dev = dev;
}

static const struct port_ops both_ops = { .send = both_send, .room = both_room, .bind = both_bind };

/* There is room again for what the adapter holds. */
static void let_go(void)
{
	if (atomic_exchange(&b.held, false))
		b.client->resume(b.dev);
}

static void *peer(void *arg)
{
	uint8_t f[LEN] = { 0 };
	const struct iovec iov = { f, LEN };

	(void)arg;
	for (uint32_t i = 0; i < FRAMES && !atomic_load(&b.wrong); i++) {
		uint64_t end = base_monotonic_ns() + TOO_LONG_NS;

		st32(f + 14, i);
		for (;;) {
			unsigned rooms = atomic_load(&b.rooms);

			let_go();
			if (b.client->deliver(b.dev, &(struct net_frame){ .iov = &iov, .nr_iov = 1, .len = LEN }) == 0)
				break;
			while (atomic_load(&b.rooms) == rooms && base_monotonic_ns() < end) {
				let_go();
				usleep(10);
			}
			if (base_monotonic_ns() >= end)
				atomic_store(&b.wrong, true);
			if (atomic_load(&b.wrong))
				break;
		}
	}
	while (!atomic_load(&b.over)) {
		let_go();
		usleep(10);
	}
	return NULL;
}

static uint32_t status(uint32_t gpa)
{
	uint32_t v;

	CHECK_EQ(gmem_load32(b.r.mem, gpa, &v), 0);
	return v;
}

static void put_desc(uint32_t ring, unsigned i, uint32_t own, uint32_t control, uint32_t buf)
{
	uint8_t v[12];

	st32(v, control | (i == RING - 1 ? DES1_END_OF_RING : 0u));
	st32(v + 4, buf);
	st32(v + 8, 0);
	CHECK_EQ(gmem_write(b.r.mem, ring + i * 16 + 4, v, sizeof(v)), 0);
	CHECK_EQ(gmem_store32(b.r.mem, ring + i * 16, own), 0);
}

static uint32_t rx_buf(unsigned i) { return BUF + i * 0x800; }
static uint32_t tx_buf(unsigned i) { return BUF + 0x8000 + i * 0x800; }

/* What came since the last look, in order.  False: it was wrong. */
static bool take(uint32_t *seq)
{
	while (*seq < FRAMES && (status(RX + *seq % RING * 16) & DES_OWN) == 0) {
		unsigned i = *seq % RING;
		uint8_t v[4];

		CHECK_EQ(gmem_read(b.r.mem, rx_buf(i) + 14, v, 4), 0);
		if (ld32(v) != *seq || status(RX + i * 16) >> 16 != LEN + 4)
			return false;
		put_desc(RX, i, DES_OWN, 0x700, rx_buf(i));
		++*seq;
	}
	return true;
}

static void give(uint32_t *seq)
{
	while (*seq < FRAMES && (status(TX + *seq % RING * 16) & DES_OWN) == 0) {
		unsigned i = *seq % RING;
		uint8_t v[4];

		st32(v, *seq);
		CHECK_EQ(gmem_write(b.r.mem, tx_buf(i) + 14, v, 4), 0);
		put_desc(TX, i, DES_OWN, TDES1_FS | TDES1_LS | TDES1_IC | LEN, tx_buf(i));
		++*seq;
		rig_out(&b.r, IO + 8, 4, 0);
	}
}

static void set_up(void)
{
	rig_init(&b.r);
	clock_free(b.r.clock);
	CHECK_EQ(clock_new(&b.r.clock), 0);
	b.r.env.clock = b.r.clock;
	rig_pci(&b.r);
	rig_put(&b.r, &dec21140_dev, &(struct dec21140_conf){ .devfn = DEVFN });
	b.port.ops = &both_ops;
	dec21140_plug(b.r.dev, &b.port);
	pthread_mutex_lock(&b.r.lock);
	pci_cfg_write(b.r.pci, DEVFN, PCI_BAR0, 4, IO);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	pthread_mutex_unlock(&b.r.lock);
	for (unsigned i = 0; i < RING; i++) {
		put_desc(RX, i, DES_OWN, 0x700, rx_buf(i));
		put_desc(TX, i, 0, 0, 0);
	}
	rig_out(&b.r, IO + 3 * 8, 4, RX);
	rig_out(&b.r, IO + 4 * 8, 4, TX);
	rig_out(&b.r, IO + 7 * 8, 4, 0x1ffff);
	rig_out(&b.r, IO + 6 * 8, 4, CSR6_PR | CSR6_SR | CSR6_ST);
}

static void all_goes_through_once_and_in_order(void **s)
{
	uint32_t in = 0, out = 0;
	uint64_t end = base_monotonic_ns() + 3 * TOO_LONG_NS;

	(void)s;
	set_up();
	CHECK_EQ(pthread_create(&b.peer, NULL, peer, NULL), 0);
	while ((in < FRAMES || atomic_load(&b.sent) < FRAMES) && !atomic_load(&b.wrong)) {
		if (!take(&in) || base_monotonic_ns() > end)
			atomic_store(&b.wrong, true);
		give(&out);
		rig_out(&b.r, IO + 5 * 8, 4, rig_in(&b.r, IO + 5 * 8, 4));
		if (in % 64 == 0)
			usleep(50);		/* the ring fills up */
	}
	atomic_store(&b.over, true);
	pthread_join(b.peer, NULL);
	CHECK(!atomic_load(&b.wrong));
	CHECK_EQ(in, FRAMES);
	CHECK_EQ(atomic_load(&b.sent), FRAMES);
	CHECK_EQ(rig_in(&b.r, IO + 8 * 8, 4), 0xe0000000);	/* none was missed */
	rig_fini(&b.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_goes_through_once_and_in_order),
	};

	return cmocka_run_group_tests_name("dec21140_threads", tests, NULL, NULL);
}
