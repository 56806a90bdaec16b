/*
 * dev.h - the device contract
 *
 * A device is one .c file with one dev_ops.  It has no globals, no threads,
 * no locks (the bus holds the chip lock around every handler and timer), no
 * clock of its own; the board hands over everything in env and conf.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include "dev/bus.h"
#include "dev/clock.h"
#include "dev/irq.h"
#include "dev/state.h"

struct gmem;
struct pci_bus;

struct dev_env {			/* what a device may use; all borrowed */
	const char *name;		/* instance: "com1", for log and state */
	struct gmem *mem;
	struct bus *pio, *mmio;
	struct pci_bus *pci;		/* NULL: the machine has none */
	struct clock *clock;
	pthread_mutex_t *lock;		/* the chip lock; timer callbacks take it */
};

struct dev_ops {
	const char *name;		/* kind: "uart" */
	size_t size;			/* of the private struct, zeroed for you */
	const struct state_field *state;	/* ends with a row of zeros; NULL = none */
	int (*init)(void *self, const struct dev_env *env, const void *conf, struct err *err);
	void (*reset)(void *self);	/* to power-on; also called once after init */
	void (*start)(void *self);
	void (*stop)(void *self);	/* on return nothing of mine is in flight */
	int (*loaded)(void *self, struct err *err);	/* check, then re-derive */
	void (*fini)(void *self);
};

/* Allocates, inits and resets; NULL members of ops are skipped. */
MUST_CHECK int dev_new(const struct dev_ops *ops, const struct dev_env *env, const void *conf,
		       void **ret_self, struct err *err);
void dev_free(const struct dev_ops *ops, void *self);

#endif
