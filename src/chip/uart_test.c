#include "base/test.h"

#include "chip/chip_rig.h"
#include "chip/uart.c"

#define COM1 0x3f8

struct bench {
	struct rig r;
	struct chr chr;
	char out[64];
	size_t nr_out;
};

static void take_output(struct chr *c, const uint8_t *buf, size_t n)
{
	struct bench *b = CONTAINER_OF(c, struct bench, chr);

	for (size_t i = 0; i < n && b->nr_out < sizeof(b->out) - 1; i++)
		b->out[b->nr_out++] = (char)buf[i];
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	CHECK(b != NULL);
	b->chr.write = take_output;
	rig_init(&b->r);
	rig_put(&b->r, &uart_dev, &(struct uart_conf){ COM1, rig_irq(&b->r), &b->chr });
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&((struct bench *)*state)->r);
	free(*state);
	return 0;
}

static uint8_t in(struct bench *b, unsigned reg)
{
	return (uint8_t)rig_in(&b->r, (uint16_t)(COM1 + reg), 1);
}

static void out(struct bench *b, unsigned reg, uint8_t val)
{
	rig_out(&b->r, (uint16_t)(COM1 + reg), 1, val);
}

static void type(struct bench *b, const char *text, size_t n)
{
	b->chr.input(b->chr.dev, (const uint8_t *)text, n);
}

static void registers_keep_what_they_can(void **state)
{
	struct bench *b = *state;

	CHECK_EQ(in(b, UART_LSR), 0x60);
	CHECK_EQ(in(b, UART_MSR), 0xb0);
	CHECK_EQ(in(b, UART_IIR), 0x01);
	out(b, UART_SCR, 0xa5);
	CHECK_EQ(in(b, UART_SCR), 0xa5);
	out(b, UART_IER, 0xff);
	CHECK_EQ(in(b, UART_IER), 0x0f);
	out(b, UART_MCR, 0xff);
	CHECK_EQ(in(b, UART_MCR), 0x1f);
	out(b, UART_MCR, 0);
	out(b, UART_LCR, 0x83);
	out(b, 0, 0x34);
	out(b, 1, 0x12);
	CHECK_EQ(in(b, 0), 0x34);
	CHECK_EQ(in(b, 1), 0x12);
	out(b, UART_LCR, 0x03);
	CHECK_EQ(in(b, UART_IER), 0x0f);
	out(b, UART_IIR, 0xc1);
	CHECK_EQ(in(b, UART_IIR) & 0xc0, 0xc0);
	CHECK_EQ(b->nr_out, 0);
}

static void output_leaves_at_once_and_raises_thre(void **state)
{
	struct bench *b = *state;

	out(b, UART_MCR, MCR_OUT2);
	out(b, UART_DATA, 'A');
	CHECK_STR(b->out, "A");
	CHECK(!b->r.level);
	CHECK_EQ(in(b, UART_IIR), IIR_NONE);
	out(b, UART_IER, IER_TX);		/* enabling is an event */
	CHECK(b->r.level);
	CHECK_EQ(in(b, UART_IIR), IIR_TX);
	CHECK(!b->r.level);			/* reading IIR ends it */
	CHECK_EQ(in(b, UART_IIR), IIR_NONE);
	CHECK_EQ(in(b, UART_LSR), 0x60);
	out(b, UART_DATA, 'B');
	CHECK(b->r.level);
	CHECK_EQ(in(b, UART_IIR), IIR_TX);
	CHECK_STR(b->out, "AB");
	out(b, UART_DATA, 'C');
	out(b, UART_IER, 0);
	CHECK(!b->r.level);
	out(b, UART_IER, IER_TX);
	out(b, UART_MCR, 0);			/* OUT2 gates the line */
	CHECK(!b->r.level);
}

static void input_waits_for_the_trigger_or_the_timeout(void **state)
{
	struct bench *b = *state;

	out(b, UART_MCR, MCR_OUT2);
	out(b, UART_IER, IER_RX);
	type(b, "x", 1);			/* no FIFO: at once */
	CHECK(b->r.level);
	CHECK_EQ(in(b, UART_IIR), IIR_RX);
	CHECK_EQ(in(b, UART_LSR), 0x61);
	CHECK_EQ(in(b, UART_DATA), 'x');
	CHECK(!b->r.level);
	out(b, UART_LCR, 0x83);
	out(b, 0, 1);				/* 115,200 baud */
	out(b, 1, 0);
	out(b, UART_LCR, 0x03);
	out(b, UART_IIR, 0x81);			/* trigger 8 */
	type(b, "1234567", 7);
	CHECK(!b->r.level);
	clock_step(b->r.clock, 340000);
	CHECK(!b->r.level);
	clock_step(b->r.clock, 10000);		/* four characters: 347 us */
	CHECK(b->r.level);
	CHECK_EQ(in(b, UART_IIR), 0xc0 | IIR_TIMEOUT);
	type(b, "8", 1);
	CHECK_EQ(in(b, UART_IIR), 0xc0 | IIR_RX);
	for (char c = '1'; c <= '8'; c++)
		CHECK_EQ(in(b, UART_DATA), c);
	CHECK(!b->r.level);
	CHECK_EQ(in(b, UART_LSR), 0x60);
	clock_step(b->r.clock, NS_PER_SEC);
	CHECK(!b->r.level);
	CHECK_EQ(in(b, UART_DATA), 0);
}

static void a_paste_waits_and_an_endless_one_overruns(void **state)
{
	struct bench *b = *state;
	char text[FIFO_LEN + WIRE_LEN + 1];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i % 251);
	out(b, UART_IIR, 0x01);
	CHECK_EQ(b->chr.room(b->chr.dev), WIRE_LEN);
	type(b, text, FIFO_LEN);
	CHECK_EQ(b->chr.room(b->chr.dev), WIRE_LEN);
	type(b, text + FIFO_LEN, WIRE_LEN);
	CHECK_EQ(b->chr.room(b->chr.dev), 0);
	CHECK_EQ(in(b, UART_LSR), 0x61);
	type(b, text, 1);
	out(b, UART_MCR, MCR_OUT2);
	out(b, UART_IER, IER_LINE | IER_RX);
	CHECK_EQ(in(b, UART_IIR), 0xc0 | IIR_LINE);	/* before RX */
	CHECK_EQ(in(b, UART_LSR), 0x63);
	CHECK_EQ(in(b, UART_LSR), 0x61);		/* reading ends it */
	CHECK_EQ(in(b, UART_IIR), 0xc0 | IIR_RX);
	for (size_t i = 0; i < FIFO_LEN + WIRE_LEN; i++)
		CHECK_EQ(in(b, UART_DATA), (uint8_t)text[i]);
	CHECK_EQ(in(b, UART_LSR), 0x60);
}

static void loopback_returns_bytes_and_modem_lines(void **state)
{
	struct bench *b = *state;

	(void)in(b, UART_MSR);
	out(b, UART_MCR, MCR_LOOP | MCR_RTS | MCR_OUT1);
	CHECK_EQ(in(b, UART_MSR), MSR_CTS | MSR_RI | 0x0a);	/* DSR and DCD fell */
	CHECK_EQ(in(b, UART_MSR), MSR_CTS | MSR_RI);
	out(b, UART_MCR, MCR_LOOP | MCR_DTR | MCR_OUT2);
	CHECK_EQ(in(b, UART_MSR), MSR_DSR | MSR_DCD | 0x0f);	/* RI ended, so TERI too */
	out(b, UART_MCR, MCR_LOOP | MCR_DTR | MCR_OUT2 | MCR_OUT1);
	CHECK_EQ(in(b, UART_MSR), MSR_DSR | MSR_DCD | MSR_RI);	/* its beginning is no event */
	out(b, UART_IER, IER_MODEM);
	out(b, UART_MCR, MCR_LOOP | MCR_OUT2 | MCR_OUT1);
	CHECK_EQ(in(b, UART_IIR), IIR_MODEM);
	CHECK(b->r.level);
	(void)in(b, UART_MSR);
	CHECK(!b->r.level);
	out(b, UART_DATA, 'q');
	CHECK_EQ(b->nr_out, 0);
	CHECK_EQ(in(b, UART_DATA), 'q');
	type(b, "z", 1);		/* the cable is off */
	CHECK_EQ(in(b, UART_LSR), 0x60);
	out(b, UART_IIR, 0x01);
	for (unsigned i = 0; i < FIFO_LEN + 1; i++)
		out(b, UART_DATA, (uint8_t)i);
	CHECK_EQ(in(b, UART_LSR), 0x63);
	out(b, UART_MCR, 0);
	for (unsigned i = 0; i < FIFO_LEN; i++)
		CHECK_EQ(in(b, UART_DATA), i);
	CHECK_EQ(in(b, UART_DATA), 'z');
}

static void fifo_control_clears_and_switches(void **state)
{
	struct bench *b = *state;

	out(b, UART_IIR, 0x01);
	type(b, "abc", 3);
	out(b, UART_IIR, 0x03);		/* clear: the three are gone */
	CHECK_EQ(in(b, UART_LSR), 0x60);
	type(b, "d", 1);
	out(b, UART_IIR, 0x02);		/* FIFOs off: also a clear, the other bits do not count */
	CHECK_EQ(in(b, UART_IIR), 0x01);
	CHECK_EQ(in(b, UART_LSR), 0x60);
}

static void an_unattached_port_swallows(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_put(&r, &uart_dev, &(struct uart_conf){ COM1, rig_irq(&r), NULL });
	rig_out(&r, COM1, 1, 'x');
	CHECK_EQ(rig_in(&r, COM1 + UART_LSR, 1), 0x60);
	CHECK_EQ(rig_in(&r, COM1 + UART_MSR, 1), 0);
	rig_fini(&r);
}

static void impossible_states_are_refused(void **state)
{
	struct bench *b = *state;
	struct uart *u = b->r.dev;

	u->fifo_nr = 2;
	CHECK_EQ(uart_dev.loaded(u, NULL), -EBADMSG);
	u->fifos = true;
	u->fifo_nr = 17;
	CHECK_EQ(uart_dev.loaded(u, NULL), -EBADMSG);
	u->fifo_nr = 2;
	CHECK_EQ(uart_dev.loaded(u, NULL), 0);
	u->trigger = 0;
	CHECK_EQ(uart_dev.loaded(u, NULL), -EBADMSG);
	u->trigger = 1;
	u->lsr_oe = 1;
	CHECK_EQ(uart_dev.loaded(u, NULL), -EBADMSG);
}

static void *typist(void *arg)
{
	struct bench *b = arg;

	for (unsigned i = 0; i < 2000; i++)
		type(b, "k", 1);
	return NULL;
}

/* For TSan: input comes from a thread of its own. */
static void input_may_come_from_any_thread(void **state)
{
	struct bench *b = *state;
	pthread_t th;
	unsigned got = 0;

	out(b, UART_IIR, 0x01);
	CHECK_EQ(pthread_create(&th, NULL, typist, b), 0);
	while (got < 2000)
		if ((in(b, UART_LSR) & LSR_DR) != 0) {
			CHECK_EQ(in(b, UART_DATA), 'k');
			got++;
		}
	pthread_join(th, NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_keep_what_they_can),
		T(output_leaves_at_once_and_raises_thre),
		T(input_waits_for_the_trigger_or_the_timeout),
		T(a_paste_waits_and_an_endless_one_overruns),
		T(loopback_returns_bytes_and_modem_lines),
		T(fifo_control_clears_and_switches),
		cmocka_unit_test(an_unattached_port_swallows),
		T(impossible_states_are_refused),
		T(input_may_come_from_any_thread),
	};

	return cmocka_run_group_tests_name("uart", tests, NULL, NULL);
}
