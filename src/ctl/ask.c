/*
 * ask.c - verbs that talk to a running machine: screenshot, key, type; and how they do
 *
 * The machine is the one at --control, or the only one that runs under
 * XDG_RUNTIME_DIR.
 *
 * Lock     none, one thread
 */
#include "ctl/ask.h"
#include "ctl/control.h"
#include "ctl/verbs.h"

#include "base/sock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int ask_set_control(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct ask *)into)->control = val;
	return 0;
}

int ask_set_flag(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct ask *)into)->flag = true;
	return 0;
}

static const struct opt ask_opts[] = { ASK_CONTROL_OPT, { 0 } };
static const struct opt type_opts[] = {
	ASK_CONTROL_OPT, { "enter", NULL, "press Enter after it", ask_set_flag }, { 0 },
};

/* ---- finding and talking ------------------------------------------------------- */

/* Connects to the only machine that answers there. */
static int connect_found(struct err *err)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char dir[200], where[480], names[200] = "";
	struct dirent *e;
	int fd = -1;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/genvisor", run == NULL ? "" : run);
	d = run == NULL ? NULL : opendir(dir);
	while (d != NULL && (e = readdir(d)) != NULL) {
		int one;

		snprintf(where, sizeof(where), "unix:%s/%s", dir, e->d_name);
		one = e->d_name[0] == '.' ? -1 : sock_connect(where, NULL);
		if (one < 0)
			continue;
		if (strlen(names) + strlen(where) + 2 < sizeof(names))
			strcat(strcat(names, " "), where);
		if (fd >= 0) {
			close(fd);
			close(one);
			closedir(d);
			return err_set(err, -EEXIST, "several machines run; give --control with "
				       "one of%s ...", names);
		}
		fd = one;
	}
	if (d != NULL)
		closedir(d);
	return fd >= 0 ? fd : err_set(err, -ENOENT, "no running machine was found; give --control "
				      "unix:PATH, as with genvisor run");
}

/* A line's answer, and the descriptor that came with it (-1: none). */
static int read_answer(int fd, json_t **ret_json, int *ret_fd, struct err *err)
{
	char space[CMSG_SPACE(sizeof(int))], line[CONTROL_MAX_LINE];
	size_t n = 0;

	*ret_fd = -1;
	while (n < sizeof(line) && (n == 0 || line[n - 1] != '\n')) {
		struct iovec iov = { line + n, sizeof(line) - n };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
				    .msg_controllen = sizeof(space) };
		ssize_t got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&m);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(err, -EIO, "the machine went before it answered");
		n += (size_t)got;
		if (c != NULL && c->cmsg_type == SCM_RIGHTS && *ret_fd < 0)
			memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	}
	*ret_json = json_loadb(line, n, 0, NULL);
	return *ret_json == NULL ? err_set(err, -EPROTO, "the machine's answer is no JSON") : 0;
}

int ask_machine(const struct ask *a, json_t *request, json_t **ret_json, int *ret_fd, struct err *err)
{
	char *text = json_dumps(request, JSON_COMPACT);
	int fd = -1, rc = -ENOMEM, none;
	const char *words;

	if (ret_fd == NULL)
		ret_fd = &none;

	json_decref(request);
	if (text == NULL)
		return err_set(err, -EINVAL, "that text is not UTF-8");
	fd = a->control == NULL ? connect_found(err) : sock_connect(a->control, err);
	rc = fd < 0 ? fd : 0;
	if (rc == 0 && (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ||
			send(fd, "\n", 1, MSG_NOSIGNAL) < 0))
		rc = err_set(err, -errno, "the machine does not listen: %s", strerror(errno));
	free(text);
	if (rc == 0)
		rc = read_answer(fd, ret_json, ret_fd, err);
	if (fd >= 0)
		close(fd);
	if (rc < 0 || json_is_true(json_object_get(*ret_json, "ok")))
		return rc;
	words = json_string_value(json_object_get(*ret_json, "error"));
	rc = err_set(err, -EPROTO, "%s", words == NULL ? "the machine refused" : words);
	json_decref(*ret_json);
	return rc;
}

/* ---- verbs --------------------------------------------------------------------- */

static int copy_to(int from, const char *path, struct err *err)
{
	char buf[65536];
	ssize_t n = 0;
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), rc = 0;

	if (to < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	lseek(from, 0, SEEK_SET);
	while (rc == 0 && (n = read(from, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, done; at < n && rc == 0; at += done) {
			done = write(to, buf + at, (size_t)(n - at));
			if (done < 0)
				rc = -errno;
		}
	if (rc == 0 && n < 0)
		rc = -errno;
	if (close(to) < 0 && rc == 0)
		rc = -errno;
	return rc < 0 ? err_set(err, rc, "%s: %s", path, strerror(-rc)) : 0;
}

int ask_parse(const struct verb *v, struct ask *a, int argc, char **argv, const char **rest, int max,
	      int *ret_nr, const char *expected)
{
	struct err err;
	int rc = opt_parse(v, a, argc, argv, rest, max, ret_nr, &err);

	if (rc == 0 && *ret_nr == 0) {
		err_fill(&err, "%s: expected %s", v->name, expected);
		rc = -EINVAL;
	}
	return rc > 0 ? EXIT_OK : rc < 0 ? opt_fail(EXIT_USAGE, &err) : -1;
}

static int screenshot_run(int argc, char **argv)
{
	struct ask a = { NULL, false };
	const char *rest[1];
	json_t *json = NULL;
	struct err err;
	int nr, fd, rc, status;

	status = ask_parse(&verb_screenshot, &a, argc, argv, rest, 1, &nr, "the PNG file to write");
	if (status >= 0)
		return status;
	rc = ask_machine(&a, json_pack("{s:s}", "do", "screenshot"), &json, &fd, &err);
	if (rc < 0)
		return opt_fail(EXIT_FAILED, &err);
	rc = fd < 0 ? err_set(&err, -EPROTO, "the machine sent no picture") :
	     copy_to(fd, rest[0], &err);
	json_decref(json);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? opt_fail(EXIT_FAILED, &err) : EXIT_OK;
}

static int ask_typing(const struct ask *a, const char *what, const char *member, const char *text)
{
	json_t *json = NULL;
	struct err err;
	int fd, rc;

	rc = ask_machine(a, json_pack("{s:s, s:s}", "do", what, member, text), &json, &fd, &err);
	if (rc < 0)
		return opt_fail(EXIT_FAILED, &err);
	json_decref(json);
	if (fd >= 0)
		close(fd);
	return EXIT_OK;
}

/* Words joined by spaces. */
static char *joined(const char **words, int nr, bool enter)
{
	size_t n = 2;
	char *text;

	for (int i = 0; i < nr; i++)
		n += strlen(words[i]) + 1;
	text = calloc(1, n);
	for (int i = 0; text != NULL && i < nr; i++)
		strcat(strcat(text, i == 0 ? "" : " "), words[i]);
	return text == NULL ? NULL : enter ? strcat(text, "\n") : text;
}

#define MAX_WORDS 64

static int key_run(int argc, char **argv)
{
	struct ask a = { NULL, false };
	const char *rest[MAX_WORDS];
	int nr, status = ask_parse(&verb_key, &a, argc, argv, rest, MAX_WORDS, &nr,
			       "keys such as enter, f2, ctrl-alt-delete");
	char *text;

	if (status >= 0)
		return status;
	text = joined(rest, nr, false);
	status = text == NULL ? EXIT_FAILED : ask_typing(&a, "key", "keys", text);
	free(text);
	return status;
}

static int type_run(int argc, char **argv)
{
	struct ask a = { NULL, false };
	const char *rest[MAX_WORDS];
	int nr, status = ask_parse(&verb_type, &a, argc, argv, rest, MAX_WORDS, &nr, "the text to type");
	char *text;

	if (status >= 0)
		return status;
	text = joined(rest, nr, a.flag);
	status = text == NULL ? EXIT_FAILED : ask_typing(&a, "type", "text", text);
	free(text);
	return status;
}

const struct verb verb_screenshot = {
	.name = "screenshot", .args = "FILE.png", .summary = "write a running machine's screen as PNG",
	.opts = ask_opts, .run = screenshot_run,
};

const struct verb verb_key = {
	.name = "key", .args = "KEYS...", .summary = "press keys of a running machine",
	.text = "Keys of one word are held together: ctrl-alt-delete.  Words follow each other.\n"
		"Names: esc, f1 to f12, enter, tab, space, backspace, insert, delete, home, end,\n"
		"pageup, pagedown, up, down, left, right, ctrl, shift, alt, win, menu, print, pause,\n"
		"break, capslock, numlock, scrolllock, r before those of the right side, kp before\n"
		"those of the number pad; and every character of a US keyboard.\n",
	.opts = ask_opts, .run = key_run,
};

const struct verb verb_type = {
	.name = "type", .args = "TEXT...", .summary = "type text into a running machine",
	.text = "As on a US keyboard; returns when the guest took all of it.\n",
	.opts = type_opts, .run = type_run,
};
