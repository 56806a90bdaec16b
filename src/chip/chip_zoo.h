/*
 * chip_zoo.h - every chip of the room on a bench of its own, for the harness
 * and the fuzzer.  A new chip gets a row.
 */
#ifndef CHIP_CHIP_ZOO_H
#define CHIP_CHIP_ZOO_H

#include "chip/chip_rig.h"
#include "chip/dec21140_rig.h"
#include "chip/fdc.h"
#include "chip/ide.h"
#include "chip/vga.h"
#include "dev/input.h"
#include "dev/fake_blk.h"

struct zoo_bench {
	struct rig r;
	struct chr chr;
	struct lapic_set *lapics;
	struct disp *disp;
	struct input *input;
	void *dma;
	uint8_t devfn;			/* its PCI function; 0 is the host bridge, if any */
	struct fake_blk disk[2], dvd;	/* of the IDE controller */
	struct dr_port port;		/* of the network adapter */
};

static inline void zoo_vp(void *self, unsigned vp) { (void)self, (void)vp; }
static inline void zoo_sipi(void *self, unsigned vp, uint8_t v) { (void)self, (void)vp, (void)v; }
static inline void zoo_note(void *arg) { (void)arg; }
static inline void zoo_exit(void *arg, uint32_t val) { (void)arg, (void)val; }

static inline void zoo_chr(struct chr *c, const uint8_t *buf, size_t n)
{
	(void)c, (void)buf, (void)n;
}

/* Takes the chip lock, as the board must. */
static inline void zoo_eoi(void *self, unsigned vp, uint8_t vector, bool level)
{
	struct zoo_bench *b = self;

	(void)vp;
	if (!level || b->r.ops != &ioapic_dev)
		return;
	pthread_mutex_lock(&b->r.lock);
	ioapic_eoi(b->r.dev, vector);
	pthread_mutex_unlock(&b->r.lock);
}

static inline uint64_t zoo_tsc(void *self)
{
	return clock_now_ns(((struct zoo_bench *)self)->r.clock) * 2;
}

static const struct lapic_client zoo_client = {
	zoo_vp, zoo_vp, zoo_vp, zoo_sipi, zoo_eoi, zoo_tsc, NULL,
};

#define ZOO_LAPICS 3

static inline int64_t zoo_time(void *arg)
{
	struct zoo_bench *b = arg;

	return 1700000000 + (int64_t)(clock_now_ns(b->r.clock) / NS_PER_SEC);
}

static inline void zoo_ioapic(struct zoo_bench *b)
{
	rig_put(&b->r, &ioapic_dev, &(struct ioapic_conf){ 0xfec00000, b->lapics });
}

static inline void zoo_rtc(struct zoo_bench *b)
{
	rig_put(&b->r, &rtc_dev, &(struct rtc_conf){ .port = 0x70, .irq = rig_irq(&b->r),
						     .unix_time = zoo_time, .arg = b,
						     .two_banks = true });
}

static inline void zoo_pic(struct zoo_bench *b)
{
	rig_put(&b->r, &pic_dev, &(struct pic_conf){ rig_irq(&b->r), { 8, 0x70 }, { 0, 0 } });
}

static inline void zoo_pm(struct zoo_bench *b)
{
	rig_put(&b->r, &pm_dev, &(struct pm_conf){ 0x400, rig_irq(&b->r), true, zoo_note,
						   zoo_note, NULL });
}

static inline void zoo_uart(struct zoo_bench *b)
{
	b->chr.write = zoo_chr;
	rig_put(&b->r, &uart_dev, &(struct uart_conf){ 0x3f8, rig_irq(&b->r), &b->chr });
}

static inline void zoo_absorb(struct zoo_bench *b)
{
	static const struct absorb_range ranges[] = { { 0x20, 2 }, { 0xcf8, 8 } };

	rig_put(&b->r, &absorb_dev, &(struct absorb_conf){ ranges, ARRAY_LEN(ranges) });
}

static inline void zoo_testdev(struct zoo_bench *b)
{
	struct testdev_conf conf = { .exit = zoo_exit };

	for (unsigned i = 0; i < ARRAY_LEN(conf.lines); i++)
		conf.lines[i] = rig_irq(&b->r);
	rig_put(&b->r, &testdev_dev, &conf);
}

#define ZOO_PCI_SLOT 8

static inline void zoo_vga(struct zoo_bench *b)
{
	static struct disp *one;

	rig_pci(&b->r);
	if (one == NULL)
		BUG_IF(disp_new(&one) < 0);
	b->disp = one;
	rig_put(&b->r, &vga_dev, &(struct vga_conf){ .devfn = PCI_DEVFN(ZOO_PCI_SLOT, 0),
						     .vram_len = 1 << 20, .disp = b->disp });
	pthread_mutex_lock(&b->r.lock);
	pci_cfg_write(b->r.pci, PCI_DEVFN(ZOO_PCI_SLOT, 0), PCI_BAR0, 4, 0xf8000000);
	pci_cfg_write(b->r.pci, PCI_DEVFN(ZOO_PCI_SLOT, 0), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pthread_mutex_unlock(&b->r.lock);
}

/* Two disks and a DVD; the ports answer, and the bus master's are at C000. */
static inline void zoo_ide(struct zoo_bench *b)
{
	struct ide_conf conf = { .devfn = PCI_DEVFN(7, 1), .irq = { rig_irq(&b->r) } };

	for (unsigned i = 0; i < 2; i++) {
		BUG_IF(fake_blk_init(&b->disk[i], 128 * KIB, 512, false) < 0);
		b->disk[i].manual = true;
		conf.unit[i][i].blk = &b->disk[i].blk;
	}
	BUG_IF(fake_blk_init(&b->dvd, 128 * KIB, 2048, false) < 0);
	b->dvd.manual = true;
	conf.unit[1][0] = (struct ide_unit){ true, &b->dvd.blk };
	rig_pci(&b->r);
	rig_put(&b->r, &ide_dev, &conf);
	b->devfn = conf.devfn;
	pci_cfg_write(b->r.pci, conf.devfn, 0x20, 4, 0xc000);
	pci_cfg_write(b->r.pci, conf.devfn, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

static inline void zoo_pit(struct zoo_bench *b)
{
	rig_put(&b->r, &pit_dev, &(struct pit_conf){ 0x40, rig_irq(&b->r) });
}

static inline void zoo_dma(struct zoo_bench *b)
{
	rig_pci(&b->r);
	rig_put(&b->r, &dma_dev, NULL);
}

static inline void zoo_fdc(struct zoo_bench *b)
{
	rig_pci(&b->r);
	BUG_IF(dev_new(&dma_dev, &b->r.env, NULL, &b->dma, NULL) < 0);
	for (unsigned i = 0; i < 2; i++) {
		BUG_IF(fake_blk_init(&b->disk[i], i ? 368640 : 1474560, 512, false) < 0);
		b->disk[i].manual = true;
	}
	BUG_IF(fake_blk_init(&b->dvd, 128 * KIB, 2048, false) < 0);	/* for zoo_close */
	rig_put(&b->r, &fdc_dev, &(struct fdc_conf){
		0x3f0, rig_irq(&b->r), b->dma, { &b->disk[0].blk, &b->disk[1].blk },
	});
	rig_out(&b->r, 0x3f2, 1, 0x1c);
}

static inline void zoo_i8042(struct zoo_bench *b)
{
	BUG_IF(input_new(&b->input) < 0);
	rig_put(&b->r, &i8042_dev, &(struct i8042_conf){
		.port = 0x60, .kbd_irq = rig_irq(&b->r), .aux_irq = rig_irq(&b->r),
		.input = b->input, .init = zoo_note,
	});
}

static inline void zoo_superio(struct zoo_bench *b)
{
	rig_put(&b->r, &superio_dev, &(struct superio_conf){ { 0x3f0, 0x370 } });
}

static inline void zoo_i440bx(struct zoo_bench *b)
{
	rig_pci(&b->r);
	BUG_IF(gmem_shadow_new(b->r.mem, 0xc0000, 0x40000, NULL) < 0);
	rig_put(&b->r, &i440bx_dev, &(struct i440bx_conf){ 4 * GIB, 0x40000, zoo_note, NULL });
	pci_cfg_write(b->r.pci, 0, 0x58, 4, 0x33333000);
}

static inline void zoo_apm(void *arg, uint8_t last, uint8_t val)
{
	(void)arg, (void)last, (void)val;
}

static inline void zoo_piix4(struct zoo_bench *b)
{
	struct piix4_conf conf = { .devfn = PCI_DEVFN(7, 0), .reset = zoo_note, .init = zoo_note,
				    .apm = zoo_apm };

	for (unsigned i = 0; i < ARRAY_LEN(conf.isa); i++)
		conf.isa[i] = rig_irq(&b->r);
	rig_pci(&b->r);
	rig_put(&b->r, &piix4_dev, &conf);
	b->devfn = conf.devfn;
	pci_cfg_write(b->r.pci, conf.devfn, 0x60, 4, 0x0b0b0a0a);
}

static inline void zoo_move(void *arg, uint16_t base, bool on)
{
	(void)arg, (void)base, (void)on;
}

static inline void zoo_piix4_pm(struct zoo_bench *b)
{
	rig_pci(&b->r);
	rig_put(&b->r, &piix4_pm_dev, &(struct piix4_pm_conf){ PCI_DEVFN(7, 3), zoo_move, NULL });
	b->devfn = PCI_DEVFN(7, 3);
	pci_cfg_write(b->r.pci, PCI_DEVFN(7, 3), 0x90, 4, 0x701);
	pci_cfg_write(b->r.pci, PCI_DEVFN(7, 3), 0xd2, 1, 1);
}

static inline void zoo_fwcfg(struct zoo_bench *b)
{
	static const struct fwcfg_item items[] = {
		{ 5, NULL, "\2", 2 }, { FWCFG_FILE_KEY, "etc/e820", "0123456789", 10 },
	};

	rig_pci(&b->r);
	rig_put(&b->r, &fwcfg_dev, &(struct fwcfg_conf){ items, ARRAY_LEN(items) });
}

static inline void zoo_line(void *arg, const char *text)
{
	(void)arg;
	for (; *text != '\0'; text++)
		BUG_IF(*text < ' ' || *text >= 0x7f);
}

static inline void zoo_biosdbg(struct zoo_bench *b)
{
	rig_put(&b->r, &biosdbg_dev, &(struct biosdbg_conf){ zoo_line, NULL });
}

static inline void zoo_dec21140(struct zoo_bench *b)
{
	b->devfn = PCI_DEVFN(10, 0);
	rig_pci(&b->r);
	rig_put(&b->r, &dec21140_dev, &(struct dec21140_conf){ .devfn = b->devfn });
	dr_init(&b->port);
	dec21140_plug(b->r.dev, &b->port.port);
	pci_cfg_write(b->r.pci, b->devfn, 0x10, 4, 0xc000);
	pci_cfg_write(b->r.pci, b->devfn, 0x14, 4, 0xf4000000);
	pci_cfg_write(b->r.pci, b->devfn, PCI_COMMAND, 2,
		      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static const struct zoo_row {
	const struct dev_ops *ops;
	void (*put)(struct zoo_bench *b);
	struct { bool mmio; uint64_t base; uint32_t len; } win[6];
} zoo[] = {
	{ &ioapic_dev, zoo_ioapic, { { true, 0xfec00000, 0x20 } } },
	{ &rtc_dev, zoo_rtc, { { false, 0x70, 8 } } },
	{ &pm_dev, zoo_pm, { { false, 0x400, 0x37 } } },
	{ &uart_dev, zoo_uart, { { false, 0x3f8, 8 } } },
	{ &absorb_dev, zoo_absorb, { { false, 0x20, 2 }, { false, 0xcf8, 8 } } },
	{ &testdev_dev, zoo_testdev, { { false, 0xe0, 0x18 }, { false, 0x2000, 24 },
				       { true, 0xff000000, 0x10000 },
				       { false, 0x510, 2 } } },
	{ &vga_dev, zoo_vga, { { false, 0x3b0, 0x30 }, { false, 0x3c0, 0x10 }, { false, 0x1ce, 4 },
			       { true, 0xa0000, 0x20000 }, { true, 0xf8000000, 0x120000 },
			       { false, 0xcf8, 8 } } },
	{ &pic_dev, zoo_pic, { { false, 0x20, 2 }, { false, 0xa0, 2 }, { false, 0x4d0, 2 } } },
	{ &ide_dev, zoo_ide, { { false, 0x1f0, 8 }, { false, 0x170, 8 }, { false, 0x3f6, 1 },
			       { false, 0x376, 1 }, { false, 0xc000, 16 }, { false, 0xcf8, 8 } } },
	{ &pit_dev, zoo_pit, { { false, 0x40, 4 }, { false, 0x61, 1 } } },
	{ &dma_dev, zoo_dma, { { false, 0, 16 }, { false, 0x80, 16 }, { false, 0xc0, 32 } } },
	{ &fdc_dev, zoo_fdc, { { false, 0x3f2, 4 }, { false, 0x3f7, 1 }, { false, 0, 16 } } },
	{ &i8042_dev, zoo_i8042, { { false, 0x60, 1 }, { false, 0x64, 1 } } },
	{ &superio_dev, zoo_superio, { { false, 0x3f0, 2 }, { false, 0x370, 2 } } },
	{ &i440bx_dev, zoo_i440bx, { { false, 0xcf8, 8 }, { true, 0xc0000, 0x40000 },
				     { true, 0xfffc0000, 0x40000 } } },
	{ &piix4_dev, zoo_piix4, { { false, 0xcf8, 8 }, { false, 0x92, 1 }, { false, 0xb2, 2 } } },
	{ &piix4_pm_dev, zoo_piix4_pm, { { false, 0xcf8, 8 }, { false, 0x700, 16 } } },
	{ &fwcfg_dev, zoo_fwcfg, { { false, 0x510, 2 }, { false, 0x514, 8 } } },
	{ &biosdbg_dev, zoo_biosdbg, { { false, 0x402, 1 } } },
	{ &dec21140_dev, zoo_dec21140, { { false, 0xc000, 128 }, { true, 0xf4000000, 128 },
					 { false, 0xcf8, 8 } } },
};

static inline void zoo_open(struct zoo_bench *b, const struct zoo_row *row)
{
	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	BUG_IF(lapic_new(&(struct lapic_conf){ ZOO_LAPICS, b->r.clock, 200000000, 2000000000,
					       &zoo_client, b, 52 }, &b->lapics, NULL) < 0);
	row->put(b);
}

static inline void zoo_close(struct zoo_bench *b)
{
	lapic_free(b->lapics);
	dev_free(b->r.ops, b->r.dev);
	b->r.dev = NULL;
	if (b->dma != NULL)
		dev_free(&dma_dev, b->dma);
	input_free(b->input);
	rig_fini(&b->r);
	if (b->dvd.bytes == NULL)
		return;
	fake_blk_fini(&b->disk[0]);
	fake_blk_fini(&b->disk[1]);
	fake_blk_fini(&b->dvd);
}

/* One access around a window of the chip, chosen by WHERE; also half outside of it. */
static inline void zoo_access(struct zoo_bench *b, const struct zoo_row *row, uint32_t where,
			      unsigned width_log2, bool write, uint64_t val)
{
	unsigned nr = 0;
	uint64_t addr;
	struct bus *bus;

	while (nr < ARRAY_LEN(row->win) && row->win[nr].len != 0)
		nr++;
	addr = row->win[where % nr].base + where / nr % (row->win[where % nr].len + 4) - 2;
	bus = row->win[where % nr].mmio ? b->r.mmio : b->r.pio;
	if (write)
		bus_write(bus, addr, 1u << (width_log2 & 3), val);
	else
		(void)bus_read(bus, addr, 1u << (width_log2 & 3));
}

/* The host's disks answer, well or badly; discs come and go. */
static inline void zoo_poke_ide(struct zoo_bench *b, uint32_t what, uint8_t val)
{
	int rc = 0;

	if (what % 8 == 0)
		rc = ide_eject(b->r.dev, val & 1, val >> 1 & 1, (val & 4) != 0);
	else if (what % 8 == 1)
		rc = ide_insert(b->r.dev, val & 1, val >> 1 & 1, &b->dvd.blk);
	else if (what % 8 == 2)
		atomic_store(&b->disk[val & 1].nr_fail, 1);
	(void)rc;
	atomic_store(&b->disk[val & 1].fail, (val & 2) != 0 ? -EIO : -EROFS);
	(void)fake_blk_finish(&b->disk[0]);
	(void)fake_blk_finish(&b->disk[1]);
	(void)fake_blk_finish(&b->dvd);
}

static inline void zoo_transfer(struct zoo_bench *b, uint32_t what, uint8_t val)
{
	unsigned ch = what % 7 + (what % 7 >= 4);
	uint8_t buf[700];
	bool tc;

	memset(buf, val, sizeof(buf));
	if (dma_ready(b->r.dev, ch, (what & 8) != 0) && (what & 8) != 0)
		(void)dma_to_memory(b->r.dev, ch, buf, what >> 4 & 511, &tc);
	else
		(void)dma_from_memory(b->r.dev, ch, buf, what >> 4 & 511, &tc);
}

/* A command that makes some sense, or another disk, or the host's disk fails. */
static inline void zoo_poke_fdc(struct zoo_bench *b, uint32_t what, uint8_t val)
{
	static const uint8_t cmds[] = { 0x46, 0xc5, 0x4d, 0x0f, 0x08, 0x4a, 0xc6, 0x16, 0x07 };

	if (what % 4 != 0) {
		rig_out(&b->r, 0x3f5, 1, cmds[val % ARRAY_LEN(cmds)]);
		for (unsigned i = 0; i < 8; i++)
			rig_out(&b->r, 0x3f5, 1, i == 4 ? 2 : i == 5 ? 18 : what >> (2 + 2 * i) & 3);
		return;
	}
	pthread_mutex_lock(&b->r.lock);
	(void)!fdc_change(b->r.dev, val & 1, (what & 4) != 0 ? NULL : &b->disk[val >> 1 & 1].blk);
	pthread_mutex_unlock(&b->r.lock);
	atomic_store(&b->disk[val & 1].nr_fail, what >> 8 & 1);
	atomic_store(&b->disk[val & 1].fail, (val & 2) != 0 ? -EIO : -EROFS);
	(void)fake_blk_finish(&b->disk[0]);
	(void)fake_blk_finish(&b->disk[1]);
}

/* A frame comes, the switch has room or not; and sometimes lists are where they should be. */
static inline void zoo_poke_dec21140(struct zoo_bench *b, uint32_t what, uint8_t val)
{
	uint8_t bytes[2100], g[16];

	memset(bytes, val, sizeof(bytes));
	if ((what & 3) == 0) {
		(void)dr_deliver(&b->port, bytes, 14 + (what >> 9) % 2080);
	} else if ((what & 3) == 1) {
		b->port.take = val;
		b->port.client->link(b->port.dev, (what & 4) != 0, 0);
		b->port.client->resume(b->port.dev);
	} else {
		st32(g, DES_OWN);
		st32(g + 4, what * 0x9e3779b1u & ~(uint32_t)DES1_CHAINED);
		st32(g + 8, val << 8);
		st32(g + 12, 0x1000);
		BUG_IF(gmem_write(b->r.mem, val % 16 * 16u, g, sizeof(g)) < 0);
		rig_out(&b->r, (uint16_t)(0xc000 + ((what & 4) != 0 ? 0x18 : 0x20)), 4, 0);
		rig_out(&b->r, 0xc030, 4, 0x2002);
	}
}

/* Everything that is not a register: pins, buttons, keys, events, messages' ends. */
static inline void zoo_poke(struct zoo_bench *b, uint32_t what, uint8_t val)
{
	uint8_t keys[40];

	memset(keys, val, sizeof(keys));
	if (b->r.ops == &uart_dev) {
		b->chr.input(b->chr.dev, keys, what % sizeof(keys));
		return;
	}
	if (b->r.ops == &vga_dev) {	/* somebody looks */
		struct disp_rect rects[3];
		struct disp_view view;

		disp_open(b->disp, &view);
		BUG_IF(disp_changed(b->disp, view.seq - val, rects, 1 + what % 3) > 3);
		disp_close(b->disp);
		return;
	}
	if (b->r.ops == &fdc_dev) {
		zoo_poke_fdc(b, what, val);
		return;
	}
	if (b->r.ops == &dec21140_dev && (what & 0x100) == 0) {
		zoo_poke_dec21140(b, what, val);
		return;
	}
	if (b->r.ops == &i8042_dev) {
		if ((what & 1) != 0)
			input_key(b->input, (what & 2 ? INPUT_E0 : 0) | (val & 0x7f), (what & 4) != 0);
		else
			input_pointer(b->input, &(struct input_motion){ .dx = (int)what,
				      .dy = (int8_t)val, .wheel = (int)what / 3, .buttons = what });
		return;
	}
	pthread_mutex_lock(&b->r.lock);
	if (b->r.pci != NULL && (what & 0x100) != 0)	/* as the guest does, but more to the point */
		pci_cfg_write(b->r.pci, b->devfn, what >> 9 & 0xff, 1u << what % 3,
			      val * 0x01010101u);
	else if (b->r.ops == &piix4_dev)
		piix4_pirq(b->r.dev, what % 4, (what & 4) != 0);
	else if (b->r.ops == &dma_dev)
		zoo_transfer(b, what, val);
	if (b->r.ops == &ioapic_dev && (what & 1) != 0)
		ioapic_pin(b->r.dev, what / 4 % 24, (what & 2) != 0);
	else if (b->r.ops == &ioapic_dev)
		ioapic_eoi(b->r.dev, val);
	else if (b->r.ops == &pic_dev && (what & 1) != 0)
		pic_pin(b->r.dev, what / 4 % 16, (what & 2) != 0);
	else if (b->r.ops == &pic_dev)
		(void)pic_ack(b->r.dev);
	else if (b->r.ops == &pm_dev && (what & 1) != 0)
		pm_power_button(b->r.dev);
	else if (b->r.ops == &pm_dev)
		pm_event(b->r.dev, (const unsigned[]){ 0, 8, 9, 10, 11 }[what / 2 % 5]);
	else if (b->r.ops == &ide_dev)
		zoo_poke_ide(b, what, val);
	pthread_mutex_unlock(&b->r.lock);
}

#endif
