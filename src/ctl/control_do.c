/*
 * control_do.c - requests of the control socket as a table
 *
 * A peer is somebody of this host who may do all this, but its lines are
 * checked as any other input.
 *
 * Lock     none: the control socket's thread; a picture's own while it is read
 */
#include "ctl/control_priv.h"

#include "dev/disp.h"
#include "view/png.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

json_t *control_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *control_error(const char *words)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", words);
}

void control_refuse(const struct control_ask *k, const struct err *err)
{
	k->a->json = control_error(err->msg);
	/* A peer's words may be no UTF-8; ours are. */
	if (k->a->json == NULL)
		k->a->json = control_error("the request cannot be read");
}

/* ---- what can be asked ---------------------------------------------------------- */

static void do_info(const struct control_ask *k)
{
	struct disp_view v;

	k->a->json = json_pack("{s:b, s:i, s:b}", "ok", 1, "pid", (int)getpid(), "keyboard",
			       k->conf->input != NULL && input_has_keyboard(k->conf->input));
	if (k->conf->disp == NULL || k->a->json == NULL)
		return;
	disp_open(k->conf->disp, &v);
	disp_close(k->conf->disp);
	json_object_set_new(k->a->json, "width", json_integer(v.width));
	json_object_set_new(k->a->json, "height", json_integer(v.height));
}

/* The file is in memory and ours: nobody makes us wait for theirs. */
static int png_file(const uint8_t *png, size_t n, struct err *err)
{
	int fd = memfd_create("screenshot.png", MFD_CLOEXEC), rc;

	if (fd < 0)
		return err_set(err, -errno, "no file in memory: %s", strerror(errno));
	for (size_t at = 0; at < n;) {
		ssize_t done = write(fd, png + at, n - at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			rc = err_set(err, done < 0 ? -errno : -ENOSPC, "no memory for the picture");
			close(fd);
			return rc;
		}
		at += (size_t)done;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void do_screenshot(const struct control_ask *k)
{
	struct disp_view v;
	struct err err;
	uint8_t *png;
	size_t n;
	int rc;

	if (k->conf->disp == NULL) {
		err_fill(&err, "this machine has no display");
		control_refuse(k, &err);
		return;
	}
	disp_open(k->conf->disp, &v);
	rc = png_encode(v.pixels, v.width, v.height, v.stride, &png, &n);
	disp_close(k->conf->disp);
	if (rc < 0) {
		err_fill(&err, "no memory for the picture");
		control_refuse(k, &err);
		return;
	}
	k->a->fd = png_file(png, n, &err);
	free(png);
	if (k->a->fd < 0)
		control_refuse(k, &err);
	else
		k->a->json = json_pack("{s:b, s:I, s:I, s:I}", "ok", 1, "width",
				       (json_int_t)v.width, "height", (json_int_t)v.height,
				       "bytes", (json_int_t)n);
}

static void do_typed(const struct control_ask *k, const char *member,
		     int (*begin)(struct typist *t, const char *text, struct err *err))
{
	const char *text = json_string_value(json_object_get(k->request, member));
	struct err err;

	if (text == NULL)
		err_fill(&err, "expected a string \"%s\"", member);
	else if (typist_busy(k->t))
		err_fill(&err, "somebody else is typing");
	else if (begin(k->t, text, &err) == 0) {
		if (!typist_busy(k->t))		/* nothing to type */
			k->a->json = control_ok();
		return;
	}
	control_refuse(k, &err);
}

static void do_key(const struct control_ask *k) { do_typed(k, "keys", typist_keys); }
static void do_type(const struct control_ask *k) { do_typed(k, "text", typist_text); }

static const struct {
	const char *name;
	void (*fn)(const struct control_ask *k);
} asks[] = {
	{ "info", do_info }, { "screenshot", do_screenshot }, { "key", do_key }, { "type", do_type },
	{ "dvd", control_dvd }, { "floppy", control_floppy },
	{ "net-list", control_net_list }, { "net-add", control_net_add },
	{ "net-remove", control_net_remove }, { "net-set", control_net_set },
};

void control_do(const struct control_conf *conf, struct typist *t, const char *line, size_t n,
		struct control_answer *ret_a)
{
	json_error_t where;
	json_t *request = json_loadb(line, n, JSON_REJECT_DUPLICATES, &where);
	struct control_ask k = { conf, t, request, ret_a };
	const char *what = json_string_value(json_object_get(request, "do"));
	struct err err;
	size_t i = 0;

	*ret_a = (struct control_answer){ .fd = -1 };
	while (what != NULL && i < ARRAY_LEN(asks) && strcmp(asks[i].name, what) != 0)
		i++;
	if (request == NULL) {
		err_fill(&err, "no JSON: %s", where.text);
		control_refuse(&k, &err);
	} else if (what == NULL) {
		err_fill(&err, "expected an object with a string \"do\"");
		control_refuse(&k, &err);
	} else if (i == ARRAY_LEN(asks)) {
		err_fill(&err, "\"%.40s\": expected info, screenshot, key, type, dvd, floppy, net-list, net-add, "
			 "net-remove or net-set", what);
		control_refuse(&k, &err);
	} else {
		asks[i].fn(&k);
	}
	json_decref(request);
}
