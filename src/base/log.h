/*
 * log.h - words for the operator, on standard error
 *
 * Sentences, never per I/O.  Whatever a guest can cause goes through
 * log_guest, which is rate-limited by construction.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);	/* default LOG_WARN */
PRINTF(2, 3) void log_err(const char *tag, const char *fmt, ...);
PRINTF(2, 3) void log_warn(const char *tag, const char *fmt, ...);
PRINTF(2, 3) void log_info(const char *tag, const char *fmt, ...);
PRINTF(2, 3) void log_debug(const char *tag, const char *fmt, ...);

/* One per call site or device, zeroed: ten lines, then one a minute with a count. */
struct log_limit {
	_Atomic uint64_t next_ns;
	_Atomic uint32_t shown, dropped;
};
PRINTF(3, 4) void log_guest(struct log_limit *limit, const char *tag, const char *fmt, ...);

/* In raw terminal mode lines need a carriage return too. */
void log_set_crlf(bool on);

#endif
