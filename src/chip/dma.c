/*
 * dma.c - the two 8237 DMA controllers of a PC, with their page registers
 *
 * Four channels of bytes and, through the second controller, three of words.
 * A device asks for a channel and moves bytes by dma_read and dma_write; the
 * controller says where, how many and when the last of them went (terminal
 * count). A channel in verify mode counts and moves nothing. The address is 16 bits that wrap, under a page register that does
 * not count: a transfer never leaves its 64 KiB, or 128 KiB for words.
 *
 * The eighth channel is the cascade that joins the two. Only the floppy
 * controller uses DMA in this machine, channel 2; all others can still be
 * programmed and read, as BIOSes test them.
 *
 * Spec     [8237A] Intel 231466; pages of [PIIX4] 4.2.1, tables of [IBM AT]
 * Missing  memory to memory, which no chipset of PCI times has; verify of DREQ
 *          by software; compressed timing means nothing here
 * Lock     chip
 */
#include "chip/chips.h"

#include "mem/gmem.h"

#include <string.h>

#define NR 8u
#define CASCADE 4u

enum { MODE_TYPE = 0x0c, MODE_VERIFY = 0, MODE_TO_MEMORY = 0x04, MODE_FROM_MEMORY = 0x08, MODE_AUTO = 0x10,
       MODE_DOWN = 0x20 };
enum { COMMAND_OFF = 0x04 };

/* Of each channel one element, of each controller one bit or byte; all saved. */
struct dma {
	struct gmem *mem;		/* [const] */
	uint16_t base_addr[NR], base_count[NR];	/* as the guest wrote them */
	uint16_t addr[NR], count[NR];	/* in bytes or words; count wraps past 0 at the end */
	uint8_t page[NR], mode[NR];
	uint8_t spare[NR];		/* page registers that belong to no channel; 0 to 7 used */
	uint8_t command[2], mask[2], request[2], done[2];	/* done: terminal counts */
	uint8_t high[2];		/* flip-flop: the high byte comes next */
	uint8_t temp[2];
};

/* Page register ports 80 to 8F, by channel; 0xff: a spare one, 84 is an old POST port. */
static const uint8_t page_of[16] = {
	0xff, 2, 3, 1, 0xff, 0xff, 0xff, 0, 0xff, 6, 7, 5, 0xff, 0xff, 0xff, 4,
};
static const uint8_t spare_of[16] = { 0, 0, 0, 0, 1, 2, 3, 0, 4, 0, 0, 0, 5, 6, 7, 0 };

/* ---- transfers ------------------------------------------------------------------------ */

static unsigned width_of(unsigned ch)
{
	return ch < CASCADE ? 1 : 2;
}

static uint64_t where(const struct dma *d, unsigned ch)
{
	if (ch < CASCADE)
		return (uint64_t)d->page[ch] << 16 | d->addr[ch];
	return (uint64_t)(d->page[ch] & 0xfe) << 16 | (uint64_t)d->addr[ch] << 1;
}

static bool enabled(const struct dma *d, unsigned ch, unsigned type)
{
	unsigned is = d->mode[ch] & MODE_TYPE;

	return (d->command[ch / 4] & COMMAND_OFF) == 0 && (d->mask[ch / 4] >> ch % 4 & 1) == 0 &&
	       (is == type || (is == MODE_VERIFY && type == MODE_TO_MEMORY));
}

/* One byte or word is over; true: it was the last one. */
static bool step(struct dma *d, unsigned ch)
{
	d->addr[ch] = (uint16_t)(d->addr[ch] + ((d->mode[ch] & MODE_DOWN) != 0 ? -1 : 1));
	if (d->count[ch]-- != 0)
		return false;
	d->done[ch / 4] |= (uint8_t)(1u << ch % 4);
	d->request[ch / 4] &= (uint8_t)~(1u << ch % 4);
	if ((d->mode[ch] & MODE_AUTO) != 0) {
		d->addr[ch] = d->base_addr[ch];
		d->count[ch] = d->base_count[ch];
	} else {
		d->mask[ch / 4] |= (uint8_t)(1u << ch % 4);
	}
	return true;
}

static size_t move(struct dma *d, unsigned ch, uint8_t *buf, size_t n, bool to_memory, bool *ret_tc)
{
	unsigned w = width_of(ch);
	size_t at = 0;

	*ret_tc = false;
	while (at + w <= n && !*ret_tc && enabled(d, ch, to_memory ? MODE_TO_MEMORY :
						  MODE_FROM_MEMORY)) {
		uint64_t gpa = where(d, ch);

		/* Where no memory is, the bus floats and writes are lost. */
		if (!to_memory && gmem_read(d->mem, gpa, buf + at, w) < 0)
			memset(buf + at, 0xff, w);
		if (to_memory && (d->mode[ch] & MODE_TYPE) != MODE_VERIFY)
			(void)!gmem_write(d->mem, gpa, buf + at, w);
		at += w;
		*ret_tc = step(d, ch);
	}
	return at;
}

size_t dma_to_memory(void *self, unsigned ch, const void *buf, size_t n, bool *ret_tc)
{
	BUG_IF(ch >= NR || ch == CASCADE);
	return move(self, ch, (uint8_t *)(uintptr_t)buf, n, true, ret_tc);
}

size_t dma_from_memory(void *self, unsigned ch, void *buf, size_t n, bool *ret_tc)
{
	BUG_IF(ch >= NR || ch == CASCADE);
	return move(self, ch, buf, n, false, ret_tc);
}

bool dma_ready(void *self, unsigned ch, bool to_memory)
{
	BUG_IF(ch >= NR || ch == CASCADE);
	return enabled(self, ch, to_memory ? MODE_TO_MEMORY : MODE_FROM_MEMORY);
}

/* ---- registers ------------------------------------------------------------------------ */

static void clear(struct dma *d, unsigned c)
{
	d->command[c] = d->request[c] = d->done[c] = d->high[c] = d->temp[c] = 0;
	d->mask[c] = 0x0f;
}

static void set_byte(uint16_t *reg, bool high, uint8_t val)
{
	*reg = (uint16_t)(high ? (*reg & 0xff) | val << 8 : (*reg & 0xff00) | val);
}

static void channel_write(struct dma *d, unsigned c, unsigned reg, uint8_t val)
{
	unsigned ch = c * 4 + reg / 2;
	bool high = d->high[c] != 0;

	d->high[c] ^= 1;
	set_byte((reg & 1) != 0 ? &d->base_count[ch] : &d->base_addr[ch], high, val);
	set_byte((reg & 1) != 0 ? &d->count[ch] : &d->addr[ch], high, val);
}

static uint8_t channel_read(struct dma *d, unsigned c, unsigned reg)
{
	unsigned ch = c * 4 + reg / 2;
	uint16_t val = (reg & 1) != 0 ? d->count[ch] : d->addr[ch];
	bool high = d->high[c] != 0;

	d->high[c] ^= 1;
	return (uint8_t)(high ? val >> 8 : val);
}

/* One bit of a register of four, chosen by the low two bits of VAL; bit 2 is its value. */
static void one_bit(uint8_t *reg, uint8_t val)
{
	uint8_t bit = (uint8_t)(1u << (val & 3));

	*reg = (uint8_t)((val & 4) != 0 ? *reg | bit : *reg & ~bit);
}

static void dma_write(struct dma *d, unsigned c, unsigned reg, uint8_t val)
{
	switch (reg) {
	case 8:
		d->command[c] = val;
		break;
	case 9:
		one_bit(&d->request[c], val);
		break;
	case 0xa:
		one_bit(&d->mask[c], val);
		break;
	case 0xb:
		d->mode[c * 4 + (val & 3)] = val & 0xfc;
		break;
	case 0xc:
		d->high[c] = 0;
		break;
	case 0xd:
		clear(d, c);
		break;
	case 0xe:
		d->mask[c] = 0;
		break;
	case 0xf:
		d->mask[c] = val & 0x0f;
		break;
	default:
		channel_write(d, c, reg, val);
	}
}

static uint8_t dma_read(struct dma *d, unsigned c, unsigned reg)
{
	uint8_t val;

	switch (reg) {
	case 8:
		val = (uint8_t)(d->done[c] | d->request[c] << 4);
		d->done[c] = 0;
		return val;
	case 0xd:
		return d->temp[c];
	case 0xf:
		return d->mask[c] | 0xf0;
	default:
		return reg < 8 ? channel_read(d, c, reg) : 0xff;
	}
}

/* ---- ports ---------------------------------------------------------------------------- */

static uint64_t first_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return dma_read(self, 0, off);
}

static void first_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)width;
	dma_write(self, 0, off, (uint8_t)val);
}

/* The second one's registers are two ports apart. */
static uint64_t second_read(void *self, uint32_t off, unsigned width)
{
	(void)width;
	return dma_read(self, 1, off / 2);
}

static void second_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	(void)width;
	dma_write(self, 1, off / 2, (uint8_t)val);
}

static uint64_t page_read(void *self, uint32_t off, unsigned width)
{
	const struct dma *d = self;

	(void)width;
	return page_of[off] == 0xff ? d->spare[spare_of[off]] : d->page[page_of[off]];
}

static void page_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct dma *d = self;

	(void)width;
	if (page_of[off] == 0xff)
		d->spare[spare_of[off]] = (uint8_t)val;
	else
		d->page[page_of[off]] = (uint8_t)val;
}

static const struct {
	uint16_t port, len;
	struct io_ops io;
} windows[] = {
	{ 0x00, 16, { IO_W1, first_read, first_write } },
	{ 0x80, 16, { IO_W1, page_read, page_write } },
	{ 0xc0, 32, { IO_W1, second_read, second_write } },
};

static void dma_reset(void *self)
{
	struct dma *d = self;

	clear(d, 0);
	clear(d, 1);
	memset(d->mode, 0, sizeof(d->mode));
}

static int dma_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct dma *d = self;
	int rc = 0;

	(void)conf;
	d->mem = env->mem;
	for (unsigned i = 0; i < ARRAY_LEN(windows) && rc == 0; i++)
		rc = bus_add(env->pio, env->name, windows[i].port, windows[i].len,
			     &windows[i].io, d, err);
	return rc;
}

static int dma_loaded(void *self, struct err *err)
{
	const struct dma *d = self;

	for (unsigned c = 0; c < 2; c++)
		if (d->mask[c] > 15 || d->request[c] > 15 || d->done[c] > 15 || d->high[c] > 1)
			return err_set(err, -EBADMSG, "dma: registers that cannot be");
	return 0;
}

#define FIELD(tag, member) STATE(tag, struct dma, member)
static const struct state_field dma_state[] = {
	FIELD(1, base_addr), FIELD(2, base_count), FIELD(3, addr), FIELD(4, count),
	FIELD(5, page), FIELD(6, mode), FIELD(7, spare), FIELD(8, command), FIELD(9, mask),
	FIELD(10, request), FIELD(11, done), FIELD(12, high), FIELD(13, temp),
	{ 0 },
};

const struct dev_ops dma_dev = {
	.name = "dma",
	.size = sizeof(struct dma),
	.state = dma_state,
	.init = dma_init,
	.reset = dma_reset,
	.loaded = dma_loaded,
};
