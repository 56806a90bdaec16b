/*
 * console.c - the guest's serial port on our standard input and output
 *
 * A writer thread empties a ring, so that a slow reader of our output never
 * stalls the guest; what does not fit in the ring is lost, and said so.  A
 * reader thread feeds the device as fast as it takes bytes; a file or a pipe
 * waits for it.  On a terminal, Ctrl-A is the key to ourselves, and is looked
 * for even while a guest that hangs takes nothing: there is no other way out.
 *
 * Lock     console.lock (leaf) for the ring.  saved_tty is the one thing a
 *          signal handler needs and therefore static; written before any
 *          handler is set
 */
#include "ctl/console.h"

#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (1u << 20)
#define INPUT_BYTES (1u << 16)
#define ESCAPE 0x01			/* Ctrl-A */
#define CLOSE_WAIT_S 2

struct console {
	struct chr chr;			/* first */
	struct console_ops ops;
	bool tty;			/* [const] */
	bool escaped;			/* reader: the last key was Ctrl-A */
	uint8_t *in;			/* reader: typed, not yet taken by the device */
	size_t in_head, in_fill;	/* reader */
	pthread_t reader, writer;
	bool has_reader, has_writer;
	int stop_pipe[2];		/* closed at one end: the reader ends */
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	uint8_t *ring;			/* [lock] */
	size_t head, fill;		/* [lock] first byte, number of bytes */
	uint64_t lost;			/* [lock] */
	bool closing;			/* [lock] */
};

static struct termios saved_tty;
static _Atomic bool tty_is_raw;

static void restore_tty(void)
{
	if (atomic_exchange(&tty_is_raw, false)) {
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_tty);
		log_set_crlf(false);
	}
}

static void on_fatal(int sig)
{
	restore_tty();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Not before the machine stands: until then Ctrl-C and error messages are as ever. */
static void make_raw(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct termios t = saved_tty;

	t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t.c_oflag &= ~(tcflag_t)OPOST;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++) {
		struct sigaction old;

		/* An engine may have a use for SIGSEGV of its own: leave what is set. */
		if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			signal(fatal[i], on_fatal);
	}
	atexit(restore_tty);
	atomic_store(&tty_is_raw, true);
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
	log_set_crlf(true);
}

/* ---- guest to us, and to whoever reads us -------------------------------------- */

static void put(struct console *c, const uint8_t *buf, size_t n)
{
	size_t room = RING_BYTES - c->fill;

	if (n > room) {
		c->lost += n - room;
		n = room;
	}
	for (size_t i = 0; i < n; i++)
		c->ring[(c->head + c->fill + i) % RING_BYTES] = buf[i];
	c->fill += n;
}

static void console_write(struct chr *chr, const uint8_t *buf, size_t n)
{
	struct console *c = CONTAINER_OF(chr, struct console, chr);

	pthread_mutex_lock(&c->lock);
	put(c, buf, n);
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&c->lock);
}

static void *writer_thread(void *arg)
{
	struct console *c = arg;
	bool broken = false;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		size_t n;
		ssize_t done;

		while (c->fill == 0 && !c->closing)
			pthread_cond_wait(&c->more, &c->lock);
		if (c->fill == 0)
			break;
		n = min_u64(c->fill, RING_BYTES - c->head);
		pthread_mutex_unlock(&c->lock);
		done = broken ? (ssize_t)n : write(STDOUT_FILENO, c->ring + c->head, n);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			broken = true;	/* nobody reads any more: drop from now on */
		if (done < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

			poll(&p, 1, 100);
		}
		pthread_mutex_lock(&c->lock);
		if (done > 0) {
			c->head = (c->head + (size_t)done) % RING_BYTES;
			c->fill -= (size_t)done;
		}
		if (c->fill == 0)
			pthread_cond_broadcast(&c->less);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- us to guest ----------------------------------------------------------- */

static void help(struct console *c)
{
	static const char text[] =
		"\r\nCtrl-A X  end the machine (disks are closed cleanly)\r\n"
		"Ctrl-A S  ask the guest to shut down\r\n"
		"Ctrl-A R  reset the machine\r\n"
		"Ctrl-A C  go on after a host disk was full\r\n"
		"Ctrl-A A  send Ctrl-A to the guest\r\n"
		"Ctrl-A H  this help\r\n";

	console_write(&c->chr, (const uint8_t *)text, sizeof(text) - 1);
}

static void call(void (*fn)(void *arg), void *arg)
{
	if (fn != NULL)
		fn(arg);
}

/* A key after Ctrl-A.  True: it is for the guest after all. */
static bool command(struct console *c, uint8_t key)
{
	switch (key | 0x20) {
	case 'x':
		call(c->ops.quit, c->ops.arg);
		return false;
	case 's':
		call(c->ops.shutdown, c->ops.arg);
		return false;
	case 'r':
		call(c->ops.reset, c->ops.arg);
		return false;
	case 'c':
		call(c->ops.retry, c->ops.arg);
		return false;
	case 'h':
		help(c);
		return false;
	default:
		return key == ESCAPE || (key | 0x20) == 'a';
	}
}

/* From a terminal the queue may be full already: then the key is lost, as on a real line. */
static void push(struct console *c, uint8_t byte)
{
	if (c->in_fill < INPUT_BYTES)
		c->in[(c->in_head + c->in_fill++) % INPUT_BYTES] = byte;
}

static void take(struct console *c, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c->tty && c->escaped) {
			c->escaped = false;
			if (command(c, buf[i]))
				push(c, ESCAPE);
		} else if (c->tty && buf[i] == ESCAPE) {
			c->escaped = true;
		} else {
			push(c, buf[i]);
		}
	}
}

/* To the device, as much as it takes now. */
static void feed(struct console *c)
{
	while (c->in_fill > 0) {
		size_t n = min_u64(c->in_fill, INPUT_BYTES - c->in_head);

		if (c->chr.room != NULL)
			n = min_u64(n, c->chr.room(c->chr.dev));
		if (n == 0)
			break;
		c->chr.input(c->chr.dev, c->in + c->in_head, n);
		c->in_head = (c->in_head + n) % INPUT_BYTES;
		c->in_fill -= n;
	}
}

/* False: standard input has ended. */
static bool read_some(struct console *c)
{
	uint8_t buf[256];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n > 0)
		take(c, buf, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void *reader_thread(void *arg)
{
	struct console *c = arg;
	bool open = true;

	while (open || c->in_fill > 0) {
		bool more = open && (c->tty || c->in_fill < INPUT_BYTES - 256);
		struct pollfd p[2] = {
			{ .fd = more ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = c->stop_pipe[0], .events = POLLIN },
		};

		/* A device that is full tells nobody when it is not: ask it again soon. */
		if (poll(p, 2, c->in_fill > 0 ? 2 : -1) < 0) {
			if (errno != EINTR)
				break;
			continue;
		}
		if (p[1].revents != 0)
			break;
		if (p[0].revents != 0)
			open = read_some(c);	/* closed: the machine goes on without us */
		feed(c);
	}
	return NULL;
}

/* -------------------------------------------------------------------------- */

int console_open(const struct console_ops *ops, struct console **ret_c, struct err *err)
{
	struct console *c = new0(struct console);
	pthread_condattr_t attr;

	if (c == NULL)
		return err_set(err, -ENOMEM, "no memory for the console");
	c->ring = new_array(uint8_t, RING_BYTES);
	c->in = new_array(uint8_t, INPUT_BYTES);
	if (c->ring == NULL || c->in == NULL || pipe2(c->stop_pipe, O_CLOEXEC) < 0) {
		free(c->ring);
		free(c->in);
		free(c);
		return err_set(err, -ENOMEM, "no memory for the console");
	}
	c->chr.write = console_write;
	c->ops = *ops;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->less, &attr);
	pthread_condattr_destroy(&attr);
	c->tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved_tty) == 0;
	c->has_writer = pthread_create(&c->writer, NULL, writer_thread, c) == 0;
	if (!c->has_writer) {
		console_close(c);
		console_free(c);
		return err_set(err, -EAGAIN, "no thread for the console");
	}
	*ret_c = c;
	return 0;
}

int console_start(struct console *c, struct err *err)
{
	BUG_IF(c->chr.input == NULL);
	if (c->tty)
		make_raw();
	c->has_reader = pthread_create(&c->reader, NULL, reader_thread, c) == 0;
	return c->has_reader ? 0 : err_set(err, -EAGAIN, "no thread for the console");
}

void console_close(struct console *c)
{
	struct timespec ts;

	if (c == NULL)
		return;
	close(c->stop_pipe[1]);
	if (c->has_reader)
		pthread_join(c->reader, NULL);
	close(c->stop_pipe[0]);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += CLOSE_WAIT_S;
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_signal(&c->more);
	while (c->fill > 0 && pthread_cond_timedwait(&c->less, &c->lock, &ts) == 0)
		;
	if (c->fill > 0) {
		c->lost += c->fill;
		pthread_cancel(c->writer);	/* its write() hangs: nobody reads */
	}
	pthread_mutex_unlock(&c->lock);
	if (c->has_writer)
		pthread_join(c->writer, NULL);
	restore_tty();
	if (c->lost > 0)
		log_warn("console", "%llu bytes of output were lost, their reader was too slow",
			 (unsigned long long)c->lost);
}

void console_free(struct console *c)
{
	if (c == NULL)
		return;
	free(c->ring);
	free(c->in);
	free(c);
}

struct chr *console_chr(struct console *c) { return &c->chr; }
bool console_is_terminal(const struct console *c) { return c->tty; }
