/*
 * x86.h - numbers of the architecture
 *
 * Spec     [SDM 3] 2.5 control registers, 2.3 EFLAGS, 4.5 paging, 6.3 vectors;
 *          [SDM 4] MSRs; [APM 2]
 */
#ifndef SPEC_X86_H
#define SPEC_X86_H

#include <stdint.h>

enum {		/* RFLAGS */
	X86_CF = 1 << 0, X86_PF = 1 << 2, X86_AF = 1 << 4, X86_ZF = 1 << 6, X86_SF = 1 << 7,
	X86_TF = 1 << 8, X86_IF = 1 << 9, X86_DF = 1 << 10, X86_OF = 1 << 11,
	X86_IOPL = 3 << 12, X86_NT = 1 << 14, X86_RF = 1 << 16, X86_VM = 1 << 17,
	X86_AC = 1 << 18, X86_VIF = 1 << 19, X86_VIP = 1 << 20, X86_ID = 1 << 21,
	X86_ARITH = X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF | X86_OF,
};

#define X86_CR0_PE (1u << 0)
#define X86_CR0_MP (1u << 1)
#define X86_CR0_EM (1u << 2)
#define X86_CR0_TS (1u << 3)
#define X86_CR0_ET (1u << 4)
#define X86_CR0_NE (1u << 5)
#define X86_CR0_WP (1u << 16)
#define X86_CR0_AM (1u << 18)
#define X86_CR0_NW (1u << 29)
#define X86_CR0_CD (1u << 30)
#define X86_CR0_PG (1u << 31)

#define X86_CR4_VME (1u << 0)
#define X86_CR4_PVI (1u << 1)
#define X86_CR4_TSD (1u << 2)
#define X86_CR4_DE (1u << 3)
#define X86_CR4_PSE (1u << 4)
#define X86_CR4_PAE (1u << 5)
#define X86_CR4_MCE (1u << 6)
#define X86_CR4_PGE (1u << 7)
#define X86_CR4_PCE (1u << 8)
#define X86_CR4_OSFXSR (1u << 9)
#define X86_CR4_OSXMMEXCPT (1u << 10)
#define X86_CR4_UMIP (1u << 11)
#define X86_CR4_LA57 (1u << 12)
#define X86_CR4_FSGSBASE (1u << 16)
#define X86_CR4_PCIDE (1u << 17)
#define X86_CR4_OSXSAVE (1u << 18)
#define X86_CR4_SMEP (1u << 20)
#define X86_CR4_SMAP (1u << 21)
#define X86_CR4_PKE (1u << 22)
#define X86_CR4_PKS (1u << 24)

#define X86_EFER_SCE (1u << 0)
#define X86_EFER_LME (1u << 8)
#define X86_EFER_LMA (1u << 10)
#define X86_EFER_NXE (1u << 11)

#define X86_PTE_P (UINT64_C(1) << 0)
#define X86_PTE_W (UINT64_C(1) << 1)
#define X86_PTE_U (UINT64_C(1) << 2)
#define X86_PTE_A (UINT64_C(1) << 5)
#define X86_PTE_D (UINT64_C(1) << 6)
#define X86_PTE_PS (UINT64_C(1) << 7)
#define X86_PTE_G (UINT64_C(1) << 8)
#define X86_PTE_NX (UINT64_C(1) << 63)

#define X86_PF_P 1u
#define X86_PF_W 2u
#define X86_PF_U 4u
#define X86_PF_RSVD 8u
#define X86_PF_I 16u
#define X86_PF_PK 32u

enum {		/* exception vectors */
	X86_DE = 0, X86_DB = 1, X86_NMI = 2, X86_BP = 3, X86_EXC_OF = 4, X86_BR = 5, X86_UD = 6,
	X86_NM = 7, X86_DFLT = 8, X86_TS = 10, X86_NP = 11, X86_SS = 12, X86_GP = 13,
	X86_PAGE = 14, X86_MF = 16, X86_ALIGN = 17, X86_MC = 18, X86_XM = 19,
};

#define X86_MSR_TSC 0x10u
#define X86_MSR_APIC_BASE 0x1bu
#define X86_MSR_TSC_ADJUST 0x3bu
#define X86_MSR_SYSENTER_CS 0x174u
#define X86_MSR_SYSENTER_ESP 0x175u
#define X86_MSR_SYSENTER_EIP 0x176u
#define X86_MSR_MISC_ENABLE 0x1a0u
#define X86_MSR_PAT 0x277u
#define X86_MSR_TSC_DEADLINE 0x6e0u
#define X86_MSR_X2APIC 0x800u		/* .. 0x8ff */
#define X86_MSR_EFER 0xc0000080u
#define X86_MSR_STAR 0xc0000081u
#define X86_MSR_LSTAR 0xc0000082u
#define X86_MSR_CSTAR 0xc0000083u
#define X86_MSR_SFMASK 0xc0000084u
#define X86_MSR_FS_BASE 0xc0000100u
#define X86_MSR_GS_BASE 0xc0000101u
#define X86_MSR_KERNEL_GS_BASE 0xc0000102u
#define X86_MSR_TSC_AUX 0xc0000103u

#define X86_PAT_RESET UINT64_C(0x0007040600070406)

#endif
