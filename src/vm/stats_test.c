/* stats_test.c - what a guest did is what was counted, and traced */
#include "base/test.h"

#include "vm/vm_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * mov cl, 5; 1: in al, 0x71; dec cl; jnz 1b; three CPUIDs (EBX, ECX and EDX
 * are lost); two writes and a read of the APIC; RDMSR of its base; exit
 */
static const uint8_t program[] = {
	0xb1, 0x05, 0xe4, 0x71, 0xfe, 0xc9, 0x75, 0xfa, 0x31, 0xc0, 0x0f, 0xa2, 0x31, 0xc0, 0x0f,
	0xa2, 0x31, 0xc0, 0x0f, 0xa2, 0xa1, 0x80, 0x00, 0xe0, 0xfe, 0xa3, 0x80, 0x00, 0xe0, 0xfe,
	0xa3, 0x80, 0x00, 0xe0, 0xfe, 0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32, 0xe6, 0xf4, 0xfa,
	0xf4,
};

static void write_kernel(char path[32])
{
	uint8_t b[512] = "\x7f" "ELF\x01\x01\x01";
	int fd;

	st16(b + 16, 2);
	st16(b + 18, 3);
	st32(b + 24, 0x100010);
	st32(b + 28, 52);
	st16(b + 42, 32);
	st16(b + 44, 1);
	st32(b + 52, 1);
	st32(b + 56, 0x60);
	st32(b + 64, 0x100000);
	st32(b + 68, 0x10 + sizeof(program));
	st32(b + 72, 0x1000);
	st32(b + 0x60, 0x1badb002);
	st32(b + 0x68, (uint32_t)-0x1badb002);
	memcpy(b + 0x70, program, sizeof(program));
	strcpy(path, "/tmp/gvstatXXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, b, sizeof(b)), (ssize_t)sizeof(b));
	close(fd);
}

static struct vm_counter rows[VM_MAX_COUNTERS];
static size_t nr;

static void run(const char *engine, bool stats)
{
	struct err e = { "" };
	char path[32];
	struct vm *vm;
	struct vm_conf c = {
		.generation = 2, .memory = 32 * MIB, .cpus = 2, .engine = engine, .kernel = path,
		.test_devices = true, .no_uring = true, .stats = stats,
	};

	write_kernel(path);
	CHECK_EQ(vm_new(&c, &vm, &e), 0);
	CHECK_EQ(vm_run(vm, &e), VM_END_TEST);
	nr = vm_counters(vm, rows, ARRAY_LEN(rows));
	CHECK(nr > VM_NR_STATS && nr < ARRAY_LEN(rows));
	CHECK_EQ(vm_counters(vm, rows, 3), 3);
	vm_free(vm);
	unlink(path);
}

static uint64_t val(const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].val;
	fail_msg("no counter %s", name);
	return 0;
}

static void a_guest_is_counted(void **state)
{
	(void)state;
	run("interpret", true);
	CHECK_EQ(val("port-reads"), 5);
	CHECK_EQ(val("port-writes"), 1);
	CHECK_EQ(val("cpuid"), 3);
	CHECK_EQ(val("mmio-reads"), 1);
	CHECK_EQ(val("mmio-writes"), 2);
	CHECK_EQ(val("msr-reads"), 1);
	CHECK_EQ(val("hypercalls"), 0);
	CHECK_EQ(val("instructions"), 1 + 5 * 3 + 6 + 3 + 2 + 1);
	CHECK(val("blocks-decoded") >= 5 && val("blocks-decoded") <= 20);
	CHECK(val("exits-kick") >= 1);
	/* Names are one of a kind: they are keys of JSON. */
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(rows[i].name, rows[j].name) != 0);
}

static void nobody_counts_for_nobody(void **state)
{
	(void)state;
	run("interpret", false);
	CHECK_EQ(val("port-reads"), 0);
	CHECK(val("instructions") > 0);
}

/* The file as one string. */
static const char *traced(bool insns)
{
	static char text[20000];
	struct err e = { "" };
	char path[32], out[40];
	struct vm *vm;
	struct vm_conf c = {
		.generation = 2, .memory = 32 * MIB, .cpus = 2, .engine = "auto", .kernel = path,
		.test_devices = true, .no_uring = true, .trace = out, .trace_insns = insns,
	};
	size_t n;
	FILE *f;

	write_kernel(path);
	snprintf(out, sizeof(out), "%s.trace", path);
	CHECK_EQ(vm_new(&c, &vm, &e), 0);
	CHECK_STR(vm_engine(vm), "interpret");
	CHECK_EQ(vm_run(vm, &e), VM_END_TEST);
	vm_free(vm);
	f = fopen(out, "r");
	CHECK(f != NULL);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	unlink(out);
	c.engine = "kvm";
	c.trace = "/nonexistent/trace";
	CHECK_EQ(vm_new(&c, &vm, &e), -EOPNOTSUPP);
	c.engine = "interpret";
	CHECK_EQ(vm_new(&c, &vm, &e), -ENOENT);
	unlink(path);
	return text;
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void a_trace_has_a_line_for_each(void **state)
{
	const char *t = traced(false);

	(void)state;
	CHECK(strncmp(t, "0 0010:0000000000100010 32 r0 ", 30) == 0);
	CHECK(lines(t) >= 8 && lines(t) <= 30);
	t = traced(true);
	CHECK(strncmp(t, "0 0010:0000000000100010 32 r0 mov cl, 0x05\n", 43) == 0);
	CHECK(strstr(t, "0 0010:0000000000100038 32 r0 rdmsr\n") != NULL);
	CHECK_EQ(lines(t), 1 + 5 * 3 + 6 + 3 + 2 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_is_counted),
		cmocka_unit_test(nobody_counts_for_nobody),
		cmocka_unit_test(a_trace_has_a_line_for_each),
	};

	return cmocka_run_group_tests_name("vm_stats", tests, NULL, NULL);
}
