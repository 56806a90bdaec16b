/*
 * floppy.c - the images in the floppy drives of a Generation 1 machine
 *
 * Drive A is always there, with a disk or without; B only with one. An image is
 * the bytes of a disk and nothing else, so its size must be that of a format.
 *
 * Lock     none; while the machine is built or gone, or by media.c
 */
#include "vm/vm_priv.h"

int floppy_open_image(struct vm *vm, const char *path, bool read_only, struct blk **ret_b,
		      struct err *err)
{
	unsigned flags = DISK_RAW_OK | (read_only ? DISK_READ_ONLY : 0) |
			 (vm->conf.no_uring ? DISK_NO_URING : 0);
	struct blk *b;
	int rc = disk_open(path, flags, &b, err);

	if (rc < 0)
		return rc;
	if (b->logical != 512 || fdc_drive_of(b->size) == 0) {
		rc = err_set(err, -EINVAL, "%s: %llu bytes, expected a floppy image of " FDC_SIZES,
			     path, (unsigned long long)b->size);
		blk_close(b);
		return rc;
	}
	*ret_b = b;
	return 0;
}

int floppy_open(struct vm *vm, struct err *err)
{
	int rc = 0;

	for (unsigned i = 0; i < vm->conf.nr_floppies && rc == 0; i++)
		rc = floppy_open_image(vm, vm->conf.floppies[i].path,
				       vm->conf.floppies[i].read_only, &vm->floppy[i], err);
	return rc;
}

uint8_t floppy_drives(const struct vm *vm)
{
	uint8_t type[2] = { fdc_drive_of(1474560), 0 };

	for (unsigned i = 0; i < ARRAY_LEN(type); i++)
		if (vm->floppy[i] != NULL)
			type[i] = fdc_drive_of(vm->floppy[i]->size);
	return (uint8_t)(type[0] << 4 | type[1]);
}

void floppy_close(struct vm *vm)
{
	for (unsigned i = 0; i < ARRAY_LEN(vm->floppy); i++)
		blk_close(vm->floppy[i]);
}
