/*
 * acpi.h - ACPI tables as they lie in memory
 *
 * Spec     [ACPI 6.2] 5.2.5 RSDP, 5.2.6 header, 5.2.9 FADT, 5.2.10 FACS,
 *          5.2.12 MADT; WAET: Windows ACPI Emulated Devices Table 1.0
 */
#ifndef SPEC_ACPI_H
#define SPEC_ACPI_H

#include "base/le.h"

struct acpi_rsdp {
	uint8_t signature[8];		/* "RSD PTR " */
	uint8_t checksum;		/* of the first 20 bytes */
	uint8_t oem_id[6];
	uint8_t revision;
	le32 rsdt;
	le32 length;
	le64 xsdt;
	uint8_t ext_checksum;
	uint8_t rsvd0[3];
};
_Static_assert(sizeof(struct acpi_rsdp) == 36, "as in memory");

struct acpi_header {
	uint8_t signature[4];
	le32 length;
	uint8_t revision, checksum;
	uint8_t oem_id[6], oem_table_id[8];
	le32 oem_revision;
	uint8_t creator_id[4];
	le32 creator_revision;
};
_Static_assert(sizeof(struct acpi_header) == 36, "as in memory");

struct acpi_gas {			/* 5.2.3.2 generic address */
	uint8_t space, width, offset, access;
	le64 address;
};
_Static_assert(sizeof(struct acpi_gas) == 12, "as in memory");

enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

struct acpi_fadt {
	struct acpi_header h;
	le32 facs, dsdt;
	uint8_t int_model, pm_profile;
	le16 sci_int;
	le32 smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	le32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len;
	uint8_t gpe1_base, cst_cnt;
	le16 c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	le16 iapc_boot_arch;
	uint8_t rsvd0;
	le32 flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	le16 arm_boot_arch;
	uint8_t minor_version;
	le64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt;
	struct acpi_gas x_pm_tmr, x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint8_t hypervisor_vendor[8];
};
_Static_assert(sizeof(struct acpi_fadt) == 276, "revision 6");

enum {					/* FADT flags */
	ACPI_FADT_WBINVD = 1 << 0, ACPI_FADT_PROC_C1 = 1 << 2, ACPI_FADT_PWR_BUTTON = 1 << 4,
	ACPI_FADT_SLP_BUTTON = 1 << 5, ACPI_FADT_TMR_VAL_EXT = 1 << 8,
	ACPI_FADT_RESET_REG = 1 << 10, ACPI_FADT_HEADLESS = 1 << 12,
	ACPI_FADT_PLATFORM_CLOCK = 1 << 15,
};
enum { ACPI_BOOT_LEGACY = 1 << 0, ACPI_BOOT_8042 = 1 << 1,	/* iapc_boot_arch */
       ACPI_BOOT_VGA_ABSENT = 1 << 2 };

struct acpi_facs {
	uint8_t signature[4];
	le32 length, hardware_signature, waking_vector, global_lock, flags;
	le64 x_waking_vector;
	uint8_t version, rsvd0[3];
	le32 ospm_flags;
	uint8_t rsvd1[24];
};
_Static_assert(sizeof(struct acpi_facs) == 64, "as in memory");

struct acpi_madt {
	struct acpi_header h;
	le32 lapic, flags;
};
struct acpi_madt_lapic { uint8_t type, length, uid, apic_id; le32 flags; };			/* 0 */
struct acpi_madt_ioapic { uint8_t type, length, id, rsvd0; le32 address, gsi_base; };	/* 1 */
struct acpi_madt_override { uint8_t type, length, bus, source; le32 gsi; le16 flags; };	/* 2 */
struct acpi_madt_nmi { uint8_t type, length, uid; le16 flags; uint8_t lint; };		/* 4 */
struct acpi_madt_x2apic { uint8_t type, length; le16 rsvd0; le32 id, flags, uid; };		/* 9 */
struct acpi_madt_x2nmi { uint8_t type, length; le16 flags; le32 uid; uint8_t lint, rsvd0[3]; };	/* 10 */
_Static_assert(sizeof(struct acpi_madt_lapic) == 8, "as in memory");
_Static_assert(sizeof(struct acpi_madt_ioapic) == 12, "as in memory");
_Static_assert(sizeof(struct acpi_madt_override) == 10, "as in memory");
_Static_assert(sizeof(struct acpi_madt_nmi) == 6, "as in memory");
_Static_assert(sizeof(struct acpi_madt_x2apic) == 16, "as in memory");
_Static_assert(sizeof(struct acpi_madt_x2nmi) == 12, "as in memory");

struct acpi_waet {
	struct acpi_header h;
	le32 flags;			/* 0 RTC good, 1 PM timer good */
};

#endif
