/*
 * wire.c - frames of GDB's remote serial protocol
 *
 * The peer may be anybody who can reach a socket.  A frame is looked at only
 * when it is whole, and one that cannot become whole within GDB_FRAME bytes is
 * refused; a '$' inside of one begins another, so a lost tail heals.
 *
 * Spec     [GDB] appendix E.1 overview, E.12 interrupts
 * Missing  run-length encoding of what we send: the peer's choice costs nothing
 * Lock     none, one thread
 */
#include "gdb/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Turns "}x" into one byte, in place; the new length. */
static size_t unescape(char *p, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '}' && i + 1 < n)
			p[out++] = (char)(p[++i] ^ 0x20);
		else
			p[out++] = p[i];
	}
	return out;
}

/* BUF begins with '$'. */
static struct gdb_piece take_frame(char *buf, size_t n)
{
	struct gdb_piece piece = { .what = GDB_MORE };
	uint8_t sum = 0;
	size_t i;

	for (i = 1; i < n && buf[i] != '#'; i++) {
		if (buf[i] == '$') {
			piece.used = i;
			return piece;
		}
		sum = (uint8_t)(sum + (uint8_t)buf[i]);
	}
	if (i > GDB_BODY + 1) {
		piece.what = GDB_BODY_BAD;
		piece.used = i;
		return piece;
	}
	if (i + 2 >= n)
		return piece;
	piece.used = i + 3;
	piece.what = GDB_BODY_BAD;
	if (digit(buf[i + 1]) >= 0 && digit(buf[i + 2]) >= 0 &&
	    (digit(buf[i + 1]) << 4 | digit(buf[i + 2])) == sum) {
		piece.what = GDB_BODY_OK;
		piece.body = buf + 1;
		piece.len = unescape(buf + 1, i - 1);
	}
	return piece;
}

struct gdb_piece gdb_take(char *buf, size_t n)
{
	size_t at = 0;

	while (at < n) {
		struct gdb_piece piece = { .used = at + 1 };

		switch (buf[at]) {
		case '$':
			piece = take_frame(buf + at, n - at);
			if (piece.what == GDB_MORE && piece.used != 0) {
				at += piece.used;
				continue;
			}
			piece.used += at;
			return piece;
		case '+':
			piece.what = GDB_ACK;
			return piece;
		case '-':
			piece.what = GDB_NAK;
			return piece;
		case 3:
			piece.what = GDB_BREAK;
			return piece;
		default:
			at++;
		}
	}
	return (struct gdb_piece){ .what = GDB_MORE, .used = at };
}

/* ---- replies ----------------------------------------------------------------- */

static void put(struct gdb_out *o, char c)
{
	if (o->n >= GDB_BODY + 1)
		o->full = true;
	else
		o->buf[o->n++] = c;
}

void gdb_out_begin(struct gdb_out *o)
{
	o->buf[0] = '$';
	o->n = 1;
	o->full = false;
}

void gdb_out_text(struct gdb_out *o, const char *text)
{
	while (*text != '\0')
		put(o, *text++);
}

void gdb_out_fmt(struct gdb_out *o, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gdb_out_text(o, text);
}

void gdb_out_raw(struct gdb_out *o, const void *p, size_t n)
{
	const char *c = p;

	for (size_t i = 0; i < n; i++) {
		if (c[i] == '#' || c[i] == '$' || c[i] == '}' || c[i] == '*') {
			put(o, '}');
			put(o, (char)(c[i] ^ 0x20));
		} else {
			put(o, c[i]);
		}
	}
}

void gdb_out_hex(struct gdb_out *o, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		put(o, digits[b[i] >> 4]);
		put(o, digits[b[i] & 15]);
	}
}

size_t gdb_out_room(const struct gdb_out *o)
{
	return (GDB_BODY + 1 - o->n) / 2;
}

void gdb_out_end(struct gdb_out *o)
{
	uint8_t sum = 0;

	for (size_t i = 1; i < o->n; i++)
		sum = (uint8_t)(sum + (uint8_t)o->buf[i]);
	o->buf[o->n++] = '#';
	o->buf[o->n++] = "0123456789abcdef"[sum >> 4];
	o->buf[o->n++] = "0123456789abcdef"[sum & 15];
}

/* ---- requests ---------------------------------------------------------------- */

bool gdb_in_num(struct gdb_in *in, uint64_t *ret_val)
{
	uint64_t v = 0;
	unsigned n = 0;

	while (n < gdb_in_left(in) && digit(in->p[n]) >= 0) {
		if (n == 16)
			return false;
		v = v << 4 | (uint64_t)digit(in->p[n++]);
	}
	if (n == 0)
		return false;
	in->p += n;
	*ret_val = v;
	return true;
}

bool gdb_in_char(struct gdb_in *in, char c)
{
	if (gdb_in_done(in) || *in->p != c)
		return false;
	in->p++;
	return true;
}

bool gdb_in_word(struct gdb_in *in, const char *word)
{
	size_t n = strlen(word);

	if (gdb_in_left(in) < n || memcmp(in->p, word, n) != 0)
		return false;
	in->p += n;
	return true;
}

bool gdb_in_hex(struct gdb_in *in, void *dst, size_t n)
{
	uint8_t *out = dst;

	if (n > gdb_in_left(in) / 2)
		return false;
	for (size_t i = 0; i < 2 * n; i++)
		if (digit(in->p[i]) < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(digit(in->p[2 * i]) << 4 | digit(in->p[2 * i + 1]));
	in->p += 2 * n;
	return true;
}
