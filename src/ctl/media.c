/*
 * media.c - genvisor dvd and genvisor floppy: another disc in a running machine
 *
 * Lock     none, one thread
 */
#include "ctl/ask.h"
#include "ctl/verbs.h"

#include <stdlib.h>
#include <string.h>

struct change {
	struct ask a;			/* first: the options' */
	unsigned drive;
	bool eject, flag;
};

static int set_drive(void *into, const char *val, struct err *err)
{
	uint64_t n = 0;
	int rc = opt_number(val, 3, &n, err);

	((struct change *)into)->drive = (unsigned)n;
	return rc < 0 ? err_prefix(err, rc, "--drive") : 0;
}

static int set_letter(void *into, const char *val, struct err *err)
{
	if (strcasecmp(val, "a") != 0 && strcasecmp(val, "b") != 0)
		return err_set(err, -EINVAL, "--drive \"%s\": expected A or B", val);
	((struct change *)into)->drive = (val[0] | 0x20) == 'b';
	return 0;
}

static int set_eject(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct change *)into)->eject = true;
	return 0;
}

static int set_flag(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct change *)into)->flag = true;
	return 0;
}

static const struct opt dvd_opts[] = {
	ASK_CONTROL_OPT,
	{ "drive", "0..3", "which DVD drive on IDE, by place (default 0)", set_drive },
	{ "eject", NULL, "only take the disc out", set_eject },
	{ "force", NULL, "even if the guest holds it", set_flag },
	{ 0 },
};

static const struct opt floppy_opts[] = {
	ASK_CONTROL_OPT,
	{ "drive", "A|B", "which drive (default A)", set_letter },
	{ "eject", NULL, "only take the disk out", set_eject },
	{ "readonly", NULL, "the guest may not write on it", set_flag },
	{ 0 },
};

/* The machine has another working directory. */
static json_t *request_of(const struct change *c, const char *what, const char *flag,
			  const char *file, struct err *err)
{
	char *path = file == NULL ? NULL : realpath(file, NULL);
	json_t *json;

	if (file != NULL && path == NULL) {
		err_fill(err, "%s: %s", file, strerror(errno));
		return NULL;
	}
	json = json_pack("{s:s, s:i, s:b}", "do", what, "drive", (int)c->drive, flag, c->flag);
	if (path == NULL)
		json_object_set_new(json, "eject", json_true());
	else
		json_object_set_new(json, "path", json_string(path));
	free(path);
	return json;
}

static int change(const struct verb *v, const char *flag, int argc, char **argv)
{
	struct change c = { .drive = 0 };
	const char *rest[1] = { NULL };
	json_t *request, *json = NULL;
	struct err err;
	int nr = 0, rc = opt_parse(v, &c, argc, argv, rest, 1, &nr, &err);

	if (rc == 0 && (nr == 1) == c.eject)
		rc = err_set(&err, -EINVAL, "%s: expected a file or --eject", v->name);
	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	request = request_of(&c, v->name, flag, nr == 1 ? rest[0] : NULL, &err);
	if (request == NULL || ask_machine(&c.a, request, &json, NULL, &err) < 0)
		return opt_fail(EXIT_FAILED, &err);
	json_decref(json);
	return EXIT_OK;
}

static int dvd_run(int argc, char **argv) { return change(&verb_dvd, "force", argc, argv); }
static int floppy_run(int argc, char **argv) { return change(&verb_floppy, "readonly", argc, argv); }

const struct verb verb_dvd = {
	.name = "dvd", .args = "FILE.iso|--eject",
	.summary = "change the disc in a running Generation 1 machine's DVD drive",
	.opts = dvd_opts, .run = dvd_run,
};

const struct verb verb_floppy = {
	.name = "floppy", .args = "FILE|--eject",
	.summary = "change the disk in a running Generation 1 machine's floppy drive",
	.opts = floppy_opts, .run = floppy_run,
};
