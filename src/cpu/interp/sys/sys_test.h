/*
 * sys_test.h - what the tests of the system family share
 */
#ifndef CPU_INTERP_SYS_SYS_TEST_H
#define CPU_INTERP_SYS_SYS_TEST_H

#include "base/le.h"
#include "base/test.h"
#include "cpu/interp/itest.h"
#include "cpu/interp/sys/sys.h"

#include <string.h>

/* Runs CODE from its start; 1000 instructions at most. */
#define RUN(t, code) (ITEST_CODE_IS(t, code), itest_run(t, 1000))

/* An instruction of ARRAY must raise VEC, none after it. */
#define CHECK_RAISES(t, array, vec) \
	do { \
		CHECK_EQ(RUN(t, array), (vec)); \
		CHECK((t)->c->rip - (interp_protected((t)->c) ? ITEST_CODE : 0) < sizeof(array)); \
	} while (0)
#define CHECK_FAULT(t, array, vec, code) \
	do { \
		CHECK_RAISES(t, array, vec); \
		CHECK((t)->c->exc_has_code); \
		CHECK_EQ((t)->c->exc_code, (code)); \
	} while (0)
#define CHECK_UD(t, array) \
	do { \
		CHECK_RAISES(t, array, X86_UD); \
		CHECK(!(t)->c->exc_has_code); \
	} while (0)

/* A descriptor: base, limit in its units, access byte (P, DPL, S, type), flags nibble (G, D, L, AVL). */
static inline uint64_t mk_desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 |
	       (uint64_t)(base >> 24) << 56;
}

/* A gate of any kind; PARAMS is the count of a call gate or the IST. */
static inline uint64_t mk_gate(uint16_t sel, uint32_t off, unsigned access, unsigned params)
{
	return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)params << 32 |
	       (uint64_t)access << 40 | (uint64_t)(off >> 16) << 48;
}

static inline void put_desc(struct itest *t, uint16_t sel, uint64_t d)
{
	itest_put64(t, ITEST_GDT + (sel & 0xfff8), d);
}

static inline uint64_t get_desc(struct itest *t, uint16_t sel)
{
	return itest_get64(t, ITEST_GDT + (sel & 0xfff8));
}

static inline void put_idt32(struct itest *t, unsigned v, uint64_t gate)
{
	itest_put64(t, ITEST_IDT + v * 8, gate);
}

static inline void put_idt_long(struct itest *t, unsigned v, uint64_t lo, uint64_t hi)
{
	itest_put64(t, ITEST_IDT + v * 16, lo);
	itest_put64(t, ITEST_IDT + v * 16 + 8, hi);
}

static inline uint32_t get32(struct itest *t, uint64_t gpa)
{
	uint32_t v;

	itest_get(t, gpa, &v, 4);
	return v;
}

static inline uint16_t get16(struct itest *t, uint64_t gpa)
{
	uint16_t v;

	itest_get(t, gpa, &v, 2);
	return v;
}

static inline void put32(struct itest *t, uint64_t gpa, uint32_t v)
{
	itest_put(t, gpa, &v, 4);
}

static inline void put16(struct itest *t, uint64_t gpa, uint16_t v)
{
	itest_put(t, gpa, &v, 2);
}

/* Ring 3 in flat 32-bit protected mode. */
static inline void user32(struct itest *t)
{
	for (unsigned s = CPU_ES; s <= CPU_GS; s++)
		t->c->seg[s] = (struct cpu_seg){ ITEST_USER_DATA, 0xc0f3, UINT32_MAX, 0 };
	t->c->seg[CPU_CS] = (struct cpu_seg){ ITEST_USER32, 0xc0fb, UINT32_MAX, 0 };
	interp_mode_changed(t->c);
}

/* v8086 with code at ITEST_CODE and stack at ITEST_STACK. */
static inline void v86(struct itest *t, unsigned iopl)
{
	for (unsigned s = CPU_ES; s <= CPU_GS; s++)
		seg_set_v86(t->c, s, 0x8000);
	seg_set_v86(t->c, CPU_CS, 0x4000);
	seg_set_v86(t->c, CPU_SS, 0x5000);
	t->c->gpr[CPU_RSP] = 0x8000;
	t->c->rflags = 2 | X86_VM | iopl << 12;
	interp_mode_changed(t->c);
}

/* The first instruction of CODE with RIP 0 of CS 0x4000. */
#define RUN_V86(t, code) (ITEST_CODE_IS(t, code), (t)->c->rip = 0, itest_step(t))

/* Pushes words of SIZE, first one deepest. */
static inline void frame(struct itest *t, unsigned size, const uint64_t *words, unsigned n)
{
	uint64_t sp = ITEST_STACK;

	for (unsigned i = 0; i < n; i++) {
		sp -= size;
		itest_put(t, sp, &words[i], size);
	}
	t->c->gpr[CPU_RSP] = sp;
}

#define FRAME(t, size, ...) \
	frame(t, size, (const uint64_t[]){ __VA_ARGS__ }, \
	      sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)

/* One instruction without exception. */
#define STEP(t, code) (ITEST_CODE_IS(t, code), itest_step(t))

static inline void rflags_set(struct itest *t, uint64_t bits)
{
	t->c->rflags = 2 | bits;
	interp_mode_changed(t->c);
}

#endif
