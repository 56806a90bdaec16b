/*
 * vm.c - building a machine, running it, and its end
 *
 * The main thread sleeps on `changed` and does what others ask by vm_request:
 * devices, vCPUs and signal helpers only note what shall happen.  A reset
 * stops every vCPU, drops the VMBus session and all hypervisor state, and starts
 * the BIOS, or clears memory and loads the kernel again, in this same process.
 *
 * On hardware nothing runs after the write that resets or turns off.  Here
 * the vCPU that wrote waits at once and the others within moments; what they
 * ask for in between (a second reset, a fall-back way to power off) is void.
 *
 * Missing  save and restore
 * Lock     vm.lock is a leaf: nothing else is taken under it; main holds
 *          debug.lock but while it sleeps or closes
 */
#include "vm/vm_priv.h"

#include "base/log.h"
#include "cpu/x86/model.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_NS (2 * NS_PER_SEC)	/* how often a full disk is tried again */
#define SETTLE_NS (NS_PER_SEC / 5)	/* no new trouble for so long: the retry went through */

/* Caller holds the lock. */
static void note(struct vm *vm, unsigned req)
{
	vm->requests |= req;
	if (req & REQ_LAST)
		atomic_store(&vm->over, true);
	pthread_cond_broadcast(&vm->changed);
}

void vm_request(struct vm *vm, unsigned req)
{
	pthread_mutex_lock(&vm->lock);
	note(vm, atomic_load(&vm->over) ? req & ~(unsigned)REQ_LAST : req);
	pthread_mutex_unlock(&vm->lock);
}

void vm_test_exit(struct vm *vm, uint32_t code)
{
	pthread_mutex_lock(&vm->lock);
	if (!atomic_load(&vm->over)) {
		vm->test_code = code;
		note(vm, REQ_TEST);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_fail(struct vm *vm, const char *what)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->failure.msg[0] == '\0')
		err_fill(&vm->failure, "%s", what);
	note(vm, REQ_ERROR);
	pthread_mutex_unlock(&vm->lock);
}

void vm_quit(struct vm *vm) { vm_request(vm, REQ_QUIT); }
void vm_reset(struct vm *vm) { vm_request(vm, REQ_RESET); }
void vm_retry(struct vm *vm) { vm_request(vm, REQ_RETRY); }

int vm_shutdown(struct vm *vm)
{
	return services_shutdown(vm->services);
}

static int check_conf(const struct vm_conf *c, struct err *err)
{
	const unsigned most = c->generation == 1 ? 64 : 1024;

	if (c->generation != 1 && c->generation != 2)
		return err_set(err, -ENOTSUP, "generation %u: expected 1 or 2", c->generation);
	if (c->cpus < 1 || c->cpus > most)
		return err_set(err, -EINVAL, "%u processors: a Generation %u machine has 1 to %u",
			       c->cpus, c->generation, most);
	if (c->generation == 1 && (c->test_devices || (c->modules != NULL && c->modules[0] != NULL)))
		return err_set(err, -ENOTSUP, "generation 1 boots through its BIOS: --module and "
			       "--test-devices are for generation 2");
	if (c->generation == 1 && c->kernel == NULL && (c->initrd != NULL || c->append != NULL))
		return err_set(err, -EINVAL, "--initrd and --append: give --kernel too");
	if (c->generation == 1 && c->memory < 32 * MIB)
		return err_set(err, -EINVAL, "memory: %llu bytes, expected at least 32 MiB",
			       (unsigned long long)c->memory);
	if (c->generation == 2 && c->nr_floppies > 0)
		return err_set(err, -ENOTSUP, "generation 2 has no floppy drive: --floppy is for "
			       "generation 1");
	if (c->generation == 2 && c->firmware != NULL)
		return err_set(err, -ENOTSUP, "generation 2: --firmware is not built yet");
	if (c->generation == 2 && c->kernel == NULL)
		return err_set(err, -EINVAL, "no kernel: firmware is not built yet, give --kernel");
	if (c->nr_disks > VM_MAX_DISKS)
		return err_set(err, -EINVAL, "%u disks: at most %u", c->nr_disks, VM_MAX_DISKS);
	return 0;
}

/* Best first; an engine asked for by name must work, or its reason is the error. */
static int choose_engine(struct vm *vm, struct err *err)
{
	const struct cpu_engine *const *e = cpu_engines();
	const char *name = vm->conf.engine == NULL ? "auto" : vm->conf.engine;
	bool any = strcmp(name, "auto") == 0;

	for (; *e != NULL; e++) {
		int rc;

		if (!any && strcmp((*e)->name, name) != 0)
			continue;
		if (vm->conf.trace != NULL && !(*e)->traces) {
			if (any)
				continue;
			return err_set(err, -EOPNOTSUPP, "engine %s cannot trace", name);
		}
		if (vm->conf.generation == 1 && (*e)->tlb_flush_soon == NULL) {
			if (any)
				continue;
			return err_set(err, -EOPNOTSUPP, "engine %s cannot run generation 1: it "
				       "has no ROM yet", name);
		}
		rc = (*e)->probe(err);
		if (rc < 0 && !any)
			return err_prefix(err, rc, name);
		if (rc < 0)
			continue;
		vm->engine = *e;
		return vm->engine->shared_new(vm->mem, vm->conf.cpus, &vm->shared, err);
	}
	return err_set(err, -EINVAL, "engine \"%s\": expected auto, translate, interpret or kvm", name);
}

/* A model asked for by name must run here; else the best that does. */
static int choose_model(struct vm *vm, struct err *err)
{
	const char *name = vm->conf.cpu_model;
	const struct cpu_model *m;

	if (name == NULL)
		name = vm->conf.cpu_model = cpu_model_best();
	m = cpu_model_find(name);
	if (m == NULL)
		return err_set(err, -EINVAL, "processor model \"%s\" is not known; "
			       "genvisor doctor lists them", name);
	if (!cpu_model_host_ok(m))
		return err_set(err, -EOPNOTSUPP, "processor model %s needs instructions that "
			       "this host's processor lacks", name);
	return 0;
}

static int new_memory_and_time(struct vm *vm, struct err *err)
{
	struct gmem_range ranges[BOARD_RANGES];
	size_t nr;
	int rc = bios_open(vm, err);

	if (rc == 0)
		rc = board_memory(vm, ranges, &nr, err);
	if (rc == 0)
		rc = gmem_new(ranges, nr, &vm->mem, err);
	if (rc == 0)
		rc = board_rom(vm, err);
	if (rc < 0)
		return rc;
	rc = clock_new(&vm->clock);
	if (rc == 0)
		rc = bus_new("ports", &vm->chip_lock, &vm->pio);
	if (rc == 0)
		rc = bus_new("memory", &vm->chip_lock, &vm->mmio);
	if (rc < 0)
		return err_set(err, rc, "cannot build the machine: %s", strerror(-rc));
	clock_stop(vm->clock);
	return 0;
}

static uint64_t ref_time(void *self)
{
	struct vm *vm = self;

	return hv_ref_time(vm->hv);
}

static int new_processors(struct vm *vm, struct err *err)
{
	const struct lapic_conf lapic = {
		.nr = vm->conf.cpus, .clock = vm->clock, .timer_hz = vm->board->lapic_hz,
		.tsc_hz = cpu_host_tsc_hz(), .client = &vm_lapic_client, .self = vm,
		.phys_bits = VM_PHYS_BITS,
	};
	const struct hv_conf hv = {
		.nr_vps = vm->conf.cpus, .mem = vm->mem, .clock = vm->clock,
		.tsc_hz = cpu_host_tsc_hz(),
		.apic_hz = vm->board->lapic_hz, .phys_bits = VM_PHYS_BITS,
		.hypercall_port = vm->engine->hypercall_port,
		.client = &vm_hv_client, .port = &vm_hv_port, .self = vm,
	};
	const struct vmbus_conf vmbus = {
		.mem = vm->mem, .nr_vps = vm->conf.cpus, .max_version = vm->conf.vmbus_max_version,
		.port = &vm_vmbus_port, .self = vm,
	};
	const struct services_conf services = { .clock = vm->clock, .ref_time = ref_time,
						.self = vm };
	int rc = lapic_new(&lapic, &vm->lapics, err);

	if (rc == 0)
		rc = hv_new(&hv, &vm->hv, err);
	if (rc == 0)
		rc = vmbus_new(&vmbus, &vm->vmbus, err);
	if (rc == 0)
		rc = testconn_new(vm, err);
	if (rc == 0)
		rc = storage_open_files(vm, err);
	if (rc == 0)
		rc = board_devices(vm, err);
	if (rc == 0)
		rc = services_new(vm->vmbus, &services, &vm->services, err);
	if (rc == 0)
		rc = storage_open(vm, err);
	if (rc == 0)
		rc = network_open(vm, err);
	return rc == 0 ? vcpus_new(vm, err) : rc;
}

static struct vm *alloc_vm(const struct vm_conf *conf)
{
	struct vm *vm = new0(struct vm);
	pthread_condattr_t attr;

	if (vm == NULL)
		return NULL;
	vm->conf = *conf;
	vm->board = conf->generation == 1 ? &board_gen1 : &board_gen2;
	vm->stopping = true;
	vm->tsc_offset = 0 - cpu_host_tsc();
	guid_random(&vm->uuid);
	guid_random(&vm->generation_id);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&vm->debug.lock, NULL);
	pthread_mutex_init(&vm->chip_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vm->changed, &attr);
	pthread_condattr_destroy(&attr);
	return vm;
}

int vm_new(const struct vm_conf *conf, struct vm **ret_vm, struct err *err)
{
	struct vm *vm;
	int rc = check_conf(conf, err);

	if (rc < 0)
		return rc;
	vm = alloc_vm(conf);
	if (vm == NULL)
		return err_set(err, -ENOMEM, "no memory for a machine");
	rc = network_read(vm, err);
	if (rc == 0)
		rc = new_memory_and_time(vm, err);
	if (rc == 0)
		rc = choose_model(vm, err);
	if (rc == 0)
		rc = choose_engine(vm, err);
	if (rc == 0)
		rc = trace_open(vm, err);
	if (rc == 0)
		rc = screen_open(vm, err);
	if (rc == 0)
		rc = floppy_open(vm, err);
	if (rc == 0)
		rc = new_processors(vm, err);
	if (rc == 0) {
		vcpus_stop(vm);
		vcpus_reset(vm);
		rc = vm_load(vm, err);
	}
	if (rc == 0)
		rc = debug_open(vm, err);
	if (rc == 0)
		rc = debug_start(vm, err);
	if (rc < 0) {
		vm_free(vm);
		return rc;
	}
	*ret_vm = vm;
	return 0;
}

void vm_free(struct vm *vm)
{
	if (vm == NULL)
		return;
	debug_close(vm);
	vcpus_end(vm);
	/* Disk requests end only here, with an interrupt each. */
	if (vm->vmbus != NULL)
		vmbus_reset(vm->vmbus);
	services_free(vm->services);
	network_close(vm);
	storage_close(vm);
	vmbus_free(vm->vmbus);
	board_free(vm);
	storage_close_files(vm);
	floppy_close(vm);
	screen_close(vm);
	hv_free(vm->hv);
	vcpus_free(vm);
	trace_close(vm);
	testconn_free(vm);
	lapic_free(vm->lapics);
	if (vm->shared != NULL)
		vm->engine->shared_free(vm->shared);
	bus_free(vm->pio);
	bus_free(vm->mmio);
	clock_free(vm->clock);
	gmem_free(vm->mem);
	bios_close(vm);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->chip_lock);
	pthread_mutex_destroy(&vm->debug.lock);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* Unless somebody wants it to stand. */
static void go(struct vm *vm)
{
	if (vm->paused || vm->debug.frozen)
		return;
	clock_start(vm->clock);
	hv_start(vm->hv);
	vcpus_go(vm);
}

static void stand(struct vm *vm)
{
	vcpus_stop(vm);
	hv_stop(vm->hv);
	clock_stop(vm->clock);
}

/* Paused, or not any more; and who started us is told. */
static void set_paused(struct vm *vm, bool paused, int rc)
{
	if (vm->paused == paused)
		return;
	vm->paused = paused;
	if (vm->conf.paused != NULL)
		vm->conf.paused(vm->conf.arg, rc, rc == 0 ? "going on" : strerror(-rc));
}

/* Everything as at power-on, but for reference time and disks. */
static int reset(struct vm *vm, struct err *err)
{
	int rc;

	stand(vm);
	vmbus_reset(vm->vmbus);
	hv_reset(vm->hv);
	board_reset(vm);
	debug_forget_stops(vm);
	if (vm->board->generation == 2)		/* a PC's memory does not notice */
		gmem_clear(vm->mem);
	vcpus_reset(vm);
	rc = vm_load(vm, err);
	if (rc < 0)
		return rc;
	/* Trouble that came meanwhile was about requests that are gone. */
	pthread_mutex_lock(&vm->lock);
	vm->requests &= REQ_QUIT | REQ_ERROR | REQ_DEBUG;
	atomic_store(&vm->over, false);
	pthread_mutex_unlock(&vm->lock);
	set_paused(vm, false, 0);
	go(vm);
	return 0;
}

/* Trouble with a host file: the guest stands until a retry goes through. */
static void pause_for_trouble(struct vm *vm)
{
	int rc;

	pthread_mutex_lock(&vm->lock);
	rc = vm->trouble_rc;
	pthread_mutex_unlock(&vm->lock);
	if (vm->paused)
		return;
	stand(vm);
	set_paused(vm, true, rc);
}

static struct timespec in_ns(uint64_t ns)
{
	uint64_t at = base_monotonic_ns() + ns;

	return (struct timespec){ (time_t)(at / NS_PER_SEC), (long)(at % NS_PER_SEC) };
}

/* The guest goes on unless the retry meets new trouble, or there is other work, at once. */
static void retry_trouble(struct vm *vm)
{
	struct timespec until;
	bool again;

	storage_retry(vm);
	until = in_ns(SETTLE_NS);
	pthread_mutex_lock(&vm->lock);
	vm->requests &= ~(unsigned)REQ_RETRY;
	while (vm->requests == 0 && pthread_cond_timedwait(&vm->changed, &vm->lock, &until) == 0)
		;
	again = vm->requests != 0;
	vm->requests &= ~(unsigned)REQ_TROUBLE;
	pthread_mutex_unlock(&vm->lock);
	if (again)
		return;
	set_paused(vm, false, 0);
	go(vm);
	services_time_jumped(vm->services);
}

/* In the order in which they can have been asked: who went may come again. */
static void serve_debugger(struct vm *vm, unsigned req)
{
	if (req & (REQ_DEBUG_GO | REQ_DEBUG_LEAVE)) {
		stand(vm);
		debug_thaw(vm, req & REQ_DEBUG_LEAVE);
		go(vm);
		req &= ~(unsigned)REQ_DEBUG_HIT;
	}
	if (req & (REQ_DEBUG_STOP | REQ_DEBUG_HIT)) {
		stand(vm);
		debug_freeze(vm);
	}
}

/* Sleeps until there is something to do; while paused, at most RETRY_NS. */
static unsigned next_request(struct vm *vm)
{
	struct timespec until = in_ns(RETRY_NS);
	unsigned req;

	pthread_mutex_lock(&vm->lock);
	while (vm->requests == 0) {
		if (!vm->paused)
			pthread_cond_wait(&vm->changed, &vm->lock);
		else if (pthread_cond_timedwait(&vm->changed, &vm->lock, &until) != 0)
			vm->requests |= REQ_RETRY;
	}
	req = vm->requests;
	vm->requests = 0;
	pthread_mutex_unlock(&vm->lock);
	return req;
}

/* True: the machine is at its end, *ret_end says which. */
static bool serve(struct vm *vm, unsigned req, enum vm_end *ret_end, struct err *err)
{
	const struct {
		unsigned req;
		enum vm_end end;
	} ends[] = {
		{ REQ_ERROR, VM_END_ERROR }, { REQ_POWER_OFF, VM_END_POWER_OFF },
		{ REQ_QUIT, VM_END_QUIT },
		{ REQ_TEST, VM_END_TEST }, { vm->conf.no_reboot ? REQ_RESET : 0, VM_END_RESET },
	};

	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		if ((req & ends[i].req) == 0)
			continue;
		*ret_end = ends[i].end;
		if (ends[i].end == VM_END_ERROR) {
			pthread_mutex_lock(&vm->lock);
			*err = vm->failure;
			pthread_mutex_unlock(&vm->lock);
		}
		return true;
	}
	if (req & REQ_RESET) {
		*ret_end = VM_END_ERROR;
		if (reset(vm, err) < 0)
			return true;
	} else if (req & REQ_TROUBLE) {
		pause_for_trouble(vm);
	} else if ((req & REQ_RETRY) && vm->paused) {
		retry_trouble(vm);
	}
	serve_debugger(vm, req);
	return false;
}

enum vm_end vm_run(struct vm *vm, struct err *err)
{
	enum vm_end end = VM_END_ERROR;
	bool over = false;

	pthread_mutex_lock(&vm->debug.lock);
	go(vm);
	while (!over) {
		unsigned req;

		pthread_mutex_unlock(&vm->debug.lock);
		req = next_request(vm);
		pthread_mutex_lock(&vm->debug.lock);
		over = serve(vm, req, &end, err);
	}
	stand(vm);
	debug_end(vm, end == VM_END_ERROR ? 1 :
		      end == VM_END_TEST ? (uint8_t)(vm->test_code << 1 | 1) : 0);
	pthread_mutex_unlock(&vm->debug.lock);
	return end;
}

unsigned vm_test_code(const struct vm *vm) { return vm->test_code; }
const char *vm_engine(const struct vm *vm) { return vm->engine->name; }

uint64_t vm_retired(const struct vm *vm)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm->conf.cpus; i++)
		n += vm->engine->retired(vm->vcpus[i].cpu);
	return n;
}
