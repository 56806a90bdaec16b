/*
 * acpi.c - the ACPI tables of both machines
 *
 * Written into guest RAM before the first instruction: RSDP, then XSDT, FADT,
 * FACS, DSDT (compiled from dsdt.asl, its constants patched), SSDT with the
 * processors, MADT, WAET and a page for the generation id.  The odd truth:
 * Hyper-V's FADT leaves every 32-bit block address zero and fills only the
 * extended ones, but still gives the lengths, which Windows reads.
 *
 * A Generation 1 machine has older guests: its FADT has the short addresses
 * too, and there is an RSDT. ACPI is off until the guest asks for it at port B2.
 *
 * Spec     [ACPI 6.2] 5.2; machines.md 2.6 for Hyper-V's values
 * Lock     none; before any vCPU runs
 */
#include "fw/aml.h"
#include "fw/fw.h"
#include "spec/acpi.h"

#include "dsdt.hex"
#include "dsdt1.hex"

#include <stdlib.h>

#define OEM_ID "VRTUAL"
#define OEM_TABLE_ID "MICROSFT"
#define MAX_TABLES 8

struct tables {			/* a pen that moves through guest memory */
	struct gmem *mem;
	uint64_t at, limit;
	uint64_t list[MAX_TABLES];	/* what the XSDT will name */
	unsigned nr;
	struct err *err;
	bool gen1;
};

static uint8_t sum_to_zero(const void *buf, size_t n)
{
	const uint8_t *p = buf;
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)-sum;
}

static void fill_header(struct acpi_header *h, const char *signature, uint8_t revision, size_t n)
{
	memcpy(h->signature, signature, 4);
	h->length = le32_of((uint32_t)n);
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, 6);
	memcpy(h->oem_table_id, OEM_TABLE_ID, 8);
	h->oem_revision = le32_of(1);
	memcpy(h->creator_id, "MSFT", 4);
	h->creator_revision = le32_of(1);
}

/* Puts raw bytes at the pen; *ret_gpa = where. */
static int put(struct tables *t, const void *buf, size_t n, uint64_t align, uint64_t *ret_gpa)
{
	uint64_t gpa = align_up(t->at, align);

	if (gpa > t->limit || n > t->limit - gpa)
		return err_set(t->err, -ENOSPC, "ACPI tables do not fit below %#llx",
			       (unsigned long long)t->limit);
	if (gmem_write(t->mem, gpa, buf, n) < 0)
		return err_set(t->err, -EFAULT, "ACPI tables at %#llx: not guest memory",
			       (unsigned long long)gpa);
	t->at = gpa + n;
	*ret_gpa = gpa;
	return 0;
}

/* Closes a table's checksum, writes it and notes it for the XSDT. */
static int put_table(struct tables *t, void *table, size_t n, bool listed, uint64_t *ret_gpa)
{
	struct acpi_header *h = table;
	uint64_t gpa;
	int rc;

	h->checksum = 0;
	h->checksum = sum_to_zero(table, n);
	rc = put(t, table, n, 16, &gpa);
	if (rc < 0)
		return rc;
	BUG_IF(listed && t->nr >= MAX_TABLES);
	if (listed)
		t->list[t->nr++] = gpa;
	if (ret_gpa != NULL)
		*ret_gpa = gpa;
	return 0;
}

static int put_facs(struct tables *t, uint64_t *ret_gpa)
{
	struct acpi_facs f = { .signature = "FACS", .length = le32_of(sizeof(f)), .version = 2 };

	return put(t, &f, sizeof(f), 64, ret_gpa);
}

static int put_dsdt(struct tables *t, const struct fw_acpi_conf *c, uint64_t genid,
		    uint64_t *ret_gpa)
{
	uint8_t aml[sizeof(dsdt_aml_code) + sizeof(dsdt1_aml_code)];
	size_t n = t->gen1 ? sizeof(dsdt1_aml_code) : sizeof(dsdt_aml_code);
	const struct { char name[4]; uint32_t val; } patch[] = {
		{ "GVLB", (uint32_t)c->mmio_low }, { "GVLL", (uint32_t)c->mmio_low_len },
		{ "GVHB", (uint32_t)(c->mmio_high / MIB) },
		{ "GVHL", (uint32_t)(c->mmio_high_len / MIB) },
		{ "GVC1", c->com1 ? 0xf : 0 }, { "GVC2", c->com2 ? 0xf : 0 },
		{ "GVGL", (uint32_t)genid }, { "GVGH", (uint32_t)(genid >> 32) },
		{ "GVAL", c->lapic_gpa }, { "GVAI", c->ioapic_gpa },
		{ "GVFD", c->floppy ? 0xf : 0 },	/* the last: Generation 1 only */
	};

	memcpy(aml, t->gen1 ? dsdt1_aml_code : dsdt_aml_code, n);
	for (size_t i = 0; i < ARRAY_LEN(patch) - !t->gen1; i++)
		BUG_IF(aml_patch_name(aml, n, patch[i].name, patch[i].val) < 0);
	return put_table(t, aml, n, false, ret_gpa);
}

static int put_ssdt(struct tables *t, unsigned nr_cpus)
{
	size_t room = aml_processors(NULL, 0, nr_cpus), n = sizeof(struct acpi_header) + room;
	uint8_t *buf = base_new0(n);
	int rc;

	if (buf == NULL)
		return err_set(t->err, -ENOMEM, "ACPI tables: out of memory");
	fill_header((struct acpi_header *)buf, "SSDT", 2, n);
	aml_processors(buf + sizeof(struct acpi_header), room, nr_cpus);
	rc = put_table(t, buf, n, true, NULL);
	free(buf);
	return rc;
}

static struct acpi_gas io_gas(unsigned port, uint8_t bits, uint8_t access)
{
	return (struct acpi_gas){ .space = ACPI_SPACE_IO, .width = bits, .access = access,
				  .address = le64_of(port) };
}

/* What a BIOS machine has instead, and what those find who know ACPI 1 only. */
static void fill_fadt_gen1(struct acpi_fadt *f, const struct fw_acpi_conf *c)
{
	f->facs = le32_of((uint32_t)le64_get(f->x_facs));
	f->dsdt = le32_of((uint32_t)le64_get(f->x_dsdt));
	f->smi_cmd = le32_of(0xb2);
	f->acpi_enable = 0xe1;
	f->acpi_disable = 0x1e;
	f->pm1a_evt = le32_of(c->pm_base);
	f->pm1a_cnt = le32_of(c->pm_base + 4u);
	f->pm_tmr = le32_of(c->pm_base + 8u);
	f->gpe0 = le32_of(c->pm_base + 0xcu);
	f->century = 0x32;
	f->iapc_boot_arch = le16_of((uint16_t)(ACPI_BOOT_LEGACY | ACPI_BOOT_8042 |
					       (c->no_vga ? ACPI_BOOT_VGA_ABSENT : 0)));
}

static int put_fadt(struct tables *t, const struct fw_acpi_conf *c, uint64_t facs, uint64_t dsdt)
{
	struct acpi_fadt f = {
		.int_model = 1,
		.sci_int = le16_of(9),
		.pm1_evt_len = 4, .pm1_cnt_len = 2, .pm_tmr_len = 4, .gpe0_len = 4,
		/* = not supported */
		.c2_latency = le16_of(101), .c3_latency = le16_of(1001),
		.day_alarm = 0x0d,
		.iapc_boot_arch = le16_of(ACPI_BOOT_VGA_ABSENT),
		.flags = le32_of(ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_PWR_BUTTON |
				 ACPI_FADT_SLP_BUTTON | ACPI_FADT_TMR_VAL_EXT |
				 ACPI_FADT_RESET_REG | ACPI_FADT_PLATFORM_CLOCK),
		.reset_reg = io_gas(c->pm_base + 0x33u, 8, 1),
		.reset_value = 1,
		.minor_version = 2,
		.x_facs = le64_of(facs), .x_dsdt = le64_of(dsdt),
		.x_pm1a_evt = io_gas(c->pm_base, 32, 2),
		.x_pm1a_cnt = io_gas(c->pm_base + 4u, 16, 2),
		.x_pm_tmr = io_gas(c->pm_base + 8u, 32, 3),
		.x_gpe0 = io_gas(c->pm_base + 0xcu, 32, 1),
		.sleep_control = io_gas(c->pm_base + 5u, 8, 1),
		.sleep_status = io_gas(c->pm_base + 1u, 8, 1),
		.hypervisor_vendor = "MsHyperV",
	};

	if (t->gen1)
		fill_fadt_gen1(&f, c);
	fill_header(&f.h, "FACP", 6, sizeof(f));
	return put_table(t, &f, sizeof(f), true, NULL);
}

static size_t madt_cpu(uint8_t *p, unsigned i)
{
	if (i < 0xff) {
		const struct acpi_madt_lapic l = {
			0, sizeof(l), (uint8_t)(i + 1), (uint8_t)i, le32_of(1),
		};

		memcpy(p, &l, sizeof(l));
		return sizeof(l);
	}
	const struct acpi_madt_x2apic x = {
		9, sizeof(x), le16_of(0), le32_of(i), le32_of(1), le32_of(i + 1),
	};

	memcpy(p, &x, sizeof(x));
	return sizeof(x);
}

static size_t madt_rest(uint8_t *p, const struct fw_acpi_conf *c, bool gen1)
{
	const struct acpi_madt_override timer = {	/* as the bus has it: edge, high */
		2, sizeof(timer), 0, 0, le32_of(2), le16_of(0),
	};
	const struct acpi_madt_ioapic io = {
		1, sizeof(io), 0, 0, le32_of(c->ioapic_gpa), le32_of(0),
	};
	const struct acpi_madt_override sci = {		/* level, active high */
		2, sizeof(sci), 0, 9, le32_of(9), le16_of(0x000d),
	};
	const struct acpi_madt_nmi nmi = { 4, sizeof(nmi), 0xff, le16_of(0), 1 };
	const struct acpi_madt_x2nmi x2nmi = {
		10, sizeof(x2nmi), le16_of(0), le32_of(UINT32_MAX), 1, { 0 },
	};
	size_t at = 0;

	memcpy(p + at, &io, sizeof(io));
	at += sizeof(io);
	if (gen1) {
		memcpy(p + at, &timer, sizeof(timer));
		at += sizeof(timer);
	}
	memcpy(p + at, &sci, sizeof(sci));
	at += sizeof(sci);
	memcpy(p + at, &nmi, sizeof(nmi));
	at += sizeof(nmi);
	if (c->nr_cpus > 0xff) {
		memcpy(p + at, &x2nmi, sizeof(x2nmi));
		at += sizeof(x2nmi);
	}
	return at;
}

static int put_madt(struct tables *t, const struct fw_acpi_conf *c)
{
	size_t cap = sizeof(struct acpi_madt) + 64 + (size_t)c->nr_cpus * 16, at;
	uint8_t *buf = base_new0(cap);
	struct acpi_madt *m = (struct acpi_madt *)buf;
	int rc;

	if (buf == NULL)
		return err_set(t->err, -ENOMEM, "ACPI tables: out of memory");
	m->lapic = le32_of(c->lapic_gpa);
	m->flags = le32_of(t->gen1);		/* bit 0: there is a pair of 8259s */
	at = sizeof(*m);
	for (unsigned i = 0; i < c->nr_cpus; i++)
		at += madt_cpu(buf + at, i);
	at += madt_rest(buf + at, c, t->gen1);
	fill_header(&m->h, "APIC", 4, at);
	rc = put_table(t, buf, at, true, NULL);
	free(buf);
	return rc;
}

static int put_waet(struct tables *t)
{
	struct acpi_waet w = { .flags = le32_of(3) };

	fill_header(&w.h, "WAET", 1, sizeof(w));
	return put_table(t, &w, sizeof(w), true, NULL);
}

/* The same list with short addresses. */
static int put_rsdt(struct tables *t, uint64_t *ret_gpa)
{
	struct {
		struct acpi_header h;
		le32 entry[MAX_TABLES];
	} x = { 0 };
	size_t n = sizeof(x.h) + t->nr * sizeof(le32);

	for (unsigned i = 0; i < t->nr; i++)
		x.entry[i] = le32_of((uint32_t)t->list[i]);
	fill_header(&x.h, "RSDT", 1, n);
	return put_table(t, &x, n, false, ret_gpa);
}

static int put_xsdt_and_rsdp(struct tables *t, uint64_t rsdp_gpa)
{
	struct {
		struct acpi_header h;
		le64 entry[MAX_TABLES];
	} x = { 0 };
	struct acpi_rsdp r = {
		.signature = "RSD PTR ", .oem_id = OEM_ID, .revision = 2,
		.length = le32_of(sizeof(r)),
	};
	size_t n = sizeof(x.h) + t->nr * sizeof(le64);
	uint64_t xsdt, rsdt = 0;
	int rc;

	for (unsigned i = 0; i < t->nr; i++)
		x.entry[i] = le64_of(t->list[i]);
	fill_header(&x.h, "XSDT", 1, n);
	rc = put_table(t, &x, n, false, &xsdt);
	if (rc == 0 && t->gen1)
		rc = put_rsdt(t, &rsdt);
	if (rc < 0)
		return rc;
	r.xsdt = le64_of(xsdt);
	r.rsdt = le32_of((uint32_t)rsdt);
	r.checksum = sum_to_zero(&r, 20);
	r.ext_checksum = sum_to_zero(&r, sizeof(r));
	if (gmem_write(t->mem, rsdp_gpa, &r, sizeof(r)) < 0)
		return err_set(t->err, -EFAULT, "ACPI RSDP at %#llx: not guest memory",
			       (unsigned long long)rsdp_gpa);
	return 0;
}

static int put_all(struct gmem *m, const struct fw_acpi_conf *c, bool gen1, uint64_t *ret_end,
		   struct err *err)
{
	struct tables t = { .mem = m, .at = c->rsdp_gpa + 64, .limit = c->limit_gpa, .err = err,
			    .gen1 = gen1 };
	uint64_t genid, facs, dsdt;
	int rc;

	rc = put(&t, &c->generation_id, sizeof(c->generation_id), 64, &genid);
	if (rc == 0)
		rc = put_facs(&t, &facs);
	if (rc == 0)
		rc = put_dsdt(&t, c, genid, &dsdt);
	if (rc == 0)
		rc = put_fadt(&t, c, facs, dsdt);
	if (rc == 0)
		rc = put_ssdt(&t, c->nr_cpus);
	if (rc == 0)
		rc = put_madt(&t, c);
	if (rc == 0)
		rc = put_waet(&t);
	if (rc == 0)
		rc = put_xsdt_and_rsdp(&t, c->rsdp_gpa);
	if (rc == 0)
		*ret_end = t.at;
	return rc;
}

int fw_acpi_gen1(struct gmem *m, const struct fw_acpi_conf *c, uint64_t *ret_end, struct err *err)
{
	return put_all(m, c, true, ret_end, err);
}

int fw_acpi_gen2(struct gmem *m, const struct fw_acpi_conf *c, uint64_t *ret_end, struct err *err)
{
	return put_all(m, c, false, ret_end, err);
}
