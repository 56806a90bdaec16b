/*
 * engine.c - the translator behind the engine contract
 *
 * Spec     cpu.h
 * Lock     events are atomic; the rest belongs to the vCPU's thread
 */
#include "cpu/bt/bt.h"
#include "cpu/bt/xl.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CODE_BYTES (64 * MIB)
#define META_BYTES (96 * MIB)

/* BMI2 for addresses that leave the flags alone. */
static bool host_bmi2(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1);
}

static bool can_map_code(void)
{
	struct bt probe = { 0 };
	bool ok = bt_cache_init(&probe, MIB, MIB) == 0;

	bt_cache_fini(&probe);
	return ok;
}

static int engine_probe(struct err *err)
{
	if (!host_bmi2())
		return err_set(err, -ENOTSUP, "the host's processor lacks BMI2");
	if (!can_map_code())
		return err_set(err, -EPERM, "the host allows no executable memory below 2 GiB");
	return 0;
}

static void engine_destroy(struct cpu *cpu)
{
	struct bt *b = BT_OF(INTERP_OF(cpu));

	gmem_code_unlisten(b->c.conf.mem, &b->c.events);
	if (b->c.cache != NULL)
		interp_fini(&b->c);
	bt_lock_fini(b);
	bt_cache_fini(b);
	free(b->xl);
	free(b->scan);
	free(b->signal_stack);
	munmap(b, b->map_len);
}

static struct bt *alloc_bt(void)
{
	size_t n = align_up(sizeof(struct bt), PAGE_SIZE);
	struct bt *b = bt_low_map(n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (b == NULL)
		return NULL;
	(void)madvise(b, n, MADV_HUGEPAGE);
	b->map_len = n;
	b->xl = new0(struct xl);
	b->scan = new0(struct scan);
	b->signal_stack = base_new0(BT_SIGNAL_STACK);
	return b;
}

/* Of what never began. */
static void engine_destroy_early(struct bt *b)
{
	free(b->xl);
	free(b->scan);
	free(b->signal_stack);
	munmap(b, b->map_len);
}

static void leaving(struct interp *c)
{
	bt_park(BT_OF(c));
}

static int engine_create(const struct cpu_conf *conf, struct cpu **ret_c, struct err *err)
{
	struct bt *b = alloc_bt();
	int rc;

	if (b == NULL)
		return err_set(err, -ENOMEM, "no memory for processor %u", conf->index);
	b->c.cpu.engine = &cpu_engine_translate;
	if (cpu_model_find(conf->model) != NULL && !cpu_model_host_ok(cpu_model_find(conf->model))) {
		engine_destroy_early(b);
		return err_set(err, -ENOTSUP,
			       "processor model \"%s\": this host lacks some of its instructions, "
			       "which the translator copies", conf->model);
	}
	b->c.conf = *conf;
	b->has_avx = bt_host_avx();
	interp_tlb_init(&b->tlb);
	b->lock_left = UINT64_MAX;
	b->mask_index = (uint64_t)(TLB_SLOTS - 1) << PAGE_SHIFT;
	b->mask_page = ~PAGE_MASK;
	for (unsigned size = 1; size <= 8; size *= 2)
		b->mask_aligned[size - 1] = ~PAGE_MASK | (size - 1);
	b->mask_not_if = ~(uint64_t)X86_IF;
	b->mask_not_ac = ~(uint64_t)X86_AC;
	b->mask_arith = BT_FLAGS;
	b->mask_pushed = ~(uint64_t)(BT_FLAGS | X86_RF | X86_VM);
	b->c.code_guard = 1;
	b->c.fp_parked = 1;
	b->c.leaving = leaving;
	b->c.page_gone = bt_page_gone;
	rc = interp_init(&b->c, conf, &b->tlb, err);
	if (rc == 0) {
		b->model_avx = (cpu_model_xcr0(b->c.model) & 4) != 0;
		rc = b->xl == NULL || b->scan == NULL || b->signal_stack == NULL ? -ENOMEM :
		     bt_cache_init(b, CODE_BYTES, META_BYTES);
		if (rc == 0)
			rc = gmem_code_listen(conf->mem, &b->c.events, EVENT_CODE);
		if (rc < 0)
			rc = err_set(err, rc, "no memory for the translated code of processor %u",
				     conf->index);
	}
	if (rc != 0) {
		engine_destroy(&b->c.cpu);
		return rc;
	}
	if (conf->lockstep && bt_lock_init(b) < 0) {
		engine_destroy(&b->c.cpu);
		return err_set(err, -ENOMEM, "no memory for lock step");
	}
	b->code_seq = gmem_code_seq(conf->mem);
	bt_cache_flush(b);
	bt_signals_install();
	*ret_c = &b->c.cpu;
	return 0;
}

/* Not counted: it would cost an instruction for each block. */
static uint64_t engine_retired(struct cpu *cpu)
{
	(void)cpu;
	return 0;
}

static enum cpu_exit engine_run(struct cpu *cpu)
{
	struct interp *c = INTERP_OF(cpu);
	enum cpu_exit exit;

	bt_signals_enter(BT_OF(c));
	atomic_store(&c->running, 1);
	exit = bt_run(BT_OF(c));
	atomic_store(&c->running, 0);
	bt_signals_leave(BT_OF(c));
	return exit;
}

static size_t engine_counters(struct cpu *cpu, struct cpu_counter *ret_rows, size_t max)
{
	const struct bt_stats *s = &BT_OF(INTERP_OF(cpu))->stats;
	const struct cpu_counter rows[] = {
		{ "blocks-translated", s->blocks },
		{ "instructions-translated", s->insns },
		{ "blocks-linked", s->links },
		{ "blocks-invalidated", s->invalidated },
		{ "code-pages", s->code_pages },
		{ "cache-flushes", s->flushes },
		{ "exits", s->gates },
		{ "exits-tlb-miss", s->mem_misses },
		{ "exits-tlb-slow", s->mem_slow },
		{ "exits-across-pages", s->bounces },
		{ "sites-without-slot", s->roaming },
		{ "exits-group-split", s->group_fails },
		{ "exits-store-to-code", s->code_writes },
		{ "exits-handler", s->interp },
		{ "exits-step", s->steps },
		{ "exits-poll", s->polls },
		{ "exits-page-check", s->far_checks },
		{ "exits-indirect-miss", s->indirect_misses },
		{ "exits-host-fault", s->faults },
		{ "fpu-parked", s->parks },
		{ "tlb-fills", INTERP_OF(cpu)->tlb->fills },
		{ "tlb-flushes", INTERP_OF(cpu)->tlb->flushes },
		{ "lockstep-units", s->locked },
		{ "lockstep-not-compared", s->lock_cuts },
	};
	size_t n = ARRAY_LEN(rows) < max ? ARRAY_LEN(rows) : max;

	memcpy(ret_rows, rows, n * sizeof(rows[0]));
	return n;
}

const struct cpu_engine cpu_engine_translate = {
	.name = "translate",
	.summary = "translates 64-bit guest code to the host's; interprets the rest",
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
	.reset = interp_engine_reset,
	.get_regs = interp_engine_get_regs,
	.set_regs = interp_engine_set_regs,
	.retired = engine_retired,
	.error = interp_engine_error,
	.counters = engine_counters,
	.debug = interp_engine_debug,
	.debug_stop = interp_engine_debug_stop,
};
