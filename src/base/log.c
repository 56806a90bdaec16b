/*
 * log.c - words for the operator, on standard error
 *
 * One write per line, so that lines of several threads do not mix.  A reader
 * that has stopped reading costs us the line and a moment, not the machine:
 * these threads hold locks and guests up.
 *
 * Lock     none: the level and the members of a log_limit are atomic, stderr
 *          serialises
 */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define STUCK_MS 200

static _Atomic int log_level = LOG_WARN;
static _Atomic bool log_crlf;

void log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

void log_set_crlf(bool on)
{
	atomic_store(&log_crlf, on);
}

PRINTF(4, 0)
static void log_line(enum log_level level, const char *tag, uint32_t dropped,
		     const char *fmt, va_list ap)
{
	static const char *const word[] = { "error: ", "warning: ", "", "" };
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[512];
	int n, room = (int)sizeof(line) - 40;

	if ((int)level > atomic_load(&log_level))
		return;
	n = snprintf(line, (size_t)room, "genvisor: %s%s: ", word[level], tag);
	if (n < room)
		n += vsnprintf(line + n, (size_t)(room - n), fmt, ap);
	if (n >= room)
		n = room - 1;
	if (dropped > 0)
		n += snprintf(line + n, 32, " (%u more)", dropped);
	n += snprintf(line + n, 3, "%s", atomic_load(&log_crlf) ? "\r\n" : "\n");
	/* A pipe that can be written to takes PIPE_BUF bytes: more than a line. */
	if (poll(&p, 1, STUCK_MS) == 0)
		return;
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;		/* nobody is listening */
}

#define LOG_BODY(level) \
	do { \
		va_list ap; \
		va_start(ap, fmt); \
		log_line(level, tag, 0, fmt, ap); \
		va_end(ap); \
	} while (0)

void log_err(const char *tag, const char *fmt, ...) { LOG_BODY(LOG_ERR); }
void log_warn(const char *tag, const char *fmt, ...) { LOG_BODY(LOG_WARN); }
void log_info(const char *tag, const char *fmt, ...) { LOG_BODY(LOG_INFO); }
void log_debug(const char *tag, const char *fmt, ...) { LOG_BODY(LOG_DEBUG); }

void log_guest(struct log_limit *limit, const char *tag, const char *fmt, ...)
{
	uint64_t now = base_monotonic_ns();
	va_list ap;

	if (atomic_load(&limit->shown) >= 10 && now < atomic_load(&limit->next_ns)) {
		atomic_fetch_add(&limit->dropped, 1);
		return;
	}
	/* First, so that other threads find it: two lines too many do no harm, a flood would. */
	atomic_store(&limit->next_ns, now + 60 * NS_PER_SEC);
	if (atomic_load(&limit->shown) < 10)
		atomic_fetch_add(&limit->shown, 1);
	va_start(ap, fmt);
	log_line(LOG_INFO, tag, atomic_exchange(&limit->dropped, 0), fmt, ap);
	va_end(ap);
}
