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

/*
 * Of a cache three tenths are code: the rest fills as fast.  Some of what is below 2 GiB is taken
 * by others: the process itself on some hosts, and its sandbox in tests.
 */
#define CACHE_MIN (8 * MIB)
#define CACHE_MAX GIB
#define CACHE_BEST (160 * MIB)
#define LOW_SLACK (64 * MIB)

/* BMI2 for addresses that leave the flags alone. */
static bool host_bmi2(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1);
}

static bool can_map_code(void)
{
	struct bt *probe = new0(struct bt);	/* too large for a stack */
	bool ok = probe != NULL && bt_cache_init(probe, MIB, MIB) == 0;

	if (probe != NULL)
		bt_cache_fini(probe);
	free(probe);
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

/* Bytes of the cache of each of NR processors that fit. */
static uint64_t cache_room(unsigned nr)
{
	uint64_t all = (BT_LOW_END - BT_LOW_BEGIN - LOW_SLACK) / nr;
	uint64_t own = align_up(sizeof(struct bt), 2 * MIB) + 4 * MIB;

	return all < own ? 0 : align_down(all - own, MIB);
}

/* In two halves of whole large pages. */
static uint64_t code_bytes(uint64_t cache)
{
	uint64_t n = align_down(cache * 3 / 10, 4 * MIB);

	return n == 0 ? 4 * MIB : n;
}

static int cache_size(const struct cpu_conf *conf, uint64_t *ret_n, struct err *err)
{
	unsigned nr = conf->shared != NULL ? conf->shared->nr_cpus : 1;
	uint64_t room = cache_room(nr), n = conf->translate_cache;

	if (n == 0)
		n = room < CACHE_BEST ? room : CACHE_BEST;
	else if (n < CACHE_MIN || n > CACHE_MAX)
		return err_set(err, -EINVAL, "a translation cache of %llu KiB: expected 8 MiB to 1 GiB",
			       (unsigned long long)(n / KIB));
	if (room < CACHE_MIN)
		return err_set(err, -ENOSPC, "the translator has no room for %u processors below 2 GiB", nr);
	if (n > room)
		return err_set(err, -ENOSPC, "a translation cache of %llu MiB for each of %u processors: at "
			       "most %llu MiB each fit below 2 GiB", (unsigned long long)(n / MIB), nr,
			       (unsigned long long)(room / MIB));
	*ret_n = n;
	return 0;
}

static int engine_create(const struct cpu_conf *conf, struct cpu **ret_c, struct err *err)
{
	struct bt *b = alloc_bt();
	uint64_t cache = 0;
	int rc;

	if (b == NULL)
		return err_set(err, -ENOMEM, "no memory below 2 GiB for processor %u", conf->index);
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
	b->mask_words[0] = UINT32_MAX & ~UINT64_C(31);
	b->mask_words[1] = ~UINT64_C(63);
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
	if (rc == 0)
		rc = cache_size(conf, &cache, err);
	if (rc == 0) {
		b->model_avx = (cpu_model_xcr0(b->c.model) & 4) != 0;
		rc = b->xl == NULL || b->scan == NULL || b->signal_stack == NULL ? -ENOMEM :
		     bt_cache_init(b, code_bytes(cache), cache - code_bytes(cache));
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
	const struct bt *b = BT_OF(INTERP_OF(cpu));
	const struct bt_stats *s = &b->stats;
	const struct cpu_counter rows[] = {
		{ "blocks-translated", s->blocks },
		{ "instructions-translated", s->insns },
		{ "blocks-linked", s->links },
		{ "blocks-invalidated", s->invalidated },
		{ "code-pages", s->code_pages },
		{ "cache-code-bytes", b->hot_used + b->cold_used },
		{ "cache-description-bytes", b->meta.used },
		{ "cache-flushes", s->flushes },
		{ "exits", s->gates },
		{ "exits-tlb-miss", s->mem_misses },
		{ "exits-tlb-slow", s->mem_slow },
		{ "exits-across-pages", s->bounces },
		{ "sites-without-slot", s->roaming },
		{ "blocks-heated", s->heated },
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
	.tlb_flush_soon = interp_engine_tlb_flush_soon,
	.a20 = interp_engine_a20,
	.reset = interp_engine_reset,
	.get_regs = interp_engine_get_regs,
	.set_regs = interp_engine_set_regs,
	.retired = engine_retired,
	.error = interp_engine_error,
	.counters = engine_counters,
	.debug = interp_engine_debug,
	.debug_stop = interp_engine_debug_stop,
};
