/*
 * gdb_fake.h - a machine of a few variables, for tests of the conversation
 *
 * 4 KiB of memory at FAKE_BASE, which is also where physical memory is.
 * It runs until the test says fake_stop, or somebody calls stop.
 */
#ifndef GDB_GDB_FAKE_H
#define GDB_GDB_FAKE_H

#include "gdb/session.h"

#include <stdio.h>
#include <string.h>

#define FAKE_CPUS 3u
#define FAKE_BASE 0x10000u
#define FAKE_RAM 4096u

struct fake {
	struct gdb_target t;
	struct gdb_session s;
	struct gdb_status status;
	struct cpu_regs r[FAKE_CPUS];
	uint8_t ram[FAKE_RAM];
	uint8_t action[FAKE_CPUS];
	struct cpu_debug_point point[4];
	unsigned nr_points, stops, resumes, leaves, kills;
	bool stubborn;			/* stop does not come at once */
	char out[8 * GDB_FRAME];	/* all that was sent, '\0' after it */
	size_t nr_out;
};

static void fake_status(void *self, struct gdb_status *ret_s)
{
	*ret_s = ((struct fake *)self)->status;
}

static void fake_stop(void *self)
{
	struct fake *f = self;

	f->stops++;
	if (!f->stubborn && f->status.state == GDB_RUNS)
		f->status.state = GDB_STANDS;
}

static void fake_resume(void *self, const uint8_t *action)
{
	struct fake *f = self;

	memcpy(f->action, action, FAKE_CPUS);
	if (f->status.state == GDB_STANDS)
		f->status = (struct gdb_status){ .state = GDB_RUNS };
	f->resumes++;
}

static void fake_leave(void *self)
{
	struct fake *f = self;

	f->leaves++;
	f->nr_points = 0;
	if (f->status.state == GDB_STANDS)
		f->status.state = GDB_RUNS;
}

static void fake_kill(void *self)
{
	((struct fake *)self)->kills++;
}

static int fake_get_regs(void *self, unsigned cpu, struct cpu_regs *ret_r)
{
	struct fake *f = self;

	BUG_IF(cpu >= FAKE_CPUS);
	if (f->status.state != GDB_STANDS)
		return -EBUSY;
	*ret_r = f->r[cpu];
	return 0;
}

static int fake_set_regs(void *self, unsigned cpu, const struct cpu_regs *r)
{
	struct fake *f = self;

	BUG_IF(cpu >= FAKE_CPUS);
	if (r->cr8 > 15)
		return -EINVAL;
	f->r[cpu] = *r;
	return 0;
}

static int fake_read(void *self, unsigned cpu, uint64_t lin, void *dst, size_t n)
{
	struct fake *f = self;

	BUG_IF(cpu >= FAKE_CPUS);
	if (lin - FAKE_BASE >= FAKE_RAM)
		return -EFAULT;
	n = min_u64(n, FAKE_RAM - (lin - FAKE_BASE));
	memcpy(dst, f->ram + (lin - FAKE_BASE), n);
	return (int)n;
}

static int fake_write(void *self, unsigned cpu, uint64_t lin, const void *src, size_t n)
{
	struct fake *f = self;

	BUG_IF(cpu >= FAKE_CPUS);
	if (lin - FAKE_BASE >= FAKE_RAM)
		return -EFAULT;
	n = min_u64(n, FAKE_RAM - (lin - FAKE_BASE));
	memcpy(f->ram + (lin - FAKE_BASE), src, n);
	return (int)n;
}

static int fake_lookup(void *self, unsigned cpu, uint64_t lin, uint64_t *ret_gpa)
{
	(void)self, (void)cpu;
	*ret_gpa = lin & 0xfffff;
	return lin >> 32 ? -EFAULT : 0;
}

static int fake_phys_read(void *self, uint64_t gpa, void *dst, size_t n)
{
	return fake_read(self, 0, gpa, dst, n) == (int)n ? 0 : -EFAULT;
}

static int fake_insert(void *self, const struct cpu_debug_point *p)
{
	struct fake *f = self;

	BUG_IF(p->len < 1 || p->len > CPU_DEBUG_LEN || p->on == 0 || p->on > 7);
	if (f->nr_points == ARRAY_LEN(f->point))
		return -ENOSPC;
	f->point[f->nr_points++] = *p;
	return 0;
}

static int fake_remove(void *self, const struct cpu_debug_point *p)
{
	struct fake *f = self;

	(void)p;
	if (f->nr_points > 0)
		f->nr_points--;
	return 0;
}

static void fake_describe(void *self, unsigned cpu, char *buf, size_t n)
{
	(void)self;
	snprintf(buf, n, "vCPU %u: fake", cpu);
}

static void fake_send(void *arg, const void *buf, size_t n)
{
	struct fake *f = arg;

	BUG_IF(n > GDB_FRAME);
	if (f->nr_out + n >= sizeof(f->out))
		f->nr_out = 0;
	memcpy(f->out + f->nr_out, buf, n);
	f->nr_out += n;
	f->out[f->nr_out] = '\0';
}

static void fake_open(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->t = (struct gdb_target){
		.nr_cpus = FAKE_CPUS, .self = f, .status = fake_status, .stop = fake_stop,
		.resume = fake_resume, .leave = fake_leave, .kill = fake_kill,
		.get_regs = fake_get_regs, .set_regs = fake_set_regs, .read = fake_read,
		.write = fake_write, .lookup = fake_lookup, .phys_read = fake_phys_read,
		.insert = fake_insert, .remove = fake_remove, .describe = fake_describe,
	};
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		f->r[i].xcr0 = 3;
	gdb_session_open(&f->s, &f->t, fake_send, f);
}

#endif
