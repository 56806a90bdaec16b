/* Registers in and out, reset, and two processors at once. */
#include "cpu/kvm/kvm_tiny.h"

#include <pthread.h>

static void registers_come_back(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs in = long_regs(t), out;

	for (unsigned i = 0; i < 16; i++)
		in.gpr[i] = UINT64_C(0x0101010101010101) * (i + 1);
	in.rip = UINT64_C(0xffff800000001234);
	in.rflags = 0x202 | X86_CF | X86_DF;
	in.cr2 = UINT64_C(0xdeadbeef000);
	in.seg[CPU_FS].base = UINT64_C(0x7f0012345678);
	in.seg[CPU_GS].base = UINT64_C(0xffff888000000000);
	in.star = UINT64_C(0x0023001000000000);
	in.lstar = UINT64_C(0xffffffff81000000);
	in.cstar = UINT64_C(0xffffffff81001000);
	in.sfmask = 0x47700;
	in.kernel_gs_base = UINT64_C(0xffff888100000000);
	in.sysenter_cs = 0x10;
	in.sysenter_esp = 0x1000;
	in.sysenter_eip = 0x2000;
	in.pat = UINT64_C(0x0407050600070106);
	in.mtrr_def = 0xc06;
	in.mtrr_fixed[0] = in.mtrr_fixed[10] = UINT64_C(0x0606060606060606);
	in.mtrr_var[0] = 0x80000006;
	in.mtrr_var[1] = UINT64_C(0xffc0000800);
	in.dr[0] = 0x1000;
	in.dr[3] = 0x4000;
	in.dr7 = 0x401;
	in.xcr0 = 3;
	in.tsc_offset = (uint64_t)-5000000000;
	in.tsc_adjust = 12345;
	in.cr8 = 7;
	in.nmi_masked = true;
	in.shadow_sti = true;
	st16(in.xsave, 0x37f);
	in.xsave[4] = 0;
	for (unsigned i = 160; i < 416; i++)
		in.xsave[i] = (uint8_t)i;
	st64(in.xsave + 512, 3);
	set_regs(t, 0, &in);
	out = regs_of(t);
	CHECK_MEM(out.gpr, in.gpr, sizeof(in.gpr));
	CHECK_EQ(out.rip, in.rip);
	CHECK_EQ(out.rflags, in.rflags);
	CHECK_EQ(out.cr0, in.cr0);
	CHECK_EQ(out.cr2, in.cr2);
	CHECK_EQ(out.cr3, in.cr3);
	CHECK_EQ(out.cr4, in.cr4);
	CHECK_EQ(out.cr8, 7);
	CHECK_EQ(out.efer, in.efer);
	for (unsigned i = 0; i < CPU_LDTR; i++) {
		CHECK_EQ(out.seg[i].sel, in.seg[i].sel);
		CHECK_EQ(out.seg[i].base, in.seg[i].base);
		CHECK_EQ(out.seg[i].limit, in.seg[i].limit);
		CHECK_EQ(out.seg[i].attr, in.seg[i].attr);
	}
	CHECK_EQ(out.gdt.base, GDT);
	CHECK_EQ(out.idt.limit, 0xfff);
	CHECK_MEM(&out.star, &in.star, offsetof(struct cpu_regs, tsc_aux) - offsetof(struct cpu_regs, star));
	CHECK_EQ(out.sysenter_cs, 0x10);
	CHECK_EQ(out.sysenter_esp, 0x1000);
	CHECK_EQ(out.sysenter_eip, 0x2000);
	CHECK_EQ(out.pat, in.pat);
	CHECK_EQ(out.mtrr_def, in.mtrr_def);
	CHECK_MEM(out.mtrr_fixed, in.mtrr_fixed, sizeof(in.mtrr_fixed));
	CHECK_MEM(out.mtrr_var, in.mtrr_var, sizeof(in.mtrr_var));
	CHECK_EQ(out.dr[3], 0x4000);
	CHECK_EQ(out.dr7, 0x401);
	CHECK_EQ(out.xcr0, 3);
	CHECK_EQ(out.tsc_offset, in.tsc_offset);
	CHECK_EQ(out.tsc_adjust, 12345);
	CHECK(out.nmi_masked && out.shadow_sti && !out.shadow_mov_ss && !out.halted);
	CHECK_MEM(out.xsave + 160, in.xsave + 160, 256);
	CHECK_EQ(ld16(out.xsave), 0x37f);
	CHECK_EQ(out.apic_base, 0xfee00900);
}

static void impossible_registers_are_refused(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t), bad;
	struct err err;

	bad = r;
	bad.xcr0 = 2;
	CHECK_EQ(t->cpu[0]->engine->set_regs(t->cpu[0], &bad, &err), -EINVAL);
	bad = r;
	bad.cr8 = 16;
	CHECK_EQ(t->cpu[0]->engine->set_regs(t->cpu[0], &bad, &err), -EINVAL);
	bad = r;
	bad.cr4 = 1u << 31;
	CHECK_EQ(t->cpu[0]->engine->set_regs(t->cpu[0], &bad, &err), -EINVAL);
	CHECK(strlen(err.msg) > 10);
}

static void reset_and_init(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);

	r.lstar = 0x1234;
	r.xcr0 = 3;
	set_regs(t, 0, &r);
	t->cpu[0]->engine->reset(t->cpu[0], true);	/* INIT keeps some */
	r = regs_of(t);
	CHECK_EQ(r.lstar, 0x1234);
	CHECK_EQ(r.xcr0, 3);
	CHECK_EQ(r.cr0 & (X86_CR0_PG | X86_CR0_PE), 0);
	t->cpu[0]->engine->reset(t->cpu[0], false);	/* power-on keeps none */
	r = regs_of(t);
	CHECK_EQ(r.lstar, 0);
	CHECK_EQ(r.xcr0, 1);
	CHECK_EQ(r.rip, 0xfff0);
	CHECK_EQ(r.seg[CPU_CS].sel, 0xf000);
	CHECK_EQ(r.seg[CPU_CS].base, 0xffff0000);
	CHECK_EQ(r.efer, 0);
	CHECK_EQ(r.cr0, 0x60000010);
	CHECK_EQ(r.rflags, 2);
	CHECK_EQ(r.pat, X86_PAT_RESET);
	CHECK_EQ(r.gpr[CPU_RDX], 0x206c2);
}

GUEST(g_crash, 64, "ud2\n");
GUEST(g_tsc, 64, "rdtsc\n" "mov %eax, 0x8000\n" "mov %edx, 0x8004\n" "hlt\n");

static void a_triple_fault_is_a_shutdown(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);

	LOAD(t, CODE, g_crash);
	r.idt.limit = 0;
	set_regs(t, 0, &r);
	CHECK_EQ(cpu_run(t->cpu[0]), CPU_EXIT_SHUTDOWN);
	start_long(t);				/* and there is life after */
	LOAD(t, CODE, g_tsc);
	run_to_hlt(t);
}

static void the_tsc_is_the_hosts_plus_offset(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);
	uint64_t before, got;

	LOAD(t, CODE, g_tsc);
	r.tsc_offset = UINT64_C(1) << 50;
	set_regs(t, 0, &r);
	before = cpu_host_tsc();
	run_to_hlt(t);
	CHECK_EQ(gmem_read(t->mem, 0x8000, &got, 8), 0);
	CHECK(got - r.tsc_offset >= before);
	CHECK(got - r.tsc_offset <= cpu_host_tsc());
}

GUEST(g_pair, 64,
	"mov $100000, %ecx\n"
	"1: lock incl 0x8020\n"
	"dec %ecx\n"
	"jnz 1b\n"
	"hlt\n");

static void *second_main(void *arg)
{
	struct tiny *t = arg;

	return cpu_run(t->cpu[1]) == CPU_EXIT_HLT ? t : NULL;
}

static void two_processors_share_memory(void **state)
{
	struct tiny *t = *state;
	struct cpu_regs r = long_regs(t);
	pthread_t thread;
	uint32_t n;
	void *ok;

	LOAD(t, CODE, g_pair);
	set_regs(t, 0, &r);
	t->cpu[1]->engine->reset(t->cpu[1], false);
	r.gpr[CPU_RSP] -= 0x1000;
	set_regs(t, 1, &r);
	CHECK_EQ(pthread_create(&thread, NULL, second_main, t), 0);
	run_to_hlt(t);
	pthread_join(thread, &ok);
	CHECK(ok != NULL);
	CHECK_EQ(gmem_load32(t->mem, 0x8020, &n), 0);
	CHECK_EQ(n, 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KVM_TEST(registers_come_back),
		KVM_TEST(impossible_registers_are_refused),
		KVM_TEST(reset_and_init),
		KVM_TEST(a_triple_fault_is_a_shutdown),
		KVM_TEST(the_tsc_is_the_hosts_plus_offset),
		KVM_TEST(two_processors_share_memory),
	};
	int skip = kvm_tiny_skip();

	return skip != 0 ? skip : cmocka_run_group_tests_name("kvm-state", tests, NULL, NULL);
}
