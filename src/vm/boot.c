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

static int put_tables(struct vm *vm, struct err *err)
{
	const struct board *b = vm->board;
	const struct fw_acpi_conf acpi = {
		.nr_cpus = vm->conf.cpus,
		.rsdp_gpa = b->rsdp, .limit_gpa = b->acpi_limit,
		.mmio_low = b->mmio_low, .mmio_low_len = b->mmio_low_len,
		.mmio_high = high_mmio(vm), .mmio_high_len = b->mmio_high_len,
		.com1 = vm->conf.com1 != NULL, .com2 = vm->conf.com2 != NULL,
		.lapic_gpa = (uint32_t)b->lapic, .ioapic_gpa = (uint32_t)b->slots[0].base,
		.pm_base = b->pm_base, .generation_id = vm->generation_id,
	};
	char serial[GUID_TEXT_LEN + 1];
	const struct fw_smbios_conf smbios = {
		.gpa = b->smbios, .limit_gpa = b->smbios_limit,
		.uuid = vm->uuid, .nr_cpus = vm->conf.cpus, .memory = vm->conf.memory,
		.serial = serial,
	};
	uint64_t end;
	int rc;

	BUG_IF(b->slots[0].ops != &ioapic_dev);
	/* As Hyper-V prints it: 4-4-4-4-4-4-2 digits; here from the machine's own id. */
	snprintf(serial, sizeof(serial), "%04u-%04u-%04u-%04u-%04u-%04u-%02u",
		 ld16(vm->uuid.b) % 10000u, ld16(vm->uuid.b + 2) % 10000u,
		 ld16(vm->uuid.b + 4) % 10000u,
		 ld16(vm->uuid.b + 6) % 10000u, ld16(vm->uuid.b + 8) % 10000u,
		 ld16(vm->uuid.b + 10) % 10000u, vm->uuid.b[12] % 100u);
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
	int rc = put_tables(vm, err);

	if (rc < 0)
		return rc;
	if (vm->pic != NULL) {		/* virtual wire, as a BIOS leaves it */
		lapic_write(vm->lapics, 0, 0xf0, 0x1ff);
		lapic_write(vm->lapics, 0, 0x350, 0x700);
	}
	bsp->engine->get_regs(bsp, &regs);
	rc = fw_boot(vm->mem, &boot, &regs, err);
	if (rc < 0)
		return rc;
	return bsp->engine->set_regs(bsp, &regs, err);
}
