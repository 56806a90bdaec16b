/*
 * debug.c - the machine as a debugger's target
 *
 * Who wants the machine to stand (a peer, or a vCPU that met a point) asks main,
 * which stops everything as for a full disk: vCPUs, the clock, reference time.
 * Then the debugger's thread may touch vCPUs and memory, under debug.lock,
 * until it asks main to go on.
 *
 * Several vCPUs may stop at once, and gdb hears of one.  The others' stops are
 * kept when they tell what is past (a watchpoint: it shows next), and dropped
 * when they come again by themselves (a breakpoint).
 *
 * Memory is read and written by the page tables, whatever the rights, and only
 * where there is RAM: looking has no effect on a device.
 *
 * Lock     debug.lock, see struct debug
 */
#include "vm/vm_priv.h"

#include "base/log.h"
#include "spec/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Standing longer than this, the guest is told the time again. */
#define LONG_NS NS_PER_SEC

static bool may_touch(const struct vm *vm)
{
	return vm->debug.frozen && !vm->debug.leaving && !vm->debug.ended;
}

/* With the lock held, and kept when the answer is 0. */
static int touch(struct vm *vm)
{
	pthread_mutex_lock(&vm->debug.lock);
	if (may_touch(vm))
		return 0;
	pthread_mutex_unlock(&vm->debug.lock);
	return -EBUSY;
}

static void touched(struct vm *vm)
{
	pthread_mutex_unlock(&vm->debug.lock);
}

/* ---- stopping and going --------------------------------------------------------- */

static void target_status(void *self, struct gdb_status *ret_s)
{
	struct vm *vm = self;

	pthread_mutex_lock(&vm->debug.lock);
	*ret_s = (struct gdb_status){ .state = GDB_RUNS };
	if (vm->debug.ended) {
		ret_s->state = GDB_ENDED;
		ret_s->code = vm->debug.code;
	} else if (may_touch(vm)) {
		ret_s->state = GDB_STANDS;
		ret_s->cpu = vm->debug.shown;
		ret_s->stop = vm->vcpus[vm->debug.shown].stop;
	}
	pthread_mutex_unlock(&vm->debug.lock);
}

/* What the peer wanted before is void: its wishes come from one thread, in order. */
static void wish(struct vm *vm, unsigned req)
{
	pthread_mutex_lock(&vm->lock);
	vm->requests &= ~(unsigned)REQ_DEBUG_STOP;
	pthread_mutex_unlock(&vm->lock);
	vm_request(vm, req);
}

static void target_stop(void *self)
{
	vm_request(self, REQ_DEBUG_STOP);
}

/* The next vCPU of those going on that has something past to tell.  False: none. */
static bool untold(struct vm *vm)
{
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		if (vm->vcpus[i].stop.why == CPU_STOP_NONE || vm->debug.action[i] == GDB_STAND)
			continue;
		vm->debug.shown = i;
		return true;
	}
	return false;
}

static void target_resume(void *self, const uint8_t *action)
{
	struct vm *vm = self;

	if (touch(vm) < 0)
		return;
	memcpy(vm->debug.action, action, vm->conf.cpus);
	for (unsigned i = 0; i < vm->conf.cpus; i++)
		if (i == vm->debug.shown || vm->vcpus[i].stop.why != CPU_STOP_WATCH)
			vm->vcpus[i].stop.why = CPU_STOP_NONE;
	if (!untold(vm)) {
		vm->debug.leaving = true;
		wish(vm, REQ_DEBUG_GO);
	}
	touched(vm);
}

static void target_leave(void *self)
{
	struct vm *vm = self;

	pthread_mutex_lock(&vm->debug.lock);
	vm->debug.leaving = true;
	pthread_mutex_unlock(&vm->debug.lock);
	wish(vm, REQ_DEBUG_LEAVE);
}

static void target_kill(void *self)
{
	vm_quit(self);
}

/* ---- processors ------------------------------------------------------------------ */

static int target_get_regs(void *self, unsigned cpu, struct cpu_regs *ret_r)
{
	struct vm *vm = self;
	int rc = touch(vm);

	if (rc < 0)
		return rc;
	vm->engine->get_regs(vm->vcpus[cpu].cpu, ret_r);
	touched(vm);
	return 0;
}

static int target_set_regs(void *self, unsigned cpu, const struct cpu_regs *r)
{
	struct vm *vm = self;
	int rc = touch(vm);

	if (rc < 0)
		return rc;
	rc = vm->engine->set_regs(vm->vcpus[cpu].cpu, r, NULL);
	touched(vm);
	return rc;
}

static const char *mode_of(const struct cpu_regs *r)
{
	const struct cpu_seg *cs = &r->seg[CPU_CS];

	if (!(r->cr0 & X86_CR0_PE))
		return "real mode";
	if (r->rflags & X86_VM)
		return "virtual 8086";
	if (r->efer & X86_EFER_LMA)
		return cs->attr & 1u << 13 ? "64-bit" : "compatibility";
	return cs->attr & 1u << 14 ? "32-bit" : "16-bit";
}

static void target_describe(void *self, unsigned cpu, char *buf, size_t n)
{
	struct vm *vm = self;
	struct cpu_regs r;

	if (touch(vm) < 0) {
		snprintf(buf, n, "vCPU %u", cpu);
		return;
	}
	vm->engine->get_regs(vm->vcpus[cpu].cpu, &r);
	snprintf(buf, n, "vCPU %u: %s, %s, ring %u", cpu,
		 vm->vcpus[cpu].wait_sipi ? "waits for SIPI" : r.halted ? "halted" : "running",
		 mode_of(&r), r.seg[CPU_SS].attr >> 5 & 3);
	touched(vm);
}

/* ---- memory ---------------------------------------------------------------------- */

typedef int copy_fn(struct gmem *m, uint64_t gpa, void *buf, size_t n);

static int copy_in(struct gmem *m, uint64_t gpa, void *buf, size_t n)
{
	return gmem_read(m, gpa, buf, n);
}

static int copy_out(struct gmem *m, uint64_t gpa, void *buf, size_t n)
{
	return gmem_write(m, gpa, buf, n);
}

static int copy(struct vm *vm, unsigned cpu, uint64_t lin, uint8_t *buf, size_t n, copy_fn *fn)
{
	struct cpu_regs r;
	size_t done = 0;
	int rc = touch(vm);

	if (rc < 0)
		return rc;
	vm->engine->get_regs(vm->vcpus[cpu].cpu, &r);
	while (done < n) {
		size_t piece = min_u64(n - done, PAGE_SIZE - ((lin + done) & PAGE_MASK));
		uint64_t gpa;

		if (cpu_lookup(&r, vm->mem, lin + done, &gpa) < 0 ||
		    fn(vm->mem, gpa, buf + done, piece) < 0)
			break;
		done += piece;
	}
	touched(vm);
	return done == 0 && n != 0 ? -EFAULT : (int)done;
}

static int target_read(void *self, unsigned cpu, uint64_t lin, void *dst, size_t n)
{
	return copy(self, cpu, lin, dst, n, copy_in);
}

/* copy_out only reads from it. */
static int target_write(void *self, unsigned cpu, uint64_t lin, const void *src, size_t n)
{
	return copy(self, cpu, lin, (uint8_t *)(uintptr_t)src, n, copy_out);
}

static int target_lookup(void *self, unsigned cpu, uint64_t lin, uint64_t *ret_gpa)
{
	struct vm *vm = self;
	struct cpu_regs r;
	int rc = target_get_regs(vm, cpu, &r);

	return rc < 0 ? rc : cpu_lookup(&r, vm->mem, lin, ret_gpa);
}

static int target_phys_read(void *self, uint64_t gpa, void *dst, size_t n)
{
	struct vm *vm = self;
	int rc = touch(vm);

	if (rc < 0)
		return rc;
	rc = gmem_read(vm->mem, gpa, dst, n);
	touched(vm);
	return rc;
}

/* ---- points ---------------------------------------------------------------------- */

static unsigned find(const struct cpu_debug *d, const struct cpu_debug_point *p)
{
	unsigned i = 0;

	while (i < d->nr && (d->point[i].lin != p->lin || d->point[i].len != p->len ||
			     d->point[i].on != p->on))
		i++;
	return i;
}

/* Tried on one vCPU now, for the engine's answer; all get them when they go on. */
static int change(struct vm *vm, const struct cpu_debug_point *p, bool add)
{
	struct cpu_debug d;
	unsigned at;
	int rc = touch(vm);

	if (rc < 0)
		return rc;
	d = vm->debug.want;
	at = find(&d, p);
	if (add && at == CPU_DEBUG_MAX) {
		rc = -ENOSPC;
	} else if (add && at == d.nr) {
		d.point[d.nr++] = *p;
	} else if (!add && at < d.nr) {
		d.point[at] = d.point[--d.nr];
	}
	if (rc == 0)
		rc = vm->engine->debug(vm->vcpus[0].cpu, &d);
	if (rc == 0)
		vm->debug.want = d;
	touched(vm);
	return rc;
}

static int target_insert(void *self, const struct cpu_debug_point *p)
{
	return change(self, p, true);
}

static int target_remove(void *self, const struct cpu_debug_point *p)
{
	return change(self, p, false);
}

/* ---- main's part ----------------------------------------------------------------- */

void debug_hit(struct vcpu *v)
{
	v->cpu->engine->debug_stop(v->cpu, &v->stop);
	vm_request(v->vm, REQ_DEBUG_HIT);
}

/* All stand, so no hit is on its way any more. */
static void drop_hits(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->requests &= ~(unsigned)REQ_DEBUG_HIT;
	pthread_mutex_unlock(&vm->lock);
}

void debug_freeze(struct vm *vm)
{
	struct debug *d = &vm->debug;

	drop_hits(vm);
	if (!d->frozen)
		d->since_ns = base_monotonic_ns();
	d->frozen = true;
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		if (vm->vcpus[i].stop.why != CPU_STOP_NONE) {
			d->shown = i;
			break;
		}
	}
	gdb_server_notify(d->server);
}

static void set_held(struct vcpu *v, bool held)
{
	pthread_mutex_lock(&v->lock);
	v->held = held;
	pthread_mutex_unlock(&v->lock);
}

void debug_thaw(struct vm *vm, bool for_good)
{
	struct debug *d = &vm->debug;

	drop_hits(vm);
	if (for_good) {
		d->want.nr = 0;
		debug_forget_stops(vm);
	}
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		set_held(v, !for_good && d->action[i] == GDB_STAND);
		d->want.step = !for_good && d->action[i] == GDB_STEP;
		/* vCPU 0 took these points already, and all vCPUs are of a kind. */
		if (vm->engine->debug(v->cpu, &d->want) < 0)
			log_warn("gdb", "processor %u does not take the debugger's wishes", i);
	}
	d->want.step = false;
	d->leaving = false;
	if (d->frozen && base_monotonic_ns() - d->since_ns > LONG_NS)
		services_time_jumped(vm->services);
	d->frozen = false;
}

void debug_forget_stops(struct vm *vm)
{
	for (unsigned i = 0; i < vm->conf.cpus; i++) {
		vm->vcpus[i].stop.why = CPU_STOP_NONE;
		set_held(&vm->vcpus[i], false);
	}
}

void debug_end(struct vm *vm, uint8_t code)
{
	vm->debug.ended = true;
	vm->debug.code = code;
	if (vm->debug.server != NULL)
		gdb_server_notify(vm->debug.server);
}

/* ---- life ------------------------------------------------------------------------ */

int debug_open(struct vm *vm, struct err *err)
{
	struct debug *d = &vm->debug;
	int rc;

	if (vm->conf.gdb == NULL)
		return 0;
	if (vm->engine->debug == NULL)
		return err_set(err, -EOPNOTSUPP, "engine %s cannot be debugged", vm->engine->name);
	d->action = new_array(uint8_t, vm->conf.cpus);
	if (d->action == NULL)
		return err_set(err, -ENOMEM, "no memory for a debugger");
	rc = gdb_server_new(vm->conf.gdb, &d->server, err);
	if (rc < 0)
		return err_prefix(err, rc, "gdb");
	d->frozen = vm->conf.gdb_wait;
	d->since_ns = base_monotonic_ns();
	return 0;
}

int debug_start(struct vm *vm, struct err *err)
{
	struct debug *d = &vm->debug;

	if (d->server == NULL)
		return 0;
	d->target = (struct gdb_target){
		.nr_cpus = vm->conf.cpus, .self = vm,
		.status = target_status, .stop = target_stop, .resume = target_resume,
		.leave = target_leave, .kill = target_kill,
		.get_regs = target_get_regs, .set_regs = target_set_regs,
		.read = target_read, .write = target_write, .lookup = target_lookup,
		.phys_read = target_phys_read, .insert = target_insert, .remove = target_remove,
		.describe = target_describe,
	};
	return gdb_server_start(d->server, &d->target, err);
}

void debug_close(struct vm *vm)
{
	gdb_server_free(vm->debug.server);
	vm->debug.server = NULL;
	free(vm->debug.action);
	vm->debug.action = NULL;
}

const char *vm_gdb(const struct vm *vm)
{
	return vm->debug.server == NULL ? NULL : gdb_server_where(vm->debug.server);
}
