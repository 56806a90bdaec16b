/* What a guest does to ports, memory, MSRs and CPUID reaches us, and our answers reach it. */
#include "cpu/kvm/kvm_tiny.h"

static void the_probe_says_yes(void **state)
{
	struct err err = { "" };

	(void)state;
	if (kvm_probe(&err) != 0)
		fail_msg("%s", err.msg);
}

GUEST(g_ports, 16,
	"mov $0x1234, %ax\n"
	"out %al, $0x10\n"
	"mov $0x3f8, %dx\n"
	"out %ax, %dx\n"
	"inl %dx, %eax\n"
	"mov %eax, 0x8000\n"
	"mov $0x8000, %si\n"
	"mov $4, %cx\n"
	"cld\n"
	"rep outsb\n"
	"hlt\n");

static void ports_in_real_mode(void **state)
{
	struct tiny *t = *state;
	uint32_t got;

	LOAD(t, CODE, g_ports);
	start_real(t);
	t->answer = 0xcafe1234;
	run_to_hlt(t);
	CHECK_EQ(t->nr, 7);
	check_log(t, 0, 'o', 0x10, 0x34, 1);
	check_log(t, 1, 'o', 0x3f8, 0x1234, 2);
	check_log(t, 2, 'i', 0x3f8, 0, 4);
	check_log(t, 3, 'o', 0x3f8, 0x34, 1);
	check_log(t, 6, 'o', 0x3f8, 0xca, 1);
	CHECK_EQ(gmem_load32(t->mem, 0x8000, &got), 0);
	CHECK_EQ(got, 0xcafe1234);
	CHECK_EQ(regs_of(t).rip, CODE + (uint64_t)(g_ports_end - g_ports));
}

GUEST(g_mmio, 32,
	"mov $0xfee00000, %esi\n"
	"movl $0x11223344, (%esi)\n"
	"movw $0x5566, 2(%esi)\n"
	"movb $0x77, 1(%esi)\n"
	"mov 8(%esi), %eax\n"
	"mov %eax, 0x8000\n"
	"movzbl 3(%esi), %eax\n"
	"mov %eax, 0x8004\n"
	"hlt\n");

static void memory_in_protected_mode(void **state)
{
	const struct cpu_seg data = { .sel = 0x10, .attr = 0xc093, .limit = UINT32_MAX };
	struct tiny *t = *state;
	struct cpu_regs r;
	uint32_t got;

	LOAD(t, CODE, g_mmio);
	start_real(t);
	r = regs_of(t);
	r.cr0 |= X86_CR0_PE;
	for (unsigned i = 0; i < CPU_LDTR; i++)
		r.seg[i] = data;
	r.seg[CPU_CS] = (struct cpu_seg){ .sel = 8, .attr = 0xc09b, .limit = UINT32_MAX };
	set_regs(t, 0, &r);
	t->answer = 0x99aabbcc;
	run_to_hlt(t);
	CHECK_EQ(t->nr, 5);
	check_log(t, 0, 'w', 0xfee00000, 0x11223344, 4);
	check_log(t, 1, 'w', 0xfee00002, 0x5566, 2);
	check_log(t, 2, 'w', 0xfee00001, 0x77, 1);
	check_log(t, 3, 'r', 0xfee00008, 0, 4);
	check_log(t, 4, 'r', 0xfee00003, 0, 1);
	CHECK_EQ(gmem_load32(t->mem, 0x8000, &got), 0);
	CHECK_EQ(got, 0x99aabbcc);
	CHECK_EQ(gmem_load32(t->mem, 0x8004, &got), 0);
	CHECK_EQ(got, 0xcc);
}

GUEST(g_msrs, 64,
	"mov $0x40000073, %ecx\n"
	"mov $0x5001, %eax\n"
	"mov $0x1, %edx\n"
	"wrmsr\n"
	"mov $0x40000020, %ecx\n"
	"rdmsr\n"
	"mov %eax, 0x8000\n"
	"mov %edx, 0x8004\n"
	"mov $0x6e0, %ecx\n"
	"wrmsr\n"
	"mov $0x80b, %ecx\n"		/* x2APIC EOI */
	"xor %eax, %eax\n"
	"xor %edx, %edx\n"
	"wrmsr\n"
	"mov $0xc0000102, %ecx\n"	/* the processor's own */
	"mov $0x1000, %eax\n"
	"wrmsr\n"
	"mov $0x4f0, %ecx\n"		/* nobody's: #GP */
	"rdmsr\n"
	"ud2\n");

GUEST(g_out_hlt, 64, "mov $0xaa, %al\n" "out %al, $0x10\n" "hlt\n");

static void msrs(void **state)
{
	struct tiny *t = *state;
	uint64_t got;

	LOAD(t, CODE, g_msrs);
	LOAD(t, CODE + 0x800, g_out_hlt);
	start_long(t);
	gate(t, X86_GP, CODE + 0x800);
	t->answer = UINT64_C(0x123456789abcdef0);
	run_to_hlt(t);
	CHECK_EQ(t->nr, 6);
	check_log(t, 0, 'W', 0x40000073, UINT64_C(0x100005001), 8);
	check_log(t, 1, 'R', 0x40000020, 0, 8);
	check_log(t, 2, 'W', 0x6e0, t->answer, 8);
	check_log(t, 3, 'W', 0x80b, 0, 8);
	check_log(t, 4, 'R', 0x4f0, 0, 8);
	check_log(t, 5, 'o', 0x10, 0xaa, 1);	/* the #GP handler */
	CHECK_EQ(gmem_read(t->mem, 0x8000, &got, 8), 0);
	CHECK_EQ(got, t->answer);
	CHECK_EQ(regs_of(t).kernel_gs_base, 0x1000);
}

GUEST(g_call, 64,
	"mov $0x1111, %ecx\n"
	"mov $0x2222, %edx\n"
	"mov $0x3333, %r8d\n"
	"movq %rdx, %xmm1\n"
	"out %al, $0xea\n"
	"movq %xmm1, %rbx\n"
	"hlt\n");

static void hypercalls_by_port(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r;

	CHECK_EQ(cpu_engine_kvm.hypercall_port, 0xea);
	LOAD(t, CODE, g_call);
	start_long(t);
	run_to_hlt(t);
	CHECK_EQ(t->nr_calls, 1);
	CHECK_EQ(t->nr, 0);
	CHECK(t->call.long_mode);
	CHECK_EQ(t->call_gpr[CPU_RCX], 0x1111);
	CHECK_EQ(t->call_gpr[CPU_RDX], 0x2222);
	CHECK_EQ(t->call_gpr[CPU_R8], 0x3333);
	CHECK_EQ(ld64(t->call_xmm[1]), 0x2222);
	r = regs_of(t);
	CHECK_EQ(r.gpr[CPU_RAX], 0x77);
	CHECK_EQ(r.gpr[CPU_RDX], 0x2223);
	CHECK_EQ(r.gpr[CPU_RBX], 0x2222 ^ 0xff);
	CHECK_EQ(r.rip, CODE + (uint64_t)(g_call_end - g_call));
}

static void hypercalls_only_from_the_kernel(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r;

	LOAD(t, CODE, g_call);
	start_real(t);			/* real mode, same bytes up to the OUT matter little */
	r = regs_of(t);
	r.rip = CODE + 0x20;
	load(t, CODE + 0x20, (const uint8_t[]){ 0xe6, 0xea, 0xf4 }, 3);
	set_regs(t, 0, &r);
	run_to_hlt(t);
	CHECK_EQ(t->nr_calls, 0);
}

GUEST(g_cpuid, 64,
	"mov $0x40000001, %eax\n" "cpuid\n" "mov %eax, 0x8000\n"
	"mov $1, %eax\n" "cpuid\n" "mov %ecx, 0x8004\n" "mov %edx, 0x8008\n"
	"xor %eax, %eax\n" "cpuid\n" "mov %ebx, 0x800c\n"
	"hlt\n");

static void cpuid_is_the_models_and_the_boards(void **state)
{
	uint32_t got[4], want[4];
	struct tiny *t = *state;

	LOAD(t, CODE, g_cpuid);
	start_long(t);
	run_to_hlt(t);
	CHECK_EQ(gmem_read(t->mem, 0x8000, got, sizeof(got)), 0);
	CHECK_EQ(got[0], 0x31237648);
	CHECK_EQ(got[1] >> 31, 1);
	cpu_model_cpuid(cpu_model_find("x86-64-v2"), 1, 0, want);
	CHECK_EQ(got[1] & ~want[2] & ~(1u << 31 | 1u << 27), 0);	/* nothing more */
	CHECK_EQ(got[2] & ~want[3], 0);
	CHECK_EQ(got[1] >> 21 & 1, want[2] >> 21 & 1);			/* x2APIC is ours */
	CHECK_EQ(got[2] >> 9 & 1, 1);					/* and so is the APIC */
	cpu_model_cpuid(cpu_model_find("x86-64-v2"), 0, 0, want);
	CHECK_EQ(got[3], want[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_probe_says_yes),
		KVM_TEST(ports_in_real_mode),
		KVM_TEST(memory_in_protected_mode),
		KVM_TEST(msrs),
		KVM_TEST(hypercalls_by_port),
		KVM_TEST(hypercalls_only_from_the_kernel),
		KVM_TEST(cpuid_is_the_models_and_the_boards),
	};
	int skip = kvm_tiny_skip();

	return skip != 0 ? skip : cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
