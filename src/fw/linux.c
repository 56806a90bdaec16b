/*
 * linux.c - enters a Linux bzImage by the 64-bit boot protocol
 *
 * No setup code runs: we are the boot loader.  The kernel is put where its
 * header prefers, its zero page filled from the header and the board's memory
 * map, and the processor left in long mode with the first 4 GiB mapped one to
 * one by 2-MiB pages.
 *
 * Spec     [Linux/x86 boot protocol] 2.15: 1.1 header, 1.12 64-bit entry
 * Missing  protocols before 2.12 (kernels before 3.8): refused
 * Lock     none; before any vCPU runs
 */
#include "fw/boot_priv.h"

#include "spec/x86.h"

#include <string.h>

#define HDR 0x1f1u		/* setup header, in the file and in the zero page */
#define HDR_MAGIC 0x202u
#define HDR_END_MAX 0x290u
#define MIN_VERSION 0x20c
#define XLF_KERNEL_64 1u
#define E820_MAX 128u
#define ENTRY_64 0x200u
#define MAX_BYTES GIB

struct header {			/* what we need of it, checked for being there */
	uint32_t setup_bytes, kernel_bytes;
	uint16_t version, xloadflags;
	uint8_t relocatable;
	uint32_t alignment, init_size, initrd_max, cmdline_max;
	uint64_t pref;
	uint8_t end;		/* length byte at 0x201 */
};

bool boot_is_linux(const struct blob *k)
{
	return k->n > HDR_END_MAX && memcmp(k->data + HDR_MAGIC, "HdrS", 4) == 0;
}

static int parse(const struct blob *k, struct header *h, struct err *err)
{
	const uint8_t *d = k->data;
	unsigned sects = d[HDR] == 0 ? 4 : d[HDR];

	h->version = ld16(d + 0x206);
	if (h->version < MIN_VERSION)
		return err_set(err, -ENOEXEC, "%s: boot protocol %u.%02u, expected 2.12 or newer",
			       k->path, h->version >> 8, h->version & 0xff);
	if (k->n > MAX_BYTES)
		return err_set(err, -EFBIG, "%s: %zu bytes, expected a kernel of at most %llu MiB",
			       k->path, k->n, (unsigned long long)(MAX_BYTES / MIB));
	h->setup_bytes = (sects + 1) * 512;
	if (k->n <= h->setup_bytes + ENTRY_64)
		return err_set(err, -ENOEXEC, "%s: truncated: %zu bytes, its setup alone has %u",
			       k->path, k->n, h->setup_bytes);
	h->kernel_bytes = (uint32_t)(k->n - h->setup_bytes);
	if ((uint64_t)ld32(d + 0x1f4) * 16 > align_up(h->kernel_bytes, 16))
		return err_set(err, -ENOEXEC,
			       "%s: truncated: %u bytes of kernel, its header says %llu",
			       k->path, h->kernel_bytes, (unsigned long long)ld32(d + 0x1f4) * 16);
	h->xloadflags = ld16(d + 0x236);
	if ((h->xloadflags & XLF_KERNEL_64) == 0)
		return err_set(err, -ENOEXEC, "%s: a 32-bit kernel, expected a 64-bit one",
			       k->path);
	h->relocatable = d[0x234];
	h->alignment = ld32(d + 0x230);
	h->initrd_max = ld32(d + 0x22c);
	h->cmdline_max = ld32(d + 0x238);
	h->pref = ld64(d + 0x258);
	h->init_size = ld32(d + 0x260);
	h->end = d[0x201];
	return 0;
}

static int load_kernel(struct gmem *m, const struct fw_boot_conf *c, const struct blob *k,
		       const struct header *h, uint64_t *ret_end, struct err *err)
{
	uint64_t need = max_u64(h->init_size, h->kernel_bytes);

	if (h->pref < MIB || h->pref % PAGE_SIZE != 0 || h->pref > GIB)
		return err_set(err, -ENOEXEC, "%s: wants to be loaded at %#llx", k->path,
			       (unsigned long long)h->pref);
	if (!gmem_is_ram(m, h->pref, need))
		return err_set(err, -ENOMEM,
			       "%s: needs %llu MiB of memory at %llu MiB, the machine has %llu MiB",
			       k->path, (unsigned long long)(need / MIB),
			       (unsigned long long)(h->pref / MIB),
			       (unsigned long long)(gmem_size(m) / MIB));
	if (gmem_write(m, h->pref, k->data + h->setup_bytes, h->kernel_bytes) < 0)
		return err_set(err, -EFAULT, "%s: its place is not memory", c->kernel);
	*ret_end = h->pref + need;
	return 0;
}

static int load_initrd(struct gmem *m, const struct fw_boot_conf *c, uint64_t floor, uint64_t top,
		       uint8_t *zero_page, struct err *err)
{
	struct blob b;
	uint64_t at;
	int rc;

	if (c->initrd == NULL)
		return 0;
	rc = blob_read(c->initrd, gmem_size(m), &b, err);
	if (rc < 0)
		return rc;
	at = boot_place_high(c, b.n, floor, top);
	if (at == 0 || gmem_write(m, at, b.data, b.n) < 0)
		rc = err_set(err, -ENOMEM,
			     "%s: %zu bytes do not fit into the machine's memory beside the kernel",
			     c->initrd, b.n);
	st32(zero_page + 0x218, (uint32_t)at);
	st32(zero_page + 0x21c, (uint32_t)b.n);
	blob_free(&b);
	return rc;
}

static int put_cmdline(struct gmem *m, const struct fw_boot_conf *c, const struct header *h,
		       uint8_t *zero_page, struct err *err)
{
	const char *text = c->cmdline == NULL ? "" : c->cmdline;

	if (strlen(text) > h->cmdline_max)
		return err_set(err, -E2BIG,
			       "kernel command line: %zu characters, this kernel takes %u",
			       strlen(text), h->cmdline_max);
	st32(zero_page + 0x228, BOOT_CMDLINE);
	return gmem_write(m, BOOT_CMDLINE, text, strlen(text) + 1);
}

static void put_e820(const struct fw_boot_conf *c, uint8_t *zero_page)
{
	size_t nr = c->nr_map < E820_MAX ? c->nr_map : E820_MAX;

	zero_page[0x1e8] = (uint8_t)nr;
	for (size_t i = 0; i < nr; i++) {
		uint8_t *e = zero_page + 0x2d0 + i * 20;

		st64(e, c->map[i].gpa);
		st64(e + 8, c->map[i].len);
		st32(e + 16, c->map[i].type);
	}
}

static int put_page_tables(struct gmem *m)
{
	uint64_t table[512] = { BOOT_PAGES + PAGE_SIZE + (X86_PTE_P | X86_PTE_W) };
	int rc = gmem_write(m, BOOT_PAGES, table, sizeof(table));

	for (unsigned i = 0; i < 512; i++)
		table[i] = i < 4 ? BOOT_PAGES + (2 + i) * PAGE_SIZE + (X86_PTE_P | X86_PTE_W) : 0;
	if (rc == 0)
		rc = gmem_write(m, BOOT_PAGES + PAGE_SIZE, table, sizeof(table));
	for (unsigned pd = 0; pd < 4 && rc == 0; pd++) {
		for (unsigned i = 0; i < 512; i++)
			table[i] = pd * GIB + i * 2 * MIB + (X86_PTE_P | X86_PTE_W | X86_PTE_PS);
		rc = gmem_write(m, BOOT_PAGES + (2 + pd) * PAGE_SIZE, table, sizeof(table));
	}
	return rc;
}

static void set_regs(struct cpu_regs *r, uint64_t entry)
{
	const struct cpu_seg code = { .sel = 0x10, .attr = 0xa09b, .limit = UINT32_MAX };
	const struct cpu_seg data = { .sel = 0x18, .attr = 0xc093, .limit = UINT32_MAX };

	r->seg[CPU_CS] = code;
	r->seg[CPU_DS] = r->seg[CPU_ES] = r->seg[CPU_SS] = r->seg[CPU_FS] = r->seg[CPU_GS] = data;
	r->gdt = (struct cpu_table){ .base = BOOT_GDT, .limit = 4 * 8 - 1 };
	r->idt = (struct cpu_table){ 0 };
	r->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	r->cr3 = BOOT_PAGES;
	r->cr4 = X86_CR4_PAE;
	r->efer = X86_EFER_LME | X86_EFER_LMA;
	r->rflags = 2;
	r->rip = entry;
	memset(r->gpr, 0, sizeof(r->gpr));
	r->gpr[CPU_RSI] = BOOT_PARAMS;
	r->gpr[CPU_RSP] = BOOT_PARAMS;
}

int boot_linux(struct gmem *m, const struct fw_boot_conf *c, const struct blob *k,
	       struct cpu_regs *regs, struct err *err)
{
	static const uint64_t gdt[4] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	uint8_t zero_page[4096] = { 0 };
	struct header h;
	uint64_t end;
	int rc = parse(k, &h, err);

	if (rc < 0)
		return rc;
	if (c->modules != NULL && c->modules[0] != NULL)
		return err_set(err, -EINVAL, "%s: a Linux kernel takes no multiboot modules",
			       k->path);
	memcpy(zero_page + HDR, k->data + HDR, min_u64(0x202u + h.end - HDR, HDR_END_MAX - HDR));
	zero_page[0x210] = 0xff;	/* a loader without a number */
	st64(zero_page + 0x70, c->rsdp_gpa);
	put_e820(c, zero_page);
	rc = load_kernel(m, c, k, &h, &end, err);
	if (rc == 0)
		rc = load_initrd(m, c, end, min_u64((uint64_t)h.initrd_max + 1, 4 * GIB), zero_page,
				 err);
	if (rc == 0)
		rc = put_cmdline(m, c, &h, zero_page, err);
	if (rc < 0)
		return rc;
	rc = gmem_write(m, BOOT_PARAMS, zero_page, sizeof(zero_page));
	if (rc == 0)
		rc = gmem_write(m, BOOT_GDT, gdt, sizeof(gdt));
	if (rc == 0)
		rc = put_page_tables(m);
	if (rc < 0)
		return err_set(err, rc, "%s: low memory is missing", k->path);
	set_regs(regs, h.pref + ENTRY_64);
	return 0;
}
