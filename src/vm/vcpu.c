/*
 * vcpu.c - the thread of one virtual processor
 *
 * Runs the engine until it stops for a reason: a kick (somebody wants
 * something of us), HLT (sleep until woken), a triple fault (the machine
 * resets) or an engine failure.  INIT and SIPI from other processors arrive
 * here as questions that the own thread answers, so that no one touches the
 * registers of a running processor.
 *
 * Lock     vcpu.lock, inside it only vm.lock, for asked, parked and sleeping;
 *          `woken` closes the gap between the engine's decision to halt and our
 *          going to sleep
 */
#include "vm/vm_priv.h"

#include "base/log.h"
#include "spec/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

void vcpu_wake(struct vcpu *v)
{
	/*
	 * The engine first: whoever clears `woken` before we set it may not see
	 * the event yet, but will not sleep; who clears it after, sees the event.
	 */
	cpu_notify(v->cpu);
	atomic_store(&v->woken, true);
	if (!atomic_load(&v->asleep))
		return;
	pthread_mutex_lock(&v->lock);
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_ask(struct vcpu *v, unsigned what, uint8_t vector)
{
	pthread_mutex_lock(&v->lock);
	/* The first SIPI counts, and an INIT undoes those before it. */
	if (what & VCPU_INIT)
		v->asked &= ~(unsigned)VCPU_SIPI;
	if ((what & VCPU_SIPI) && !(v->asked & VCPU_SIPI))
		v->sipi_vector = vector;
	v->asked |= what;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
	cpu_kick(v->cpu);
	vcpu_wake(v);
}

void vcpus_init(struct vm *vm)
{
	for (unsigned i = 0; vm->vcpus != NULL && i < vm->conf.cpus; i++)
		if (vm->vcpus[i].cpu != NULL)
			vcpu_ask(&vm->vcpus[i], VCPU_INIT | VCPU_PIN, 0);
}

static bool vm_flag(struct vm *vm, const bool *flag)
{
	bool on;

	pthread_mutex_lock(&vm->lock);
	on = *flag;
	pthread_mutex_unlock(&vm->lock);
	return on;
}

/* How late the host may wake us, and the longest sleep for which that matters. */
#define WAKE_LATE_NS 70000u
#define SHORT_SLEEP_NS 1000000u

/*
 * Sleeps, or until the first timer is due.  What a timer brings is mostly for who sleeps:
 * we run it ourselves, for another thread would have to be woken first.  A guest that
 * sleeps for a fraction of a millisecond wants to wake in time: the end of that is spun.
 */
static void doze(struct vcpu *v)
{
	uint64_t until = clock_watch(v->vm->clock), wake = until;
	struct timespec ts;
	bool slept;

	if (until == TIMER_NEVER) {
		pthread_cond_wait(&v->wake, &v->lock);
		return;
	}
	if (until < base_monotonic_ns() + SHORT_SLEEP_NS && until > WAKE_LATE_NS)
		wake -= WAKE_LATE_NS;
	ts.tv_sec = (time_t)(wake / NS_PER_SEC);
	ts.tv_nsec = (long)(wake % NS_PER_SEC);
	slept = pthread_cond_clockwait(&v->wake, &v->lock, CLOCK_MONOTONIC, &ts) == ETIMEDOUT;
	pthread_mutex_unlock(&v->lock);
	while (slept && wake != until && !atomic_load(&v->woken) && base_monotonic_ns() < until)
		__builtin_ia32_pause();
	clock_fire_due(v->vm->clock);
	pthread_mutex_lock(&v->lock);
}

/* Sleeps until woken or asked. */
static void halt(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	atomic_store(&v->asleep, true);
	while (!atomic_load(&v->woken) && v->asked == 0 && !vm_flag(v->vm, &v->vm->stopping))
		doze(v);
	atomic_store(&v->asleep, false);
	pthread_mutex_unlock(&v->lock);
}

/* Stands still while the machine, or only this vCPU, is stopped.  False: the thread shall end. */
static bool park(struct vcpu *v)
{
	bool ending;

	pthread_mutex_lock(&v->lock);
	while ((v->held || vm_flag(v->vm, &v->vm->stopping)) &&
	       !vm_flag(v->vm, &v->vm->ending)) {
		v->parked = true;
		pthread_cond_broadcast(&v->wake);
		pthread_cond_wait(&v->wake, &v->lock);
	}
	v->parked = false;
	ending = vm_flag(v->vm, &v->vm->ending);
	pthread_mutex_unlock(&v->lock);
	return !ending;
}

/* [SDM 3] 8.4.3: a start-up IPI begins in real mode at vector * 4096. */
static void start_at(struct vcpu *v, uint8_t vector)
{
	struct cpu_regs r;

	v->cpu->engine->get_regs(v->cpu, &r);
	r.seg[CPU_CS].sel = (uint16_t)(vector << 8);
	r.seg[CPU_CS].base = (uint64_t)vector << 12;
	r.rip = 0;
	r.halted = false;
	if (v->cpu->engine->set_regs(v->cpu, &r, NULL) < 0)
		vm_fail(v->vm, "the engine refused the registers of a starting processor");
}

static void answer(struct vcpu *v)
{
	unsigned asked;
	uint8_t vector;

	pthread_mutex_lock(&v->lock);
	asked = v->asked;
	vector = v->sipi_vector;
	v->asked = 0;
	pthread_mutex_unlock(&v->lock);
	if (asked & VCPU_INIT) {
		v->cpu->engine->reset(v->cpu, true);
		lapic_reset(v->vm->lapics, v->index, true);
		v->wait_sipi = v->index != 0;
	}
	/* Whoever goes through a reset to leave protected mode still wants its interrupts. */
	if ((asked & VCPU_PIN) && v->index == 0)
		lapic_virtual_wire(v->vm->lapics, 0);
	/* A SIPI to a processor that does not wait for one is lost, as on hardware. */
	if ((asked & VCPU_SIPI) && v->wait_sipi) {
		v->wait_sipi = false;
		start_at(v, vector);
	}
}

/* After a request that stops the machine: idle until main parks us. */
static void wait_for_stop(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	while (!vm_flag(v->vm, &v->vm->stopping))
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

static void triple_fault(struct vcpu *v)
{
	struct cpu_regs r;

	if (atomic_load(&v->vm->over)) {	/* of a machine that ends already */
		wait_for_stop(v);
		return;
	}
	v->cpu->engine->get_regs(v->cpu, &r);
	if (atomic_fetch_add(&v->vm->nr_triple, 1) < 10)
		log_warn("guest", "processor %u: triple fault at %#llx; the %s", v->index,
			 (unsigned long long)r.rip,
			 v->vm->piix4 != NULL ? "BIOS is asked" : "machine resets");
	if (v->vm->piix4 == NULL) {
		vm_request(v->vm, REQ_RESET);
		wait_for_stop(v);
		return;
	}
	pthread_mutex_lock(&v->vm->chip_lock);
	piix4_init_processors(v->vm->piix4);
	pthread_mutex_unlock(&v->vm->chip_lock);
}

static void engine_failed(struct vcpu *v)
{
	char text[200];

	snprintf(text, sizeof(text), "processor %u: %.160s", v->index,
		 v->cpu->engine->error(v->cpu));
	vm_fail(v->vm, text);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	enum cpu_exit exit;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", v->index);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1);		/* see clock.c */
	while (park(v)) {
		atomic_store(&v->woken, false);
		answer(v);
		if (v->wait_sipi) {
			halt(v);
			continue;
		}
		exit = cpu_run(v->cpu);
		stats_exit(v, exit);
		switch (exit) {
		case CPU_EXIT_KICK:
			if (atomic_load(&v->vm->over))
				wait_for_stop(v);
			break;
		case CPU_EXIT_HLT:
			halt(v);
			break;
		case CPU_EXIT_SHUTDOWN:
			triple_fault(v);
			break;
		case CPU_EXIT_ERROR:
			engine_failed(v);
			wait_for_stop(v);
			break;
		case CPU_EXIT_DEBUG:
			debug_hit(v);
			wait_for_stop(v);
			break;
		}
	}
	return NULL;
}

int vcpus_new(struct vm *vm, struct err *err)
{
	vm->vcpus = new_array(struct vcpu, vm->conf.cpus);
	if (vm->vcpus == NULL)
		return err_set(err, -ENOMEM, "no memory for %u processors", vm->conf.cpus);
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];
		const struct cpu_conf conf = {
			.index = i, .mem = vm->mem, .self = v,
			.client = vm->conf.stats ? &vm_stats_client : &vm_cpu_client,
			.model = vm->conf.cpu_model, .tsc_hz = cpu_host_tsc_hz(), .shared = vm->shared,
			.translate_cache = vm->conf.translate_cache,
			.lockstep = vm->conf.lockstep, .trace = trace_of(vm),
		};
		int rc;

		v->vm = vm;
		v->index = i;
		pthread_mutex_init(&v->lock, NULL);
		pthread_cond_init(&v->wake, NULL);
		rc = vm->engine->create(&conf, &v->cpu, err);
		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];
		int rc = pthread_create(&v->thread, NULL, vcpu_thread, v);

		if (rc != 0)
			return err_set(err, -rc, "no thread for processor %u of %u", i,
				       vm->conf.cpus);
		v->started = true;
	}
	return 0;
}

static void broadcast(struct vm *vm)
{
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (v->vm == NULL)	/* vcpus_new stopped before this one */
			break;
		pthread_mutex_lock(&v->lock);
		pthread_cond_broadcast(&v->wake);
		pthread_mutex_unlock(&v->lock);
	}
}

static void set_stopping(struct vm *vm, bool on)
{
	pthread_mutex_lock(&vm->lock);
	vm->stopping = on;
	pthread_mutex_unlock(&vm->lock);
}

void vcpus_stop(struct vm *vm)
{
	set_stopping(vm, true);
	for (unsigned i = 0; i < vm->conf.cpus; i++)
		if (vm->vcpus[i].started)
			cpu_kick(vm->vcpus[i].cpu);
	broadcast(vm);
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		pthread_mutex_lock(&v->lock);
		while (v->started && !v->parked)
			pthread_cond_wait(&v->wake, &v->lock);
		pthread_mutex_unlock(&v->lock);
	}
}

void vcpus_go(struct vm *vm)
{
	set_stopping(vm, false);
	broadcast(vm);
}

void vcpus_reset(struct vm *vm)
{
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];
		struct cpu_regs r;

		/* Input on a serial line may still raise interrupts, even INIT. */
		pthread_mutex_lock(&v->lock);
		v->asked = 0;
		pthread_mutex_unlock(&v->lock);
		v->wait_sipi = i != 0;
		lapic_reset(vm->lapics, i, false);
		v->cpu->engine->reset(v->cpu, false);
		v->cpu->engine->get_regs(v->cpu, &r);
		r.tsc_offset = vm->tsc_offset;
		board_mtrrs(vm, &r);
		if (v->cpu->engine->set_regs(v->cpu, &r, NULL) < 0)
			vm_fail(vm, "the engine refused its own reset state");
	}
}

void vcpus_end(struct vm *vm)
{
	if (vm->vcpus == NULL)
		return;
	pthread_mutex_lock(&vm->lock);
	vm->ending = true;
	pthread_mutex_unlock(&vm->lock);
	broadcast(vm);
	for (unsigned i = 0; i < vm->conf.cpus; i++)
		if (vm->vcpus[i].started)
			pthread_join(vm->vcpus[i].thread, NULL);
}

void vcpus_free(struct vm *vm)
{
	for (unsigned i = 0; vm->vcpus != NULL && i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (v->cpu != NULL)
			vm->engine->destroy(v->cpu);
		if (v->vm != NULL) {
			pthread_cond_destroy(&v->wake);
			pthread_mutex_destroy(&v->lock);
		}
	}
	free(vm->vcpus);
	vm->vcpus = NULL;
}
