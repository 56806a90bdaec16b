/*
 * scan.c - a run of guest instructions, understood
 *
 * Decides for each instruction whether a copy with other registers does what it
 * does.  What is not on the list goes to the interpreter's handler: slow, never
 * wrong.
 *
 * Flags are followed backwards through the block: where nobody can use them any
 * more, code for addresses may destroy them.  An instruction that faults there
 * shows the guest's handler flags that are about to be overwritten anyway.
 *
 * Spec     [SDM 2] 2.1 to 2.3 formats
 * Lock     none
 */
#include "cpu/bt/scan.h"

#include <string.h>

/* ---- which instructions may be copied ------------------------------------------------ */

static bool copy_base(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_ADD: case ZYDIS_MNEMONIC_OR: case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SBB: case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_XOR: case ZYDIS_MNEMONIC_CMP: case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_NOT: case ZYDIS_MNEMONIC_NEG: case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC: case ZYDIS_MNEMONIC_MUL: case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV: case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR: case ZYDIS_MNEMONIC_SAR: case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR: case ZYDIS_MNEMONIC_RCL: case ZYDIS_MNEMONIC_RCR:
	case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD: case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX: case ZYDIS_MNEMONIC_MOVSX: case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_MOVBE: case ZYDIS_MNEMONIC_LEA: case ZYDIS_MNEMONIC_XCHG:
	case ZYDIS_MNEMONIC_BSWAP: case ZYDIS_MNEMONIC_BT: case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR: case ZYDIS_MNEMONIC_BTC: case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR: case ZYDIS_MNEMONIC_CMPXCHG: case ZYDIS_MNEMONIC_XADD:
	case ZYDIS_MNEMONIC_CMPXCHG8B: case ZYDIS_MNEMONIC_CMPXCHG16B: case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE: case ZYDIS_MNEMONIC_CDQE: case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ: case ZYDIS_MNEMONIC_CQO: case ZYDIS_MNEMONIC_CLC:
	case ZYDIS_MNEMONIC_STC: case ZYDIS_MNEMONIC_CMC: case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_SAHF: case ZYDIS_MNEMONIC_PAUSE: case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_LFENCE: case ZYDIS_MNEMONIC_SFENCE: case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT: case ZYDIS_MNEMONIC_LZCNT: case ZYDIS_MNEMONIC_TZCNT:
	case ZYDIS_MNEMONIC_ANDN: case ZYDIS_MNEMONIC_BEXTR: case ZYDIS_MNEMONIC_BLSI:
	case ZYDIS_MNEMONIC_BLSMSK: case ZYDIS_MNEMONIC_BLSR: case ZYDIS_MNEMONIC_BZHI:
	case ZYDIS_MNEMONIC_MULX: case ZYDIS_MNEMONIC_PDEP: case ZYDIS_MNEMONIC_PEXT:
	case ZYDIS_MNEMONIC_RORX: case ZYDIS_MNEMONIC_SARX: case ZYDIS_MNEMONIC_SHLX:
	case ZYDIS_MNEMONIC_SHRX: case ZYDIS_MNEMONIC_ADCX: case ZYDIS_MNEMONIC_ADOX:
	case ZYDIS_MNEMONIC_MOVNTI: case ZYDIS_MNEMONIC_RDRAND: case ZYDIS_MNEMONIC_RDSEED:
		return true;
	default:
		return false;
	}
}

static bool is_simd(const ZydisDecodedInstruction *i)
{
	switch (i->meta.isa_ext) {
	case ZYDIS_ISA_EXT_X87: case ZYDIS_ISA_EXT_MMX: case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3: case ZYDIS_ISA_EXT_SSSE3:
	case ZYDIS_ISA_EXT_SSE4: case ZYDIS_ISA_EXT_AES: case ZYDIS_ISA_EXT_PCLMULQDQ:
	case ZYDIS_ISA_EXT_AVX: case ZYDIS_ISA_EXT_AVX2: case ZYDIS_ISA_EXT_AVX2GATHER:
	case ZYDIS_ISA_EXT_FMA: case ZYDIS_ISA_EXT_F16C: case ZYDIS_ISA_EXT_SHA:
	case ZYDIS_ISA_EXT_AVXAES: case ZYDIS_ISA_EXT_VAES: case ZYDIS_ISA_EXT_VPCLMULQDQ:
		return !copy_base(i->mnemonic);
	default:
		return false;
	}
}

static bool saves_simd(const ZydisDecodedInstruction *i)
{
	switch (i->meta.isa_ext) {
	case ZYDIS_ISA_EXT_XSAVE: case ZYDIS_ISA_EXT_XSAVEC: case ZYDIS_ISA_EXT_XSAVEOPT:
	case ZYDIS_ISA_EXT_XSAVES: case ZYDIS_ISA_EXT_AMD3DNOW:
		return true;
	default:
		return i->mnemonic == ZYDIS_MNEMONIC_FXSAVE || i->mnemonic == ZYDIS_MNEMONIC_FXRSTOR ||
		       i->mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
		       i->mnemonic == ZYDIS_MNEMONIC_FXRSTOR64;
	}
}

/* Those that read or write more than one plain operand, or host addresses. */
static bool simd_by_handler(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR: case ZYDIS_MNEMONIC_FXSAVE: case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR: case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_MASKMOVQ: case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU: case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD: case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ: case ZYDIS_MNEMONIC_MONITOR: case ZYDIS_MNEMONIC_MWAIT:
	case ZYDIS_MNEMONIC_CLFLUSH: case ZYDIS_MNEMONIC_CLFLUSHOPT: case ZYDIS_MNEMONIC_CLWB:
		return true;
	default:
		return false;
	}
}

static bool is_nop(const ZydisDecodedInstruction *i)
{
	return i->mnemonic == ZYDIS_MNEMONIC_NOP || i->mnemonic == ZYDIS_MNEMONIC_ENDBR64 ||
	       i->mnemonic == ZYDIS_MNEMONIC_ENDBR32 ||
	       i->meta.category == ZYDIS_CATEGORY_PREFETCH ||
	       i->meta.category == ZYDIS_CATEGORY_PREFETCHWT1;
}

/* ---- operands ------------------------------------------------------------------------ */

static bool is_gpr(ZydisRegister r, bool *ret_hi8)
{
	ZydisRegisterClass k = ZydisRegisterGetClass(r);

	*ret_hi8 = r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
	return k == ZYDIS_REGCLASS_GPR8 || k == ZYDIS_REGCLASS_GPR16 ||
	       k == ZYDIS_REGCLASS_GPR32 || k == ZYDIS_REGCLASS_GPR64;
}

uint8_t scan_gpr(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return (uint8_t)(r - ZYDIS_REGISTER_AH);
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return (uint8_t)(4 + (r - ZYDIS_REGISTER_SPL));
	return (uint8_t)ZydisRegisterGetId(r);
}

static bool other_ok(ZydisRegister r)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
		return true;
	default:
		return false;
	}
}

/* A destination that the instruction may leave as it was, in whole or in part. */
static bool keeps_dest(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op)
{
	return op->size < 32 || (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ||
	       !(op->actions & ZYDIS_OPERAND_ACTION_WRITE) ||
	       i->mnemonic == ZYDIS_MNEMONIC_BSF || i->mnemonic == ZYDIS_MNEMONIC_BSR;
}

static bool take_register(const struct zin *z, const ZydisDecodedOperand *op, struct scan_insn *s)
{
	struct scan_reg *f = NULL, r = { 0 };
	bool hi8 = false;

	switch (op->encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG: f = &s->reg; break;
	case ZYDIS_OPERAND_ENCODING_MODRM_RM: f = &s->rm; break;
	case ZYDIS_OPERAND_ENCODING_NDSNDD: f = &s->vvvv; break;
	case ZYDIS_OPERAND_ENCODING_OPCODE: f = &s->oreg; break;
	default: break;
	}
	if (!is_gpr(op->reg.value, &hi8)) {
		if (f != NULL)
			f->role = ROLE_OTHER, f->n = (uint8_t)ZydisRegisterGetId(op->reg.value);
		return other_ok(op->reg.value) || f == NULL;
	}
	r.role = ROLE_GPR;
	r.n = scan_gpr(op->reg.value);
	r.out = (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
	r.in = !r.out || keeps_dest(&z->i, op);
	if (r.out)
		s->gpr_out |= (uint16_t)(1u << r.n);
	if (f != NULL) {
		s->hi8 |= hi8;
		r.hi = hi8;
		if (op->size == 8 && !hi8 && r.n >= 4)
			s->force_rex = true;
		*f = r;
		return true;
	}
	if (r.n == CPU_RCX) {
		s->rcx_in |= r.in;
		s->rcx_out |= r.out;
	}
	return r.n != CPU_RSP && (r.n < 14 || op->encoding == ZYDIS_OPERAND_ENCODING_NONE);
}

bool scan_memory(const struct zin *z, const ZydisDecodedOperand *op, struct scan_insn *s)
{
	struct scan_mem *m = &s->mem;

	if (op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
	    (op->mem.type != ZYDIS_MEMOP_TYPE_MEM && op->mem.type != ZYDIS_MEMOP_TYPE_AGEN))
		return false;
	*m = (struct scan_mem){ .on = op->mem.type == ZYDIS_MEMOP_TYPE_AGEN ? 2 : 1 };
	m->size = (uint16_t)(op->size / 8);
	m->write = (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
	m->a32 = z->i.address_width == 32;
	m->base = s->in.base < 16 ? (int8_t)s->in.base : H_NONE;
	m->index = s->in.index < 16 ? (int8_t)s->in.index : H_NONE;
	m->scale = s->in.scale;
	m->disp = s->in.disp;
	m->seg = -1;
	if (op->mem.segment == ZYDIS_REGISTER_FS)
		m->seg = CPU_FS;
	else if (op->mem.segment == ZYDIS_REGISTER_GS)
		m->seg = CPU_GS;
	if (m->on == 2)
		m->seg = -1;
	if (s->in.base == REG_NEXT_RIP)
		m->disp += (int64_t)s->next;
	if (m->a32)
		m->disp = m->base == H_NONE && m->index == H_NONE ? (uint32_t)m->disp : m->disp;
	m->fixed = m->base == H_NONE && m->index == H_NONE && m->seg < 0;
	return m->on == 2 || (op->size % 8 == 0 && m->size >= 1 && m->size <= 32);
}

static bool take_operands(const struct zin *z, struct scan_insn *s)
{
	bool ok = true;

	for (unsigned n = 0; n < z->i.operand_count; n++) {
		const ZydisDecodedOperand *op = &z->op[n];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			ok = ok && scan_memory(z, op, s);
		else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
			 ZydisRegisterGetClass(op->reg.value) != ZYDIS_REGCLASS_FLAGS &&
			 ZydisRegisterGetClass(op->reg.value) != ZYDIS_REGCLASS_IP)
			ok = take_register(z, op, s) && ok;
	}
	return ok;
}

static void take_prefixes(const struct zin *z, struct scan_insn *s)
{
	const struct ZydisDecodedInstructionRaw_ *raw = &z->i.raw;

	for (unsigned n = 0; n < raw->prefix_count; n++) {
		unsigned v = raw->prefixes[n].value;

		if (raw->prefixes[n].type == ZYDIS_PREFIX_TYPE_IGNORED)
			continue;
		if (v == 0x66)
			s->p66 = true;
		else if (v == 0xf2 || v == 0xf3)
			s->rep = (uint8_t)v;
		else if (v == 0xf0)
			s->lock = true;
	}
}

static bool take_encoding(const struct zin *z, const uint8_t *bytes, struct scan_insn *s)
{
	const struct ZydisDecodedInstructionRaw_ *raw = &z->i.raw;

	if (z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    z->i.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return false;
	s->vex = z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	switch (z->i.opcode_map) {
	case ZYDIS_OPCODE_MAP_DEFAULT: s->map = 0; break;
	case ZYDIS_OPCODE_MAP_0F: s->map = 1; break;
	case ZYDIS_OPCODE_MAP_0F38: s->map = 2; break;
	case ZYDIS_OPCODE_MAP_0F3A: s->map = 3; break;
	default: return false;
	}
	s->opcode = z->i.opcode;
	s->rexw = s->vex ? raw->vex.W : raw->rex.W;
	if (s->vex) {
		s->vexl = raw->vex.L;
		s->pp = raw->vex.pp;
		if (s->vvvv.role == ROLE_NONE)
			s->vvvv.n = 0;
	} else {
		take_prefixes(z, s);
	}
	s->has_modrm = (z->i.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
	s->modrm = s->has_modrm ? bytes[raw->modrm.offset] : 0;
	if (s->has_modrm && s->reg.role == ROLE_NONE)
		s->reg.n = s->modrm >> 3 & 7;
	if (s->has_modrm && s->rm.role == ROLE_NONE)
		s->rm.n = s->modrm & 7;
	if (raw->imm[0].size != 0) {
		s->imm = bytes + raw->imm[0].offset;
		s->imm_len = (uint8_t)(z->i.length - raw->imm[0].offset);
	}
	return true;
}

static unsigned far(const struct scan_reg *r, unsigned in_memory)
{
	return r->role == ROLE_GPR && (in_memory >> r->n & 1);
}

static bool far_result(const struct scan_reg *r, unsigned in_memory)
{
	return far(r, in_memory) && r->out && !r->in;
}

/* MULX with both results in memory: the address may be given up for one of them. */
static bool only_results(const struct scan_insn *s, unsigned in_memory)
{
	return far_result(&s->reg, in_memory) && far_result(&s->vvvv, in_memory) &&
	       !far(&s->rm, in_memory);
}

bool scan_fits(const struct scan_insn *s, unsigned in_memory)
{
	unsigned need = far(&s->reg, in_memory) + far(&s->rm, in_memory) +
			far(&s->vvvv, in_memory) + far(&s->oreg, in_memory);
	unsigned have = s->mem.on == 1 && !only_results(s, in_memory) ? 1 : 2;

	if (s->rcx_in || s->rcx_out || s->hi8)
		have--;
	if (s->hi8 && (s->mem.on == 1 || s->force_rex))
		return false;
	if (s->mem.on == 2)		/* LEA: the destination may replace what it was made of */
		return !s->p66;
	return need <= have;
}

static bool bit_string(const struct zin *z)
{
	ZydisMnemonic m = z->i.mnemonic;

	return (m == ZYDIS_MNEMONIC_BT || m == ZYDIS_MNEMONIC_BTS || m == ZYDIS_MNEMONIC_BTR ||
		m == ZYDIS_MNEMONIC_BTC) && z->i.opcode != 0xba;
}

static bool can_copy(const struct zin *z, const uint8_t *bytes, unsigned mode, struct scan_insn *s)
{
	bool simd = is_simd(&z->i);

	if (!(simd ? !simd_by_handler(z->i.mnemonic) :
		     copy_base(z->i.mnemonic) || z->i.meta.category == ZYDIS_CATEGORY_CMOV ||
		     z->i.meta.category == ZYDIS_CATEGORY_SETCC))
		return false;
	if (z->i.mnemonic == ZYDIS_MNEMONIC_PAUSE && z->i.raw.rex.B)	/* XCHG R8, RAX */
		return false;
	if (simd && (mode & BT_NO_FP))
		return false;
	if (z->i.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && (mode & BT_NO_AVX))
		return false;
	if (!take_operands(z, s) || !take_encoding(z, bytes, s))
		return false;
	s->bits = s->mem.on == 1 && bit_string(z);
	if (s->bits && s->mem.size < 4)
		return false;
	s->fp = simd;
	return scan_fits(s, 1u << CPU_R14 | 1u << CPU_R15);
}

/* ---- flags --------------------------------------------------------------------------- */

static void take_flags(const struct zin *z, struct scan_insn *s)
{
	const ZydisAccessedFlags *f = z->i.cpu_flags;

	s->f_read = s->f_kill = 0;
	if (f == NULL)
		return;
	s->f_read = (uint16_t)(f->tested & BT_FLAGS);
	s->f_kill = (uint16_t)((f->modified | f->set_0 | f->set_1 | f->undefined) & BT_FLAGS);
	s->f_undef = (uint16_t)(f->undefined & BT_FLAGS);
	switch (z->i.meta.category) {
	case ZYDIS_CATEGORY_SHIFT:	/* a count of zero changes nothing */
	case ZYDIS_CATEGORY_ROTATE:
		if (s->in.mnemonic == ZYDIS_MNEMONIC_RORX || s->in.mnemonic == ZYDIS_MNEMONIC_SHLX ||
		    s->in.mnemonic == ZYDIS_MNEMONIC_SHRX || s->in.mnemonic == ZYDIS_MNEMONIC_SARX)
			break;
		if (s->imm_len == 1 && (*s->imm & 31) != 0)
			break;
		if (z->i.opcode == 0xd0 || z->i.opcode == 0xd1)
			break;
		s->f_kill = 0;
		break;
	default:
		break;
	}
}

static void liveness(struct scan *s)
{
	uint16_t live = BT_FLAGS;

	for (unsigned n = s->nr; n-- > 0;) {
		struct scan_insn *i = &s->insn[n];

		switch (i->cls) {
		case SCAN_COPY:
			live = (uint16_t)((live & ~i->f_kill) | i->f_read);
			break;
		case SCAN_NOP:
		case SCAN_REP:
		case SCAN_PUSH:
		case SCAN_POP:
		case SCAN_LEAVE:
			break;
		case SCAN_SYS:
			if (i->in.mnemonic == ZYDIS_MNEMONIC_PUSHFQ)
				live = BT_FLAGS;
			break;
		default:
			live = BT_FLAGS;
		}
		i->live = live;
	}
}

/* ---- the whole ----------------------------------------------------------------------- */

static void classify(const struct zin *z, const uint8_t *bytes, unsigned mode, struct scan_insn *s)
{
	static const struct scan_mem none;

	if ((is_nop(&z->i) && s->in.ends == END_NO) ||
	    (s->in.mnemonic == ZYDIS_MNEMONIC_CLD && !(mode & BT_DF))) {
		s->cls = SCAN_NOP;
		return;
	}
	/* What follows is translated for another direction. */
	if (s->in.mnemonic == ZYDIS_MNEMONIC_STD || s->in.mnemonic == ZYDIS_MNEMONIC_CLD)
		s->in.ends = END_SPECIAL;
	if (scan_branch(z, s) && (s->cls == SCAN_JCC || s->cls == SCAN_JMP) && s->target == s->next) {
		s->cls = SCAN_NOP;
		return;
	}
	if (scan_branch(z, s) || scan_stack(z, s))
		return;
	s->mem = s->stk = none;
	if (scan_system(mode, s)) {
		s->cls = SCAN_SYS;
		return;
	}
	s->stk = none;
	if (scan_rep(z, mode, s))
		return;
	if (s->in.ends == END_NO && can_copy(z, bytes, mode, s)) {
		s->cls = SCAN_COPY;
		take_flags(z, s);
		return;
	}
	s->mem = none;
	s->fp = false;
	s->fpu_handler = is_simd(&z->i) || saves_simd(&z->i);
	s->cls = SCAN_INTERP;
}

static bool always_leaves(const struct scan_insn *s)
{
	switch (s->cls) {
	case SCAN_JMP: case SCAN_CALL: case SCAN_JMP_IND: case SCAN_CALL_IND: case SCAN_RET:
		return true;
	case SCAN_SYS:
		return s->in.mnemonic == ZYDIS_MNEMONIC_CLAC || s->in.mnemonic == ZYDIS_MNEMONIC_STAC;
	case SCAN_INTERP:
		return s->in.ends != END_NO;
	default:
		return false;
	}
}

/* As many bytes as a block may have. */
static unsigned fetch(uint64_t lin, const uint8_t *hva, const uint8_t *hva2, struct scan *s)
{
	unsigned room = (unsigned)(PAGE_SIZE - (lin & PAGE_MASK));

	if (room > sizeof(s->copy))
		room = sizeof(s->copy);
	host_copy_from(s->copy, hva + (lin & PAGE_MASK), room);
	if (hva2 == NULL)
		return room;
	host_copy_from(s->copy + room, hva2, (unsigned)sizeof(s->copy) - room);
	return sizeof(s->copy);
}

void scan_block(const struct decoder *d, uint64_t lin, const uint8_t *hva, const uint8_t *hva2,
		unsigned mode, bool unroll, struct scan *ret_s)
{
	unsigned room = fetch(lin, hva, hva2, ret_s), at = 0;
	bool branchy = false;
	struct zin z;

	ret_s->nr = 0;
	ret_s->fp = ret_s->unrolled = false;
	while (ret_s->nr < (branchy ? BT_BRANCHY_INSNS : BT_MAX_INSNS) && at < room) {
		struct scan_insn *s = &ret_s->insn[ret_s->nr];

		if (!scan_recall(ret_s, ret_s->copy + at, room - at, lin + at, mode, s)) {
			memset(s, 0, sizeof(*s));
			if (decode_both(d, DECODE_64, ret_s->copy + at, room - at, &s->in, &z) != 0)
				break;
			s->len = s->in.len;
			s->next = lin + at + s->len;
			s->cls = SCAN_INTERP;
			if (s->in.mnemonic != 0)
				classify(&z, ret_s->copy + at, mode, s);
			scan_remember(ret_s, ret_s->copy + at, room - at, mode, &z, s);
		}
		s->off = (uint16_t)at;
		at += s->len;
		ret_s->nr++;
		ret_s->fp |= s->fp;
		if (always_leaves(s))
			break;
		if (unroll && s->cls == SCAN_JCC && s->target == lin && scan_unroll(ret_s))
			break;
		branchy |= s->cls == SCAN_JCC;
	}
	ret_s->bytes = at;
	liveness(ret_s);
}

void scan_undefined(struct scan *s)
{
	uint16_t undef = 0;

	for (unsigned n = 0; n < s->nr; n++) {
		struct scan_insn *i = &s->insn[n];

		if ((i->cls == SCAN_JCC ? undef : i->f_read & undef) ||
		    i->in.mnemonic == ZYDIS_MNEMONIC_RDRAND ||
		    i->in.mnemonic == ZYDIS_MNEMONIC_RDSEED) {
			i->cls = SCAN_INTERP;
			i->mem.on = i->stk.on = 0;
		}
		undef = (uint16_t)((undef & ~i->f_kill) | i->f_undef);
	}
}
