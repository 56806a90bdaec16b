/*
 * doors.c - opens what people come in by
 *
 * A place that was asked for must work; the default control socket is a
 * convenience, and a machine runs without.
 *
 * Lock     none, one thread
 */
#include "ctl/doors.h"

#include "base/log.h"
#include "ctl/control.h"
#include "view/vnc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct doors {
	struct control *control;
	struct vnc *vnc;
};

static int open_control(struct doors *d, const struct doors_conf *conf, struct err *err)
{
	struct control_conf c = { conf->control, conf->disp, conf->input, conf->vm };
	struct err why;
	char where[256];
	int rc;

	if (conf->control != NULL && strcmp(conf->control, "none") == 0)
		return 0;
	if (conf->control == NULL) {
		c.where = where;
		if (control_default(conf->first_disk, where, sizeof(where)) < 0)
			return 0;		/* nowhere to put it */
		rc = control_new(&c, &d->control, &why);
		if (rc < 0)
			log_warn("control", "no control socket: %s", why.msg);
		return 0;
	}
	rc = control_new(&c, &d->control, err);
	return rc < 0 ? err_prefix(err, rc, "--control") : 0;
}

static int open_vnc(struct doors *d, const struct doors_conf *conf, struct err *err)
{
	struct vnc_conf c = {
		.where = conf->vnc, .password_file = conf->vnc_password, .name = "genvisor",
		.disp = conf->disp, .input = conf->input,
	};
	int rc;

	if (conf->vnc == NULL && conf->vnc_password != NULL)
		return err_set(err, -EINVAL, "--vnc-password: give --vnc too");
	if (conf->vnc == NULL)
		return 0;
	if (conf->disp == NULL)
		return err_set(err, -ENODEV, "--vnc: this machine has no display");
	rc = vnc_new(&c, &d->vnc, err);
	if (rc < 0)
		return err_prefix(err, rc, "--vnc");
	fprintf(stderr, "genvisor: VNC at %s\n", vnc_where(d->vnc));
	return 0;
}

int doors_open(const struct doors_conf *conf, struct doors **ret_d, struct err *err)
{
	struct doors *d = new0(struct doors);
	int rc;

	if (d == NULL)
		return err_set(err, -ENOMEM, "no memory for a control socket");
	rc = open_control(d, conf, err);
	if (rc == 0)
		rc = open_vnc(d, conf, err);
	if (rc < 0) {
		doors_close(d);
		return rc;
	}
	*ret_d = d;
	return 0;
}

void doors_close(struct doors *d)
{
	if (d == NULL)
		return;
	vnc_free(d->vnc);
	control_free(d->control);
	free(d);
}
