/*
 * gdb.h - a debugger at the machine's door
 *
 * The room speaks GDB's remote serial protocol to one peer at a time and knows
 * the machine only through struct gdb_target, which the board fills in.
 * Threads of GDB are virtual processors, all of which stand or none
 * ("all-stop"); a thread's number is the processor's plus one.
 */
#ifndef GDB_GDB_H
#define GDB_GDB_H

#include "base/err.h"
#include "cpu/cpu.h"

#define GDB_MAX_CPUS 1024u

enum gdb_action { GDB_STAND, GDB_GO, GDB_STEP };
enum gdb_state { GDB_RUNS, GDB_STANDS, GDB_ENDED };

struct gdb_status {
	enum gdb_state state;
	unsigned cpu;			/* [STANDS] whom to show */
	struct cpu_debug_stop stop;	/* [STANDS] of it; NONE: somebody asked */
	uint8_t code;			/* [ENDED] */
};

/*
 * Called by the server's thread.  What touches processors or memory answers
 * -EBUSY unless the machine stands.
 */
struct gdb_target {
	unsigned nr_cpus;		/* 1..GDB_MAX_CPUS */
	void *self;
	void (*status)(void *self, struct gdb_status *ret_s);
	void (*stop)(void *self);	/* the machine will stand soon: gdb_server_notify */
	/* enum gdb_action of each; from here on status is GDB_RUNS until it stands again. */
	void (*resume)(void *self, const uint8_t *action);
	void (*kill)(void *self);
	int (*get_regs)(void *self, unsigned cpu, struct cpu_regs *ret_r);
	int (*set_regs)(void *self, unsigned cpu, const struct cpu_regs *r);
	/* By linear address; bytes done, which are fewer where RAM ends, or -EFAULT for none. */
	int (*read)(void *self, unsigned cpu, uint64_t lin, void *dst, size_t n);
	int (*write)(void *self, unsigned cpu, uint64_t lin, const void *src, size_t n);
	int (*lookup)(void *self, unsigned cpu, uint64_t lin, uint64_t *ret_gpa);
	int (*phys_read)(void *self, uint64_t gpa, void *dst, size_t n);	/* all or -EFAULT */
	/* 0 too when it is there already, or is not there. */
	int (*insert)(void *self, const struct cpu_debug_point *p);
	int (*remove)(void *self, const struct cpu_debug_point *p);
	/* The debugger went: no points, and every processor goes on.  Also while it runs. */
	void (*leave)(void *self);
	/* What the processor is doing, in a few words. */
	void (*describe)(void *self, unsigned cpu, char *buf, size_t n);
};

struct gdb_server;

/*
 * Listens at WHERE: "PORT" or "HOST:PORT" (no host: loopback; port 0: any that
 * is free) or "unix:PATH".
 */
MUST_CHECK int gdb_server_new(const char *where, struct gdb_server **ret_s, struct err *err);
/* What to tell gdb's "target remote". */
const char *gdb_server_where(const struct gdb_server *s);
/* T is borrowed until gdb_server_free. */
MUST_CHECK int gdb_server_start(struct gdb_server *s, const struct gdb_target *t, struct err *err);
/* The target's status changed; any thread. */
void gdb_server_notify(struct gdb_server *s);
/* Tells the peer an end that status knows of, and closes. */
void gdb_server_free(struct gdb_server *s);

#endif
