/*
 * model.c - named CPUID models
 *
 * "x86-64-v2" says GenuineIntel, family 6, model 0x2c (Westmere, the first
 * model of that feature level), because guests then choose VMCALL and the
 * Intel forms of SYSENTER and of the microcode registers.  Features of later
 * years that cost nothing here are added: SMEP, SMAP, UMIP, FSGSBASE, ERMS.
 *
 * "x86-64-v3" says model 0x4f, stepping 1 (Broadwell-EP).  It could as well be
 * any later one, but Linux has Skylake's list of workarounds by its number
 * (IBRS at each system call), and this one's are all answered by
 * ARCH_CAPABILITIES.  There is no TSX.  Vectors are computed by the host's own
 * instructions, so a host must have them; what it lacks of the others (SHA,
 * ADX, RDSEED and the like) is done without.
 *
 * "x86-64-v2-amd" has the features of "x86-64-v2" in the words of AMD, and says
 * family 17h, model 1 (Zen, whose workarounds Linux leaves to the hypervisor).
 * Its guests choose VMMCALL, and run SYSCALL in compatibility mode, which Intel
 * lacks.
 *
 * "x86-64-v3-pk" is "x86-64-v3" with protection keys, of users' pages and of the
 * system's.  It is a model of its own because a guest that has keys loads PKRU at
 * each task switch and signal, and new rights cost our TLBs a flush.
 *
 * ARCH_CAPABILITIES says that none of the speculation bugs is there, which is
 * true of an interpreter.  Without it Linux would isolate page tables (two CR3
 * writes at each system call) and compile in retpolines.  Branch history it
 * fears all the same, and without BHI_CTRL, a bit in a register, it would run
 * through a maze of calls at each system call.
 *
 * Spec     [SDM 2] CPUID; [SDM 4] IA32_ARCH_CAPABILITIES; [APM 3] E.4
 * Missing  of AMD: more cores than one in a package, leaves 8000001D and 8000001E;
 *          XSAVES; VAES and VPCLMULQDQ of 256 bits, which hosts of the level lack
 * Lock     none: const tables
 */
#include "cpu/x86/model.h"

#include <Zydis/Zydis.h>
#include <cpuid.h>
#include <string.h>

struct leaf {
	uint32_t leaf, sub, r[4];	/* EAX, EBX, ECX, EDX */
};

/* An instruction set is there when its CPUID bit is; bit 255 = always. */
struct isa_row {
	uint16_t isa;
	uint32_t leaf, sub;
	uint8_t reg, bit;
	uint8_t flags;
};

enum {
	HOST = 1,	/* the interpreter has no other way than the host's instruction */
	YMM = 2,	/* uses the state that XCR0 bit 2 is for */
};

struct cpu_model {
	const char *name;
	const struct leaf *leaves;
	size_t nr_leaves;
	const struct leaf *more;	/* instead of some of LEAVES, and besides them */
	size_t nr_more;
	bool asked;			/* only by its name */
	char brand[48];
	uint64_t xcr0, arch_capabilities, microcode;
	unsigned phys_bits;
};

#define BIT(n) (1u << (n))
enum { EAX, EBX, ECX, EDX };

/* Leaf 1 */
#define V2_1_ECX (BIT(0) /* SSE3 */ | BIT(9) /* SSSE3 */ | BIT(13) /* CX16 */ | \
		  BIT(19) /* SSE4.1 */ | BIT(20) /* SSE4.2 */ | BIT(21) /* x2APIC */ | \
		  BIT(23) /* POPCNT */ | BIT(24) /* TSC deadline */ | BIT(26) /* XSAVE */)
#define V2_1_EDX (BIT(0) /* FPU */ | BIT(2) /* DE */ | BIT(3) /* PSE */ | BIT(4) /* TSC */ | \
		  BIT(5) /* MSR */ | BIT(6) /* PAE */ | BIT(7) /* MCE */ | BIT(8) /* CX8 */ | \
		  BIT(9) /* APIC */ | BIT(11) /* SEP */ | BIT(12) /* MTRR */ | BIT(13) /* PGE */ | \
		  BIT(14) /* MCA */ | BIT(15) /* CMOV */ | \
		  BIT(16) /* PAT */ | BIT(17) /* PSE36 */ | \
		  BIT(19) /* CLFLUSH */ | BIT(23) /* MMX */ | BIT(24) /* FXSR */ | \
		  BIT(25) /* SSE */ | BIT(26) /* SSE2 */)
/* Leaf 7 */
#define V2_7_EBX (BIT(0) /* FSGSBASE */ | BIT(1) /* TSC_ADJUST */ | BIT(7) /* SMEP */ | \
		  BIT(9) /* ERMS */ | BIT(13) /* FCS and FDS are zero */ | BIT(20) /* SMAP */)
#define V2_7_ECX (BIT(2) /* UMIP */)
#define V2_72_EDX (BIT(4) /* BHI_CTRL */ | BIT(5) /* MCDT_NO */)
#define V2_7_EDX (BIT(26) /* IBRS, IBPB */ | BIT(29) /* ARCH_CAPABILITIES */)
/* Leaf 0x80000001 */
#define V2_81_ECX (BIT(0) /* LAHF */ | BIT(8) /* PREFETCHW: Windows asks */)
#define V2_81_EDX (BIT(11) /* SYSCALL */ | BIT(20) /* NX */ | BIT(26) /* 1G pages */ | \
		   BIT(27) /* RDTSCP */ | BIT(29) /* LM */)

/* What x86-64-v3 adds */
#define V3_1_ECX (V2_1_ECX | BIT(1) /* PCLMULQDQ */ | BIT(12) /* FMA */ | \
		  BIT(17) /* PCID */ | \
		  BIT(22) /* MOVBE */ | BIT(25) /* AES */ | BIT(28) /* AVX */ | \
		  BIT(29) /* F16C */ | BIT(30) /* RDRAND */)
#define V3_7_EBX (V2_7_EBX | BIT(3) /* BMI1 */ | BIT(5) /* AVX2 */ | BIT(8) /* BMI2 */ | \
		  BIT(10) /* INVPCID */ | \
		  BIT(18) /* RDSEED */ | BIT(19) /* ADX */ | \
		  BIT(23) /* CLFLUSHOPT */ | BIT(24) /* CLWB */ | BIT(29) /* SHA */)
#define V3_7_ECX (V2_7_ECX | BIT(22) /* RDPID */)
#define V3_7_EDX (V2_7_EDX | BIT(4) /* FSRM */)
#define V3_81_ECX (V2_81_ECX | BIT(5) /* LZCNT */)
#define V3_D1_EAX (BIT(0) /* XSAVEOPT */ | BIT(1) /* XSAVEC */ | BIT(2) /* XGETBV of 1 */)

/* Leaf 4: one cache: type, level, ways, line 64, sets. */
#define CACHE(sub, type, level, ways, sets) \
	{ 4, sub, { (type) | (level) << 5 | BIT(8), 63u | ((ways) - 1u) << 22, (sets) - 1, 0 } }

static const struct leaf v2_leaves[] = {
	{ 0, 0, { 0xd, 0x756e6547, 0x6c65746e, 0x49656e69 } },	/* GenuineIntel */
	{ 1, 0, { 0x000206c2, 8u << 8 | 1u << 16, V2_1_ECX, V2_1_EDX } },
	{ 2, 0, { 0x00ff0001, 0, 0, 0 } },			/* see leaf 4 */
	CACHE(0, 1, 1u, 8u, 64),				/* data, 32 KiB */
	CACHE(1, 2, 1u, 8u, 64),				/* code, 32 KiB */
	CACHE(2, 3, 2u, 8u, 512),				/* 256 KiB */
	CACHE(3, 3, 3u, 16u, 8192),				/* 8 MiB */
	{ 6, 0, { BIT(2) /* ARAT */, 0, 0, 0 } },
	{ 7, 0, { 2, V2_7_EBX, V2_7_ECX, V2_7_EDX } },
	{ 7, 2, { 0, 0, 0, V2_72_EDX } },
	{ 0xd, 0, { 3, 576, 576, 0 } },
	{ 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ 0x80000001, 0, { 0, 0, V2_81_ECX, V2_81_EDX } },
	{ 0x80000006, 0, { 0, 0, 256u << 16 | 6u << 12 | 64, 0 } },
	{ 0x80000008, 0, { 46 | 48 << 8, 0, 0, 0 } },
};

/* AMD repeats in 80000001 what leaf 1 says of the bits that both define. */
#define AMD_81_EDX (V2_81_EDX | (V2_1_EDX & 0x0183f3ffu))
/* AMD has no TSC_ADJUST and no fast string bit; its speculation controls are in 80000008. */
#define AMD_7_EBX (V2_7_EBX & ~(BIT(1) | BIT(9)))

/* Ways 8, 8 and 16, lines of 64 bytes; 32 KiB for data and for code, 256 KiB, 8 MiB. */
#define AMD_L1 (32u << 24 | 8u << 16 | 1u << 8 | 64u)
#define AMD_L2 (256u << 16 | 6u << 12 | 1u << 8 | 64u)
#define AMD_L3 (16u << 18 | 8u << 12 | 1u << 8 | 64u)

static const struct leaf amd_leaves[] = {
	{ 0, 0, { 0xd, 0x68747541, 0x444d4163, 0x69746e65 } },	/* AuthenticAMD */
	{ 1, 0, { 0x00800f12, 8u << 8 | 1u << 16, V2_1_ECX & ~BIT(24), V2_1_EDX } },
	{ 6, 0, { BIT(2) /* ARAT */, 0, 0, 0 } },
	{ 7, 0, { 0, AMD_7_EBX, V2_7_ECX, 0 } },
	{ 0xd, 0, { 3, 576, 576, 0 } },
	{ 0x80000000, 0, { 0x80000008, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x80000001, 0, { 0x00800f12, 0, V2_81_ECX, AMD_81_EDX } },
	{ 0x80000005, 0, { 0, 0, AMD_L1, AMD_L1 } },
	{ 0x80000006, 0, { 0, 0, AMD_L2, AMD_L3 } },
	{ 0x80000008, 0, { 46 | 48 << 8, BIT(26) /* SSB_NO */, 0, 0 } },
};

static const struct leaf v3_leaves[] = {
	{ 0, 0, { 0xd, 0x756e6547, 0x6c65746e, 0x49656e69 } },	/* GenuineIntel */
	{ 1, 0, { 0x000406f1, 8u << 8 | 1u << 16, V3_1_ECX, V2_1_EDX } },
	{ 2, 0, { 0x00ff0001, 0, 0, 0 } },			/* see leaf 4 */
	CACHE(0, 1, 1u, 8u, 64),				/* data, 32 KiB */
	CACHE(1, 2, 1u, 8u, 64),				/* code, 32 KiB */
	CACHE(2, 3, 2u, 8u, 512),				/* 256 KiB */
	CACHE(3, 3, 3u, 16u, 8192),				/* 8 MiB */
	{ 6, 0, { BIT(2) /* ARAT */, 0, 0, 0 } },
	{ 7, 0, { 2, V3_7_EBX, V3_7_ECX, V3_7_EDX } },
	{ 7, 2, { 0, 0, 0, V2_72_EDX } },
	{ 0xd, 0, { 7, 576 + 256, 576 + 256, 0 } },
	{ 0xd, 1, { V3_D1_EAX, 0, 0, 0 } },
	{ 0xd, 2, { 256, 576, 0, 0 } },				/* upper halves of YMM */
	{ 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ 0x80000001, 0, { 0, 0, V3_81_ECX, V2_81_EDX } },
	{ 0x80000006, 0, { 0, 0, 256u << 16 | 6u << 12 | 64, 0 } },
	{ 0x80000008, 0, { 46 | 48 << 8, 0, 0, 0 } },
};

static const struct leaf pk_leaves[] = {
	{ 7, 0, { 2, V3_7_EBX, V3_7_ECX | BIT(3) /* PKU */ | BIT(31) /* PKS */, V3_7_EDX } },
	{ 0xd, 0, { 0x207, 2688 + 8, 2688 + 8, 0 } },
	{ 0xd, 9, { 8, 2688, 0, 0 } },				/* PKRU */
};

#define CAP(n) (UINT64_C(1) << (n))
#define NOT_VULNERABLE (CAP(0) /* RDCL_NO */ | CAP(1) /* IBRS_ALL */ | CAP(3) /* SKIP_L1DFL */ | \
			CAP(4) /* SSB_NO */ | CAP(5) /* MDS_NO */ | CAP(6) /* PSCHANGE_MC_NO */ | \
			CAP(8) /* TAA_NO */ | CAP(13) /* SBDR_SSDP_NO */ | \
			CAP(14) /* FBSDP_NO */ | \
			CAP(15) /* PSDP_NO */ | CAP(20) /* BHI_NO */ | CAP(24) /* PBRSB_NO */ | \
			CAP(26) /* GDS_NO */ | CAP(27) /* RFDS_NO */ | CAP(62) /* ITS_NO */)

/* Best first; the last runs everywhere. */
static const struct cpu_model models[] = {
	{
		.name = "x86-64-v3",
		.leaves = v3_leaves,
		.nr_leaves = ARRAY_LEN(v3_leaves),
		.brand = "Genvisor Virtual Processor (x86-64-v3)",
		.xcr0 = 7,
		.arch_capabilities = NOT_VULNERABLE,
		.microcode = UINT64_C(0x0b000040) << 32,
		.phys_bits = 46,
	},
	{
		.name = "x86-64-v3-pk",
		.leaves = v3_leaves,
		.nr_leaves = ARRAY_LEN(v3_leaves),
		.more = pk_leaves,
		.nr_more = ARRAY_LEN(pk_leaves),
		.asked = true,
		.brand = "Genvisor Virtual Processor (x86-64-v3-pk)",
		.xcr0 = 0x207,
		.arch_capabilities = NOT_VULNERABLE,
		.microcode = UINT64_C(0x0b000040) << 32,
		.phys_bits = 46,
	},
	{
		.name = "x86-64-v2-amd",
		.asked = true,
		.leaves = amd_leaves,
		.nr_leaves = ARRAY_LEN(amd_leaves),
		.brand = "Genvisor Virtual Processor (x86-64-v2-amd)",
		.xcr0 = 3,
		.microcode = 0x08001250,
		.phys_bits = 46,
	},
	{
		.name = "x86-64-v2",
		.leaves = v2_leaves,
		.nr_leaves = ARRAY_LEN(v2_leaves),
		.brand = "Genvisor Virtual Processor (x86-64-v2)",
		.xcr0 = 3,
		.arch_capabilities = NOT_VULNERABLE,
		.microcode = UINT64_C(0x1f) << 32,
		.phys_bits = 46,
	},
};

#define ALWAYS(set) { .isa = ZYDIS_ISA_SET_##set, .bit = 255 }
#define WHEN(set, leaf, reg, bit) { ZYDIS_ISA_SET_##set, leaf, 0, reg, bit, 0 }
#define NEEDS(set, leaf, reg, bit, more) { ZYDIS_ISA_SET_##set, leaf, 0, reg, bit, HOST | (more) }

static const struct isa_row isa_rows[] = {
	ALWAYS(I86), ALWAYS(I186), ALWAYS(I286REAL), ALWAYS(I286PROTECTED), ALWAYS(I386),
	ALWAYS(I486), ALWAYS(I486REAL), ALWAYS(PENTIUMREAL), ALWAYS(PPRO), ALWAYS(FAT_NOP),
	ALWAYS(PAUSE), ALWAYS(PREFETCH_NOP), ALWAYS(RDPMC),
	/* VMCALL and VMMCALL reach the hypervisor whatever else of VMX and SVM is missing. */
	ALWAYS(VTX), ALWAYS(SVM),
	/* A hint where the prefetch is not there. */
	ALWAYS(PREFETCHWT1),
	WHEN(X87, 1, EDX, 0), WHEN(CMOV, 1, EDX, 15), WHEN(FCMOV, 1, EDX, 15),
	WHEN(PENTIUMMMX, 1, EDX, 23), WHEN(FXSAVE, 1, EDX, 24), WHEN(FXSAVE64, 1, EDX, 24),
	WHEN(SSE, 1, EDX, 25), WHEN(SSEMXCSR, 1, EDX, 25), WHEN(SSE_PREFETCH, 1, EDX, 25),
	WHEN(SSE2, 1, EDX, 26), WHEN(SSE2MMX, 1, EDX, 26), WHEN(CLFSH, 1, EDX, 19),
	WHEN(SSE3, 1, ECX, 0), WHEN(SSE3X87, 1, ECX, 0), NEEDS(PCLMULQDQ, 1, ECX, 1, 0),
	WHEN(MONITOR, 1, ECX, 3), WHEN(SSSE3, 1, ECX, 9), WHEN(SSSE3MMX, 1, ECX, 9),
	WHEN(CMPXCHG16B, 1, ECX, 13), WHEN(SSE4, 1, ECX, 19), WHEN(SSE42, 1, ECX, 20),
	WHEN(MOVBE, 1, ECX, 22), WHEN(POPCNT, 1, ECX, 23), NEEDS(AES, 1, ECX, 25, 0),
	WHEN(XSAVE, 1, ECX, 26), WHEN(RDRAND, 1, ECX, 30),
	WHEN(RDWRFSGS, 7, EBX, 0), WHEN(INVPCID, 7, EBX, 10), WHEN(RDSEED, 7, EBX, 18),
	WHEN(ADOX_ADCX, 7, EBX, 19), WHEN(SMAP, 7, EBX, 20), WHEN(CLFLUSHOPT, 7, EBX, 23),
	WHEN(CLWB, 7, EBX, 24), WHEN(SHA, 7, EBX, 29), WHEN(RDPID, 7, ECX, 22),
	WHEN(PKU, 7, ECX, 3),
	NEEDS(AVX, 1, ECX, 28, YMM), NEEDS(AVXAES, 1, ECX, 25, YMM), NEEDS(F16C, 1, ECX, 29, YMM),
	NEEDS(FMA, 1, ECX, 12, YMM), NEEDS(AVX2, 7, EBX, 5, YMM), NEEDS(AVX2GATHER, 7, EBX, 5, YMM),
	/* These too are done without, but a translator's guest would not thank us. */
	NEEDS(BMI1, 7, EBX, 3, 0), NEEDS(BMI2, 7, EBX, 8, 0),
	NEEDS(LZCNT, 0x80000001, ECX, 5, 0),
	{ ZYDIS_ISA_SET_XSAVEOPT, 0xd, 1, EAX, 0, 0 }, { ZYDIS_ISA_SET_XSAVEC, 0xd, 1, EAX, 1, 0 },
	WHEN(LAHF, 0x80000001, ECX, 0), WHEN(RDTSCP, 0x80000001, EDX, 27),
	WHEN(LONGMODE, 0x80000001, EDX, 29),
	/* SYSCALL outside 64-bit mode: its handler refuses it as Intel does. */
	WHEN(AMD, 0x80000001, EDX, 11),
};

const struct cpu_model *cpu_model_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i];
	return NULL;
}

static void find_leaf(const struct leaf *l, size_t nr, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	bool has_sub = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;

	for (size_t i = 0; i < nr; i++)
		if (l[i].leaf == leaf && (l[i].sub == sub || !has_sub))
			memcpy(r, l[i].r, 4 * sizeof(r[0]));
}

/* Intel answers leaves above its last as the last basic one; here they are zero. */
void cpu_model_cpuid(const struct cpu_model *m, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	memset(r, 0, 4 * sizeof(r[0]));
	if (leaf >= 0x80000002 && leaf <= 0x80000004) {
		memcpy(r, m->brand + (leaf - 0x80000002) * 16, 16);
		return;
	}
	find_leaf(m->leaves, m->nr_leaves, leaf, sub, r);
	find_leaf(m->more, m->nr_more, leaf, sub, r);
}

uint64_t cpu_model_xcr0(const struct cpu_model *m)
{
	return m->xcr0;
}

unsigned cpu_model_phys_bits(const struct cpu_model *m)
{
	return m->phys_bits;
}

uint64_t cpu_model_arch_capabilities(const struct cpu_model *m)
{
	return m->arch_capabilities;
}

uint64_t cpu_model_microcode(const struct cpu_model *m)
{
	return m->microcode;
}

static const struct isa_row *find_row(unsigned isa_set)
{
	for (size_t i = 0; i < ARRAY_LEN(isa_rows); i++)
		if (isa_rows[i].isa == isa_set)
			return &isa_rows[i];
	return NULL;
}

static bool model_has(const struct cpu_model *m, const struct isa_row *row)
{
	uint32_t r[4];

	if (row->bit == 255)
		return true;
	cpu_model_cpuid(m, row->leaf, row->sub, r);
	return r[row->reg] >> row->bit & 1;
}

bool cpu_model_isa(const struct cpu_model *m, unsigned isa_set)
{
	const struct isa_row *row = find_row(isa_set);

	return row && model_has(m, row);
}

/* ---- the host ------------------------------------------------------------------------ */

/* Whether the operating system keeps the upper halves of YMM for us. */
static bool host_has_ymm(void)
{
	uint32_t r[4], lo, hi;

	if (!__get_cpuid(1, &r[0], &r[1], &r[2], &r[3]) || !(r[ECX] >> 27 & 1))
		return false;
	__asm__ volatile("xgetbv" : "=a" (lo), "=d" (hi) : "c" (0));
	return (lo & 6) == 6;
}

static bool host_has(const struct isa_row *row)
{
	uint32_t r[4];

	if (row->bit == 255)
		return true;
	if (!__get_cpuid_count(row->leaf, row->sub, &r[0], &r[1], &r[2], &r[3]))
		return false;
	return (r[row->reg] >> row->bit & 1) && (!(row->flags & YMM) || host_has_ymm());
}

bool cpu_host_isa(unsigned isa_set)
{
	const struct isa_row *row = find_row(isa_set);

	return row && host_has(row);
}

bool cpu_model_host_ok(const struct cpu_model *m)
{
	for (size_t i = 0; i < ARRAY_LEN(isa_rows); i++)
		if ((isa_rows[i].flags & HOST) && model_has(m, &isa_rows[i]) &&
		    !host_has(&isa_rows[i]))
			return false;
	return true;
}

const char *cpu_model_best(void)
{
	size_t i = 0;

	while (i < ARRAY_LEN(models) - 1 && (models[i].asked || !cpu_model_host_ok(&models[i])))
		i++;
	return models[i].name;
}

const char *cpu_model_name(unsigned nth)
{
	return nth < ARRAY_LEN(models) ? models[nth].name : NULL;
}
