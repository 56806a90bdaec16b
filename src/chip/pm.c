/*
 * pm.c - the power-management block: PM1, PM timer, GPE0, reset register
 *
 * Sixteen-bit registers that guests touch by byte and by word: status bits
 * are cleared by writing ones, so every access is done byte by byte, except
 * that the timer is read whole.  The system control interrupt is a level: it
 * stands while any enabled status bit is set.
 *
 * The ACPI 5 sleep registers of our FADT (0x401 status, 0x405 control) are
 * the high bytes of PM1 status and control; bits and meaning coincide.
 *
 * In a Generation 1 machine firmware says where it is, by function 3 of the
 * PIIX4, and the guest switches ACPI on by a byte to port B2.
 *
 * Spec     [ACPI 6.5] 4.8.3 PM1, 4.8.4 GPE, 4.8.3.6 reset;
 *          reference/machines.md 2.4
 * Missing  C2 and C3 (P_LVL read 0; the FADT calls them unsupported), GPI, GPO
 * Lock     chip
 */
#include "chip/chips.h"

#define WINDOW_LEN 0x37u
#define PM_TIMER_HZ UINT64_C(3579545)

enum { PM1_STS = 0x00, PM1_EN = 0x02, PM1_CNT = 0x04, PM_TMR = 0x08, GPE0_STS = 0x0c,
       GPE0_EN = 0x0e, PM_RESET = 0x33 };

#define STS_TMR 0x0001u
#define STS_PWRBTN 0x0100u
#define STS_MASK 0x8731u	/* TMR, BM, GBL, PWRBTN, SLPBTN, RTC, WAK */
#define EN_MASK 0x0521u
#define CNT_SCI_EN 0x0001u
#define CNT_KEPT 0x1c02u	/* SLP_TYP, BM_RLD */
#define CNT_SLP_EN 0x2000u
#define SLP_TYP(cnt) ((cnt) >> 10 & 7)
#define GPE_MASK 0x0f01u

struct pm {
	struct pm_conf conf;		/* [const] */
	struct clock *clock;		/* [const] */
	pthread_mutex_t *lock;		/* [const] */
	struct bus_window *window;	/* [const] without a fixed base */
	struct timer *timer;		/* [owned] the next change of the timer's top bit */
	uint64_t zero_ns;		/* virtual time at which the PM timer was 0 */
	uint64_t flips;			/* changes of its top bit that status knows of */
	uint16_t sts, en, cnt, gpe_sts, gpe_en;
};

static uint64_t ticks_now(const struct pm *p)
{
	return mul_div(clock_now_ns(p->clock) - p->zero_ns, PM_TIMER_HZ, NS_PER_SEC);
}

static void sci_update(struct pm *p)
{
	bool on = (p->sts & p->en) != 0 || (p->gpe_sts & p->gpe_en) != 0;

	irq_set(&p->conf.sci, on && (p->cnt & CNT_SCI_EN) != 0);
}

/* TMR_STS: set whenever bit 31 of the timer changes, every ten minutes. */
static void carry_update(struct pm *p)
{
	uint64_t flips = ticks_now(p) >> 31;

	if (flips == p->flips)
		return;
	p->flips = flips;
	p->sts |= STS_TMR;
	sci_update(p);
}

/* Somebody wants the next carry: wake for it. */
static void carry_arm(struct pm *p)
{
	uint64_t at = TIMER_NEVER;

	if ((p->en & STS_TMR) != 0)
		at = p->zero_ns + mul_div((p->flips + 1) << 31, NS_PER_SEC, PM_TIMER_HZ) + 1;
	timer_arm(p->timer, at);
}

static void carry_fire(void *arg)
{
	struct pm *p = arg;

	pthread_mutex_lock(p->lock);
	carry_update(p);
	carry_arm(p);
	pthread_mutex_unlock(p->lock);
}

static uint8_t byte_read(struct pm *p, uint32_t off, uint32_t ticks)
{
	unsigned shift = (off & 1) * 8;

	switch (off & ~1u) {
	case PM1_STS:
		carry_update(p);
		return (uint8_t)(p->sts >> shift);
	case PM1_EN:
		return (uint8_t)(p->en >> shift);
	case PM1_CNT:
		return (uint8_t)(p->cnt >> shift);
	case PM_TMR:
	case PM_TMR + 2:
		return (uint8_t)(ticks >> (off & 3) * 8);
	case GPE0_STS:
		return (uint8_t)(p->gpe_sts >> shift);
	case GPE0_EN:
		return (uint8_t)(p->gpe_en >> shift);
	}
	return 0;
}

static uint64_t pm_read(void *self, uint32_t off, unsigned width)
{
	struct pm *p = self;
	uint32_t ticks = (uint32_t)ticks_now(p), val = 0;

	for (unsigned i = 0; i < width; i++)
		val |= (uint32_t)byte_read(p, off + i, ticks) << i * 8;
	return val;
}

/* Type 0 is S5 and 1 is S4: in both the machine is off afterwards. */
static void control_write(struct pm *p, uint16_t val)
{
	p->cnt = (uint16_t)((val & CNT_KEPT) | (p->cnt & CNT_SCI_EN));
	if ((val & CNT_SLP_EN) != 0 && SLP_TYP(val) <= 1 && p->conf.power_off != NULL)
		p->conf.power_off(p->conf.arg);
}

static void byte_write(struct pm *p, uint32_t off, uint8_t val)
{
	unsigned shift = (off & 1) * 8;
	uint16_t bits = (uint16_t)(val << shift), keep = (uint16_t)(0xff00 >> shift);

	switch (off & ~1u) {
	case PM1_STS:
		carry_update(p);
		p->sts &= (uint16_t)~bits;
		break;
	case PM1_EN:
		p->en = (uint16_t)(((p->en & keep) | bits) & EN_MASK);
		carry_update(p);
		carry_arm(p);
		break;
	case PM1_CNT:
		control_write(p, (uint16_t)((p->cnt & keep) | bits));
		break;
	case GPE0_STS:
		p->gpe_sts &= (uint16_t)~bits;
		break;
	case GPE0_EN:
		p->gpe_en = (uint16_t)(((p->gpe_en & keep) | bits) & GPE_MASK);
		break;
	}
	if (off == PM_RESET && val == 1 && p->conf.reset != NULL)
		p->conf.reset(p->conf.arg);
}

static void pm_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct pm *p = self;

	for (unsigned i = 0; i < width; i++)
		byte_write(p, off + i, (uint8_t)(val >> i * 8));
	sci_update(p);
}

void pm_power_button(void *self)
{
	struct pm *p = self;

	if ((p->en & STS_PWRBTN) == 0)
		return;
	p->sts |= STS_PWRBTN;
	sci_update(p);
}

void pm_event(void *self, unsigned line)
{
	struct pm *p = self;

	BUG_IF(line >= 16 || (GPE_MASK >> line & 1) == 0);
	p->gpe_sts |= (uint16_t)(1u << line);
	sci_update(p);
}

void pm_acpi(void *self, bool on)
{
	struct pm *p = self;

	p->cnt = (uint16_t)((p->cnt & ~CNT_SCI_EN) | (on ? CNT_SCI_EN : 0));
	sci_update(p);
}

static const struct io_ops pm_io = {
	.widths = IO_W1 | IO_W2 | IO_W4,
	.read = pm_read,
	.write = pm_write,
};

void pm_move(void *self, uint16_t base, bool on)
{
	struct pm *p = self;

	BUG_IF(p->window == NULL);
	bus_window_move(p->window, base, on);
}

static void pm_reset(void *self)
{
	struct pm *p = self;

	p->zero_ns = clock_now_ns(p->clock);
	p->flips = 0;
	p->sts = p->en = p->gpe_sts = p->gpe_en = 0;
	p->cnt = p->conf.acpi_on ? CNT_SCI_EN : 0;
	carry_arm(p);
	sci_update(p);
}

static int pm_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct pm *p = self;
	int rc;

	p->conf = *(const struct pm_conf *)conf;
	p->clock = env->clock;
	p->lock = env->lock;
	rc = timer_new(p->clock, carry_fire, p, &p->timer);
	if (rc < 0)
		return err_set(err, rc, "no timer");
	if (p->conf.base != 0)
		rc = bus_add(env->pio, env->name, p->conf.base, WINDOW_LEN, &pm_io, p, err);
	else
		rc = bus_window_new(env->pio, env->name, WINDOW_LEN, &pm_io, p, &p->window, err);
	if (rc < 0)
		timer_free(p->timer);
	return rc;
}

static int pm_loaded(void *self, struct err *err)
{
	struct pm *p = self;

	if (p->zero_ns > clock_now_ns(p->clock) || p->flips > ticks_now(p) >> 31)
		return err_set(err, -EBADMSG, "pm: the timer starts in the future");
	if ((p->sts & ~STS_MASK) != 0 || (p->en & ~EN_MASK) != 0 ||
	    (p->cnt & ~(CNT_KEPT | CNT_SCI_EN)) != 0 ||
	    ((p->gpe_sts | p->gpe_en) & ~GPE_MASK) != 0)
		return err_set(err, -EBADMSG, "pm: registers have impossible bits");
	carry_arm(p);
	sci_update(p);
	return 0;
}

static void pm_fini(void *self)
{
	struct pm *p = self;

	timer_free(p->timer);
}

static const struct state_field pm_state[] = {
	STATE(1, struct pm, zero_ns),
	STATE(2, struct pm, flips),
	STATE(3, struct pm, sts),
	STATE(4, struct pm, en),
	STATE(5, struct pm, cnt),
	STATE(6, struct pm, gpe_sts),
	STATE(7, struct pm, gpe_en),
	{ 0 },
};

const struct dev_ops pm_dev = {
	.name = "pm",
	.size = sizeof(struct pm),
	.state = pm_state,
	.init = pm_init,
	.reset = pm_reset,
	.loaded = pm_loaded,
	.fini = pm_fini,
};
