/*
 * hv.c - a partition: creation, reset, and pages laid over the guest's RAM
 *
 * To the guest the hypervisor is older than its first instruction and
 * survives every reboot: a reset takes away what the last boot set up, while
 * reference time goes on.
 *
 * Overlay pages are written into the RAM they cover instead of being mapped
 * over it.  No guest can tell as long as it does not write to them.
 *
 * Spec     [TLFS] 3.13 hypercall interface, 5.2.1 overlay pages
 * Missing  overlays where there is no RAM; saved state
 * Lock     see hv_priv.h
 */
#include "hv/hv_priv.h"

#include <stdlib.h>
#include <string.h>

int overlay_show(struct hv *hv, struct overlay *o, uint64_t gpa, const void *page)
{
	if (o->on && o->gpa == gpa)
		return gmem_write(hv->conf.mem, gpa, page, PAGE_SIZE);
	if (!gmem_is_ram(hv->conf.mem, gpa, PAGE_SIZE))
		return -EFAULT;
	overlay_hide(hv, o);
	if (gmem_read(hv->conf.mem, gpa, o->under, PAGE_SIZE) < 0 ||
	    gmem_write(hv->conf.mem, gpa, page, PAGE_SIZE) < 0)
		return -EFAULT;
	o->on = true;
	o->gpa = gpa;
	return 0;
}

void overlay_hide(struct hv *hv, struct overlay *o)
{
	if (!o->on)
		return;
	o->on = false;
	/* It was RAM when it was covered, and RAM does not go away. */
	BUG_IF(gmem_write(hv->conf.mem, o->gpa, o->under, PAGE_SIZE) < 0);
}

static int vp_init(struct hv *hv, unsigned index)
{
	struct hv_vp *vp = &hv->vps[index];

	vp->hv = hv;
	vp->index = index;
	pthread_mutex_init(&vp->lock, NULL);
	synic_reset(vp);
	return stimer_init(vp);
}

int hv_new(const struct hv_conf *conf, struct hv **ret_hv, struct err *err)
{
	struct hv *hv;
	int rc = 0;

	if (conf->nr_vps == 0 || conf->nr_vps > 4096)
		return err_set(err, -EINVAL, "hypervisor: %u virtual processors, expected 1 to 4096",
			       conf->nr_vps);
	if (conf->tsc_hz < 10 * 1000 * 1000)
		return err_set(err, -EINVAL, "hypervisor: a TSC of %llu Hz is too slow to tell the time",
			       (unsigned long long)conf->tsc_hz);
	hv = new0(struct hv);
	if (hv == NULL)
		return err_set(err, -ENOMEM, "hypervisor: out of memory");
	hv->conf = *conf;
	pthread_mutex_init(&hv->lock, NULL);
	reftime_init(hv);
	hv->vps = new_array(struct hv_vp, conf->nr_vps);
	if (hv->vps == NULL)
		rc = -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < conf->nr_vps; i++)
		rc = vp_init(hv, i);
	if (rc < 0) {
		hv_free(hv);
		return err_set(err, rc, "hypervisor: cannot set up %u virtual processors",
			       conf->nr_vps);
	}
	*ret_hv = hv;
	return 0;
}

void hv_free(struct hv *hv)
{
	if (hv == NULL)
		return;
	for (unsigned i = 0; hv->vps != NULL && i < hv->conf.nr_vps; i++) {
		struct hv_vp *vp = &hv->vps[i];

		if (vp->hv == NULL)	/* hv_new stopped before this one */
			break;
		stimer_fini(vp);
		synic_forget(vp);
		pthread_mutex_destroy(&vp->lock);
	}
	free(hv->vps);
	pthread_mutex_destroy(&hv->time.lock);
	pthread_mutex_destroy(&hv->lock);
	free(hv);
}

void hv_reset(struct hv *hv)
{
	pthread_mutex_lock(&hv->lock);
	atomic_store(&hv->os_id, 0);
	hv->hypercall = 0;
	hv->ref_tsc = 0;
	hv->tsc_invariant = 0;
	memset(hv->crash, 0, sizeof(hv->crash));
	/* What they covered belongs to the boot that ended; RAM may be new already. */
	hv->hypercall_page.on = false;
	hv->tsc_page.on = false;
	pthread_mutex_unlock(&hv->lock);

	for (unsigned i = 0; i < hv->conf.nr_vps; i++) {
		struct hv_vp *vp = &hv->vps[i];

		stimer_reset(vp);
		synic_reset(vp);
		vp->assist = 0;
	}
}

uint64_t hv_guest_os_id(struct hv *hv)
{
	return atomic_load(&hv->os_id);
}
