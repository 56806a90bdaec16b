/*
 * opt.c - options of a verb as a table
 *
 * Lock     none, one thread
 */
#include "ctl/opt.h"

#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 28

static const struct opt *find(const struct verb *v, const char *name, size_t n)
{
	for (const struct opt *o = v->opts; o->name != NULL; o++)
		if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

/* How many letters differ at worst: good enough to guess what was meant. */
static const struct opt *nearest(const struct verb *v, const char *name, size_t n)
{
	const struct opt *best = NULL;
	size_t best_same = 2;

	for (const struct opt *o = v->opts; o->name != NULL; o++) {
		size_t same = 0;

		while (same < n && o->name[same] != '\0' && o->name[same] == name[same])
			same++;
		if (same > best_same) {
			best_same = same;
			best = o;
		}
	}
	return best;
}

static int unknown(const struct verb *v, const char *arg, size_t n, struct err *err)
{
	const struct opt *o = nearest(v, arg + 2, n);

	if (o != NULL)
		return err_set(err, -EINVAL, "%s: no option %.*s; did you mean --%s?", v->name,
			       (int)n + 2, arg, o->name);
	return err_set(err, -EINVAL, "%s: no option %.*s; \"genvisor %s --help\" lists them",
		       v->name, (int)n + 2, arg, v->name);
}

static int take(const struct verb *v, void *into, const char *arg, const char *next,
		bool *ret_used_next, struct err *err)
{
	size_t n = strcspn(arg + 2, "=");
	const char *val = arg[2 + n] == '=' ? arg + 2 + n + 1 : NULL;
	const struct opt *o = find(v, arg + 2, n);

	*ret_used_next = false;
	if (o == NULL)
		return unknown(v, arg, n, err);
	if (o->arg == NULL && val != NULL)
		return err_set(err, -EINVAL, "--%s takes no value", o->name);
	if (o->arg != NULL && o->arg[0] != '[' && val == NULL) {
		if (next == NULL)
			return err_set(err, -EINVAL, "--%s: expected %s after it", o->name, o->arg);
		val = next;
		*ret_used_next = true;
	}
	return o->set(into, val == NULL ? "" : val, err);
}

int opt_parse(const struct verb *v, void *into, int argc, char **argv, const char **rest,
	      int max_rest, int *ret_nr, struct err *err)
{
	int nr = 0;
	bool options = true;

	for (int i = 0; i < argc; i++) {
		const char *a = argv[i];
		bool used_next;
		int rc;

		if (options && (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)) {
			opt_help(v, stdout);
			return 1;
		}
		if (options && strcmp(a, "--") == 0) {
			options = false;
			continue;
		}
		if (!options || a[0] != '-' || a[1] == '\0') {
			if (nr == max_rest)
				return err_set(err, -EINVAL, "%s: \"%s\" is one argument too many",
					       v->name, a);
			rest[nr++] = a;
			continue;
		}
		if (a[1] != '-')
			return err_set(err, -EINVAL,
				       "%s: no option %s; options begin with two dashes",
				       v->name, a);
		rc = take(v, into, a, i + 1 < argc ? argv[i + 1] : NULL, &used_next, err);
		if (rc < 0)
			return rc;
		i += used_next;
	}
	*ret_nr = nr;
	return 0;
}

static void help_row(const struct opt *o, FILE *f)
{
	const char *line = o->help;
	int n = fprintf(f, "  --%s%s%s", o->name, o->arg != NULL && o->arg[0] != '[' ? " " : "",
			o->arg != NULL ? o->arg : "");

	if (n >= HELP_COLUMN) {
		fputc('\n', f);
		n = 0;
	}
	for (;;) {
		size_t len = strcspn(line, "\n");

		fprintf(f, "%*s%.*s\n", HELP_COLUMN - n, "", (int)len, line);
		if (line[len] == '\0')
			break;
		line += len + 1;
		n = 0;
	}
}

void opt_help(const struct verb *v, FILE *f)
{
	fprintf(f, "usage: genvisor %s [options]%s%s\n\n%s\n", v->name,
		v->args[0] != '\0' ? " " : "", v->args, v->summary);
	if (v->text != NULL)
		fprintf(f, "\n%s", v->text);
	if (v->opts->name != NULL)
		fprintf(f, "\noptions:\n");
	for (const struct opt *o = v->opts; o->name != NULL; o++)
		help_row(o, f);
}

int opt_number(const char *text, uint64_t max, uint64_t *ret_val, struct err *err)
{
	char *end;
	unsigned long long v;

	errno = 0;
	/* Not base 0: "lun=010" means ten. */
	v = strtoull(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0')
		return err_set(err, -EINVAL, "\"%s\": expected a number", text);
	if (errno == ERANGE || v > max)
		return err_set(err, -ERANGE, "%s: at most %llu", text, (unsigned long long)max);
	*ret_val = v;
	return 0;
}

int opt_size(const char *text, uint64_t *ret_val, struct err *err)
{
	static const char units[] = "kmgt";
	char *end;
	unsigned long long v;
	unsigned shift = 0;
	const char *u;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9')
		return err_set(err, -EINVAL, "\"%s\": expected a size such as 512M or 4G", text);
	if (*end != '\0') {
		u = strchr(units, *end | 0x20);
		if (u == NULL || (end[1] != '\0' && strcmp(end + 1, "iB") != 0 &&
				  strcmp(end + 1, "B") != 0))
			return err_set(err, -EINVAL, "\"%s\": expected a size such as 512M or 4G",
				       text);
		shift = 10 * (unsigned)(u - units + 1);
	}
	if (errno == ERANGE || (shift > 0 && v >> (64 - shift) != 0))
		return err_set(err, -ERANGE, "%s: too large", text);
	*ret_val = (uint64_t)v << shift;
	return 0;
}

int opt_fail(int status, const struct err *err)
{
	fprintf(stderr, "genvisor: %s\n", err->msg);
	return status;
}
