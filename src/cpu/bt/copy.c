/*
 * copy.c - one guest instruction as itself, with other registers
 *
 * Spec     [SDM 2] 2.1 to 2.3
 * Lock     none
 */
#include "cpu/bt/xl.h"

/* Host registers of the fields of one instruction. */
struct fields {
	int reg, rm, vvvv, oreg;
};

/* Scratch registers, given out in turn. */
struct scratch {
	int free[2];
	unsigned nr;
	struct { uint8_t guest; int host; } held[2];
	unsigned nr_held;
};

static int field(struct xl *x, const struct scan_insn *i, const struct scan_reg *r,
		 struct scratch *t)
{
	int h;

	if (r->role != ROLE_GPR)
		return r->n;
	if (i->hi8)			/* no REX: RCX is where the guest thinks it is */
		return r->hi ? r->n + 4 : r->n;
	if (r->n == CPU_RCX && (i->rcx_in || i->rcx_out))
		return H_RCX;
	h = xl_host(x, r->n);
	if (h != H_NONE)
		return h;
	for (unsigned n = 0; n < t->nr_held; n++)
		if (t->held[n].guest == r->n) {
			if (r->in)
				e_load(&x->e, t->held[n].host, xl_slot(x, r->n));
			return t->held[n].host;
		}
	BUG_IF(t->nr == 0);
	h = t->free[--t->nr];
	e_names(&x->e, h);
	t->held[t->nr_held].guest = r->n;
	t->held[t->nr_held++].host = h;
	if (r->in)
		e_load(&x->e, h, xl_slot(x, r->n));
	return h;
}

static bool far_register(const struct xl *x, const struct scan_reg *r)
{
	return r->role == ROLE_GPR && xl_host(x, r->n) == H_NONE;
}

bool xl_copy_keeps_t1(const struct xl *x, const struct scan_insn *i, int group)
{
	const struct scan_mem *m = &i->mem;

	if (i->bits || far_register(x, &i->reg) || far_register(x, &i->rm) ||
	    far_register(x, &i->vvvv) || far_register(x, &i->oreg))
		return false;
	if (m->on == 2)
		return m->index == H_NONE || xl_host(x, (unsigned)m->index) != H_NONE;
	return m->on == 0 || (m->group == group && !i->rcx_in && !i->rcx_out && !i->hi8);
}

static void put_back(struct xl *x, const struct scan_reg *r, int h)
{
	if (r->role == ROLE_GPR && r->out && xl_host(x, r->n) == H_NONE)
		e_store(&x->e, xl_slot(x, r->n), h);
}

static void put_opcode(struct em *e, const struct scan_insn *i, unsigned opcode)
{
	if (i->map != 0)
		e8(e, 0x0f);
	if (i->map == 2)
		e8(e, 0x38);
	if (i->map == 3)
		e8(e, 0x3a);
	e8(e, opcode);
}

static void put_legacy(struct em *e, const struct scan_insn *i, const struct fields *f,
		       const struct mop *m)
{
	unsigned rex = (i->rexw ? 8u : 0) | (f->reg >= 8 ? 4u : 0), opcode = i->opcode;

	if (m != NULL)
		rex |= m_rex(*m);
	else if (i->oreg.role == ROLE_GPR)
		rex |= f->oreg >= 8 ? 1u : 0;
	else
		rex |= f->rm >= 8 ? 1u : 0;
	if (i->lock)
		e8(e, 0xf0);
	if (i->p66)
		e8(e, 0x66);
	if (i->rep)
		e8(e, i->rep);
	if (rex || i->force_rex)
		e8(e, 0x40 | rex);
	if (i->oreg.role == ROLE_GPR)
		opcode = (opcode & 0xf8) | ((unsigned)f->oreg & 7);
	put_opcode(e, i, opcode);
}

static void put_vex(struct em *e, const struct scan_insn *i, const struct fields *f,
		    const struct mop *m)
{
	unsigned x = m != NULL ? m_rex(*m) >> 1 & 1 : 0;
	unsigned b = m != NULL ? m_rex(*m) & 1 : f->rm >= 8;

	e8(e, 0xc4);
	e8(e, (f->reg >= 8 ? 0u : 0x80) | (x ? 0u : 0x40) | (b ? 0u : 0x20) | i->map);
	e8(e, (i->rexw ? 0x80u : 0) | (~(unsigned)f->vvvv & 15) << 3 | (i->vexl ? 4u : 0) | i->pp);
	e8(e, i->opcode);
}

static void put(struct xl *x, const struct scan_insn *i, const struct fields *f,
		const struct mop *m)
{
	struct em *e = &x->e;

	if (i->vex)
		put_vex(e, i, f, m);
	else
		put_legacy(e, i, f, m);
	if (m != NULL)
		e_modrm_mem(e, (unsigned)f->reg, *m);
	else if (i->has_modrm)
		e8(e, 0xc0u | ((unsigned)f->reg & 7) << 3 | ((unsigned)f->rm & 7));
	for (unsigned n = 0; n < i->imm_len; n++)
		e8(e, i->imm[n]);
}

static void copy_lea(struct xl *x, const struct scan_insn *i)
{
	const struct scan_mem *m = &i->mem;
	int dst = xl_host(x, i->reg.n), out = dst == H_NONE ? T0 : dst;
	struct em *e = &x->e;

	if (m->fixed) {
		e_imm(e, out, i->rexw ? (uint64_t)m->disp : (uint32_t)m->disp);
	} else {
		struct mop op = { m->base, m->index, m->scale, (int32_t)m->disp };

		if (m->base != H_NONE && (op.base = xl_host(x, (unsigned)m->base)) == H_NONE)
			e_load(e, op.base = T0, xl_slot(x, (unsigned)m->base));
		if (m->index != H_NONE && (op.index = xl_host(x, (unsigned)m->index)) == H_NONE)
			e_load(e, op.index = T1, xl_slot(x, (unsigned)m->index));
		if (m->a32 || !i->rexw)
			e_lea32(e, out, op);
		else
			e_lea(e, out, op);
	}
	if (dst == H_NONE)
		e_store(e, xl_slot(x, i->reg.n), out);
}

/* Instructions whose r/m operand may as well be memory. */
static bool takes_memory(const struct scan_insn *i)
{
	switch (i->in.mnemonic) {
	case ZYDIS_MNEMONIC_ADD: case ZYDIS_MNEMONIC_OR: case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SBB: case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_XOR: case ZYDIS_MNEMONIC_CMP: case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_MOV: case ZYDIS_MNEMONIC_MOVZX: case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD: case ZYDIS_MNEMONIC_INC: case ZYDIS_MNEMONIC_DEC:
		return i->has_modrm && !i->vex;
	default:
		return false;
	}
}

/*
 * A register that lives in memory, used there: unless 32 bits are written, for
 * that clears the others.
 */
static bool in_its_slot(const struct xl *x, const struct scan_insn *i)
{
	return far_register(x, &i->rm) && !i->hi8 && !i->rcx_in && !i->rcx_out && takes_memory(i) &&
	       (i->rexw || !i->rm.out);
}

static bool writes_rcx(const struct scan_reg *r)
{
	return r->role == ROLE_GPR && r->n == CPU_RCX && r->out;
}

static void copy(struct xl *x, const struct scan_insn *i)
{
	bool rcx = i->rcx_in || i->rcx_out || i->hi8;
	struct scratch t = { .free = { T1, T0 }, .nr = rcx ? 1 : 2 };
	struct bt_site *site = NULL;
	struct mop op, *m = NULL;
	struct fields f;

	if (i->mem.on == 2) {
		copy_lea(x, i);
		return;
	}
	if (i->mem.on == 0 && in_its_slot(x, i)) {
		op = xl_slot(x, i->rm.n);
		f.reg = field(x, i, &i->reg, &t);
		f.rm = f.vvvv = f.oreg = 0;
		put(x, i, &f, &op);
		put_back(x, &i->reg, f.reg);
		return;
	}
	if (i->mem.on == 1) {
		site = xl_check(x, i, &i->mem, i->live != 0 || i->f_read != 0);
		op = xl_operand(x, &i->mem);
		m = &op;
		t.nr = 0;
		if (rcx) {
			op = xl_collapse(x, op);
		} else if (far_register(x, &i->reg) || far_register(x, &i->vvvv)) {
			op = xl_collapse(x, op);
			t.free[0] = T1;		/* the address, which a second result may replace */
			t.free[1] = T0;
			t.nr = 2;
		}
	}
	if (rcx)
		e_mov(&x->e, H_RCX, xl_host(x, CPU_RCX));
	f.reg = field(x, i, &i->reg, &t);
	f.rm = field(x, i, &i->rm, &t);
	f.vvvv = field(x, i, &i->vvvv, &t);
	f.oreg = field(x, i, &i->oreg, &t);
	put(x, i, &f, m);
	if (i->rcx_out || i->hi8)
		e_mov(&x->e, xl_host(x, CPU_RCX), H_RCX);
	else if (rcx && (writes_rcx(&i->reg) || writes_rcx(&i->rm) || writes_rcx(&i->vvvv)))
		e_mov(&x->e, xl_host(x, CPU_RCX), H_RCX);
	put_back(x, &i->reg, f.reg);
	put_back(x, &i->rm, f.rm);
	put_back(x, &i->vvvv, f.vvvv);
	put_back(x, &i->oreg, f.oreg);
	if (site != NULL)
		site->after = em_rx(&x->e);
}

/*
 * The number of a bit may lead anywhere.  Nearly all stay in the word that the operand
 * names; for others the handler finds the place.
 */
static void copy_bits(struct xl *x, const struct scan_insn *i)
{
	struct bt_site *site = xl_site(x, SITE_INTERP, i);
	int bit = xl_host(x, i->reg.n);
	struct em *e = &x->e;

	site->ends = false;
	site->maybe = true;
	if (bit == H_NONE) {
		e_load(e, T0, xl_slot(x, i->reg.n));
		bit = T0;
	}
	e_pext(e, T0, bit, m_abs(&x->b->mask_words[i->mem.size == 8]));
	xl_stub(x, e_jmp_unless_rcx_zero(e), site, NULL);
	copy(x, i);
	site->go = em_rx(e);
	e->r15_holds = -1;		/* the handler keeps nothing there */
}

void xl_copy(struct xl *x, const struct scan_insn *i)
{
	if (i->bits)
		copy_bits(x, i);
	else
		copy(x, i);
}
