/*
 * vm_test.c - whole machines with guests of a few instructions
 *
 * The guests are multiboot images made here: 32-bit code at 1 MiB + 16.
 */
#include "base/test.h"

#include "vm/vm_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CODE 0x100010u
#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

struct image {
	uint8_t b[1024];
	size_t n;
	char path[32];
};

static void put(struct image *im, const uint8_t *code, size_t n)
{
	CHECK(im->n + n <= sizeof(im->b));
	memcpy(im->b + im->n, code, n);
	im->n += n;
}

static void begin(struct image *im)
{
	memset(im, 0, sizeof(*im));
	memcpy(im->b, "\x7f" "ELF\x01\x01\x01", 7);
	st16(im->b + 16, 2);
	st16(im->b + 18, 3);
	st32(im->b + 24, CODE);
	st32(im->b + 28, 52);
	st16(im->b + 42, 32);
	st16(im->b + 44, 1);
	st32(im->b + 52, 1);		/* PT_LOAD: file offset 0x60 at 1 MiB */
	st32(im->b + 56, 0x60);
	st32(im->b + 64, 0x100000);
	st32(im->b + 0x60, 0x1badb002);
	st32(im->b + 0x68, (uint32_t)-0x1badb002);
	im->n = 0x70;
}

static const char *finish(struct image *im)
{
	int fd;

	st32(im->b + 68, (uint32_t)im->n - 0x60);
	st32(im->b + 72, 0x1000);
	strcpy(im->path, "/tmp/gvvmXXXXXX");
	fd = mkstemp(im->path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, im->b, im->n), (ssize_t)im->n);
	close(fd);
	return im->path;
}

/* OUT 0xF4, AL and, if that should ever return, nothing. */
static void put_exit(struct image *im) { put(im, BYTES(0xe6, 0xf4, 0xfa, 0xf4, 0xeb, 0xfd)); }

static void put_reset(struct image *im)
{
	put(im, BYTES(0x66, 0xba, 0x33, 0x04, 0xb0, 0x01, 0xee));
}

/* An empty IDT and a breakpoint. */
static void put_triple_fault(struct image *im)
{
	put(im, BYTES(0x0f, 0x01, 0x1d, 0x00, 0x00, 0x20, 0x00, 0xcc));
}

/*
 * Counts boots in CMOS memory, which survives resets; at LAST goes on with AL
 * = LAST, else jumps over SKIP bytes.
 */
static void put_count(struct image *im, uint8_t last, uint8_t skip)
{
	put(im, BYTES(0xb0, 0x50, 0xe6, 0x70, 0xe4, 0x71, 0xfe, 0xc0, 0xe6, 0x71, 0x3c, last, 0x75,
		      skip));
}

static struct vm_conf conf(const char *kernel)
{
	return (struct vm_conf){
		.generation = 2, .memory = 32 * MIB, .cpus = 1, .engine = "interpret",
		.kernel = kernel,
		.test_devices = true, .no_uring = true,
	};
}

static enum vm_end run(const struct vm_conf *c, unsigned *ret_code)
{
	struct err e = { "" };
	enum vm_end end;
	struct vm *vm;

	CHECK_EQ(vm_new(c, &vm, &e), 0);
	end = vm_run(vm, &e);
	if (ret_code != NULL)
		*ret_code = vm_test_code(vm);
	vm_free(vm);
	return end;
}

static void test_programs_learn_the_number_of_processors(void **s)
{
	struct vm_conf c;
	struct image im;
	unsigned code;

	(void)s;
	begin(&im);
	/* OUT 0x510, AX = 5; IN AL, 0x511 */
	put(&im, BYTES(0x66, 0xba, 0x10, 0x05, 0x66, 0xb8, 0x05, 0x00, 0x66, 0xef, 0x42, 0xec));
	put_exit(&im);
	c = conf(finish(&im));
	c.cpus = 3;
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 3);
	unlink(im.path);
}

static void cpuid_hides_a_local_apic_that_is_off(void **s)
{
	struct vm_conf c;
	struct image im;
	unsigned code;

	(void)s;
	begin(&im);
	/* ECX = 1B; RDMSR; AH &= ~8; WRMSR */
	put(&im, BYTES(0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x80, 0xe4, 0xf7, 0x0f, 0x30));
	/* EAX = 1; CPUID; EAX = EDX >> 9 & 1 */
	put(&im, BYTES(0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0xc1, 0xea, 0x09, 0x89, 0xd0, 0x24, 0x01));
	put(&im, BYTES(0x04, 0x10));		/* ADD AL, 16 */
	put_exit(&im);
	c = conf(finish(&im));
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 16);
	unlink(im.path);
}

static void test_programs_send_interrupts_to_a_set(void **s)
{
	uint64_t gpr[16] = { [CPU_RAX] = 10, [CPU_RBX] = 6, [CPU_RSI] = 0x44 };
	struct err e = { "" };
	struct vm_conf c;
	struct image im;
	struct vm *vm;

	(void)s;
	begin(&im);
	put_exit(&im);
	c = conf(finish(&im));
	c.cpus = 3;
	CHECK_EQ(vm_new(&c, &vm, &e), 0);
	for (unsigned i = 0; i < 3; i++)
		lapic_write(vm->lapics, i, 0xf0, 0x1ff);
	CHECK(testconn_hypercall(vm, gpr));
	CHECK_EQ(gpr[CPU_RAX], 2);
	CHECK_EQ(lapic_take(vm->lapics, 0), -1);
	CHECK_EQ(lapic_take(vm->lapics, 1), 0x44);
	CHECK_EQ(lapic_take(vm->lapics, 2), 0x44);
	gpr[CPU_RAX] = 10;
	gpr[CPU_RDX] = UINT64_MAX;		/* nobody there */
	CHECK(testconn_hypercall(vm, gpr));
	CHECK_EQ(gpr[CPU_RAX], 0);
	CHECK(!testconn_hypercall(vm, gpr));	/* none of ours */
	gpr[CPU_RAX] = 10;
	CHECK_EQ(hv_msr_write(vm->hv, 0, 0x40000000, 1), 0);
	CHECK(!testconn_hypercall(vm, gpr));	/* a guest of Hyper-V */
	vm_free(vm);
	unlink(im.path);
}

/* CLI, a pulse on line 11, STI, HLT: the PIC's vector 73 arrives in real mode. */
static void test_programs_have_a_pic(void **s)
{
	struct vm_conf c;
	struct image im;
	unsigned code;

	(void)s;
	begin(&im);
	/* real-mode part to 0x7000 + 0x100, by MOV DWORD [moffs], imm */
	put(&im, BYTES(0xc7, 0x05, 0xcc, 0x01, 0, 0, 0x00, 0x71, 0, 0));	/* IVT 73: 0:7100 */
	put(&im, BYTES(0xc7, 0x05, 0x00, 0x71, 0, 0, 0xb0, 0x2a, 0xe6, 0xf4));	/* AL = 2A; OUT F4 */
	put(&im, BYTES(0xc7, 0x05, 0x04, 0x71, 0, 0, 0xfa, 0xf4, 0xeb, 0xfc));	/* CLI; HLT; again */
	put(&im, BYTES(0x66, 0xba, 0x0b, 0x20, 0xb0, 0x01, 0xee, 0xb0, 0x00, 0xee));
	/* GDT of our own: 16-bit code at 8, and the way down at 0x7200 */
	put(&im, BYTES(0xc7, 0x05, 0x08, 0x72, 0, 0, 0xff, 0xff, 0x00, 0x00));
	put(&im, BYTES(0xc7, 0x05, 0x0c, 0x72, 0, 0, 0x00, 0x9b, 0x00, 0x00));
	put(&im, BYTES(0xc7, 0x05, 0x10, 0x72, 0, 0, 0x0f, 0x00, 0x00, 0x72));
	put(&im, BYTES(0xc7, 0x05, 0x14, 0x72, 0, 0, 0x00, 0x00, 0x00, 0x00));
	put(&im, BYTES(0x0f, 0x01, 0x15, 0x10, 0x72, 0, 0));			/* LGDT */
	/* MOV EAX, CR0; AND AL, FE; MOV CR0, EAX; JMP 0:7310 */
	put(&im, BYTES(0xc7, 0x05, 0x00, 0x73, 0, 0, 0x0f, 0x20, 0xc0, 0x24));
	put(&im, BYTES(0xc7, 0x05, 0x04, 0x73, 0, 0, 0xfe, 0x0f, 0x22, 0xc0));
	put(&im, BYTES(0xc7, 0x05, 0x08, 0x73, 0, 0, 0xea, 0x10, 0x73, 0x00));
	put(&im, BYTES(0xc7, 0x05, 0x0c, 0x73, 0, 0, 0x00, 0x90, 0x90, 0x90));
	/* XOR AX, AX; MOV SS, AX; STI; HLT; JMP back */
	put(&im, BYTES(0xc7, 0x05, 0x10, 0x73, 0, 0, 0x31, 0xc0, 0x8e, 0xd0));
	put(&im, BYTES(0xc7, 0x05, 0x14, 0x73, 0, 0, 0xfb, 0xf4, 0xeb, 0xfd));
	put(&im, BYTES(0xbc, 0x00, 0x60, 0, 0));				/* MOV ESP */
	put(&im, BYTES(0xea, 0x00, 0x73, 0, 0, 0x08, 0x00));			/* JMP 8:7300 */
	c = conf(finish(&im));
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 0x2a);
	unlink(im.path);
}

static void test_programs_connect_to_themselves(void **s)
{
	struct err e = { "" };
	struct vm_conf c;
	struct image im;
	struct vm *vm;

	(void)s;
	begin(&im);
	put_exit(&im);
	c = conf(finish(&im));
	CHECK_EQ(vm_new(&c, &vm, &e), 0);
	CHECK(vm_hv_port.post(vm, 0, 0x11, 9, "message", 7) != 0);
	CHECK(vm_hv_port.signal(vm, 0x21, 0) != 0);
	testconn_do(vm, TESTDEV_MSG_CREATE, 0, 8, 0x11);
	testconn_do(vm, TESTDEV_EVENT_CREATE, 0, 9, 0x21);
	CHECK_EQ(vm_hv_port.post(vm, 0, 0x11, 9, "message", 7), 0);
	CHECK_EQ(vm_hv_port.signal(vm, 0x21, 0), 0);
	CHECK(vm_hv_port.post(vm, 0, 0x111, 9, "message", 7) != 0);
	testconn_do(vm, TESTDEV_MSG_DESTROY, 0, 0, 0x11);
	testconn_do(vm, TESTDEV_EVENT_DESTROY, 0, 0, 0x21);
	CHECK(vm_hv_port.post(vm, 0, 0x11, 9, "message", 7) != 0);
	CHECK(vm_hv_port.signal(vm, 0x21, 0) != 0);
	/* Processors and sources that are not there. */
	testconn_do(vm, TESTDEV_MSG_CREATE, 200, 200, 0x11);
	CHECK(vm_hv_port.post(vm, 0, 0x11, 9, "message", 7) != 0);
	testconn_do(vm, TESTDEV_SINT_RAISE, 200, 200, 0);
	testconn_do(vm, (enum testdev_synic)77, 0, 0, 0);
	vm_free(vm);
	c.test_devices = false;
	CHECK_EQ(vm_new(&c, &vm, &e), 0);
	CHECK(vm_hv_port.post(vm, 0, 0x11, 9, "message", 7) != 0);
	CHECK(vm_hv_port.signal(vm, 0x21, 0) != 0);
	vm_free(vm);
	unlink(im.path);
}

/* ---- a BIOS of a few instructions ----------------------------------------- */

struct rom {
	char path[32];
	struct vm_conf c;
};

/* 64 KiB; CODE is where the reset vector jumps to, F000:0000 of the ROM at its place. */
static void begin_rom(struct rom *r, const uint8_t *code, size_t n)
{
	static uint8_t b[64 * KIB];
	int fd;

	memset(b, 0xf4, sizeof(b));
	memcpy(b, code, n);
	memcpy(b + 0xfff0, "\xe9\x0d\x00", 3);	/* jmp to offset 0 of the segment */
	strcpy(r->path, "/tmp/gvromXXXXXX");
	fd = mkstemp(r->path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, b, sizeof(b)), (ssize_t)sizeof(b));
	close(fd);
	r->c = (struct vm_conf){ .generation = 1, .memory = 32 * MIB, .cpus = 1,
				 .engine = "interpret", .firmware = r->path, .no_vga = true };
}

static enum vm_end run_rom(struct rom *r)
{
	struct err e = { "" };
	enum vm_end end;
	struct vm *vm;

	CHECK_EQ(vm_new(&r->c, &vm, &e), 0);
	end = vm_run(vm, &e);
	vm_free(vm);
	unlink(r->path);
	return end;
}

static void a_bios_turns_the_machine_off(void **s)
{
	struct rom r;

	(void)s;
	begin_rom(&r, BYTES(0xb0, 'E', 0xe6, 0xb2, 0xb0, 'T', 0xe6, 0xb2, 0xf4));
	CHECK_EQ(run_rom(&r), VM_END_POWER_OFF);
}

static void a_bios_resets_the_machine(void **s)
{
	struct rom r;

	(void)s;
	/* mov dx, cf9; mov al, 6; out dx, al */
	begin_rom(&r, BYTES(0xba, 0xf9, 0x0c, 0xb0, 6, 0xee, 0xf4));
	r.c.no_reboot = true;
	CHECK_EQ(run_rom(&r), VM_END_RESET);
}

/* The keyboard controller and a shutdown reset the processor alone: what was counted stays. */
static void a_bios_resets_its_processor(void **s)
{
	struct rom r;

	(void)s;
	begin_rom(&r, BYTES(
		0xb0, 0x50, 0xe6, 0x70, 0xe4, 0x71,		/* CMOS memory 50... */
		0x40, 0xe6, 0x71, 0x3c, 0x03, 0x74, 0x14,	/* ...plus 1; three: off */
		0xfe, 0x06, 0x00, 0x05,				/* inc byte [500] */
		0x3c, 0x02, 0x74, 0x05,
		0xb0, 0xfe, 0xe6, 0x64, 0xf4,			/* first the one */
		0x2e, 0x0f, 0x01, 0x1e, 0x38, 0x00, 0xcc,	/* then an IDT of nothing */
		0x80, 0x3e, 0x00, 0x05, 0x02, 0x75, 0x09,	/* off, if memory says two, too */
		0xb0, 'E', 0xe6, 0xb2, 0xb0, 'T', 0xe6, 0xb2, 0xf4,
		0xba, 0xf9, 0x0c, 0xb0, 6, 0xee, 0xf4,		/* else a reset */
		0, 0, 0, 0, 0, 0, 0, 0));
	r.c.no_reboot = true;
	CHECK_EQ(run_rom(&r), VM_END_POWER_OFF);
}

/*
 * The ROM at F000 takes no write; after PAM0 is opened RAM does, at once. Then
 * off; a machine in which either went wrong resets.
 */
static void shadow_ram_opens_and_closes(void **s)
{
	struct rom r;

	(void)s;
	begin_rom(&r, BYTES(
		0xb8, 0x00, 0xf0, 0x8e, 0xd8,			/* mov ax, f000; mov ds, ax */
		0x66, 0xb8, 0x58, 0x00, 0x00, 0x80,		/* eax = config address 58 */
		0xba, 0xf8, 0x0c, 0x66, 0xef,			/* to cf8 */
		0xc6, 0x06, 0x00, 0x80, 0x55,			/* mov [8000], 55: lost */
		0x80, 0x3e, 0x00, 0x80, 0xf4, 0x75, 0x23,	/* cmp [8000], f4; jne reset */
		0xba, 0xfd, 0x0c, 0xb0, 0x30, 0xee,		/* PAM0 = 30 */
		0xc6, 0x06, 0x00, 0x80, 0x66,			/* mov [8000], 66 */
		0xb0, 0x10, 0xee,				/* PAM0 = 10 */
		0xc6, 0x06, 0x00, 0x80, 0x77,			/* mov [8000], 77: lost */
		0x80, 0x3e, 0x00, 0x80, 0x66, 0x75, 0x09,	/* cmp [8000], 66; jne reset */
		0xb0, 'E', 0xe6, 0xb2, 0xb0, 'T', 0xe6, 0xb2, 0xf4,
		0xba, 0xf9, 0x0c, 0xb0, 6, 0xee, 0xf4));	/* reset: */
	r.c.no_reboot = true;
	CHECK_EQ(run_rom(&r), VM_END_POWER_OFF);
}

/* ---- building ------------------------------------------------------------- */

static void refused(const struct vm_conf *c, int rc, const char *words)
{
	struct err e = { "" };
	struct vm *vm;

	CHECK_EQ(vm_new(c, &vm, &e), rc);
	if (strstr(e.msg, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.msg, words);
}

static void impossible_machines_are_refused(void **s)
{
	struct vm_conf good, c;
	struct image im;

	(void)s;
	begin(&im);
	put_exit(&im);
	good = conf(finish(&im));
	c = good, c.generation = 1;
	refused(&c, -ENOTSUP, "boots through its BIOS");
	c.kernel = NULL;
	c.test_devices = false;
	c.firmware = "/dev/null";
	refused(&c, -EINVAL, "not a regular file");
	c.firmware = "/etc/passwd";
	refused(&c, -EINVAL, "a BIOS of 64, 128 or 256 KiB");
	c.cpus = 65;
	refused(&c, -EINVAL, "1 to 64");
	c = good;
	c.firmware = "/etc/passwd";
	refused(&c, -ENOTSUP, "--firmware");
	c = good, c.generation = 3;
	refused(&c, -ENOTSUP, "expected 1 or 2");
	c = good, c.cpus = 0;
	refused(&c, -EINVAL, "1 to 1024");
	c = good, c.cpus = 1025;
	refused(&c, -EINVAL, "1 to 1024");
	c = good, c.kernel = NULL;
	refused(&c, -EINVAL, "--kernel");
	c = good, c.memory = 30 * MIB;
	refused(&c, -EINVAL, "from 32 MiB");
	c = good, c.memory = 33 * MIB;
	refused(&c, -EINVAL, "multiple of 2 MiB");
	c = good, c.memory = UINT64_C(12) << 40;
	refused(&c, -ENOMEM, "the host has only");
	c = good, c.engine = "fast";
	refused(&c, -EINVAL, "engine \"fast\"");
	c = good, c.kernel = "/nonexistent/kernel";
	refused(&c, -ENOENT, "/nonexistent/kernel");
	c = good, c.disks = &(struct vm_disk){ .path = "/nonexistent/disk" }, c.nr_disks = 1;
	refused(&c, -ENOENT, "/nonexistent/disk");
	c.disks = &(struct vm_disk){ .path = "/nonexistent/disk", .lun = 64 };
	refused(&c, -EINVAL, "LUN 64");
	c.disks = &(struct vm_disk){ .path = "/nonexistent/disk", .controller = 4 };
	refused(&c, -EINVAL, "controller 4");
	c.nr_disks = VM_MAX_DISKS + 1;
	refused(&c, -EINVAL, "at most 256");
	unlink(im.path);
}

/* With a disk, two serial lines and two processors: nearly every kind of part. */
static void any_allocation_may_fail(void **s)
{
	const struct vhdx_create vhdx = { .size = 4 * MIB, .block_size = MIB };
	char path[40];
	const struct vm_disk disk = { .path = path };
	struct chr com = { 0 };
	struct image im;
	struct vm_conf c;
	struct err e;
	struct vm *vm;
	unsigned n;

	(void)s;
	snprintf(path, sizeof(path), "/tmp/gvvm%d.vhdx", (int)getpid());
	unlink(disk.path);
	CHECK_EQ(vhdx_create(disk.path, &vhdx, &e), 0);
	begin(&im);
	put_exit(&im);
	c = conf(finish(&im));
	c.cpus = 2;
	c.com1 = &com;
	c.disks = &disk;
	c.nr_disks = 1;
	for (n = 1; n < 2000; n++) {
		int rc;

		e.msg[0] = '\0';
		base_fail_alloc(n);
		rc = vm_new(&c, &vm, &e);
		base_fail_alloc(0);
		if (rc == 0)
			break;
		CHECK(e.msg[0] != '\0');
	}
	CHECK(n > 40 && n < 2000);
	vm_free(vm);
	unlink(disk.path);
	unlink(im.path);
}

/* ---- memory --------------------------------------------------------------- */

static unsigned memory_type(const struct cpu_regs *r, uint64_t gpa)
{
	unsigned type = r->mtrr_def & 0xff;
	bool hit = false;

	if (gpa < MIB)
		return r->mtrr_fixed[0] & 0xff;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t mask = r->mtrr_var[2 * i + 1] & ~PAGE_MASK,
			base = r->mtrr_var[2 * i] & ~PAGE_MASK;
		unsigned t = r->mtrr_var[2 * i] & 0xff;

		if ((r->mtrr_var[2 * i + 1] & 0x800) == 0 || (gpa & mask) != (base & mask))
			continue;
		type = hit && type == 0 ? 0 : t;	/* uncached wins */
		hit = true;
	}
	return type;
}

static void ram_is_cached_and_the_gap_is_not(void **s)
{
	static const uint64_t ends[] = {
		3968 * MIB, 4 * GIB + 2 * MIB, 5 * GIB, 300 * GIB, 1025 * GIB, 12288 * GIB,
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct vm vm = { .board = &board_gen2, .nr_map = 1,
				 .map = { { 0, ends[i], FW_E820_RAM } } };
		struct cpu_regs r = { 0 };

		board_mtrrs(&vm, &r);
		CHECK_EQ(r.mtrr_def, 0xc00);
		for (uint64_t at = 0; at < ends[i]; at += at < 8 * GIB ? 64 * MIB : 8 * GIB)
			CHECK_EQ(memory_type(&r, at), at >= 3968 * MIB && at < 4 * GIB ? 0 : 6);
		if (ends[i] > 4 * GIB)
			CHECK_EQ(memory_type(&r, ends[i] - 1), 6);
		CHECK_EQ(memory_type(&r, 4 * GIB - 1), 0);
	}
}

static void the_map_leaves_out_what_is_no_memory(void **s)
{
	struct vm vm = { .board = &board_gen2, .conf = { .memory = 64 * MIB } };
	struct gmem_range ranges[BOARD_RANGES];
	struct err e;
	size_t nr;

	(void)s;
	CHECK_EQ(board_memory(&vm, ranges, &nr, &e), 0);
	CHECK_EQ(nr, 1);
	CHECK_EQ(ranges[0].len, 64 * MIB);
	CHECK_EQ(vm.nr_map, 3);
	CHECK_EQ(vm.map[0].len, 0xa0000);
	CHECK_EQ(vm.map[1].type, FW_E820_RESERVED);
	CHECK_EQ(vm.map[2].gpa + vm.map[2].len, 64 * MIB);
	vm.conf.memory = 4 * GIB;
	if (board_memory(&vm, ranges, &nr, &e) == -ENOMEM)
		skip();				/* the host has less */
	CHECK_EQ(nr, 2);
	CHECK_EQ(ranges[0].len + ranges[1].len, 4 * GIB);
	CHECK_EQ(ranges[1].gpa, 4 * GIB);
	CHECK_EQ(vm.map[3].len, 128 * MIB);
}

/* ---- ends ----------------------------------------------------------------- */

static void the_first_word_on_the_end_counts(void **s)
{
	struct image im;
	struct vm_conf c;
	unsigned code;

	(void)s;
	begin(&im);
	put(&im, BYTES(0xb0, 5, 0xe6, 0xf4, 0xb0, 7, 0xe6, 0xf4));
	/* power off */
	put(&im, BYTES(0x66, 0xba, 0x04, 0x04, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef));
	put_triple_fault(&im);
	c = conf(finish(&im));
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 5);
	unlink(im.path);

	begin(&im);
	put(&im, BYTES(0x66, 0xba, 0x04, 0x04, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef));
	put(&im, BYTES(0xb0, 7));
	put_exit(&im);
	c = conf(finish(&im));
	CHECK_EQ(run(&c, NULL), VM_END_POWER_OFF);
	unlink(im.path);
}

static void a_triple_fault_is_a_reset(void **s)
{
	struct image im;
	struct vm_conf c;
	unsigned code;

	(void)s;
	begin(&im);
	put_count(&im, 4, 6);
	put_exit(&im);
	put_triple_fault(&im);
	c = conf(finish(&im));
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 4);
	c.no_reboot = true;
	CHECK_EQ(run(&c, NULL), VM_END_RESET);
	unlink(im.path);
}

/* What a guest does after it reset the machine has no effect on the next boot. */
static void nothing_happens_after_a_reset(void **s)
{
	struct image im;
	struct vm_conf c;
	unsigned code;

	(void)s;
	begin(&im);
	put_count(&im, 20, 6);
	put_exit(&im);
	put_reset(&im);
	put(&im, BYTES(0xb0, 99));
	put_reset(&im);
	put(&im, BYTES(0xb0, 99));
	put_exit(&im);
	c = conf(finish(&im));
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 20);
	unlink(im.path);
}

static void a_reset_that_finds_no_kernel_is_an_error(void **s)
{
	struct err e = { "" };
	struct image im;
	struct vm_conf c;
	struct vm *vm;

	(void)s;
	begin(&im);
	put_reset(&im);
	put(&im, BYTES(0xfa, 0xf4));
	c = conf(finish(&im));
	CHECK_EQ(vm_new(&c, &vm, &e), 0);
	unlink(im.path);
	CHECK_EQ(vm_run(vm, &e), VM_END_ERROR);
	CHECK(strstr(e.msg, im.path) != NULL);
	vm_free(vm);
}

/* ---- many processors ------------------------------------------------------- */

#define NR_CPUS 6

/*
 * INIT and SIPI to all others, which count at 0x7100 and halt; three boots
 * of it.  Real mode at 0x7000: LOCK INC BYTE [0x7100]; CLI; HLT.
 */
static void all_processors_start_after_every_reset(void **s)
{
	static const uint8_t ap[] = { 0xf0, 0xfe, 0x06, 0x00, 0x71, 0xfa, 0xf4, 0xeb, 0xfd };
	struct image im;
	struct vm_conf c;
	unsigned code;

	(void)s;
	begin(&im);
	put(&im, BYTES(0xeb, sizeof(ap)));
	put(&im, ap, sizeof(ap));
	put(&im, BYTES(0xbe, 0x12, 0x00, 0x10, 0x00, 0xbf, 0x00, 0x70, 0x00, 0x00));
	put(&im, BYTES(0xb9, sizeof(ap), 0x00, 0x00, 0x00, 0xf3, 0xa4));
	/* SVR: on */
	put(&im, BYTES(0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00));
	put(&im, BYTES(0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00));	/* INIT */
	put(&im, BYTES(0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x07, 0x46, 0x0c, 0x00));	/* SIPI */
	/* too late */
	put(&im, BYTES(0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x0c, 0x00));
	put(&im, BYTES(0xf3, 0x90, 0x80, 0x3d, 0x00, 0x71, 0x00, 0x00, NR_CPUS - 1, 0x75, 0xf5));
	put_count(&im, 3, 6);
	put_exit(&im);
	put_reset(&im);
	put(&im, BYTES(0xeb, 0xfe));
	c = conf(finish(&im));
	c.cpus = NR_CPUS;
	CHECK_EQ(run(&c, &code), VM_END_TEST);
	CHECK_EQ(code, 3);
	unlink(im.path);
}

/* ---- from outside ----------------------------------------------------------- */

struct outside {
	struct chr com1;
	_Atomic int written;		/* bytes, by a guest that writes and does nothing else */
	struct vm *vm;
	struct vm_conf conf;
	pthread_t thread;
	enum vm_end end;
	struct err err;
	_Atomic int pauses, goes, why;
};

static void *runner(void *arg)
{
	struct outside *o = arg;

	o->end = vm_run(o->vm, &o->err);
	return NULL;
}

static void on_pause(void *arg, int rc, const char *why)
{
	struct outside *o = arg;

	(void)why;
	atomic_store(&o->why, rc);
	atomic_fetch_add(rc != 0 ? &o->pauses : &o->goes, 1);
}

static void count_write(struct chr *chr, const uint8_t *buf, size_t n)
{
	(void)buf;
	atomic_fetch_add(&CONTAINER_OF(chr, struct outside, com1)->written, (int)n);
}

static void start(struct outside *o, const char *kernel)
{
	memset(o, 0, sizeof(*o));
	o->com1.write = count_write;
	o->conf = conf(kernel);
	o->conf.com1 = &o->com1;
	o->conf.cpus = 2;
	o->conf.paused = on_pause;
	o->conf.arg = o;
	CHECK_EQ(vm_new(&o->conf, &o->vm, &o->err), 0);
	CHECK_EQ(pthread_create(&o->thread, NULL, runner, o), 0);
}

static enum vm_end join(struct outside *o)
{
	pthread_join(o->thread, NULL);
	vm_free(o->vm);
	return o->end;
}

static void wait_until(_Atomic int *what, int n)
{
	for (unsigned i = 0; atomic_load(what) < n; i++) {
		CHECK(i < 10000);
		usleep(1000);
	}
}

static void a_quit_ends_whatever_the_guest_does(void **s)
{
	static const struct {
		uint8_t code[8];
	} guests[] = {
		{ { 0xeb, 0xfe } },						/* spins */
		/* sleeps for ever */
		{ { 0xfa, 0xf4, 0xeb, 0xfd } },
		/* resets for ever */
		{ { 0x0f, 0x01, 0x1d, 0x00, 0x00, 0x20, 0x00, 0xcc } },
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
		struct outside o;
		struct image im;

		begin(&im);
		put(&im, guests[i].code, sizeof(guests[i].code));
		start(&o, finish(&im));
		usleep(30000);
		vm_quit(o.vm);
		CHECK_EQ(join(&o), VM_END_QUIT);
		/* Asked before it began: no instruction runs, or hardly any. */
		start(&o, im.path);
		vm_quit(o.vm);
		CHECK_EQ(join(&o), VM_END_QUIT);
		unlink(im.path);
	}
}

static void trouble(struct outside *o)
{
	int before = atomic_load(&o->pauses);

	pthread_mutex_lock(&o->vm->lock);
	o->vm->trouble_rc = -ENOSPC;
	pthread_mutex_unlock(&o->vm->lock);
	vm_request(o->vm, REQ_TROUBLE);
	wait_until(&o->pauses, before + 1);
	CHECK_EQ(atomic_load(&o->why), -ENOSPC);
}

static void wait_for_progress(struct outside *o)
{
	wait_until(&o->written, atomic_load(&o->written) + 1);
}

static void trouble_pauses_until_a_retry_a_reset_or_the_end(void **s)
{
	struct outside o;
	struct image im;
	int n;

	(void)s;
	begin(&im);
	put(&im, BYTES(0x66, 0xba, 0xf8, 0x03, 0xee, 0xf3, 0x90, 0xeb, 0xfb));
	start(&o, finish(&im));
	wait_for_progress(&o);
	trouble(&o);
	n = atomic_load(&o.written);
	usleep(50000);
	CHECK_EQ(atomic_load(&o.written), n);
	vm_retry(o.vm);
	wait_until(&o.goes, 1);
	wait_for_progress(&o);
	trouble(&o);
	vm_reset(o.vm);
	wait_until(&o.goes, 2);
	wait_for_progress(&o);
	trouble(&o);
	vm_quit(o.vm);
	CHECK_EQ(join(&o), VM_END_QUIT);
	unlink(im.path);
}

/* Stops and goes as fast as they can be asked for, while processors start and halt. */
static void stop_and_go_loses_no_processor(void **s)
{
	struct outside o;
	struct image im;

	(void)s;
	begin(&im);
	put(&im, BYTES(0xfb, 0xf4, 0xeb, 0xfd));	/* STI; HLT: asleep nearly always */
	start(&o, finish(&im));
	for (unsigned i = 0; i < 200; i++) {
		vm_reset(o.vm);
		if (i % 16 == 0)
			usleep(2000);
	}
	vm_quit(o.vm);
	CHECK_EQ(join(&o), VM_END_QUIT);
	unlink(im.path);
}

/* ---- serial line ------------------------------------------------------------ */

struct line {
	struct chr chr;
	uint8_t got[64];
	size_t n;
};

static void line_write(struct chr *chr, const uint8_t *buf, size_t n)
{
	struct line *l = CONTAINER_OF(chr, struct line, chr);

	for (size_t i = 0; i < n && l->n < sizeof(l->got); i++)
		l->got[l->n++] = buf[i];
}

static void the_serial_line_carries_bytes(void **s)
{
	struct line l = { .chr.write = line_write };
	struct image im;
	struct vm_conf c;

	(void)s;
	begin(&im);
	put(&im, BYTES(0x66, 0xba, 0xf8, 0x03, 0xb0, 'h', 0xee, 0xb0, 'i', 0xee, 0xb0, 0));
	put_exit(&im);
	c = conf(finish(&im));
	c.com1 = &l.chr;
	CHECK_EQ(run(&c, NULL), VM_END_TEST);
	CHECK_EQ(l.n, 2);
	CHECK_MEM(l.got, "hi", 2);
	unlink(im.path);
}

/* The processor's thread begins another round when the engine does not know of the event yet. */
struct late {
	struct cpu cpu;
	struct vcpu vcpu;
};

static void late_notify(struct cpu *c)
{
	struct late *l = (struct late *)(void *)c;

	atomic_store(&l->vcpu.woken, false);
}

static void who_is_woken_does_not_fall_asleep(void **s)
{
	static const struct cpu_engine engine = { .name = "late", .notify = late_notify };
	struct late l = { .cpu.engine = &engine };

	(void)s;
	l.vcpu.cpu = &l.cpu;
	vcpu_wake(&l.vcpu);
	CHECK(atomic_load(&l.vcpu.woken));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_woken_does_not_fall_asleep),
		cmocka_unit_test(test_programs_learn_the_number_of_processors),
		cmocka_unit_test(test_programs_connect_to_themselves),
		cmocka_unit_test(test_programs_have_a_pic),
		cmocka_unit_test(test_programs_send_interrupts_to_a_set),
		cmocka_unit_test(cpuid_hides_a_local_apic_that_is_off),
		cmocka_unit_test(a_bios_turns_the_machine_off),
		cmocka_unit_test(a_bios_resets_the_machine),
		cmocka_unit_test(a_bios_resets_its_processor),
		cmocka_unit_test(shadow_ram_opens_and_closes),
		cmocka_unit_test(impossible_machines_are_refused),
		cmocka_unit_test(any_allocation_may_fail),
		cmocka_unit_test(ram_is_cached_and_the_gap_is_not),
		cmocka_unit_test(the_map_leaves_out_what_is_no_memory),
		cmocka_unit_test(the_first_word_on_the_end_counts),
		cmocka_unit_test(a_triple_fault_is_a_reset),
		cmocka_unit_test(nothing_happens_after_a_reset),
		cmocka_unit_test(a_reset_that_finds_no_kernel_is_an_error),
		cmocka_unit_test(all_processors_start_after_every_reset),
		cmocka_unit_test(a_quit_ends_whatever_the_guest_does),
		cmocka_unit_test(trouble_pauses_until_a_retry_a_reset_or_the_end),
		cmocka_unit_test(stop_and_go_loses_no_processor),
		cmocka_unit_test(the_serial_line_carries_bytes),
	};

	return cmocka_run_group_tests_name("vm", tests, NULL, NULL);
}
