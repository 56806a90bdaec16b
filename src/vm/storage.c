/*
 * storage.c - the machine's disks on its synthetic SCSI controllers
 *
 * Generation 2 knows VHDX only (raw images are taken for ISO files and by
 * our own choice for tests), on controllers with Hyper-V's instance ids, so
 * that a disk keeps its name across boots and hosts.
 *
 * Lock     none; while the machine is built or its vCPUs stand, except
 *          trouble(), which any thread may call
 */
#include "vm/vm_priv.h"

/* f8b3781a-1e82-4818-a1c3-63d806ec15bb, and 1b, 1c, 1d for the next ones. */
static struct guid controller_id(unsigned i)
{
	const struct guid g = GUID_INIT(0xf8b3781a + i, 0x1e82, 0x4818,
					0xa1, 0xc3, 0x63, 0xd8, 0x06, 0xec, 0x15, 0xbb);

	return g;
}

static void trouble(void *arg, int rc)
{
	struct vm *vm = arg;

	pthread_mutex_lock(&vm->lock);
	vm->trouble_rc = rc;
	pthread_mutex_unlock(&vm->lock);
	vm_request(vm, REQ_TROUBLE);
}

static int controller(struct vm *vm, unsigned i, struct err *err)
{
	const struct scsi_conf conf = { .instance = controller_id(i), .nr_vps = vm->conf.cpus };
	int rc;

	if (vm->scsi[i] != NULL)
		return 0;
	rc = scsi_new(vm->vmbus, &conf, &vm->scsi[i], err);
	if (rc == 0)
		scsi_hold_on_trouble(vm->scsi[i], true, trouble, vm);
	return rc;
}

static int attach(struct vm *vm, unsigned i, struct err *err)
{
	const struct vm_disk *d = &vm->conf.disks[i];
	unsigned flags = (d->read_only || d->dvd ? DISK_READ_ONLY : 0) |
			 (vm->conf.no_uring ? DISK_NO_URING : 0);
	int rc;

	if (d->controller >= VM_MAX_CONTROLLERS || d->lun >= SCSI_MAX_LUNS)
		return err_set(err, -EINVAL,
			       "%s: controller %u, LUN %u: expected 0 to %u and 0 to %u", d->path,
			       d->controller, d->lun, VM_MAX_CONTROLLERS - 1, SCSI_MAX_LUNS - 1);
	rc = disk_open(d->path, flags, &vm->blk[i], err);
	if (rc < 0)
		return rc;
	if (vm->blk[i]->optical != d->dvd)
		return err_set(err, -EINVAL, d->dvd ? "%s: not an ISO image, which --dvd takes"
						    : "%s: an ISO image, use --dvd", d->path);
	rc = controller(vm, d->controller, err);
	if (rc < 0)
		return rc;
	rc = scsi_attach(vm->scsi[d->controller], d->lun, vm->blk[i], err);
	return rc < 0 ? err_prefix(err, rc, d->path) : 0;
}

int storage_open(struct vm *vm, struct err *err)
{
	int rc = controller(vm, 0, err);	/* Hyper-V's machine always has one */

	for (unsigned i = 0; i < vm->conf.nr_disks && rc == 0; i++)
		rc = attach(vm, i, err);
	return rc;
}

void storage_retry(struct vm *vm)
{
	for (unsigned i = 0; i < VM_MAX_CONTROLLERS; i++)
		if (vm->scsi[i] != NULL)
			scsi_retry(vm->scsi[i]);
}

void storage_close(struct vm *vm)
{
	for (unsigned i = 0; i < VM_MAX_CONTROLLERS; i++)
		if (vm->scsi[i] != NULL)
			scsi_free(vm->scsi[i]);
	for (unsigned i = 0; i < vm->conf.nr_disks; i++)
		blk_close(vm->blk[i]);
}
