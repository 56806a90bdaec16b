/*
 * lapic.h - the local APICs of a machine
 *
 * xAPIC page and x2APIC MSRs, timer with TSC deadline, IPIs, INIT/SIPI.  Not
 * behind the chip lock: registers of one APIC belong to its vCPU's thread, IRR
 * and the rest that others touch are atomic, so that any thread may post.
 */
#ifndef CHIP_LAPIC_H
#define CHIP_LAPIC_H

#include "base/base.h"
#include "base/err.h"
#include "dev/clock.h"

struct lapic_set;

/*
 * Any thread may be calling, perhaps with a timer's lock held: call nothing
 * of lapic_* from inside but lapic_post, lapic_deliver, lapic_lint0 and
 * lapic_ready.
 */
struct lapic_client {
	void (*notify)(void *self, unsigned vp);	/* something may be deliverable: wake it */
	void (*nmi)(void *self, unsigned vp);
	void (*init)(void *self, unsigned vp);		/* INIT assert */
	void (*sipi)(void *self, unsigned vp, uint8_t vector);
	void (*eoi)(void *self, unsigned vp, uint8_t vector, bool level);	/* vp's own thread */
	uint64_t (*tsc)(void *self);			/* guest TSC now */
	/*
	 * vp's own thread: LINT0 is asserted as ExtINT and the processor
	 * acknowledges; the vector.  NULL: nothing is wired to LINT0.
	 */
	uint8_t (*extint)(void *self, unsigned vp);
};

struct lapic_conf {
	unsigned nr;			/* APIC id = VP index */
	struct clock *clock;
	uint64_t timer_hz;		/* input of the timer, before its divider */
	uint64_t tsc_hz;
	const struct lapic_client *client;
	void *self;
	unsigned phys_bits;		/* of an address in IA32_APIC_BASE; 0 = 52 */
};

MUST_CHECK int lapic_new(const struct lapic_conf *conf, struct lapic_set **ret_s, struct err *err);
void lapic_free(struct lapic_set *s);
void lapic_reset(struct lapic_set *s, unsigned vp, bool init);

/* The machine stands still: one APIC as a stream of state.h; bytes needed, or 0 or -EBADMSG. */
size_t lapic_save(struct lapic_set *s, unsigned vp, void *buf, size_t cap);
MUST_CHECK int lapic_load(struct lapic_set *s, unsigned vp, const void *buf, size_t n,
			  struct err *err);

/* vp's own thread: on, and the 8259s through it, as a BIOS leaves the first one. */
void lapic_virtual_wire(struct lapic_set *s, unsigned vp);
/* vp's own thread: registers by xAPIC byte offset (0x20, 0x30, 0x80, ...). */
uint32_t lapic_read(struct lapic_set *s, unsigned vp, uint32_t off);
void lapic_write(struct lapic_set *s, unsigned vp, uint32_t off, uint32_t val);
/* MSRs 0x1b, 0x6e0, 0x800..0x8ff.  0 or -ENOENT: #GP. */
MUST_CHECK int lapic_msr_read(struct lapic_set *s, unsigned vp, uint32_t msr, uint64_t *ret_val);
MUST_CHECK int lapic_msr_write(struct lapic_set *s, unsigned vp, uint32_t msr, uint64_t val);
/* GPA of the xAPIC page, or 0 when off or in x2APIC mode. */
uint64_t lapic_page(struct lapic_set *s, unsigned vp);
bool lapic_x2apic(struct lapic_set *s, unsigned vp);
/* Not switched off in IA32_APIC_BASE; CPUID shows it. */
bool lapic_enabled(struct lapic_set *s, unsigned vp);
int lapic_take(struct lapic_set *s, unsigned vp);	/* acknowledge: vector, or -1 */
bool lapic_ready(struct lapic_set *s, unsigned vp);
uint8_t lapic_cr8(struct lapic_set *s, unsigned vp);
void lapic_set_cr8(struct lapic_set *s, unsigned vp, uint8_t cr8);

/* Any thread.  A fixed interrupt; level: EOI is reported with level set; auto_eoi: over on delivery. */
void lapic_post(struct lapic_set *s, unsigned vp, uint8_t vector, bool level, bool auto_eoi);
/* The pin: a PIC's wire, if there is a PIC. */
void lapic_lint0(struct lapic_set *s, unsigned vp, bool level);
/*
 * A message as IOAPIC and MSI send it: destination, logical mode, delivery
 * mode (ICR encoding).  Whether some APIC accepted it.
 */
bool lapic_deliver(struct lapic_set *s, uint32_t dest, bool logical, unsigned mode,
		   uint8_t vector, bool level);

#endif
