/*
 * query.c - what GDB asks about the machine: q and Q packets
 *
 * Spec     [GDB] appendix E.4 general query packets
 * Lock     none: the server's thread
 */
#include "gdb/session.h"

#include "gdb/regs.h"

#include <string.h>

static void q_supported(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	gdb_out_begin(&s->out);
	gdb_out_fmt(&s->out, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+",
		    GDB_BODY);
	gdb_send(s);
}

/* OFF,LEN: 'm' and the bytes, or 'l' when they are the last. */
static void q_target_xml(struct gdb_session *s, struct gdb_in *in)
{
	char text[GDB_BODY / 2];	/* half, for every byte may have to be escaped */
	uint64_t off, len;
	size_t n;

	if (!gdb_in_num(in, &off) || !gdb_in_char(in, ',') || !gdb_in_num(in, &len) ||
	    !gdb_in_done(in)) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	len = min_u64(len, sizeof(text) - 1);
	n = gdb_target_xml(off, text, len);
	gdb_out_begin(&s->out);
	gdb_out_text(&s->out, n < len ? "l" : "m");
	gdb_out_raw(&s->out, text, n);
	gdb_send(s);
}

/* A handful at a time, whatever their number. */
static void list_threads(struct gdb_session *s)
{
	const unsigned at_once = 256;
	unsigned end = (unsigned)min_u64(s->listed + at_once, s->t->nr_cpus);

	if (s->listed >= s->t->nr_cpus) {
		gdb_reply(s, "l");
		return;
	}
	gdb_out_begin(&s->out);
	for (unsigned i = s->listed; i < end; i++)
		gdb_out_fmt(&s->out, "%s%x", i == s->listed ? "m" : ",", i + 1);
	s->listed = end;
	gdb_send(s);
}

static void q_first_threads(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	s->listed = 0;
	list_threads(s);
}

static void q_more_threads(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	list_threads(s);
}

static void q_thread_extra(struct gdb_session *s, struct gdb_in *in)
{
	char text[100] = "";
	uint64_t id;

	if (!gdb_in_num(in, &id) || !gdb_in_done(in) || id < 1 || id > s->t->nr_cpus) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	s->t->describe(s->t->self, (unsigned)id - 1, text, sizeof(text));
	gdb_out_begin(&s->out);
	gdb_out_hex(&s->out, text, strnlen(text, sizeof(text)));
	gdb_send(s);
}

static void q_current(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	gdb_out_begin(&s->out);
	gdb_out_fmt(&s->out, "QC%x", s->shown + 1);
	gdb_send(s);
}

/* 1: gdb found it here, so quitting gdb detaches and does not kill. */
static void q_attached(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	gdb_reply(s, "1");
}

static void q_symbol(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	gdb_reply(s, "OK");		/* we look up no symbols */
}

static void q_command(struct gdb_session *s, struct gdb_in *in)
{
	char line[128];
	size_t n = gdb_in_left(in) / 2;

	if (n >= sizeof(line) || !gdb_in_hex(in, line, n) || !gdb_in_done(in)) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	line[n] = '\0';
	gdb_monitor(s, line);
}

static void q_no_ack(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	gdb_reply(s, "OK");
	s->no_ack = true;
}

struct query {
	const char *word;		/* all of it up to the parameters */
	void (*fn)(struct gdb_session *s, struct gdb_in *in);
};

static void ask(struct gdb_session *s, struct gdb_in *in, const struct query *q)
{
	for (; q->word != NULL; q++) {
		if (gdb_in_word(in, q->word)) {
			q->fn(s, in);
			return;
		}
	}
	gdb_reply(s, "");
}

void gdb_query(struct gdb_session *s, struct gdb_in *in)
{
	static const struct query queries[] = {
		{ "Supported", q_supported },
		{ "Xfer:features:read:target.xml:", q_target_xml },
		{ "fThreadInfo", q_first_threads }, { "sThreadInfo", q_more_threads },
		{ "ThreadExtraInfo,", q_thread_extra }, { "C", q_current },
		{ "Attached", q_attached }, { "Symbol:", q_symbol }, { "Rcmd,", q_command },
		{ 0 },
	};

	/* "C" is the whole word; others begin with it. */
	if (gdb_in_left(in) > 1 && *in->p == 'C')
		gdb_reply(s, "");
	else
		ask(s, in, queries);
}

void gdb_set(struct gdb_session *s, struct gdb_in *in)
{
	static const struct query settings[] = { { "StartNoAckMode", q_no_ack }, { 0 } };

	ask(s, in, settings);
}
