/*
 * run.c - genvisor run: one machine, from its options to its end
 *
 * Signals are taken by a thread of their own: SIGTERM asks the guest to shut
 * down (a second one, or a guest without the driver, ends the machine),
 * SIGINT, SIGHUP and SIGQUIT end it, SIGUSR1 goes on after a full disk.  The
 * thread is there before the machine, whose files may take long to open.
 *
 * Lock     struct run: vm and what signals change are atomic; the rest is
 *          constant once the threads start
 */
#include "ctl/console.h"
#include "ctl/doors.h"
#include "ctl/verbs.h"

#include "base/log.h"
#include "net/net_opt.h"
#include "vm/vm.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_MODULES 32

struct run {
	struct vm_conf conf;
	struct vm_disk disks[VM_MAX_DISKS];
	char *paths[VM_MAX_DISKS];	/* [owned] of disks that had options */
	char *floppies[VM_MAX_FLOPPIES];	/* [owned] */
	struct vm_nic nics[VM_MAX_NICS];
	const char *modules[MAX_MODULES + 1];
	unsigned nr_modules;
	bool com1_stdio, stats_json;
	char *trace;			/* [owned] */
	struct doors_conf doors;
	_Atomic(struct vm *) vm;
	struct console *console;
	pthread_t signals;
	_Atomic int signalled;		/* the signal that ended us, 0 = none */
	_Atomic bool asked;		/* the guest was asked to shut down */
	_Atomic bool over;		/* the signal thread shall end */
};

/* ---- options --------------------------------------------------------------- */

static int set_generation(void *into, const char *val, struct err *err)
{
	struct run *r = into;
	uint64_t n;
	int rc = opt_number(val, 2, &n, err);

	r->conf.generation = rc < 0 ? 0 : (unsigned)n;
	return rc < 0 ? err_prefix(err, rc, "--generation") : 0;
}

static int set_memory(void *into, const char *val, struct err *err)
{
	struct run *r = into;
	int rc = opt_size(val, &r->conf.memory, err);

	return rc < 0 ? err_prefix(err, rc, "--memory") : 0;
}

static int set_cpus(void *into, const char *val, struct err *err)
{
	struct run *r = into;
	uint64_t n;
	int rc = opt_number(val, 1024, &n, err);

	if (rc < 0)
		return err_prefix(err, rc, "--cpus");
	r->conf.cpus = (unsigned)n;
	return 0;
}

static int disk_option(struct vm_disk *d, const char *text, struct err *err)
{
	uint64_t n = 0;
	int rc;

	if (strcmp(text, "readonly") == 0) {
		d->read_only = true;
		return 0;
	}
	if (strncmp(text, "at=ide", 6) == 0 && strlen(text) == 9 && text[7] == ':' &&
	    (text[6] == '0' || text[6] == '1') && (text[8] == '0' || text[8] == '1')) {
		d->place = VM_PLACE_IDE;
		d->controller = (unsigned)(text[6] - '0');
		d->lun = (unsigned)(text[8] - '0');
		return 0;
	}
	if (strncmp(text, "controller=", 11) == 0) {
		rc = opt_number(text + 11, VM_MAX_CONTROLLERS - 1, &n, err);
		d->place = VM_PLACE_SCSI;
		d->controller = (unsigned)n;
		return rc;
	}
	if (strncmp(text, "lun=", 4) == 0) {
		rc = opt_number(text + 4, 63, &n, err);
		d->place = VM_PLACE_SCSI;
		d->lun = (unsigned)n;
		return rc;
	}
	if (strncmp(text, "parents=", 8) == 0 && text[8] != '\0') {
		d->parents = text + 8;
		return 0;
	}
	return err_set(err, -EINVAL, "\"%s\": expected readonly, controller=0..3, lun=0..63, "
		       "at=ide0:0 to at=ide1:1 or parents=DIR", text);
}

/*
 * PATH[,readonly][,controller=N][,lun=N][,at=ideN:N][,parents=DIR]; a comma in a path is
 * written twice.
 */
static int add_disk(struct run *r, const char *val, bool dvd, struct err *err)
{
	struct vm_disk *d = &r->disks[r->conf.nr_disks];
	char *text, *out, *in;
	int rc = 0;

	if (r->conf.nr_disks == VM_MAX_DISKS)
		return err_set(err, -E2BIG, "at most %u disks", VM_MAX_DISKS);
	*d = (struct vm_disk){ .place = VM_PLACE_ANY, .dvd = dvd, .lun = VM_ANY_LUN };
	text = strdup(val);
	if (text == NULL)
		return err_set(err, -ENOMEM, "no memory");
	r->paths[r->conf.nr_disks] = text;
	for (in = out = text; *in != '\0' && (*in != ',' || in[1] == ','); in++) {
		in += *in == ',';
		*out++ = *in;
	}
	in = *in == ',' ? in + 1 : NULL;
	*out = '\0';
	d->path = text;
	for (char *word = in, *next; word != NULL && rc == 0; word = next) {
		next = strchr(word, ',');
		if (next != NULL)
			*next++ = '\0';
		rc = disk_option(d, word, err);
	}
	r->conf.nr_disks++;
	return rc < 0 ? err_prefix(err, rc, dvd ? "--dvd" : "--disk") : 0;
}

static int set_disk(void *into, const char *val, struct err *err)
{
	return add_disk(into, val, false, err);
}

static int set_dvd(void *into, const char *val, struct err *err)
{
	return add_disk(into, val, true, err);
}

static int set_net(void *into, const char *val, struct err *err)
{
	struct run *r = into;
	struct net_opt *o;
	int rc;

	if (strcmp(val, "none") == 0)
		return 0;
	if (r->conf.nr_nics == VM_MAX_NICS)
		return err_set(err, -E2BIG, "--net: at most %u", VM_MAX_NICS);
	/* Only to tell what is wrong with it before anything is opened. */
	o = new0(struct net_opt);
	if (o == NULL)
		return err_set(err, -ENOMEM, "no memory");
	rc = net_opt_parse(val, o, err);
	net_opt_fini(o);
	free(o);
	if (rc < 0)
		return err_prefix(err, rc, "--net");
	r->nics[r->conf.nr_nics++].net = val;
	return 0;
}

static int set_firmware(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.firmware = val;
	return 0;
}

/* FILE[,readonly]; a comma in a path is written twice, as with --disk. */
static int set_floppy(void *into, const char *val, struct err *err)
{
	struct run *r = into;
	unsigned nr = r->conf.nr_floppies;
	char *text, *out;
	const char *in;

	if (nr == VM_MAX_FLOPPIES)
		return err_set(err, -E2BIG, "--floppy: at most %d", VM_MAX_FLOPPIES);
	text = out = strdup(val);
	if (text == NULL)
		return err_set(err, -ENOMEM, "no memory");
	r->floppies[nr] = text;
	r->conf.floppies[nr].path = text;
	r->conf.nr_floppies++;
	for (in = val; *in != '\0' && (*in != ',' || in[1] == ','); in++) {
		in += *in == ',';
		*out++ = *in;
	}
	*out = '\0';
	r->conf.floppies[nr].read_only = strcmp(in, ",readonly") == 0;
	if (*in != '\0' && !r->conf.floppies[nr].read_only)
		return err_set(err, -EINVAL, "--floppy: \"%s\": expected readonly", in + 1);
	return 0;
}

/* Names of our own and Hyper-V's. */
static uint8_t boot_kind(const char *name, size_t n)
{
	static const struct {
		const char *name;
		uint8_t kind;
	} names[] = {
		{ "cd", VM_BOOT_CD }, { "ide", VM_BOOT_IDE }, { "net", VM_BOOT_NET },
		{ "LegacyNetworkAdapter", VM_BOOT_NET }, { "floppy", VM_BOOT_FLOPPY },
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i].name) == n && strncasecmp(names[i].name, name, n) == 0)
			return names[i].kind;
	return 0;
}

static int set_boot_order(void *into, const char *val, struct err *err)
{
	uint8_t *order = ((struct run *)into)->conf.boot_order;
	unsigned nr = 0;

	memset(order, 0, VM_MAX_BOOT);
	for (const char *at = val; at != NULL; nr++) {
		const char *comma = strchr(at, ',');
		size_t n = comma != NULL ? (size_t)(comma - at) : strlen(at);
		uint8_t kind = boot_kind(at, n);

		if (kind == 0 || nr == VM_MAX_BOOT || memchr(order, kind, nr) != NULL)
			return err_set(err, -EINVAL, "--boot-order \"%s\": expected cd, ide, net "
				       "and floppy in some order, each at most once", val);
		order[nr] = kind;
		at = comma != NULL ? comma + 1 : NULL;
	}
	return 0;
}

static int set_vga(void *into, const char *val, struct err *err)
{
	struct run *r = into;

	r->conf.no_vga = strcmp(val, "off") == 0;
	if (!r->conf.no_vga && strcmp(val, "on") != 0)
		return err_set(err, -EINVAL, "--vga \"%s\": expected on or off", val);
	return 0;
}

static int set_boot_menu(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct run *)into)->conf.boot_menu = true;
	return 0;
}

static int set_kernel(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.kernel = val;
	return 0;
}

static int set_initrd(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.initrd = val;
	return 0;
}

static int set_append(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.append = val;
	return 0;
}

static int set_module(void *into, const char *val, struct err *err)
{
	struct run *r = into;

	if (r->nr_modules == MAX_MODULES)
		return err_set(err, -E2BIG, "--module: at most %u", MAX_MODULES);
	r->modules[r->nr_modules++] = val;
	return 0;
}

static int set_com1(void *into, const char *val, struct err *err)
{
	struct run *r = into;

	if (strcmp(val, "stdio") != 0 && strcmp(val, "none") != 0)
		return err_set(err, -EINVAL, "--com1 \"%s\": expected stdio or none", val);
	r->com1_stdio = strcmp(val, "stdio") == 0;
	return 0;
}

static int set_cpu_model(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.cpu_model = val;
	return 0;
}

static int set_engine(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.engine = val;
	return 0;
}

static int set_translate_cache(void *into, const char *val, struct err *err)
{
	int rc = opt_size(val, &((struct run *)into)->conf.translate_cache, err);

	if (rc == 0 && ((struct run *)into)->conf.translate_cache == 0)
		rc = err_set(err, -EINVAL, "\"%s\": expected a size such as 32M", val);
	return rc < 0 ? err_prefix(err, rc, "--translate-cache") : 0;
}

static int set_lockstep(void *into, const char *val, struct err *err)
{
	(void)val;
	(void)err;
	((struct run *)into)->conf.lockstep = true;
	return 0;
}

static int set_test_devices(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct run *)into)->conf.test_devices = true;
	return 0;
}

static int set_no_reboot(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct run *)into)->conf.no_reboot = true;
	return 0;
}

static int set_gdb(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->conf.gdb = val;
	return 0;
}

static int set_gdb_wait(void *into, const char *val, struct err *err)
{
	(void)val, (void)err;
	((struct run *)into)->conf.gdb_wait = true;
	return 0;
}

/* FILE[,blocks|insns]; a comma in a path is written twice, as with --disk. */
static int set_trace(void *into, const char *val, struct err *err)
{
	struct run *r = into;
	const char *comma = strrchr(val, ',');
	char *path = strdup(val), *out = path;

	if (path == NULL)
		return err_set(err, -ENOMEM, "no memory");
	free(r->trace);
	r->trace = path;
	r->conf.trace = path;
	r->conf.trace_insns = comma != NULL && strcmp(comma, ",insns") == 0;
	if (r->conf.trace_insns || (comma != NULL && strcmp(comma, ",blocks") == 0))
		path[comma - val] = '\0';
	for (const char *in = path; *in != '\0'; in++) {
		if (*in == ',' && *++in != ',')
			return err_set(err, -EINVAL, "--trace %s: expected FILE, FILE,blocks or "
				       "FILE,insns", val);
		*out++ = *in;
	}
	*out = '\0';
	return 0;
}

static int set_stats(void *into, const char *val, struct err *err)
{
	struct run *r = into;

	r->stats_json = strcmp(val, "json") == 0;
	if (val[0] != '\0' && !r->stats_json)
		return err_set(err, -EINVAL, "--stats=%s: expected --stats or --stats=json", val);
	r->conf.stats = true;
	return 0;
}

static int set_vnc(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->doors.vnc = val;
	return 0;
}

static int set_vnc_password(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->doors.vnc_password = val;
	return 0;
}

static int set_control(void *into, const char *val, struct err *err)
{
	(void)err;
	((struct run *)into)->doors.control = val;
	return 0;
}

static int set_verbose(void *into, const char *val, struct err *err)
{
	(void)into, (void)val, (void)err;
	log_set_level(LOG_INFO);
	return 0;
}

static const struct opt run_opts[] = {
	{ "generation", "1|2", "which of Hyper-V's machines (default 2)", set_generation },
	{ "memory", "SIZE", "memory, e.g. 1G (default)", set_memory },
	{ "cpus", "N", "virtual processors (default 1)", set_cpus },
	{ "disk", "FILE[,...]", "a VHDX, or in Generation 1 a VHD; may be repeated.  Where Hyper-V\n"
				"would put it, or with at=ide0:0..ide1:1, or with controller=0..3,\n"
				"lun=0..63 (SCSI); then readonly, parents=DIR (of a differencing\n"
				"disk, if they are not beneath its own folder)", set_disk },
	{ "dvd", "FILE[,...]", "an ISO image in a DVD drive", set_dvd },
	{ "net", "KIND[,...]", "a network adapter; may be repeated (default: none).  Kinds: none,\n"
			       "private (this machine's adapters only), tap=NAME,\n"
			       "switch=NAME (shared: genvisor switch),\n"
			       "nat[,hostfwd=tcp::PORT-:PORT][,tftp=DIR][,bootfile=NAME][,net=CIDR].\n"
			       "Then adapter=synthetic|legacy (a DEC 21140, generation 1 only),\n"
			       "mac=ADDRESS, capture=FILE.pcapng, port=NAME, and what the switch\n"
			       "enforces: spoof=on|off, vlan=ID, trunk=LIST[,native=ID], pvlan=...,\n"
			       "dhcp-guard, router-guard, addr-guard[=ADDR+...],\n"
			       "mirror=source|destination, storm=N, max-out=RATE, max-in=RATE,\n"
			       "min-weight=N, min-out=RATE, acl=RULE",
	  set_net },
	{ "firmware", "FILE", "generation 1: this BIOS instead of SeaBIOS", set_firmware },
	{ "floppy", "FILE[,readonly]", "generation 1: a floppy image; twice for two drives", set_floppy },
	{ "boot-order", "cd,ide,net,floppy", "generation 1: what to boot from first", set_boot_order },
	{ "vga", "on|off", "generation 1: without a display adapter its BIOS is on COM1", set_vga },
	{ "boot-menu", NULL, "generation 1: its BIOS asks what to boot", set_boot_menu },
	{ "kernel", "FILE", "boot this Linux kernel or multiboot image directly", set_kernel },
	{ "initrd", "FILE", "its initial RAM disk", set_initrd },
	{ "append", "TEXT", "its command line", set_append },
	{ "module", "\"FILE ARGS\"", "a multiboot module; may be repeated", set_module },
	{ "com1", "stdio|none", "the first serial port (default: none, as Hyper-V)", set_com1 },
	{ "vnc", "ADDRESS", "show the screen to VNC viewers at unix:PATH, PORT (of 127.0.0.1) or\n"
			    "HOST:PORT; for other hosts give --vnc-password too", set_vnc },
	{ "vnc-password", "FILE", "the password is this file's first line; 8 characters count",
	  set_vnc_password },
	{ "control", "unix:PATH|none", "the socket for screenshot, key and type (default:\n"
				       "$XDG_RUNTIME_DIR/genvisor/PID, else FIRSTDISK.control)",
	  set_control },
	{ "engine", "NAME", "auto (default), translate, interpret or kvm; see genvisor doctor", set_engine },
	{ "cpu-model", "NAME", "what the guest finds by CPUID, one of those genvisor doctor lists\n"
			       "(default: x86-64-v3 if this host is good for it, else x86-64-v2)", set_cpu_model },
	{ "translate-cache", "SIZE", "memory for the translated code of each processor (default: 160M,\n"
				     "or what fits below 2 GiB)", set_translate_cache },
	{ "lockstep", NULL, "with --engine translate and one processor: run each block by the\n"
			    "interpreter too and stop where they differ (slow)", set_lockstep },
	{ "no-reboot", NULL, "end when the guest resets, with status 3", set_no_reboot },
	{ "test-devices", NULL, "add the devices public guest test suites expect",
	  set_test_devices },
	{ "gdb", "ADDRESS", "where gdb may connect: PORT (of 127.0.0.1; 0: a free one),\n"
			    "HOST:PORT or unix:PATH.  Whoever can connect owns the guest",
	  set_gdb },
	{ "gdb-wait", NULL, "run nothing before the debugger says so", set_gdb_wait },
	{ "trace", "FILE[,insns]", "write a line for every block (or instruction) that runs",
	  set_trace },
	{ "stats", "[=json]", "print counters on standard error at the end", set_stats },
	{ "verbose", NULL, "say what the guest does wrong", set_verbose },
	{ 0 },
};

/* ---- running --------------------------------------------------------------- */

static void ask_shutdown(struct run *r)
{
	struct vm *vm = atomic_load(&r->vm);
	int rc = vm_shutdown(vm);

	if (rc == 0) {
		atomic_store(&r->asked, true);
		return;
	}
	log_warn("run", "the guest cannot be asked to shut down (%s)",
		 rc == -ENOTCONN ? "its shutdown driver is not loaded" :
		 rc == -EBUSY ? "it was asked and has not answered yet" : strerror(-rc));
}

static void end_by(struct run *r, int sig)
{
	atomic_store(&r->signalled, sig);
	vm_quit(atomic_load(&r->vm));
}

static void on_terminate(struct run *r)
{
	if (!atomic_load(&r->asked))
		ask_shutdown(r);
	else
		end_by(r, SIGTERM);	/* asked twice */
	if (!atomic_load(&r->asked))
		end_by(r, SIGTERM);	/* no driver to ask */
}

static void on_signal(struct run *r, int sig)
{
	bool retry = sig == SIGUSR1, own = sig == SIGUSR2;

	if (atomic_load(&r->vm) == NULL && !retry && !own)
		/* Nothing has run yet, and image files are always consistent. */
		_exit(128 + sig);
	if (atomic_load(&r->vm) == NULL || own)
		return;
	if (retry)
		vm_retry(atomic_load(&r->vm));
	else if (sig == SIGTERM)
		on_terminate(r);
	else
		end_by(r, sig);
}

static void *signal_thread(void *arg)
{
	struct run *r = arg;
	sigset_t set;
	int sig;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	while (!atomic_load(&r->over))
		if (sigwait(&set, &sig) == 0)
			on_signal(r, sig);
	return NULL;
}

static void block_signals(void)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		sigaddset(&set, ours[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void key_quit(void *arg) { vm_quit(atomic_load(&((struct run *)arg)->vm)); }
static void key_reset(void *arg) { vm_reset(atomic_load(&((struct run *)arg)->vm)); }
static void key_retry(void *arg) { vm_retry(atomic_load(&((struct run *)arg)->vm)); }
static void key_shutdown(void *arg) { ask_shutdown(arg); }

static void on_pause(void *arg, int rc, const char *why)
{
	(void)arg;
	if (rc != 0)
		log_warn("run",
			 "paused: a host disk says \"%s\"; free space or mend it, "
			 "the guest goes on by itself (or Ctrl-A C, or SIGUSR1)", why);
	else
		log_warn("run", "going on");
}

static int status_of(const struct run *r, enum vm_end end, const struct err *err)
{
	int sig = atomic_load(&r->signalled);

	switch (end) {
	case VM_END_POWER_OFF:
		return EXIT_OK;
	case VM_END_QUIT:
		return sig == 0 ? EXIT_OK : 128 + sig;
	case VM_END_RESET:
		return 3;
	case VM_END_TEST:
		return (int)(vm_test_code(atomic_load(&r->vm)) << 1 | 1) & 0xff;
	case VM_END_ERROR:
		break;
	}
	return opt_fail(EXIT_FAILED, err);
}

static void print_json(struct vm *vm, uint64_t ns)
{
	struct vm_counter rows[VM_MAX_COUNTERS];
	size_t nr = vm_counters(vm, rows, ARRAY_LEN(rows));

	fprintf(stderr, "{\"engine\": \"%s\", \"nanoseconds\": %llu, \"counters\": {",
		vm_engine(vm), (unsigned long long)ns);
	for (size_t i = 0; i < nr; i++)
		fprintf(stderr, "%s\"%s\": %llu", i == 0 ? "" : ", ", rows[i].name,
			(unsigned long long)rows[i].val);
	fprintf(stderr, "}}\n");
}

static void print_stats(struct vm *vm, uint64_t ns)
{
	struct vm_counter rows[VM_MAX_COUNTERS];
	size_t nr = vm_counters(vm, rows, ARRAY_LEN(rows));
	uint64_t n = vm_retired(vm);

	fprintf(stderr, "engine %s: %llu guest instructions in %.2f s", vm_engine(vm),
		(unsigned long long)n, (double)ns / 1e9);
	if (n > 0)
		fprintf(stderr, ", %.1f million a second", (double)n * 1e3 / (double)ns);
	fputc('\n', stderr);
	for (size_t i = 0; i < nr; i++)
		fprintf(stderr, "  %-28s %20llu\n", rows[i].name, (unsigned long long)rows[i].val);
}

/* No more signals, then no more console: the terminal is itself again for what we still say. */
static void end_threads(struct run *r)
{
	atomic_store(&r->over, true);
	pthread_kill(r->signals, SIGUSR2);
	pthread_join(r->signals, NULL);
	console_close(r->console);
}

static int run_machine(struct run *r)
{
	struct err err = { "" };
	struct doors *doors = NULL;
	enum vm_end end;
	struct vm *vm;
	uint64_t t0;
	int rc;

	if (pthread_create(&r->signals, NULL, signal_thread, r) != 0) {
		console_close(r->console);
		err_fill(&err, "no thread for signals");
		return opt_fail(EXIT_FAILED, &err);
	}
	rc = vm_new(&r->conf, &vm, &err);
	if (rc < 0) {
		end_threads(r);
		return opt_fail(EXIT_USAGE, &err);
	}
	atomic_store(&r->vm, vm);
	if (vm_gdb(vm) != NULL)
		fprintf(stderr, "genvisor: for a debugger: target remote %s\n", vm_gdb(vm));
	r->doors.disp = vm_disp(vm);
	r->doors.input = vm_input(vm);
	r->doors.vm = vm;
	r->doors.first_disk = r->conf.nr_disks == 0 ? NULL : r->disks[0].path;
	rc = doors_open(&r->doors, &doors, &err);
	if (rc == 0 && r->console != NULL)
		rc = console_start(r->console, &err);
	t0 = base_monotonic_ns();
	end = rc < 0 ? VM_END_ERROR : vm_run(vm, &err);
	t0 = base_monotonic_ns() - t0;
	doors_close(doors);
	end_threads(r);
	if (r->stats_json)
		print_json(vm, t0);
	else if (r->conf.stats)
		print_stats(vm, t0);
	rc = status_of(r, end, &err);
	vm_free(vm);
	return rc;
}

static int run_run(int argc, char **argv)
{
	struct run *r = new0(struct run);
	const struct console_ops keys = {
		.quit = key_quit, .shutdown = key_shutdown, .reset = key_reset, .retry = key_retry,
		.arg = r,
	};
	const char *rest[1];
	struct err err;
	int nr, rc, status;

	BUG_IF(r == NULL);
	r->conf = (struct vm_conf){
		.generation = 2, .memory = GIB, .cpus = 1, .engine = "auto", .disks = r->disks,
		.nics = r->nics,
		.modules = r->modules, .paused = on_pause, .arg = r,
	};
	rc = opt_parse(&verb_run, r, argc, argv, rest, 0, &nr, &err);
	status = rc > 0 ? EXIT_OK : rc < 0 ? opt_fail(EXIT_USAGE, &err) : -1;
	if (status < 0 && r->conf.gdb_wait && r->conf.gdb == NULL) {
		err_fill(&err, "--gdb-wait: give --gdb ADDRESS too");
		status = opt_fail(EXIT_USAGE, &err);
	}
	if (status < 0) {
		block_signals();
		if (r->com1_stdio && console_open(&keys, &r->console, &err) < 0)
			status = opt_fail(EXIT_FAILED, &err);
	}
	if (status < 0) {
		r->conf.com1 = r->console == NULL ? NULL : console_chr(r->console);
		status = run_machine(r);
	}
	console_free(r->console);
	for (unsigned i = 0; i < r->conf.nr_disks; i++)
		free(r->paths[i]);
	for (unsigned i = 0; i < r->conf.nr_floppies; i++)
		free(r->floppies[i]);
	free(r->trace);
	free(r);
	return status;
}

const struct verb verb_run = {
	.name = "run", .args = "", .summary = "run a machine",
	.text = "On a terminal, Ctrl-A X ends the machine and Ctrl-A H lists the other keys.\n"
		"Status: 0 the guest turned itself off, 2 the machine could not be built, 3 reset\n"
		"with --no-reboot, 1 it failed while running, 128 + N ended by signal N.\n",
	.opts = run_opts, .run = run_run,
};
