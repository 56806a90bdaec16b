/*
 * control_priv.h - the control socket without its sockets
 */
#ifndef CTL_CONTROL_PRIV_H
#define CTL_CONTROL_PRIV_H

#include "ctl/control.h"
#include "ctl/typist.h"

#include <jansson.h>

struct control_answer {
	json_t *json;			/* [owned] NULL: it comes later, when the typist is done */
	int fd;				/* [owned] goes with it; -1: none */
};

/* What a line asks for, done; never fails, for an error is an answer too. */
void control_do(const struct control_conf *conf, struct typist *t, const char *line, size_t n,
		struct control_answer *ret_a);
json_t *control_ok(void);
json_t *control_error(const char *words);

#endif
