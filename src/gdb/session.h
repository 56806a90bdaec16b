/*
 * session.h - one peer's conversation, without its socket
 */
#ifndef GDB_SESSION_H
#define GDB_SESSION_H

#include "gdb/gdb.h"
#include "gdb/wire.h"

struct gdb_session {
	const struct gdb_target *t;
	void (*send)(void *arg, const void *buf, size_t n);
	void *arg;
	bool over;			/* close the connection: nothing more will be said */
	bool waiting;			/* the peer awaits a stop reply */
	bool no_ack, silent;		/* ...asked for; do not answer this body with '+' */
	unsigned cpu;			/* selected for registers and memory: Hg */
	unsigned cpu_go;		/* for c and s: Hc */
	unsigned shown;			/* of the last stop reply */
	unsigned listed;		/* qsThreadInfo goes on here */
	size_t fill;
	char in[2 * GDB_FRAME];
	struct gdb_out out;		/* the last reply, for a peer that asks again */
	uint8_t action[GDB_MAX_CPUS];
};

/* A new peer: the machine is asked to stand. */
void gdb_session_open(struct gdb_session *s, const struct gdb_target *t,
		      void (*send)(void *arg, const void *buf, size_t n), void *arg);
/* How many bytes gdb_session_input takes now. */
size_t gdb_session_room(const struct gdb_session *s);
void gdb_session_input(struct gdb_session *s, const void *buf, size_t n);
/* The target's status may have changed. */
void gdb_session_poll(struct gdb_session *s);
/* The peer is gone: no points any more, and the machine goes on. */
void gdb_session_close(struct gdb_session *s);

/* For query.c and monitor.c. */
void gdb_reply(struct gdb_session *s, const char *text);
void gdb_reply_errno(struct gdb_session *s, int rc);
void gdb_send(struct gdb_session *s);	/* s->out, begun and filled */
void gdb_query(struct gdb_session *s, struct gdb_in *in);	/* after 'q' */
void gdb_set(struct gdb_session *s, struct gdb_in *in);		/* after 'Q' */
void gdb_monitor(struct gdb_session *s, const char *line);

#endif
