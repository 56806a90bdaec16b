/*
 * ide_fuzz.c - a hostile guest against the IDE controller, by whole commands
 *
 * chip_fuzz.c drives its registers one at a time; here a record is as much as
 * a guest does in one go, so that deep states come soon: a task file and its
 * command, a burst at the data port, a packet, an entry of the bus master's
 * list, an answer of the host's disks, a disc that goes.  Records of ten bytes.
 */
#include "chip/chip_zoo.h"

#include "base/le.h"
#include "spec/ata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 10u
#define MAX_RECORDS 400u
#define TABLE 0x1000u

static void task_file(struct zoo_bench *b, uint16_t port, const uint8_t *p)
{
	for (unsigned reg = ATA_FEATURE; reg < ATA_COMMAND; reg++)
		rig_out(&b->r, (uint16_t)(port + reg), 1, p[reg]);
	rig_out(&b->r, (uint16_t)(port + ATA_COMMAND), 1, p[ATA_COMMAND]);
}

static void packet(struct zoo_bench *b, uint16_t port, const uint8_t *p)
{
	uint8_t cdb[12] = { 0 };

	memcpy(cdb, p, 7);
	cdb[8] = p[7];
	for (unsigned i = 0; i < sizeof(cdb); i += 2)
		rig_out(&b->r, port, 2, ld16(cdb + i));
}

static void burst(struct zoo_bench *b, uint16_t port, bool write, uint32_t n, uint32_t val)
{
	for (uint32_t i = 0; i < n % 33000; i++) {
		if (write)
			rig_out(&b->r, port, 2, val + i);
		else
			(void)rig_in(&b->r, port, 2);
	}
}

static void bus_master(struct zoo_bench *b, uint16_t bm, const uint8_t *p)
{
	uint32_t at = TABLE + p[2] % 64 * 8u;

	if ((p[1] & 0x40) == 0)
		(void)!gmem_write(b->r.mem, at, p + 2, 8);
	if ((p[1] & 0x80) != 0)
		rig_out(&b->r, (uint16_t)(bm + BM_TABLE), 4, (p[1] & 0x40) != 0 ? ld32(p + 2) : TABLE);
	rig_out(&b->r, (uint16_t)(bm + BM_COMMAND), 1, p[1] & 0x09);
	rig_out(&b->r, (uint16_t)(bm + BM_STATUS), 1, p[1] & 0x66);
}

static void save_and_load(struct zoo_bench *b)
{
	static uint8_t buf[256 * 1024], again[256 * 1024];
	size_t n = state_save(ide_dev.state, b->r.dev, buf, sizeof(buf));

	BUG_IF(n > sizeof(buf));
	BUG_IF(state_load(ide_dev.state, b->r.dev, buf, n, NULL) < 0);
	BUG_IF(ide_dev.loaded(b->r.dev, NULL) < 0);
	BUG_IF(state_save(ide_dev.state, b->r.dev, again, sizeof(again)) != n);
	BUG_IF(memcmp(buf, again, n) != 0);
}

static void perform(struct zoo_bench *b, const uint8_t *p)
{
	unsigned ch = p[0] >> 7;
	uint16_t port = ch == 0 ? 0x1f0 : 0x170, control = ch == 0 ? 0x3f6 : 0x376;
	uint16_t bm = (uint16_t)(0xc000 + 8 * ch);

	switch (p[0] % 10) {
	case 0:
		task_file(b, port, p + 1);
		break;
	case 1:
		packet(b, port, p + 1);
		break;
	case 2:
	case 3:
		burst(b, port, (p[0] & 1) != 0, ld16(p + 1), ld32(p + 3));
		break;
	case 4:
		bus_master(b, bm, p);
		break;
	case 5:
		rig_out(&b->r, control, 1, p[1]);
		break;
	case 6:
		(void)rig_in(&b->r, (uint16_t)(port + p[1] % 8), 1u << (p[2] % 3));
		break;
	case 7:
		zoo_poke(b, p[1], p[2]);
		break;
	case 8:
		clock_step(b->r.clock, 1);
		break;
	case 9:
		if (p[1] < 200)
			save_and_load(b);
		else if (p[1] < 220)
			ide_dev.reset(b->r.dev);
		else if (p[1] < 240)
			ide_retry(b->r.dev);
		pci_cfg_write(b->r.pci, PCI_DEVFN(7, 1), PCI_COMMAND, 2, p[2] | PCI_COMMAND_IO);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct zoo_row *row = zoo;
	struct zoo_bench b;

	while (row->ops != &ide_dev)
		row++;
	zoo_open(&b, row);
	for (size_t i = 0; i < MAX_RECORDS && (i + 1) * RECORD <= size; i++)
		perform(&b, data + i * RECORD);
	zoo_close(&b);
	return 0;
}
