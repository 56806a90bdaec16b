/*
 * fpu.c - the guest's FPU state, in the host's registers or in c.xsave
 *
 * While translated code runs, x87, MMX, SSE and AVX registers, control words and
 * flags are the guest's own.  Before C code that may use them they are parked;
 * blocks that use them ask for them when they begin (bt.h: poll).
 *
 * The instruction and data pointers of x87 would be addresses of ours: they read
 * as zero.
 *
 * Spec     [SDM 1] 13.4 the XSAVE area
 * Lock     none
 */
#include "cpu/bt/bt.h"

#include <cpuid.h>

static uint32_t components(const struct bt *b)
{
	return b->has_avx ? 7 : 3;
}

void bt_park(struct bt *b)
{
	static const uint32_t mxcsr = 0x1f80;
	uint64_t *x = (uint64_t *)(void *)b->c.xsave;

	if (b->c.fp_parked)
		return;
	__asm__ volatile("xsave64 (%0)" : : "r"(x), "a"(components(b)), "d"(0) : "memory");
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
	if (b->has_avx)
		__asm__ volatile("vzeroupper");
	x[1] = x[2] = 0;		/* FIP, FDP */
	b->c.xsave[6] = b->c.xsave[7] = 0;	/* FOP */
	x[64] |= components(b);		/* XSTATE_BV: initial state was written out too */
	b->c.fp_parked = 1;
	b->stats.parks++;
}

/* XRSTOR refuses what the guest never wrote there: the header and MXCSR are put right. */
void bt_unpark(struct bt *b)
{
	uint64_t *x = (uint64_t *)(void *)b->c.xsave;

	if (!b->c.fp_parked)
		return;
	x[64] |= components(b);
	x[64] &= components(b);
	for (unsigned i = 65; i < 72; i++)
		x[i] = 0;
	b->c.xsave[26] = b->c.xsave[27] = 0;
	__asm__ volatile("xrstor64 (%0)" : : "r"(x), "a"(components(b)), "d"(0) : "memory");
	b->c.fp_parked = 0;
}

bool bt_host_avx(void)
{
	uint32_t a, b, c, d, lo, hi;

	__cpuid(1, a, b, c, d);
	if (!(c >> 27 & 1) || !(c >> 28 & 1))
		return false;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 6) == 6;
}
