/*
 * main.c - genvisor and its verbs
 *
 * Lock     none, one thread
 */
#include "ctl/opt.h"
#include "ctl/verbs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

const struct verb *const verbs[] = {
	&verb_run, &verb_disk_new, &verb_disk_info, &verb_disk_export, &verb_doctor, &verb_completion, NULL,
};

static void print_help(FILE *f)
{
	fprintf(f, "usage: genvisor VERB [options]\n\n"
		"Runs Hyper-V's virtual machines on Linux.\n\nverbs:\n");
	for (unsigned i = 0; verbs[i] != NULL; i++)
		fprintf(f, "  %-16s%s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(f, "\n\"genvisor VERB --help\" says more of each; man genvisor says everything.\n"
		"--version prints the version.\n");
}

/* How many words of ARGV are the verb's name; 0 = another verb. */
static int matches(const struct verb *v, int argc, char **argv)
{
	const char *at = v->name;

	for (int n = 0; n < argc; n++) {
		size_t len = strcspn(at, " ");

		if (strlen(argv[n]) != len || memcmp(argv[n], at, len) != 0)
			return 0;
		if (at[len] == '\0')
			return n + 1;
		at += len + 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);	/* a vanished reader is an error of one write, not of a machine */
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("genvisor %s\n", GENVISOR_VERSION);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	for (unsigned i = 0; verbs[i] != NULL; i++) {
		int n = matches(verbs[i], argc - 1, argv + 1);

		if (n > 0)
			return verbs[i]->run(argc - 1 - n, argv + 1 + n);
	}
	err_fill(&err, "no verb \"%s\"; \"genvisor --help\" lists them", argv[1]);
	return opt_fail(EXIT_USAGE, &err);
}
