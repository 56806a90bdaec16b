/*
 * session.c - one peer's conversation, without its socket
 *
 * What arrives is taken apart only while the machine stands; while it runs the
 * one thing a peer may say is 0x03.  So every command sees processors that do
 * not move.  A command is a letter in a table, and an unknown one is answered
 * with nothing, as the protocol has it.
 *
 * Everything here has a fixed size.  Lengths and numbers of the peer are
 * compared before they are used.
 *
 * Spec     [GDB] appendix E.2 packets, E.3 stop replies
 * Missing  non-stop mode, range stepping, extended mode (no "run" from gdb)
 * Lock     none: the server's thread
 */
#include "gdb/session.h"

#include "base/le.h"
#include "gdb/regs.h"

#include <stdio.h>
#include <string.h>

enum { SIG_INT = 2, SIG_TRAP = 5 };
enum { REG_RBP = 6, REG_RSP = 7, REG_RIP = 16 };

/* ---- replies ----------------------------------------------------------------- */

void gdb_send(struct gdb_session *s)
{
	if (s->out.full) {
		gdb_out_begin(&s->out);
		gdb_out_text(&s->out, "E4d");	/* EMSGSIZE's number is no matter */
	}
	gdb_out_end(&s->out);
	s->send(s->arg, s->out.buf, s->out.n);
}

void gdb_reply(struct gdb_session *s, const char *text)
{
	gdb_out_begin(&s->out);
	gdb_out_text(&s->out, text);
	gdb_send(s);
}

void gdb_reply_errno(struct gdb_session *s, int rc)
{
	gdb_out_begin(&s->out);
	gdb_out_fmt(&s->out, "E%02x", (unsigned)-rc & 0xff);
	gdb_send(s);
}

static void reply_rc(struct gdb_session *s, int rc)
{
	if (rc == -EOPNOTSUPP)
		gdb_reply(s, "");
	else if (rc < 0)
		gdb_reply_errno(s, rc);
	else
		gdb_reply(s, "OK");
}

static void put_reg(struct gdb_session *s, unsigned nr, const struct cpu_regs *r)
{
	const struct gdb_reg *d = gdb_reg(nr);
	uint8_t val[GDB_REG_BYTES];

	gdb_reg_get(d, r, val);
	gdb_out_hex(&s->out, val, d->bytes);
}

static void reply_stop(struct gdb_session *s, const struct gdb_status *st)
{
	static const unsigned told[] = { REG_RBP, REG_RSP, REG_RIP };
	struct gdb_out *o = &s->out;
	struct cpu_regs r;

	s->shown = s->cpu = s->cpu_go = st->cpu;
	gdb_out_begin(o);
	gdb_out_fmt(o, "T%02x", st->stop.why == CPU_STOP_NONE ? SIG_INT : SIG_TRAP);
	if (st->stop.why == CPU_STOP_WATCH)
		gdb_out_fmt(o, "%s:%llx;",
			    st->stop.on == CPU_DEBUG_WRITE ? "watch" :
			    st->stop.on == CPU_DEBUG_READ ? "rwatch" : "awatch",
			    (unsigned long long)st->stop.lin);
	if (s->t->get_regs(s->t->self, st->cpu, &r) == 0) {
		for (size_t i = 0; i < ARRAY_LEN(told); i++) {
			gdb_out_fmt(o, "%02x:", told[i]);
			put_reg(s, told[i], &r);
			gdb_out_text(o, ";");
		}
	}
	gdb_out_fmt(o, "thread:%x;", st->cpu + 1);
	gdb_send(s);
}

static void reply_status(struct gdb_session *s, const struct gdb_status *st)
{
	if (st->state == GDB_ENDED) {
		gdb_out_begin(&s->out);
		gdb_out_fmt(&s->out, "W%02x", st->code);
		gdb_send(s);
	} else {
		reply_stop(s, st);
	}
}

/* ---- going on ---------------------------------------------------------------- */

/* The stop reply, when one is awaited and due. */
static void show_stop(struct gdb_session *s)
{
	struct gdb_status st;

	if (!s->waiting)
		return;
	s->t->status(s->t->self, &st);
	if (st.state == GDB_RUNS)
		return;
	s->waiting = false;
	reply_status(s, &st);
}

static void resume(struct gdb_session *s)
{
	s->waiting = true;
	s->t->resume(s->t->self, s->action);
	show_stop(s);
}

static void act_all(struct gdb_session *s, uint8_t action)
{
	memset(s->action, action, s->t->nr_cpus);
}

/* c[ADDR], s[ADDR], C..., S...: of the selected processor; a signal is nobody's here. */
static void cmd_go(struct gdb_session *s, struct gdb_in *in, bool step, bool signal)
{
	struct cpu_regs r;
	uint64_t addr;
	int rc = 0;

	if (signal && (!gdb_in_num(in, &addr) || (!gdb_in_done(in) && !gdb_in_char(in, ';')))) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	if (gdb_in_num(in, &addr)) {
		rc = s->t->get_regs(s->t->self, s->cpu_go, &r);
		r.rip = addr;
		if (rc == 0)
			rc = s->t->set_regs(s->t->self, s->cpu_go, &r);
	}
	if (rc < 0 || !gdb_in_done(in)) {
		gdb_reply_errno(s, rc < 0 ? rc : -EINVAL);
		return;
	}
	act_all(s, step ? GDB_STAND : GDB_GO);
	if (step)
		s->action[s->cpu_go] = GDB_STEP;
	resume(s);
}

static void cmd_c(struct gdb_session *s, struct gdb_in *in) { cmd_go(s, in, false, false); }
static void cmd_s(struct gdb_session *s, struct gdb_in *in) { cmd_go(s, in, true, false); }
static void cmd_C(struct gdb_session *s, struct gdb_in *in) { cmd_go(s, in, false, true); }
static void cmd_S(struct gdb_session *s, struct gdb_in *in) { cmd_go(s, in, true, true); }

/* -1: all; 0: any.  False: no thread of ours. */
static bool thread_id(struct gdb_session *s, struct gdb_in *in, bool *ret_all, unsigned *ret_cpu)
{
	uint64_t id;

	*ret_all = gdb_in_word(in, "-1");
	*ret_cpu = s->shown;
	if (*ret_all)
		return true;
	if (!gdb_in_num(in, &id) || id > s->t->nr_cpus)
		return false;
	if (id != 0)
		*ret_cpu = (unsigned)id - 1;
	return true;
}

/* One "c", "s", "C05" or "S05" with its thread, for those that have none yet. */
static bool take_action(struct gdb_session *s, struct gdb_in *in)
{
	uint8_t action;
	bool all = true;
	unsigned cpu = 0;
	uint64_t sig;

	if (gdb_in_char(in, 'c'))
		action = GDB_GO;
	else if (gdb_in_char(in, 's'))
		action = GDB_STEP;
	else if (gdb_in_char(in, 'C') && gdb_in_num(in, &sig))
		action = GDB_GO;
	else if (gdb_in_char(in, 'S') && gdb_in_num(in, &sig))
		action = GDB_STEP;
	else
		return false;
	if (gdb_in_char(in, ':') && !thread_id(s, in, &all, &cpu))
		return false;
	for (unsigned i = all ? 0 : cpu; i <= (all ? s->t->nr_cpus - 1 : cpu); i++)
		if (s->action[i] == UINT8_MAX)
			s->action[i] = action;
	return true;
}

static void cmd_vcont(struct gdb_session *s, struct gdb_in *in)
{
	bool any = false;

	act_all(s, UINT8_MAX);
	while (gdb_in_char(in, ';')) {
		if (!take_action(s, in)) {
			gdb_reply_errno(s, -EINVAL);
			return;
		}
	}
	for (unsigned i = 0; i < s->t->nr_cpus; i++) {
		if (s->action[i] == UINT8_MAX)
			s->action[i] = GDB_STAND;
		any |= s->action[i] != GDB_STAND;
	}
	if (!gdb_in_done(in) || !any)
		gdb_reply_errno(s, -EINVAL);
	else
		resume(s);
}

static void leave(struct gdb_session *s)
{
	s->t->leave(s->t->self);
	s->over = true;
}

static void cmd_detach(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	gdb_reply(s, "OK");
	leave(s);
}

static void cmd_kill(struct gdb_session *s, struct gdb_in *in)
{
	(void)in;
	s->t->kill(s->t->self);
	s->over = true;
}

static void cmd_v(struct gdb_session *s, struct gdb_in *in)
{
	if (gdb_in_word(in, "Cont?")) {
		gdb_reply(s, "vCont;c;C;s;S");
	} else if (gdb_in_word(in, "Cont")) {
		cmd_vcont(s, in);
	} else if (gdb_in_word(in, "Kill;")) {
		gdb_reply(s, "OK");
		cmd_kill(s, in);
	} else {
		gdb_reply(s, "");
	}
}

/* ---- looking ----------------------------------------------------------------- */

static void cmd_status(struct gdb_session *s, struct gdb_in *in)
{
	struct gdb_status st;

	(void)in;
	s->t->status(s->t->self, &st);
	reply_status(s, &st);
}

static void cmd_select(struct gdb_session *s, struct gdb_in *in)
{
	bool go = gdb_in_char(in, 'c');
	unsigned cpu;
	bool all;

	if ((!go && !gdb_in_char(in, 'g')) || !thread_id(s, in, &all, &cpu)) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	*(go ? &s->cpu_go : &s->cpu) = cpu;
	gdb_reply(s, "OK");
}

static void cmd_alive(struct gdb_session *s, struct gdb_in *in)
{
	unsigned cpu;
	bool all;

	reply_rc(s, thread_id(s, in, &all, &cpu) ? 0 : -ESRCH);
}

static void cmd_g(struct gdb_session *s, struct gdb_in *in)
{
	struct cpu_regs r;
	int rc = s->t->get_regs(s->t->self, s->cpu, &r);

	(void)in;
	if (rc < 0) {
		gdb_reply_errno(s, rc);
		return;
	}
	gdb_out_begin(&s->out);
	for (unsigned i = 0; i < gdb_nr_regs(); i++)
		put_reg(s, i, &r);
	gdb_send(s);
}

/* All or the first of them; those that are read only stay. */
static void cmd_G(struct gdb_session *s, struct gdb_in *in)
{
	struct cpu_regs r;
	int rc = s->t->get_regs(s->t->self, s->cpu, &r);

	for (unsigned i = 0; rc == 0 && i < gdb_nr_regs() && !gdb_in_done(in); i++) {
		const struct gdb_reg *d = gdb_reg(i);
		uint8_t val[GDB_REG_BYTES], old[GDB_REG_BYTES];

		gdb_reg_get(d, &r, old);
		if (!gdb_in_hex(in, val, d->bytes))
			rc = -EINVAL;
		else if (memcmp(val, old, d->bytes) != 0 && gdb_reg_set(d, &r, val) == -EINVAL)
			rc = -EINVAL;
	}
	if (rc == 0 && !gdb_in_done(in))
		rc = -EINVAL;
	if (rc == 0)
		rc = s->t->set_regs(s->t->self, s->cpu, &r);
	reply_rc(s, rc);
}

static void cmd_p(struct gdb_session *s, struct gdb_in *in)
{
	struct cpu_regs r;
	uint64_t nr;
	int rc;

	if (!gdb_in_num(in, &nr) || !gdb_in_done(in) || nr >= gdb_nr_regs())
		rc = -EINVAL;
	else
		rc = s->t->get_regs(s->t->self, s->cpu, &r);
	if (rc < 0) {
		gdb_reply_errno(s, rc);
		return;
	}
	gdb_out_begin(&s->out);
	put_reg(s, (unsigned)nr, &r);
	gdb_send(s);
}

static void cmd_P(struct gdb_session *s, struct gdb_in *in)
{
	uint8_t val[GDB_REG_BYTES];
	struct cpu_regs r;
	uint64_t nr;
	int rc;

	if (!gdb_in_num(in, &nr) || nr >= gdb_nr_regs() || !gdb_in_char(in, '=') ||
	    !gdb_in_hex(in, val, gdb_reg((unsigned)nr)->bytes) || !gdb_in_done(in))
		rc = -EINVAL;
	else
		rc = s->t->get_regs(s->t->self, s->cpu, &r);
	if (rc == 0)
		rc = gdb_reg_set(gdb_reg((unsigned)nr), &r, val);
	if (rc == 0)
		rc = s->t->set_regs(s->t->self, s->cpu, &r);
	reply_rc(s, rc);
}

/* ADDR,LEN */
static bool take_range(struct gdb_in *in, uint64_t *ret_addr, uint64_t *ret_len)
{
	return gdb_in_num(in, ret_addr) && gdb_in_char(in, ',') && gdb_in_num(in, ret_len);
}

static void cmd_m(struct gdb_session *s, struct gdb_in *in)
{
	uint8_t buf[GDB_BODY / 2];
	uint64_t addr, len;
	int rc;

	if (!take_range(in, &addr, &len) || !gdb_in_done(in) || len == 0) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	rc = s->t->read(s->t->self, s->cpu, addr, buf, min_u64(len, sizeof(buf)));
	if (rc < 0) {
		gdb_reply_errno(s, rc);
		return;
	}
	gdb_out_begin(&s->out);
	gdb_out_hex(&s->out, buf, (size_t)rc);
	gdb_send(s);
}

/* Half a write is a failure that says so; gdb knows of no other kind. */
static void write_mem(struct gdb_session *s, uint64_t addr, const void *src, size_t n)
{
	int rc = n == 0 ? 0 : s->t->write(s->t->self, s->cpu, addr, src, n);

	reply_rc(s, rc < 0 ? rc : (size_t)rc < n ? -EFAULT : 0);
}

static void cmd_M(struct gdb_session *s, struct gdb_in *in)
{
	uint8_t buf[GDB_BODY / 2];
	uint64_t addr, len;

	if (!take_range(in, &addr, &len) || !gdb_in_char(in, ':') || len > sizeof(buf) ||
	    gdb_in_left(in) != 2 * len || !gdb_in_hex(in, buf, len))
		gdb_reply_errno(s, -EINVAL);
	else
		write_mem(s, addr, buf, len);
}

static void cmd_X(struct gdb_session *s, struct gdb_in *in)
{
	uint64_t addr, len;

	if (!take_range(in, &addr, &len) || !gdb_in_char(in, ':') || gdb_in_left(in) != len)
		gdb_reply_errno(s, -EINVAL);
	else
		write_mem(s, addr, in->p, len);
}

/* TYPE,ADDR,KIND: KIND is a length for data, and nothing to us for code. */
static void point(struct gdb_session *s, struct gdb_in *in,
		  int (*change)(void *self, const struct cpu_debug_point *p))
{
	static const uint8_t on[] = { CPU_DEBUG_EXEC, CPU_DEBUG_EXEC, CPU_DEBUG_WRITE,
				      CPU_DEBUG_READ, CPU_DEBUG_READ | CPU_DEBUG_WRITE };
	uint64_t type, addr, len;
	struct cpu_debug_point p;

	if (!gdb_in_num(in, &type) || !gdb_in_char(in, ',') || !take_range(in, &addr, &len)) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	if (type >= ARRAY_LEN(on) || !gdb_in_done(in)) {	/* conditions, commands: no */
		gdb_reply(s, "");
		return;
	}
	if (on[type] == CPU_DEBUG_EXEC)
		len = 1;
	if (len < 1 || len > CPU_DEBUG_LEN) {
		gdb_reply_errno(s, -EINVAL);
		return;
	}
	p = (struct cpu_debug_point){ addr, (uint32_t)len, on[type] };
	reply_rc(s, change(s->t->self, &p));
}

static void cmd_Z(struct gdb_session *s, struct gdb_in *in) { point(s, in, s->t->insert); }
static void cmd_z(struct gdb_session *s, struct gdb_in *in) { point(s, in, s->t->remove); }

/* ---- one body ---------------------------------------------------------------- */

static const struct {
	char letter;
	void (*fn)(struct gdb_session *s, struct gdb_in *in);
} commands[] = {
	{ '?', cmd_status }, { 'c', cmd_c }, { 'C', cmd_C }, { 'D', cmd_detach }, { 'g', cmd_g },
	{ 'G', cmd_G }, { 'H', cmd_select }, { 'k', cmd_kill }, { 'm', cmd_m }, { 'M', cmd_M },
	{ 'p', cmd_p }, { 'P', cmd_P }, { 'q', gdb_query }, { 'Q', gdb_set }, { 's', cmd_s },
	{ 'S', cmd_S }, { 'T', cmd_alive }, { 'v', cmd_v }, { 'X', cmd_X }, { 'z', cmd_z },
	{ 'Z', cmd_Z },
};

static void obey(struct gdb_session *s, const char *body, size_t len)
{
	struct gdb_in in = { body, body + len };

	for (size_t i = 0; len > 0 && i < ARRAY_LEN(commands); i++) {
		if (commands[i].letter == *body) {
			in.p++;
			commands[i].fn(s, &in);
			return;
		}
	}
	gdb_reply(s, "");
}

/* ---- input ------------------------------------------------------------------- */

static enum gdb_state state_of(const struct gdb_session *s)
{
	struct gdb_status st;

	s->t->status(s->t->self, &st);
	return st.state;
}

/* While it runs: 0x03 stops it, acknowledgements pass, and the rest has to wait. */
static size_t take_running(struct gdb_session *s)
{
	size_t n = 0;

	while (n < s->fill && (s->in[n] == '+' || s->in[n] == 3)) {
		if (s->in[n] == 3 && s->waiting)
			s->t->stop(s->t->self);
		n++;
	}
	return n;
}

static size_t take_standing(struct gdb_session *s)
{
	struct gdb_piece piece = gdb_take(s->in, s->fill);

	switch (piece.what) {
	case GDB_BODY_OK:
		if (!s->no_ack)
			s->send(s->arg, "+", 1);
		obey(s, piece.body, piece.len);
		break;
	case GDB_BODY_BAD:
		if (!s->no_ack)
			s->send(s->arg, "-", 1);
		break;
	case GDB_NAK:
		if (!s->no_ack && s->out.n > 0)
			s->send(s->arg, s->out.buf, s->out.n);
		break;
	case GDB_MORE:
	case GDB_ACK:
	case GDB_BREAK:
		break;
	}
	return piece.used;
}

static void work(struct gdb_session *s)
{
	while (s->fill > 0 && !s->over) {
		size_t used = s->waiting || state_of(s) == GDB_RUNS ? take_running(s) :
								      take_standing(s);

		if (used == 0)
			break;
		s->fill -= used;
		memmove(s->in, s->in + used, s->fill);
	}
}

void gdb_session_open(struct gdb_session *s, const struct gdb_target *t,
		      void (*send)(void *arg, const void *buf, size_t n), void *arg)
{
	BUG_IF(t->nr_cpus < 1 || t->nr_cpus > GDB_MAX_CPUS);
	*s = (struct gdb_session){ .t = t, .send = send, .arg = arg };
	t->stop(t->self);
}

size_t gdb_session_room(const struct gdb_session *s)
{
	return s->over ? 0 : sizeof(s->in) - s->fill;
}

void gdb_session_input(struct gdb_session *s, const void *buf, size_t n)
{
	BUG_IF(n > gdb_session_room(s));
	memcpy(s->in + s->fill, buf, n);
	s->fill += n;
	work(s);
}

void gdb_session_poll(struct gdb_session *s)
{
	if (s->over)
		return;
	show_stop(s);
	work(s);
}

void gdb_session_close(struct gdb_session *s)
{
	if (!s->over)
		leave(s);
}
