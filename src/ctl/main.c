/*
 * main.c - genvisor and its verbs
 *
 * Whoever starts us may have closed our standard descriptors.  The next file
 * opened would get their numbers, and a disk image be fed with log lines and
 * the guest's console: so they are filled before anything else is done.
 *
 * Lock     none, one thread
 */
#include "ctl/opt.h"
#include "ctl/verbs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct verb *const verbs[] = {
	&verb_run, &verb_disk_new, &verb_disk_info, &verb_disk_export, &verb_switch_new,
	&verb_switch_list, &verb_switch_set, &verb_switch_port, &verb_switch_remove,
	&verb_switch_capture, &verb_switch_run, &verb_net_show, &verb_net_list, &verb_net_add,
	&verb_net_remove, &verb_net_set, &verb_screenshot, &verb_key, &verb_type, &verb_dvd, &verb_floppy,
	&verb_doctor, &verb_completion, NULL,
};

static void print_help(FILE *f)
{
	fprintf(f, "usage: genvisor VERB [options]\n\n"
		"Runs Hyper-V's virtual machines on Linux.\n\nverbs:\n");
	for (unsigned i = 0; verbs[i] != NULL; i++)
		if (!verbs[i]->hidden)
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

static bool fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) != fd)
			return false;
	return true;
}

/* What a verb printed must have arrived, or its status would be a lie. */
static int flushed(int status)
{
	struct err err;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	err_fill(&err, "standard output: cannot write: %s", strerror(errno));
	return errno == EPIPE ? EXIT_FAILED : opt_fail(EXIT_FAILED, &err);
}

static int run_verb(int argc, char **argv)
{
	struct err err;

	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("genvisor %s\n", GENVISOR_VERSION);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
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

int main(int argc, char **argv)
{
	int status;

	if (!fill_standard_fds())
		return EXIT_FAILED;
	/*
	 * A vanished reader, or a limit on file sizes, is an error of one
	 * write, not of a machine.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	status = run_verb(argc, argv);
	return status == EXIT_OK ? flushed(status) : status;
}
