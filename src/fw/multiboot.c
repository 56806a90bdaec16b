/*
 * multiboot.c - enters a multiboot 1 ELF image, as authors of test guests use
 *
 * 32-bit ELF (or 64-bit ELF whose entry is 32-bit code) loaded by its program
 * headers; modules follow, page aligned; the information structure and its
 * strings lie in low memory.  An image for real mode may have segments there
 * too, in the gaps that leaves.  Everything in the file is a stranger's word.
 *
 * Spec     [Multiboot 0.6.96] 3.1 header, 3.2 machine state, 3.3 information
 * Missing  the a.out kludge (flag 16) for images that are no ELF; video modes
 * Lock     none; before any vCPU runs
 */
#include "fw/boot_priv.h"

#include "spec/x86.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#define MB_MAGIC 0x1badb002u
#define MB_LOADED 0x2badb002u
#define MB_SEARCH 8192u
#define MB_FLAGS_MUST 0xffffu		/* a loader that does not know one must refuse the image */
#define MB_FLAGS_KNOWN 3u		/* modules on pages, memory information: always given */
#define MB_FLAG_VIDEO 4u
#define MAX_PHDRS 64u
#define MAX_MODULES 32u

enum { INFO_MEMORY = 1, INFO_CMDLINE = 4, INFO_MODS = 8, INFO_MMAP = 64, INFO_LOADER = 512 };

/* Our part of low memory, which no segment may touch: GDT, this page, and the strings. */
#define INFO_PAGE 0x2000u
#define LOW_FREE (INFO_PAGE + 0x1000u)	/* to BOOT_CMDLINE */
#define TEXT_LIMIT 0x80000u
#define LOW_END 0xa0000u

/* Layout of INFO_PAGE. */
#define AT_MODS 0x100u
#define AT_LOADER 0x600u
#define AT_MMAP 0x800u
#define MMAP_MAX 32u

static const uint8_t *find_header(const struct blob *k)
{
	for (size_t at = 0; at + 12 <= k->n && at + 12 <= MB_SEARCH; at += 4) {
		const uint8_t *h = k->data + at;

		if (ld32(h) == MB_MAGIC && ld32(h) + ld32(h + 4) + ld32(h + 8) == 0)
			return h;
	}
	return NULL;
}

bool boot_is_multiboot(const struct blob *k)
{
	return find_header(k) != NULL;
}

struct segment {
	uint64_t off, file, mem, pa;
};

static int read_phdr(const struct blob *k, bool wide, uint64_t phoff, unsigned i, struct segment *s,
		     bool *ret_load)
{
	const Elf32_Phdr *p32;
	const Elf64_Phdr *p64;
	size_t size = wide ? sizeof(*p64) : sizeof(*p32);
	union { Elf32_Phdr p32; Elf64_Phdr p64; } g;

	if (phoff > k->n || size * (i + 1) > k->n - phoff)
		return -ENOEXEC;
	memcpy(&g, k->data + phoff + size * i, size);
	*ret_load = (wide ? g.p64.p_type : g.p32.p_type) == PT_LOAD;
	*s = wide ? (struct segment){ g.p64.p_offset, g.p64.p_filesz, g.p64.p_memsz, g.p64.p_paddr }
		  : (struct segment){ g.p32.p_offset, g.p32.p_filesz, g.p32.p_memsz,
				      g.p32.p_paddr };
	return 0;
}

static bool place_ok(const struct segment *s)
{
	uint64_t end = s->pa + s->mem;

	return s->pa >= MIB || (s->pa >= TEXT_LIMIT && end <= LOW_END) ||
	       (s->pa >= LOW_FREE && end <= BOOT_CMDLINE);
}

static int load_segment(struct gmem *m, const struct blob *k, const struct segment *s,
			struct err *err)
{
	if (s->off > k->n || s->file > k->n - s->off || s->file > s->mem)
		return err_set(err, -ENOEXEC,
			       "%s: truncated: a segment of %llu bytes at file offset %llu",
			       k->path, (unsigned long long)s->file, (unsigned long long)s->off);
	if (s->pa >= 4 * GIB || s->mem > 4 * GIB - s->pa || !place_ok(s) ||
	    !gmem_is_ram(m, s->pa, s->mem))
		return err_set(err, -ENOMEM,
			       "%s: a segment of %llu bytes at %#llx does not fit into memory",
			       k->path, (unsigned long long)s->mem, (unsigned long long)s->pa);
	if (gmem_write(m, s->pa, k->data + s->off, s->file) < 0 ||
	    gmem_zero(m, s->pa + s->file, s->mem - s->file) < 0)
		return err_set(err, -EFAULT, "%s: its place is not memory", k->path);
	return 0;
}

static int load_elf(struct gmem *m, const struct blob *k, uint64_t *ret_entry, uint64_t *ret_end,
		    struct err *err)
{
	union { Elf32_Ehdr e32; Elf64_Ehdr e64; } g = { 0 };
	bool wide, load;
	uint64_t phoff, end = MIB;
	size_t size, want;
	unsigned nr;

	memcpy(&g, k->data, min_u64(sizeof(g), k->n));
	wide = g.e32.e_ident[EI_CLASS] == ELFCLASS64;
	if (memcmp(g.e32.e_ident, ELFMAG, SELFMAG) != 0)
		return err_set(err, -ENOEXEC, "%s: a multiboot image that is no ELF file", k->path);
	size = wide ? g.e64.e_phentsize : g.e32.e_phentsize;
	want = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (size != want)
		return err_set(err, -ENOEXEC, "%s: program headers of %zu bytes, expected %zu",
			       k->path, size, want);
	nr = wide ? g.e64.e_phnum : g.e32.e_phnum;
	phoff = wide ? g.e64.e_phoff : g.e32.e_phoff;
	if (nr == 0 || nr > MAX_PHDRS)
		return err_set(err, -ENOEXEC, "%s: %u program headers, expected 1 to %u", k->path,
			       nr, MAX_PHDRS);
	for (unsigned i = 0; i < nr; i++) {
		struct segment s;
		int rc;

		if (read_phdr(k, wide, phoff, i, &s, &load) < 0)
			return err_set(err, -ENOEXEC,
				       "%s: its program headers lie outside the file", k->path);
		if (!load || s.mem == 0)
			continue;
		rc = load_segment(m, k, &s, err);
		if (rc < 0)
			return rc;
		end = max_u64(end, s.pa + s.mem);
	}
	*ret_entry = wide ? g.e64.e_entry : g.e32.e_entry;
	if (*ret_entry > UINT32_MAX)
		return err_set(err, -ENOEXEC, "%s: entered at %#llx, expected 32-bit code", k->path,
			       (unsigned long long)*ret_entry);
	*ret_end = end;
	return 0;
}

/* A module is "path arguments"; the whole text is its string.  The initrd is a path only. */
static int load_module(struct gmem *m, const char *text, bool initrd, uint64_t at, uint64_t *ret_n,
		       struct err *err)
{
	size_t n = initrd ? strlen(text) : strcspn(text, " ");
	char path[4096];
	struct blob b;
	int rc;

	if (n >= sizeof(path))
		return err_set(err, -ENAMETOOLONG, "module: its path has %zu characters", n);
	memcpy(path, text, n);
	path[n] = '\0';
	rc = blob_read(path, gmem_size(m), &b, err);
	if (rc < 0)
		return rc;
	if (at + b.n > UINT32_MAX || gmem_write(m, at, b.data, b.n) < 0)
		rc = err_set(err, -ENOMEM, "%s: %zu bytes do not fit into memory", path, b.n);
	*ret_n = b.n;
	blob_free(&b);
	return rc;
}

static int load_modules(struct gmem *m, const struct fw_boot_conf *c, uint64_t end, uint8_t *page,
			struct err *err)
{
	const char *list[MAX_MODULES];
	unsigned nr = 0;
	/* the strings, one after the other */
	uint64_t text = BOOT_CMDLINE + BOOT_CMDLINE_MAX, n;

	if (c->initrd != NULL)
		list[nr++] = c->initrd;
	for (unsigned i = 0; c->modules != NULL && c->modules[i] != NULL; i++) {
		if (nr == MAX_MODULES)
			return err_set(err, -E2BIG, "more than %u multiboot modules", MAX_MODULES);
		list[nr++] = c->modules[i];
	}
	for (unsigned i = 0; i < nr; i++) {
		uint8_t *e = page + AT_MODS + i * 16;
		uint64_t at = align_up(end, PAGE_SIZE);
		size_t len = strlen(list[i]) + 1;
		int rc = load_module(m, list[i], i == 0 && c->initrd != NULL, at, &n, err);

		if (rc < 0)
			return rc;
		if (len > TEXT_LIMIT - text || gmem_write(m, text, list[i], len) < 0)
			return err_set(err, -E2BIG,
				       "the strings of multiboot modules have over %u bytes",
				       TEXT_LIMIT - BOOT_CMDLINE - BOOT_CMDLINE_MAX);
		st32(e, (uint32_t)at);
		st32(e + 4, (uint32_t)(at + n));
		st32(e + 8, (uint32_t)text);
		text += len;
		end = at + n;
	}
	st32(page + 20, nr);
	st32(page + 24, INFO_PAGE + AT_MODS);
	return 0;
}

static void put_memory(const struct fw_boot_conf *c, uint8_t *page)
{
	unsigned nr = c->nr_map < MMAP_MAX ? (unsigned)c->nr_map : MMAP_MAX;

	for (unsigned i = 0; i < nr; i++) {
		uint8_t *e = page + AT_MMAP + i * 24;

		st32(e, 20);
		st64(e + 4, c->map[i].gpa);
		st64(e + 12, c->map[i].len);
		st32(e + 20, c->map[i].type);
		if (c->map[i].type != FW_E820_RAM)
			continue;
		if (c->map[i].gpa == 0)
			st32(page + 4, (uint32_t)(min_u64(c->map[i].len, 640 * KIB) / KIB));
		if (c->map[i].gpa <= MIB && c->map[i].gpa + c->map[i].len > MIB)
			st32(page + 8, (uint32_t)((c->map[i].gpa + c->map[i].len - MIB) / KIB));
	}
	st32(page + 44, nr * 24);
	st32(page + 48, INFO_PAGE + AT_MMAP);
}

static void set_regs(struct cpu_regs *r, uint64_t entry)
{
	const struct cpu_seg code = { .sel = 0x10, .attr = 0xc09b, .limit = UINT32_MAX };
	const struct cpu_seg data = { .sel = 0x18, .attr = 0xc093, .limit = UINT32_MAX };

	r->seg[CPU_CS] = code;
	r->seg[CPU_DS] = r->seg[CPU_ES] = r->seg[CPU_SS] = r->seg[CPU_FS] = r->seg[CPU_GS] = data;
	r->gdt = (struct cpu_table){ .base = BOOT_GDT, .limit = 4 * 8 - 1 };
	r->cr0 = X86_CR0_PE | X86_CR0_ET;
	r->cr3 = r->cr4 = r->efer = 0;
	r->rflags = 2;
	r->rip = entry;
	memset(r->gpr, 0, sizeof(r->gpr));
	r->gpr[CPU_RAX] = MB_LOADED;
	r->gpr[CPU_RBX] = INFO_PAGE;
}

int boot_multiboot(struct gmem *m, const struct fw_boot_conf *c, const struct blob *k,
		   struct cpu_regs *regs, struct err *err)
{
	static const uint64_t gdt[4] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	uint32_t flags = ld32(find_header(k) + 4);
	char args[BOOT_CMDLINE_MAX + 1];
	uint8_t page[4096] = { 0 };
	uint64_t entry, end;
	int rc;

	/* The first word is the image's own name, as boot loaders give it. */
	if ((unsigned)snprintf(args, sizeof(args), "%s %s", c->kernel,
			       c->cmdline == NULL ? "" : c->cmdline) >=
	    BOOT_CMDLINE_MAX)
		return err_set(err, -E2BIG, "kernel command line: longer than %u characters",
			       BOOT_CMDLINE_MAX - 1);
	if (flags & MB_FLAG_VIDEO)
		return err_set(err, -ENOTSUP,
			       "%s: asks for a video mode, the machine has no display", k->path);
	if (flags & MB_FLAGS_MUST & ~MB_FLAGS_KNOWN)
		return err_set(err, -ENOTSUP, "%s: multiboot flags %#x, expected none but 0x3",
			       k->path, flags & MB_FLAGS_MUST);
	rc = load_elf(m, k, &entry, &end, err);
	if (rc == 0)
		rc = load_modules(m, c, end, page, err);
	if (rc < 0)
		return rc;
	put_memory(c, page);
	st32(page, INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER);
	st32(page + 16, BOOT_CMDLINE);
	st32(page + 64, INFO_PAGE + AT_LOADER);
	memcpy(page + AT_LOADER, "genvisor", 9);
	if (gmem_write(m, INFO_PAGE, page, sizeof(page)) < 0 ||
	    gmem_write(m, BOOT_CMDLINE, args, strlen(args) + 1) < 0 ||
	    gmem_write(m, BOOT_GDT, gdt, sizeof(gdt)) < 0)
		return err_set(err, -EFAULT, "%s: low memory is missing", k->path);
	set_regs(regs, entry);
	return 0;
}
