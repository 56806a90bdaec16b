/*
 * int_misc.c - conversions, flag instructions, fences, hints, UD, BOUND
 *
 * A guest that spins on PAUSE may be waiting for a vCPU whose thread has no
 * host processor.  Counting the PAUSEs would need a place to count in; the
 * host's time stamp is as good a die: one PAUSE in a thousand gives the rest of
 * the thread's slice away.
 *
 * CLFLUSH only checks its address.  Guest memory is the host's, coherent.
 *
 * Spec     [SDM 2] the instructions named
 * Lock     none: the vCPU's own thread
 */
#include "cpu/interp/int/int.h"

#include <sched.h>

#define HANDLER(name, body) \
	static void name(struct interp *c, const struct insn *in) { (void)in; body; }

HANDLER(cbw, reg_set(c, CPU_RAX, 2, (uint64_t)sign_extend(c->gpr[CPU_RAX], 1)))
HANDLER(cwde, reg_set(c, CPU_RAX, 4, (uint64_t)sign_extend(c->gpr[CPU_RAX], 2)))
HANDLER(cdqe, c->gpr[CPU_RAX] = (uint64_t)sign_extend(c->gpr[CPU_RAX], 4))
HANDLER(cwd, reg_set(c, CPU_RDX, 2, (uint64_t)sign_extend(c->gpr[CPU_RAX], 2) >> 16))
HANDLER(cdq, reg_set(c, CPU_RDX, 4, (uint64_t)sign_extend(c->gpr[CPU_RAX], 4) >> 32))
HANDLER(cqo, c->gpr[CPU_RDX] = (uint64_t)((int64_t)c->gpr[CPU_RAX] >> 63))

#define AH_FLAGS (X86_SF | X86_ZF | X86_AF | X86_PF | X86_CF)

HANDLER(lahf, reg_set(c, 0x14, 1, (c->rflags & AH_FLAGS) | 2))
HANDLER(sahf, flags_put(c, AH_FLAGS, reg_get(c, 0x14, 1)))
HANDLER(clc, c->rflags &= ~(uint64_t)X86_CF)
HANDLER(stc, c->rflags |= X86_CF)
HANDLER(cmc, c->rflags ^= X86_CF)
HANDLER(cld, c->rflags &= ~(uint64_t)X86_DF)
HANDLER(std, c->rflags |= X86_DF)
HANDLER(salc, reg_set(c, CPU_RAX, 1, c->rflags & X86_CF ? 0xff : 0))
HANDLER(nop, (void)c)
HANDLER(mfence, (void)c; __asm__ volatile("mfence" : : : "memory"))
HANDLER(lfence, (void)c; __asm__ volatile("lfence" : : : "memory"))
HANDLER(sfence, (void)c; __asm__ volatile("sfence" : : : "memory"))
HANDLER(ud, interp_ud(c))

static void pause_hint(struct interp *c, const struct insn *in)
{
	uint64_t dice = __builtin_ia32_rdtsc() * UINT64_C(0x9e3779b97f4a7c15);

	(void)c, (void)in;
	__builtin_ia32_pause();
	if (dice >> 54 == 0)
		sched_yield();
}

/* The checks of a byte load, without the load where the address is a device's. */
static void clflush(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	uint64_t lin = interp_linear(c, (enum cpu_sreg)in->seg, ea, 1, ACCESS_READ);
	struct walk w;
	uint32_t code;

	if (interp_walk(c, lin, ACCESS_READ, c->cpl == 3, &w, &code) != 0)
		interp_page_fault(c, lin, code);
	if (gmem_is_ram(c->conf.mem, w.gpa, 1))
		interp_load(c, (enum cpu_sreg)in->seg, ea, 1);
}

/* Index in reg; lower and upper bound side by side in memory. */
static void bound(struct interp *c, const struct insn *in)
{
	uint64_t ea = insn_ea(c, in);
	unsigned sz = in->osz;
	int64_t v = sign_extend(reg_get(c, in->reg, sz), sz), lo, hi;
	uint64_t next = in->asz == 4 ? (uint32_t)(ea + sz) : (uint16_t)(ea + sz);

	lo = sign_extend(interp_load(c, (enum cpu_sreg)in->seg, ea, sz), sz);
	hi = sign_extend(interp_load(c, (enum cpu_sreg)in->seg, next, sz), sz);
	if (v < lo || v > hi)
		interp_raise(c, X86_BR);
}

bool int_bind_misc(const struct zin *z, struct insn *out, unsigned op)
{
	static insn_fn *const fns[] = {
		[CV_CBW] = cbw, [CV_CWDE] = cwde, [CV_CDQE] = cdqe,
		[CV_CWD] = cwd, [CV_CDQ] = cdq, [CV_CQO] = cqo,
		[CV_LAHF] = lahf, [CV_SAHF] = sahf,
		[CV_CLC] = clc, [CV_STC] = stc, [CV_CMC] = cmc, [CV_CLD] = cld, [CV_STD] = std,
		[CV_SALC] = salc, [CV_NOP] = nop, [CV_PAUSE] = pause_hint,
		[CV_MFENCE] = mfence, [CV_LFENCE] = lfence, [CV_SFENCE] = sfence,
		[CV_CLFLUSH] = clflush, [CV_UD] = ud, [CV_BOUND] = bound,
	};

	if (op == CV_BOUND)
		int_form(z, out);
	if (op == CV_PAUSE && z->i.raw.rex.B) {
		int_bind_xchg_r8(z, out);
		return true;
	}
	out->fn = fns[op];
	return true;
}
