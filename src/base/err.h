/*
 * err.h - an error a person will read
 *
 * A function that opens, configures or loads takes a last parameter
 * struct err * (may be NULL).  The message is one sentence without a full
 * stop: which thing, what was found, what was expected.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

struct err {
	char msg[512];			/* a long path must leave room for what is wrong with it */
};

/* Fills *err when not NULL. */
PRINTF(2, 3) void err_fill(struct err *err, const char *fmt, ...);

/*
 * int err_set(struct err *err, int rc, const char *fmt, ...): fills *err (when
 * not NULL) and returns RC, so that one line does both.  A macro, so that the
 * compiler sees which value comes back.
 */
#define err_set(err, rc, ...) \
	({ int err_rc_ = (rc); err_fill(err, __VA_ARGS__); err_rc_; })

/* Puts "PREFIX: " before the message already there; returns RC. */
int err_prefix(struct err *err, int rc, const char *prefix);

#endif
