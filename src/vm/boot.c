/*
 * boot.c - what lies in memory and registers at the first instruction
 *
 * Lock     none; the vCPUs stand still
 */
#include "vm/vm_priv.h"

#include <stdio.h>

static uint64_t high_mmio(const struct vm *vm)
{
	const struct fw_mem *last = &vm->map[vm->nr_map - 1];

	return align_up(max_u64(last->gpa + last->len, 4 * GIB), 2 * MIB);
}

void tables_conf(const struct vm *vm, struct fw_acpi_conf *ret_c)
{
	const struct board *b = vm->board;

	BUG_IF(b->slots[0].ops != &ioapic_dev);
	*ret_c = (struct fw_acpi_conf){
		.nr_cpus = vm->conf.cpus,
		.rsdp_gpa = b->rsdp, .limit_gpa = b->acpi_limit,
		.mmio_low = b->mmio_low, .mmio_low_len = b->mmio_low_len,
		.mmio_high = high_mmio(vm), .mmio_high_len = b->mmio_high_len,
		.no_vga = vm->conf.no_vga, .floppy = true,
		.com1 = vm->conf.com1 != NULL, .com2 = vm->conf.com2 != NULL,
		.lapic_gpa = (uint32_t)b->lapic, .ioapic_gpa = (uint32_t)b->slots[0].base,
		.pm_base = b->pm_base, .generation_id = vm->generation_id,
	};
}

void tables_smbios_conf(const struct vm *vm, struct fw_smbios_conf *ret_c,
			char serial[GUID_TEXT_LEN + 1])
{
	*ret_c = (struct fw_smbios_conf){
		.gpa = vm->board->smbios, .limit_gpa = vm->board->smbios_limit,
		.uuid = vm->uuid, .nr_cpus = vm->conf.cpus, .memory = vm->conf.memory,
		.serial = serial,
	};
	/* As Hyper-V prints it: 4-4-4-4-4-4-2 digits; here from the machine's own id. */
	snprintf(serial, GUID_TEXT_LEN + 1, "%04u-%04u-%04u-%04u-%04u-%04u-%02u",
		 ld16(vm->uuid.b) % 10000u, ld16(vm->uuid.b + 2) % 10000u,
		 ld16(vm->uuid.b + 4) % 10000u,
		 ld16(vm->uuid.b + 6) % 10000u, ld16(vm->uuid.b + 8) % 10000u,
		 ld16(vm->uuid.b + 10) % 10000u, vm->uuid.b[12] % 100u);
}

static int put_tables(struct vm *vm, struct err *err)
{
	char serial[GUID_TEXT_LEN + 1];
	struct fw_smbios_conf smbios;
	struct fw_acpi_conf acpi;
	uint64_t end;
	int rc;

	tables_conf(vm, &acpi);
	tables_smbios_conf(vm, &smbios, serial);
	rc = fw_acpi_gen2(vm->mem, &acpi, &end, err);
	if (rc == 0)
		rc = fw_smbios(vm->mem, &smbios, err);
	return rc;
}

int vm_load(struct vm *vm, struct err *err)
{
	const struct fw_boot_conf boot = {
		.kernel = vm->conf.kernel, .initrd = vm->conf.initrd, .cmdline = vm->conf.append,
		.modules = vm->conf.modules,
		.map = vm->map, .nr_map = vm->nr_map, .rsdp_gpa = vm->board->rsdp,
	};
	struct cpu *bsp = vm->vcpus[0].cpu;
	struct cpu_regs regs;
	int rc;

	if (vm->board->generation == 1)
		return bios_load(vm, err);
	rc = put_tables(vm, err);
	if (rc < 0)
		return rc;
	if (vm->pic != NULL) {		/* virtual wire, as a BIOS leaves it */
		lapic_virtual_wire(vm->lapics, 0);
	}
	bsp->engine->get_regs(bsp, &regs);
	rc = fw_boot(vm->mem, &boot, &regs, err);
	if (rc < 0)
		return rc;
	return bsp->engine->set_regs(bsp, &regs, err);
}
