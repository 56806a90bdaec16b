/*
 * ask.h - asking a running machine at its control socket
 */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "ctl/opt.h"

#include <jansson.h>

struct ask {
	const char *control;		/* NULL: find it */
	bool flag;			/* of the verb's own: --enter, --json, --no-wait */
};

int ask_set_control(void *into, const char *val, struct err *err);
int ask_set_flag(void *into, const char *val, struct err *err);

#define ASK_CONTROL_OPT { "control", "unix:PATH", "the machine's control socket (default: that of the only\n" \
						  "machine under $XDG_RUNTIME_DIR/genvisor)", ask_set_control }

/*
 * Options and at least one word, which are what is EXPECTED.  -1: go on; else the status
 * to end with.
 */
int ask_parse(const struct verb *v, struct ask *a, int argc, char **argv, const char **rest, int max,
	      int *ret_nr, const char *expected);
/* Takes REQUEST.  *ret_fd: what came with the answer, or -1; may be NULL where nothing can come. */
MUST_CHECK int ask_machine(const struct ask *a, json_t *request, json_t **ret_json, int *ret_fd,
			   struct err *err);

#endif
