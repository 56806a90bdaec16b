/* itest.c - a small machine for tests of the interpreter */
#include "cpu/interp/itest.h"

#include "base/le.h"
#include "base/test.h"

#include <string.h>
#include <unistd.h>

/* ---- the client ---------------------------------------------------------------------- */

static void keep(struct itest_access *log, unsigned *nr, uint64_t addr, unsigned width,
		 uint64_t val, bool write)
{
	if (*nr < 32)
		log[(*nr)++] = (struct itest_access){ addr, val, width, write };
}

static uint64_t in_width(uint64_t v, unsigned width)
{
	return width == 8 ? v : v & ((UINT64_C(1) << width * 8) - 1);
}

static uint64_t t_io_read(void *self, uint16_t port, unsigned width)
{
	struct itest *t = self;

	keep(t->io, &t->nr_io, port, width, t->io_in, false);
	return in_width(t->io_in, width);
}

static void t_io_write(void *self, uint16_t port, unsigned width, uint64_t val)
{
	struct itest *t = self;

	keep(t->io, &t->nr_io, port, width, val, true);
}

static uint64_t t_mmio_read(void *self, uint64_t gpa, unsigned width)
{
	struct itest *t = self;

	keep(t->mmio, &t->nr_mmio, gpa, width, t->mmio_in, false);
	return in_width(t->mmio_in, width);
}

static void t_mmio_write(void *self, uint64_t gpa, unsigned width, uint64_t val)
{
	struct itest *t = self;

	keep(t->mmio, &t->nr_mmio, gpa, width, val, true);
}

static void t_cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	(void)self, (void)leaf, (void)sub, (void)r;
}

static int t_msr_read(void *self, uint32_t msr, uint64_t *ret_val)
{
	struct itest *t = self;

	if (msr != 0x40000000)
		return -ENOENT;
	*ret_val = t->msr;
	return 0;
}

static int t_msr_write(void *self, uint32_t msr, uint64_t val)
{
	struct itest *t = self;

	if (msr != 0x40000000)
		return -ENOENT;
	t->msr = val;
	return 0;
}

static int t_hypercall(void *self, struct cpu_hypercall *h)
{
	struct itest *t = self;

	t->hypercalls++;
	if (t->hypercall_rc == 0)
		h->gpr[CPU_RAX] = h->long_mode;
	return t->hypercall_rc;
}

static int t_irq_take(void *self)
{
	struct itest *t = self;
	int v = t->irq;

	t->irq = -1;
	t->irqs_taken += v >= 0;
	return v;
}

static bool t_irq_ready(void *self)
{
	struct itest *t = self;

	return t->irq >= 0;
}

static uint8_t t_tpr_get(void *self)
{
	struct itest *t = self;

	return t->tpr;
}

static void t_tpr_set(void *self, uint8_t v)
{
	struct itest *t = self;

	t->tpr = v;
}

/* ---- memory -------------------------------------------------------------------------- */

void itest_put(struct itest *t, uint64_t gpa, const void *src, size_t n)
{
	CHECK_EQ(gmem_write(t->mem, gpa, src, n), 0);
}

void itest_get(struct itest *t, uint64_t gpa, void *dst, size_t n)
{
	CHECK_EQ(gmem_read(t->mem, gpa, dst, n), 0);
}

void itest_put64(struct itest *t, uint64_t gpa, uint64_t v)
{
	itest_put(t, gpa, &v, sizeof(v));
}

uint64_t itest_get64(struct itest *t, uint64_t gpa)
{
	uint64_t v;

	itest_get(t, gpa, &v, sizeof(v));
	return v;
}

uint64_t itest_pte(uint64_t lin)
{
	return ITEST_PML4 + 0x3000 + (lin >> PAGE_SHIFT) * 8;
}

static void put_pages(struct itest *t)
{
	const uint64_t all = X86_PTE_P | X86_PTE_W | X86_PTE_U;

	itest_put64(t, ITEST_PML4, (ITEST_PML4 + 0x1000) | all);
	itest_put64(t, ITEST_PML4 + 0x1000, (ITEST_PML4 + 0x2000) | all);
	for (uint64_t i = 0; i < 8; i++)
		itest_put64(t, ITEST_PML4 + 0x2000 + i * 8,
			    (ITEST_PML4 + 0x3000 + i * PAGE_SIZE) | all);
	for (uint64_t lin = 0; lin < 2 * ITEST_RAM; lin += 2 * MIB) {
		uint64_t table[512];

		for (unsigned i = 0; i < 512; i++)
			table[i] = (lin + i * PAGE_SIZE) | all;
		itest_put(t, itest_pte(lin), table, sizeof(table));
	}
}

static void put_gdt(struct itest *t)
{
	static const uint64_t gdt[] = {
		[0x08 / 8] = 0x00af9b000000ffff, [0x10 / 8] = 0x00cf93000000ffff,
		[0x18 / 8] = 0x00cf9b000000ffff, [0x20 / 8] = 0x00cffb000000ffff,
		[0x28 / 8] = 0x00cff3000000ffff, [0x30 / 8] = 0x00affb000000ffff,
		[0x38 / 8] = 0x00009b000000ffff, [0x40 / 8] = 0x000093000000ffff,
		[0x48 / 8] = 0x00008b0000000000 | 0x67 | (uint64_t)ITEST_TSS << 16,
	};

	itest_put(t, ITEST_GDT, gdt, sizeof(gdt));
}

static void put_idt64(struct itest *t, unsigned v)
{
	uint64_t at = ITEST_HANDLERS + v * 16;

	itest_put64(t, ITEST_IDT + v * 16, (at & 0xffff) | ITEST_CODE64 << 16 |
		    UINT64_C(0xee00) << 32 | (at & 0xffff0000) << 32);
	itest_put64(t, ITEST_IDT + v * 16 + 8, 0);
}

static void put_idt(struct itest *t, enum itest_mode mode)
{
	static const uint8_t hlt[16] = { 0xf4, 0xeb, 0xfd };	/* HLT; JMP back to it */

	for (unsigned v = 0; v < 256; v++) {
		uint64_t at = ITEST_HANDLERS + v * 16;

		itest_put(t, at, hlt, sizeof(hlt));
		if (mode == ITEST_64)
			put_idt64(t, v);
		else if (mode == ITEST_32)
			itest_put64(t, ITEST_IDT + v * 8, (at & 0xffff) | ITEST_CODE32 << 16 |
				    UINT64_C(0xee00) << 32 | (at & 0xffff0000) << 32);
		else
			itest_put(t, v * 4, &(uint32_t){ 0x3000u << 16 | v * 16 }, 4);
	}
}

/* ---- registers ----------------------------------------------------------------------- */

static struct cpu_seg seg_flat(uint16_t sel, uint32_t attr)
{
	return (struct cpu_seg){ .sel = sel, .attr = attr, .limit = 0xffffffff };
}

static struct cpu_seg seg_real(uint16_t sel)
{
	return (struct cpu_seg){ .sel = sel, .attr = 0x93, .limit = 0xffff, .base = sel * 16u };
}

static void regs_real(struct interp *c)
{
	for (unsigned s = CPU_ES; s <= CPU_GS; s++)
		c->seg[s] = seg_real(0x8000);
	c->seg[CPU_CS] = seg_real(0x4000);
	c->seg[CPU_CS].attr = 0x9b;
	c->seg[CPU_SS] = seg_real(0x5000);
	c->idt = (struct cpu_table){ 0, 0x3ff };
	c->gpr[CPU_RSP] = ITEST_STACK - 0x50000;
	c->rip = 0;
}

static void regs_protected(struct interp *c, bool lm)
{
	for (unsigned s = CPU_ES; s <= CPU_GS; s++)
		c->seg[s] = seg_flat(ITEST_DATA32, 0xc093);
	c->seg[CPU_CS] = lm ? seg_flat(ITEST_CODE64, 0xa09b) : seg_flat(ITEST_CODE32, 0xc09b);
	c->seg[CPU_TR] = (struct cpu_seg){ ITEST_TR, 0x8b, 0x67, ITEST_TSS };
	c->gdt = (struct cpu_table){ ITEST_GDT, 0xff };
	c->idt = (struct cpu_table){ ITEST_IDT, 0xfff };
	c->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_MP | X86_CR0_WP;
	c->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_PSE | X86_CR4_PGE;
	if (lm) {
		c->cr0 |= X86_CR0_PG;
		c->cr4 |= X86_CR4_PAE | X86_CR4_OSXSAVE;
		c->cr3 = ITEST_PML4;
		c->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
	}
	c->gpr[CPU_RSP] = ITEST_STACK;
	c->rip = ITEST_CODE;
}

static void put_tss(struct itest *t, enum itest_mode mode)
{
	uint8_t tss[0x68] = { 0 };

	if (mode == ITEST_64) {
		st64(tss + 4, ITEST_STACK0);
		st64(tss + 0x24, ITEST_IST1);
	} else {
		st32(tss + 4, ITEST_STACK0);
		st32(tss + 8, ITEST_DATA32);
	}
	st16(tss + 0x66, 0x68);
	itest_put(t, ITEST_TSS, tss, sizeof(tss));
}

void itest_mode(struct itest *t, enum itest_mode mode)
{
	t->cpu->engine->reset(t->cpu, false);
	memset(t->c->gpr, 0, sizeof(t->c->gpr));
	if (mode == ITEST_16)
		regs_real(t->c);
	else
		regs_protected(t->c, mode == ITEST_64);
	interp_mode_changed(t->c);
	interp_tlb_flush(t->c, true);
	put_idt(t, mode);
	put_tss(t, mode);
}

void itest_user(struct itest *t)
{
	for (unsigned s = CPU_ES; s <= CPU_GS; s++)
		t->c->seg[s] = seg_flat(ITEST_USER_DATA, 0xc0f3);
	t->c->seg[CPU_CS] = seg_flat(ITEST_USER64, 0xa0fb);
	interp_mode_changed(t->c);
}

static void start(struct itest *t)
{
	struct cpu_conf conf = {
		.mem = t->mem, .client = &t->client, .self = t, .model = t->model,
		.tsc_hz = NS_PER_SEC, .shared = t->shared, .lockstep = ITEST_LOCKSTEP,
	};
	struct err err;

	t->irq = -1;
	t->client = (struct cpu_client){
		t_io_read, t_io_write, t_mmio_read, t_mmio_write, t_cpuid, t_msr_read, t_msr_write,
		t_hypercall, t_irq_take, t_irq_ready, t_tpr_get, t_tpr_set, NULL,
	};
	CHECK_EQ(t->engine->create(&conf, &t->cpu, &err), 0);
	t->c = INTERP_OF(t->cpu);
}

void itest_open(struct itest *t, enum itest_mode mode)
{
	itest_open_as(t, mode, &ITEST_ENGINE, "x86-64-v2");
}

void itest_open_as(struct itest *t, enum itest_mode mode, const struct cpu_engine *engine,
		   const char *model)
{
	const struct gmem_range ram = { 0, ITEST_RAM };
	struct err err;

	memset(t, 0, sizeof(*t));
	t->engine = engine;
	t->model = model;
	CHECK_EQ(gmem_new(&ram, 1, &t->mem, &err), 0);
	CHECK_EQ(engine->shared_new(t->mem, 1, &t->shared, &err), 0);
	start(t);
	put_pages(t);
	put_gdt(t);
	itest_mode(t, mode);
}

void itest_again(struct itest *t, enum itest_mode mode)
{
	gmem_clear(t->mem);
	t->irq = -1;
	t->nr_mmio = t->nr_io = 0;
	put_pages(t);
	put_gdt(t);
	itest_mode(t, mode);
}

void itest_open_second(struct itest *t, const struct itest *first)
{
	memset(t, 0, sizeof(*t));
	t->engine = first->engine;
	t->model = first->model;
	t->mem = first->mem;
	t->shared = first->shared;
	start(t);
	t->shared = NULL;		/* the first one's */
	regs_protected(t->c, true);
	interp_mode_changed(t->c);
	interp_tlb_flush(t->c, true);
}

void itest_close(struct itest *t)
{
	t->engine->destroy(t->cpu);
	if (t->shared == NULL)
		return;
	t->engine->shared_free(t->shared);
	gmem_free(t->mem);
}

/* ---- running ------------------------------------------------------------------------- */

void itest_code(struct itest *t, const void *code, size_t n)
{
	itest_put(t, ITEST_CODE, code, n);
	t->c->rip = interp_protected(t->c) ? ITEST_CODE : 0;
	t->c->halted = 0;
}

int itest_step(struct itest *t)
{
	jmp_buf env;

	t->c->unwind = &env;
	if (setjmp(env) != 0) {
		if (t->c->shared_locked)
			interp_shared_unlock(t->c);
		t->c->in_delivery = 0;
		t->c->block = NULL;
		return t->c->exc_vector;
	}
	(void)interp_step(t->c);
	return ITEST_HLT;
}

int itest_run(struct itest *t, unsigned max)
{
	for (unsigned i = 0; i < max; i++) {
		int rc = itest_step(t);

		if (rc != ITEST_HLT)
			return rc;
		if (t->c->halted)
			return ITEST_HLT;
	}
	return ITEST_LONG;
}

#ifdef ITEST_TRANSLATE
/* The translator does not count: time is up after twenty seconds. */
static void *watchdog(void *arg)
{
	struct itest *t = arg;

	for (unsigned i = 0; i < 20000 && !atomic_load(&t->went); i++)
		usleep(1000);
	if (!atomic_load(&t->went))
		cpu_kick(t->cpu);
	return NULL;
}

enum cpu_exit itest_go(struct itest *t, uint64_t max)
{
	enum cpu_exit exit;
	pthread_t dog;

	(void)max;
	atomic_store(&t->went, false);
	CHECK_EQ(pthread_create(&dog, NULL, watchdog, t), 0);
	exit = cpu_run(t->cpu);
	atomic_store(&t->went, true);
	pthread_join(dog, NULL);
	return exit;
}
#else
enum cpu_exit itest_go(struct itest *t, uint64_t max)
{
	return interp_run_bounded(t->c, max);
}
#endif

int itest_caught(const struct itest *t)
{
	uint64_t lin = t->c->rip + (interp_protected(t->c) ? 0 : t->c->seg[CPU_CS].base);

	if (!t->c->halted || lin < ITEST_HANDLERS || lin >= ITEST_HANDLERS + 256 * 16)
		return -1;
	return (int)(lin - ITEST_HANDLERS) / 16;
}
