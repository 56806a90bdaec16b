/*
 * sys_cr.c - control and debug registers
 *
 * Each bit of CR0, CR4 and EFER has its own rule about when it may change;
 * the order below is: reserved bits, combinations, then the commit with the
 * TLB flush that the manual promises for it.
 *
 * Spec     [SDM 3] 2.5 control registers, 4.1.2 mode transitions, 4.10.4.1
 *          invalidation, 9.8.5 entering IA-32e mode, 17.2 debug registers
 * Missing  a MOV to CR3 with bit 63 flushes although it need not: the TLB has
 *          no PCID tags
 * Lock     none: a vCPU's own thread
 */
#include "cpu/interp/mem_priv.h"
#include "cpu/interp/sys/sys.h"

#define CR0_KNOWN (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | \
		   X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define DR6_FIXED UINT64_C(0xffff0ff0)
#define DR6_FREE UINT64_C(0xe00f)
#define DR7_FIXED UINT64_C(0x400)
#define DR7_FREE UINT64_C(0xffff23ff)
#define DR7_GD UINT64_C(0x2000)
#define DR6_BD UINT64_C(0x2000)

/* ---- CR0, CR3, CR4 --------------------------------------------------------------------------- */

void sys_check_pdptes(struct interp *c, uint64_t cr3)
{
	uint64_t g_pdpte[4], reserved;

	if (interp_long(c))
		return;
	if (gmem_read(c->conf.mem, cr3 & 0xffffffe0, g_pdpte, sizeof(g_pdpte)) < 0)
		return;		/* no RAM there: reads as not present */
	reserved = ~((UINT64_C(1) << cpu_model_phys_bits(c->model)) - 1) | 0x1e6;
	for (unsigned i = 0; i < ARRAY_LEN(g_pdpte); i++)
		if ((g_pdpte[i] & X86_PTE_P) && (g_pdpte[i] & reserved))
			interp_gp(c);
}

static void cr0_check(struct interp *c, uint64_t v)
{
	bool enters = (v & X86_CR0_PG) && !(c->cr0 & X86_CR0_PG);
	bool leaves = !(v & X86_CR0_PG) && (c->cr0 & X86_CR0_PG);

	if (v >> 32)
		interp_gp(c);
	if ((v & X86_CR0_PG) && !(v & X86_CR0_PE))
		interp_gp(c);
	if ((v & X86_CR0_NW) && !(v & X86_CR0_CD))
		interp_gp(c);
	if (enters && (c->efer & X86_EFER_LME)) {
		unsigned tr = c->seg[CPU_TR].attr & SEG_TYPE;

		if (!(c->cr4 & X86_CR4_PAE) || c->seg[CPU_CS].attr & SEG_L ||
		    tr == DT_TSS16 || tr == DT_TSS16_BUSY)
			interp_gp(c);
	} else if ((v & X86_CR0_PG) && (c->cr4 & X86_CR4_PAE) &&
		   ((v ^ c->cr0) & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW))) {
		sys_check_pdptes(c, c->cr3);
	}
	if (leaves && (c->code64 || (c->cr4 & X86_CR4_PCIDE)))
		interp_gp(c);
}

void sys_write_cr0(struct interp *c, uint64_t v)
{
	uint64_t old = c->cr0;

	cr0_check(c, v);
	v = (v & CR0_KNOWN) | X86_CR0_ET;
	if ((v & X86_CR0_PG) && !(old & X86_CR0_PG) && (c->efer & X86_EFER_LME))
		c->efer |= X86_EFER_LMA;
	if (!(v & X86_CR0_PG))
		c->efer &= ~(uint64_t)X86_EFER_LMA;
	c->cr0 = v;
	if ((v ^ old) & (X86_CR0_PG | X86_CR0_PE | X86_CR0_WP))
		interp_tlb_flush(c, true);
	interp_mode_changed(c);
}

static void write_cr3(struct interp *c, uint64_t v)
{
	if (interp_long(c)) {
		if (c->cr4 & X86_CR4_PCIDE)
			v &= ~(UINT64_C(1) << 63);
		if (v >> cpu_model_phys_bits(c->model))
			interp_gp(c);
	} else {
		v = (uint32_t)v;
		if ((c->cr0 & X86_CR0_PG) && (c->cr4 & X86_CR4_PAE))
			sys_check_pdptes(c, v);
	}
	c->cr3 = v;
	interp_tlb_flush(c, false);
}

/* CR4 bits that the model offers. */
static uint64_t cr4_allowed(const struct interp *c)
{
	static const struct {
		uint64_t feat;
		uint32_t bits;
	} rows[] = {
		{ FEAT_TSC, X86_CR4_TSD },
		{ FEAT_DE, X86_CR4_DE },
		{ FEAT_PSE, X86_CR4_PSE },
		{ FEAT_PAE, X86_CR4_PAE },
		{ FEAT_MCE, X86_CR4_MCE },
		{ FEAT_PGE, X86_CR4_PGE },
		{ FEAT_FXSR, X86_CR4_OSFXSR },
		{ FEAT_SSE, X86_CR4_OSXMMEXCPT },
		{ FEAT_UMIP, X86_CR4_UMIP },
		{ FEAT_FSGSBASE, X86_CR4_FSGSBASE },
		{ FEAT_PCID, X86_CR4_PCIDE },
		{ FEAT_XSAVE, X86_CR4_OSXSAVE },
		{ FEAT_SMEP, X86_CR4_SMEP },
		{ FEAT_SMAP, X86_CR4_SMAP },
		{ FEAT_PKU, X86_CR4_PKE },
		{ FEAT_PKS, X86_CR4_PKS },
	};
	uint64_t allowed = X86_CR4_PCE;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		if (sys_has(c, rows[i].feat))
			allowed |= rows[i].bits;
	return allowed;
}

static void cr4_check(struct interp *c, uint64_t v)
{
	uint64_t changed = v ^ c->cr4;
	uint64_t paging = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;

	if ((changed & v) & ~cr4_allowed(c))
		interp_gp(c);
	if (interp_long(c) && !(v & X86_CR4_PAE))
		interp_gp(c);
	if ((changed & v & X86_CR4_PCIDE) && (!interp_long(c) || (c->cr3 & 0xfff)))
		interp_gp(c);
	if ((c->cr0 & X86_CR0_PG) && (changed & paging) && (v & X86_CR4_PAE))
		sys_check_pdptes(c, c->cr3);
}

static void write_cr4(struct interp *c, uint64_t v)
{
	uint64_t flushing = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE |
			    X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_PKS;
	uint64_t old = c->cr4;

	cr4_check(c, v);
	c->cr4 = v;
	c->cpuid_seq++;
	if ((v ^ old) & flushing)
		interp_tlb_flush(c, true);
	interp_mode_changed(c);
}

void sys_write_efer(struct interp *c, uint64_t v)
{
	uint64_t allowed = X86_EFER_LMA, changed;

	if (sys_has(c, FEAT_SYSCALL))
		allowed |= X86_EFER_SCE;
	if (sys_has(c, FEAT_LM))
		allowed |= X86_EFER_LME;
	if (sys_has(c, FEAT_NX) && !(c->misc_enable & MISC_XD_DISABLE))
		allowed |= X86_EFER_NXE;
	if (v & ~allowed)
		interp_gp(c);
	/* LMA is the processor's; what is written there is dropped. */
	v = (v & ~(uint64_t)X86_EFER_LMA) | (c->efer & X86_EFER_LMA);
	changed = v ^ c->efer;
	if ((changed & X86_EFER_LME) && (c->cr0 & X86_CR0_PG))
		interp_gp(c);
	c->efer = v;
	if (changed & X86_EFER_NXE)
		interp_tlb_flush(c, true);
	interp_mode_changed(c);
}

/* in->reg is the control register, in->rm the GPR; osz is 4 or 8. */
void sys_mov_from_cr(struct interp *c, const struct insn *in)
{
	uint64_t v;

	sys_need_cpl0(c);
	switch (in->reg) {
	case 0:
		v = c->cr0;
		break;
	case 2:
		v = c->cr2;
		break;
	case 3:
		v = c->cr3;
		break;
	case 4:
		v = c->cr4;
		break;
	case 8:
		v = interp_client(c)->tpr_get(c->conf.self) & 0xf;
		break;
	default:
		interp_ud(c);
	}
	reg_set(c, in->rm, in->osz, v);
}

void sys_mov_to_cr(struct interp *c, const struct insn *in)
{
	uint64_t v = reg_get(c, in->rm, in->osz);

	sys_need_cpl0(c);
	switch (in->reg) {
	case 0:
		sys_write_cr0(c, v);
		break;
	case 2:
		c->cr2 = v;
		break;
	case 3:
		write_cr3(c, v);
		break;
	case 4:
		write_cr4(c, v);
		break;
	case 8:
		if (v >> 4)
			interp_gp(c);
		interp_client(c)->tpr_set(c->conf.self, (uint8_t)v);
		break;
	default:
		interp_ud(c);
	}
}

void sys_lmsw(struct interp *c, const struct insn *in)
{
	uint64_t v;

	sys_need_cpl0(c);
	v = in->mem ? interp_load(c, in->seg, insn_ea(c, in), 2) : c->gpr[in->rm];
	/* PE, MP, EM and TS only, and PE only upwards. */
	sys_write_cr0(c, (c->cr0 & ~UINT64_C(0xe)) | (v & 0xf));
}

void sys_smsw(struct interp *c, const struct insn *in)
{
	if ((c->cr4 & X86_CR4_UMIP) && c->cpl > 0)
		interp_gp(c);
	if (in->mem)
		interp_store(c, in->seg, insn_ea(c, in), 2, (uint16_t)c->cr0);
	else
		reg_set(c, in->rm, in->osz, c->cr0);
}

void sys_clts(struct interp *c, const struct insn *in)
{
	(void)in;
	sys_need_cpl0(c);
	c->cr0 &= ~(uint64_t)X86_CR0_TS;
}

/* ---- TLB and caches ---------------------------------------------------------------------------- */

void sys_invlpg(struct interp *c, const struct insn *in)
{
	uint64_t lin;

	sys_need_cpl0(c);
	lin = insn_ea(c, in);
	if (!c->code64)
		lin = (uint32_t)(lin + c->seg[in->seg].base);
	else if (in->seg >= CPU_FS)
		lin += c->seg[in->seg].base;
	if (sys_canonical(c, lin))
		interp_tlb_invlpg(c, lin);
}

void sys_invpcid(struct interp *c, const struct insn *in)
{
	uint64_t g_desc[2], type;

	sys_need_cpl0(c);
	interp_load_n(c, in->seg, insn_ea(c, in), g_desc, sizeof(g_desc));
	type = reg_get(c, in->reg, c->code64 ? 8 : 4);
	if (type > 3 || g_desc[0] >> 12)
		interp_gp(c);
	if (type < 2 && !(c->cr4 & X86_CR4_PCIDE) && (g_desc[0] & 0xfff))
		interp_gp(c);
	if (type == 0 && !sys_canonical(c, g_desc[1]))
		interp_gp(c);
	/*
	 * The TLB has no tags and a MOV to CR3 always flushes, so it never holds
	 * what belongs to another PCID; dropping more than was asked is allowed.
	 */
	if (type == 0)
		interp_tlb_invlpg(c, g_desc[1]);
	else
		interp_tlb_flush(c, type == 2);
}

/* INVD, WBINVD, WBNOINVD: guest RAM is coherent. */
void sys_wbinvd(struct interp *c, const struct insn *in)
{
	(void)in;
	sys_need_cpl0(c);
}

/* ---- debug registers ----------------------------------------------------------------------------- */

/* DR4 and DR5 are DR6 and DR7 until CR4.DE; GD lets nobody in. */
static unsigned dr_number(struct interp *c, const struct insn *in)
{
	unsigned nr = in->reg;

	if (nr >= 8 || ((nr == 4 || nr == 5) && (c->cr4 & X86_CR4_DE)))
		interp_ud(c);
	sys_need_cpl0(c);
	if (c->dr7 & DR7_GD) {
		c->dr6 |= DR6_BD;
		c->rflags |= X86_RF;		/* a fault: the pushed image has RF */
		interp_raise(c, X86_DB);
	}
	return nr == 4 || nr == 5 ? nr + 2 : nr;
}

void sys_mov_from_dr(struct interp *c, const struct insn *in)
{
	unsigned nr = dr_number(c, in);

	reg_set(c, in->rm, in->osz, nr < 4 ? c->dr[nr] : nr == 6 ? c->dr6 : c->dr7);
}

void sys_mov_to_dr(struct interp *c, const struct insn *in)
{
	unsigned nr = dr_number(c, in);
	uint64_t v = reg_get(c, in->rm, in->osz);

	if (nr >= 6 && v >> 32)
		interp_gp(c);
	if (nr < 4)
		c->dr[nr] = v;
	else if (nr == 6)
		c->dr6 = (v & DR6_FREE) | DR6_FIXED;
	else
		c->dr7 = (v & DR7_FREE) | DR7_FIXED;
	/* Before the next instruction runs, whoever runs it. */
	if (nr == 7 || (nr < 4 && (c->dr7 & 0xff) != 0))
		interp_debug_changed(c);
}
