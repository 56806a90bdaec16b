/*
 * opt.h - options of a verb as a table
 *
 * One row per option: name, what it takes, what it does.  From the same table
 * come parsing, --help and shell completion.
 */
#ifndef CTL_OPT_H
#define CTL_OPT_H

#include "base/err.h"

#include <stdio.h>

struct opt {
	const char *name;		/* without the dashes */
	const char *arg;		/* what the value is called; "[=WORD]": may be left out; NULL: a flag */
	const char *help;		/* one line, or lines separated by \n */
	/* Takes the value ("" for a flag) into the verb's own struct; 0 or -errno with *err. */
	int (*set)(void *into, const char *val, struct err *err);
};

struct verb {
	const char *name;		/* "run", or "disk new" */
	const char *args;		/* what follows the options, for the usage line */
	const char *summary;		/* one line */
	const char *text;		/* more of it, for --help; may be NULL */
	const struct opt *opts;		/* ends with a row of zeros */
	bool hidden;			/* not for people: in no list */
	int (*run)(int argc, char **argv);	/* after the verb's words; exit status */
};

extern const struct verb *const verbs[];	/* NULL-terminated; main.c */

/*
 * Takes "--name value" and "--name=value" out of ARGV; what is left is in
 * rest[0..*ret_nr).  0; 1 when --help was printed; -EINVAL with *err.
 */
MUST_CHECK int opt_parse(const struct verb *v, void *into, int argc, char **argv,
			 const char **rest, int max_rest, int *ret_nr, struct err *err);
void opt_help(const struct verb *v, FILE *f);

/* "1G", "512M", "64k", "4096" (bytes); -EINVAL, -ERANGE. */
MUST_CHECK int opt_size(const char *text, uint64_t *ret_val, struct err *err);
MUST_CHECK int opt_number(const char *text, uint64_t max, uint64_t *ret_val, struct err *err);

/* Exit statuses. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Prints "genvisor: WHAT" and gives STATUS back. */
int opt_fail(int status, const struct err *err);

#endif
