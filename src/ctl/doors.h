/*
 * doors.h - the ways in to a running machine: its control socket, its VNC server
 */
#ifndef CTL_DOORS_H
#define CTL_DOORS_H

#include "base/err.h"

struct disp;
struct doors;
struct input;
struct vm;

struct doors_conf {
	const char *control;		/* "unix:PATH", "none", or NULL: where control_default says */
	const char *vnc, *vnc_password;	/* NULL: none */
	const char *first_disk;		/* NULL: the machine has none */
	struct disp *disp;		/* both may be NULL; borrowed until doors_close */
	struct input *input;
	struct vm *vm;			/* borrowed in the same way */
};

/* Listens at all of them, or at none and says why. */
MUST_CHECK int doors_open(const struct doors_conf *conf, struct doors **ret_d, struct err *err);
void doors_close(struct doors *d);

#endif
