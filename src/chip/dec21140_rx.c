/*
 * dec21140_rx.c - what reaches the guest through the 21140
 *
 * Frames come on whatever thread the switch has and are written straight into
 * the guest's buffers from there, padded and with a right FCS, as from a wire.
 * Which ones is a matter of the last setup frame: sixteen addresses, all but
 * sixteen, or a hash table of 512 bits.
 *
 * Hardware loses a frame for which there is no descriptor.  We leave it with
 * the switch for a while: drivers give buffers back without a word and count
 * on the next frame to make the chip look, so the chip looks by itself, every
 * quarter of a millisecond.  A guest that gives none for half a second is one
 * that does not listen: what comes then is taken and counted as missed (CSR8),
 * and nobody waits for it any more.
 *
 * Spec     [21140A] 4.2.1 receive descriptors, 4.2.3 setup frames, 4.3.4 receive process
 * Lock     chip
 */
#include "chip/dec21140_priv.h"

#include "mem/gmem.h"

#include <string.h>

#define LOOK_NS UINT64_C(250000)
#define PATIENCE_NS UINT64_C(500000000)
#define MAX_DESCS 32u			/* of a frame */
#define LONG_FRAME 1518u

/* ---- which ones ---------------------------------------------------------------------- */

void dec_setup(struct dec21140 *d, const uint8_t setup[DEC_SETUP_LEN], uint32_t tdes1)
{
	uint32_t mode = (tdes1 & TDES1_FT0) != 0 ? CSR6_HP : 0u;

	if ((tdes1 & TDES1_FT1) != 0)
		mode |= mode != 0 ? CSR6_HO : CSR6_IF;
	d->csr[6] = (d->csr[6] & ~(uint32_t)CSR6_FILTER) | mode;
	/* Two bytes of every four. */
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 6; k++)
			d->perfect[i][k] = setup[i * 12 + k / 2 * 4 + k % 2];
	for (unsigned i = 0; i < 32; i++)
		d->hash[i] = ld16(setup + i * 4);
	/* Beside a hash table there is one address, at its end. */
	if (mode == CSR6_HP)
		for (unsigned k = 0; k < 6; k++)
			d->perfect[0][k] = setup[156 + k / 2 * 4 + k % 2];
}

static bool is_hashed(const struct dec21140 *d, const uint8_t dst[6])
{
	uint32_t bit = dec_crc(d, dst, 6) & 0x1ff;

	return (d->hash[bit / 16] >> bit % 16 & 1) != 0;
}

static bool is_listed(const struct dec21140 *d, const uint8_t dst[6])
{
	for (unsigned i = 0; i < 16; i++)
		if (memcmp(d->perfect[i], dst, 6) == 0)
			return true;
	return false;
}

static bool passes(const struct dec21140 *d, const uint8_t dst[6])
{
	uint32_t mode = d->csr[6];

	if ((mode & CSR6_PR) != 0 || ((mode & CSR6_PM) != 0 && (dst[0] & 1) != 0))
		return true;
	if ((mode & CSR6_HO) != 0)
		return is_hashed(d, dst);
	if ((mode & CSR6_HP) != 0)
		return (dst[0] & 1) != 0 ? is_hashed(d, dst) : memcmp(d->perfect[0], dst, 6) == 0;
	return is_listed(d, dst) != ((mode & CSR6_IF) != 0);
}

/* ---- the process --------------------------------------------------------------------- */

static bool is_running(const struct dec21140 *d)
{
	return dec_state(d, CSR5_RS_SHIFT) != RS_STOPPED && dec_can_master(d);
}

/* Who waits for room is told: what comes is not for us any more. */
static void tell_room(struct dec21140 *d)
{
	d->rx_dry_ns = TIMER_NEVER;
	if (d->rx_refused)
		dec_kick(d, 0);
}

void dec_rx_reset(struct dec21140 *d)
{
	d->rx_at = 0;
	tell_room(d);
}

void dec_rx_start(struct dec21140 *d)
{
	dec_set_state(d, CSR5_RS_SHIFT, RS_WAITING);
}

void dec_rx_stop(struct dec21140 *d)
{
	dec_set_state(d, CSR5_RS_SHIFT, RS_STOPPED);
	tell_room(d);
	dec_event(d, CSR5_RPS);
}

static bool has_descriptor(struct dec21140 *d)
{
	struct dec_desc g;

	return dec_fetch(d, d->rx_at, &g) && (g.status & DES_OWN) != 0;
}

void dec_rx_poll(struct dec21140 *d)
{
	if (dec_state(d, CSR5_RS_SHIFT) == RS_SUSPENDED && dec_can_master(d) && has_descriptor(d))
		dec_set_state(d, CSR5_RS_SHIFT, RS_WAITING);
	if (d->rx_refused)
		dec_kick(d, 0);
}

static void suspend(struct dec21140 *d)
{
	if (dec_state(d, CSR5_RS_SHIFT) == RS_SUSPENDED)
		return;			/* said already */
	dec_set_state(d, CSR5_RS_SHIFT, RS_SUSPENDED);
	dec_event(d, CSR5_RU);
}

bool dec_rx_room(struct dec21140 *d)
{
	uint64_t now = clock_now_ns(d->clock);

	if (!d->rx_refused)
		return false;
	if (is_running(d) && now - d->rx_dry_ns < PATIENCE_NS && !has_descriptor(d)) {
		dec_kick(d, now + LOOK_NS);
		return false;
	}
	d->rx_refused = false;
	return true;
}

/* ---- a frame into memory ------------------------------------------------------------- */

struct place {				/* descriptors for a frame */
	struct dec_desc g[MAX_DESCS];
	uint32_t at[MAX_DESCS];
	unsigned nr;
	uint32_t room;
};

static uint32_t room_of(const struct dec_desc *g)
{
	uint32_t two = (g->control & DES1_CHAINED) != 0 ? 0 : g->control >> 11 & 0x7ff;

	return (g->control & 0x7ff) + two;
}

/* As many descriptors as LEN bytes need, or as there are.  -EAGAIN: not yet; -EFAULT: bus error. */
static int find_place(struct dec21140 *d, uint32_t len, struct place *p)
{
	uint32_t at = d->rx_at;

	p->nr = 0;
	p->room = 0;
	while (p->room < len && p->nr < MAX_DESCS && (p->nr == 0 || at != p->at[0])) {
		struct dec_desc *g = &p->g[p->nr];

		if (!dec_fetch(d, at, g))
			return -EFAULT;
		if ((g->status & DES_OWN) == 0) {
			suspend(d);
			return -EAGAIN;
		}
		p->at[p->nr++] = at;
		p->room += room_of(g);
		at = dec_next(d, d->csr[3], at, g);
	}
	d->rx_at = at;
	return 0;
}

static bool put_bytes(struct dec21140 *d, uint32_t addr, uint32_t room, const uint8_t **p, uint32_t *len)
{
	uint32_t n = (uint32_t)min_u64(room, *len);

	if (gmem_write(d->mem, addr & ~3u, *p, n) < 0) {
		dec_bus_error(d);
		return false;
	}
	*p += n;
	*len -= n;
	return true;
}

/* LEN bytes with FCS.  -EAGAIN: there is no place for them now. */
static int put_frame(struct dec21140 *d, const uint8_t *frame, uint32_t len, uint32_t status)
{
	uint32_t left = len;
	struct place p;
	int rc = find_place(d, len, &p);

	if (rc < 0)
		return rc == -EAGAIN ? rc : 0;
	d->rx_dry_ns = TIMER_NEVER;
	dec_set_state(d, CSR5_RS_SHIFT, RS_WAITING);
	status |= len << 16 | RDES0_LS;
	if (p.room < len)		/* a ring smaller than the frame */
		status |= RDES0_ES | RDES0_DE;
	for (unsigned i = 0; i < p.nr; i++) {
		const struct dec_desc *g = &p.g[i];
		uint32_t own = (i == 0 ? RDES0_FS : 0u) | (i == p.nr - 1 ? status : 0);

		if (!put_bytes(d, g->addr[0], g->control & 0x7ff, &frame, &left) ||
		    ((g->control & DES1_CHAINED) == 0 &&
		     !put_bytes(d, g->addr[1], g->control >> 11 & 0x7ff, &frame, &left)) ||
		    !dec_close(d, p.at[i], own))
			return 0;
	}
	dec_event(d, CSR5_RI);
	return 0;
}

/* Pads FRAME, which has room for that, and adds the FCS. */
static uint32_t finish(const struct dec21140 *d, uint8_t *frame, uint32_t len)
{
	if (len < DEC_MIN_FRAME) {
		memset(frame + len, 0, DEC_MIN_FRAME - len);
		len = DEC_MIN_FRAME;
	}
	st32(frame + len, ~dec_crc(d, frame, len));
	return len + DEC_FCS_LEN;
}

/* LEN bytes of a whole frame.  -EAGAIN as above. */
static int take_frame(struct dec21140 *d, const uint8_t *frame, uint32_t len)
{
	uint32_t status = CSR6_OM(d->csr[6]) << 12;

	if (!passes(d, frame)) {
		if ((d->csr[6] & CSR6_RA) == 0)
			return 0;
		status |= RDES0_FF;
	}
	if ((frame[0] & 1) != 0)
		status |= RDES0_MF;
	if ((frame[12] << 8 | frame[13]) > 1500)
		status |= RDES0_FT;
	if (len > LONG_FRAME)
		status |= RDES0_TL;
	return put_frame(d, frame, len, status);
}

static void count_missed(struct dec21140 *d)
{
	if ((d->csr[8] & CSR8_MISSED) == CSR8_MISSED)
		d->csr[8] = (d->csr[8] & ~CSR8_MISSED) | CSR8_MFO;
	else
		d->csr[8]++;
}

void dec_rx_loop(struct dec21140 *d, const uint8_t *frame, uint32_t len)
{
	uint8_t buf[DEC_FRAME_MAX + DEC_FCS_LEN];

	if (!is_running(d))
		return;
	memcpy(buf, frame, len);
	len = finish(d, buf, len);
	if (take_frame(d, buf, len) == -EAGAIN)
		count_missed(d);
}

/* ---- the switch's side --------------------------------------------------------------- */

/* The frame waits with the switch, but not for ever. */
static int refuse(struct dec21140 *d)
{
	uint64_t now = clock_now_ns(d->clock);

	if (d->rx_dry_ns == TIMER_NEVER)
		d->rx_dry_ns = now;
	if (now - d->rx_dry_ns >= PATIENCE_NS) {
		count_missed(d);
		return 0;
	}
	d->rx_refused = true;
	dec_kick(d, now + LOOK_NS);
	return -EAGAIN;
}

static int deliver(void *dev, const struct net_frame *f)
{
	uint8_t buf[DEC_FRAME_MAX + DEC_FCS_LEN];
	struct dec21140 *d = dev;
	uint32_t len = f->len;
	int rc = 0;

	if (len < ETH_HLEN || len > DEC_FRAME_MAX || !frame_copy(f, 0, buf, len))
		return 0;
	len = finish(d, buf, len);
	pthread_mutex_lock(d->lock);
	if (is_running(d) && CSR6_OM(d->csr[6]) == 0) {
		rc = take_frame(d, buf, len);
		if (rc == -EAGAIN)
			rc = refuse(d);
	}
	pthread_mutex_unlock(d->lock);
	return rc;
}

static void resume(void *dev)
{
	struct dec21140 *d = dev;

	pthread_mutex_lock(d->lock);
	d->tx_held = false;
	dec_kick(d, 0);
	pthread_mutex_unlock(d->lock);
}

static void link_changed(void *dev, bool up, uint64_t bps)
{
	struct dec21140 *d = dev;

	(void)bps;
	pthread_mutex_lock(d->lock);
	dec_mii_link(&d->mii, up);
	pthread_mutex_unlock(d->lock);
}

const struct port_client dec_port_client = {
	.deliver = deliver,
	.resume = resume,
	.link = link_changed,
};
