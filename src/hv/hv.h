/*
 * hv.h - the hypervisor interface that guests see
 *
 * CPUID leaves, synthetic MSRs, hypercalls, SynIC, synthetic timers and
 * reference time of one partition.  Independent of the engine: the board
 * routes CPUID, MSR and hypercall exits here, and joins the two message
 * directions with VMBus through hv_port (guest to host) and
 * hv_synic_post / hv_synic_signal (host to guest).
 *
 * Threads  *_vp functions for VP n: from that vCPU's thread.  hv_synic_*:
 *          any thread.
 */
#ifndef HV_HV_H
#define HV_HV_H

#include "base/base.h"
#include "base/err.h"
#include "dev/clock.h"
#include "mem/gmem.h"

struct hv;

/* What the partition asks of the board; any thread may call it. */
struct hv_client {
	/* A fixed, edge interrupt on VP's local APIC; with auto_eoi it is over on delivery. */
	void (*raise)(void *self, unsigned vp, uint8_t vector, bool auto_eoi);
	/*
	 * HvCallFlushVirtualAddress*: when it returns VP uses no old translation
	 * any more, or the guest reuses memory under its feet.  NULL: the calls
	 * are not offered, and guests flush by interrupts.
	 */
	void (*flush_tlb)(void *self, unsigned vp);
	void (*reset)(void *self);			/* HV_X64_MSR_RESET */
	/*
	 * EOI, ICR, TPR through MSRs 0x40000070..72: the LAPIC register at this
	 * xAPIC offset (0xb0, 0x300, 0x80).  The ICR comes and goes whole: low
	 * half 0x300, high half 0x310.
	 */
	uint64_t (*apic_read)(void *self, unsigned vp, uint32_t reg);
	void (*apic_write)(void *self, unsigned vp, uint32_t reg, uint64_t val);
	/* Crash MSRs: P0..P4 and, if the guest gave one, a text (not NUL-terminated). */
	void (*crash)(void *self, unsigned vp, const uint64_t p[5], const char *text, size_t n);
	/* The guest TSC now; must not call back.  Called from hv_new on. */
	uint64_t (*tsc)(void *self);
};

/* Guest to host; returns a hypercall status.  [TLFS] 10.9, 10.10 */
struct hv_port {
	uint16_t (*post)(void *self, unsigned vp, uint32_t conn, uint32_t type, const void *msg, size_t n);
	uint16_t (*signal)(void *self, uint32_t conn, uint16_t flag);
};

struct hv_conf {
	unsigned nr_vps;
	struct gmem *mem;
	struct clock *clock;
	uint64_t tsc_hz, apic_hz;	/* guest TSC and LAPIC timer input rate */
	unsigned phys_bits;
	/*
	 * Offers TscInvariantControl: a guest that takes it trusts the TSC itself
	 * and prefers it to the TSC page.
	 */
	bool invariant_tsc;
	bool amd;			/* VMMCALL rather than VMCALL in the hypercall page */
	/*
	 * Not 0: the hypercall page traps by OUT of AL to this port instead
	 * (cpu_engine.hypercall_port: an engine whose host keeps VMCALL to itself).
	 */
	uint8_t hypercall_port;
	const struct hv_client *client;
	const struct hv_port *port;
	void *self;			/* of client and port */
};

MUST_CHECK int hv_new(const struct hv_conf *conf, struct hv **ret_hv, struct err *err);
void hv_free(struct hv *hv);
void hv_reset(struct hv *hv);		/* machine reset: all vCPUs stopped */
/*
 * Reference time runs with client->tsc and stands still between hv_stop and
 * hv_start: together with clock_stop and clock_start when the machine pauses,
 * and around anything that makes the guest TSC jump (a reset that zeroes it).
 */
void hv_stop(struct hv *hv);
void hv_start(struct hv *hv);

/* Leaves 0x40000000.. and the changes to others (CPUID.1:ECX[31], 0x80000007). */
void hv_cpuid(struct hv *hv, unsigned vp, uint32_t leaf, uint32_t sub, uint32_t r[4]);
/* 0; -ENOENT when the MSR is not ours or not readable/writable so: #GP. */
MUST_CHECK int hv_msr_read(struct hv *hv, unsigned vp, uint32_t msr, uint64_t *ret_val);
MUST_CHECK int hv_msr_write(struct hv *hv, unsigned vp, uint32_t msr, uint64_t val);

/* A hypercall by registers; gpr in the order of enum cpu_gpr, xmm 0..5.  CPL and mode were checked. */
struct hv_call {
	uint64_t *gpr;
	uint8_t (*xmm)[16];
	bool long_mode;
};
void hv_hypercall(struct hv *hv, unsigned vp, struct hv_call *call);

/* The guest EOI'd VECTOR on VP's local APIC: queued messages may follow. */
void hv_eoi(struct hv *hv, unsigned vp, uint8_t vector);

/* Host to guest.  Messages queue (FIFO per VP and SINT); -ENOBUFS past 1024 queued. */
MUST_CHECK int hv_synic_post(struct hv *hv, unsigned vp, unsigned sint, uint32_t type,
			     const void *payload, size_t n);
void hv_synic_signal(struct hv *hv, unsigned vp, unsigned sint, unsigned flag);
/* Only the interrupt of an unmasked source, with nothing in any page. */
void hv_synic_raise(struct hv *hv, unsigned vp, unsigned sint);

uint64_t hv_ref_time(struct hv *hv);	/* 100 ns since creation */
uint64_t hv_guest_os_id(struct hv *hv);

#endif
