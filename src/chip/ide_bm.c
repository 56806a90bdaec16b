/*
 * ide_bm.c - the bus master of a channel: a list of regions of memory, and a start bit
 *
 * The list's entries are read when they are needed and not before, each once.
 * Every entry holds at least two bytes, so a command's bytes bound the walk,
 * wherever the list points.  An entry or region that is not RAM is an error of
 * the bus: the engine stops and the drive waits for a host that never comes,
 * until a reset; that is what the hardware does.
 *
 * Active goes off when the last region is used up.  A transfer that is shorter
 * than the list leaves it on, a longer one leaves the drive waiting.  A list
 * must not cross 64 KiB; one that does goes on at their beginning, also in the
 * middle of an entry.
 *
 * Spec     [SFF-8038i] 2 and 3; [82371AB] 2.6 bus master IDE I/O registers
 * Lock     chip
 */
#include "chip/ide_priv.h"

#include "mem/gmem.h"

uint8_t ide_bm_read(const struct ide_chan *c, unsigned off)
{
	switch (off) {
	case BM_COMMAND:
		return c->bm_command;
	case BM_STATUS:
		return c->bm_status;
	case BM_TABLE:
	case BM_TABLE + 1:
	case BM_TABLE + 2:
	case BM_TABLE + 3:
		return (uint8_t)(c->bm_table >> (off - BM_TABLE) * 8);
	}
	return 0;
}

static void command_write(struct ide_chan *c, uint8_t val)
{
	bool was = (c->bm_command & BM_START) != 0, on = (val & BM_START) != 0;

	/* The direction is not to be changed under way. */
	if ((c->bm_status & BM_ACTIVE) == 0)
		c->bm_command = val & BM_TO_MEMORY;
	c->bm_command = (uint8_t)((c->bm_command & ~BM_START) | (val & BM_START));
	if (was && !on)
		c->bm_status &= (uint8_t)~BM_ACTIVE;
	if (was || !on)
		return;
	c->bm_status |= BM_ACTIVE;
	c->bm_next = c->bm_table;
	c->bm_left = 0;
	c->bm_last = false;
	ide_bm_run(c);
}

void ide_bm_write(struct ide_chan *c, unsigned off, uint8_t val)
{
	unsigned shift;

	switch (off) {
	case BM_COMMAND:
		command_write(c, val);
		break;
	case BM_STATUS:
		c->bm_status &= (uint8_t)~(val & (BM_ERROR | BM_INT));
		c->bm_status = (uint8_t)((c->bm_status & ~BM_CAPABLE) | (val & BM_CAPABLE));
		break;
	case BM_TABLE:
	case BM_TABLE + 1:
	case BM_TABLE + 2:
	case BM_TABLE + 3:
		shift = (off - BM_TABLE) * 8;
		c->bm_table = (c->bm_table & ~(0xffu << shift)) | (uint32_t)val << shift;
		c->bm_table &= ~3u;
		break;
	}
}

static void stop(struct ide_chan *c, uint8_t why)
{
	c->bm_status = (uint8_t)((c->bm_status & ~BM_ACTIVE) | why);
}

static uint32_t in_list(uint32_t at, unsigned n)
{
	return (at & 0xffff0000) | ((at + n) & 0xffff);
}

/* The next region of the list; false: the engine stopped. */
static bool fetch(struct ide_chan *c)
{
	uint8_t prd[PRD_LEN];
	uint32_t flags;

	if (gmem_read(c->ide->mem, c->bm_next, prd, 4) < 0 ||
	    gmem_read(c->ide->mem, in_list(c->bm_next, 4), prd + 4, 4) < 0) {
		stop(c, BM_ERROR);
		return false;
	}
	flags = ld32(prd + 4);
	c->bm_addr = ld32(prd) & ~1u;
	c->bm_left = flags & 0xfffe;
	if (c->bm_left == 0)
		c->bm_left = 0x10000;
	c->bm_last = (flags & PRD_END) != 0;
	c->bm_next = in_list(c->bm_next, PRD_LEN);
	return true;
}

/* Some bytes between the buffer and the present region; false: the engine stopped. */
static bool carry(struct ide_chan *c)
{
	struct gmem *m = c->ide->mem;
	uint32_t n = (uint32_t)min_u64(c->bm_left, c->end - c->at);
	int rc;

	if (c->bm_addr > UINT32_MAX - (n - 1))
		rc = -EFAULT;
	else if ((c->bm_command & BM_TO_MEMORY) != 0)
		rc = gmem_write(m, c->bm_addr, c->buf + c->at, n);
	else
		rc = gmem_read(m, c->bm_addr, c->buf + c->at, n);
	if (rc < 0) {
		stop(c, BM_ERROR);
		return false;
	}
	c->bm_addr += n;
	c->bm_left -= n;
	c->at += n;
	if (c->bm_left == 0 && c->bm_last)
		stop(c, 0);
	return true;
}

static bool direction_fits(const struct ide_chan *c)
{
	return (c->job == JOB_READ || c->job == JOB_REPLY) == ((c->bm_command & BM_TO_MEMORY) != 0);
}

void ide_bm_run(struct ide_chan *c)
{
	while (c->phase == PHASE_DMA && (c->bm_status & BM_ACTIVE) != 0 && direction_fits(c) &&
	       pci_is_master(&c->ide->pci)) {
		if (c->bm_left == 0 && !fetch(c))
			break;
		if (!carry(c))
			break;
		if (c->at == c->end)
			ide_carried(c);
	}
}

void ide_bm_reset(struct ide_chan *c)
{
	c->bm_command = c->bm_status = 0;
	c->bm_table = c->bm_next = c->bm_addr = c->bm_left = 0;
	c->bm_last = false;
}
