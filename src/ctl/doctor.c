/*
 * doctor.c - genvisor doctor: what this host can do for a machine
 *
 * Tries things rather than believing in their names: an engine's probe runs a
 * guest, io_uring is set up.
 *
 * Lock     none, one thread
 */
#include "ctl/verbs.h"

#include "vm/host.h"

#include <sys/sysinfo.h>
#include <unistd.h>

static const struct opt doctor_opts[] = { { 0 } };

static const char *engines(void)
{
	const char *best = NULL;
	struct host_engine e;

	for (unsigned i = 0; host_engine(i, &e); i++) {
		printf("engine %-10s %s %s\n", e.name, e.usable ? "yes" : "no ",
		       e.err.msg[0] != '\0' ? e.err.msg : e.words);
		if (e.usable && best == NULL)
			best = e.name;
	}
	return best;
}

static void models(void)
{
	struct host_model m;

	for (unsigned i = 0; host_model(i, &m); i++)
		printf("model  %-13s  %s\n", m.name, m.usable ? "yes" :
		       "no  this host's processor lacks instructions of it");
}

static int doctor_run(int argc, char **argv)
{
	const char *rest[1], *best;
	struct err err;
	struct sysinfo si;
	int nr, rc = opt_parse(&verb_doctor, NULL, argc, argv, rest, 0, &nr, &err);

	if (rc != 0)
		return rc > 0 ? EXIT_OK : opt_fail(EXIT_USAGE, &err);
	best = engines();
	models();
	printf("disk I/O %-8s %s\n", host_has_uring() ? "io_uring" : "threads",
	       host_has_uring() ? "asynchronous in the kernel" :
	       "io_uring is denied here; a thread pool does it");
	if (sysinfo(&si) == 0)
		printf("%-17s %llu MiB, %ld processors, TSC at %.3f GHz\n", "host",
		       (unsigned long long)((uint64_t)si.totalram * si.mem_unit / MIB),
		       sysconf(_SC_NPROCESSORS_ONLN), (double)host_tsc_hz() / 1e9);
	printf("%-17s %s\n", "--engine auto", best == NULL ? "nothing runs here" : best);
	return best == NULL ? EXIT_FAILED : EXIT_OK;
}

const struct verb verb_doctor = {
	.name = "doctor", .args = "", .summary = "say what this host can do for a machine",
	.opts = doctor_opts, .run = doctor_run,
};
