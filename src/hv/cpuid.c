/*
 * cpuid.c - how a guest finds the hypervisor, and what it is offered
 *
 * Guests believe these words literally: whatever is announced here, some
 * guest uses without a second look and dies if it does not work.  So only
 * what works is announced.
 *
 * Spec     [TLFS] 2.4
 * Lock     partition (0x80000007 only)
 */
#include "hv/hv_priv.h"

#include <string.h>

#define LEAF_FIRST 0x40000000u
#define LEAF_LAST 0x4000000cu
#define LEAF_END 0x50000000u		/* all of them are the hypervisor's */

#define PRIVILEGES \
	(HV_PRIV_VP_RUNTIME | HV_PRIV_REF_COUNT | HV_PRIV_SYNIC | HV_PRIV_STIMER | \
	 HV_PRIV_INTR_CTRL | HV_PRIV_HYPERCALL | HV_PRIV_VP_INDEX | HV_PRIV_RESET | \
	 HV_PRIV_REF_TSC | HV_PRIV_FREQUENCY | HV_PRIV_TSC_INVARIANT)
#define PRIVILEGES_HIGH \
	(HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS | HV_PRIV_VP_REGISTERS)
#define FEATURES \
	(HV_FEAT_XMM_INPUT | HV_FEAT_FREQUENCY | HV_FEAT_CRASH | HV_FEAT_EXT_GVA_RANGES | \
	 HV_FEAT_XMM_OUTPUT | HV_FEAT_SINT_POLLING | HV_FEAT_HYPERCALL_LOCK | \
	 HV_FEAT_DIRECT_STIMER)
#define HINTS \
	(HV_HINT_REMOTE_FLUSH | HV_HINT_APIC_MSRS | HV_HINT_RELAXED_TIMING | \
	 HV_HINT_NO_AUTO_EOI | HV_HINT_CLUSTER_IPI | HV_HINT_EX_MASKS)
/* Tries before HvCallNotifyLongSpinWait, which gives our host thread away. */
#define SPINS 0xfffu

#define MAX_VPS 0x800u
#define MAX_LPS 0x800u

struct leaf {
	uint32_t leaf, r[4];
};

static const struct leaf leaves[] = {
	{ 0x40000000, { LEAF_LAST, 0x7263694d, 0x666f736f, 0x76482074 } },	/* "Microsoft Hv" */
	{ 0x40000001, { 0x31237648, 0, 0, 0 } },		/* "Hv#1" */
	{ 0x40000002, { 20348, 10u << 16, 0, 0 } },		/* 10.0, Server 2022's build */
	{ 0x40000003, { PRIVILEGES, PRIVILEGES_HIGH, 0, FEATURES } },
	{ 0x40000004, { HINTS, SPINS, 0, 0 } },			/* ECX: see below */
	{ 0x40000005, { MAX_VPS, MAX_LPS, 0, 0 } },
};

void hv_cpuid(struct hv *hv, unsigned vp, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	(void)vp, (void)sub;
	if (leaf == 1) {
		r[2] |= 1u << 31;		/* a hypervisor is present */
	} else if (leaf == 0x80000007) {
		pthread_mutex_lock(&hv->lock);
		if (hv->tsc_invariant != 0)
			r[3] |= 1u << 8;
		pthread_mutex_unlock(&hv->lock);
	} else if (leaf >= LEAF_FIRST && leaf < LEAF_END) {
		memset(r, 0, 4 * sizeof(r[0]));
		for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
			if (leaves[i].leaf == leaf)
				memcpy(r, leaves[i].r, sizeof(leaves[i].r));
		if (leaf == 0x40000003 && !hv->conf.invariant_tsc)
			r[0] &= ~HV_PRIV_TSC_INVARIANT;
		if (leaf == 0x40000004)
			r[2] = hv->conf.phys_bits & 0x7f;
		if (leaf == 0x40000004 && hv->conf.client->flush_tlb == NULL)
			r[0] &= ~HV_HINT_REMOTE_FLUSH;
	}
}
