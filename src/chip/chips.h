/*
 * chips.h - configuration of the small chips; each is a dev_ops of its own
 */
#ifndef CHIP_CHIPS_H
#define CHIP_CHIPS_H

#include "dev/chr.h"
#include "dev/dev.h"

struct lapic_set;
struct ioapic;

struct ioapic_conf {
	uint64_t base;			/* 0xfec00000 */
	struct lapic_set *lapics;
};
extern const struct dev_ops ioapic_dev;
void ioapic_pin(void *self, unsigned pin, bool level);	/* chip lock held; irq.set of lines */
void ioapic_eoi(void *self, uint8_t vector);		/* chip lock held */

/* Two 8259As. */
struct pic_conf {
	struct irq intr;		/* to LINT0 of the boot processor */
	uint8_t base[2], mask[2];	/* after reset, as firmware leaves them */
};
extern const struct dev_ops pic_dev;
void pic_pin(void *self, unsigned pin, bool level);	/* chip lock held; 0 to 15 */
uint8_t pic_ack(void *self);				/* chip lock held: the vector */

struct rtc_conf {
	uint16_t port;			/* 0x70 */
	struct irq irq;
	int64_t (*unix_time)(void *arg);	/* seconds, the host's; NULL = time() */
	void *arg;
};
extern const struct dev_ops rtc_dev;

struct pm_conf {
	uint16_t base;			/* 0x400 */
	struct irq sci;
	bool acpi_on;			/* SCI_EN from reset (Generation 2) */
	void (*power_off)(void *arg);	/* S5; chip lock held: only note it */
	void (*reset)(void *arg);
	void *arg;
};
extern const struct dev_ops pm_dev;
/* Chip lock held: the power button was pressed. */
void pm_power_button(void *self);
/* Chip lock held: general event LINE (0 generation id, 9 battery, 11 processors). */
void pm_event(void *self, unsigned line);

struct uart_conf {
	uint16_t port;			/* 0x3f8 */
	struct irq irq;
	struct chr *chr;		/* NULL: nothing attached */
};
extern const struct dev_ops uart_dev;	/* 16550A */

/* Ports that a Generation 2 machine absorbs silently: 20/21, A0/A1, 40-43, 61, CF8-CFF, 87, 80. */
struct absorb_range {
	uint16_t port, len;
};
struct absorb_conf {
	const struct absorb_range *ranges;	/* borrowed for the device's life */
	unsigned nr;
};
extern const struct dev_ops absorb_dev;

/*
 * --test-devices only: debug-exit 0xF4, the latch at E0, sizes of the machine
 * at 510, IRQ lines at 2000, synthetic interrupts at 3000, 64 KiB of memory at
 * FF000000.
 */
enum testdev_synic {
	TESTDEV_SINT_CREATE = 1, TESTDEV_SINT_DESTROY, TESTDEV_SINT_RAISE, TESTDEV_MSG_CREATE,
	TESTDEV_MSG_DESTROY, TESTDEV_EVENT_CREATE, TESTDEV_EVENT_DESTROY,
};
struct testdev_conf {
	void (*exit)(void *arg, uint32_t val);	/* chip lock held: only note it */
	/* Chip lock held.  WHAT may be none of the enum; NULL: nothing listens. */
	void (*synic)(void *arg, enum testdev_synic what, uint8_t vp, uint8_t sint, uint8_t conn);
	void *arg;
	uint64_t memory;
	uint16_t cpus;
	struct irq lines[24];
};
extern const struct dev_ops testdev_dev;

#endif
