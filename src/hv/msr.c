/*
 * msr.c - the synthetic MSRs
 *
 * One row for each.  What is not in the table, or not readable or writable,
 * is #GP to the guest, and guests that were promised it in CPUID do not
 * survive that: the table and cpuid.c belong together.
 *
 * Spec     [TLFS] appendix A; 3.13, 10.1, 11.8, 12
 * Missing  GUEST_IDLE, statistics, debug and reenlightenment MSRs: not announced
 * Lock     partition, VP
 */
#include "hv/hv_priv.h"

#include <string.h>
#include <time.h>

#define LAPIC_TPR 0x80u
#define LAPIC_EOI 0xb0u
#define LAPIC_ICR 0x300u

static int os_id_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	*ret_val = atomic_load(&vp->hv->os_id);
	return 0;
}

/*
 * Zero is how a guest says goodbye: its hypercall page goes, and what was
 * still queued for it must not greet the next one.
 */
static int os_id_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	struct hv *hv = vp->hv;

	(void)msr;
	pthread_mutex_lock(&hv->lock);
	atomic_store(&hv->os_id, val);
	if (val == 0) {
		hv->hypercall &= ~HV_PAGE_ENABLE;
		overlay_hide(hv, &hv->hypercall_page);
	}
	pthread_mutex_unlock(&hv->lock);
	for (unsigned i = 0; val == 0 && i < hv->conf.nr_vps; i++)
		synic_forget(&hv->vps[i]);
	return 0;
}

static int hypercall_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	pthread_mutex_lock(&vp->hv->lock);
	*ret_val = vp->hv->hypercall;
	pthread_mutex_unlock(&vp->hv->lock);
	return 0;
}

/* ENDBR64 first, or Linux turns indirect branch tracking off; then trap and return. */
static void hypercall_code(const struct hv_conf *conf, uint8_t page[PAGE_SIZE])
{
	static const uint8_t vmcall[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x01, 0xc1, 0xc3 };
	static const uint8_t vmmcall[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x01, 0xd9, 0xc3 };
	const uint8_t out[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xe6, conf->hypercall_port, 0xc3 };

	memset(page, 0xcc, PAGE_SIZE);
	if (conf->hypercall_port != 0)
		memcpy(page, out, sizeof(out));
	else
		memcpy(page, conf->amd ? vmmcall : vmcall, sizeof(vmcall));
}

static int hypercall_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	struct hv *hv = vp->hv;
	uint8_t page[PAGE_SIZE];
	int rc = 0;

	(void)msr;
	hypercall_code(&hv->conf, page);
	pthread_mutex_lock(&hv->lock);
	if (atomic_load(&hv->os_id) == 0)
		val &= ~HV_PAGE_ENABLE;		/* who are you? */
	if ((hv->hypercall & HV_HYPERCALL_LOCKED) != 0)
		rc = -ENOENT;
	else if ((val & HV_PAGE_ENABLE) == 0)
		overlay_hide(hv, &hv->hypercall_page);
	else if (overlay_show(hv, &hv->hypercall_page, HV_PAGE_GPA(val), page) < 0)
		rc = -ENOENT;
	if (rc == 0)
		hv->hypercall = val;
	pthread_mutex_unlock(&hv->lock);
	return rc;
}

static int vp_index_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	*ret_val = vp->index;
	return 0;
}

static int zero_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)vp, (void)msr;
	*ret_val = 0;
	return 0;
}

static int reset_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	(void)msr;
	if ((val & 1) != 0)
		vp->hv->conf.client->reset(vp->hv->conf.self);
	return 0;
}

/* A VP runs as long as its thread does, and this is its thread. */
static int runtime_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	struct timespec ts;

	(void)vp, (void)msr;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	*ret_val = (uint64_t)ts.tv_sec * 10000000 + (uint64_t)ts.tv_nsec / 100;
	return 0;
}

static int ref_count_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	*ret_val = hv_ref_time(vp->hv);
	return 0;
}

static int ref_tsc_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	pthread_mutex_lock(&vp->hv->lock);
	*ret_val = vp->hv->ref_tsc;
	pthread_mutex_unlock(&vp->hv->lock);
	return 0;
}

static int ref_tsc_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	uint8_t page[PAGE_SIZE] = { 0 };
	struct hv *hv = vp->hv;
	struct hv_tsc_page tsc;
	int rc = 0;

	(void)msr;
	pthread_mutex_lock(&hv->lock);
	reftime_page(hv, &tsc);
	memcpy(page, &tsc, sizeof(tsc));
	if ((val & HV_PAGE_ENABLE) == 0)
		overlay_hide(hv, &hv->tsc_page);
	else if (overlay_show(hv, &hv->tsc_page, HV_PAGE_GPA(val), page) < 0)
		rc = -ENOENT;
	if (rc == 0)
		hv->ref_tsc = val;
	pthread_mutex_unlock(&hv->lock);
	return rc;
}

static int frequency_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	const struct hv_conf *conf = &vp->hv->conf;

	*ret_val = msr == HV_MSR_TSC_FREQUENCY ? conf->tsc_hz : conf->apic_hz;
	return 0;
}

static uint32_t lapic_reg(uint32_t msr)
{
	return msr == HV_MSR_EOI ? LAPIC_EOI : msr == HV_MSR_ICR ? LAPIC_ICR : LAPIC_TPR;
}

static int apic_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	const struct hv_conf *conf = &vp->hv->conf;

	*ret_val = conf->client->apic_read(conf->self, vp->index, lapic_reg(msr));
	return 0;
}

static int apic_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	const struct hv_conf *conf = &vp->hv->conf;

	if (msr == HV_MSR_EOI)
		val = 0;		/* any value does; an APIC may want 0 */
	else if (msr == HV_MSR_TPR)
		val &= 0xff;
	conf->client->apic_write(conf->self, vp->index, lapic_reg(msr), val);
	return 0;
}

static int assist_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	*ret_val = vp->assist;
	return 0;
}

/* We never say "no EOI required" in it, so it needs nothing but to be there, and zero. */
static int assist_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	(void)msr;
	if ((val & HV_PAGE_ENABLE) != 0 &&
	    gmem_zero(vp->hv->conf.mem, HV_PAGE_GPA(val), PAGE_SIZE) < 0)
		return -ENOENT;
	vp->assist = val;
	return 0;
}

static int synic_msr_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	*ret_val = synic_read(vp, msr);
	return 0;
}

static int stimer_msr_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	*ret_val = stimer_read(vp, msr);
	return 0;
}

static int stimer_msr_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	stimer_write(vp, msr, val);
	return 0;
}

static int crash_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	struct hv *hv = vp->hv;

	pthread_mutex_lock(&hv->lock);
	*ret_val = msr == HV_MSR_CRASH_CTL ? HV_CRASH_NOTIFY | HV_CRASH_MESSAGE :
		   hv->crash[msr - HV_MSR_CRASH_P0];
	pthread_mutex_unlock(&hv->lock);
	return 0;
}

static int crash_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	struct hv *hv = vp->hv;

	pthread_mutex_lock(&hv->lock);
	hv->crash[msr - HV_MSR_CRASH_P0] = val;
	pthread_mutex_unlock(&hv->lock);
	return 0;
}

/* The guest goes on: a kernel that dumps its memory is only getting started. */
static int crash_ctl_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	const struct hv_conf *conf = &vp->hv->conf;
	uint64_t p[HV_NR_CRASH_PARAMS];
	char text[HV_CRASH_TEXT_MAX];
	size_t n = 0;

	(void)msr;
	if ((val & HV_CRASH_NOTIFY) == 0)
		return 0;
	pthread_mutex_lock(&vp->hv->lock);
	memcpy(p, vp->hv->crash, sizeof(p));
	pthread_mutex_unlock(&vp->hv->lock);
	if ((val & HV_CRASH_MESSAGE) != 0 && p[4] <= sizeof(text) &&
	    gmem_read(conf->mem, p[3], text, p[4]) == 0)
		n = p[4];
	conf->client->crash(conf->self, vp->index, p, n != 0 ? text : NULL, n);
	return 0;
}

static int invariant_read(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val)
{
	(void)msr;
	if (!vp->hv->conf.invariant_tsc)
		return -ENOENT;
	pthread_mutex_lock(&vp->hv->lock);
	*ret_val = vp->hv->tsc_invariant;
	pthread_mutex_unlock(&vp->hv->lock);
	return 0;
}

static int invariant_write(struct hv_vp *vp, uint32_t msr, uint64_t val)
{
	(void)msr;
	if (val > 1 || !vp->hv->conf.invariant_tsc)
		return -ENOENT;
	pthread_mutex_lock(&vp->hv->lock);
	vp->hv->tsc_invariant |= val;	/* once on, on until reset */
	pthread_mutex_unlock(&vp->hv->lock);
	return 0;
}

struct msr_row {
	uint32_t first, count;
	int (*read)(struct hv_vp *vp, uint32_t msr, uint64_t *ret_val);
	int (*write)(struct hv_vp *vp, uint32_t msr, uint64_t val);
};

static const struct msr_row msrs[] = {
	{ HV_MSR_STIMER0_CONFIG, 2 * HV_NR_STIMERS, stimer_msr_read, stimer_msr_write },
	{ HV_MSR_EOI, 1, NULL, apic_write },
	{ HV_MSR_ICR, 1, apic_read, apic_write },
	{ HV_MSR_TPR, 1, apic_read, apic_write },
	{ HV_MSR_REF_COUNT, 1, ref_count_read, NULL },
	{ HV_MSR_EOM, 1, synic_msr_read, synic_write },
	{ HV_MSR_GUEST_OS_ID, 1, os_id_read, os_id_write },
	{ HV_MSR_HYPERCALL, 1, hypercall_read, hypercall_write },
	{ HV_MSR_VP_INDEX, 1, vp_index_read, NULL },
	{ HV_MSR_RESET, 1, zero_read, reset_write },
	{ HV_MSR_VP_RUNTIME, 1, runtime_read, NULL },
	{ HV_MSR_REF_TSC, 1, ref_tsc_read, ref_tsc_write },
	{ HV_MSR_TSC_FREQUENCY, 1, frequency_read, NULL },
	{ HV_MSR_APIC_FREQUENCY, 1, frequency_read, NULL },
	{ HV_MSR_VP_ASSIST, 1, assist_read, assist_write },
	{ HV_MSR_SCONTROL, 1, synic_msr_read, synic_write },
	{ HV_MSR_SVERSION, 1, synic_msr_read, NULL },
	{ HV_MSR_SIEFP, 1, synic_msr_read, synic_write },
	{ HV_MSR_SIMP, 1, synic_msr_read, synic_write },
	{ HV_MSR_SINT0, HV_NR_SINTS, synic_msr_read, synic_write },
	{ HV_MSR_CRASH_P0, HV_NR_CRASH_PARAMS, crash_read, crash_write },
	{ HV_MSR_CRASH_CTL, 1, crash_read, crash_ctl_write },
	{ HV_MSR_TSC_INVARIANT, 1, invariant_read, invariant_write },
};

static const struct msr_row *row_of(uint32_t msr)
{
	for (size_t i = 0; i < ARRAY_LEN(msrs); i++)
		if (msr - msrs[i].first < msrs[i].count)
			return &msrs[i];
	return NULL;
}

int hv_msr_read(struct hv *hv, unsigned vp, uint32_t msr, uint64_t *ret_val)
{
	const struct msr_row *row = row_of(msr);

	BUG_IF(vp >= hv->conf.nr_vps);
	if (row == NULL || row->read == NULL)
		return -ENOENT;
	return row->read(&hv->vps[vp], msr, ret_val);
}

int hv_msr_write(struct hv *hv, unsigned vp, uint32_t msr, uint64_t val)
{
	const struct msr_row *row = row_of(msr);

	BUG_IF(vp >= hv->conf.nr_vps);
	if (row == NULL || row->write == NULL)
		return -ENOENT;
	return row->write(&hv->vps[vp], msr, val);
}
