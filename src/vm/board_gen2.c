/*
 * board_gen2.c - the Generation 2 machine as one table
 *
 * What a guest finds, where, and on which interrupt.  No PIC, PIT, PCI,
 * keyboard controller or DMA; accesses to their ports vanish (row "absent").
 * Test programs find a PIC, for some of them run without a local APIC.
 *
 * Spec     machines.md 2.1 address map, 2.3 devices, 2.4 PM block
 * Missing  the firmware device (ports 28, 2C), TPM, guest watchdog, battery
 * Lock     none: constant
 */
#include "vm/vm_priv.h"

static bool has_com1(const struct vm *vm, const struct slot *s)
{
	(void)s;
	return vm->conf.com1 != NULL;
}

static bool has_com2(const struct vm *vm, const struct slot *s)
{
	(void)s;
	return vm->conf.com2 != NULL;
}

static bool has_test(const struct vm *vm, const struct slot *s)
{
	(void)s;
	return vm->conf.test_devices;
}

static const struct slot gen2[] = {
	/* name		kind		at		irq	present */
	{ "ioapic",	&ioapic_dev,	0xfec00000,	-1,	NULL },
	{ "rtc",	&rtc_dev,	0x70,		8,	NULL },
	{ "pm",		&pm_dev,	0x400,		9,	NULL },
	{ "com1",	&uart_dev,	0x3f8,		4,	has_com1 },
	{ "com2",	&uart_dev,	0x2f8,		3,	has_com2 },
	{ "pic",	&pic_dev,	0x20,		-1,	has_test },
	{ "test",	&testdev_dev,	0xf4,		-1,	has_test },
	{ "absent",	&absorb_dev,	0,		-1,	NULL },
};

/* Ports of what the machine does not have, the PIC's first; guests probe them all the same. */
static const struct absorb_range absent[] = {
	{ 0x20, 2 }, { 0xa0, 2 }, { 0x40, 4 }, { 0x61, 1 }, { 0x80, 1 }, { 0x87, 1 }, { 0xcf8, 8 },
};

const struct board board_gen2 = {
	.generation = 2,
	.slots = gen2, .nr_slots = ARRAY_LEN(gen2),
	.absent = absent, .nr_absent = ARRAY_LEN(absent), .absent_pic = 2,
	/* to FE000000, where the chips begin */
	.mmio_low = 0xf8000000, .mmio_low_len = 0x06000000,
	.mmio_high_len = 512 * MIB,
	.lapic = 0xfee00000,
	.rsdp = 0xe0000, .acpi_limit = 0xf0000,
	.smbios = 0xf0000, .smbios_limit = 0x100000,
	.pm_base = 0x400,
	.lapic_hz = 200000000,
};
