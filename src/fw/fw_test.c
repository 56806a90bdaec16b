#include "base/test.h"

#include "fw/aml.h"
#include "fw/fw.h"
#include "spec/acpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RSDP 0xe0000u

static struct gmem *memory(uint64_t size)
{
	const struct gmem_range r = { 0, size };
	struct gmem *m;

	CHECK_EQ(gmem_new(&r, 1, &m, NULL), 0);
	return m;
}

static const struct fw_acpi_conf acpi = {
	.nr_cpus = 3, .rsdp_gpa = RSDP, .limit_gpa = 0xf0000,
	.mmio_low = 0xf8000000, .mmio_low_len = 0x6000000,
	.mmio_high = 0x140000000, .mmio_high_len = 0x20000000,
	.com1 = true, .lapic_gpa = 0xfee00000, .ioapic_gpa = 0xfec00000, .pm_base = 0x400,
};

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n-- > 0)
		s = (uint8_t)(s + *p++);
	return s;
}

/* Copies the table with SIGNATURE out, its checksum checked; its length. */
static size_t table(struct gmem *m, const char *signature, uint8_t *buf, size_t cap)
{
	struct acpi_rsdp r;
	struct acpi_header h;
	le64 entry;
	uint64_t xsdt;
	size_t n;

	CHECK_EQ(gmem_read(m, RSDP, &r, sizeof(r)), 0);
	CHECK_EQ(sum((uint8_t *)&r, sizeof(r)), 0);
	CHECK_EQ(sum((uint8_t *)&r, 20), 0);
	xsdt = le64_get(r.xsdt);
	CHECK_EQ(gmem_read(m, xsdt, &h, sizeof(h)), 0);
	n = (le32_get(h.length) - sizeof(h)) / 8;
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(gmem_read(m, xsdt + sizeof(h) + i * 8, &entry, 8), 0);
		CHECK_EQ(gmem_read(m, le64_get(entry), &h, sizeof(h)), 0);
		if (memcmp(h.signature, signature, 4) != 0)
			continue;
		CHECK(le32_get(h.length) <= cap);
		CHECK_EQ(gmem_read(m, le64_get(entry), buf, le32_get(h.length)), 0);
		CHECK_EQ(sum(buf, le32_get(h.length)), 0);
		return le32_get(h.length);
	}
	return 0;
}

static void tables_check_and_name_every_processor(void **s)
{
	struct gmem *m = memory(2 * MIB);
	struct acpi_fadt fadt;
	uint8_t buf[8192];
	uint64_t end;
	unsigned cpus = 0;
	size_t n;

	(void)s;
	CHECK_EQ(fw_acpi_gen2(m, &acpi, &end, NULL), 0);
	CHECK(end <= acpi.limit_gpa);
	CHECK_EQ(table(m, "FACP", (uint8_t *)&fadt, sizeof(fadt)), sizeof(fadt));
	CHECK_EQ(le32_get(fadt.pm1a_evt), 0);
	CHECK_EQ(le64_get(fadt.x_pm1a_cnt.address), 0x404);
	n = table(m, "APIC", buf, sizeof(buf));
	for (size_t at = sizeof(struct acpi_madt); at < n; at += buf[at + 1])
		cpus += buf[at] == 0;
	CHECK_EQ(cpus, 3);
	CHECK(table(m, "WAET", buf, sizeof(buf)) > 0);
	CHECK(table(m, "SSDT", buf, sizeof(buf)) > 0);
	gmem_free(m);
}

/* The judge is iasl: it must read both of our AML tables without a complaint. */
static void disassemble(const char *path, const uint8_t *buf, size_t n, char *text, size_t cap)
{
	const char *iasl = getenv("IASL");
	char cmd[600], dsl[300];
	FILE *f = fopen(path, "wb");

	CHECK(f != NULL);
	fwrite(buf, 1, n, f);
	fclose(f);
	snprintf(cmd, sizeof(cmd), "cd /tmp && %s -vs -d %s > %s.log 2>&1", iasl ? iasl : "iasl",
		 path, path);
	CHECK_EQ(system(cmd), 0);
	snprintf(dsl, sizeof(dsl), "%.*s.dsl", (int)strlen(path) - 4, path);
	f = fopen(dsl, "rb");
	CHECK(f != NULL);
	n = fread(text, 1, cap - 1, f);
	text[n] = '\0';
	fclose(f);
	unlink(dsl);
	snprintf(dsl, sizeof(dsl), "%s.log", path);
	unlink(dsl);
	unlink(path);
}

static void iasl_reads_what_we_wrote(void **s)
{
	struct gmem *m = memory(2 * MIB);
	static uint8_t buf[65536];
	static char text[262144];
	struct acpi_fadt fadt;
	struct acpi_header h;
	uint64_t end, dsdt;
	char path[64];
	size_t n;

	(void)s;
	CHECK_EQ(fw_acpi_gen2(m, &acpi, &end, NULL), 0);
	n = table(m, "SSDT", buf, sizeof(buf));
	snprintf(path, sizeof(path), "/tmp/gvssdt%d.aml", (int)getpid());
	disassemble(path, buf, n, text, sizeof(text));
	/* Siblings: a package too long swallows what follows it, and iasl indents that. */
	CHECK(strstr(text, "\n        Device (P000)") != NULL);
	CHECK(strstr(text, "\n        Device (P002)") != NULL);
	CHECK(strstr(text, "ACPI0007") != NULL);
	CHECK_EQ(table(m, "FACP", (uint8_t *)&fadt, sizeof(fadt)), sizeof(fadt));
	dsdt = le64_get(fadt.x_dsdt);
	CHECK_EQ(gmem_read(m, dsdt, &h, sizeof(h)), 0);
	CHECK_EQ(gmem_read(m, dsdt, buf, le32_get(h.length)), 0);
	CHECK_EQ(sum(buf, le32_get(h.length)), 0);
	snprintf(path, sizeof(path), "/tmp/gvdsdt%d.aml", (int)getpid());
	disassemble(path, buf, le32_get(h.length), text, sizeof(text));
	CHECK(strstr(text, "GVLB, 0xF8000000") != NULL);
	CHECK(strstr(text, "GVHB, 0x00001400") != NULL);
	gmem_free(m);
}

/* Generation 1: old guests find all of it by short addresses, and ACPI is off at first. */
static void a_bios_machine_has_both_kinds_of_addresses(void **s)
{
	struct gmem *m = memory(2 * MIB);
	struct fw_acpi_conf c = acpi;
	static uint8_t buf[65536];
	static char text[262144];
	struct acpi_rsdp rsdp;
	struct acpi_header h;
	struct acpi_fadt f;
	char path[64];
	uint64_t end;
	le32 entry;

	(void)s;
	c.floppy = true;
	c.pm_base = 0x600;
	CHECK_EQ(fw_acpi_gen1(m, &c, &end, NULL), 0);
	CHECK_EQ(gmem_read(m, RSDP, &rsdp, sizeof(rsdp)), 0);
	CHECK_EQ(sum((uint8_t *)&rsdp, 20), 0);
	CHECK_EQ(gmem_read(m, le32_get(rsdp.rsdt), &h, sizeof(h)), 0);
	CHECK_MEM(h.signature, "RSDT", 4);
	CHECK_EQ(gmem_read(m, le32_get(rsdp.rsdt) + sizeof(h), &entry, 4), 0);
	CHECK_EQ(gmem_read(m, le32_get(entry), &f, sizeof(f)), 0);
	CHECK_MEM(f.h.signature, "FACP", 4);
	CHECK_EQ(le32_get(f.dsdt), le64_get(f.x_dsdt));
	CHECK_EQ(le32_get(f.pm_tmr), 0x608);
	CHECK_EQ(le64_get(f.x_pm_tmr.address), 0x608);
	CHECK_EQ(le32_get(f.smi_cmd), 0xb2);
	CHECK_EQ(f.acpi_enable, 0xe1);
	CHECK_EQ(le16_get(f.iapc_boot_arch), ACPI_BOOT_LEGACY | ACPI_BOOT_8042);
	(void)table(m, "APIC", buf, sizeof(buf));
	CHECK_EQ(buf[40], 1);			/* 8259s too */
	CHECK_EQ(gmem_read(m, le32_get(f.dsdt), &h, sizeof(h)), 0);
	CHECK_EQ(gmem_read(m, le32_get(f.dsdt), buf, le32_get(h.length)), 0);
	CHECK_EQ(sum(buf, le32_get(h.length)), 0);
	snprintf(path, sizeof(path), "/tmp/gvdsdt1%d.aml", (int)getpid());
	disassemble(path, buf, le32_get(h.length), text, sizeof(text));
	CHECK(strstr(text, "GVFD, 0x0000000F") != NULL);
	CHECK(strstr(text, "PNP0A03") != NULL);
	gmem_free(m);
}

static void smbios_for_a_bios_has_an_anchor_without_an_address(void **s)
{
	const struct fw_smbios_conf c = { .nr_cpus = 2, .memory = GIB, .serial = "0000-1" };
	struct fw_smbios_files f;
	unsigned nr = 0, longest = 0;

	(void)s;
	fw_smbios_gen1(&c, &f);
	CHECK_MEM(f.anchor, "_SM_", 4);
	CHECK_EQ(f.anchor[5], 31);
	CHECK_EQ(sum(f.anchor, 31), 0);
	CHECK_MEM(f.anchor + 16, "_DMI_", 5);
	CHECK_EQ(sum(f.anchor + 16, 15), 0);
	CHECK_EQ(ld32(f.anchor + 24), 0);
	CHECK_EQ(ld16(f.anchor + 22), f.len);
	for (unsigned at = 0, next; at < f.len; at = next, nr++) {
		for (next = at + f.tables[at + 1]; ld16(f.tables + next) != 0; next++)
			CHECK(next + 2 < f.len);
		next += 2;
		longest = next - at > longest ? next - at : longest;
	}
	CHECK_EQ(ld16(f.anchor + 28), nr);
	CHECK_EQ(ld16(f.anchor + 8), longest);
	CHECK(memmem(f.tables, f.len, "Virtual Machine", 16) != NULL);
	CHECK(memmem(f.tables, f.len, "7.0", 4) != NULL);
}

static void tables_that_do_not_fit_are_refused(void **s)
{
	struct gmem *m = memory(2 * MIB);
	struct fw_acpi_conf c = acpi;
	struct err e;
	uint64_t end;

	(void)s;
	c.limit_gpa = RSDP + 0x400;
	CHECK_EQ(fw_acpi_gen2(m, &c, &end, &e), -ENOSPC);
	CHECK(strstr(e.msg, "do not fit") != NULL);
	c = acpi;
	c.nr_cpus = 1024;
	CHECK_EQ(fw_acpi_gen2(m, &c, &end, &e), 0);
	gmem_free(m);
}

static void smbios_says_who_made_the_machine(void **s)
{
	struct gmem *m = memory(2 * MIB);
	const struct fw_smbios_conf c = {
		.gpa = 0xf0000, .limit_gpa = 0x100000, .nr_cpus = 2, .memory = GIB,
		.serial = "0000-1",
	};
	uint8_t buf[4096];
	uint32_t n;
	unsigned types = 0;
	size_t at = 0;

	(void)s;
	CHECK_EQ(fw_smbios(m, &c, NULL), 0);
	CHECK_EQ(gmem_read(m, 0xf0000, buf, 24), 0);
	CHECK_MEM(buf, "_SM3_", 5);
	CHECK_EQ(sum(buf, 24), 0);
	n = ld32(buf + 12);
	CHECK(n <= sizeof(buf));
	CHECK_EQ(gmem_read(m, ld64(buf + 16), buf, n), 0);
	/* Walk as a guest does: formatted part, then strings to a double NUL. */
	while (at + 4 <= n) {
		uint8_t type = buf[at];

		types++;
		if (type == 1)
			CHECK_STR((char *)buf + at + buf[at + 1], "Microsoft Corporation");
		at += buf[at + 1];
		while (at + 1 < n && (buf[at] != 0 || buf[at + 1] != 0))
			at++;
		at += 2;
		if (type == 127)
			break;
	}
	CHECK_EQ(at, n);
	CHECK_EQ(types, 11);
	gmem_free(m);
}

static const struct fw_mem map[] = {
	{ 0, 0xa0000, FW_E820_RAM }, { 0xe0000, 0x20000, FW_E820_RESERVED },
	{ MIB, 63 * MIB, FW_E820_RAM },
};

static char *write_file(const void *buf, size_t n)
{
	static char path[64];
	int fd;

	strcpy(path, "/tmp/gvfwXXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, buf, n), (ssize_t)n);
	close(fd);
	return path;
}

/* A bzImage with nothing in it but its header. */
static size_t fake_bzimage(uint8_t *k, size_t cap)
{
	memset(k, 0, cap);
	k[0x1f1] = 1;
	st32(k + 0x1f4, (uint32_t)(cap - 1024) / 16);
	memcpy(k + 0x202, "HdrS", 4);
	k[0x201] = 0x6a;
	st16(k + 0x206, 0x20f);
	st32(k + 0x22c, 0x7fffffff);
	st32(k + 0x238, 255);
	st16(k + 0x236, 1);
	st64(k + 0x258, 16 * MIB);
	st32(k + 0x260, 0x100000);
	memcpy(k + 1024 + 0x200, "code", 4);
	return cap;
}

static int boot(struct gmem *m, const void *k, size_t n, const char *cmdline, struct cpu_regs *r,
		struct err *e)
{
	const struct fw_boot_conf c = {
		.kernel = write_file(k, n), .cmdline = cmdline, .map = map, .nr_map = 3,
		.rsdp_gpa = RSDP,
	};
	int rc = fw_boot(m, &c, r, e);

	unlink(c.kernel);
	return rc;
}

static void linux_is_entered_in_long_mode(void **s)
{
	struct gmem *m = memory(64 * MIB);
	struct cpu_regs r = { 0 };
	uint8_t k[8192], buf[64];
	struct err e;

	(void)s;
	fake_bzimage(k, sizeof(k));
	CHECK_EQ(boot(m, k, sizeof(k), "quiet", &r, &e), 0);
	CHECK_EQ(r.rip, 16 * MIB + 0x200);
	CHECK_EQ(gmem_read(m, r.rip, buf, 4), 0);
	CHECK_MEM(buf, "code", 4);
	CHECK_EQ(gmem_read(m, r.gpr[CPU_RSI] + 0x1e8, buf, 1), 0);
	CHECK_EQ(buf[0], 3);
	CHECK_EQ(gmem_read(m, r.gpr[CPU_RSI] + 0x228, buf, 4), 0);
	CHECK_EQ(gmem_read(m, ld32(buf), buf, 6), 0);
	CHECK_STR((char *)buf, "quiet");
	gmem_free(m);
}

static void bad_kernels_are_named_and_refused(void **s)
{
	struct gmem *m = memory(64 * MIB), *tiny = memory(8 * MIB);
	struct cpu_regs r = { 0 };
	uint8_t k[8192];
	struct err e;

	(void)s;
	fake_bzimage(k, sizeof(k));
	CHECK_EQ(boot(m, k, 4096, "", &r, &e), -ENOEXEC);
	CHECK(strstr(e.msg, "truncated") != NULL);
	CHECK_EQ(boot(tiny, k, sizeof(k), "", &r, &e), -ENOMEM);
	CHECK(strstr(e.msg, "needs 1 MiB of memory at 16 MiB") != NULL);
	st16(k + 0x236, 0);
	CHECK_EQ(boot(m, k, sizeof(k), "", &r, &e), -ENOEXEC);
	CHECK(strstr(e.msg, "32-bit") != NULL);
	memset(k, 0x5a, sizeof(k));
	CHECK_EQ(boot(m, k, sizeof(k), "", &r, &e), -ENOEXEC);
	CHECK(strstr(e.msg, "neither") != NULL);
	gmem_free(m);
	gmem_free(tiny);
}

static void multiboot_loads_segments_inside_memory_only(void **s)
{
	struct gmem *m = memory(64 * MIB);
	struct cpu_regs r = { 0 };
	uint8_t k[512] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 }, buf[16];
	struct err e;

	(void)s;
	st16(k + 16, 2);
	st16(k + 18, 3);
	st32(k + 24, 0x100100);		/* entry */
	st32(k + 28, 52);		/* program headers */
	st16(k + 42, 32);
	st16(k + 44, 1);
	st32(k + 52, 1);		/* PT_LOAD: offset 0x100, at 1 MiB, 16 bytes of 4096 */
	st32(k + 56, 0x100);
	st32(k + 64, 0x100000);
	st32(k + 68, 16);
	st32(k + 72, 4096);
	st32(k + 0x90, 0x1badb002);
	st32(k + 0x98, (uint32_t)-0x1badb002);
	memcpy(k + 0x100, "sixteen bytes...", 16);
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), 0);
	CHECK_EQ(r.rip, 0x100100);
	CHECK_EQ(r.gpr[CPU_RAX], 0x2badb002);
	CHECK_EQ(gmem_read(m, 0x100000, buf, 16), 0);
	CHECK_MEM(buf, "sixteen bytes...", 16);
	st32(k + 64, 0x8000);		/* below 1 MiB, beside what we hand over */
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), 0);
	CHECK_EQ(gmem_read(m, 0x8000, buf, 16), 0);
	CHECK_MEM(buf, "sixteen bytes...", 16);
	CHECK(r.gpr[CPU_RBX] + 4096 <= 0x8000);
	st32(k + 64, 0x90000);
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), 0);
	st32(k + 64, 0xf001);		/* onto the command line */
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), -ENOMEM);
	st32(k + 64, 0x9f800);		/* where there is no memory to the guest */
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), -ENOMEM);
	st32(k + 64, 0xfffff000);	/* a hostile place */
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), -ENOMEM);
	st32(k + 64, 0x100000);
	st32(k + 56, 0xfffffff0);	/* a hostile offset */
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), -ENOEXEC);
	st32(k + 56, 0x100);
	st16(k + 42, 33);
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), -ENOEXEC);
	CHECK(strstr(e.msg, "headers of 33 bytes") != NULL);
	st16(k + 42, 32);
	st32(k + 0x94, 8);		/* a flag nobody defined, which we may not pass over */
	st32(k + 0x98, (uint32_t)-0x1badb002 - 8);
	CHECK_EQ(boot(m, k, sizeof(k), "arg", &r, &e), -ENOTSUP);
	CHECK(strstr(e.msg, "flags 0x8") != NULL);
	gmem_free(m);
}

/* A 64-bit ELF may say what 32-bit code cannot reach. */
static void multiboot_stays_below_4_gib(void **s)
{
	const struct gmem_range ranges[] = { { 0, 64 * MIB }, { 4 * GIB, 64 * MIB } };
	struct cpu_regs r = { 0 };
	uint8_t k[512] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
	struct gmem *m;
	struct err e;

	(void)s;
	CHECK_EQ(gmem_new(ranges, 2, &m, NULL), 0);
	st16(k + 16, 2);
	st64(k + 24, 0x100000);		/* entry */
	st64(k + 32, 64);
	st16(k + 54, 56);
	st16(k + 56, 1);
	st32(k + 64, 1);
	st64(k + 64 + 8, 0x100);
	st64(k + 64 + 24, 0x100000);
	st64(k + 64 + 32, 16);
	st64(k + 64 + 40, 16);
	st32(k + 0x90, 0x1badb002);
	st32(k + 0x98, (uint32_t)-0x1badb002);
	CHECK_EQ(boot(m, k, sizeof(k), "", &r, &e), 0);
	st64(k + 64 + 24, 4 * GIB);
	CHECK_EQ(boot(m, k, sizeof(k), "", &r, &e), -ENOMEM);
	st64(k + 64 + 24, 0x100000);
	st64(k + 24, 4 * GIB);
	CHECK_EQ(boot(m, k, sizeof(k), "", &r, &e), -ENOEXEC);
	CHECK(strstr(e.msg, "entered at 0x100000000") != NULL);
	gmem_free(m);
}

/* Opening it would wait for a writer, for ever. */
static void a_fifo_is_no_kernel(void **s)
{
	struct gmem *m = memory(64 * MIB);
	char path[64];
	const struct fw_boot_conf c = { .kernel = path, .map = map, .nr_map = 3, .rsdp_gpa = RSDP };
	struct cpu_regs r = { 0 };
	struct err e;

	(void)s;
	snprintf(path, sizeof(path), "/tmp/gvfwfifo%d", (int)getpid());
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(fw_boot(m, &c, &r, &e), -EINVAL);
	CHECK(strstr(e.msg, "not a regular file") != NULL);
	unlink(path);
	gmem_free(m);
}

/* ---- a kernel for a BIOS ----------------------------------------------------------------- */

/* A bzImage of one sector of setup code and 1 KiB of kernel, but for N bytes from AT on. */
static void put_bzimage(const char *path, unsigned at, const void *bytes, size_t n)
{
	uint8_t b[2048] = { 0 };
	FILE *f = fopen(path, "w");

	b[0x1f1] = 1;
	memcpy(b + 0x202, "HdrS", 4);
	st16(b + 0x206, 0x20f);
	b[0x211] = 1;
	st32(b + 0x22c, 0x7fffffff);
	st32(b + 0x238, 20);
	b[1024] = 0x77;
	memcpy(b + at, bytes, n);
	CHECK(f != NULL);
	CHECK_EQ(fwrite(b, 1, sizeof(b), f), sizeof(b));
	CHECK_EQ(fclose(f), 0);
}

static void a_bios_gets_a_kernel_in_parts(void **s)
{
	struct fw_linux16 l;
	char path[64];
	const uint8_t *d;

	(void)s;
	snprintf(path, sizeof(path), "/tmp/gvfwkernel%d", (int)getpid());
	put_bzimage(path, 0, "", 0);
	CHECK_EQ(fw_linux16(path, path, "quiet", 8 * MIB + 0x1234, &l, NULL), 0);
	CHECK_EQ(l.setup.gpa, 0x10000);
	CHECK_EQ(l.setup.len, 1024);
	CHECK_EQ(l.kernel.gpa, MIB);
	CHECK_EQ(l.kernel.len, 1024);
	CHECK_EQ(*(const uint8_t *)l.kernel.data, 0x77);
	CHECK_EQ(l.initrd.gpa, 8 * MIB);		/* whole pages, below the end */
	CHECK_EQ(l.initrd.len, 2048);
	CHECK_STR(l.cmdline.data, "quiet");
	CHECK_EQ(l.cmdline.len, 6);
	d = l.setup.data;
	CHECK_EQ(ld32(d + 0x218), 8 * MIB);
	CHECK_EQ(ld32(d + 0x21c), 2048);
	CHECK_EQ(ld32(d + 0x228), 0x20000);
	CHECK_EQ(d[0x211], 0x81);
	CHECK_EQ(ld16(l.rom), 0xaa55);
	CHECK_EQ(l.rom[2] * 512u, sizeof(l.rom));
	CHECK_EQ(sum(l.rom, sizeof(l.rom)), 0);
	CHECK_MEM(l.rom + ld16(l.rom + 0x1a), "$PnP", 4);
	CHECK_EQ(sum(l.rom + ld16(l.rom + 0x1a), 32), 0);
	fw_linux16_fini(&l);
	unlink(path);
}

static void bad_kernels_for_a_bios_are_named_and_refused(void **s)
{
	static const struct {
		unsigned at;
		const char *bytes;
		size_t n;
		const char *cmdline, *words;
	} row[] = {
		{ 0x202, "X", 1, "", "not a Linux kernel" },
		{ 0x206, "\1\2", 2, "", "boot protocol 2.01, expected 2.02 or newer" },
		{ 0x211, "\0", 1, "", "zImage" },
		{ 0x1f1, "\3", 1, "", "truncated: 2048 bytes, its setup alone has 2048" },
		{ 0x1f1, "\xff", 1, "", "truncated" },
		{ 0, "", 0, "123456789012345678901", "21 characters, this kernel takes 20" },
		{ 0x22c, "\0\0\x10\0", 4, "", "do not fit into the machine's memory beside" },
		{ 0x260, "\0\0\x7f\0", 4, "", "do not fit into the machine's memory beside" },
	};
	struct fw_linux16 l;
	char path[64];
	struct err e;

	(void)s;
	snprintf(path, sizeof(path), "/tmp/gvfwkernel%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		put_bzimage(path, row[i].at, row[i].bytes, row[i].n);
		CHECK(fw_linux16(path, path, row[i].cmdline, 8 * MIB, &l, &e) < 0);
		if (strstr(e.msg, row[i].words) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", e.msg, row[i].words);
		fw_linux16_fini(&l);
	}
	put_bzimage(path, 0, "", 0);
	CHECK_EQ(fw_linux16(path, NULL, NULL, MIB + 1023, &l, &e), -ENOMEM);
	fw_linux16_fini(&l);
	unlink(path);
	CHECK_EQ(fw_linux16(path, NULL, NULL, 8 * MIB, &l, &e), -ENOENT);
	fw_linux16_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_check_and_name_every_processor),
		cmocka_unit_test(iasl_reads_what_we_wrote),
		cmocka_unit_test(a_bios_machine_has_both_kinds_of_addresses),
		cmocka_unit_test(smbios_for_a_bios_has_an_anchor_without_an_address),
		cmocka_unit_test(tables_that_do_not_fit_are_refused),
		cmocka_unit_test(smbios_says_who_made_the_machine),
		cmocka_unit_test(linux_is_entered_in_long_mode),
		cmocka_unit_test(bad_kernels_are_named_and_refused),
		cmocka_unit_test(multiboot_loads_segments_inside_memory_only),
		cmocka_unit_test(multiboot_stays_below_4_gib),
		cmocka_unit_test(a_fifo_is_no_kernel),
		cmocka_unit_test(a_bios_gets_a_kernel_in_parts),
		cmocka_unit_test(bad_kernels_for_a_bios_are_named_and_refused),
	};

	return cmocka_run_group_tests_name("fw", tests, NULL, NULL);
}
