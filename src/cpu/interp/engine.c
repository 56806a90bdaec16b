/*
 * engine.c - the interpreter behind the engine contract
 *
 * Spec     cpu.h
 * Lock     events are atomic; the rest belongs to the vCPU's thread
 */
#include "cpu/interp/engine.h"

#include "cpu/interp/block.h"
#include "cpu/interp/debug.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int engine_probe(struct err *err)
{
	(void)err;
	return 0;
}

int interp_engine_shared_new(struct gmem *m, unsigned nr_cpus, struct cpu_shared **ret_s,
			     struct err *err)
{
	struct cpu_shared *s = new0(struct cpu_shared);

	(void)m;
	if (s == NULL)
		return err_set(err, -ENOMEM, "no memory for the processors");
	pthread_mutex_init(&s->lock, NULL);
	s->nr_cpus = nr_cpus;
	*ret_s = s;
	return 0;
}

void interp_engine_shared_free(struct cpu_shared *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void interp_fini(struct interp *c)
{
	pthread_mutex_lock(&c->conf.shared->lock);
	if (c->conf.index < SHARED_CPUS && c->conf.shared->cpu[c->conf.index] == c)
		c->conf.shared->cpu[c->conf.index] = NULL;
	pthread_mutex_unlock(&c->conf.shared->lock);
	interp_cache_free(c->cache);
	free(c->debugger);
}

static void engine_destroy(struct cpu *cpu)
{
	struct interp *c = INTERP_OF(cpu);

	interp_fini(c);
	interp_tlb_free(c->tlb);
	free(c);
}

static struct interp *alloc_interp(void)
{
	struct interp *c;

	/* xsave wants its alignment; a failed test allocation must still fail here. */
	void *probe = base_new0(1);

	if (probe == NULL)
		return NULL;
	free(probe);
	c = aligned_alloc(64, align_up(sizeof(*c), 64));
	if (c != NULL)
		memset(c, 0, sizeof(*c));
	return c;
}

int interp_init(struct interp *c, const struct cpu_conf *conf, struct interp_tlb *tlb,
		struct err *err)
{
	c->conf = *conf;
	c->model = cpu_model_find(conf->model);
	if (c->model == NULL)
		return err_set(err, -EINVAL, "processor model \"%s\" is not known", conf->model);
	c->tlb = tlb;
	c->cache = interp_cache_new(c->model);
	if (c->cache == NULL)
		return err_set(err, -ENOMEM, "no memory for processor %u", conf->index);
	pthread_mutex_lock(&conf->shared->lock);
	if (conf->index < SHARED_CPUS)
		conf->shared->cpu[conf->index] = c;
	pthread_mutex_unlock(&conf->shared->lock);
	interp_reset(c, false);
	interp_debug_changed(c);
	return 0;
}

static int engine_create(const struct cpu_conf *conf, struct cpu **ret_c, struct err *err)
{
	struct interp *c = alloc_interp();
	struct interp_tlb *tlb = interp_tlb_new();
	int rc;

	if (c == NULL || tlb == NULL)
		rc = err_set(err, -ENOMEM, "no memory for processor %u", conf->index);
	else
		rc = interp_init(c, conf, tlb, err);
	if (rc != 0) {
		interp_tlb_free(tlb);
		free(c);
		return rc;
	}
	c->cpu.engine = &cpu_engine_interpret;
	*ret_c = &c->cpu;
	return 0;
}

static enum cpu_exit engine_run(struct cpu *cpu)
{
	struct interp *c = INTERP_OF(cpu);
	enum cpu_exit exit;

	atomic_store(&c->running, 1);
	exit = interp_run(c);
	atomic_store(&c->running, 0);
	return exit;
}

void interp_engine_kick(struct cpu *cpu)
{
	atomic_fetch_or(&INTERP_OF(cpu)->events, EVENT_KICK);
}

void interp_engine_notify(struct cpu *cpu)
{
	atomic_fetch_or(&INTERP_OF(cpu)->events, EVENT_IRQ);
}

void interp_engine_nmi(struct cpu *cpu)
{
	struct interp *c = INTERP_OF(cpu);

	if (atomic_fetch_or(&c->events, EVENT_NMI) & EVENT_NMI)
		atomic_fetch_or(&c->events, EVENT_NMI_2ND);
}

/*
 * A running processor takes the event between two blocks and flushes before it
 * goes on; one that does not run takes it before its first block.  So when
 * neither holds any more, no old translation is in use.
 */
void interp_engine_tlb_flush(struct cpu *cpu)
{
	struct interp *c = INTERP_OF(cpu);

	atomic_fetch_or(&c->events, EVENT_FLUSH);
	while (atomic_load(&c->running) && (atomic_load(&c->events) & EVENT_FLUSH))
		sched_yield();
}

/* OUT, by which such a page comes to be, ends a block: so it is taken before the next one. */
void interp_engine_tlb_flush_soon(struct cpu *cpu)
{
	atomic_fetch_or(&INTERP_OF(cpu)->events, EVENT_FLUSH);
}

void interp_engine_a20(struct cpu *cpu, bool on)
{
	atomic_store(&INTERP_OF(cpu)->gpa_off, on ? 0 : UINT64_C(1) << 20);
	interp_engine_tlb_flush_soon(cpu);
}

void interp_engine_reset(struct cpu *cpu, bool init)
{
	struct interp *c = INTERP_OF(cpu);

	interp_reset(c, init);
	c->nmi_wait = 0;
	c->irq_wait = 1;
	c->watch_hit = 0;
	interp_debug_changed(c);
}

void interp_engine_get_regs(struct cpu *cpu, struct cpu_regs *r)
{
	struct interp *c = INTERP_OF(cpu);

	memset(r, 0, sizeof(*r));
	memcpy(r->gpr, c->gpr, sizeof(r->gpr));
	r->rip = c->rip;
	r->rflags = c->rflags;
	memcpy(r->seg, c->seg, sizeof(r->seg));
	r->gdt = c->gdt;
	r->idt = c->idt;
	r->cr0 = c->cr0;
	r->cr2 = c->cr2;
	r->cr3 = c->cr3;
	r->cr4 = c->cr4;
	r->cr8 = c->conf.client->tpr_get(c->conf.self);
	r->efer = c->efer;
	r->xcr0 = c->xcr0;
	memcpy(r->dr, c->dr, sizeof(r->dr));
	r->dr6 = c->dr6;
	r->dr7 = c->dr7;
	r->star = c->star;
	r->lstar = c->lstar;
	r->cstar = c->cstar;
	r->sfmask = c->sfmask;
	r->kernel_gs_base = c->kernel_gs_base;
	r->tsc_aux = c->tsc_aux;
	r->sysenter_cs = c->sysenter_cs;
	r->sysenter_esp = c->sysenter_esp;
	r->sysenter_eip = c->sysenter_eip;
	r->pat = c->pat;
	r->mtrr_def = c->mtrr_def;
	memcpy(r->mtrr_fixed, c->mtrr_fixed, sizeof(r->mtrr_fixed));
	memcpy(r->mtrr_var, c->mtrr_var, sizeof(r->mtrr_var));
	r->apic_base = c->apic_base;
	r->tsc_offset = c->tsc_offset;
	r->tsc_adjust = c->tsc_adjust;
	r->misc_enable = c->misc_enable;
	r->spec_ctrl = c->spec_ctrl;
	r->pkru = c->pkru;
	r->pkrs = c->pkrs;
	r->halted = c->halted;
	r->shadow_sti = c->shadow & SHADOW_STI;
	r->shadow_mov_ss = c->shadow & SHADOW_MOV_SS;
	r->nmi_masked = c->nmi_masked;
	r->nmi_pending = c->nmi_wait || (atomic_load(&c->events) & EVENT_NMI);
	memcpy(r->xsave, c->xsave, sizeof(r->xsave));
}

/* What the processor could never hold. */
static int check_regs(const struct interp *c, const struct cpu_regs *r, struct err *err)
{
	bool paging = r->cr0 & X86_CR0_PG, lma = r->efer & X86_EFER_LMA;

	if ((paging && !(r->cr0 & X86_CR0_PE)) ||
	    lma != (paging && (r->efer & X86_EFER_LME)) || (lma && !(r->cr4 & X86_CR4_PAE)))
		return err_set(err, -EINVAL,
			       "registers of processor %u: CR0, CR4 and EFER disagree",
			       c->conf.index);
	if ((r->xcr0 & ~cpu_model_xcr0(c->model)) || !(r->xcr0 & 1))
		return err_set(err, -EINVAL, "registers of processor %u: XCR0 is 0x%llx",
			       c->conf.index, (unsigned long long)r->xcr0);
	if (r->cr3 >> cpu_model_phys_bits(c->model) || r->cr8 > 15)
		return err_set(err, -EINVAL, "registers of processor %u: CR3 or CR8 out of range",
			       c->conf.index);
	return 0;
}

int interp_engine_set_regs(struct cpu *cpu, const struct cpu_regs *r, struct err *err)
{
	struct interp *c = INTERP_OF(cpu);
	int rc = check_regs(c, r, err);

	if (rc != 0)
		return rc;
	memcpy(c->gpr, r->gpr, sizeof(r->gpr));
	c->rip = r->rip;
	c->rflags = (r->rflags & 0x3f7fd5) | 2;
	memcpy(c->seg, r->seg, sizeof(c->seg));
	c->gdt = r->gdt;
	c->idt = r->idt;
	c->cr0 = r->cr0;
	c->cr2 = r->cr2;
	c->cr3 = r->cr3;
	c->cr4 = r->cr4;
	c->cpuid_seq++;
	c->conf.client->tpr_set(c->conf.self, (uint8_t)r->cr8);
	c->efer = r->efer;
	c->xcr0 = r->xcr0;
	memcpy(c->dr, r->dr, sizeof(c->dr));
	c->dr6 = r->dr6;
	c->dr7 = r->dr7;
	c->star = r->star;
	c->lstar = r->lstar;
	c->cstar = r->cstar;
	c->sfmask = r->sfmask;
	c->kernel_gs_base = r->kernel_gs_base;
	c->tsc_aux = r->tsc_aux;
	c->sysenter_cs = r->sysenter_cs;
	c->sysenter_esp = r->sysenter_esp;
	c->sysenter_eip = r->sysenter_eip;
	c->pat = r->pat;
	c->mtrr_def = r->mtrr_def;
	memcpy(c->mtrr_fixed, r->mtrr_fixed, sizeof(c->mtrr_fixed));
	memcpy(c->mtrr_var, r->mtrr_var, sizeof(c->mtrr_var));
	c->apic_base = r->apic_base;
	c->tsc_offset = r->tsc_offset;
	c->tsc_adjust = r->tsc_adjust;
	c->misc_enable = r->misc_enable;
	c->spec_ctrl = r->spec_ctrl;
	c->pkru = r->pkru;
	c->pkrs = r->pkrs;
	c->halted = r->halted;
	c->shadow = (uint8_t)((r->shadow_sti ? SHADOW_STI : 0) |
			      (r->shadow_mov_ss ? SHADOW_MOV_SS : 0));
	c->nmi_masked = r->nmi_masked;
	c->nmi_wait = r->nmi_pending;
	atomic_fetch_and(&c->events, ~(uint32_t)(EVENT_NMI | EVENT_NMI_2ND));
	c->irq_wait = 1;
	memcpy(c->xsave, r->xsave, sizeof(c->xsave));
	c->ferr = 0;			/* the next waiting instruction meets it again */
	interp_xsave_loaded(c);
	interp_mode_changed(c);
	interp_debug_changed(c);
	return 0;
}

uint64_t interp_engine_retired(struct cpu *cpu)
{
	return __atomic_load_n(&INTERP_OF(cpu)->retired, __ATOMIC_RELAXED);
}

const char *interp_engine_error(struct cpu *cpu)
{
	return INTERP_OF(cpu)->error;
}

int interp_engine_debug(struct cpu *cpu, const struct cpu_debug *d)
{
	return interp_debug_set(INTERP_OF(cpu), d);
}

void interp_engine_debug_stop(struct cpu *cpu, struct cpu_debug_stop *ret_s)
{
	interp_debug_stop(INTERP_OF(cpu), ret_s);
}

static size_t engine_counters(struct cpu *cpu, struct cpu_counter *ret_rows, size_t max)
{
	const struct interp *c = INTERP_OF(cpu);
	const struct cpu_counter rows[] = {
		{ "instructions", c->retired },
		{ "blocks-decoded", interp_cache_made(c->cache) },
		{ "cache-flushes", interp_cache_epoch(c->cache) },
		{ "tlb-fills", c->tlb->fills },
		{ "tlb-flushes", c->tlb->flushes },
	};
	size_t n = min_u64(ARRAY_LEN(rows), max);

	memcpy(ret_rows, rows, n * sizeof(rows[0]));
	return n;
}

const struct cpu_engine cpu_engine_interpret = {
	.name = "interpret",
	.summary = "decodes and runs one instruction after the other; runs everywhere",
	.probe = engine_probe,
	.shared_new = interp_engine_shared_new,
	.shared_free = interp_engine_shared_free,
	.create = engine_create,
	.destroy = engine_destroy,
	.run = engine_run,
	.kick = interp_engine_kick,
	.notify = interp_engine_notify,
	.nmi = interp_engine_nmi,
	.tlb_flush = interp_engine_tlb_flush,
	.tlb_flush_soon = interp_engine_tlb_flush_soon,
	.a20 = interp_engine_a20,
	.reset = interp_engine_reset,
	.get_regs = interp_engine_get_regs,
	.set_regs = interp_engine_set_regs,
	.retired = interp_engine_retired,
	.error = interp_engine_error,
	.debug = interp_engine_debug,
	.debug_stop = interp_engine_debug_stop,
	.counters = engine_counters,
	.traces = true,
};
