/*
 * vnc.h - the machine's screen for any VNC viewer
 */
#ifndef VIEW_VNC_H
#define VIEW_VNC_H

#include "base/err.h"

struct disp;
struct input;
struct vnc;

struct vnc_conf {			/* borrowed until vnc_new returns, disp and input until vnc_free */
	const char *where;		/* as sock_listen has it */
	/*
	 * A file whose first line is the password (1 to 8 characters count);
	 * NULL: none, and then only this host may connect.
	 */
	const char *password_file;
	const char *name;
	struct disp *disp;
	struct input *input;
};

/* Listens and serves, on a thread of its own. */
MUST_CHECK int vnc_new(const struct vnc_conf *conf, struct vnc **ret_v, struct err *err);
const char *vnc_where(const struct vnc *v);
void vnc_free(struct vnc *v);

#endif
