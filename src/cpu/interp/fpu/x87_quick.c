/*
 * x87_quick.c - the usual x87 instruction, without moving the whole state
 *
 * Usual means: every exception masked, no register empty that is read, none
 * full that is pushed to.  Then only the one or two registers concerned are
 * put on the host's empty stack, the stub runs, and they come back.  If the
 * host's status word afterwards shows a flag the guest does not have yet, it
 * is new or an old one of the host's; either way nothing has been committed
 * and the full way of x87.c decides.
 *
 * The odd truth: the image has ST(0) first, so a push moves all eight.  That is
 * 112 bytes, and still ten times cheaper than FXRSTOR.
 *
 * Moves between registers, FCHS and FABS need no host at all.
 *
 * Spec     [SDM 1] 8.1.3 (condition codes), 8.3; [SDM 2] by name
 * Lock     none: a processor belongs to its thread
 */
#include "cpu/interp/fpu/fpu.h"

struct quick {
	uint8_t a[16], b[16];		/* ST(0), and the other one */
	uint16_t sw, cw, host_cw;
	uint8_t ah;			/* flags of FCOMI */
};

_Static_assert(offsetof(struct quick, sw) == 32, "known to the assembly");
_Static_assert(offsetof(struct quick, ah) == 38, "known to the assembly");

typedef void quick_fn(void *mem, struct quick *q, uint64_t stub);

/* Named by how many registers go in and how many come out. */
#define QUICK(NAME, IN, OUT) \
	__asm__(THUNK_SECTION #NAME ": fldcw 34(%rsi)\n\t" IN "call *%rdx\n\tlahf\n\t" \
		"movb %ah, 38(%rsi)\n\tfnstsw 32(%rsi)\n\t" OUT "fldcw 36(%rsi)\n\tret\n\t.popsection"); \
	THUNK_HIDDEN void NAME(void *mem, struct quick *q, uint64_t stub)

QUICK(quick_0_1, "", "fstpt (%rsi)\n\t");
QUICK(quick_1_0, "fldt (%rsi)\n\t", "");
QUICK(quick_1_1, "fldt (%rsi)\n\t", "fstpt (%rsi)\n\t");
QUICK(quick_2_2, "fldt 16(%rsi)\n\tfldt (%rsi)\n\t", "fstpt (%rsi)\n\tfstpt 16(%rsi)\n\t");

/* ---- the stack ---------------------------------------------------------------------------- */

static unsigned top_of(const struct fxsave *f)
{
	return (f->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
}

static bool full(const struct fxsave *f, unsigned i)
{
	return f->ftw >> ((top_of(f) + i) & 7) & 1;
}

static bool masked(const struct fxsave *f)
{
	return (f->fcw & FPU_FLAGS) == FPU_FLAGS;
}

static void set_top(struct fxsave *f, unsigned top)
{
	f->fsw = (uint16_t)((f->fsw & ~FSW_TOP) | (top & 7) << FSW_TOP_SHIFT);
}

static void push(struct fxsave *f, const uint8_t v[16])
{
	memmove(f->st[1], f->st[0], 7 * 16);
	memcpy(f->st[0], v, 16);
	set_top(f, top_of(f) - 1);
	f->ftw = (uint8_t)(f->ftw | 1u << top_of(f));
}

static void pop(struct fxsave *f)
{
	uint8_t v[16];

	memcpy(v, f->st[0], 16);
	memmove(f->st[0], f->st[1], 7 * 16);
	memcpy(f->st[7], v, 16);
	f->ftw = (uint8_t)(f->ftw & ~(1u << top_of(f)));
	set_top(f, top_of(f) + 1);
}

/* ---- running ------------------------------------------------------------------------------ */

static bool quick(struct fxsave *f, quick_fn *shape, struct quick *q, void *mem, uint64_t stub)
{
	q->cw = f->fcw;
	q->host_cw = 0x37f;
	shape(mem, q, stub);
	return likely(!(q->sw & FPU_FLAGS & ~f->fsw));
}

static void finish(struct interp *c, const struct insn *in, uint16_t sw, unsigned codes)
{
	struct fxsave *f = fx(c);

	f->fsw = (uint16_t)((f->fsw & ~codes) | (sw & codes));
	x87_note(c, in);
}

static void pop_by(struct fxsave *f, unsigned n)
{
	for (; n > 0; n--)
		pop(f);
}

/* disp: a stub on ST(1); op[2]: i of ST(i); op[3]: how often to pop. */
static void arith_to_st0(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	struct quick q;

	x87_gate(c);
	if (masked(f) && full(f, 0) && full(f, in->op[2])) {
		memcpy(q.a, f->st[0], 16);
		memcpy(q.b, f->st[in->op[2]], 16);
		if (quick(f, quick_2_2, &q, NULL, (uint64_t)in->disp)) {
			memcpy(f->st[0], q.a, 10);
			finish(c, in, q.sw, FSW_C1);
			return;
		}
	}
	x87_reg(c, in);
}

static void arith_to_sti(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	struct quick q;

	x87_gate(c);
	if (masked(f) && full(f, 0) && full(f, in->op[2])) {
		memcpy(q.a, f->st[0], 16);
		memcpy(q.b, f->st[in->op[2]], 16);
		if (quick(f, quick_2_2, &q, NULL, (uint64_t)in->disp)) {
			memcpy(f->st[in->op[2]], q.b, 10);
			pop_by(f, in->op[3]);
			finish(c, in, q.sw, FSW_C1);
			return;
		}
	}
	x87_reg(c, in);
}

static void compare_sti(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	struct quick q;

	x87_gate(c);
	if (masked(f) && full(f, 0) && full(f, in->op[2])) {
		memcpy(q.a, f->st[0], 16);
		memcpy(q.b, f->st[in->op[2]], 16);
		if (quick(f, quick_2_2, &q, NULL, (uint64_t)in->disp)) {
			pop_by(f, in->op[3]);
			finish(c, in, q.sw, FSW_CODES);
			return;
		}
	}
	x87_reg(c, in);
}

static void compare_flags(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	struct quick q;

	x87_gate(c);
	if (masked(f) && full(f, 0) && full(f, in->op[2])) {
		memcpy(q.a, f->st[0], 16);
		memcpy(q.b, f->st[in->op[2]], 16);
		if (quick(f, quick_2_2, &q, NULL, (uint64_t)in->disp)) {
			pop_by(f, in->op[3]);
			finish(c, in, 0, FSW_C1);
			c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) |
				    (q.ah & (X86_ZF | X86_PF | X86_CF));
			return;
		}
	}
	x87_compare(c, in);
}

/* FSQRT, FRNDINT; op[3] = 1: FTST, FXAM, which only set condition codes. */
static void unary(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	struct quick q;

	x87_gate(c);
	if (masked(f) && full(f, 0)) {
		memcpy(q.a, f->st[0], 16);
		if (quick(f, quick_1_1, &q, NULL, in->imm)) {
			memcpy(f->st[0], q.a, 10);
			finish(c, in, q.sw, in->op[3] ? FSW_CODES : FSW_C1);
			return;
		}
	}
	x87_reg(c, in);
}

static void constant(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	struct quick q = { 0 };

	x87_gate(c);
	if (masked(f) && !full(f, 7) && quick(f, quick_0_1, &q, NULL, in->imm)) {
		push(f, q.a);
		finish(c, in, q.sw, FSW_C1);
		return;
	}
	x87_reg(c, in);
}

/* ---- moves: no flag can come of them, so the host is not asked ----------------------------- */

static void fld_sti(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	uint8_t v[16];

	x87_gate(c);
	if (!masked(f) || full(f, 7) || !full(f, in->op[2])) {
		x87_reg(c, in);
		return;
	}
	memcpy(v, f->st[in->op[2]], 16);
	push(f, v);
	finish(c, in, 0, FSW_C1);
}

static void fxch(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	uint8_t v[16];

	x87_gate(c);
	if (!masked(f) || !full(f, 0) || !full(f, in->op[2])) {
		x87_reg(c, in);
		return;
	}
	memcpy(v, f->st[0], 16);
	memcpy(f->st[0], f->st[in->op[2]], 16);
	memcpy(f->st[in->op[2]], v, 16);
	finish(c, in, 0, FSW_C1);
}

static void fst_sti(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);

	x87_gate(c);
	if (!masked(f) || !full(f, 0)) {
		x87_reg(c, in);
		return;
	}
	memmove(f->st[in->op[2]], f->st[0], 16);
	f->ftw = (uint8_t)(f->ftw | 1u << ((top_of(f) + in->op[2]) & 7));
	pop_by(f, in->op[3]);
	finish(c, in, 0, FSW_C1);
}

/* FCHS, FABS: op[3] is the sign to exclude. */
static void sign(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);

	x87_gate(c);
	if (!masked(f) || !full(f, 0)) {
		x87_reg(c, in);
		return;
	}
	f->st[0][9] = in->op[3] ? f->st[0][9] & 0x7f : f->st[0][9] ^ 0x80;
	finish(c, in, 0, FSW_C1);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void load(struct interp *c, const struct insn *in)
{
	struct fxsave *f = fx(c);
	uint8_t buf[16] = { 0 };
	struct quick q = { 0 };

	x87_gate(c);
	x87_wait(c);
	x87_fetch(c, in, buf);
	if (masked(f) && !full(f, 7) && quick(f, quick_0_1, &q, buf, in->imm)) {
		push(f, q.a);
		finish(c, in, q.sw, FSW_C1);
		return;
	}
	x87_load_full(c, in, buf);
}

/* op[3]: 0 arithmetic; 1, 2: FCOM, FCOMP, both by the stub of FCOM. */
static void arith_mem(struct interp *c, const struct insn *in)
{
	uint64_t stub = in->op[3] == 2 ? in->imm - 4 : in->imm;
	struct fxsave *f = fx(c);
	uint8_t buf[16] = { 0 };
	struct quick q;

	x87_gate(c);
	x87_wait(c);
	x87_fetch(c, in, buf);
	if (masked(f) && full(f, 0)) {
		memcpy(q.a, f->st[0], 16);
		if (quick(f, quick_1_1, &q, buf, stub)) {
			memcpy(f->st[0], q.a, 10);
			if (in->op[3] == 2)
				pop(f);
			finish(c, in, q.sw, in->op[3] ? FSW_CODES : FSW_C1);
			return;
		}
	}
	x87_load_full(c, in, buf);
}

/* Without pop the stub is still the next one, which pops: the host's stack must end empty. */
static void store(struct interp *c, const struct insn *in)
{
	uint64_t stub = in->op[3] ? in->imm : in->imm + 4;
	struct fxsave *f = fx(c);
	uint8_t buf[16] = { 0 };
	struct quick q;

	x87_gate(c);
	if (masked(f) && full(f, 0)) {
		memcpy(q.a, f->st[0], 16);
		if (quick(f, quick_1_0, &q, buf, stub)) {
			x87_put(c, in, buf);
			pop_by(f, in->op[3]);
			finish(c, in, q.sw, FSW_C1);
			return;
		}
	}
	x87_store(c, in);
}

/* ---- binding -------------------------------------------------------------------------------- */

static void quicken_d9(struct insn *out, unsigned modrm)
{
	if (modrm < 0xc8) {
		out->fn = fld_sti;
	} else if (modrm < 0xd0) {
		out->fn = fxch;
	} else if (modrm == 0xe0 || modrm == 0xe1) {
		out->fn = sign;
		out->op[3] = modrm & 1;
	} else if (modrm == 0xe4 || modrm == 0xe5) {
		out->fn = unary;
		out->op[3] = 1;
	} else if (modrm >= 0xe8 && modrm <= 0xee) {
		out->fn = constant;
	} else if (modrm == 0xfa || modrm == 0xfc) {
		out->fn = unary;
	}
}

static void quicken_compare(struct insn *out, unsigned op, unsigned modrm, unsigned pops)
{
	out->fn = compare_sti;
	out->disp = (int64_t)x87_reg_stub(op, modrm);
	out->op[3] = (uint8_t)pops;
}

/* OP: low three bits of the opcode. */
void x87_quicken_reg(struct insn *out, unsigned op, unsigned modrm)
{
	unsigned reg = modrm >> 3 & 7;

	out->op[2] = modrm & 7;
	if (op == 0 && (reg == 2 || reg == 3)) {
		quicken_compare(out, 0, 0xd1, reg == 3);
	} else if (op == 0) {
		out->fn = arith_to_st0;
		out->disp = (int64_t)x87_reg_stub(0, (modrm & 0xf8) | 1);
	} else if (op == 1) {
		quicken_d9(out, modrm);
	} else if ((op == 4 || op == 6) && reg != 2 && reg != 3) {
		out->fn = arith_to_sti;
		out->disp = (int64_t)x87_reg_stub(4, (modrm & 0xf8) | 1);
		out->op[3] = op == 6;
	} else if (op == 5 && (reg == 2 || reg == 3)) {
		out->fn = fst_sti;
		out->op[3] = reg == 3;
	} else if (op == 5 && (reg == 4 || reg == 5)) {
		quicken_compare(out, 5, 0xe1, reg == 5);
	} else if (op == 2 && modrm == 0xe9) {
		quicken_compare(out, 5, 0xe1, 2);
	} else if (op == 6 && modrm == 0xd9) {
		quicken_compare(out, 0, 0xd1, 2);
	} else if ((op == 3 || op == 7) && (reg == 5 || reg == 6)) {
		out->fn = compare_flags;
		out->disp = (int64_t)x87_reg_stub(3, (modrm & 0xf8) | 1);
		out->op[3] = op == 7;
	}
}

void x87_quicken_mem(struct insn *out, unsigned op, unsigned reg)
{
	if (!(op & 1)) {
		out->fn = arith_mem;
		out->op[3] = (uint8_t)(reg == 2 || reg == 3 ? reg - 1 : 0);
	} else if (out->fn == x87_store) {
		if (op == 7 && reg == 6)
			return;			/* FBSTP is slow anyhow */
		out->fn = store;
		out->op[3] = reg != 2;
	} else if (op != 7 || reg != 4) {
		out->fn = load;
	}
}
