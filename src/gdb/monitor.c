/*
 * monitor.c - commands for people: gdb's "monitor ..."
 *
 * For what gdb has no words of its own: physical memory, what every processor
 * is doing, all registers at a glance.  Output goes out line by line and ends
 * with OK.
 *
 * Spec     [GDB] appendix E.4, qRcmd
 * Lock     none: the server's thread
 */
#include "gdb/session.h"

#include "base/le.h"
#include "gdb/regs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHYS_MAX 4096u
#define MAX_WORDS 4

PRINTF(2, 3) static void say(struct gdb_session *s, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gdb_out_begin(&s->out);
	gdb_out_text(&s->out, "O");
	gdb_out_hex(&s->out, text, strlen(text));
	gdb_send(s);
}

/* Hexadecimal with or without 0x in addresses; lengths are decimal unless 0x is there. */
static bool number(const char *text, int base, uint64_t *ret_val)
{
	char *end;

	if (strncmp(text, "0x", 2) == 0)
		base = 16;
	errno = 0;
	*ret_val = strtoull(text, &end, base);
	return text[0] != '-' && text[0] != '+' && end != text && *end == '\0' && errno == 0;
}

/* The processor a command is about: a number, or the selected one. */
static bool which_cpu(struct gdb_session *s, const char *word, unsigned *ret_cpu)
{
	uint64_t n = s->cpu;

	if (word != NULL && (!number(word, 10, &n) || n >= s->t->nr_cpus)) {
		say(s, "%s: expected a processor, 0 to %u\n", word, s->t->nr_cpus - 1);
		return false;
	}
	*ret_cpu = (unsigned)n;
	return true;
}

static void mon_regs(struct gdb_session *s, char *const *word)
{
	struct cpu_regs r;
	char line[160];
	unsigned cpu, in_line = 0;
	size_t n = 0;

	if (!which_cpu(s, word[1], &cpu) || s->t->get_regs(s->t->self, cpu, &r) < 0)
		return;
	s->t->describe(s->t->self, cpu, line, sizeof(line));
	say(s, "%s\n", line);
	for (unsigned i = 0; i < gdb_nr_regs(); i++) {
		const struct gdb_reg *d = gdb_reg(i);
		uint8_t val[GDB_REG_BYTES];

		if (d->xstate != 0)
			continue;
		gdb_reg_get(d, &r, val);
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%-12s %016llx%s", d->name,
				      (unsigned long long)ld64(val), in_line < 2 ? "  " : "\n");
		if (++in_line == 3) {
			say(s, "%s", line);
			in_line = 0;
			n = 0;
		}
	}
	if (in_line != 0)
		say(s, "%s\n", line);
}

static void hex_line(struct gdb_session *s, uint64_t gpa, const uint8_t *p, size_t n)
{
	char hex[16 * 3 + 1] = "", text[17] = "";

	for (size_t i = 0; i < n; i++) {
		snprintf(hex + 3 * i, 4, " %02x", p[i]);
		text[i] = p[i] >= ' ' && p[i] < 0x7f ? (char)p[i] : '.';
	}
	say(s, "%012llx %-48s  %s\n", (unsigned long long)gpa, hex, text);
}

static void mon_phys(struct gdb_session *s, char *const *word)
{
	uint64_t gpa, len;
	uint8_t line[16];

	if (word[1] == NULL || word[2] == NULL || !number(word[1], 16, &gpa) ||
	    !number(word[2], 10, &len) || len == 0 || len > PHYS_MAX) {
		say(s, "phys ADDR LEN: an address and 1 to %u bytes\n", PHYS_MAX);
		return;
	}
	for (uint64_t at = 0; at < len; at += sizeof(line)) {
		size_t n = min_u64(sizeof(line), len - at);
		int rc = s->t->phys_read(s->t->self, gpa + at, line, n);

		if (rc < 0) {
			say(s, "%012llx is not memory of the guest\n",
			    (unsigned long long)(gpa + at));
			return;
		}
		hex_line(s, gpa + at, line, n);
	}
}

static void mon_page(struct gdb_session *s, char *const *word)
{
	uint64_t lin, gpa;
	unsigned cpu;

	if (word[1] == NULL || !number(word[1], 16, &lin)) {
		say(s, "page ADDR [CPU]: where a linear address leads\n");
		return;
	}
	if (!which_cpu(s, word[2], &cpu))
		return;
	if (s->t->lookup(s->t->self, cpu, lin, &gpa) < 0)
		say(s, "%016llx is not mapped\n", (unsigned long long)lin);
	else
		say(s, "%016llx -> %012llx\n", (unsigned long long)lin, (unsigned long long)gpa);
}

static void mon_cpus(struct gdb_session *s, char *const *word)
{
	char text[100];

	(void)word;
	for (unsigned i = 0; i < s->t->nr_cpus; i++) {
		s->t->describe(s->t->self, i, text, sizeof(text));
		say(s, "%s%s\n", i == s->cpu ? "* " : "  ", text);
	}
}

static void mon_help(struct gdb_session *s, char *const *word);

static const struct {
	const char *name, *help;
	void (*fn)(struct gdb_session *s, char *const *word);
} monitors[] = {
	{ "cpus", "what every processor is doing", mon_cpus },
	{ "help", "this list", mon_help },
	{ "page", "ADDR [CPU]: the guest-physical address behind a linear one", mon_page },
	{ "phys", "ADDR LEN: guest-physical memory", mon_phys },
	{ "regs", "[CPU]: general, segment, control and debug registers", mon_regs },
};

static void mon_help(struct gdb_session *s, char *const *word)
{
	(void)word;
	for (size_t i = 0; i < ARRAY_LEN(monitors); i++)
		say(s, "%-6s %s\n", monitors[i].name, monitors[i].help);
}

void gdb_monitor(struct gdb_session *s, const char *line)
{
	char copy[128], *word[MAX_WORDS + 1] = { NULL }, *save = NULL;

	snprintf(copy, sizeof(copy), "%s", line);
	word[0] = strtok_r(copy, " \t\n", &save);
	for (int i = 1; word[i - 1] != NULL && i < MAX_WORDS; i++)
		word[i] = strtok_r(NULL, " \t\n", &save);
	for (size_t i = 0; i < ARRAY_LEN(monitors); i++) {
		if (word[0] != NULL && strcmp(word[0], monitors[i].name) == 0) {
			monitors[i].fn(s, word);
			gdb_reply(s, "OK");
			return;
		}
	}
	if (word[0] != NULL)
		say(s, "no such command; \"monitor help\" lists them\n");
	else
		mon_help(s, word);
	gdb_reply(s, "OK");
}
