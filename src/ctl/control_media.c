/*
 * control_media.c - requests of the control socket about discs and floppies
 *
 * Lock     none: the control socket's thread
 */
#include "ctl/control_priv.h"

#include "vm/vm.h"

struct media {
	unsigned drive;
	const char *path;		/* [borrowed] NULL: only out */
	bool flag;			/* force, or readonly */
};

/* Exactly one of path and eject; all that may be there is of its type. */
static int read_media(const struct control_ask *k, const char *flag, struct media *ret_m,
		      struct err *err)
{
	const json_t *drive = json_object_get(k->request, "drive");
	const json_t *path = json_object_get(k->request, "path");
	bool eject = json_is_true(json_object_get(k->request, "eject"));

	if (k->conf->vm == NULL)
		return err_set(err, -ENODEV, "this machine has no drives");
	if ((path == NULL) != eject || (path != NULL && !json_is_string(path)))
		return err_set(err, -EINVAL, "expected a string \"path\", or \"eject\": true");
	if (drive != NULL && (!json_is_integer(drive) || json_integer_value(drive) < 0 ||
			      json_integer_value(drive) > 3))
		return err_set(err, -EINVAL, "\"drive\": expected 0 to 3");
	*ret_m = (struct media){
		.drive = (unsigned)json_integer_value(drive), .path = json_string_value(path),
		.flag = json_is_true(json_object_get(k->request, flag)),
	};
	return 0;
}

static void answer(const struct control_ask *k, int rc, const struct err *err)
{
	if (rc < 0)
		control_refuse(k, err);
	else
		k->a->json = control_ok();
}

void control_dvd(const struct control_ask *k)
{
	struct err err = { "" };
	struct media m;
	int rc = read_media(k, "force", &m, &err);

	if (rc == 0)
		rc = vm_dvd_change(k->conf->vm, m.drive, m.path, m.flag, &err);
	answer(k, rc, &err);
}

void control_floppy(const struct control_ask *k)
{
	struct err err = { "" };
	struct media m;
	int rc = read_media(k, "readonly", &m, &err);

	if (rc == 0)
		rc = vm_floppy_change(k->conf->vm, m.drive, m.path, m.flag, &err);
	answer(k, rc, &err);
}
