/*
 * vm.c - building a machine, running it, and its end
 *
 * The main thread sleeps on `changed` and does what others ask by vm_request:
 * devices, vCPUs and signal helpers only note what shall happen.  A reset
 * stops every vCPU, drops the VMBus session and all hypervisor state, clears
 * memory and loads the kernel again, in this same process.
 *
 * Missing  Generation 1; save and restore
 * Lock     vm.lock is a leaf: nothing else is taken under it
 */
#include "vm/vm_priv.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_NS (2 * NS_PER_SEC)	/* how often a full disk is tried again */

void vm_request(struct vm *vm, unsigned req)
{
	pthread_mutex_lock(&vm->lock);
	vm->requests |= req;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void vm_fail(struct vm *vm, const char *what)
{
	pthread_mutex_lock(&vm->lock);
	err_set(&vm->failure, -EIO, "%s", what);
	pthread_mutex_unlock(&vm->lock);
	vm_request(vm, REQ_ERROR);
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
	if (c->generation != 2)
		return err_set(err, -ENOTSUP, c->generation == 1 ? "generation 1: not built yet, only 2 can run"
							       : "generation %u: expected 1 or 2", c->generation);
	if (c->cpus < 1 || c->cpus > 1024)
		return err_set(err, -EINVAL, "%u processors: a Generation 2 machine has 1 to 1024", c->cpus);
	if (c->kernel == NULL)
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
		rc = (*e)->probe(err);
		if (rc < 0 && !any)
			return err_prefix(err, rc, name);
		if (rc < 0)
			continue;
		vm->engine = *e;
		return vm->engine->shared_new(vm->mem, vm->conf.cpus, &vm->shared, err);
	}
	return err_set(err, -EINVAL, "engine \"%s\": expected auto, interpret or kvm", name);
}

static int new_memory_and_time(struct vm *vm, struct err *err)
{
	struct gmem_range ranges[2];
	size_t nr;
	int rc = board_memory(vm, ranges, &nr, err);

	if (rc == 0)
		rc = gmem_new(ranges, nr, &vm->mem, err);
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
	};
	const struct hv_conf hv = {
		.nr_vps = vm->conf.cpus, .mem = vm->mem, .clock = vm->clock, .tsc_hz = cpu_host_tsc_hz(),
		.apic_hz = vm->board->lapic_hz, .phys_bits = VM_PHYS_BITS,
		.client = &vm_hv_client, .port = &vm_hv_port, .self = vm,
	};
	const struct vmbus_conf vmbus = {
		.mem = vm->mem, .nr_vps = vm->conf.cpus, .max_version = vm->conf.vmbus_max_version,
		.port = &vm_vmbus_port, .self = vm,
	};
	const struct services_conf services = { .clock = vm->clock, .ref_time = ref_time, .self = vm };
	int rc = choose_engine(vm, err);

	if (rc == 0)
		rc = lapic_new(&lapic, &vm->lapics, err);
	if (rc == 0)
		rc = hv_new(&hv, &vm->hv, err);
	if (rc == 0)
		rc = vmbus_new(&vmbus, &vm->vmbus, err);
	if (rc == 0)
		rc = board_devices(vm, err);
	if (rc == 0)
		rc = services_new(vm->vmbus, &services, &vm->services, err);
	if (rc == 0)
		rc = storage_open(vm, err);
	return rc == 0 ? vcpus_new(vm, err) : rc;
}

int vm_new(const struct vm_conf *conf, struct vm **ret_vm, struct err *err)
{
	struct vm *vm;
	int rc = check_conf(conf, err);

	if (rc < 0)
		return rc;
	vm = new0(struct vm);
	if (vm == NULL)
		return err_set(err, -ENOMEM, "no memory for a machine");
	vm->conf = *conf;
	vm->board = &board_gen2;
	vm->stopping = true;
	vm->tsc_offset = 0 - cpu_host_tsc();
	guid_random(&vm->uuid);
	guid_random(&vm->generation_id);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&vm->chip_lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	rc = new_memory_and_time(vm, err);
	if (rc == 0)
		rc = new_processors(vm, err);
	if (rc == 0) {
		vcpus_stop(vm);
		vcpus_reset(vm);
		rc = vm_load(vm, err);
	}
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
	vcpus_free(vm);
	if (vm->vmbus != NULL)
		vmbus_reset(vm->vmbus);
	services_free(vm->services);
	storage_close(vm);
	vmbus_free(vm->vmbus);
	board_free(vm);
	hv_free(vm->hv);
	lapic_free(vm->lapics);
	if (vm->shared != NULL)
		vm->engine->shared_free(vm->shared);
	bus_free(vm->pio);
	bus_free(vm->mmio);
	if (vm->clock != NULL)
		clock_free(vm->clock);
	gmem_free(vm->mem);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->chip_lock);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

static void go(struct vm *vm)
{
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

/* The vCPUs stand.  Everything as at power-on, but for reference time and disks. */
static int reset(struct vm *vm, struct err *err)
{
	vmbus_reset(vm->vmbus);
	hv_reset(vm->hv);
	board_reset(vm);
	gmem_clear(vm->mem);
	vcpus_reset(vm);
	return vm_load(vm, err);
}

/* Trouble with a host file: the guest stands until a retry goes through. */
static void pause_for_trouble(struct vm *vm)
{
	int rc;

	pthread_mutex_lock(&vm->lock);
	rc = vm->trouble_rc;
	pthread_mutex_unlock(&vm->lock);
	if (!vm->paused) {
		stand(vm);
		vm->paused = true;
		if (vm->conf.paused != NULL)
			vm->conf.paused(vm->conf.arg, rc, strerror(-rc));
	}
}

/* True when the retry met no new trouble at once: the guest goes on. */
static void retry_trouble(struct vm *vm)
{
	struct timespec ts;
	bool again;

	storage_retry(vm);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 200000000;
	if (ts.tv_nsec >= (long)NS_PER_SEC) {
		ts.tv_nsec -= (long)NS_PER_SEC;
		ts.tv_sec++;
	}
	pthread_mutex_lock(&vm->lock);
	while ((vm->requests & (REQ_TROUBLE | REQ_QUIT)) == 0 &&
	       pthread_cond_timedwait(&vm->changed, &vm->lock, &ts) == 0)
		;
	again = (vm->requests & REQ_TROUBLE) != 0;
	vm->requests &= ~REQ_TROUBLE;
	pthread_mutex_unlock(&vm->lock);
	if (again)
		return;
	vm->paused = false;
	if (vm->conf.paused != NULL)
		vm->conf.paused(vm->conf.arg, 0, "going on");
	go(vm);
	services_time_jumped(vm->services);
}

/* Sleeps until there is something to do; while paused, at most RETRY_NS. */
static unsigned next_request(struct vm *vm)
{
	struct timespec ts;
	unsigned req;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += RETRY_NS / NS_PER_SEC;
	pthread_mutex_lock(&vm->lock);
	while (vm->requests == 0) {
		if (!vm->paused)
			pthread_cond_wait(&vm->changed, &vm->lock);
		else if (pthread_cond_timedwait(&vm->changed, &vm->lock, &ts) != 0)
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
		{ REQ_ERROR, VM_END_ERROR }, { REQ_POWER_OFF, VM_END_POWER_OFF }, { REQ_QUIT, VM_END_QUIT },
		{ REQ_TEST, VM_END_TEST }, { vm->conf.no_reboot ? REQ_RESET : 0, VM_END_RESET },
	};

	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		if ((req & ends[i].req) == 0)
			continue;
		*ret_end = ends[i].end;
		*err = vm->failure;
		return true;
	}
	if (req & REQ_RESET) {
		stand(vm);
		if (reset(vm, err) < 0) {
			*ret_end = VM_END_ERROR;
			return true;
		}
		vm->paused = false;
		go(vm);
		return false;
	}
	if (req & REQ_TROUBLE)
		pause_for_trouble(vm);
	else if ((req & REQ_RETRY) && vm->paused)
		retry_trouble(vm);
	return false;
}

enum vm_end vm_run(struct vm *vm, struct err *err)
{
	enum vm_end end;

	go(vm);
	while (!serve(vm, next_request(vm), &end, err))
		;
	stand(vm);
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
