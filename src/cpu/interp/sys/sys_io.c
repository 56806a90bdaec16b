/*
 * sys_io.c - IN, OUT, INS, OUTS
 *
 * A device read has effects, so INS first makes sure that its store cannot
 * fault.  REP runs a bounded piece and then lets the run loop look for
 * interrupts; registers are up to date after each element.
 *
 * Spec     [SDM 1] 18.5 protected-mode I/O; [SDM 2] IN, OUT, INS, OUTS;
 *          [SDM 3] 17.2.4 I/O breakpoints, 17.3.1.1 RF
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/sys/sys.h"

#define REP_CHUNK 256u

/* #GP(0) unless IOPL or the TSS's bitmap lets N bytes at PORT through. */
static void check_port(struct interp *c, uint16_t port, unsigned n)
{
	const struct cpu_seg *tr = &c->seg[CPU_TR];
	uint32_t at;
	uint16_t g_map, g_bits;

	if (interp_real(c) || (!interp_v86(c) && c->cpl <= sys_iopl(c)))
		return;
	if ((tr->attr & (SEG_TYPE & ~DT_BUSY)) != DT_TSS32 || tr->limit < 103)
		interp_gp(c);
	g_map = (uint16_t)interp_sys_load(c, tr->base + 102, 2);
	at = g_map + port / 8u;
	/* Two bytes are always read, as an access may straddle. */
	if (at + 1 > tr->limit)
		interp_gp(c);
	g_bits = (uint16_t)interp_sys_load(c, tr->base + at, 2);
	if (g_bits >> (port & 7) & ((1u << n) - 1))
		interp_gp(c);
}

/* Ports whose breakpoint is enabled trap after the instruction, a REP after the element. */
static void check_watch(struct interp *c, uint16_t port, unsigned n)
{
	if (likely(!(c->dr7 & 0xff)) || !(c->cr4 & X86_CR4_DE))
		return;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t len = (c->dr7 >> (18 + i * 4) & 3) + 1;	/* 1, 2, -, 4 */
		uint64_t at = c->dr[i] & ~(len - 1);

		if (!(c->dr7 >> (i * 2) & 3) || (c->dr7 >> (16 + i * 4) & 3) != 2)
			continue;
		if (port < at + len && at < (uint64_t)port + n) {
			c->watch_hit |= (uint8_t)(1u << i);
			c->stop = 1;
		}
	}
}

static uint64_t port_in(struct interp *c, uint16_t port, unsigned n)
{
	check_watch(c, port, n);
	return interp_client(c)->io_read(c->conf.self, port, n);
}

static void port_out(struct interp *c, uint16_t port, unsigned n, uint64_t v)
{
	check_watch(c, port, n);
	interp_client(c)->io_write(c->conf.self, port, n, v & (UINT64_MAX >> (64 - n * 8)));
}

/* op[0]: the port is DX, else imm. */
static uint16_t port_of(const struct interp *c, const struct insn *in)
{
	return in->op[0] ? (uint16_t)c->gpr[CPU_RDX] : (uint8_t)in->imm;
}

void sys_in(struct interp *c, const struct insn *in)
{
	uint16_t port = port_of(c, in);

	check_port(c, port, in->osz);
	reg_set(c, CPU_RAX, in->osz, port_in(c, port, in->osz));
}

void sys_out(struct interp *c, const struct insn *in)
{
	uint16_t port = port_of(c, in);

	check_port(c, port, in->osz);
	port_out(c, port, in->osz, reg_get(c, CPU_RAX, in->osz));
}

static void ins_one(struct interp *c, const struct insn *in)
{
	uint64_t off = reg_get(c, CPU_RDI, in->asz), step = in->osz;

	interp_probe_write(c, CPU_ES, off, in->osz);
	interp_store(c, CPU_ES, off, in->osz, port_in(c, (uint16_t)c->gpr[CPU_RDX], in->osz));
	reg_set(c, CPU_RDI, in->asz, c->rflags & X86_DF ? off - step : off + step);
}

static void outs_one(struct interp *c, const struct insn *in)
{
	uint64_t off = reg_get(c, CPU_RSI, in->asz), step = in->osz;
	uint64_t v = interp_load(c, in->seg, off, in->osz);

	port_out(c, (uint16_t)c->gpr[CPU_RDX], in->osz, v);
	reg_set(c, CPU_RSI, in->asz, c->rflags & X86_DF ? off - step : off + step);
}

static void string_io(struct interp *c, const struct insn *in,
		      void (*one)(struct interp *c, const struct insn *in))
{
	uint64_t left;

	check_port(c, (uint16_t)c->gpr[CPU_RDX], in->osz);
	if (!in->rep) {
		one(c, in);
		return;
	}
	left = reg_get(c, CPU_RCX, in->asz);
	for (unsigned i = 0; left && i < REP_CHUNK; i++) {
		one(c, in);
		reg_set(c, CPU_RCX, in->asz, --left);
		if (unlikely(c->watch_hit))
			break;
	}
	if (!left)
		return;
	c->next_rip = c->rip;
	if (unlikely(c->watch_hit))
		c->rflags |= X86_RF;
}

void sys_ins(struct interp *c, const struct insn *in)
{
	string_io(c, in, ins_one);
}

void sys_outs(struct interp *c, const struct insn *in)
{
	string_io(c, in, outs_one);
}
