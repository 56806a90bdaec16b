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

struct control_ask {			/* one request, being done */
	const struct control_conf *conf;
	struct typist *t;
	const json_t *request;
	struct control_answer *a;
};

void control_refuse(const struct control_ask *k, const struct err *err);

/* control_media.c */
void control_dvd(const struct control_ask *k);
void control_floppy(const struct control_ask *k);

/* control_net.c */
void control_net_list(const struct control_ask *k);
void control_net_add(const struct control_ask *k);
void control_net_remove(const struct control_ask *k);
void control_net_set(const struct control_ask *k);

#endif
