/*
 * place.c - which disk goes where
 *
 * A disk that was given a place gets that one.  The others take what Hyper-V
 * would offer: in Generation 1 the IDE controller, the DVD drives from its
 * second channel on and the disks from its first; in Generation 2 the first
 * free LUN of the first SCSI controller.
 *
 * Spec     machines.md 2.2, 2.3
 * Lock     none
 */
#include "vm/vm_priv.h"

#define NO_PLACE UINT_MAX

static bool is_taken(const struct vm_seat *seats, unsigned nr, const struct vm_seat *want)
{
	for (unsigned i = 0; i < nr; i++)
		if (seats[i].lun != NO_PLACE && seats[i].ide == want->ide &&
		    seats[i].controller == want->controller && seats[i].lun == want->lun)
			return true;
	return false;
}

static int place_ide(const struct vm_conf *conf, unsigned i, struct vm_seat *seats,
		     struct err *err)
{
	static const struct vm_seat for_disks[] = { { true, 0, 0 }, { true, 0, 1 }, { true, 1, 0 },
						    { true, 1, 1 } };
	static const struct vm_seat for_dvds[] = { { true, 1, 0 }, { true, 1, 1 }, { true, 0, 1 },
						   { true, 0, 0 } };
	const struct vm_seat *want = conf->disks[i].dvd ? for_dvds : for_disks;

	for (unsigned k = 0; k < 4; k++) {
		if (is_taken(seats, conf->nr_disks, &want[k]))
			continue;
		seats[i] = want[k];
		return 0;
	}
	return err_set(err, -EBUSY, conf->disks[i].dvd ?
		       "%s: the IDE controller has four places and they are taken; a Generation 1 "
		       "machine takes DVDs nowhere else" :
		       "%s: the IDE controller has four places and they are taken; give this disk "
		       "controller=0, the synthetic SCSI controller", conf->disks[i].path);
}

static int place_scsi(const struct vm_conf *conf, unsigned i, struct vm_seat *seats,
		      struct err *err)
{
	const struct vm_disk *d = &conf->disks[i];
	struct vm_seat want = { .controller = d->place == VM_PLACE_ANY ? 0 : d->controller };

	for (want.lun = 0; want.lun < SCSI_MAX_LUNS; want.lun++) {
		if (is_taken(seats, conf->nr_disks, &want))
			continue;
		seats[i] = want;
		return 0;
	}
	return err_set(err, -EBUSY, "%s: controller %u has no free place for it", d->path,
		       want.controller);
}

/* The place that was asked for. */
static int place_fixed(const struct vm_conf *conf, unsigned i, struct vm_seat *seats,
		       struct err *err)
{
	const struct vm_disk *d = &conf->disks[i];
	const struct vm_seat want = { d->place == VM_PLACE_IDE, d->controller, d->lun };

	if (want.ide && conf->generation != 1)
		return err_set(err, -EINVAL, "%s: a Generation 2 machine has no IDE controller, "
			       "give controller= and lun= instead", d->path);
	if (!want.ide && d->dvd && conf->generation == 1)
		return err_set(err, -EINVAL, "%s: a Generation 1 machine takes DVDs on IDE only, "
			       "give at=ide1:0 or no place", d->path);
	if (want.ide ? d->controller > 1 || d->lun > 1 :
	    d->controller >= VM_MAX_CONTROLLERS || (d->lun >= SCSI_MAX_LUNS && d->lun != VM_ANY_LUN))
		return err_set(err, -EINVAL,
			       want.ide ? "%s: IDE %u:%u: expected 0 or 1 and 0 or 1" :
			       "%s: controller %u, LUN %u: expected 0 to 3 and 0 to 63", d->path,
			       d->controller, d->lun);
	if (d->lun == VM_ANY_LUN)
		return 0;
	if (is_taken(seats, conf->nr_disks, &want))
		return err_set(err, -EBUSY, "%s: %s %u has something at %u already", d->path,
			       want.ide ? "IDE channel" : "controller", want.controller, want.lun);
	seats[i] = want;
	return 0;
}

/* In turns: those with a place; DVDs, where there is IDE; the others as they come. */
static bool is_its_turn(const struct vm_conf *conf, const struct vm_disk *d, unsigned turn)
{
	if (d->place != VM_PLACE_ANY && d->lun != VM_ANY_LUN)
		return turn == 0;
	return turn == (d->dvd && conf->generation == 1 ? 1 : 2);
}

int storage_place(const struct vm_conf *conf, struct vm_seat *seats, struct err *err)
{
	for (unsigned i = 0; i < conf->nr_disks; i++)
		seats[i] = (struct vm_seat){ .lun = NO_PLACE };
	for (unsigned turn = 0; turn < 3; turn++)
		for (unsigned i = 0; i < conf->nr_disks; i++) {
			const struct vm_disk *d = &conf->disks[i];
			int rc = 0;

			if (!is_its_turn(conf, d, turn))
				continue;
			if (d->place != VM_PLACE_ANY)
				rc = place_fixed(conf, i, seats, err);
			if (rc == 0 && seats[i].lun == NO_PLACE)
				rc = d->place == VM_PLACE_ANY && conf->generation == 1 ?
				     place_ide(conf, i, seats, err) :
				     place_scsi(conf, i, seats, err);
			if (rc < 0)
				return rc;
		}
	return 0;
}
