/*
 * interp_fuzz.c - any bytes as a program, in any mode
 *
 * Input: one byte of options, one byte of register seed, then code.  The
 * program may do what it likes, and so may its page tables, which lie where
 * its stores can reach; the run is bounded, and nothing may crash or hang.
 *
 * Built again with the translator, each block runs both ways and must do the
 * same.
 */
#include "cpu/interp/block.h"
#include "cpu/interp/itest.h"

#include <stdlib.h>

#ifdef ITEST_TRANSLATE
#include "cpu/bt/bt.h"
#endif

/*
 * Blocks.  One of them may be a part of a REP that walks page tables for each
 * element: a tenth of a millisecond, and fifty times that under sanitizers.
 */
#define RUN 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Built once: a machine costs more than a run.  Each run puts everything back. */
static struct itest *machine(void)
{
	static struct itest t;

	if (t.c == NULL)
		itest_open(&t, ITEST_64);
	return &t;
}

static void setup(struct itest *t, uint8_t options, uint8_t seed)
{
	static const enum itest_mode modes[] = { ITEST_64, ITEST_64, ITEST_32, ITEST_16 };

	itest_again(t, modes[options & 3]);
	if ((options & 3) == 1)
		itest_user(t);
	for (unsigned i = 0; i < 16; i++)
		if (i != CPU_RSP)
			t->c->gpr[i] = (seed & 1 ? ITEST_DATA : 0) + i * seed * UINT64_C(0x11);
	if (options & 4)
		t->c->rflags |= X86_IF;
	if (options & 8)
		t->c->rflags |= X86_AC;
	if (options & 16)
		t->c->cr0 |= X86_CR0_AM;
	if (options & 32)
		t->c->cr4 |= X86_CR4_SMAP | X86_CR4_SMEP | X86_CR4_UMIP | X86_CR4_FSGSBASE;
	if (options & 64) {		/* a data breakpoint on the stack */
		t->c->dr[0] = t->c->gpr[CPU_RSP] - 8;
		t->c->dr7 = 0x400 | 1 | 0xb << 16;
	}
	if (options & 128)
		t->c->rflags |= X86_TF;
	interp_mode_changed(t->c);
	interp_tlb_flush(t->c, true);
}

#ifdef ITEST_TRANSLATE
static void run(struct itest *t)
{
	BT_OF(t->c)->lock_left = RUN;
	if (cpu_run(t->cpu) == CPU_EXIT_ERROR)
		abort();
}
#else
static void run(struct itest *t)
{
	uint64_t before = t->c->retired;

	(void)itest_go(t, RUN);
	if (t->c->retired - before > RUN * (BLOCK_MAX_INSNS + 1))
		abort();
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct itest *t = machine();

	if (size < 3)
		return 0;
	if (size > 2048)
		size = 2048;
	setup(t, data[0], data[1]);
	itest_code(t, data + 2, size - 2);
	t->irq = 0x50;
	cpu_notify(t->cpu);
	run(t);
	if (t->c->gpr[REG_NONE] != 0)
		abort();
	return 0;
}
