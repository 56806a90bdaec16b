/*
 * smbios.c - who the guest believes its maker to be
 *
 * "Microsoft Corporation" and "Virtual Machine" are what Linux, cloud-init
 * and Windows match on.  The chassis asset tag is deliberately not Azure's:
 * with it cloud-init hunts for an Azure fabric.
 *
 * Spec     [SMBIOS 3.1] 5.2.2 entry point, 7.1-7.20 structures
 * Lock     none; before any vCPU runs
 */
#include "fw/fw.h"

#include <stdio.h>
#include <string.h>

#define MAKER "Microsoft Corporation"
#define RELEASE "Hyper-V UEFI Release v4.1"
/* Of Generation 1: its BIOS's, and what the other structures say for a version. */
#define MAKER_BIOS "American Megatrends Inc."
#define RELEASE_BIOS "090008"
#define VERSION_GEN1 "7.0"
#define ENTRY_BYTES 24u
#define MAX_BYTES FW_SMBIOS_MAX

struct pen {
	uint8_t buf[MAX_BYTES];
	size_t at;
	uint16_t handle;
	bool full;
	const char *release;
	bool gen1;
};

/* One structure: its formatted part (from the type byte on) and its strings. */
static uint16_t put(struct pen *p, uint8_t *body, size_t n, const char *const *strings)
{
	size_t need = n + 2;
	uint8_t *out = p->buf + p->at;
	uint16_t handle = p->handle++;

	for (unsigned i = 0; strings != NULL && strings[i] != NULL; i++)
		need += strlen(strings[i]) + 1;
	if (need > sizeof(p->buf) - p->at) {
		p->full = true;
		return handle;
	}
	body[1] = (uint8_t)n;
	st16(body + 2, handle);
	memcpy(out, body, n);
	out += n;
	for (unsigned i = 0; strings != NULL && strings[i] != NULL; i++) {
		memcpy(out, strings[i], strlen(strings[i]) + 1);
		out += strlen(strings[i]) + 1;
	}
	if (strings == NULL)
		*out++ = 0;
	*out++ = 0;
	p->at = (size_t)(out - p->buf);
	return handle;
}

static void put_bios(struct pen *p)
{
	uint8_t b[26] = { [0] = 0, [4] = 1, [5] = 2, [8] = 3, [20] = 4, [21] = 1, [22] = 0xff,
			  [23] = 0xff };

	st64(b + 10, 0x08);		/* characteristics not supported */
	b[18] = 0x01;			/* ACPI */
	b[19] = 0x1c;			/* UEFI, targeted content, virtual machine */
	if (p->gen1)
		b[19] = 0x14;		/* not UEFI */
	put(p, b, sizeof(b), (const char *const[]){ p->gen1 ? MAKER_BIOS : MAKER,
						    p->gen1 ? RELEASE_BIOS : RELEASE,
						    "11/01/2026", NULL });
}

static void put_system(struct pen *p, const struct fw_smbios_conf *c)
{
	uint8_t b[27] = { [0] = 1, [4] = 1, [5] = 2, [6] = 3, [7] = 4, [24] = 6, [25] = 5,
			  [26] = 2 };

	memcpy(b + 8, &c->uuid, 16);
	put(p, b, sizeof(b), (const char *const[]){ MAKER, "Virtual Machine", p->release,
						    c->serial, "None", NULL });
}

static uint16_t put_board(struct pen *p, const struct fw_smbios_conf *c)
{
	uint8_t b[15] = { [0] = 2, [4] = 1, [5] = 2, [6] = 3, [7] = 4, [8] = 0, [9] = 1, [10] = 5,
			  [13] = 10 };

	st16(b + 11, 0x300);		/* the chassis below, made with this handle */
	return put(p, b, sizeof(b), (const char *const[]){ MAKER, "Virtual Machine", p->release,
							   c->serial, "Virtual Machine", NULL });
}

static void put_chassis(struct pen *p, const struct fw_smbios_conf *c)
{
	uint8_t b[22] = { [0] = 3, [4] = 1, [5] = 3, [6] = 2, [7] = 3, [8] = 4, [9] = 3, [10] = 3,
			  [11] = 3, [12] = 3, [21] = 0 };

	p->handle = 0x300;
	put(p, b, sizeof(b), (const char *const[]){ MAKER, p->release, c->serial, "None", NULL });
}

static void put_processor(struct pen *p, unsigned nr_cpus)
{
	uint8_t b[48] = { [0] = 4, [4] = 1, [5] = 3, [6] = 0xfe, [7] = 2, [16] = 3, [24] = 0x41,
			  [25] = 0x01 };
	uint8_t count = nr_cpus > 0xff ? 0xff : (uint8_t)nr_cpus;

	st16(b + 26, 0xffff);		/* no cache structures */
	st16(b + 28, 0xffff);
	st16(b + 30, 0xffff);
	b[35] = b[36] = b[37] = count;
	st16(b + 38, 0x04);		/* 64-bit capable */
	st16(b + 40, 0xfe);
	st16(b + 42, (uint16_t)nr_cpus);
	st16(b + 44, (uint16_t)nr_cpus);
	st16(b + 46, (uint16_t)nr_cpus);
	put(p, b, sizeof(b), (const char *const[]){ "None", "Genvisor", "Virtual CPU", NULL });
}

static void put_oem_strings(struct pen *p)
{
	uint8_t b[5] = { [0] = 11, [4] = 1 };

	put(p, b, sizeof(b), (const char *const[]){ "To be filled by OEM", NULL });
}

static void put_memory(struct pen *p, uint64_t memory)
{
	uint8_t array[23] = { [0] = 16, [4] = 1, [5] = 3, [6] = 3 };
	uint8_t dev[40] = { [0] = 17, [14] = 1, [16] = 1, [18] = 2, [23] = 3 };
	uint8_t map[31] = { [0] = 19, [14] = 1 };
	uint16_t h;

	st32(array + 7, 0x80000000u);	/* see the extended field */
	st64(array + 15, memory);
	st16(array + 11, 0xfffe);
	st16(array + 13, 1);
	h = put(p, array, sizeof(array), NULL);
	st16(dev + 4, h);
	st16(dev + 6, 0xfffe);
	st16(dev + 8, 64);
	st16(dev + 10, 64);
	st16(dev + 12, memory / MIB < 0x7fff ? (uint16_t)(memory / MIB) : 0x7fff);
	dev[14] = 2;			/* unknown form factor */
	dev[16] = 1;
	dev[17] = 0;
	dev[18] = 2;
	st16(dev + 19, 4);
	st32(dev + 28, (uint32_t)(memory / MIB));
	put(p, dev, sizeof(dev), (const char *const[]){ "M0001", MAKER, "None", NULL });
	st32(map + 4, UINT32_MAX);	/* see the extended fields */
	st32(map + 8, UINT32_MAX);
	st16(map + 12, h);
	st64(map + 15, 0);
	st64(map + 23, memory - 1);
	put(p, map, sizeof(map), NULL);
}

static void put_boot_and_end(struct pen *p)
{
	uint8_t boot[11] = { [0] = 32 };
	uint8_t end[4] = { [0] = 127 };

	put(p, boot, sizeof(boot), NULL);
	put(p, end, sizeof(end), NULL);
}

static void build(struct pen *p, const struct fw_smbios_conf *c)
{
	p->handle = 0x100;
	put_bios(p);
	put_system(p, c);
	put_board(p, c);
	put_chassis(p, c);
	put_processor(p, c->nr_cpus);
	put_oem_strings(p);
	put_memory(p, c->memory);
	put_boot_and_end(p);
}

static uint8_t sum_to_zero(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)-sum;
}

/* How many structures there are, and the longest, its strings included. */
static uint16_t count(const struct pen *p, uint16_t *ret_longest)
{
	uint16_t nr = 0;

	*ret_longest = 0;
	for (size_t at = 0, next; at < p->at; at = next, nr++) {
		next = at + p->buf[at + 1];
		while (p->buf[next] != 0 || p->buf[next + 1] != 0)
			next++;
		next += 2;
		if (next - at > *ret_longest)
			*ret_longest = (uint16_t)(next - at);
	}
	return nr;
}

void fw_smbios_gen1(const struct fw_smbios_conf *c, struct fw_smbios_files *f)
{
	struct pen p = { .release = VERSION_GEN1, .gen1 = true };
	uint8_t *a = f->anchor;
	uint16_t longest;

	build(&p, c);
	BUG_IF(p.full);			/* all strings are ours, and short */
	memcpy(f->tables, p.buf, p.at);
	f->len = (uint32_t)p.at;
	memset(a, 0, sizeof(f->anchor));
	memcpy(a, "_SM_", 4);
	a[5] = sizeof(f->anchor);
	a[6] = 2;
	a[7] = 8;
	st16(a + 28, count(&p, &longest));
	st16(a + 8, longest);
	memcpy(a + 16, "_DMI_", 5);
	st16(a + 22, (uint16_t)p.at);
	a[30] = 0x28;
	a[21] = sum_to_zero(a + 16, 15);
	a[4] = sum_to_zero(a, sizeof(f->anchor));
}

int fw_smbios(struct gmem *m, const struct fw_smbios_conf *c, struct err *err)
{
	struct pen p = { .release = RELEASE };
	uint8_t entry[ENTRY_BYTES] = "_SM3_";

	build(&p, c);
	if (p.full || c->limit_gpa < c->gpa || c->limit_gpa - c->gpa < ENTRY_BYTES + 8 + p.at)
		return err_set(err, -ENOSPC, "SMBIOS tables do not fit below %#llx",
			       (unsigned long long)c->limit_gpa);
	entry[6] = sizeof(entry);
	entry[7] = 3;
	entry[8] = 1;
	entry[10] = 1;
	st32(entry + 12, (uint32_t)p.at);
	st64(entry + 16, c->gpa + 32);
	entry[5] = sum_to_zero(entry, sizeof(entry));
	if (gmem_write(m, c->gpa, entry, sizeof(entry)) < 0 ||
	    gmem_write(m, c->gpa + 32, p.buf, p.at) < 0)
		return err_set(err, -EFAULT, "SMBIOS tables at %#llx: not guest memory",
			       (unsigned long long)c->gpa);
	return 0;
}
