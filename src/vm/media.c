/*
 * media.c - another disc or floppy while the machine runs
 *
 * What goes into a drive is opened before anything changes, so that a file that
 * cannot be used leaves the drive as it was. What comes out is closed when its
 * last request has ended, and not under the chip lock: the requests end there.
 *
 * Lock     one thread calls; the devices' state: chip
 */
#include "vm/vm_priv.h"

#include <string.h>
#include <time.h>

#define BUSY_TRIES 200			/* of 10 ms: a floppy's sector is read sooner */

/* ---- DVD ------------------------------------------------------------------------------ */

/* The NTH DVD drive on the controller, counted from its first device. */
static bool find_drive(struct vm *vm, unsigned nth, unsigned *ret_chan, unsigned *ret_unit)
{
	struct ide_conf c = { 0 };

	storage_ide_conf(vm, &c);
	for (unsigned i = 0; i < 4; i++)
		if (c.unit[i / 2][i % 2].dvd && nth-- == 0) {
			*ret_chan = i / 2;
			*ret_unit = i % 2;
			return true;
		}
	return false;
}

/* Where the disc in that drive is kept: the one that was there from the start, or one of ours. */
static struct blk **disc_of(struct vm *vm, unsigned chan, unsigned unit)
{
	for (unsigned i = 0; i < vm->conf.nr_disks; i++)
		if (vm->seat[i].ide && vm->seat[i].controller == chan && vm->seat[i].lun == unit)
			return &vm->blk[i];
	return &vm->disc[chan][unit];
}

static int open_disc(struct vm *vm, const char *path, struct blk **ret_b, struct err *err)
{
	int rc = disk_open(path, DISK_READ_ONLY | (vm->conf.no_uring ? DISK_NO_URING : 0), ret_b, err);

	if (rc < 0)
		return rc;
	if (!(*ret_b)->optical) {
		blk_close(*ret_b);
		return err_set(err, -EINVAL, "%s: not an ISO image, which a DVD drive takes", path);
	}
	return 0;
}

int vm_dvd_change(struct vm *vm, unsigned nth, const char *path, bool force, struct err *err)
{
	struct blk *b = NULL, *old, **at;
	unsigned chan = 0, unit = 0;
	int rc = 0;

	if (vm->ide == NULL || !find_drive(vm, nth, &chan, &unit))
		return err_set(err, -ENODEV, "this machine has no DVD drive %u on IDE", nth);
	if (path != NULL)
		rc = open_disc(vm, path, &b, err);
	if (rc < 0)
		return rc;
	at = disc_of(vm, chan, unit);
	old = *at;
	pthread_mutex_lock(&vm->chip_lock);
	rc = ide_eject(vm->ide, chan, unit, force);
	if (rc == 0 && b != NULL)
		BUG_IF(ide_insert(vm->ide, chan, unit, b) < 0);
	pthread_mutex_unlock(&vm->chip_lock);
	if (rc < 0) {
		blk_close(b);
		return err_set(err, rc, "the guest holds the disc, and was told that it is wanted; "
			       "--force takes it all the same");
	}
	*at = b;
	if (old != NULL)
		blk_drain(old);
	blk_close(old);
	return 0;
}

/* ---- floppy --------------------------------------------------------------------------- */

/* -EBUSY passes with the sector that is under way. */
static int change_floppy(struct vm *vm, unsigned drive, struct blk *b)
{
	int rc = -EBUSY;

	for (unsigned i = 0; i < BUSY_TRIES && rc == -EBUSY; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		pthread_mutex_lock(&vm->chip_lock);
		rc = fdc_change(vm->fdc, drive, b);
		pthread_mutex_unlock(&vm->chip_lock);
	}
	return rc;
}

int vm_floppy_change(struct vm *vm, unsigned drive, const char *path, bool read_only,
		     struct err *err)
{
	struct blk *b = NULL, *old;
	int rc = 0;

	if (vm->fdc == NULL || drive > 1 || (drive == 1 && vm->conf.nr_floppies < 2))
		return err_set(err, -ENODEV, "this machine has no floppy drive %c", 'A' + (int)(drive & 7));
	if (path != NULL)
		rc = floppy_open_image(vm, path, read_only, &b, err);
	if (rc < 0)
		return rc;
	rc = change_floppy(vm, drive, b);
	if (rc < 0) {
		blk_close(b);
		return err_set(err, rc, "floppy drive %c: %s", 'A' + (int)(drive & 7), strerror(-rc));
	}
	old = vm->floppy[drive];
	vm->floppy[drive] = b;
	if (old != NULL)
		blk_drain(old);
	blk_close(old);
	return 0;
}
