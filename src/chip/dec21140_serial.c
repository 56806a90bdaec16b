/*
 * dec21140_serial.c - the serial ROM and the PHY on the pins of CSR9
 *
 * Drivers learn the adapter's address and its media from a 93C46 of 64 words,
 * bit by bit, and talk bit by bit to a PHY at address 1, which always finds a
 * partner that speaks 100BASE-TX with full duplex.  The ROM says just that:
 * one medium, behind MII, all four modes of 10 and 100 Mbit/s.
 *
 * What the ROM and PHY of Hyper-V's adapter say beyond address and subsystem is
 * not known to us; these are those of a common card with the same chip.
 *
 * Spec     [21X4 SROM] format 3.03: 21140 extended block type 1; 93C46 data sheet;
 *          IEEE 802.3 clause 22, with a DP83840A's identity
 * Missing  a PHY that loses its link when the guest powers it down, isolates it or
 *          asks it for loopback
 * Lock     chip
 */
#include "chip/dec21140_priv.h"

#include <string.h>

/* ---- what the ROM holds -------------------------------------------------------------- */

#define LEAF 30u

/* Over the first 17 bytes, high byte of each word first. */
static uint8_t id_block_crc(const uint8_t *p)
{
	unsigned crc = 0xff;

	for (unsigned i = 0; i < 17; i++)
		for (unsigned bit = 8; bit-- > 0;) {
			unsigned in = (p[i ^ 1] >> bit ^ crc >> 7) & 1;

			crc = (crc << 1 & 0xff) ^ (in ? 7 : 0);
		}
	return (uint8_t)crc;
}

void dec_srom_fill(struct dec21140 *d, const uint8_t mac[6])
{
	static const uint8_t leaf[] = {
		0x00, 0x08,		/* connection: found by itself */
		0x00,			/* general purpose pins: all inputs */
		1,			/* one block */
		0x80 | 12, 1,		/* twelve bytes more: an MII PHY */
		0,			/* the first one */
		0, 0,			/* no sequence of pins to set it up, none to reset it */
		0x00, 0x78, 0xe0, 0x01,	/* what it can, as in its registers 1 and 4 */
		0x00, 0x50, 0x00, 0x18,	/* full duplex; with the threshold of 100 Mbit/s */
	};
	uint8_t b[DEC_SROM_WORDS * 2] = { 0x00, 0x0a, 0x14, 0x21 };	/* subsystem */

	b[16] = id_block_crc(b);
	b[18] = 3;			/* format */
	b[19] = 1;			/* one controller, */
	memcpy(b + 20, mac, 6);
	b[27] = LEAF;			/* number 0, described there */
	memcpy(b + LEAF, leaf, sizeof(leaf));
	st16(b + 126, (uint16_t)~dec_crc(d, b, 126));
	for (unsigned i = 0; i < DEC_SROM_WORDS; i++)
		d->srom.word[i] = ld16(b + 2 * i);
}

/* ---- the 93C46 ----------------------------------------------------------------------- */

enum { SROM_IDLE, SROM_COMMAND, SROM_READING, SROM_WRITING, SROM_DONE };
enum { OP_OTHER, OP_WRITE, OP_READ, OP_ERASE };
enum { OTHER_DISABLE, OTHER_WRITE_ALL, OTHER_ERASE_ALL, OTHER_ENABLE };

/* Of all words, or of the one that the command names. */
static void srom_store(struct dec_srom *s, bool all, uint16_t val)
{
	if (!s->writable)
		return;
	for (unsigned i = 0; i < DEC_SROM_WORDS; i++)
		if (all || i == (s->command & 63u))
			s->word[i] = val;
}

static void srom_begin(struct dec_srom *s)
{
	unsigned op = s->command >> 6, other = s->command >> 4 & 3;

	s->count = s->shift = 0;
	s->phase = SROM_DONE;
	if (op == OP_READ) {
		s->phase = SROM_READING;
		s->out = false;		/* a zero before the first bit */
	} else if (op == OP_WRITE || (op == OP_OTHER && other == OTHER_WRITE_ALL)) {
		s->phase = SROM_WRITING;
	} else if (op == OP_ERASE || other == OTHER_ERASE_ALL) {
		srom_store(s, op == OP_OTHER, 0xffff);
	} else {
		s->writable = other == OTHER_ENABLE;
	}
}

static void srom_clock(struct dec_srom *s, bool di)
{
	switch (s->phase) {
	case SROM_IDLE:
		if (di)
			s->phase = SROM_COMMAND;
		s->count = s->shift = 0;
		break;
	case SROM_COMMAND:
		s->shift = (uint16_t)(s->shift << 1 | di);
		if (++s->count == 8) {
			s->command = (uint8_t)s->shift;
			srom_begin(s);
		}
		break;
	case SROM_READING:		/* word after word, if the guest goes on */
		s->out = (s->word[s->command & 63] >> (15 - s->count) & 1) != 0;
		if (++s->count == 16) {
			s->count = 0;
			s->command = (uint8_t)((s->command & 0xc0) | ((s->command + 1) & 63));
		}
		break;
	case SROM_WRITING:
		s->shift = (uint16_t)(s->shift << 1 | di);
		if (++s->count == 16) {
			srom_store(s, s->command >> 6 == OP_OTHER, s->shift);
			s->phase = SROM_DONE;
			s->count = 0;
		}
		break;
	}
}

void dec_srom_pins(struct dec_srom *s, bool cs, bool sk, bool di)
{
	if (!cs) {
		s->phase = SROM_IDLE;
		s->out = true;		/* nobody drives it; and "ready" after a write */
	} else if (sk && !s->sk) {
		srom_clock(s, di);
	}
	s->cs = cs;
	s->sk = sk;
}

/* ---- the PHY ------------------------------------------------------------------------- */

#define PHY_ADDRESS 1u
enum { BMCR, BMSR, PHYID1, PHYID2, ANAR, ANLPAR, ANER };
enum { BMCR_RESET = 0x8000, BMCR_RESTART = 0x0200, BMSR_LINK = 0x0004, BMSR_ALWAYS = 0x7809,
       BMSR_NEGOTIATED = 0x0020 };
enum { MII_IDLE, MII_COMMAND, MII_READING, MII_WRITING };

static void phy_reset(struct dec_mii *m)
{
	memset(m->reg, 0, sizeof(m->reg));
	m->reg[BMCR] = 0x3100;		/* negotiates; found 100 Mbit/s, full duplex */
	m->reg[PHYID1] = 0x2000;
	m->reg[PHYID2] = 0x5c01;
	m->reg[ANAR] = 0x01e1;
}

void dec_mii_reset(struct dec_mii *m)
{
	*m = (struct dec_mii){ .shift = UINT16_MAX, .out = true, .link = m->link };
	phy_reset(m);
}

void dec_mii_link(struct dec_mii *m, bool up)
{
	if (m->link && !up)
		m->link_lost = true;
	m->link = up;
}

static uint16_t phy_read(struct dec_mii *m, unsigned reg)
{
	bool link = m->link && !m->link_lost;

	switch (reg) {
	case BMSR:			/* a lost link is told once, however short it was */
		m->link_lost = false;
		return (uint16_t)(BMSR_ALWAYS | (link ? BMSR_LINK | BMSR_NEGOTIATED : 0));
	case ANLPAR:
		return m->link ? 0x41e1 : 0;
	case ANER:
		return m->link ? 1 : 0;
	default:
		return m->reg[reg];
	}
}

static void phy_write(struct dec_mii *m, unsigned reg, uint16_t val)
{
	if (reg == BMCR && (val & BMCR_RESET) != 0)
		phy_reset(m);
	else if (reg == BMCR)
		m->reg[BMCR] = val & (uint16_t)~BMCR_RESTART;
	else if (reg == ANAR || reg >= 16)
		m->reg[reg] = val;
}

/* Opcode, PHY, register have come. */
static void mii_begin(struct dec_mii *m)
{
	unsigned op = m->shift >> 10 & 3, phy = m->shift >> 5 & 31;

	m->command_reg = m->shift & 31;
	m->mine = phy == PHY_ADDRESS;
	m->count = 0;
	m->phase = op == 2 ? MII_READING : op == 1 ? MII_WRITING : MII_IDLE;
	m->shift = UINT16_MAX;
	if (op == 2 && m->mine)
		m->shift = phy_read(m, m->command_reg);
}

static void mii_idle(struct dec_mii *m)
{
	m->phase = MII_IDLE;
	m->count = 0;
	m->shift = UINT16_MAX;
}

/* A rising edge of MDC; what the PHY says changes behind it. */
static void mii_clock(struct dec_mii *m, bool in)
{
	switch (m->phase) {
	case MII_IDLE:
		m->shift = (uint16_t)(m->shift << 1 | in);
		m->out = true;
		if ((m->shift & 3) == 1) {
			m->phase = MII_COMMAND;
			m->count = 0;
		}
		break;
	case MII_COMMAND:
		m->shift = (uint16_t)(m->shift << 1 | in);
		if (++m->count == 12)
			mii_begin(m);
		break;
	case MII_READING:		/* a zero, sixteen bits, nothing */
		m->count++;
		m->out = !m->mine || m->count > 17;
		if (m->mine && m->count >= 2 && m->count <= 17)
			m->out = (m->shift >> (17 - m->count) & 1) != 0;
		if (m->count == 18)
			mii_idle(m);
		break;
	case MII_WRITING:		/* two bits of turn-around, sixteen */
		m->shift = (uint16_t)(m->shift << 1 | in);
		if (++m->count < 18)
			break;
		if (m->mine)
			phy_write(m, m->command_reg, m->shift);
		mii_idle(m);
		break;
	}
}

void dec_mii_pins(struct dec_mii *m, bool mdc, bool mdo, bool reading)
{
	if (mdc && !m->mdc)
		mii_clock(m, reading || mdo);
	m->mdc = mdc;
}

bool dec_serial_is_sane(const struct dec21140 *d)
{
	return d->srom.phase <= SROM_DONE && d->srom.count < 16 && d->mii.phase <= MII_WRITING &&
	       d->mii.count < 18 && d->mii.command_reg < 32 &&
	       (d->mii.phase != MII_COMMAND || d->mii.count < 12) &&
	       (d->srom.phase != SROM_COMMAND || d->srom.count < 8);
}
