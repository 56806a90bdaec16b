/*
 * stress.h - inside the stress program
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A worker is a process that makes rounds until the time is over.  A round takes
 * some tenths of a second, checks all it did, and ends in die() when something
 * is wrong.
 */
struct worker {
	const char *name;
	void (*round)(void);
};

extern const struct worker system_workers[], code_workers[], trap_workers[];

/* Words for the log; the process ends, and with it the run. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define CHECK(what) do { if (!(what)) die("%s:%d: not %s", __FILE__, __LINE__, #what); } while (0)

uint64_t rnd(void);			/* any thread; seeded by the process */
static inline uint64_t below(uint64_t n) { return rnd() % n; }

/* Threads 0 .. n - 1 of FN, until all have ended. */
void threads(unsigned n, void *(*fn)(void *index));

#endif
