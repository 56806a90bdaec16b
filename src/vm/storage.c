/*
 * storage.c - the machine's disks: files, IDE, synthetic SCSI controllers
 *
 * Raw images are taken for ISO files and by our own choice for tests; a VHD
 * only by Generation 1.  The synthetic controllers have Hyper-V's instance ids, so that a disk keeps its
 * name across boots and hosts.
 *
 * A disk on IDE is there twice: on the emulated controller (chip/ide.h), from
 * which firmware boots, and as an accelerator's channel on VMBus, to which a
 * guest with the driver turns.  Both lead to the same backend; which of them
 * is used when is the guest's affair.  DVDs are on the emulated one only.
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

/* ---- files ----------------------------------------------------------------- */

static int open_file(struct vm *vm, unsigned i, struct err *err)
{
	const struct vm_disk *d = &vm->conf.disks[i];
	unsigned flags = (d->read_only || d->dvd ? DISK_READ_ONLY : 0) |
			 (vm->conf.no_uring ? DISK_NO_URING : 0) |
			 (vm->conf.generation == 2 ? DISK_NO_VHD : 0);
	int rc = disk_open_under(d->path, flags, d->parents, &vm->blk[i], err);

	if (rc < 0)
		return rc;
	if (vm->blk[i]->optical != d->dvd)
		return err_set(err, -EINVAL, d->dvd ? "%s: not an ISO image, which --dvd takes"
						    : "%s: an ISO image, use --dvd", d->path);
	return 0;
}

int storage_open_files(struct vm *vm, struct err *err)
{
	int rc = storage_place(&vm->conf, vm->seat, err);

	for (unsigned i = 0; i < vm->conf.nr_disks && rc == 0; i++)
		rc = open_file(vm, i, err);
	return rc;
}

void storage_close_files(struct vm *vm)
{
	for (unsigned i = 0; i < vm->conf.nr_disks; i++)
		blk_close(vm->blk[i]);
	for (unsigned i = 0; i < 4; i++)
		blk_close(vm->disc[i / 2][i % 2]);
}

/* ---- the emulated controller ------------------------------------------------ */

void storage_ide_conf(struct vm *vm, struct ide_conf *c)
{
	c->trouble = trouble;
	c->arg = vm;
	/* Hyper-V's machine has a DVD drive there, with a disc or without. */
	c->unit[1][0].dvd = true;
	for (unsigned i = 0; i < vm->conf.nr_disks; i++) {
		const struct vm_seat *at = &vm->seat[i];

		if (at->ide)
			c->unit[at->controller][at->lun] = (struct ide_unit){
				vm->conf.disks[i].dvd, vm->blk[i],
			};
	}
}

/* ---- synthetic controllers --------------------------------------------------- */

static int new_scsi(struct vm *vm, const struct scsi_conf *conf, struct scsi **ret_s,
		    struct err *err)
{
	int rc = scsi_new(vm->vmbus, conf, ret_s, err);

	if (rc == 0)
		scsi_hold_on_trouble(*ret_s, true, trouble, vm);
	return rc;
}

static int controller(struct vm *vm, unsigned i, struct err *err)
{
	const struct scsi_conf conf = { .instance = controller_id(i), .nr_vps = vm->conf.cpus };

	return vm->scsi[i] != NULL ? 0 : new_scsi(vm, &conf, &vm->scsi[i], err);
}

static int attach_ide(struct vm *vm, unsigned i, struct err *err)
{
	uint8_t path = (uint8_t)vm->seat[i].controller, target = (uint8_t)vm->seat[i].lun;
	struct scsi **s = &vm->ide_accel[path][target];
	const struct scsi_conf conf = {
		.instance = scsi_ide_instance(path, target), .nr_vps = vm->conf.cpus,
		.ide = true, .path = path, .target = target,
	};
	int rc;

	if (vm->conf.disks[i].dvd)
		return 0;
	rc = new_scsi(vm, &conf, s, err);
	return rc < 0 ? rc : scsi_attach(*s, 0, vm->blk[i], err);
}

static int attach(struct vm *vm, unsigned i, struct err *err)
{
	const struct vm_seat *at = &vm->seat[i];
	int rc;

	if (at->ide)
		return attach_ide(vm, i, err);
	rc = controller(vm, at->controller, err);
	if (rc < 0)
		return rc;
	return scsi_attach(vm->scsi[at->controller], at->lun, vm->blk[i], err);
}

int storage_open(struct vm *vm, struct err *err)
{
	int rc = controller(vm, 0, err);	/* Hyper-V's machine always has one */

	for (unsigned i = 0; i < vm->conf.nr_disks && rc == 0; i++) {
		rc = attach(vm, i, err);
		if (rc < 0)
			rc = err_prefix(err, rc, vm->conf.disks[i].path);
	}
	return rc;
}

/* Each synthetic controller, the accelerators too. */
static void for_each(struct vm *vm, void (*fn)(struct scsi *s))
{
	for (unsigned i = 0; i < VM_MAX_CONTROLLERS; i++)
		if (vm->scsi[i] != NULL)
			fn(vm->scsi[i]);
	for (unsigned i = 0; i < 4; i++)
		if (vm->ide_accel[i / 2][i % 2] != NULL)
			fn(vm->ide_accel[i / 2][i % 2]);
}

void storage_retry(struct vm *vm)
{
	for_each(vm, scsi_retry);
	if (vm->ide == NULL)
		return;
	pthread_mutex_lock(&vm->chip_lock);
	ide_retry(vm->ide);
	pthread_mutex_unlock(&vm->chip_lock);
}

void storage_close(struct vm *vm)
{
	for_each(vm, scsi_free);
}
