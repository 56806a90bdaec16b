/*
 * dec21140_priv.h - the 21140's registers and its own struct
 *
 * Names of bits are the manual's: CSRn, TDESn, RDESn and their fields.
 */
#ifndef CHIP_DEC21140_PRIV_H
#define CHIP_DEC21140_PRIV_H

#include "chip/dec21140.h"

#include "base/le.h"
#include "dev/pci.h"
#include "net/port.h"

enum { CSR0_SWR = 1 << 0, CSR0_DBO = 1 << 20 };
#define CSR0_DSL(csr0) ((csr0) >> 2 & 0x1fu)

enum {
	CSR5_TI = 1 << 0, CSR5_TPS = 1 << 1, CSR5_TU = 1 << 2, CSR5_TJT = 1 << 3, CSR5_UNF = 1 << 5,
	CSR5_RI = 1 << 6, CSR5_RU = 1 << 7, CSR5_RPS = 1 << 8, CSR5_RWT = 1 << 9, CSR5_ETI = 1 << 10,
	CSR5_GTE = 1 << 11, CSR5_FBE = 1 << 13, CSR5_ERI = 1 << 14, CSR5_AIS = 1 << 15,
	CSR5_NIS = 1 << 16,
};
#define CSR5_NORMAL (CSR5_TI | CSR5_TU | CSR5_RI | CSR5_GTE | CSR5_ERI)
#define CSR5_ABNORMAL (CSR5_TPS | CSR5_TJT | CSR5_UNF | CSR5_RU | CSR5_RPS | CSR5_RWT | CSR5_ETI | CSR5_FBE)
#define CSR5_RS_SHIFT 17u
#define CSR5_TS_SHIFT 20u
#define CSR5_EB_SHIFT 23u
enum { RS_STOPPED = 0, RS_WAITING = 3, RS_SUSPENDED = 4 };
enum { TS_STOPPED = 0, TS_RUNNING = 1, TS_SENDING = 2, TS_SUSPENDED = 6 };
#define EB_MASTER_ABORT 1u

enum {
	CSR6_HP = 1 << 0, CSR6_SR = 1 << 1, CSR6_HO = 1 << 2, CSR6_IF = 1 << 4, CSR6_PR = 1 << 6,
	CSR6_PM = 1 << 7, CSR6_ST = 1 << 13, CSR6_PS = 1 << 18, CSR6_TTM = 1 << 22, CSR6_MBO = 1 << 25,
	CSR6_RA = 1 << 30,
};
#define CSR6_OM(csr6) ((csr6) >> 10 & 3u)	/* 0: no loopback */
#define CSR6_FILTER (CSR6_HP | CSR6_HO | CSR6_IF)	/* read-only: of the last setup frame */

enum { CSR8_MFO = 1 << 16 };
#define CSR8_MISSED 0xffffu

enum {
	CSR9_CS = 1 << 0, CSR9_SK = 1 << 1, CSR9_DI = 1 << 2, CSR9_DO = 1 << 3, CSR9_SR = 1 << 11,
	CSR9_MDC = 1 << 16, CSR9_MDO = 1 << 17, CSR9_MII = 1 << 18, CSR9_MDI = 1 << 19,
};

enum { CSR11_CON = 1 << 16, CSR12_GPC = 1 << 8 };

#define DES_OWN (UINT32_C(1) << 31)
enum { DES1_CHAINED = 1 << 24, DES1_END_OF_RING = 1 << 25 };	/* the same in both lists */

enum { TDES0_UF = 1 << 1, TDES0_EC = 1 << 8, TDES0_NC = 1 << 10, TDES0_TO = 1 << 14,
       TDES0_ES = 1 << 15 };
enum { TDES1_FT0 = 1 << 22, TDES1_DPD = 1 << 23, TDES1_AC = 1 << 26, TDES1_SET = 1 << 27,
       TDES1_FT1 = 1 << 28, TDES1_FS = 1 << 29, TDES1_LS = 1 << 30 };
#define TDES1_IC (UINT32_C(1) << 31)
#define TDES0_SETUP 0x7fffffffu		/* what a setup frame's says when it is done */

enum { RDES0_FT = 1 << 5, RDES0_TL = 1 << 7, RDES0_LS = 1 << 8, RDES0_FS = 1 << 9,
       RDES0_MF = 1 << 10, RDES0_DE = 1 << 14, RDES0_ES = 1 << 15, RDES0_FF = 1 << 30 };

#define DEC_SETUP_LEN 192u
#define DEC_FRAME_MAX 2048u		/* a longer one is cut by the watchdogs */
#define DEC_FCS_LEN 4u
#define DEC_MIN_FRAME 60u		/* without FCS */
#define DEC_SROM_WORDS 64u

struct dec_desc {			/* a copy of the guest's: fetched once */
	uint32_t status, control, addr[2];
};

struct dec_srom {			/* 93C46 */
	uint16_t word[DEC_SROM_WORDS];
	uint16_t shift, count;
	uint8_t phase, command;
	bool cs, sk, out, writable;
};

struct dec_mii {			/* the wire to the PHY, and the PHY */
	uint16_t reg[32];
	uint16_t shift, count;
	uint8_t phase, command_reg;
	bool mdc, out, mine;
	bool link, link_lost;		/* link_lost: since the guest looked */
};

struct dec21140 {
	struct pci_func pci;
	struct dec21140_conf conf;	/* [const] */
	struct gmem *mem;		/* [const] borrowed, so the next ones */
	struct clock *clock;
	pthread_mutex_t *lock;
	struct port *port;		/* [const] while anything runs; NULL: no cable */
	struct timer *kick, *tick;	/* [owned] work to do; CSR11 */
	uint64_t kick_at;		/* for when kick is armed */
	uint32_t crc_table[256];	/* [const] */

	uint32_t csr[16];
	bool dead;			/* a bus error: no access until a reset */
	uint8_t perfect[16][6];
	uint16_t hash[32];
	uint64_t timer_end;		/* virtual time; 0: CSR11 stands */

	uint32_t tx_at;			/* the next descriptor */
	uint32_t tx_len;
	uint32_t tx_first;		/* TDES1 of the frame's first and last, and where that is */
	uint32_t tx_last, tx_last_at;
	bool tx_open;			/* a first segment came, and no last yet */
	bool tx_long;
	bool tx_ready;			/* the frame is whole */
	bool tx_held;			/* and the switch has no room */
	bool tx_sending;		/* the lock is dropped around port_send */
	uint32_t resets;
	uint8_t tx_buf[DEC_FRAME_MAX];

	uint32_t rx_at;
	bool rx_refused;		/* the switch waits for port_room */
	uint64_t rx_dry_ns;		/* since when frames find no descriptor; TIMER_NEVER: they do */

	struct dec_srom srom;
	struct dec_mii mii;
};

/* dec21140.c; the chip lock is held */
void dec_event(struct dec21140 *d, uint32_t csr5);	/* these bits happened */
void dec_kick(struct dec21140 *d, uint64_t at_ns);	/* there is work, at the latest then */
bool dec_can_master(const struct dec21140 *d);
uint32_t dec_crc(const struct dec21140 *d, const uint8_t *p, size_t n);
/* False: a bus error, which stops the chip. */
MUST_CHECK bool dec_fetch(struct dec21140 *d, uint32_t at, struct dec_desc *ret_g);
MUST_CHECK bool dec_close(struct dec21140 *d, uint32_t at, uint32_t status);
void dec_bus_error(struct dec21140 *d);
uint32_t dec_next(const struct dec21140 *d, uint32_t base, uint32_t at, const struct dec_desc *g);

static inline uint32_t dec_state(const struct dec21140 *d, unsigned shift)
{
	return d->csr[5] >> shift & 7u;
}

static inline void dec_set_state(struct dec21140 *d, unsigned shift, uint32_t state)
{
	d->csr[5] = (d->csr[5] & ~(7u << shift)) | state << shift;
}

/* dec21140_tx.c */
void dec_tx_reset(struct dec21140 *d);
void dec_tx_start(struct dec21140 *d);
void dec_tx_stop(struct dec21140 *d);
void dec_tx_poll(struct dec21140 *d);			/* CSR1 */
/* A piece of work, with the lock dropped while the switch has the frame.  False: none is left. */
MUST_CHECK bool dec_tx_work(struct dec21140 *d);

/* dec21140_rx.c */
extern const struct port_client dec_port_client;
void dec_rx_reset(struct dec21140 *d);
void dec_rx_start(struct dec21140 *d);
void dec_rx_stop(struct dec21140 *d);
void dec_rx_poll(struct dec21140 *d);			/* CSR2 */
void dec_rx_loop(struct dec21140 *d, const uint8_t *frame, uint32_t len);
/* Whether it is time to say port_room. */
MUST_CHECK bool dec_rx_room(struct dec21140 *d);
void dec_setup(struct dec21140 *d, const uint8_t setup[DEC_SETUP_LEN], uint32_t tdes1);

/* dec21140_serial.c */
void dec_srom_fill(struct dec21140 *d, const uint8_t mac[6]);
void dec_srom_pins(struct dec_srom *s, bool cs, bool sk, bool di);
void dec_mii_reset(struct dec_mii *m);
void dec_mii_pins(struct dec_mii *m, bool mdc, bool mdo, bool reading);
void dec_mii_link(struct dec_mii *m, bool up);
MUST_CHECK bool dec_serial_is_sane(const struct dec21140 *d);

#endif
