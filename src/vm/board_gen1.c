/*
 * board_gen1.c - the Generation 1 machine as one table
 *
 * What a guest finds, where, and on which interrupt. A 440BX with a PIIX4 as
 * Hyper-V shows them, every device at the place where a PC has it, and the
 * synthetic devices on VMBus beside them (storage.c, network.c).
 *
 * BASE is a port, a guest physical address, or of PCI functions their place.
 *
 * Spec     machines.md 2.1 address map, 2.2 devices, 2.4 PM block
 * Missing  the second floppy controller, battery, watchdog
 * Lock     none: constant
 */
#include "vm/vm_priv.h"

static bool has_vga(const struct vm *vm, const struct slot *s)
{
	(void)s;
	return !vm->conf.no_vga;
}

static bool has_legacy(const struct vm *vm, const struct slot *s)
{
	return (s->base >> 3) - VM_LEGACY_SLOT < vm->nr_legacy;
}

static const struct slot gen1[] = {
	/* name		kind		at		irq	present */
	{ "ioapic",	&ioapic_dev,	0xfec00000,	-1,	NULL },
	{ "pic",	&pic_dev,	0x20,		-1,	NULL },
	{ "pit",	&pit_dev,	0x40,		0,	NULL },
	{ "dma",	&dma_dev,	0x00,		-1,	NULL },
	{ "rtc",	&rtc_dev,	0x70,		8,	NULL },
	{ "pm",		&pm_dev,	0,		9,	NULL },
	{ "i8042",	&i8042_dev,	0x60,		1,	NULL },	/* and 12 */
	{ "com1",	&uart_dev,	0x3f8,		4,	NULL },
	{ "com2",	&uart_dev,	0x2f8,		3,	NULL },
	{ "com3",	&uart_dev,	0x3e8,		4,	NULL },
	{ "com4",	&uart_dev,	0x2e8,		3,	NULL },
	{ "fdc",	&fdc_dev,	0x3f0,		6,	NULL },
	{ "superio",	&superio_dev,	0x3f0,		-1,	NULL },	/* and 370 */
	{ "pci",	&pci_dev,	0xcf8,		-1,	NULL },
	{ "440bx",	&i440bx_dev,	PCI_DEVFN(0, 0), -1,	NULL },
	{ "piix4",	&piix4_dev,	PCI_DEVFN(7, 0), -1,	NULL },
	{ "ide",	&ide_dev,	PCI_DEVFN(7, 1), 14,	NULL },	/* and 15 */
	{ "piix4-pm",	&piix4_pm_dev,	PCI_DEVFN(7, 3), -1,	NULL },
	{ "vga",	&vga_dev,	PCI_DEVFN(8, 0), -1,	has_vga },
	{ "legacy0",	&dec21140_dev,	PCI_DEVFN(10, 0), -1,	has_legacy },
	{ "legacy1",	&dec21140_dev,	PCI_DEVFN(11, 0), -1,	has_legacy },
	{ "legacy2",	&dec21140_dev,	PCI_DEVFN(12, 0), -1,	has_legacy },
	{ "legacy3",	&dec21140_dev,	PCI_DEVFN(13, 0), -1,	has_legacy },
	{ "fwcfg",	&fwcfg_dev,	0x510,		-1,	NULL },
	{ "biosdbg",	&biosdbg_dev,	0x402,		-1,	NULL },
	{ "absent",	&absorb_dev,	0,		-1,	NULL },
};

/* ISA delay, another hypervisor's door, game port. */
static const struct absorb_range absent[] = {
	{ 0xed, 1 }, { 0x5658, 4 }, { 0x201, 1 },
};

const struct board board_gen1 = {
	.generation = 1,
	.slots = gen1, .nr_slots = ARRAY_LEN(gen1),
	.absent = absent, .nr_absent = ARRAY_LEN(absent),
	/* to FEC00000; SeaBIOS puts BARs at its end */
	.mmio_low = 0xe0000000, .mmio_low_len = 0x1ec00000,
	.mmio_high_len = 512 * MIB,
	.lapic = 0xfee00000,
	.pm_base = 0x600,		/* where SeaBIOS puts the PM block */
	.lapic_hz = 200000000,
};

_Static_assert(ARRAY_LEN(gen1) <= VM_MAX_SLOTS, "room in struct vm");
