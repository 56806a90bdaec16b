/*
 * board.c - makes a machine of its table: memory, devices, the wires between them
 *
 * Interrupt lines are numbered as on the ISA bus, whoever delivers them: line
 * N is input N of both the IOAPIC and the pair of 8259s, but for the timer's,
 * which is input 2 of the IOAPIC. A line that several pull (two serial ports,
 * an ISA device and a PCI one) is up while one of them pulls.
 *
 * Missing  the frame buffer's RAM does not leave F8000000 when its BAR does
 * Lock     none; runs while the machine is built or stands still, but for
 *          what devices call (on_..., set_...): chip
 */
#include "vm/vm_priv.h"

#include "base/log.h"

#include <string.h>
#include <sys/sysinfo.h>

#define HOLE UINT64_C(0xa0000)		/* of Generation 1: video, then shadow RAM */
#define SHADOW UINT64_C(0xc0000)
#define SHADOW_LEN (256 * KIB)
/*
 * Where SeaBIOS puts the display adapter's BAR 0, as Hyper-V has it.  Video
 * memory is RAM there, so that a write is a store; a BAR that the guest moves
 * is registers at its new place, of the same memory.
 */
#define FRAME_BUFFER UINT64_C(0xf8000000)

static void add_map(struct vm *vm, uint64_t gpa, uint64_t end, enum fw_e820 type)
{
	if (end > gpa)
		vm->map[vm->nr_map++] = (struct fw_mem){ gpa, end - gpa, type };
}

static int check_memory(uint64_t n, uint64_t most, struct err *err)
{
	struct sysinfo host;

	if (n < 32 * MIB || n > most || n % (2 * MIB) != 0)
		return err_set(err, -EINVAL,
			       "memory: %llu bytes, expected a multiple of 2 MiB from 32 MiB "
			       "to %llu TiB", (unsigned long long)n,
			       (unsigned long long)(most >> 40));
	if (sysinfo(&host) == 0 && n > (uint64_t)host.totalram * host.mem_unit)
		return err_set(err, -ENOMEM, "memory: %llu MiB, the host has only %llu MiB",
			       (unsigned long long)(n / MIB),
			       (unsigned long long)((uint64_t)host.totalram * host.mem_unit / MIB));
	return 0;
}

int board_memory(struct vm *vm, struct gmem_range ranges[BOARD_RANGES], size_t *ret_nr,
		 struct err *err)
{
	const struct board *b = vm->board;
	uint64_t n = vm->conf.memory, low = min_u64(n, b->mmio_low), high = n - low;
	bool bios = b->generation == 1;
	size_t nr = 0;
	int rc = check_memory(n, (uint64_t)(bios ? 1 : 12) << 40, err);

	if (rc < 0)
		return rc;
	if (bios) {
		ranges[nr++] = (struct gmem_range){ 0, HOLE };
		ranges[nr++] = (struct gmem_range){ SHADOW, low - SHADOW };
		if (!vm->conf.no_vga)
			ranges[nr++] = (struct gmem_range){ FRAME_BUFFER, VGA_VRAM_LEN };
		ranges[nr++] = (struct gmem_range){ 4 * GIB - bios_len(vm), bios_len(vm) };
	} else {
		ranges[nr++] = (struct gmem_range){ 0, low };
	}
	if (high > 0)
		ranges[nr++] = (struct gmem_range){ 4 * GIB, high };
	*ret_nr = nr;

	vm->nr_map = 0;
	add_map(vm, 0, 0xa0000, FW_E820_RAM);
	if (!bios)
		add_map(vm, b->rsdp, MIB, FW_E820_RESERVED);
	add_map(vm, MIB, bios ? low - BIOS_TABLES_LEN : low, FW_E820_RAM);
	if (bios)
		add_map(vm, low - BIOS_TABLES_LEN, low, FW_E820_RESERVED);
	add_map(vm, 4 * GIB, 4 * GIB + high, FW_E820_RAM);
	return 0;
}

int board_rom(struct vm *vm, struct err *err)
{
	uint64_t len;

	if (vm->board->generation != 1)
		return 0;
	len = bios_len(vm);
	gmem_rom_new(vm->mem, 4 * GIB - len);
	BUG_IF(gmem_rom_fill(vm->mem, 4 * GIB - len, bios_bytes(vm), len) < 0);
	return gmem_shadow_new(vm->mem, SHADOW, SHADOW_LEN, err);
}

/* ---- wires ---------------------------------------------------------------------------- */

/* PIN is the line and, above, who pulls it.  The chip lock is held by whoever moves a line. */
static void set_line(void *self, unsigned pin, bool level)
{
	struct vm *vm = self;
	unsigned n = pin & 0xff;
	uint32_t bit = UINT32_C(1) << (pin >> 8), was = vm->pulls[n];

	vm->pulls[n] = level ? was | bit : was & ~bit;
	if (vm->pulls[n] != 0 && was != 0 && (was & bit) == 0)	/* it is up already */
		return;
	level = vm->pulls[n] != 0;
	ioapic_pin(vm->ioapic, n == 0 && vm->board->generation == 1 ? 2 : n, level);
	if (vm->pic != NULL && n < 16)
		pic_pin(vm->pic, n, level);
}

/* Line NR as the slot's own. */
static struct irq line(struct vm *vm, const struct slot *s, int nr)
{
	unsigned who = (unsigned)(s - vm->board->slots);

	if (nr < 0)
		return (struct irq){ 0 };
	return (struct irq){ .set = set_line, .self = vm, .pin = (unsigned)nr | who << 8 };
}

static void set_pirq(void *self, unsigned pin, bool level)
{
	struct vm *vm = self;

	if (vm->piix4 != NULL)
		piix4_pirq(vm->piix4, pin, level);
}

static void set_intr(void *self, unsigned vp, bool level)
{
	struct vm *vm = self;

	lapic_lint0(vm->lapics, vp, level);
}

static void on_power_off(void *arg) { vm_request(arg, REQ_POWER_OFF); }
static void on_reset(void *arg) { vm_request(arg, REQ_RESET); }
static void on_test_exit(void *arg, uint32_t val) { vm_test_exit(arg, val); }

/* Rights to write have gone: before the next instruction here, soon elsewhere. */
static void on_map_changed(void *arg)
{
	struct vm *vm = arg;

	for (unsigned i = 0; vm->vcpus != NULL && i < vm->conf.cpus; i++)
		if (vm->vcpus[i].cpu != NULL)
			vm->engine->tlb_flush_soon(vm->vcpus[i].cpu);
}

static void on_init(void *arg) { vcpus_init(arg); }
static void on_kbd_init(void *arg) { piix4_init_processors(((struct vm *)arg)->piix4); }
static void on_kbd_a20(void *arg, bool on) { piix4_set_a20(((struct vm *)arg)->piix4, on); }
static bool kbd_a20(void *arg) { return piix4_a20(((struct vm *)arg)->piix4); }

static void on_a20(void *arg, bool on)
{
	struct vm *vm = arg;

	for (unsigned i = 0; vm->vcpus != NULL && i < vm->conf.cpus; i++)
		if (vm->vcpus[i].cpu != NULL && vm->engine->a20 != NULL)
			vm->engine->a20(vm->vcpus[i].cpu, on);
}

static void on_pm_move(void *arg, uint16_t base, bool on)
{
	pm_move(((struct vm *)arg)->pm, base, on);
}

/* Port B2: E1 switches ACPI on, 1E off; the letters E, T switch the machine off. */
static void on_apm(void *arg, uint8_t last, uint8_t val)
{
	struct vm *vm = arg;

	if (val == 0xe1 || val == 0x1e)
		pm_acpi(vm->pm, val == 0xe1);
	else if (last == 'E' && val == 'T')
		vm_request(vm, REQ_POWER_OFF);
}

static void on_bios_line(void *arg, const char *text)
{
	(void)arg;
	log_info("bios", "%s", text);
}

/* ---- devices -------------------------------------------------------------------------- */

struct making {
	struct vm *vm;
	const struct slot *slot;
	struct dev_env env;
	void **ret_dev;
	struct err *err;
};

static int made(const struct making *m, const void *conf)
{
	return dev_new(m->slot->ops, &m->env, conf, m->ret_dev, m->err);
}

static int make_ioapic(const struct making *m)
{
	return made(m, &(struct ioapic_conf){ m->slot->base, m->vm->lapics });
}

static int make_rtc(const struct making *m)
{
	const bool bios = m->vm->board->generation == 1;

	return made(m, &(struct rtc_conf){
		.port = (uint16_t)m->slot->base, .irq = line(m->vm, m->slot, m->slot->irq),
		.cmos = bios ? bios_cmos(m->vm) : NULL, .two_banks = bios,
	});
}

static int make_pm(const struct making *m)
{
	return made(m, &(struct pm_conf){
		.base = (uint16_t)m->slot->base, .sci = line(m->vm, m->slot, m->slot->irq),
		.acpi_on = m->vm->board->generation == 2,
		.power_off = on_power_off, .reset = on_reset, .arg = m->vm,
	});
}

static int make_uart(const struct making *m)
{
	const struct vm_conf *c = &m->vm->conf;

	return made(m, &(struct uart_conf){
		.port = (uint16_t)m->slot->base, .irq = line(m->vm, m->slot, m->slot->irq),
		.chr = m->slot->base == 0x3f8 ? c->com1 : m->slot->base == 0x2f8 ? c->com2 : NULL,
	});
}

static int make_pic(const struct making *m)
{
	/* In Generation 2 as a BIOS leaves it: vectors 08 and 70, open for PCI's 10 and 11. */
	const bool bios = m->vm->board->generation == 1;

	return made(m, &(struct pic_conf){
		.intr = { .set = set_intr, .self = m->vm },
		.base = { 0x08, 0x70 },
		.mask = { bios ? 0xff : 0xfb, bios ? 0xff : 0xf3 },
	});
}

static int make_testdev(const struct making *m)
{
	struct testdev_conf c = {
		.exit = on_test_exit, .synic = testconn_do, .arg = m->vm,
		.memory = m->vm->conf.memory, .cpus = (uint16_t)m->vm->conf.cpus,
	};

	for (int i = 0; i < (int)ARRAY_LEN(c.lines); i++)
		c.lines[i] = line(m->vm, m->slot, i);
	return made(m, &c);
}

static int make_absorb(const struct making *m)
{
	const struct board *b = m->vm->board;
	const unsigned skip = m->vm->pic == NULL ? 0 : b->absent_pic;

	return made(m, &(struct absorb_conf){ b->absent + skip, b->nr_absent - skip });
}

static int make_pit(const struct making *m)
{
	return made(m, &(struct pit_conf){ (uint16_t)m->slot->base,
					   line(m->vm, m->slot, m->slot->irq) });
}

static int make_dma(const struct making *m)
{
	return made(m, NULL);
}

static int make_i8042(const struct making *m)
{
	return made(m, &(struct i8042_conf){
		.port = (uint16_t)m->slot->base, .kbd_irq = line(m->vm, m->slot, m->slot->irq),
		.aux_irq = line(m->vm, m->slot, 12),
		.input = m->vm->input, .init = on_kbd_init,
		.a20 = on_kbd_a20, .a20_is = kbd_a20, .arg = m->vm,
	});
}

static int make_fdc(const struct making *m)
{
	return made(m, &(struct fdc_conf){
		.port = (uint16_t)m->slot->base, .irq = line(m->vm, m->slot, m->slot->irq),
		.dma = m->vm->dma, .media = { m->vm->floppy[0], m->vm->floppy[1] },
	});
}

static int make_superio(const struct making *m)
{
	return made(m, &(struct superio_conf){ { (uint16_t)m->slot->base, 0x370 } });
}

static int make_pci(const struct making *m)
{
	struct pci_conf c = { .port = (uint16_t)m->slot->base };

	for (unsigned i = 0; i < ARRAY_LEN(c.pirq); i++)
		c.pirq[i] = (struct irq){ .set = set_pirq, .self = m->vm, .pin = i };
	return made(m, &c);
}

static int make_i440bx(const struct making *m)
{
	return made(m, &(struct i440bx_conf){
		.bios_end = 4 * GIB, .bios_len = bios_len(m->vm),
		.map_changed = on_map_changed, .arg = m->vm,
	});
}

static int make_piix4(const struct making *m)
{
	struct piix4_conf c = {
		.devfn = (uint8_t)m->slot->base, .reset = on_reset, .init = on_init,
		.a20 = on_a20, .apm = on_apm, .arg = m->vm,
	};

	for (int i = 0; i < (int)ARRAY_LEN(c.isa); i++)
		c.isa[i] = line(m->vm, m->slot, i);
	return made(m, &c);
}

static int make_ide(const struct making *m)
{
	struct ide_conf c = {
		.devfn = (uint8_t)m->slot->base,
		.irq = { line(m->vm, m->slot, m->slot->irq), line(m->vm, m->slot, m->slot->irq + 1) },
	};

	storage_ide_conf(m->vm, &c);
	return made(m, &c);
}

static int make_piix4_pm(const struct making *m)
{
	return made(m, &(struct piix4_pm_conf){ (uint8_t)m->slot->base, on_pm_move, m->vm });
}

/* Its memory is in the guest's: see FRAME_BUFFER. */
static int make_vga(const struct making *m)
{
	struct iovec vram;
	int nr = 0;

	BUG_IF(gmem_pin(m->vm->mem, FRAME_BUFFER, VGA_VRAM_LEN, true, &vram, &nr, 1) < 0);
	return made(m, &(struct vga_conf){
		.devfn = (uint8_t)m->slot->base, .vram_len = VGA_VRAM_LEN, .disp = m->vm->disp,
		.vram = vram.iov_base,
		.rom = bios_vga_rom(m->vm), .rom_len = bios_vga_rom_len(m->vm),
	});
}

static int make_fwcfg(const struct making *m)
{
	struct fwcfg_conf c;

	c.items = bios_items(m->vm, &c.nr);
	return made(m, &c);
}

static int make_biosdbg(const struct making *m)
{
	return made(m, &(struct biosdbg_conf){ on_bios_line, m->vm });
}

/* What it is plugged into comes later: network.c. */
static int make_dec21140(const struct making *m)
{
	unsigned i = (unsigned)(m->slot->base >> 3) - VM_LEGACY_SLOT;
	int rc = made(m, &(struct dec21140_conf){
		.devfn = (uint8_t)m->slot->base, .rom = bios_net_rom(m->vm), .rom_len = FW_NETROM_LEN,
	});

	if (rc == 0)
		m->vm->legacy[i] = *m->ret_dev;
	return rc;
}

/* How each kind of device is made, and where the machine remembers it. */
static const struct {
	const struct dev_ops *ops;
	int (*make)(const struct making *m);
	size_t remember;		/* offset of a pointer in struct vm; 0 = nowhere */
} kinds[] = {
	{ &ioapic_dev, make_ioapic, offsetof(struct vm, ioapic) },
	{ &rtc_dev, make_rtc, 0 },
	{ &pm_dev, make_pm, offsetof(struct vm, pm) },
	{ &uart_dev, make_uart, 0 },
	{ &pic_dev, make_pic, offsetof(struct vm, pic) },
	{ &testdev_dev, make_testdev, 0 },
	{ &absorb_dev, make_absorb, 0 },
	{ &pit_dev, make_pit, 0 },
	{ &dma_dev, make_dma, offsetof(struct vm, dma) },
	{ &i8042_dev, make_i8042, 0 },
	{ &fdc_dev, make_fdc, offsetof(struct vm, fdc) },
	{ &superio_dev, make_superio, 0 },
	{ &pci_dev, make_pci, offsetof(struct vm, pci) },
	{ &i440bx_dev, make_i440bx, 0 },
	{ &piix4_dev, make_piix4, offsetof(struct vm, piix4) },
	{ &ide_dev, make_ide, offsetof(struct vm, ide) },
	{ &piix4_pm_dev, make_piix4_pm, 0 },
	{ &vga_dev, make_vga, 0 },
	{ &dec21140_dev, make_dec21140, 0 },
	{ &fwcfg_dev, make_fwcfg, 0 },
	{ &biosdbg_dev, make_biosdbg, 0 },
};

static int device(struct vm *vm, unsigned i, struct err *err)
{
	const struct slot *s = &vm->board->slots[i];
	const struct making m = {
		.vm = vm, .slot = s, .ret_dev = &vm->dev[i], .err = err,
		.env = { .name = s->name, .mem = vm->mem, .pio = vm->pio, .mmio = vm->mmio,
			 .pci = vm->pci, .clock = vm->clock, .lock = &vm->chip_lock },
	};
	unsigned k = 0;
	int rc;

	while (kinds[k].ops != s->ops) {
		k++;
		BUG_IF(k == ARRAY_LEN(kinds));
	}
	rc = kinds[k].make(&m);
	if (rc == 0 && kinds[k].remember != 0)
		memcpy((uint8_t *)vm + kinds[k].remember, &vm->dev[i], sizeof(void *));
	return rc;
}

int board_devices(struct vm *vm, struct err *err)
{
	for (unsigned i = 0; i < vm->board->nr_slots; i++) {
		const struct slot *s = &vm->board->slots[i];
		int rc;

		if (s->present != NULL && !s->present(vm, s))
			continue;
		rc = device(vm, i, err);
		if (rc < 0)
			return err_prefix(err, rc, s->name);
	}
	return 0;
}

/* ---- what firmware leaves --------------------------------------------------------------- */

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

	if (vm->board->generation == 1)		/* its BIOS sets them */
		return;
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
