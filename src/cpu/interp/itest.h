/*
 * itest.h - a small machine for tests of the interpreter
 *
 * In your meson.build:
 *	cpu_tests += {'int_alu' : files('int_alu_test.c') + itest_src}
 *
 * In your test:
 *	struct itest t;
 *	static const uint8_t code[] = { 0x48, 0x01, 0xd8, 0xf4 };	add rax, rbx; hlt
 *
 *	itest_open(&t, ITEST_64);
 *	t.c->gpr[CPU_RAX] = 1;				any register: t.c is the interpreter
 *	ITEST_CODE_IS(&t, code);			copies it in, RIP at its start
 *	CHECK_EQ(itest_run(&t, 100), ITEST_HLT);	or the vector that was raised
 *	CHECK_EQ(t.c->gpr[CPU_RAX], ...);
 *	itest_close(&t);
 *
 * itest_run steps one instruction at a time and stops at an exception without
 * delivering it: the answer is its vector, t.c->exc_code the error code, RIP
 * still at the instruction.  itest_go is the real run loop with blocks and
 * delivery: an exception ends in the HLT at its handler, and itest_caught
 * tells which.
 *
 * Memory: 8 MiB from 0, mapped one to one by 4-KiB pages that everybody may
 * write (itest_pte: address of the entry).  Above it is MMIO, mapped too up to
 * 16 MiB: reads answer t.mmio_in, accesses are kept in t.mmio[].  Changing a
 * register that decides on modes (CR0, CR4, EFER, seg[]) by hand needs
 * interp_mode_changed(t.c), and page tables interp_tlb_flush(t.c, true).
 */
#ifndef CPU_INTERP_ITEST_H
#define CPU_INTERP_ITEST_H

/*
 * ITEST_TRANSLATE: the same tests with the translator, each block beside the
 * interpreter unless ITEST_FREE.
 */
#ifdef ITEST_TRANSLATE
#define ITEST_ENGINE cpu_engine_translate
#else
#define ITEST_ENGINE cpu_engine_interpret
#endif
#if defined(ITEST_TRANSLATE) && !defined(ITEST_FREE)
#define ITEST_LOCKSTEP true
#else
#define ITEST_LOCKSTEP false
#endif

#include "cpu/interp/engine.h"
#include "cpu/interp/interp.h"

enum itest_mode {
	ITEST_64,		/* long mode, CPL 0 */
	ITEST_32,		/* flat protected mode, no paging, CPL 0 */
	ITEST_16,		/* real mode: CS 0x4000, SS 0x5000, DS = ES = 0x8000 */
};

enum {
	ITEST_RAM = 8 << 20,
	ITEST_PML4 = 0x10000,		/* PDPT, PD and eight tables follow */
	ITEST_GDT = 0x20000,
	ITEST_IDT = 0x21000,
	ITEST_TSS = 0x22000,
	ITEST_HANDLERS = 0x30000,	/* 16 bytes for each vector, beginning with HLT */
	ITEST_CODE = 0x40000,
	ITEST_STACK = 0x58000,		/* top */
	ITEST_STACK0 = 0x68000,		/* top, of ring 0 in the TSS */
	ITEST_IST1 = 0x70000,		/* top */
	ITEST_DATA = 0x80000,		/* yours, as all above */
	ITEST_MMIO = ITEST_RAM,
};

enum {		/* selectors of the GDT */
	ITEST_CODE64 = 0x08, ITEST_DATA32 = 0x10, ITEST_CODE32 = 0x18,
	ITEST_USER32 = 0x23, ITEST_USER_DATA = 0x2b, ITEST_USER64 = 0x33,
	ITEST_CODE16 = 0x38, ITEST_DATA16 = 0x40, ITEST_TR = 0x48,
	ITEST_GDT_FREE = 0x58,		/* entries from here to 0xff are zero: yours */
};

#define ITEST_HLT (-1)			/* ended in HLT, or a step without exception */
#define ITEST_LONG (-2)			/* still running after MAX instructions */

struct itest_access {
	uint64_t addr, val;
	unsigned width;
	bool write;
};

struct itest {
	struct interp *c;
	struct cpu *cpu;
	struct gmem *mem;
	struct cpu_shared *shared;
	uint64_t mmio_in, io_in;	/* what reads answer */
	struct itest_access mmio[32], io[32];	/* the first accesses */
	unsigned nr_mmio, nr_io;
	int irq;			/* vector that irq_take hands out once; -1 none */
	unsigned irqs_taken;
	unsigned hypercalls;
	int hypercall_rc;
	uint8_t tpr;
	const struct cpu_engine *engine;	/* interpret */
	const char *model;		/* "x86-64-v2" */
	uint64_t msr;			/* MSR 0x40000000, the one the client knows */
	_Atomic bool went;		/* itest_go has come back */
	struct cpu_client client;	/* looked up at each call: replace what you like */
};

void itest_open(struct itest *t, enum itest_mode mode);
/* The same with another processor; the engine is one that stands on struct interp. */
void itest_open_as(struct itest *t, enum itest_mode mode, const struct cpu_engine *engine,
		   const char *model);
/* A second processor on the same memory, in 64-bit mode, with its own struct itest. */
void itest_open_second(struct itest *t, const struct itest *first);
void itest_close(struct itest *t);
/* Memory and registers as itest_open makes them; the counters and the cache go on. */
void itest_again(struct itest *t, enum itest_mode mode);
/* The registers of MODE, IDT and TSS; other memory stays. */
void itest_mode(struct itest *t, enum itest_mode mode);
/* To CPL 3 in 64-bit mode, stack and code where they were. */
void itest_user(struct itest *t);

void itest_code(struct itest *t, const void *code, size_t n);
#define ITEST_CODE_IS(t, array) itest_code((t), (array), sizeof(array))
int itest_step(struct itest *t);
int itest_run(struct itest *t, unsigned max);
enum cpu_exit itest_go(struct itest *t, uint64_t max);
int itest_caught(const struct itest *t);	/* vector whose handler we halted in, or -1 */

void itest_put(struct itest *t, uint64_t gpa, const void *src, size_t n);
void itest_get(struct itest *t, uint64_t gpa, void *dst, size_t n);
void itest_put64(struct itest *t, uint64_t gpa, uint64_t v);
uint64_t itest_get64(struct itest *t, uint64_t gpa);
uint64_t itest_pte(uint64_t lin);		/* physical address of the entry for LIN < 16 MiB */

#endif
