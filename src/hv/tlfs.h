/*
 * tlfs.h - numbers of the hypervisor interface
 *
 * Spec     [TLFS] 2.4 CPUID, 3 hypercall interface, 8 to 12, appendix A
 */
#ifndef HV_TLFS_H
#define HV_TLFS_H

#include "base/le.h"

/* CPUID 0x40000003 EAX: what the guest may use; each bit gates some MSRs. */
#define HV_PRIV_VP_RUNTIME (1u << 0)
#define HV_PRIV_REF_COUNT (1u << 1)
#define HV_PRIV_SYNIC (1u << 2)
#define HV_PRIV_STIMER (1u << 3)
#define HV_PRIV_INTR_CTRL (1u << 4)
#define HV_PRIV_HYPERCALL (1u << 5)
#define HV_PRIV_VP_INDEX (1u << 6)
#define HV_PRIV_RESET (1u << 7)
#define HV_PRIV_REF_TSC (1u << 9)
#define HV_PRIV_FREQUENCY (1u << 11)
#define HV_PRIV_TSC_INVARIANT (1u << 15)

/* 0x40000003 EBX */
#define HV_PRIV_POST_MESSAGES (1u << 4)
#define HV_PRIV_SIGNAL_EVENTS (1u << 5)
#define HV_PRIV_VP_REGISTERS (1u << 17)

/* 0x40000003 EDX */
#define HV_FEAT_XMM_INPUT (1u << 4)
#define HV_FEAT_FREQUENCY (1u << 8)
#define HV_FEAT_CRASH (1u << 10)
#define HV_FEAT_EXT_GVA_RANGES (1u << 14)
#define HV_FEAT_XMM_OUTPUT (1u << 15)
#define HV_FEAT_SINT_POLLING (1u << 17)
#define HV_FEAT_HYPERCALL_LOCK (1u << 18)
#define HV_FEAT_DIRECT_STIMER (1u << 19)

/* 0x40000004 EAX */
#define HV_HINT_REMOTE_FLUSH (1u << 2)
#define HV_HINT_APIC_MSRS (1u << 3)
#define HV_HINT_RELAXED_TIMING (1u << 5)
#define HV_HINT_NO_AUTO_EOI (1u << 9)
#define HV_HINT_CLUSTER_IPI (1u << 10)
#define HV_HINT_EX_MASKS (1u << 11)

#define HV_MSR_GUEST_OS_ID 0x40000000u
#define HV_MSR_HYPERCALL 0x40000001u
#define HV_MSR_VP_INDEX 0x40000002u
#define HV_MSR_RESET 0x40000003u
#define HV_MSR_VP_RUNTIME 0x40000010u
#define HV_MSR_REF_COUNT 0x40000020u
#define HV_MSR_REF_TSC 0x40000021u
#define HV_MSR_TSC_FREQUENCY 0x40000022u
#define HV_MSR_APIC_FREQUENCY 0x40000023u
#define HV_MSR_EOI 0x40000070u
#define HV_MSR_ICR 0x40000071u
#define HV_MSR_TPR 0x40000072u
#define HV_MSR_VP_ASSIST 0x40000073u
#define HV_MSR_SCONTROL 0x40000080u
#define HV_MSR_SVERSION 0x40000081u
#define HV_MSR_SIEFP 0x40000082u
#define HV_MSR_SIMP 0x40000083u
#define HV_MSR_EOM 0x40000084u
#define HV_MSR_SINT0 0x40000090u
#define HV_MSR_STIMER0_CONFIG 0x400000b0u	/* config, count, config, count, ... */
#define HV_MSR_CRASH_P0 0x40000100u
#define HV_MSR_CRASH_CTL 0x40000105u
#define HV_MSR_TSC_INVARIANT 0x40000118u

#define HV_NR_SINTS 16u
#define HV_NR_STIMERS 4u
#define HV_NR_CRASH_PARAMS 5u
#define HV_NR_FLAGS 2048u		/* event flags of one SINT */

/* Enable bit of HYPERCALL, REF_TSC, VP_ASSIST, SCONTROL, SIEFP and SIMP; 63:12 are a page number. */
#define HV_PAGE_ENABLE UINT64_C(1)
#define HV_HYPERCALL_LOCKED UINT64_C(2)
#define HV_PAGE_GPA(msr) ((msr) & ~UINT64_C(0xfff))

#define HV_SINT_VECTOR(sint) ((uint8_t)(sint))
#define HV_SINT_MASKED (UINT64_C(1) << 16)
#define HV_SINT_AUTO_EOI (UINT64_C(1) << 17)
#define HV_SINT_POLLING (UINT64_C(1) << 18)

#define HV_STIMER_ENABLED (UINT64_C(1) << 0)
#define HV_STIMER_PERIODIC (UINT64_C(1) << 1)
#define HV_STIMER_LAZY (UINT64_C(1) << 2)
#define HV_STIMER_AUTO_ENABLE (UINT64_C(1) << 3)
#define HV_STIMER_DIRECT (UINT64_C(1) << 12)
#define HV_STIMER_VECTOR(config) ((uint8_t)((config) >> 4))
#define HV_STIMER_SINT(config) ((unsigned)((config) >> 16) & 15)
#define HV_STIMER_KNOWN UINT64_C(0xf1fff)

#define HV_CRASH_NOTIFY (UINT64_C(1) << 63)
#define HV_CRASH_MESSAGE (UINT64_C(1) << 62)
#define HV_CRASH_TEXT_MAX 4096u

#define HV_MIN_VECTOR 16u		/* below are exceptions */

/* One slot of the message page: SINT n has bytes [256 n, 256 n + 256). */
#define HV_MSG_PAYLOAD 240u
#define HV_MSG_TIMER 0x80000010u
#define HV_MSG_HYPERVISOR 0x80000000u	/* types with this bit are not the guest's to send */
#define HV_MSG_PENDING 1u

struct hv_msg {
	le32 type;
	uint8_t size, flags;
	le16 reserved;
	le64 port;
	uint8_t payload[HV_MSG_PAYLOAD];
};
_Static_assert(sizeof(struct hv_msg) == 256, "[TLFS] 11.7");

struct hv_timer_payload {
	le32 index, reserved;
	le64 expiration, delivery;
};
_Static_assert(sizeof(struct hv_timer_payload) == 24, "[TLFS] 12.3.1");

struct hv_tsc_page {
	le32 sequence, reserved;
	le64 scale, offset;
};
_Static_assert(sizeof(struct hv_tsc_page) == 24, "[TLFS] 12.6.1");

enum {		/* hypercall status */
	HV_SUCCESS = 0x00,
	HV_INVALID_HYPERCALL_CODE = 0x02,
	HV_INVALID_HYPERCALL_INPUT = 0x03,
	HV_INVALID_ALIGNMENT = 0x04,
	HV_INVALID_PARAMETER = 0x05,
	HV_ACCESS_DENIED = 0x06,
	HV_OPERATION_DENIED = 0x08,
	HV_INVALID_PARTITION_ID = 0x0d,
	HV_INVALID_VP_INDEX = 0x0e,
	HV_INVALID_CONNECTION_ID = 0x12,
	HV_INSUFFICIENT_BUFFERS = 0x13,
	HV_INVALID_REGISTER_VALUE = 0x50,
	HV_UNKNOWN_REGISTER_NAME = 0x87,
};

enum {		/* call codes */
	HV_CALL_FLUSH_SPACE = 0x02,
	HV_CALL_FLUSH_LIST = 0x03,
	HV_CALL_LONG_SPIN = 0x08,
	HV_CALL_IPI = 0x0b,
	HV_CALL_FLUSH_SPACE_EX = 0x13,
	HV_CALL_FLUSH_LIST_EX = 0x14,
	HV_CALL_IPI_EX = 0x15,
	HV_CALL_GET_VP_REGS = 0x50,
	HV_CALL_SET_VP_REGS = 0x51,
	HV_CALL_POST_MESSAGE = 0x5c,
	HV_CALL_SIGNAL_EVENT = 0x5d,
};

/* The control word. */
#define HV_CTL_FAST (UINT64_C(1) << 16)
#define HV_CTL_VAR_QWORDS(ctl) ((unsigned)((ctl) >> 17) & 0x3ff)
#define HV_CTL_REPS(ctl) ((unsigned)((ctl) >> 32) & 0xfff)
#define HV_CTL_REP_START(ctl) ((unsigned)((ctl) >> 48) & 0xfff)
/* 30:27, 47:44, 63:60 must be zero; 31 asks for the hypervisor below, and there is none. */
#define HV_CTL_RESERVED UINT64_C(0xf000f000f8000000)

/* Input blocks. */
struct hv_in_flush {
	le64 space, flags, vps;
};
_Static_assert(sizeof(struct hv_in_flush) == 24, "[TLFS] HvCallFlushVirtualAddressSpace");

struct hv_vpset {			/* banks follow */
	le64 format, valid;
};

struct hv_in_flush_ex {
	le64 space, flags;
	struct hv_vpset set;
};
_Static_assert(sizeof(struct hv_in_flush_ex) == 32, "[TLFS] HvCallFlushVirtualAddressSpaceEx");

#define HV_FLUSH_ALL_VPS 1u
#define HV_FLUSH_ALL_SPACES 2u
#define HV_FLUSH_NON_GLOBAL 4u
#define HV_FLUSH_EXT_RANGES 8u

struct hv_in_ipi {
	le32 vector;
	uint8_t vtl, reserved[3];
	le64 vps;
};
_Static_assert(sizeof(struct hv_in_ipi) == 16, "[TLFS] HvCallSendSyntheticClusterIpi");

struct hv_in_ipi_ex {
	le32 vector;
	uint8_t vtl, reserved[3];
	struct hv_vpset set;
};
_Static_assert(sizeof(struct hv_in_ipi_ex) == 24, "[TLFS] HvCallSendSyntheticClusterIpiEx");

struct hv_in_post {
	le32 conn, reserved, type, size;
	uint8_t payload[HV_MSG_PAYLOAD];
};
_Static_assert(sizeof(struct hv_in_post) == 256, "[TLFS] HvCallPostMessage");

struct hv_in_signal {
	le32 conn;
	le16 flag, reserved;
};
_Static_assert(sizeof(struct hv_in_signal) == 8, "[TLFS] HvCallSignalEvent");

struct hv_in_regs {
	le64 partition;
	le32 vp;
	uint8_t vtl, reserved[3];
};
_Static_assert(sizeof(struct hv_in_regs) == 16, "[TLFS] HvCallGetVpRegisters");

struct hv_in_set_reg {
	le32 name, reserved[3];
	le64 value, value_hi;
};
_Static_assert(sizeof(struct hv_in_set_reg) == 32, "[TLFS] HvCallSetVpRegisters");

#define HV_PARTITION_SELF UINT64_MAX
#define HV_VP_SELF 0xfffffffeu

#endif
