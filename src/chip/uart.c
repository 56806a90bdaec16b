/*
 * uart.c - 16550A serial port
 *
 * Transmission takes no time: what is written has left before the next read,
 * so the transmitter is always empty.  Its interrupt is therefore an event,
 * not a state: it is raised by writing a byte or by being enabled, and ended
 * by reading IIR.  Linux's driver counts on exactly that.
 *
 * Input arrives on any thread.  A line that delivers at baud rate cannot be
 * held back, but a pipe or a paste is not such a line; so bytes wait in a
 * queue as if still on the wire, and enter the 16-byte FIFO as the guest
 * empties it.  chr->room says what the queue takes; only a writer that does not
 * mind it loses bytes (overrun).
 *
 * The interrupt reaches the machine through OUT2, as on every PC.
 *
 * Spec     [PC16550D] 8
 * Missing  parity, framing, break and word lengths: eight bits always pass
 * Lock     chip; uart_input and uart_room take it
 */
#include "chip/chips.h"

#include <string.h>

enum { UART_DATA = 0, UART_IER = 1, UART_IIR = 2, UART_LCR = 3, UART_MCR = 4, UART_LSR = 5,
       UART_MSR = 6, UART_SCR = 7, NR_REGS = 8 };

#define FIFO_LEN 16u
#define WIRE_LEN 4096u
#define CLOCK_HZ 1843200u

enum { IER_RX = 0x01, IER_TX = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum { IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_TX = 0x02, IIR_RX = 0x04, IIR_LINE = 0x06,
       IIR_TIMEOUT = 0x0c, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { LSR_DR = 0x01, LSR_OE = 0x02, LSR_ERRORS = 0x1e, LSR_EMPTY = 0x60 };
enum { MSR_DELTAS = 0x0f, MSR_TERI = 0x04, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40,
       MSR_DCD = 0x80 };

#define LCR_DLAB 0x80

struct uart {
	struct uart_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] the chip lock */
	struct timer *timer;		/* [owned] the character timeout */
	uint16_t divisor;
	uint8_t ier, lcr, mcr, msr, scr;
	uint8_t lsr_oe;			/* LSR_OE or 0: all of LSR that is kept */
	bool fifos;
	uint8_t trigger;		/* bytes; 1 without FIFOs */
	bool tx_event, timeout;		/* causes that are events */
	uint8_t fifo[FIFO_LEN];
	uint8_t fifo_nr;		/* fifo[0] is the oldest */
	/* Bytes still "on the wire"; not part of the device, lost with the host. */
	uint8_t wire[WIRE_LEN];
	uint32_t wire_at, wire_nr;
};

static unsigned fifo_cap(const struct uart *u)
{
	return u->fifos ? FIFO_LEN : 1;
}

/* The cause of highest priority, as IIR says it. */
static uint8_t cause(const struct uart *u)
{
	if ((u->ier & IER_LINE) != 0 && u->lsr_oe != 0)
		return IIR_LINE;
	if ((u->ier & IER_RX) != 0 && u->fifo_nr >= u->trigger)
		return IIR_RX;
	if ((u->ier & IER_RX) != 0 && u->timeout)
		return IIR_TIMEOUT;
	if ((u->ier & IER_TX) != 0 && u->tx_event)
		return IIR_TX;
	if ((u->ier & IER_MODEM) != 0 && (u->msr & MSR_DELTAS) != 0)
		return IIR_MODEM;
	return IIR_NONE;
}

static void irq_update(struct uart *u)
{
	irq_set(&u->conf.irq, cause(u) != IIR_NONE && (u->mcr & MCR_OUT2) != 0);
}

/* Four characters of ten bits. */
static uint64_t timeout_ns(const struct uart *u)
{
	unsigned divisor = u->divisor != 0 ? u->divisor : 1;

	return NS_PER_SEC * 4 * 10 * 16 * divisor / CLOCK_HZ;
}

/* Bytes below the trigger level wait for more, but not for ever. */
static void timeout_arm(struct uart *u)
{
	bool wait = u->fifos && u->fifo_nr > 0 && u->fifo_nr < u->trigger && !u->timeout;

	timer_arm(u->timer, wait ? clock_now_ns(u->clock) + timeout_ns(u) : TIMER_NEVER);
}

static void timeout_fire(void *arg)
{
	struct uart *u = arg;

	pthread_mutex_lock(u->lock);
	if (u->fifos && u->fifo_nr > 0 && u->fifo_nr < u->trigger)
		u->timeout = true;
	irq_update(u);
	pthread_mutex_unlock(u->lock);
}

/* From the wire into the FIFO, as far as there is room. */
static void fifo_fill(struct uart *u)
{
	bool got = false;

	while (u->wire_nr > 0 && u->fifo_nr < fifo_cap(u) && (u->mcr & MCR_LOOP) == 0) {
		u->fifo[u->fifo_nr++] = u->wire[u->wire_at];
		u->wire_at = (u->wire_at + 1) % WIRE_LEN;
		u->wire_nr--;
		got = true;
	}
	if (got)
		timeout_arm(u);
}

static uint8_t fifo_pop(struct uart *u)
{
	uint8_t byte = u->fifo[0];

	if (u->fifo_nr == 0)
		return 0;
	memmove(u->fifo, u->fifo + 1, --u->fifo_nr);
	u->timeout = false;
	fifo_fill(u);
	timeout_arm(u);
	return byte;
}

static void uart_input(void *dev, const uint8_t *buf, size_t n)
{
	struct uart *u = dev;

	pthread_mutex_lock(u->lock);
	for (size_t i = 0; i < n; i++) {
		if (u->wire_nr == WIRE_LEN) {
			u->lsr_oe = LSR_OE;
			break;
		}
		u->wire[(u->wire_at + u->wire_nr++) % WIRE_LEN] = buf[i];
	}
	fifo_fill(u);
	irq_update(u);
	pthread_mutex_unlock(u->lock);
}

/* A reader that minds it never overruns us. */
static size_t uart_room(void *dev)
{
	struct uart *u = dev;
	size_t room;

	pthread_mutex_lock(u->lock);
	room = WIRE_LEN - u->wire_nr;
	pthread_mutex_unlock(u->lock);
	return room;
}

/* The modem lines: of the cable, or of MCR when it is looped back. */
static uint8_t modem_lines(const struct uart *u)
{
	uint8_t lines = 0;

	if ((u->mcr & MCR_LOOP) == 0)
		return u->conf.chr != NULL ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
	if ((u->mcr & MCR_RTS) != 0)
		lines |= MSR_CTS;
	if ((u->mcr & MCR_DTR) != 0)
		lines |= MSR_DSR;
	if ((u->mcr & MCR_OUT1) != 0)
		lines |= MSR_RI;
	if ((u->mcr & MCR_OUT2) != 0)
		lines |= MSR_DCD;
	return lines;
}

static void modem_update(struct uart *u)
{
	uint8_t lines = modem_lines(u), changed = (uint8_t)((u->msr ^ lines) & 0xf0);

	if ((lines & MSR_RI) != 0)	/* the ring indicator counts when it ends */
		changed &= (uint8_t)~MSR_RI;
	u->msr = (uint8_t)(lines | (u->msr & MSR_DELTAS) | changed >> 4);
}

static void transmit(struct uart *u, uint8_t byte)
{
	u->tx_event = true;
	if ((u->mcr & MCR_LOOP) == 0) {
		if (u->conf.chr != NULL)
			u->conf.chr->write(u->conf.chr, &byte, 1);
		return;
	}
	if (u->fifo_nr < fifo_cap(u))
		u->fifo[u->fifo_nr++] = byte;
	else if (u->fifos)
		u->lsr_oe = LSR_OE;	/* the byte in the shifter is lost */
	else {
		u->lsr_oe = LSR_OE;	/* the byte in the buffer is lost */
		u->fifo[0] = byte;
	}
	timeout_arm(u);
}

static void fcr_write(struct uart *u, uint8_t val)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };
	bool fifos = (val & FCR_ENABLE) != 0;

	if (fifos != u->fifos || (fifos && (val & FCR_CLEAR_RX) != 0)) {
		u->fifo_nr = 0;
		u->timeout = false;
	}
	u->fifos = fifos;
	u->trigger = fifos ? triggers[val >> 6] : 1;
	if (u->fifo_nr >= u->trigger)
		u->timeout = false;
	fifo_fill(u);
	timeout_arm(u);
}

static void ier_write(struct uart *u, uint8_t val)
{
	if ((val & ~u->ier & IER_TX) != 0)
		u->tx_event = true;
	u->ier = val & 0x0f;
}

static void mcr_write(struct uart *u, uint8_t val)
{
	u->mcr = val & 0x1f;
	modem_update(u);
	fifo_fill(u);
}

static uint64_t uart_read(void *self, uint32_t off, unsigned width)
{
	struct uart *u = self;
	bool dlab = (u->lcr & LCR_DLAB) != 0;
	uint8_t val = 0;

	(void)width;
	switch (off) {
	case UART_DATA:
		val = dlab ? (uint8_t)u->divisor : fifo_pop(u);
		break;
	case UART_IER:
		val = dlab ? (uint8_t)(u->divisor >> 8) : u->ier;
		break;
	case UART_IIR:
		val = cause(u);
		if (val == IIR_TX)
			u->tx_event = false;
		val |= u->fifos ? IIR_FIFOS : 0;
		break;
	case UART_LCR:
		val = u->lcr;
		break;
	case UART_MCR:
		val = u->mcr;
		break;
	case UART_LSR:
		val = (uint8_t)(LSR_EMPTY | u->lsr_oe | (u->fifo_nr > 0 ? LSR_DR : 0));
		u->lsr_oe = 0;
		break;
	case UART_MSR:
		val = u->msr;
		u->msr &= (uint8_t)~MSR_DELTAS;
		break;
	case UART_SCR:
		val = u->scr;
		break;
	}
	irq_update(u);
	return val;
}

static void uart_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct uart *u = self;
	bool dlab = (u->lcr & LCR_DLAB) != 0;
	uint8_t byte = (uint8_t)val;

	(void)width;
	switch (off) {
	case UART_DATA:
		if (dlab)
			u->divisor = (uint16_t)((u->divisor & 0xff00) | byte);
		else
			transmit(u, byte);
		break;
	case UART_IER:
		if (dlab)
			u->divisor = (uint16_t)((u->divisor & 0x00ff) | byte << 8);
		else
			ier_write(u, byte);
		break;
	case UART_IIR:
		fcr_write(u, byte);
		break;
	case UART_LCR:
		u->lcr = byte;
		break;
	case UART_MCR:
		mcr_write(u, byte);
		break;
	case UART_SCR:
		u->scr = byte;
		break;
	}
	irq_update(u);
}

static const struct io_ops uart_io = {
	.widths = IO_W1,
	.read = uart_read,
	.write = uart_write,
};

static void uart_reset(void *self)
{
	struct uart *u = self;

	u->divisor = 12;	/* 9,600 baud; the data sheet leaves it undefined */
	u->ier = u->lcr = u->mcr = u->scr = u->lsr_oe = 0;
	u->fifos = u->tx_event = u->timeout = false;
	u->trigger = 1;
	u->fifo_nr = 0;
	u->msr = modem_lines(u);
	timeout_arm(u);
	fifo_fill(u);
	irq_update(u);
}

static int uart_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct uart *u = self;
	int rc;

	u->conf = *(const struct uart_conf *)conf;
	u->clock = env->clock;
	u->lock = env->lock;
	rc = timer_new(u->clock, timeout_fire, u, &u->timer);
	if (rc < 0)
		return err_set(err, rc, "no timer");
	rc = bus_add(env->pio, env->name, u->conf.port, NR_REGS, &uart_io, u, err);
	if (rc < 0) {
		timer_free(u->timer);
		return rc;
	}
	if (u->conf.chr != NULL) {
		u->conf.chr->dev = u;
		u->conf.chr->input = uart_input;
		u->conf.chr->room = uart_room;
	}
	return 0;
}

static int uart_loaded(void *self, struct err *err)
{
	struct uart *u = self;

	if (u->ier > 0x0f || u->mcr > 0x1f || (u->lsr_oe & ~LSR_OE) != 0 ||
	    u->fifo_nr > fifo_cap(u) || u->trigger == 0 || u->trigger > 14 ||
	    (!u->fifos && u->trigger != 1))
		return err_set(err, -EBADMSG, "uart: registers are impossible");
	timeout_arm(u);
	irq_update(u);
	return 0;
}

static void uart_fini(void *self)
{
	struct uart *u = self;

	if (u->conf.chr != NULL)
		u->conf.chr->input = NULL;
	timer_free(u->timer);
}

static const struct state_field uart_state[] = {
	STATE(1, struct uart, divisor),
	STATE(2, struct uart, ier),
	STATE(3, struct uart, lcr),
	STATE(4, struct uart, mcr),
	STATE(5, struct uart, msr),
	STATE(6, struct uart, scr),
	STATE(7, struct uart, lsr_oe),
	STATE(8, struct uart, fifos),
	STATE(9, struct uart, trigger),
	STATE(10, struct uart, tx_event),
	STATE(11, struct uart, timeout),
	STATE(12, struct uart, fifo),
	STATE(13, struct uart, fifo_nr),
	{ 0 },
};

const struct dev_ops uart_dev = {
	.name = "uart",
	.size = sizeof(struct uart),
	.state = uart_state,
	.init = uart_init,
	.reset = uart_reset,
	.loaded = uart_loaded,
	.fini = uart_fini,
};
