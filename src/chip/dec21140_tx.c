/*
 * dec21140_tx.c - what the guest sends through the 21140
 *
 * Descriptors are taken one after the other, each fetched once; its buffers'
 * bytes are copied, and with the last segment of a frame the copy goes to the
 * switch with the chip lock dropped.  When the switch has no room the frame
 * stays here, its descriptor the chip's, and the walk goes on after resume: so
 * the guest's own queue slows down.
 *
 * A frame that waits when the guest stops the transmitter is given up as one
 * that met nothing but collisions, for drivers do not wait for it long.  One
 * whose next segment is not there when its turn comes is an underflow.  One
 * longer than 2,048 bytes is cut by the jabber timer, which stops the
 * transmitter.
 *
 * Spec     [21140A] 4.2.2 transmit descriptors, 4.2.3 setup frames, 4.3.5 transmit process
 * Lock     chip, but dropped around port_send
 */
#include "chip/dec21140_priv.h"

#include "mem/gmem.h"

#include <string.h>

static bool is_running(const struct dec21140 *d)
{
	return dec_state(d, CSR5_TS_SHIFT) == TS_RUNNING;
}

static void drop_frame(struct dec21140 *d)
{
	d->tx_open = d->tx_ready = d->tx_held = d->tx_long = false;
	d->tx_len = 0;
}

void dec_tx_reset(struct dec21140 *d)
{
	drop_frame(d);
	d->tx_at = d->tx_first = d->tx_last = d->tx_last_at = 0;
	d->resets++;
}

void dec_tx_start(struct dec21140 *d)
{
	dec_set_state(d, CSR5_TS_SHIFT, TS_RUNNING);
	dec_kick(d, 0);
}

static void stopped(struct dec21140 *d)
{
	d->tx_open = false;
	dec_set_state(d, CSR5_TS_SHIFT, TS_STOPPED);
	dec_event(d, CSR5_TPS);
}

/* The frame is gone, in whatever way. */
static void done(struct dec21140 *d, uint32_t status)
{
	uint32_t event = (d->tx_last & TDES1_IC) != 0 ? CSR5_TI : 0u;

	drop_frame(d);
	if (!dec_close(d, d->tx_last_at, status))
		return;
	if ((status & TDES0_TO) != 0)
		event |= CSR5_TJT;
	dec_event(d, event);
	if ((d->csr[6] & CSR6_ST) == 0 || (status & TDES0_TO) != 0)
		stopped(d);
}

void dec_tx_stop(struct dec21140 *d)
{
	if (dec_state(d, CSR5_TS_SHIFT) == TS_STOPPED)
		return;
	if (!d->tx_ready)
		stopped(d);
	else if (d->tx_held && !d->tx_sending)
		done(d, TDES0_ES | TDES0_EC);
	/* else it is the last one */
}

void dec_tx_poll(struct dec21140 *d)
{
	if (dec_state(d, CSR5_TS_SHIFT) == TS_SUSPENDED)
		dec_set_state(d, CSR5_TS_SHIFT, TS_RUNNING);
	if (is_running(d))
		dec_kick(d, 0);
}

/* ---- gathering ----------------------------------------------------------------------- */

/* No descriptor for us.  In the middle of a frame that is an underflow. */
static void suspend(struct dec21140 *d)
{
	uint32_t event = d->tx_open ? CSR5_TU | CSR5_UNF : CSR5_TU;

	d->tx_open = false;
	dec_set_state(d, CSR5_TS_SHIFT, TS_SUSPENDED);
	dec_event(d, event);
}

/* Closes the descriptor at tx_at and goes to the next. */
static bool pass(struct dec21140 *d, const struct dec_desc *g, uint32_t status)
{
	uint32_t at = d->tx_at;

	d->tx_at = dec_next(d, d->csr[4], at, g);
	return dec_close(d, at, status);
}

static bool take_setup(struct dec21140 *d, const struct dec_desc *g)
{
	uint8_t setup[DEC_SETUP_LEN];

	d->tx_open = false;
	if ((g->control & 0x7ff) == DEC_SETUP_LEN) {
		if (gmem_read(d->mem, g->addr[0], setup, sizeof(setup)) < 0) {
			dec_bus_error(d);
			return false;
		}
		dec_setup(d, setup, g->control);
	}
	if (!pass(d, g, TDES0_SETUP))
		return false;
	if ((g->control & TDES1_IC) != 0)
		dec_event(d, CSR5_TI);
	return true;
}

static bool take_bytes(struct dec21140 *d, uint32_t addr, uint32_t n)
{
	uint32_t fits = (uint32_t)min_u64(n, sizeof(d->tx_buf) - d->tx_len);

	if (gmem_read(d->mem, addr, d->tx_buf + d->tx_len, fits) < 0) {
		dec_bus_error(d);
		return false;
	}
	d->tx_len += fits;
	if (fits < n)
		d->tx_long = true;
	return true;
}

static bool take_segment(struct dec21140 *d, const struct dec_desc *g)
{
	bool two = (g->control & DES1_CHAINED) == 0;

	if ((g->control & TDES1_FS) != 0) {
		drop_frame(d);
		d->tx_open = true;
		d->tx_first = g->control;
	}
	if (!d->tx_open)		/* a middle or an end of nothing */
		return pass(d, g, TDES0_ES | TDES0_UF);
	if (!take_bytes(d, g->addr[0], g->control & 0x7ff) ||
	    (two && !take_bytes(d, g->addr[1], g->control >> 11 & 0x7ff)))
		return false;
	if ((g->control & TDES1_LS) == 0)
		return pass(d, g, 0);
	d->tx_last = g->control;
	d->tx_last_at = d->tx_at;
	d->tx_at = dec_next(d, d->csr[4], d->tx_at, g);
	d->tx_open = false;
	d->tx_ready = true;
	return true;
}

static bool gather(struct dec21140 *d)
{
	struct dec_desc g;

	if (!is_running(d) || !dec_can_master(d) || !dec_fetch(d, d->tx_at, &g))
		return false;
	if ((g.status & DES_OWN) == 0) {
		suspend(d);
		return false;
	}
	return (g.control & TDES1_SET) != 0 ? take_setup(d, &g) : take_segment(d, &g);
}

/* ---- sending ------------------------------------------------------------------------- */

/* As it is on the wire, but for the FCS, which is the driver's own with TDES1 AC. */
static uint32_t wire_length(struct dec21140 *d)
{
	uint32_t len = d->tx_len;

	if ((d->tx_first & TDES1_AC) != 0)
		return len >= DEC_FCS_LEN ? len - DEC_FCS_LEN : 0;
	if ((d->tx_first & TDES1_DPD) == 0 && len < DEC_MIN_FRAME) {
		memset(d->tx_buf + len, 0, DEC_MIN_FRAME - len);
		len = DEC_MIN_FRAME;
	}
	return len;
}

static bool send(struct dec21140 *d, uint32_t len)
{
	const struct iovec iov = { d->tx_buf, len };
	const struct net_frame f = { .iov = &iov, .nr_iov = 1, .len = len };
	uint32_t resets = d->resets;
	unsigned sent;

	if (d->tx_held)
		return false;
	d->tx_held = d->tx_sending = true;	/* held until it went, or resume came */
	pthread_mutex_unlock(d->lock);
	sent = port_send(d->port, &f, 1);
	pthread_mutex_lock(d->lock);
	d->tx_sending = false;
	if (resets != d->resets)		/* of that frame nobody knows any more */
		return true;
	if (sent != 0)
		done(d, 0);
	else if ((d->csr[6] & CSR6_ST) == 0)
		done(d, TDES0_ES | TDES0_EC);
	return true;
}

bool dec_tx_work(struct dec21140 *d)
{
	uint32_t len;

	if (!d->tx_ready)
		return gather(d);
	if (!dec_can_master(d))
		return false;
	len = wire_length(d);
	if (d->tx_long) {
		done(d, TDES0_ES | TDES0_TO);
	} else if (len < ETH_HLEN) {		/* noise on the wire */
		done(d, 0);
	} else if (CSR6_OM(d->csr[6]) != 0) {
		dec_rx_loop(d, d->tx_buf, len);
		done(d, 0);
	} else if (d->port == NULL) {
		done(d, TDES0_ES | TDES0_NC);
	} else {
		return send(d, len);
	}
	return true;
}
