/*
 * reftime.c - reference time: 100 ns since the partition was created
 *
 * One clock, seen through an MSR, a page the guest reads without asking us,
 * and the expirations of synthetic timers.  They must never disagree, so all
 * of them are the page's formula over the guest's own TSC; the machine's
 * clock only decides when we look again.
 *
 * Spec     [TLFS] 12.4 to 12.7
 * Lock     time
 */
#include "hv/hv_priv.h"

#define REF_HZ 10000000u

/* Caller holds the time lock. */
static uint64_t scaled_tsc(struct hv *hv)
{
	uint64_t tsc = hv->conf.client->tsc(hv->conf.self);

	return (uint64_t)(((unsigned __int128)tsc * hv->time.scale) >> 64);
}

void reftime_init(struct hv *hv)
{
	struct reftime *t = &hv->time;

	pthread_mutex_init(&t->lock, NULL);
	t->scale = (uint64_t)(((unsigned __int128)REF_HZ << 64) / hv->conf.tsc_hz);
	t->sequence = 1;
	t->offset = 0 - scaled_tsc(hv);
}

uint64_t hv_ref_time(struct hv *hv)
{
	struct reftime *t = &hv->time;
	uint64_t now;

	pthread_mutex_lock(&t->lock);
	now = t->stopped ? t->frozen : scaled_tsc(hv) + t->offset;
	pthread_mutex_unlock(&t->lock);
	return now;
}

void reftime_page(struct hv *hv, struct hv_tsc_page *ret_page)
{
	struct reftime *t = &hv->time;

	pthread_mutex_lock(&t->lock);
	*ret_page = (struct hv_tsc_page){
		.sequence = le32_of(t->sequence),
		.scale = le64_of(t->scale),
		.offset = le64_of(t->offset),
	};
	pthread_mutex_unlock(&t->lock);
}

void hv_stop(struct hv *hv)
{
	struct reftime *t = &hv->time;

	pthread_mutex_lock(&t->lock);
	if (!t->stopped)
		t->frozen = scaled_tsc(hv) + t->offset;
	t->stopped = true;
	pthread_mutex_unlock(&t->lock);
}

/* A reader that saw the old sequence before and the new one after tries again. */
static void rewrite_page(struct hv *hv)
{
	struct gmem *mem = hv->conf.mem;
	struct hv_tsc_page page;
	uint64_t gpa;

	pthread_mutex_lock(&hv->lock);
	gpa = hv->tsc_page.gpa;
	reftime_page(hv, &page);
	if (hv->tsc_page.on) {
		int rc = gmem_store32(mem, gpa, 0);	/* "ask the MSR" meanwhile */

		if (rc == 0)
			rc = gmem_write(mem, gpa + 8, &page.scale, 16);
		if (rc == 0)
			rc = gmem_store32(mem, gpa, le32_get(page.sequence));
		BUG_IF(rc < 0);
	}
	pthread_mutex_unlock(&hv->lock);
}

void hv_start(struct hv *hv)
{
	struct reftime *t = &hv->time;
	bool was;

	pthread_mutex_lock(&t->lock);
	was = t->stopped;
	if (was) {
		t->offset = t->frozen - scaled_tsc(hv);
		t->sequence = t->sequence + 1 == UINT32_MAX ? 1 : t->sequence + 1;
	}
	t->stopped = false;
	pthread_mutex_unlock(&t->lock);
	if (was)
		rewrite_page(hv);
}
