/*
 * system.c - system instructions that are too frequent for a handler
 *
 * Bits of RFLAGS are set and cleared by PEXT, PDEP and LEA, which leave the
 * arithmetic flags alone: these are in the host's register.
 *
 * Spec     [SDM 2] CLI, STI, PUSHF, STAC, CLAC, SWAPGS, CPUID, RDTSC,
 *          RDTSCP
 * Lock     none
 */
#include "cpu/bt/xl.h"

static void keep_bits(struct em *e, int reg, const uint64_t *mask)
{
	e_pext(e, reg, reg, m_abs(mask));
	e_vex(e, 2, 3, 0xf5, reg, reg, m_abs(mask));	/* pdep */
}

static void clear_flag(struct xl *x, const uint64_t *others)
{
	e_load(&x->e, T0, m_abs(&x->b->c.rflags));
	keep_bits(&x->e, T0, others);
	e_store(&x->e, m_abs(&x->b->c.rflags), T0);
}

static void set_flag(struct xl *x, const uint64_t *others, int32_t flag)
{
	e_load(&x->e, T0, m_abs(&x->b->c.rflags));
	keep_bits(&x->e, T0, others);
	e_lea(&x->e, T0, m_at(T0, flag));
	e_store(&x->e, m_abs(&x->b->c.rflags), T0);
}

/*
 * With an interrupt waiting the handler does it, with its shadow.  Else nothing
 * can be delivered before the next look at the events, and no shadow is needed.
 */
static void sys_sti(struct xl *x, const struct scan_insn *i)
{
	struct em *e = &x->e;
	struct bt_site *site = xl_site(x, SITE_INTERP, i);

	e_names(e, T1);				/* the gate does not keep it */

	e8(e, 0x0f);				/* movzx ecx, byte */
	e8(e, 0xb6);
	e_modrm_mem(e, T0, m_abs(&x->b->c.irq_wait));
	xl_stub(x, e_jmp_unless_rcx_zero(e), site, NULL);
	set_flag(x, &x->b->mask_not_if, X86_IF);
	site->go = em_rx(e);
}

static void sys_pushfq(struct xl *x, const struct scan_insn *i)
{
	struct em *e = &x->e;
	struct bt_site *site;

	e_mov(e, T1, H_RSP);			/* which is the guest's */
	e_load(e, H_RSP, m_abs(&x->b->host_rsp));
	e8(e, 0x9c);				/* pushfq; pop rcx */
	e8(e, 0x59);
	e_mov(e, H_RSP, T1);
	keep_bits(e, T0, &x->b->mask_arith);
	e_load(e, T1, m_abs(&x->b->c.rflags));
	keep_bits(e, T1, &x->b->mask_pushed);
	e_lea(e, T0, m_sum(T0, T1, 0));
	e_store(e, m_abs(&x->b->tmp), T0);
	site = xl_check(x, i, &i->stk, true);
	e_load(e, T0, m_abs(&x->b->tmp));
	e_store(e, m_sum(xl_host(x, CPU_RSP), T1, -8), T0);
	e_lea(e, xl_host(x, CPU_RSP), m_at(xl_host(x, CPU_RSP), -8));
	site->after = em_rx(e);
}

static void sys_swapgs(struct xl *x)
{
	struct em *e = &x->e;

	e_load(e, T0, m_abs(&x->b->c.seg[CPU_GS].base));
	e_load(e, T1, m_abs(&x->b->c.kernel_gs_base));
	e_store(e, m_abs(&x->b->c.seg[CPU_GS].base), T1);
	e_store(e, m_abs(&x->b->c.kernel_gs_base), T0);
}

/* RDX:RAX += the offset, with the upper halves zero; T0 is destroyed. */
static void add_tsc_offset(struct xl *x, bool quiet)
{
	const uint8_t *offset = (const uint8_t *)&x->b->c.tsc_offset;
	struct em *e = &x->e;

	if (!quiet) {
		e_rm(e, false, 0x03, H_RAX, m_abs(offset));		/* add */
		e_rm(e, false, 0x13, H_RDX, m_abs(offset + 4));		/* adc */
		return;
	}
	e_rorx(e, H_RDX, H_RDX, 32);
	e_load(e, T0, m_abs(offset));
	e_lea(e, H_RAX, m_sum(H_RAX, H_RDX, 0));
	e_lea(e, H_RAX, m_sum(H_RAX, T0, 0));
	e_rorx(e, H_RDX, H_RAX, 32);
	e_rr(e, false, 0x89, H_RDX, H_RDX);
	e_rr(e, false, 0x89, H_RAX, H_RAX);
}

static void sys_rdtsc(struct xl *x, bool aux, bool quiet)
{
	struct em *e = &x->e;

	if (aux)
		e8(e, 0x0f), e8(e, 0x01), e8(e, 0xf9);
	else
		e8(e, 0x0f), e8(e, 0x31);
	add_tsc_offset(x, quiet);
	if (aux)
		e_rm(e, false, 0x8b, xl_host(x, CPU_RCX), m_abs(&x->b->c.tsc_aux));
}

/* Off the way when the value of REG is not the one at A, or at NOT_A its negative. */
static void check_word(struct xl *x, int reg, const uint32_t *a, const uint32_t *not_a, bool quiet,
		       struct bt_site *site)
{
	struct em *e = &x->e;

	if (quiet) {
		e_rm(e, false, 0x8b, T0, m_abs(not_a));
		e_lea32(e, T0, m_sum(T0, reg, 0));
		xl_stub(x, e_jmp_unless_rcx_zero(e), site, NULL);
	} else {
		e_rm(e, false, 0x3b, reg, m_abs(a));
		xl_stub(x, e_jcc(e, CC_NZ), site, NULL);
	}
}

/* The same question as last time at this place has the same answer: see bt_cpuid. */
static void sys_cpuid(struct xl *x, const struct scan_insn *i)
{
	struct bt_cpuid *k = bt_alloc(x->b, sizeof(*k));
	struct bt_site *site = xl_site(x, SITE_INTERP, i);
	struct em *e = &x->e;
	bool quiet = i->live != 0;

	*k = (struct bt_cpuid){ .seq = x->b->c.cpuid_seq - 1 };
	site->cpuid = k;
	site->ends = false;		/* the block goes on */
	e_names(e, T1);
	check_word(x, H_RAX, &k->leaf, &k->not_leaf, quiet, site);
	check_word(x, xl_host(x, CPU_RCX), &k->sub, &k->not_sub, quiet, site);
	e_rm(e, false, 0x8b, T1, m_abs(&x->b->c.cpuid_seq));
	check_word(x, T1, &k->seq, &k->not_seq, quiet, site);
	e_rm(e, false, 0x8b, H_RAX, m_abs(&k->r[0]));
	e_rm(e, false, 0x8b, H_RBX, m_abs(&k->r[1]));
	e_rm(e, false, 0x8b, xl_host(x, CPU_RCX), m_abs(&k->r[2]));
	e_rm(e, false, 0x8b, H_RDX, m_abs(&k->r[3]));
	site->go = em_rx(e);
}

void xl_system(struct xl *x, const struct scan_insn *i)
{
	switch (i->in.mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
		clear_flag(x, &x->b->mask_not_if);
		break;
	case ZYDIS_MNEMONIC_STI:
		sys_sti(x, i);
		break;
	case ZYDIS_MNEMONIC_PUSHFQ:
		sys_pushfq(x, i);
		break;
	case ZYDIS_MNEMONIC_CPUID:
		sys_cpuid(x, i);
		break;
	case ZYDIS_MNEMONIC_SWAPGS:
		sys_swapgs(x);
		break;
	case ZYDIS_MNEMONIC_CLAC:
		clear_flag(x, &x->b->mask_not_ac);
		xl_exit(x, e_jmp(&x->e), i->next, i)->to_mode = (uint8_t)(x->mode & ~(unsigned)BT_AC);
		break;
	case ZYDIS_MNEMONIC_STAC:
		set_flag(x, &x->b->mask_not_ac, X86_AC);
		xl_exit(x, e_jmp(&x->e), i->next, i)->to_mode = (uint8_t)(x->mode | BT_AC);
		break;
	default:
		sys_rdtsc(x, i->in.mnemonic == ZYDIS_MNEMONIC_RDTSCP, i->live != 0);
	}
}
