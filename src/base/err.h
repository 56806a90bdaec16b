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
	char msg[240];
};

/* Fills *err (when not NULL) and returns RC, so that one line does both. */
PRINTF(3, 4) int err_set(struct err *err, int rc, const char *fmt, ...);

/* Puts "PREFIX: " before the message already there; returns RC. */
int err_prefix(struct err *err, int rc, const char *prefix);

#endif
