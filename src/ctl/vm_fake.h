/*
 * vm_fake.h - a machine's adapters for tests: what is added is there until it is removed
 */
#ifndef CTL_VM_FAKE_H
#define CTL_VM_FAKE_H

#include "base/base.h"
#include "vm/vm.h"

#include <stdio.h>
#include <string.h>

static struct vm_adapter fake_row[VM_MAX_NICS];
static size_t fake_nr;

size_t vm_net_list(struct vm *vm, struct vm_adapter *ret_rows, size_t max)
{
	(void)vm;
	BUG_IF(max < fake_nr);
	memcpy(ret_rows, fake_row, fake_nr * sizeof(fake_row[0]));
	return fake_nr;
}

int vm_net_add(struct vm *vm, const char *net, struct vm_adapter *ret_a, struct err *err)
{
	struct vm_adapter a = { .mac = "00:15:5d:00:00:01", .cable = true };

	(void)vm;
	if (fake_nr == ARRAY_LEN(fake_row))
		return err_set(err, -ENOSPC, "that is the most");
	snprintf(a.name, sizeof(a.name), "net%u", (unsigned)fake_nr);
	snprintf(a.net, sizeof(a.net), "%s", net);
	*ret_a = fake_row[fake_nr++] = a;
	return 0;
}

static struct vm_adapter *fake_find(const char *adapter, struct err *err)
{
	for (size_t i = 0; i < fake_nr; i++)
		if (strcmp(fake_row[i].name, adapter) == 0)
			return &fake_row[i];
	err_fill(err, "no adapter \"%.40s\"", adapter);
	return NULL;
}

int vm_net_remove(struct vm *vm, const char *adapter, struct err *err)
{
	(void)vm;
	if (fake_find(adapter, err) == NULL)
		return -ENOENT;
	fake_nr--;
	return 0;
}

int vm_net_cable(struct vm *vm, const char *adapter, bool in, struct err *err)
{
	struct vm_adapter *a = fake_find(adapter, err);

	(void)vm;
	if (a == NULL)
		return -ENOENT;
	a->cable = in;
	return 0;
}

int vm_net_move(struct vm *vm, const char *adapter, const char *net, struct err *err)
{
	struct vm_adapter *a = fake_find(adapter, err);

	(void)vm;
	if (a == NULL)
		return -ENOENT;
	snprintf(a->net, sizeof(a->net), "%s", net);
	return 0;
}


static char fake_disc[64], fake_floppy[64];

int vm_dvd_change(struct vm *vm, unsigned nth, const char *path, bool force, struct err *err)
{
	(void)vm;
	if (nth != 0)
		return err_set(err, -ENODEV, "no drive %u", nth);
	if (fake_disc[0] != '\0' && !force)
		return err_set(err, -EBUSY, "the guest holds it");
	snprintf(fake_disc, sizeof(fake_disc), "%s", path == NULL ? "" : path);
	return 0;
}

int vm_floppy_change(struct vm *vm, unsigned drive, const char *path, bool read_only, struct err *err)
{
	(void)vm, (void)err;
	snprintf(fake_floppy, sizeof(fake_floppy), "%u%s%s", drive, read_only ? "r" : "w",
		 path == NULL ? "" : path);
	return 0;
}

#endif
