/*
 * wire.h - frames of GDB's remote serial protocol
 *
 * "$body#cs" with a checksum, '+' and '-' as answers, and the byte 0x03 that
 * interrupts.  Nothing here knows what a body means.
 */
#ifndef GDB_WIRE_H
#define GDB_WIRE_H

#include "base/base.h"

#define GDB_BODY 16384u			/* bytes of a body at most, as we tell the peer */
#define GDB_FRAME (GDB_BODY + 4)

enum gdb_token {
	GDB_MORE,			/* nothing whole yet */
	GDB_BODY_OK,			/* a body, unescaped, its checksum right */
	GDB_BODY_BAD,			/* a frame to be asked for again */
	GDB_ACK, GDB_NAK, GDB_BREAK,
};

struct gdb_piece {
	enum gdb_token what;
	size_t used;			/* bytes off the front */
	char *body;			/* [BODY_OK] inside the buffer */
	size_t len;
};

/* What BUF begins with; bytes between frames that mean nothing are used up and forgotten. */
struct gdb_piece gdb_take(char *buf, size_t n);

/* A reply in the making.  What does not fit sets full, and the reply is void. */
struct gdb_out {
	char buf[GDB_FRAME];
	size_t n;
	bool full;
};

void gdb_out_begin(struct gdb_out *o);
void gdb_out_text(struct gdb_out *o, const char *text);		/* as it is: no # $ } * */
PRINTF(2, 3) void gdb_out_fmt(struct gdb_out *o, const char *fmt, ...);	/* the same, up to 127 */
void gdb_out_raw(struct gdb_out *o, const void *p, size_t n);	/* escaped */
void gdb_out_hex(struct gdb_out *o, const void *p, size_t n);
/* Room in bytes of hex. */
size_t gdb_out_room(const struct gdb_out *o);
void gdb_out_end(struct gdb_out *o);

/* A body being read.  Each call moves on only when it succeeds. */
struct gdb_in {
	const char *p, *end;
};

/* 1 to 16 hexadecimal digits. */
MUST_CHECK bool gdb_in_num(struct gdb_in *in, uint64_t *ret_val);
MUST_CHECK bool gdb_in_char(struct gdb_in *in, char c);
MUST_CHECK bool gdb_in_word(struct gdb_in *in, const char *word);
/* Exactly N bytes as 2 N digits. */
MUST_CHECK bool gdb_in_hex(struct gdb_in *in, void *dst, size_t n);
static inline bool gdb_in_done(const struct gdb_in *in) { return in->p == in->end; }
static inline size_t gdb_in_left(const struct gdb_in *in) { return (size_t)(in->end - in->p); }

#endif
