/*
 * sys_bind.c - which handler runs a system instruction
 *
 * One table by mnemonic.  An empty row means the instruction is not of this
 * family; the core makes #UD of what no family knows.  MOV, PUSH, POP, JMP, CALL
 * and RET are ours only with a segment, control or debug register or a far target.
 *
 * Spec     [SDM 2] appendix A opcode maps; 2.2.1.7 default 64-bit operands
 * Lock     none: const tables
 */
#include "cpu/interp/sys/sys.h"

enum { PLAIN, ENDS };

struct sys_row {
	insn_fn *fn;
	uint8_t ends;
	/* Finishes what decode_common could not know; false: not ours after all. */
	bool (*bind)(const struct zin *z, struct insn *out);
};

static bool is_class(const ZydisDecodedOperand *op, ZydisRegisterClass class)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(op->reg.value) == class;
}

static uint8_t number(const ZydisDecodedOperand *op)
{
	return (uint8_t)ZydisRegisterGetId(op->reg.value);
}

static bool bind_mov(const struct zin *z, struct insn *out)
{
	static const struct {
		ZydisRegisterClass class;
		insn_fn *to, *from;
		bool wide;
	} kinds[] = {
		{ ZYDIS_REGCLASS_SEGMENT, sys_mov_to_sreg, sys_mov_from_sreg, false },
		{ ZYDIS_REGCLASS_CONTROL, sys_mov_to_cr, sys_mov_from_cr, true },
		{ ZYDIS_REGCLASS_DEBUG, sys_mov_to_dr, sys_mov_from_dr, true },
	};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		bool to = is_class(&z->op[0], kinds[i].class);
		const ZydisDecodedOperand *special = &z->op[to ? 0 : 1], *other = &z->op[to ? 1 : 0];

		if (!to && !is_class(special, kinds[i].class))
			continue;
		out->fn = to ? kinds[i].to : kinds[i].from;
		out->reg = number(special);
		if (!out->mem)
			out->rm = number(other);
		if (kinds[i].wide)
			out->osz = z->i.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 ? 8 : 4;
		out->ends = kinds[i].wide || (to && out->reg == CPU_SS);
		return true;
	}
	return false;
}

static bool bind_sreg(const struct zin *z, struct insn *out)
{
	if (!is_class(&z->op[0], ZYDIS_REGCLASS_SEGMENT))
		return false;
	out->reg = number(&z->op[0]);
	out->ends = out->fn == sys_pop_sreg && out->reg == CPU_SS;
	return true;
}

static bool bind_far(const struct zin *z, struct insn *out)
{
	if (z->i.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
		return false;
	if (z->op[0].type == ZYDIS_OPERAND_TYPE_POINTER)
		out->imm = (uint64_t)z->op[0].ptr.segment << 32 | z->op[0].ptr.offset;
	return true;
}

static bool bind_port(const struct zin *z, struct insn *out)
{
	unsigned port = z->i.mnemonic == ZYDIS_MNEMONIC_IN ? 1 : 0;

	out->op[0] = z->op[port].type == ZYDIS_OPERAND_TYPE_REGISTER;
	if (out->osz > 4)
		out->osz = 4;
	return true;
}

static bool bind_ports(const struct zin *z, struct insn *out)
{
	(void)z;
	if (out->osz > 4)
		out->osz = 4;
	return true;
}

static bool bind_lfp(const struct zin *z, struct insn *out)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_LDS:
		out->op[0] = CPU_DS;
		break;
	case ZYDIS_MNEMONIC_LES:
		out->op[0] = CPU_ES;
		break;
	case ZYDIS_MNEMONIC_LSS:
		out->op[0] = CPU_SS;
		break;
	case ZYDIS_MNEMONIC_LFS:
		out->op[0] = CPU_FS;
		break;
	default:
		out->op[0] = CPU_GS;
	}
	return true;
}

#define ROW(m, fn, ends, bind) [ZYDIS_MNEMONIC_##m] = { fn, ends, bind }

static const struct sys_row rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	ROW(MOV, NULL, PLAIN, bind_mov),
	ROW(PUSH, sys_push_sreg, PLAIN, bind_sreg),
	ROW(POP, sys_pop_sreg, PLAIN, bind_sreg),
	ROW(JMP, sys_jmp_far, ENDS, bind_far),
	ROW(CALL, sys_call_far, ENDS, bind_far),
	ROW(RET, sys_ret_far, ENDS, bind_far),
	ROW(IRET, sys_iret, ENDS, NULL),
	ROW(IRETD, sys_iret, ENDS, NULL),
	ROW(IRETQ, sys_iret, ENDS, NULL),
	ROW(INT, sys_int, ENDS, NULL),
	ROW(INT1, sys_int1, ENDS, NULL),
	ROW(INT3, sys_int3, ENDS, NULL),
	ROW(INTO, sys_into, ENDS, NULL),
	ROW(LDS, sys_lfp, PLAIN, bind_lfp),
	ROW(LES, sys_lfp, PLAIN, bind_lfp),
	ROW(LSS, sys_lfp, PLAIN, bind_lfp),
	ROW(LFS, sys_lfp, PLAIN, bind_lfp),
	ROW(LGS, sys_lfp, PLAIN, bind_lfp),
	ROW(LGDT, sys_lgdt, PLAIN, NULL),
	ROW(LIDT, sys_lidt, PLAIN, NULL),
	ROW(SGDT, sys_sgdt, PLAIN, NULL),
	ROW(SIDT, sys_sidt, PLAIN, NULL),
	ROW(LLDT, sys_lldt, PLAIN, NULL),
	ROW(LTR, sys_ltr, PLAIN, NULL),
	ROW(SLDT, sys_sldt, PLAIN, NULL),
	ROW(STR, sys_str, PLAIN, NULL),
	ROW(LAR, sys_lar, PLAIN, NULL),
	ROW(LSL, sys_lsl, PLAIN, NULL),
	ROW(VERR, sys_verr, PLAIN, NULL),
	ROW(VERW, sys_verw, PLAIN, NULL),
	ROW(ARPL, sys_arpl, PLAIN, NULL),
	ROW(LMSW, sys_lmsw, ENDS, NULL),
	ROW(SMSW, sys_smsw, PLAIN, NULL),
	ROW(CLTS, sys_clts, ENDS, NULL),
	ROW(INVLPG, sys_invlpg, ENDS, NULL),
	ROW(INVPCID, sys_invpcid, ENDS, NULL),
	ROW(INVD, sys_wbinvd, ENDS, NULL),
	ROW(WBINVD, sys_wbinvd, ENDS, NULL),
	ROW(CLAC, sys_clac, PLAIN, NULL),
	ROW(STAC, sys_stac, PLAIN, NULL),
	ROW(XGETBV, sys_xgetbv, PLAIN, NULL),
	ROW(XSETBV, sys_xsetbv, ENDS, NULL),
	ROW(RDPKRU, sys_rdpkru, PLAIN, NULL),
	ROW(WRPKRU, sys_wrpkru, ENDS, NULL),
	ROW(RDFSBASE, sys_rdfsbase, PLAIN, NULL),
	ROW(RDGSBASE, sys_rdgsbase, PLAIN, NULL),
	ROW(WRFSBASE, sys_wrfsbase, PLAIN, NULL),
	ROW(WRGSBASE, sys_wrgsbase, PLAIN, NULL),
	ROW(SWAPGS, sys_swapgs, PLAIN, NULL),
	ROW(RDTSC, sys_rdtsc, PLAIN, NULL),
	ROW(RDTSCP, sys_rdtscp, PLAIN, NULL),
	ROW(RDPMC, sys_rdpmc, PLAIN, NULL),
	ROW(RDPID, sys_rdpid, PLAIN, NULL),
	ROW(RDMSR, sys_rdmsr, PLAIN, NULL),
	ROW(WRMSR, sys_wrmsr, ENDS, NULL),
	ROW(CPUID, sys_cpuid, ENDS, NULL),
	ROW(SERIALIZE, sys_serialize, ENDS, NULL),
	ROW(HLT, sys_hlt, ENDS, NULL),
	ROW(VMCALL, sys_vmcall, ENDS, NULL),
	ROW(VMMCALL, sys_vmcall, ENDS, NULL),
	ROW(MONITOR, sys_undefined, ENDS, NULL),
	ROW(MWAIT, sys_undefined, ENDS, NULL),
	ROW(SYSCALL, sys_syscall, ENDS, NULL),
	ROW(SYSRET, sys_sysret, ENDS, NULL),
	ROW(SYSENTER, sys_sysenter, ENDS, NULL),
	ROW(SYSEXIT, sys_sysexit, ENDS, NULL),
	ROW(PUSHF, sys_pushf, PLAIN, NULL),
	ROW(PUSHFD, sys_pushf, PLAIN, NULL),
	ROW(PUSHFQ, sys_pushf, PLAIN, NULL),
	ROW(POPF, sys_popf, ENDS, NULL),
	ROW(POPFD, sys_popf, ENDS, NULL),
	ROW(POPFQ, sys_popf, ENDS, NULL),
	ROW(CLI, sys_cli, PLAIN, NULL),
	ROW(STI, sys_sti, ENDS, NULL),
	ROW(IN, sys_in, ENDS, bind_port),
	ROW(OUT, sys_out, ENDS, bind_port),
	ROW(INSB, sys_ins, ENDS, bind_ports),
	ROW(INSW, sys_ins, ENDS, bind_ports),
	ROW(INSD, sys_ins, ENDS, bind_ports),
	ROW(OUTSB, sys_outs, ENDS, bind_ports),
	ROW(OUTSW, sys_outs, ENDS, bind_ports),
	ROW(OUTSD, sys_outs, ENDS, bind_ports),
};

bool bind_sys(const struct zin *z, struct insn *out)
{
	const struct sys_row *row = &rows[z->i.mnemonic];

	if (!row->fn && !row->bind)
		return false;
	out->fn = row->fn;
	out->ends = row->ends;
	return !row->bind || row->bind(z, out);
}
