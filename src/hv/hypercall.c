/*
 * hypercall.c - from registers to a call and back
 *
 * Every call is a control word, a block of input and perhaps one of output.
 * The blocks lie in memory (within one page each) or, for a fast call, in
 * registers.  Here they become two plain arrays; what they mean is in calls.c.
 *
 * A call that repeats is finished in one go, at most 4095 elements and never
 * more than a page of input, so no guest has to resume one.
 *
 * Spec     [TLFS] 3.4 to 3.11
 * Lock     none
 */
#include "hv/hv_priv.h"

#include <string.h>

#define GPR_BYTES 16u
#define FAST_BYTES 112u			/* two registers, then XMM0 to XMM5 */

/* The registers of a call, whichever half of the processor made it. */
struct regs {
	uint64_t control, in, out;
};

static uint64_t pair(uint64_t high, uint64_t low)
{
	return high << 32 | (uint32_t)low;
}

static struct regs regs_get(const struct hv_call *call)
{
	const uint64_t *g = call->gpr;

	if (call->long_mode)
		return (struct regs){ g[1], g[2], g[8] };	/* RCX, RDX, R8 */
	return (struct regs){
		.control = pair(g[2], g[0]),	/* EDX:EAX */
		.in = pair(g[3], g[1]),		/* EBX:ECX */
		.out = pair(g[7], g[6]),	/* EDI:ESI */
	};
}

static void result_set(struct hv_call *call, uint16_t status, unsigned done)
{
	uint64_t result = pair(done, status);

	if (call->long_mode) {
		call->gpr[0] = result;
	} else {
		call->gpr[0] = (uint32_t)result;
		call->gpr[2] = result >> 32;
	}
}

static uint16_t check_control(const struct hv_call_row *row, uint64_t control)
{
	unsigned reps = HV_CTL_REPS(control), start = HV_CTL_REP_START(control);

	if ((control & HV_CTL_RESERVED) != 0)
		return HV_INVALID_HYPERCALL_INPUT;
	if ((row->flags & CALL_REP) != 0 ? start >= reps : (reps | start) != 0)
		return HV_INVALID_HYPERCALL_INPUT;
	if (HV_CTL_VAR_QWORDS(control) != 0 && (row->flags & CALL_VAR) == 0)
		return HV_INVALID_HYPERCALL_INPUT;
	return HV_SUCCESS;
}

/* Where in the registers output starts: after input, to the next pair. */
static size_t fast_out(const struct hv_ctx *c)
{
	return align_up(c->in_len, 16);
}

static uint16_t fast_get(struct hv_ctx *c, const struct hv_call *call, const struct regs *r,
			 size_t out_len)
{
	size_t used = out_len == 0 ? c->in_len : fast_out(c) + out_len;

	if (used > FAST_BYTES || (used > GPR_BYTES && call->xmm == NULL))
		return HV_INVALID_HYPERCALL_INPUT;
	st64(c->in, r->in);
	st64(c->in + 8, r->out);
	if (used > GPR_BYTES)
		memcpy(c->in + GPR_BYTES, call->xmm, FAST_BYTES - GPR_BYTES);
	return HV_SUCCESS;
}

/* Output never reaches the general registers: every call that has any has input too. */
static void fast_put(const struct hv_ctx *c, struct hv_call *call, size_t from, size_t to)
{
	size_t at = fast_out(c) - GPR_BYTES;

	BUG_IF(c->in_len == 0);
	memcpy((uint8_t *)call->xmm + at + from, c->out + from, to - from);
}

static uint16_t check_block(const struct hv_ctx *c, uint64_t gpa, size_t len)
{
	if (len == 0)
		return HV_SUCCESS;
	if (gpa % 8 != 0 || gpa % PAGE_SIZE + len > PAGE_SIZE)
		return HV_INVALID_ALIGNMENT;
	return gmem_is_ram(c->hv->conf.mem, gpa, len) ? HV_SUCCESS : HV_INVALID_PARAMETER;
}

static uint16_t slow_get(struct hv_ctx *c, const struct regs *r, size_t out_len)
{
	uint16_t status = check_block(c, r->in, c->in_len);

	if (status == HV_SUCCESS)
		status = check_block(c, r->out, out_len);
	if (status != HV_SUCCESS)
		return status;
	if (c->in_len != 0 && out_len != 0 && r->in < r->out + out_len && r->out < r->in + c->in_len)
		return HV_INVALID_PARAMETER;
	if (c->in_len != 0 && gmem_read(c->hv->conf.mem, r->in, c->in, c->in_len) < 0)
		return HV_INVALID_PARAMETER;
	return HV_SUCCESS;
}

static uint16_t run(struct hv_ctx *c, struct hv_call *call, const struct hv_call_row *row,
		    const struct regs *r)
{
	size_t out_len, from, to;
	uint16_t status;
	bool fast = (r->control & HV_CTL_FAST) != 0;

	status = check_control(row, r->control);
	if (status != HV_SUCCESS)
		return status;
	c->reps = HV_CTL_REPS(r->control);
	c->rep_start = HV_CTL_REP_START(r->control);
	c->var_len = HV_CTL_VAR_QWORDS(r->control) * 8;
	c->in_len = row->in + c->var_len + c->reps * (size_t)row->rep_in;
	out_len = c->reps * (size_t)row->rep_out;
	if (fast && (row->flags & CALL_SLOW) != 0)
		return HV_INVALID_HYPERCALL_INPUT;
	status = fast ? fast_get(c, call, r, out_len) : slow_get(c, r, out_len);
	if (status != HV_SUCCESS)
		return status;

	c->done = c->rep_start;
	status = row->fn(c);
	from = c->rep_start * (size_t)row->rep_out;
	to = c->done * (size_t)row->rep_out;
	if (to > from && fast)
		fast_put(c, call, from, to);
	else if (to > from && gmem_write(c->hv->conf.mem, r->out + from, c->out + from, to - from) < 0)
		return HV_INVALID_PARAMETER;
	return status;
}

void hv_hypercall(struct hv *hv, unsigned vp, struct hv_call *call)
{
	struct regs r = regs_get(call);
	const struct hv_call_row *row = hv_call_find((uint16_t)r.control);
	struct hv_ctx c;
	uint16_t status;

	BUG_IF(vp >= hv->conf.nr_vps);
	c.hv = hv;
	c.vp = &hv->vps[vp];
	c.done = 0;
	if (row == NULL)
		status = HV_INVALID_HYPERCALL_CODE;
	else if (row->fn == NULL || atomic_load(&hv->os_id) == 0)
		status = HV_ACCESS_DENIED;
	else
		status = run(&c, call, row, &r);
	result_set(call, status, c.done);
}
