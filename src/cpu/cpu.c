/*
 * cpu.c - the list of engines, and the host's TSC rate
 *
 * Lock     the measured rate is kept in an atomic; measuring twice is harmless
 */
#include "cpu/cpu.h"

#include <stdatomic.h>

static uint64_t measure(void)
{
	uint64_t n0 = base_monotonic_ns(), t0 = cpu_host_tsc(), n1, t1;

	do {
		n1 = base_monotonic_ns();
		t1 = cpu_host_tsc();
	} while (n1 - n0 < NS_PER_SEC / 20);
	return mul_div(t1 - t0, NS_PER_SEC, n1 - n0);
}

const struct cpu_engine *const *cpu_engines(void)
{
	static const struct cpu_engine *const engines[] = {
		&cpu_engine_kvm, &cpu_engine_translate, &cpu_engine_interpret, NULL,
	};

	return engines;
}

uint64_t cpu_host_tsc_hz(void)
{
	static _Atomic uint64_t hz;

	if (atomic_load(&hz) == 0)
		atomic_store(&hz, measure());
	return atomic_load(&hz);
}
