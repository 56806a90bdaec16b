/*
 * calls.c - what each hypercall does
 *
 * Two of them carry all of VMBus (post a message, signal an event), six spare
 * the guest a round of interrupts for TLB flushes and IPIs, the rest is small
 * change.  A flush here always drops all of a VP's translations: legal for
 * any request, and the address lists need not be believed.
 *
 * Spec     [TLFS] appendix B call codes; 9.4 flushes, 10.5 IPIs, 11.11 messages and events
 * Missing  virtual secure mode, partition and port management, debugger
 *          channels, device interrupts, extended calls: denied, not announced
 * Lock     none
 */
#include "hv/hv_priv.h"

#include <sched.h>
#include <string.h>

enum { VPSET_SPARSE = 0, VPSET_ALL = 1 };

struct vp_action {
	void (*fn)(struct hv *hv, unsigned vp, uint8_t vector);
	uint8_t vector;
};

/* Bits past the last VP name nobody, and nothing is done to nobody. */
static void do_mask(struct hv_ctx *c, uint64_t base, uint64_t mask, const struct vp_action *a)
{
	for (uint64_t vp = base; mask != 0 && vp < c->hv->conf.nr_vps; vp++, mask >>= 1)
		if ((mask & 1) != 0)
			a->fn(c->hv, (unsigned)vp, a->vector);
}

static void do_all(struct hv_ctx *c, const struct vp_action *a)
{
	for (unsigned vp = 0; vp < c->hv->conf.nr_vps; vp++)
		a->fn(c->hv, vp, a->vector);
}

/* The set's banks are the variable header, one qword for each valid bit. */
static uint16_t do_set(struct hv_ctx *c, const struct hv_vpset *set, size_t banks_at,
		       const struct vp_action *a)
{
	uint64_t valid = le64_get(set->valid);

	if (le64_get(set->format) == VPSET_ALL) {
		do_all(c, a);
		return HV_SUCCESS;
	}
	if (le64_get(set->format) != VPSET_SPARSE)
		return HV_INVALID_PARAMETER;
	if ((unsigned)__builtin_popcountll(valid) * 8 != c->var_len)
		return HV_INVALID_HYPERCALL_INPUT;
	for (unsigned bank = 0; valid >> bank != 0; bank++) {
		if ((valid >> bank & 1) != 0) {
			do_mask(c, bank * UINT64_C(64), ld64(c->in + banks_at), a);
			banks_at += 8;
		}
		if (bank == 63)
			break;
	}
	return HV_SUCCESS;
}

static void flush_one(struct hv *hv, unsigned vp, uint8_t vector)
{
	(void)vector;
	hv->conf.client->flush_tlb(hv->conf.self, vp);
}

static const struct vp_action flush = { .fn = flush_one };

static bool flush_flags_ok(uint64_t flags)
{
	return (flags & ~(uint64_t)(HV_FLUSH_ALL_VPS | HV_FLUSH_ALL_SPACES | HV_FLUSH_NON_GLOBAL |
				    HV_FLUSH_EXT_RANGES)) == 0;
}

static uint16_t call_flush(struct hv_ctx *c)
{
	struct hv_in_flush in;

	if (c->hv->conf.client->flush_tlb == NULL)
		return HV_ACCESS_DENIED;
	memcpy(&in, c->in, sizeof(in));
	if (!flush_flags_ok(le64_get(in.flags)))
		return HV_INVALID_PARAMETER;
	if ((le64_get(in.flags) & HV_FLUSH_ALL_VPS) != 0)
		do_all(c, &flush);
	else
		do_mask(c, 0, le64_get(in.vps), &flush);
	c->done = c->reps;
	return HV_SUCCESS;
}

static uint16_t call_flush_ex(struct hv_ctx *c)
{
	struct hv_in_flush_ex in;
	uint16_t status = HV_SUCCESS;

	if (c->hv->conf.client->flush_tlb == NULL)
		return HV_ACCESS_DENIED;
	memcpy(&in, c->in, sizeof(in));
	if (!flush_flags_ok(le64_get(in.flags)))
		return HV_INVALID_PARAMETER;
	if ((le64_get(in.flags) & HV_FLUSH_ALL_VPS) != 0)
		do_all(c, &flush);
	else
		status = do_set(c, &in.set, sizeof(in), &flush);
	if (status == HV_SUCCESS)
		c->done = c->reps;
	return status;
}

static uint16_t call_long_spin(struct hv_ctx *c)
{
	(void)c;
	sched_yield();
	return HV_SUCCESS;
}

static void ipi_one(struct hv *hv, unsigned vp, uint8_t vector)
{
	hv->conf.client->raise(hv->conf.self, vp, vector, false);
}

static bool ipi_ok(uint32_t vector, uint8_t vtl)
{
	/* VTL: none given, or the only one there is. */
	return vector >= HV_MIN_VECTOR && vector <= 0xff && (vtl == 0 || vtl == 0x10);
}

static uint16_t call_ipi(struct hv_ctx *c)
{
	struct vp_action ipi = { .fn = ipi_one };
	struct hv_in_ipi in;

	memcpy(&in, c->in, sizeof(in));
	if (!ipi_ok(le32_get(in.vector), in.vtl))
		return HV_INVALID_PARAMETER;
	ipi.vector = (uint8_t)le32_get(in.vector);
	do_mask(c, 0, le64_get(in.vps), &ipi);
	return HV_SUCCESS;
}

static uint16_t call_ipi_ex(struct hv_ctx *c)
{
	struct vp_action ipi = { .fn = ipi_one };
	struct hv_in_ipi_ex in;

	memcpy(&in, c->in, sizeof(in));
	if (!ipi_ok(le32_get(in.vector), in.vtl))
		return HV_INVALID_PARAMETER;
	ipi.vector = (uint8_t)le32_get(in.vector);
	return do_set(c, &in.set, sizeof(in), &ipi);
}

static uint16_t call_post(struct hv_ctx *c)
{
	const struct hv_conf *conf = &c->hv->conf;
	struct hv_in_post in;

	memcpy(&in, c->in, sizeof(in));
	if (le32_get(in.size) > HV_MSG_PAYLOAD || le32_get(in.type) == 0 ||
	    (le32_get(in.type) & HV_MSG_HYPERVISOR) != 0)
		return HV_INVALID_PARAMETER;
	if (conf->port == NULL || le32_get(in.conn) >> 24 != 0)
		return HV_INVALID_CONNECTION_ID;
	return conf->port->post(conf->self, c->vp->index, le32_get(in.conn), le32_get(in.type),
				in.payload, le32_get(in.size));
}

static uint16_t call_signal(struct hv_ctx *c)
{
	const struct hv_conf *conf = &c->hv->conf;
	struct hv_in_signal in;

	memcpy(&in, c->in, sizeof(in));
	if (le16_get(in.flag) >= HV_NR_FLAGS || le16_get(in.reserved) != 0)
		return HV_INVALID_PARAMETER;
	if (conf->port == NULL || le32_get(in.conn) >> 24 != 0)
		return HV_INVALID_CONNECTION_ID;
	return conf->port->signal(conf->self, le32_get(in.conn), le16_get(in.flag));
}

/* Registers by name are the MSRs under other numbers, and CPUID leaves. */
struct reg_row {
	uint32_t name, count;
	uint32_t msr;			/* 0: a CPUID leaf instead */
	uint32_t leaf;
};

static const struct reg_row reg_rows[] = {
	{ 0x00000100, 1, 0, 0x40000002 },		/* hypervisor version */
	{ 0x00000200, 4, 0, 0x40000003 },		/* privileges, features, limits, hardware */
	{ 0x00000210, HV_NR_CRASH_PARAMS, HV_MSR_CRASH_P0, 0 },
	{ 0x00000215, 1, HV_MSR_CRASH_CTL, 0 },
	{ 0x00090000, 1, HV_MSR_VP_RUNTIME, 0 },
	{ 0x00090001, 1, HV_MSR_HYPERCALL, 0 },
	{ 0x00090002, 1, HV_MSR_GUEST_OS_ID, 0 },
	{ 0x00090003, 1, HV_MSR_VP_INDEX, 0 },
	{ 0x00090004, 1, HV_MSR_REF_COUNT, 0 },
	{ 0x00090013, 1, HV_MSR_VP_ASSIST, 0 },
	{ 0x00090017, 1, HV_MSR_REF_TSC, 0 },
	{ 0x000a0000, HV_NR_SINTS, HV_MSR_SINT0, 0 },
	{ 0x000a0010, 1, HV_MSR_SCONTROL, 0 },
	{ 0x000a0011, 1, HV_MSR_SVERSION, 0 },
	{ 0x000a0012, 1, HV_MSR_SIEFP, 0 },
	{ 0x000a0013, 1, HV_MSR_SIMP, 0 },
	{ 0x000a0014, 1, HV_MSR_EOM, 0 },
	{ 0x000b0000, 2 * HV_NR_STIMERS, HV_MSR_STIMER0_CONFIG, 0 },
};

static const struct reg_row *reg_find(uint32_t name)
{
	for (size_t i = 0; i < ARRAY_LEN(reg_rows); i++)
		if (name - reg_rows[i].name < reg_rows[i].count)
			return &reg_rows[i];
	return NULL;
}

/* This partition, this VP, the one VTL; others' registers are not ours to show. */
static uint16_t check_regs(const struct hv_ctx *c)
{
	struct hv_in_regs in;
	uint32_t vp;

	memcpy(&in, c->in, sizeof(in));
	vp = le32_get(in.vp);
	if (le64_get(in.partition) != HV_PARTITION_SELF)
		return HV_INVALID_PARTITION_ID;
	if (in.vtl != 0 && in.vtl != 0x10)
		return HV_INVALID_PARAMETER;
	if (vp == HV_VP_SELF || vp == c->vp->index)
		return HV_SUCCESS;
	return vp < c->hv->conf.nr_vps ? HV_ACCESS_DENIED : HV_INVALID_VP_INDEX;
}

static uint16_t reg_get(struct hv_ctx *c, uint32_t name, uint8_t out[16])
{
	const struct reg_row *row = reg_find(name);
	uint64_t val = 0;

	memset(out, 0, 16);
	if (row == NULL)
		return HV_UNKNOWN_REGISTER_NAME;
	if (row->msr == 0) {
		uint32_t r[4] = { 0 };

		hv_cpuid(c->hv, c->vp->index, row->leaf + (name - row->name), 0, r);
		memcpy(out, r, 16);
		return HV_SUCCESS;
	}
	if (hv_msr_read(c->hv, c->vp->index, row->msr + (name - row->name), &val) < 0)
		return HV_ACCESS_DENIED;
	st64(out, val);
	return HV_SUCCESS;
}

static uint16_t call_get_regs(struct hv_ctx *c)
{
	uint16_t status = check_regs(c);

	while (status == HV_SUCCESS && c->done < c->reps) {
		const uint8_t *name = c->in + sizeof(struct hv_in_regs) + c->done * 4;

		status = reg_get(c, ld32(name), c->out + c->done * 16);
		if (status == HV_SUCCESS)
			c->done++;
	}
	return status;
}

static uint16_t reg_set(struct hv_ctx *c, const struct hv_in_set_reg *in)
{
	uint32_t name = le32_get(in->name);
	const struct reg_row *row = reg_find(name);
	uint64_t old;

	if (row == NULL)
		return HV_UNKNOWN_REGISTER_NAME;
	if (row->msr == 0)
		return HV_ACCESS_DENIED;
	if (hv_msr_write(c->hv, c->vp->index, row->msr + (name - row->name),
			 le64_get(in->value)) == 0)
		return HV_SUCCESS;
	/* Refused for its value, or because it is read-only? */
	if (row->msr == HV_MSR_VP_INDEX || row->msr == HV_MSR_VP_RUNTIME ||
	    row->msr == HV_MSR_REF_COUNT || row->msr == HV_MSR_SVERSION)
		return HV_ACCESS_DENIED;
	return hv_msr_read(c->hv, c->vp->index, row->msr, &old) == 0 ?
	       HV_INVALID_REGISTER_VALUE : HV_ACCESS_DENIED;
}

static uint16_t call_set_regs(struct hv_ctx *c)
{
	uint16_t status = check_regs(c);
	struct hv_in_set_reg in;

	while (status == HV_SUCCESS && c->done < c->reps) {
		memcpy(&in, c->in + sizeof(struct hv_in_regs) + c->done * sizeof(in), sizeof(in));
		status = reg_set(c, &in);
		if (status == HV_SUCCESS)
			c->done++;
	}
	return status;
}

static const struct hv_call_row rows[] = {
	/* code, flags, input, input and output per element */
	{ HV_CALL_SIGNAL_EVENT, 0, sizeof(struct hv_in_signal), 0, 0, call_signal },
	{ HV_CALL_POST_MESSAGE, CALL_SLOW, sizeof(struct hv_in_post), 0, 0, call_post },
	{ HV_CALL_FLUSH_SPACE, 0, sizeof(struct hv_in_flush), 0, 0, call_flush },
	{ HV_CALL_FLUSH_LIST, CALL_REP, sizeof(struct hv_in_flush), 8, 0, call_flush },
	{ HV_CALL_LONG_SPIN, 0, 8, 0, 0, call_long_spin },
	{ HV_CALL_IPI, 0, sizeof(struct hv_in_ipi), 0, 0, call_ipi },
	{ HV_CALL_FLUSH_SPACE_EX, CALL_VAR, sizeof(struct hv_in_flush_ex), 0, 0, call_flush_ex },
	{ HV_CALL_FLUSH_LIST_EX, CALL_VAR | CALL_REP, sizeof(struct hv_in_flush_ex), 8, 0,
	  call_flush_ex },
	{ HV_CALL_IPI_EX, CALL_VAR, sizeof(struct hv_in_ipi_ex), 0, 0, call_ipi_ex },
	{ HV_CALL_GET_VP_REGS, CALL_REP, sizeof(struct hv_in_regs), 4, 16, call_get_regs },
	{ HV_CALL_SET_VP_REGS, CALL_REP, sizeof(struct hv_in_regs), sizeof(struct hv_in_set_reg),
	  0, call_set_regs },
	/* For privileges this partition does not have. */
	{ .code = 0x0c }, { .code = 0x0d }, { .code = 0x0f }, { .code = 0x11 }, { .code = 0x12 },
	{ .code = 0x44 }, { .code = 0x46 }, { .code = 0x52 }, { .code = 0x69 }, { .code = 0x6a },
	{ .code = 0x6b }, { .code = 0x7c }, { .code = 0x7d }, { .code = 0x7e }, { .code = 0x99 },
	{ .code = 0x9a }, { .code = 0xac }, { .code = 0xaf }, { .code = 0xb0 }, { .code = 0xc0 },
	{ .code = 0xc1 }, { .code = 0x8001 }, { .code = 0x8002 }, { .code = 0x8003 },
};

const struct hv_call_row *hv_call_find(uint16_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}
