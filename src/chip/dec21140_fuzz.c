/*
 * dec21140_fuzz.c - a hostile guest against the 21140, by whole descriptors
 *
 * chip_fuzz.c drives its registers one at a time; here a record is as much as
 * a guest or the network does in one go: a descriptor, a setup frame's bytes, a
 * register, pins of CSR9, a frame that comes, a switch without room, time.
 * Records of twelve bytes.
 */
#include "chip/dec21140_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 12u
#define MAX_RECORDS 400u
#define DEVFN PCI_DEVFN(10, 0)
#define IO 0xc000u
#define LIST 0x1000u

struct bench {
	struct rig r;
	struct dr_port port;
};

/* Mostly in RAM, mostly close together. */
static uint32_t place(uint32_t val)
{
	return (val & 0x80000000) != 0 ? val : (val & 0x40000000) != 0 ? val % RIG_RAM : LIST + val % 64 * 16;
}

static void descriptor(struct bench *b, const uint8_t *p)
{
	uint8_t g[16];

	st32(g, (p[1] & 0x80) != 0 ? ld32(p + 8) : DES_OWN);
	st32(g + 4, ld32(p + 2));
	st32(g + 8, place(ld32(p + 4)));
	st32(g + 12, place(ld32(p + 8)));
	(void)!gmem_write(b->r.mem, LIST + p[1] % 64 * 16u, g, sizeof(g));
}

static void reg(struct bench *b, const uint8_t *p)
{
	uint16_t port = (uint16_t)(IO + p[1] % 16 * 8);
	uint32_t val = ld32(p + 2);

	if (p[1] % 16 == 3 || p[1] % 16 == 4)
		val = place(val);
	if ((p[1] & 0x40) != 0)
		(void)rig_in(&b->r, port, 4);
	else
		rig_out(&b->r, port, 4, val);
}

static void pins(struct bench *b, const uint8_t *p)
{
	for (unsigned i = 0; i < 80; i++) {
		uint32_t v = p[2 + i / 8] >> i % 8 & 1;

		if ((p[1] & 1) != 0)
			v = 0x4801 | v << 2;
		else
			v = v << 17 | (p[1] & 2 && i > 40 ? CSR9_MII : 0u);
		rig_out(&b->r, IO + 9 * 8, 4, v);
		rig_out(&b->r, IO + 9 * 8, 4, v | ((p[1] & 1) != 0 ? CSR9_SK : CSR9_MDC));
	}
	if ((p[1] & 4) != 0)
		rig_out(&b->r, IO + 9 * 8, 4, 0);
}

static void network(struct bench *b, const uint8_t *p)
{
	uint8_t f[4096];
	int rc;

	if ((p[1] & 1) != 0) {
		b->port.take = p[2];
		b->port.client->resume(b->port.dev);
		b->port.client->link(b->port.dev, (p[1] & 2) != 0, 0);
		return;
	}
	memset(f, p[3], sizeof(f));
	memcpy(f, p + 4, 8);
	rc = dr_deliver(&b->port, f, 14 + ld16(p + 2) % 2100);
	BUG_IF(rc != 0 && rc != -EAGAIN);
}

static void save_and_load(struct bench *b)
{
	static uint8_t buf[16384], again[16384];
	size_t n = state_save(b->r.ops->state, b->r.dev, buf, sizeof(buf));

	BUG_IF(n > sizeof(buf));
	BUG_IF(state_load(b->r.ops->state, b->r.dev, buf, n, NULL) < 0);
	BUG_IF(b->r.ops->loaded(b->r.dev, NULL) < 0);
	BUG_IF(state_save(b->r.ops->state, b->r.dev, again, sizeof(again)) != n);
	BUG_IF(memcmp(buf, again, n) != 0);
}

static void perform(struct bench *b, const uint8_t *p)
{
	switch (p[0] % 8) {
	case 0:
	case 1:
		descriptor(b, p);
		break;
	case 2:
	case 3:
		reg(b, p);
		break;
	case 4:
		pins(b, p);
		break;
	case 5:
		network(b, p);
		break;
	case 6:
		if ((p[1] & 7) == 0)
			save_and_load(b);
		else
			clock_step(b->r.clock, (uint64_t)ld16(p + 2) << p[1] % 12);
		break;
	case 7:
		(void)!gmem_write(b->r.mem, place(ld32(p + 8)) & ~3u, p + 2, 8);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench b;

	rig_init(&b.r);
	rig_pci(&b.r);
	rig_put(&b.r, &dec21140_dev, &(struct dec21140_conf){ .devfn = DEVFN });
	dr_init(&b.port);
	dec21140_plug(b.r.dev, &b.port.port);
	pci_cfg_write(b.r.pci, DEVFN, PCI_BAR0, 4, IO);
	pci_cfg_write(b.r.pci, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	for (size_t i = 0; i < MAX_RECORDS && (i + 1) * RECORD <= size; i++) {
		perform(&b, data + i * RECORD);
		if ((data[i * RECORD] & 0x80) == 0)	/* the work is not always done at once */
			clock_step(b.r.clock, 0);
	}
	rig_fini(&b.r);
	return 0;
}
