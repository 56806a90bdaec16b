/*
 * model.h - named CPUID models
 *
 * What the guest may believe about its processor is a named, versioned set,
 * never "whatever the host has".  Vendor, family and brand string are part of
 * the model.  The answer here is static; the caller adds APIC ids and
 * topology, OSXSAVE, OSPKE, the HYPERVISOR bit and the hypervisor leaves.
 */
#ifndef CPU_X86_MODEL_H
#define CPU_X86_MODEL_H

#include "base/base.h"

struct cpu_model;

const struct cpu_model *cpu_model_find(const char *name);	/* NULL when unknown */
const char *cpu_model_name(unsigned nth);	/* best first; NULL past the last */
/*
 * Whether the host has every instruction of the model that our engines take
 * from it.  The name of the best such model; the last one runs everywhere.
 */
bool cpu_model_host_ok(const struct cpu_model *m);
const char *cpu_model_best(void);
/* Whether the host itself runs the instructions of a ZydisISASet that some model has. */
bool cpu_host_isa(unsigned isa_set);
void cpu_model_cpuid(const struct cpu_model *m, uint32_t leaf, uint32_t sub, uint32_t r[4]);
/* XCR0 bits a guest may set. */
uint64_t cpu_model_xcr0(const struct cpu_model *m);
/* MAXPHYADDR: bits of a physical address above these are reserved in page tables. */
unsigned cpu_model_phys_bits(const struct cpu_model *m);
/* MSR 0x10a, IA32_ARCH_CAPABILITIES. */
uint64_t cpu_model_arch_capabilities(const struct cpu_model *m);
/* MSR 0x8b, IA32_BIOS_SIGN_ID: the microcode revision. */
uint64_t cpu_model_microcode(const struct cpu_model *m);
/* Whether the model has the instructions of a ZydisISASet; what it lacks is #UD. */
bool cpu_model_isa(const struct cpu_model *m, unsigned isa_set);

#endif
