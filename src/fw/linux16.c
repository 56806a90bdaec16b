/*
 * linux16.c - a Linux kernel for a BIOS to start
 *
 * What a boot loader of the BIOS's would do to a bzImage, done by the host: its
 * setup header is filled in, and places are found for the parts. An option ROM
 * (linuxrom.S) brings them there and runs the setup code.
 *
 * Where all lies is what QEMU chose for the same purpose, so that its own ROM,
 * which is no different to a guest, would find nothing amiss.
 *
 * Spec     [Linux/x86 boot protocol] 2.15: 1.1, 1.3 loading the rest of the kernel
 * Missing  kernels that must lie low (zImage): refused
 * Lock     none; before any vCPU runs
 */
#include "fw/boot_priv.h"

#include <stdlib.h>
#include <string.h>

#define HDR_MAGIC 0x202u
#define MIN_VERSION 0x202
#define LOADED_HIGH 1u
#define CAN_USE_HEAP 0x80u
#define LOADER 0xb0u			/* QEMU's; we have none of our own */
#define SETUP_GPA 0x10000u
#define CMDLINE_GPA 0x20000u
#define KERNEL_GPA 0x100000u
#define MAX_KERNEL GIB
#define SETUP_MAX 0x8000u
#define CMDLINE_MAX 0x8000u

extern const uint8_t fw_linuxrom[], fw_linuxrom_end[];

static int check(const struct blob *k, uint32_t *ret_setup, struct err *err)
{
	const uint8_t *d = k->data;
	uint32_t setup = 0;

	if (k->n < 0x400 || memcmp(d + HDR_MAGIC, "HdrS", 4) != 0)
		return err_set(err, -ENOEXEC, "%s: not a Linux kernel (bzImage), which is what "
			       "generation 1 takes", k->path);
	if (ld16(d + 0x206) < MIN_VERSION)
		return err_set(err, -ENOEXEC, "%s: boot protocol %u.%02u, expected 2.02 or newer",
			       k->path, d[0x207], d[0x206]);
	if ((d[0x211] & LOADED_HIGH) == 0)
		return err_set(err, -ENOEXEC, "%s: a kernel that is loaded below 640 KiB (zImage), "
			       "expected a bzImage", k->path);
	setup = ((d[0x1f1] == 0 ? 4u : d[0x1f1]) + 1) * 512;
	if (setup > SETUP_MAX || k->n <= setup)
		return err_set(err, -ENOEXEC, "%s: truncated: %zu bytes, its setup alone has %u",
			       k->path, k->n, setup);
	*ret_setup = setup;
	return 0;
}

static int put_cmdline(struct fw_linux16 *l, const uint8_t *d, const char *text, struct err *err)
{
	uint32_t most = ld16(d + 0x206) >= 0x206 ? ld32(d + 0x238) : 255;

	most = (uint32_t)min_u64(most, CMDLINE_MAX - 1);
	if (strlen(text) > most)
		return err_set(err, -E2BIG, "kernel command line: %zu characters, this kernel takes %u",
			       strlen(text), most);
	l->cmdline = (struct fw_part){ CMDLINE_GPA, text, (uint32_t)strlen(text) + 1 };
	return 0;
}

/* As high as the kernel finds it, below what the BIOS keeps for itself. */
static int place_initrd(struct fw_linux16 *l, const uint8_t *d, const char *path, uint64_t top,
			struct err *err)
{
	uint64_t most = ld16(d + 0x206) >= 0x203 ? (uint64_t)ld32(d + 0x22c) + 1 : 0x38000000;
	uint64_t init = ld16(d + 0x206) >= 0x20a ? ld32(d + 0x260) : 0;
	uint64_t floor = KERNEL_GPA + max_u64(l->kernel.len, init);
	uint64_t len = l->initrd.len, at;

	top = min_u64(top, most);
	at = top > len ? align_down(top - len, PAGE_SIZE) : 0;
	if (at < floor)
		return err_set(err, -ENOMEM, "%s: %llu bytes do not fit into the machine's memory "
			       "beside the kernel", path, (unsigned long long)len);
	l->initrd.gpa = (uint32_t)at;
	return 0;
}

static void patch(struct fw_linux16 *l)
{
	uint8_t *d = l->setup_bytes;

	d[0x210] = LOADER;
	d[0x211] |= CAN_USE_HEAP;
	st16(d + 0x224, (uint16_t)(CMDLINE_GPA - SETUP_GPA - 0x200));
	st32(d + 0x218, l->initrd.gpa);
	st32(d + 0x21c, l->initrd.len);
	st32(d + 0x228, CMDLINE_GPA);
}

/* So that all bytes add up to 0; the header of its own alike. */
static void make_rom(struct fw_linux16 *l)
{
	size_t n = (size_t)(fw_linuxrom_end - fw_linuxrom);
	uint8_t *pnp = l->rom, sum = 0;

	BUG_IF(n != sizeof(l->rom));
	memcpy(l->rom, fw_linuxrom, n);
	pnp += ld16(l->rom + 0x1a);
	for (unsigned i = 0; i < 32; i++)
		sum = (uint8_t)(sum + pnp[i]);
	pnp[9] = (uint8_t)-sum;
	sum = 0;
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + l->rom[i]);
	l->rom[5] = (uint8_t)-sum;		/* between the entry and the pointer */
}

int fw_linux16(const char *kernel, const char *initrd, const char *cmdline, uint64_t top,
	       struct fw_linux16 *ret_l, struct err *err)
{
	struct blob k = { .n = 0 }, i = { .n = 0 };
	struct fw_linux16 *l = ret_l;
	uint32_t setup = 0;
	int rc = blob_read(kernel, MAX_KERNEL, &k, err);

	*l = (struct fw_linux16){ .setup_bytes = k.data };	/* fini frees them */
	if (rc == 0)
		rc = check(&k, &setup, err);
	if (rc == 0 && initrd != NULL) {
		rc = blob_read(initrd, top, &i, err);
		l->initrd_bytes = i.data;
	}
	if (rc == 0)
		rc = put_cmdline(l, k.data, cmdline == NULL ? "" : cmdline, err);
	if (rc < 0)
		return rc;
	l->setup = (struct fw_part){ SETUP_GPA, k.data, setup };
	l->kernel = (struct fw_part){ KERNEL_GPA, k.data + setup, (uint32_t)(k.n - setup) };
	l->initrd = (struct fw_part){ 0, i.data, (uint32_t)i.n };
	if (KERNEL_GPA + (uint64_t)l->kernel.len > top)
		return err_set(err, -ENOMEM, "%s: %u bytes do not fit into the machine's memory",
			       kernel, l->kernel.len);
	if (i.n > 0)
		rc = place_initrd(l, k.data, initrd, top, err);
	patch(l);
	make_rom(l);
	return rc;
}

void fw_linux16_fini(struct fw_linux16 *l)
{
	free(l->setup_bytes);
	free(l->initrd_bytes);
	*l = (struct fw_linux16){ .setup_bytes = NULL };
}
