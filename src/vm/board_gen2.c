/*
 * board_gen2.c - the Generation 2 machine as one table
 *
 * What a guest finds, where, and on which interrupt.  No PIC, PIT, PCI,
 * keyboard controller or DMA; accesses to their ports vanish (row "absent").
 * Test programs find a PIC, for some of them run without a local APIC.
 *
 * Spec     machines.md 2.1 address map, 2.3 devices, 2.4 PM block
 * Missing  the firmware device (ports 28, 2C), TPM, guest watchdog, battery
 * Lock     none; runs while the machine is built or stands still
 */
#include "vm/vm_priv.h"

#include <sys/sysinfo.h>
#include <string.h>

static bool has_com1(const struct vm_conf *c) { return c->com1 != NULL; }
static bool has_com2(const struct vm_conf *c) { return c->com2 != NULL; }
static bool has_test(const struct vm_conf *c) { return c->test_devices; }

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
#define ABSENT_PIC 2u
static const struct absorb_range absent[] = {
	{ 0x20, 2 }, { 0xa0, 2 }, { 0x40, 4 }, { 0x61, 1 }, { 0x80, 1 }, { 0x87, 1 }, { 0xcf8, 8 },
};

const struct board board_gen2 = {
	.generation = 2,
	.slots = gen2, .nr_slots = ARRAY_LEN(gen2),
	/* to FE000000, where the chips begin */
	.mmio_low = 0xf8000000, .mmio_low_len = 0x06000000,
	.mmio_high_len = 512 * MIB,
	.lapic = 0xfee00000,
	.rsdp = 0xe0000, .acpi_limit = 0xf0000,
	.smbios = 0xf0000, .smbios_limit = 0x100000,
	.pm_base = 0x400,
	.lapic_hz = 200000000,
};

static void add_map(struct vm *vm, uint64_t gpa, uint64_t end, enum fw_e820 type)
{
	if (end > gpa)
		vm->map[vm->nr_map++] = (struct fw_mem){ gpa, end - gpa, type };
}

int board_memory(struct vm *vm, struct gmem_range ranges[2], size_t *ret_nr, struct err *err)
{
	const struct board *b = vm->board;
	uint64_t n = vm->conf.memory, low = min_u64(n, b->mmio_low), high = n - low;
	struct sysinfo host;

	if (n < 32 * MIB || n > UINT64_C(12) << 40 || n % (2 * MIB) != 0)
		return err_set(err, -EINVAL,
			       "memory: %llu bytes, expected a multiple of 2 MiB from 32 MiB "
			       "to 12 TiB",
			       (unsigned long long)n);
	if (sysinfo(&host) == 0 && n > (uint64_t)host.totalram * host.mem_unit)
		return err_set(err, -ENOMEM, "memory: %llu MiB, the host has only %llu MiB",
			       (unsigned long long)(n / MIB),
			       (unsigned long long)((uint64_t)host.totalram * host.mem_unit / MIB));
	ranges[0] = (struct gmem_range){ 0, low };
	ranges[1] = (struct gmem_range){ 4 * GIB, high };
	*ret_nr = high > 0 ? 2 : 1;

	vm->nr_map = 0;
	add_map(vm, 0, 0xa0000, FW_E820_RAM);
	add_map(vm, b->rsdp, MIB, FW_E820_RESERVED);
	add_map(vm, MIB, low, FW_E820_RAM);
	add_map(vm, 4 * GIB, 4 * GIB + high, FW_E820_RAM);
	return 0;
}

/* The chip lock is held by whoever moves a line. */
static void set_line(void *self, unsigned pin, bool level)
{
	struct vm *vm = self;

	ioapic_pin(vm->ioapic, pin, level);
	if (vm->pic != NULL && pin < 16)
		pic_pin(vm->pic, pin, level);
}

static struct irq line(struct vm *vm, int pin)
{
	if (pin < 0)
		return (struct irq){ 0 };
	return (struct irq){ .set = set_line, .self = vm, .pin = (unsigned)pin };
}

static void set_intr(void *self, unsigned vp, bool level)
{
	struct vm *vm = self;

	lapic_lint0(vm->lapics, vp, level);
}

static void on_power_off(void *arg) { vm_request(arg, REQ_POWER_OFF); }
static void on_reset(void *arg) { vm_request(arg, REQ_RESET); }

static void on_test_exit(void *arg, uint32_t val) { vm_test_exit(arg, val); }

static int device(struct vm *vm, const struct slot *s, void **ret_dev, struct err *err)
{
	const struct dev_env env = {
		.name = s->name, .mem = vm->mem, .pio = vm->pio, .mmio = vm->mmio,
		.clock = vm->clock, .lock = &vm->chip_lock,
	};

	if (s->ops == &ioapic_dev) {
		const struct ioapic_conf c = { .base = s->base, .lapics = vm->lapics };

		return dev_new(s->ops, &env, &c, ret_dev, err);
	}
	if (s->ops == &rtc_dev) {
		const struct rtc_conf c = { .port = (uint16_t)s->base, .irq = line(vm, s->irq) };

		return dev_new(s->ops, &env, &c, ret_dev, err);
	}
	if (s->ops == &pm_dev) {
		const struct pm_conf c = {
			.base = (uint16_t)s->base, .sci = line(vm, s->irq), .acpi_on = true,
			.power_off = on_power_off, .reset = on_reset, .arg = vm,
		};

		return dev_new(s->ops, &env, &c, ret_dev, err);
	}
	if (s->ops == &uart_dev) {
		const struct uart_conf c = {
			.port = (uint16_t)s->base, .irq = line(vm, s->irq),
			.chr = s->base == 0x3f8 ? vm->conf.com1 : vm->conf.com2,
		};

		return dev_new(s->ops, &env, &c, ret_dev, err);
	}
	if (s->ops == &pic_dev) {
		/* As a BIOS leaves it: vectors 08 and 70, open for PCI's 10 and 11. */
		const struct pic_conf c = {
			.intr = { .set = set_intr, .self = vm },
			.base = { 0x08, 0x70 }, .mask = { 0xfb, 0xf3 },
		};

		return dev_new(s->ops, &env, &c, ret_dev, err);
	}
	if (s->ops == &testdev_dev) {
		struct testdev_conf c = {
			.exit = on_test_exit, .synic = testconn_do, .arg = vm,
			.memory = vm->conf.memory, .cpus = (uint16_t)vm->conf.cpus,
		};

		for (int i = 0; i < (int)ARRAY_LEN(c.lines); i++)
			c.lines[i] = line(vm, i);
		return dev_new(s->ops, &env, &c, ret_dev, err);
	}
	const unsigned skip = vm->pic == NULL ? 0 : ABSENT_PIC;
	const struct absorb_conf c = { .ranges = absent + skip, .nr = ARRAY_LEN(absent) - skip };

	return dev_new(s->ops, &env, &c, ret_dev, err);
}

int board_devices(struct vm *vm, struct err *err)
{
	_Static_assert(ARRAY_LEN(gen2) <= VM_MAX_SLOTS, "room in struct vm");

	for (unsigned i = 0; i < vm->board->nr_slots; i++) {
		const struct slot *s = &vm->board->slots[i];
		int rc;

		if (s->present != NULL && !s->present(&vm->conf))
			continue;
		rc = device(vm, s, &vm->dev[i], err);
		if (rc < 0)
			return err_prefix(err, rc, s->name);
		if (s->ops == &ioapic_dev)
			vm->ioapic = vm->dev[i];
		if (s->ops == &pic_dev)
			vm->pic = vm->dev[i];
	}
	return 0;
}

#define MTRR_ENABLED 0xc00u		/* default type uncached, fixed ranges on */
#define MTRR_WB 6u
#define MTRR_VALID (1u << 11)

static void mtrr_range(struct cpu_regs *r, unsigned i, uint64_t base, uint64_t len, unsigned type)
{
	r->mtrr_var[2 * i] = base | type;
	r->mtrr_var[2 * i + 1] = (((UINT64_C(1) << VM_PHYS_BITS) - 1) & ~(len - 1)) | MTRR_VALID;
}

void board_mtrrs(const struct vm *vm, struct cpu_regs *r)
{
	const struct fw_mem *last = &vm->map[vm->nr_map - 1];
	uint64_t end = last->gpa + last->len, top = 4 * GIB;

	while (top < end)		/* a range is a power of two */
		top *= 2;
	r->mtrr_def = MTRR_ENABLED;
	for (unsigned i = 0; i < ARRAY_LEN(r->mtrr_fixed); i++)
		r->mtrr_fixed[i] = UINT64_C(0x0606060606060606);
	/* Where two ranges meet, uncached wins. */
	mtrr_range(r, 0, 0, top, MTRR_WB);
	mtrr_range(r, 1, vm->board->mmio_low, 4 * GIB - vm->board->mmio_low, 0);
}

void board_reset(struct vm *vm)
{
	pthread_mutex_lock(&vm->chip_lock);
	for (unsigned i = 0; i < vm->board->nr_slots; i++) {
		const struct dev_ops *ops = vm->board->slots[i].ops;

		if (vm->dev[i] != NULL && ops->reset != NULL)
			ops->reset(vm->dev[i]);
	}
	pthread_mutex_unlock(&vm->chip_lock);
}

void board_free(struct vm *vm)
{
	for (unsigned i = vm->board->nr_slots; i-- > 0;)
		if (vm->dev[i] != NULL)
			dev_free(vm->board->slots[i].ops, vm->dev[i]);
}
