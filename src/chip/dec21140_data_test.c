/*
 * dec21140_data_test.c - frames through the 21140, with good lists and bad ones
 */
#include "chip/dec21140_bench.h"

/* ---- sending ------------------------------------------------------------------------- */

static void check_sent(struct bench *b, unsigned i, uint32_t gpa, uint32_t n, uint32_t len)
{
	uint8_t want[DEC_FRAME_MAX];

	CHECK(b->port.nr > i);
	CHECK_EQ(b->port.len[i], len);
	CHECK_EQ(gmem_read(b->r.mem, gpa, want, n), 0);
	CHECK_MEM(b->port.frame[i], want, n);
	for (uint32_t k = n; k < len; k++)
		CHECK_EQ(b->port.frame[i][k], 0);
}

static void frames_go_from_a_ring(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	fill(&b, BUF, 2000, 1);
	desc(&b, TX, DES_OWN, WHOLE | TDES1_IC | 1514, BUF, 0);
	desc(&b, TX + 16, DES_OWN, WHOLE | 42, BUF + 100, 0);		/* padded */
	desc(&b, TX + 32, DES_OWN, WHOLE | TDES1_DPD | DES1_END_OF_RING | 42, BUF + 200, 0);
	out(&b, 7, CSR5_NIS | CSR5_TI);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 3);
	check_sent(&b, 0, BUF, 1514, 1514);
	check_sent(&b, 1, BUF + 100, 42, 60);
	check_sent(&b, 2, BUF + 200, 42, 42);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(peek(&b, TX + i * 16), 0);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, 5) & 7u << 20, 6u << 20);	/* back at the first, which is not ours */
	desc(&b, TX, DES_OWN, WHOLE | TDES1_AC | 104, BUF + 7, 0);	/* with an FCS of its own */
	step(&b, 1000000);
	CHECK_EQ(b.port.nr, 3);		/* nobody has asked for it */
	out(&b, 1, 0);
	step(&b, 0);
	check_sent(&b, 3, BUF + 7, 100, 100);
	fini(&b);
}

static void frames_go_from_a_chain_and_in_pieces(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	fill(&b, BUF, 2000, 3);
	desc(&b, TX, DES_OWN, TDES1_FS | DES1_CHAINED | 100, BUF, 0x8000);
	desc(&b, 0x8000, DES_OWN, DES1_CHAINED | 0, 0, 0x9000);
	desc(&b, 0x9000, DES_OWN, TDES1_LS | 300 | 11 << 11, BUF + 100, BUF + 400);
	desc(&b, 0x9010, DES_OWN, WHOLE | DES1_END_OF_RING | 64, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 2);
	check_sent(&b, 0, BUF, 411, 411);
	CHECK_EQ(peek(&b, TX) | peek(&b, 0x8000) | peek(&b, 0x9000), 0);
	/* Descriptors with a gap, in the other byte order. */
	out(&b, 6, 0);
	out(&b, 0, CSR0_DBO | 4 << 2);
	fill(&b, BUF, 200, 9);
	desc(&b, TX, __builtin_bswap32(DES_OWN), __builtin_bswap32(TDES1_FS | 60), __builtin_bswap32(BUF), 0);
	desc(&b, TX + 32, __builtin_bswap32(DES_OWN), __builtin_bswap32(TDES1_LS | 60), __builtin_bswap32(BUF + 60), 0);
	desc(&b, TX + 64, 0, 0, 0, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 3);
	check_sent(&b, 2, BUF, 120, 120);
	fini(&b);
}

static void a_frame_without_room_waits(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	b.port.take = 1;
	for (unsigned i = 0; i < 3; i++) {
		fill(&b, BUF + i * 0x100, 100, (uint8_t)(i * 50));
		desc(&b, TX + i * 16, DES_OWN, WHOLE | (i == 2 ? DES1_END_OF_RING : 0u) | 100, BUF + i * 0x100, 0);
	}
	tx_on(&b);
	CHECK_EQ(b.port.nr, 1);
	CHECK_EQ(peek(&b, TX + 16), DES_OWN);
	CHECK_EQ(in(&b, 5) & 7u << 20, 1u << 20);
	step(&b, NS_PER_SEC);
	out(&b, 1, 0);
	step(&b, NS_PER_SEC);
	CHECK_EQ(b.port.nr, 1);
	b.port.take = 1;
	b.port.client->resume(b.port.dev);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 2);
	check_sent(&b, 1, BUF + 0x100, 100, 100);
	CHECK_EQ(peek(&b, TX + 16), 0);
	/* The third is stopped in its wait: excessive collisions. */
	CHECK_EQ(peek(&b, TX + 32), DES_OWN);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_ST);
	CHECK_EQ(peek(&b, TX + 32), TDES0_ES | TDES0_EC);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS), CSR5_TPS);
	b.port.take = 10;
	b.port.client->resume(b.port.dev);
	step(&b, NS_PER_SEC);
	CHECK_EQ(b.port.nr, 2);
	fini(&b);
}

static void reset_inside(void *arg)
{
	struct bench *b = arg;

	b->port.in_send = NULL;
	out(b, 0, CSR0_SWR);		/* the lock is free: a vCPU's write */
	b->port.client->resume(b->port.dev);
}

static void stop_inside(void *arg)
{
	struct bench *b = arg;

	b->port.in_send = NULL;
	out(b, 6, in(b, 6) & ~(uint32_t)CSR6_ST);
}

static void the_guest_goes_on_while_the_switch_has_a_frame(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, WHOLE | 100, BUF, 0);
	desc(&b, TX + 16, DES_OWN, WHOLE | 100, BUF, 0);
	b.port.in_send = stop_inside;
	b.port.arg = &b;
	tx_on(&b);
	CHECK_EQ(b.port.nr, 1);		/* that one, and no more */
	CHECK_EQ(peek(&b, TX), 0);
	CHECK_EQ(peek(&b, TX + 16), DES_OWN);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS), CSR5_TPS);
	b.port.in_send = reset_inside;
	desc(&b, TX, DES_OWN, WHOLE | 100, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 2);
	CHECK_EQ(peek(&b, TX), DES_OWN);	/* it has forgotten whose it was */
	CHECK_EQ(in(&b, 5), 0xfc000000);
	fini(&b);
}

static void half_a_frame_is_an_underflow(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, TDES1_FS | 100, BUF, 0);
	desc(&b, TX + 16, 0, TDES1_LS | 100, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TU | CSR5_UNF), 6u << 20 | CSR5_TU | CSR5_UNF);
	/* Its end, too late, is an end of nothing. */
	desc(&b, TX + 16, DES_OWN, TDES1_LS | 100, BUF, 0);
	desc(&b, TX + 32, DES_OWN, WHOLE | DES1_END_OF_RING | 80, BUF, 0);
	out(&b, 1, 0);
	step(&b, 0);
	CHECK_EQ(peek(&b, TX + 16), TDES0_ES | TDES0_UF);
	CHECK_EQ(b.port.nr, 1);
	CHECK_EQ(b.port.len[0], 80);
	fini(&b);
}

static void a_frame_without_end_is_jabber(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, TDES1_FS | 2047 | 2047 << 11, BUF, BUF);
	desc(&b, TX + 16, DES_OWN, TDES1_LS | 10, BUF, 0);
	desc(&b, TX + 32, DES_OWN, WHOLE | 80, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(peek(&b, TX + 16), TDES0_ES | TDES0_TO);
	CHECK_EQ(peek(&b, TX + 32), DES_OWN);
	CHECK_EQ(in(&b, 5) & (7u << 20 | CSR5_TPS | CSR5_TJT), CSR5_TPS | CSR5_TJT);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_ST);
	out(&b, 6, in(&b, 6) | CSR6_ST);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 1);
	fini(&b);
}

static void a_ring_without_end_lets_others_run(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	/* One descriptor, a setup frame that is never not ours: its own buffer is its status. */
	desc(&b, TX, DES_OWN, TDES1_FS | DES1_END_OF_RING, 0, 0);
	tx_on(&b);
	CHECK_EQ(in(&b, 5) & 7u << 20, 6u << 20);
	/* A chain through all of RAM: each kick walks a part of it. */
	out(&b, 6, 0);
	for (unsigned i = 0; i < 1000; i++)
		desc(&b, 0x20000 + i * 16, DES_OWN, TDES1_FS, 0, 0);
	out(&b, 4, 0x20000);
	out(&b, 6, CSR6_ST);
	pthread_mutex_lock(&b.r.lock);
	for (unsigned i = 0; i < 128; i++)
		CHECK(dec_tx_work(chip(&b)));
	pthread_mutex_unlock(&b.r.lock);
	CHECK_EQ(peek(&b, 0x20000 + 127 * 16), 0);
	CHECK_EQ(peek(&b, 0x20000 + 128 * 16), DES_OWN);
	step(&b, 0);
	CHECK_EQ(peek(&b, 0x20000 + 999 * 16), 0);
	fini(&b);
}

static void memory_that_is_none_stops_the_chip(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, WHOLE | 100, 0xfffffff0, 0);
	desc(&b, TX + 16, DES_OWN, WHOLE | 100, BUF, 0);
	rx_ring(&b, 1536);
	out(&b, 7, CSR5_AIS | CSR5_FBE);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK(irq(&b));
	CHECK_EQ(in(&b, 5) & (7u << 23 | CSR5_FBE), 1u << 23 | CSR5_FBE);
	out(&b, 5, CSR5_FBE);
	out(&b, 1, 0);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);
	CHECK_EQ(peek(&b, RX), DES_OWN);
	out(&b, 0, CSR0_SWR);
	desc(&b, TX, DES_OWN, WHOLE | 100, BUF, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 2);
	out(&b, 3, 0xfffffffc);
	out(&b, 6, CSR6_PR | CSR6_SR);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);
	CHECK_EQ(in(&b, 5) & CSR5_FBE, CSR5_FBE);
	fini(&b);
}

static void only_a_bus_master_touches_memory(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, TX, DES_OWN, WHOLE | DES1_END_OF_RING | 100, BUF, 0);
	rx_ring(&b, 1536);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);
	CHECK_EQ(peek(&b, RX), DES_OWN);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	step(&b, 0);
	CHECK_EQ(b.port.nr, 1);
	fini(&b);
}

/* ---- receiving ----------------------------------------------------------------------- */

static void check_received(struct bench *b, uint32_t gpa, uint32_t len, uint32_t bytes)
{
	uint8_t f[DEC_FRAME_MAX];

	CHECK_EQ(gmem_read(b->r.mem, gpa, f, len), 0);
	for (uint32_t i = 14; i < len - 4; i++)
		CHECK_EQ(f[i], i < bytes ? (uint8_t)(i * 3) : 0);
	CHECK_EQ(ld32(f + len - 4), crc32_bits(f, len - 4));
}

static void frames_come_with_length_and_fcs(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	rx_ring(&b, 1536);
	out(&b, 7, CSR5_NIS | CSR5_RI);
	CHECK_EQ(deliver_to(&b, broadcast, 1514), 0);
	CHECK(irq(&b));
	CHECK_EQ(peek(&b, RX), 1518u << 16 | RDES0_FS | RDES0_LS | RDES0_MF | RDES0_FT);
	check_received(&b, BUF, 1518, 1514);
	CHECK_EQ(deliver_to(&b, mac, 42), 0);
	CHECK_EQ(peek(&b, RX + 16), 64u << 16 | RDES0_FS | RDES0_LS | RDES0_FT);
	check_received(&b, BUF + 0x1000, 64, 42);
	CHECK_EQ(deliver_to(&b, mac, 1518), 0);		/* with a tag */
	CHECK_EQ(peek(&b, RX + 32), 1522u << 16 | RDES0_FS | RDES0_LS | RDES0_FT | RDES0_TL);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_SR);
	CHECK_EQ(in(&b, 5) & (7u << 17 | CSR5_RPS), CSR5_RPS);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);		/* nobody listens */
	CHECK_EQ(peek(&b, RX + 48), DES_OWN);
	fini(&b);
}

static void a_long_frame_takes_several_buffers(void **s)
{
	uint8_t f[1518], part[500];
	struct bench b;

	(void)s;
	start(&b);
	for (unsigned i = 0; i < 4; i++)
		desc(&b, RX + i * 16, DES_OWN, 200 | 200 << 11 | (i == 3 ? DES1_END_OF_RING : 0u), BUF + i * 0x1000,
		     BUF + i * 0x1000 + 0x800);
	rx_on(&b);
	CHECK_EQ(deliver_to(&b, mac, 1000), 0);
	CHECK_EQ(peek(&b, RX), RDES0_FS);
	CHECK_EQ(peek(&b, RX + 16), 0);
	CHECK_EQ(peek(&b, RX + 32), 1004u << 16 | RDES0_LS | RDES0_FT);
	CHECK_EQ(peek(&b, RX + 48), DES_OWN);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(gmem_read(b.r.mem, BUF + i / 2 * 0x1000 + i % 2 * 0x800, part, 200), 0);
		memcpy(f + i * 200, part, 200);
	}
	CHECK_EQ(ld32(f + 1000), crc32_bits(f, 1000));
	/* The next one needs three, and there is one: it waits whole. */
	CHECK_EQ(deliver_to(&b, mac, 1000), -EAGAIN);
	CHECK_EQ(peek(&b, RX + 48), DES_OWN);
	/* A ring that cannot hold it at all: cut, and so it says. */
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_SR);
	desc(&b, RX, DES_OWN, 100 | DES1_END_OF_RING, BUF, 0);
	rx_on(&b);
	CHECK_EQ(deliver_to(&b, mac, 1000), 0);
	CHECK_EQ(peek(&b, RX), 1004u << 16 | RDES0_FS | RDES0_LS | RDES0_FT | RDES0_ES | RDES0_DE);
	fini(&b);
}

static void without_a_descriptor_frames_wait_and_then_are_missed(void **s)
{
	struct bench b;

	(void)s;
	start(&b);
	desc(&b, RX, 0, 1536, BUF, 0);
	rx_on(&b);
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	CHECK_EQ(in(&b, 5) & (7u << 17 | CSR5_RU), 4u << 17 | CSR5_RU);
	out(&b, 5, CSR5_RU);
	step(&b, 10000000);
	CHECK_EQ(b.port.rooms, 0);
	desc(&b, RX, DES_OWN, 1536 | DES1_END_OF_RING, BUF, 0);		/* without a word */
	step(&b, 250000);
	CHECK_EQ(b.port.rooms, 1);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(in(&b, 5) & 7u << 17, 3u << 17);
	/* With a poll demand it is told at once. */
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	desc(&b, RX, DES_OWN, 1536 | DES1_END_OF_RING, BUF, 0);
	out(&b, 2, 0);
	CHECK_EQ(in(&b, 5) & 7u << 17, 3u << 17);
	step(&b, 0);
	CHECK_EQ(b.port.rooms, 2);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	/* Half a second is enough for everybody. */
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	step(&b, 499000000);
	CHECK_EQ(b.port.rooms, 2);
	step(&b, 2000000);
	CHECK_EQ(b.port.rooms, 3);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(in(&b, 8), 0xe0000002);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	desc(&b, RX, DES_OWN, 1536 | DES1_END_OF_RING, BUF, 0);
	CHECK_EQ(deliver_to(&b, mac, 100), 0);
	CHECK_EQ(peek(&b, RX) & DES_OWN, 0);
	CHECK_EQ(in(&b, 8), 0xe0000000);
	/* Who waits when the receiver is switched off hears of it too. */
	CHECK_EQ(deliver_to(&b, mac, 100), -EAGAIN);
	out(&b, 6, 0);
	step(&b, 0);
	CHECK_EQ(b.port.rooms, 4);
	fini(&b);
}

static void addresses_are_filtered(void **s)
{
	const uint8_t other[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 }, multi[6] = { 0x01, 0, 0x5e, 0, 0, 0xfb };
	const uint8_t multi2[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	uint8_t setup[DEC_SETUP_LEN];
	struct bench b;
	uint32_t bit;

	(void)s;
	start(&b);
	CHECK(hears(&b, other));			/* promiscuous from reset */
	memset(setup, 0xff, sizeof(setup));
	put_addr(setup, 0, mac);
	set_filter(&b, setup, 0);
	CHECK(hears(&b, mac) && hears(&b, broadcast));
	CHECK(!hears(&b, other) && !hears(&b, multi));
	out(&b, 6, in(&b, 6) | CSR6_PM);
	CHECK(hears(&b, multi) && !hears(&b, other));
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_PM);
	/* All of them come, and what should not have says so. */
	out(&b, 6, in(&b, 6) | CSR6_RA);
	CHECK(hears(&b, other));
	CHECK_EQ(peek(&b, RX) & RDES0_FF, RDES0_FF);
	CHECK(hears(&b, mac));
	CHECK_EQ(peek(&b, RX) & RDES0_FF, 0);
	out(&b, 6, in(&b, 6) & ~(uint32_t)CSR6_RA);
	set_filter(&b, setup, TDES1_FT1);		/* inverse */
	CHECK_EQ(in(&b, 6) & (CSR6_IF | CSR6_HP | CSR6_HO), CSR6_IF);
	CHECK(!hears(&b, mac) && !hears(&b, broadcast) && hears(&b, other));
	/* A hash table for groups, one address for us. */
	memset(setup, 0, sizeof(setup));
	bit = ~crc32_bits(multi, 6) & 0x1ff;
	setup[bit / 16 * 4 + bit % 16 / 8] = (uint8_t)(1 << bit % 8);
	put_addr(setup, 156, mac);
	set_filter(&b, setup, TDES1_FT0);
	CHECK(hears(&b, mac) && hears(&b, multi));
	CHECK(!hears(&b, other) && !hears(&b, multi2) && !hears(&b, broadcast));
	/* Linux knows that broadcasts are bit 255. */
	setup[255 / 16 * 4 + 1] |= 0x80;
	set_filter(&b, setup, TDES1_FT0);
	CHECK(hears(&b, broadcast));
	bit = ~crc32_bits(other, 6) & 0x1ff;
	setup[bit / 16 * 4 + bit % 16 / 8] |= (uint8_t)(1 << bit % 8);
	set_filter(&b, setup, TDES1_FT0 | TDES1_FT1);	/* hash only */
	CHECK(hears(&b, other) && hears(&b, multi) && !hears(&b, mac));
	out(&b, 6, in(&b, 6) | CSR6_PR);
	CHECK(hears(&b, mac));
	fini(&b);
}

static void a_loop_leads_back(void **s)
{
	uint8_t f[64];
	struct bench b;

	(void)s;
	start(&b);
	rx_ring(&b, 1536);
	fill(&b, BUF + 0x8000, 60, 5);
	out(&b, 6, in(&b, 6) | 1 << 10);
	desc(&b, TX, DES_OWN, WHOLE | DES1_END_OF_RING | 60, BUF + 0x8000, 0);
	tx_on(&b);
	CHECK_EQ(b.port.nr, 0);
	CHECK_EQ(peek(&b, TX), 0);
	CHECK_EQ(peek(&b, RX) & (DES_OWN | 3 << 12 | 0x3fff0000), 1 << 12 | 64 << 16);
	CHECK_EQ(gmem_read(b.r.mem, BUF, f, 60), 0);
	CHECK_EQ(f[1], 12);
	CHECK_EQ(deliver_to(&b, broadcast, 100), 0);	/* the wire is not heard */
	CHECK_EQ(peek(&b, RX + 16), DES_OWN);
	fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_from_a_ring),
		cmocka_unit_test(frames_go_from_a_chain_and_in_pieces),
		cmocka_unit_test(a_frame_without_room_waits),
		cmocka_unit_test(the_guest_goes_on_while_the_switch_has_a_frame),
		cmocka_unit_test(half_a_frame_is_an_underflow),
		cmocka_unit_test(a_frame_without_end_is_jabber),
		cmocka_unit_test(a_ring_without_end_lets_others_run),
		cmocka_unit_test(memory_that_is_none_stops_the_chip),
		cmocka_unit_test(only_a_bus_master_touches_memory),
		cmocka_unit_test(frames_come_with_length_and_fcs),
		cmocka_unit_test(a_long_frame_takes_several_buffers),
		cmocka_unit_test(without_a_descriptor_frames_wait_and_then_are_missed),
		cmocka_unit_test(addresses_are_filtered),
		cmocka_unit_test(a_loop_leads_back),
	};

	return cmocka_run_group_tests_name("dec21140_data", tests, NULL, NULL);
}
