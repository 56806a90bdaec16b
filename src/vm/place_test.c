/*
 * place_test.c - which disk goes where
 */
#include "base/test.h"

#include "vm/vm_priv.h"

#include <stdio.h>
#include <string.h>

#define ANY { .path = "d", .place = VM_PLACE_ANY, .lun = VM_ANY_LUN }
#define DVD { .path = "d", .place = VM_PLACE_ANY, .lun = VM_ANY_LUN, .dvd = true }
#define IDE(c, l) { .path = "d", .place = VM_PLACE_IDE, .controller = (c), .lun = (l) }
#define SCSI(c, l) { .path = "d", .place = VM_PLACE_SCSI, .controller = (c), .lun = (l) }
#define SCSI_DVD(c, l) { .path = "d", .place = VM_PLACE_SCSI, .controller = (c), .lun = (l), \
			 .dvd = true }

/* "i00" IDE 0:0, "s05" SCSI controller 0, LUN 5; in the order of the disks. */
static int place(unsigned generation, const struct vm_disk *d, unsigned nr, char *text,
		 struct err *err)
{
	const struct vm_conf conf = { .generation = generation, .disks = d, .nr_disks = nr };
	struct vm_seat seats[VM_MAX_DISKS];
	int rc = storage_place(&conf, seats, err);

	for (unsigned i = 0; i < nr && rc == 0; i++)
		text += sprintf(text, "%c%u%u ", seats[i].ide ? 'i' : 's', seats[i].controller,
				seats[i].lun);
	return rc;
}

#define PLACE(generation, want, ...) do { \
	const struct vm_disk d_[] = { __VA_ARGS__ }; \
	char text_[200] = ""; \
	struct err err_ = { "" }; \
	CHECK_EQ(place(generation, d_, ARRAY_LEN(d_), text_, &err_), 0); \
	CHECK_STR(text_, want); \
} while (0)

#define REFUSED(generation, rc, why, ...) do { \
	const struct vm_disk d_[] = { __VA_ARGS__ }; \
	char text_[200] = ""; \
	struct err err_ = { "" }; \
	CHECK_EQ(place(generation, d_, ARRAY_LEN(d_), text_, &err_), rc); \
	CHECK(strstr(err_.msg, why) != NULL); \
} while (0)

static void generation_1_fills_its_ide_controller(void **s)
{
	(void)s;
	PLACE(1, "i00 ", ANY);
	PLACE(1, "i00 i01 i10 i11 ", ANY, ANY, ANY, ANY);
	PLACE(1, "i00 i10 i01 i11 ", ANY, DVD, ANY, ANY);
	PLACE(1, "i00 i01 i11 i10 ", ANY, ANY, ANY, DVD);
	PLACE(1, "i10 i11 i01 i00 ", DVD, DVD, DVD, DVD);
	PLACE(1, "i00 i01 ", ANY, IDE(0, 1));
	PLACE(1, "i01 i00 ", ANY, IDE(0, 0));
	PLACE(1, "i11 i00 i10 ", IDE(1, 1), ANY, DVD);
	PLACE(1, "s00 i00 s30 s01 ", SCSI(0, VM_ANY_LUN), ANY, SCSI(3, VM_ANY_LUN),
	      SCSI(0, VM_ANY_LUN));
	REFUSED(1, -EBUSY, "give this disk controller=0", ANY, ANY, ANY, ANY, ANY);
	REFUSED(1, -EBUSY, "takes DVDs nowhere else", DVD, DVD, DVD, DVD, DVD);
	REFUSED(1, -EINVAL, "takes DVDs on IDE only", SCSI_DVD(0, 1));
	REFUSED(1, -EINVAL, "takes DVDs on IDE only", SCSI_DVD(0, VM_ANY_LUN));
	REFUSED(1, -EBUSY, "IDE channel 0 has something at 1", IDE(0, 1), IDE(0, 1));
	REFUSED(1, -EINVAL, "IDE 2:0", IDE(2, 0));
	REFUSED(1, -EINVAL, "IDE 0:2", IDE(0, 2));
}

static void generation_2_has_scsi_only(void **s)
{
	(void)s;
	PLACE(2, "s00 s01 s02 ", ANY, DVD, ANY);
	PLACE(2, "s05 ", SCSI_DVD(0, 5));
	PLACE(2, "s01 s00 s20 ", ANY, SCSI(0, 0), SCSI(2, VM_ANY_LUN));
	REFUSED(2, -EINVAL, "has no IDE controller", IDE(0, 0));
	REFUSED(2, -EBUSY, "controller 1 has something at 7", SCSI(1, 7), SCSI(1, 7));
	REFUSED(2, -EINVAL, "LUN 64", SCSI(0, 64));
	REFUSED(2, -EINVAL, "controller 4", SCSI(4, 0));
}

static void a_controller_has_64_places(void **s)
{
	struct vm_disk d[66];
	char text[1000];
	struct err err;

	(void)s;
	for (unsigned i = 0; i < 65; i++)
		d[i] = (struct vm_disk)SCSI(1, VM_ANY_LUN);
	d[65] = (struct vm_disk)SCSI(1, 63);
	CHECK_EQ(place(2, d, 64, text, &err), 0);
	CHECK_EQ(place(2, d, 65, text, &err), -EBUSY);
	CHECK_STR(err.msg, "d: controller 1 has no free place for it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generation_1_fills_its_ide_controller),
		cmocka_unit_test(generation_2_has_scsi_only),
		cmocka_unit_test(a_controller_has_64_places),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
