/*
 * trace.c - the file of --trace
 *
 * A line is
 *	VCPU CS:RIP BITS rCPL NR BYTES
 * for a block of NR instructions, and
 *	VCPU CS:RIP BITS rCPL TEXT
 * for an instruction.  Lines of several vCPUs are in the order in which they
 * were written, which is nearly that in which they ran.  When the file cannot
 * be written the trace ends, with a word, and the guest goes on.
 *
 * Lock     the stream's own
 */
#include "vm/vm_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER (256 * KIB)

struct trace {
	struct cpu_trace cpu;
	FILE *f;
	_Atomic bool failed;
};

static void write_row(void *self, const struct cpu_trace_row *r)
{
	struct vcpu *v = self;
	struct trace *t = v->vm->trace;
	int n;

	if (atomic_load_explicit(&t->failed, memory_order_relaxed))
		return;
	if (r->text != NULL)
		n = fprintf(t->f, "%u %04x:%016llx %u r%u %s\n", v->index, r->cs,
			    (unsigned long long)r->rip, r->bits, r->cpl, r->text);
	else
		n = fprintf(t->f, "%u %04x:%016llx %u r%u %u %u\n", v->index, r->cs,
			    (unsigned long long)r->rip, r->bits, r->cpl, r->nr, r->bytes);
	if (n < 0 && !atomic_exchange(&t->failed, true))
		log_warn("trace", "%s: %s; the trace ends here", v->vm->conf.trace, strerror(errno));
}

int trace_open(struct vm *vm, struct err *err)
{
	struct trace *t;

	if (vm->conf.trace == NULL)
		return 0;
	t = new0(struct trace);
	if (t == NULL)
		return err_set(err, -ENOMEM, "no memory for a trace");
	t->cpu = (struct cpu_trace){ .insns = vm->conf.trace_insns, .row = write_row };
	t->f = fopen(vm->conf.trace, "we");
	if (t->f == NULL) {
		int rc = err_set(err, -errno, "%s: %s", vm->conf.trace, strerror(errno));

		free(t);
		return rc;
	}
	setvbuf(t->f, NULL, _IOFBF, BUFFER);
	vm->trace = t;
	return 0;
}

const struct cpu_trace *trace_of(const struct vm *vm)
{
	return vm->trace == NULL ? NULL : &vm->trace->cpu;
}

void trace_close(struct vm *vm)
{
	struct trace *t = vm->trace;

	if (t == NULL)
		return;
	if (fclose(t->f) != 0 && !atomic_load(&t->failed))
		log_warn("trace", "%s: %s; its end is missing", vm->conf.trace, strerror(errno));
	free(t);
	vm->trace = NULL;
}
