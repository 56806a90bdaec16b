/*
 * vm.h - one machine, from its description to its power-off
 *
 * The only door of the rooms below for ctl/.  A machine lives in one process;
 * its vCPUs, bus workers and timers are threads of it.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "base/err.h"
#include "base/le.h"
#include "dev/chr.h"

#include <limits.h>

#define VM_MAX_CONTROLLERS 4
#define VM_MAX_DISKS 256		/* 64 on each of 4 controllers */

#define VM_ANY_LUN UINT_MAX

enum vm_place {
	VM_PLACE_SCSI,			/* controller 0..3, LUN 0..63 or VM_ANY_LUN */
	VM_PLACE_IDE,			/* Generation 1: channel 0..1 as controller, 0..1 as lun */
	VM_PLACE_ANY,			/* as Hyper-V would */
};

struct vm_disk {
	const char *path;
	enum vm_place place;
	unsigned controller, lun;
	bool dvd, read_only;
	const char *parents;		/* where those of a differencing disk may lie; NULL: beside it */
};

#define VM_MAX_FLOPPIES 2

struct vm_floppy {			/* Generation 1 */
	const char *path;
	bool read_only;
};

enum vm_boot {			/* numbered as SeaBIOS does */
	VM_BOOT_FLOPPY = 1, VM_BOOT_IDE, VM_BOOT_CD, VM_BOOT_NET
};
#define VM_MAX_BOOT 4

#define VM_MAX_NICS 8

struct vm_nic {
	const char *net;		/* as net/net_opt.h has it */
};

struct vm_conf {			/* strings and arrays are borrowed for the machine's life */
	unsigned generation;		/* 1 or 2 */
	uint64_t memory;		/* bytes, a multiple of 2 MiB */
	unsigned cpus;
	const char *engine;		/* "auto" or an engine's name */
	const char *cpu_model;		/* NULL: the best that runs on this host */
	const struct vm_disk *disks;
	unsigned nr_disks;
	const struct vm_nic *nics;
	unsigned nr_nics;
	const char *firmware;		/* Generation 1: a BIOS; NULL: the one that is installed */
	bool no_vga, boot_menu;		/* Generation 1, and so the next three */
	struct vm_floppy floppies[VM_MAX_FLOPPIES];
	unsigned nr_floppies;
	uint8_t boot_order[VM_MAX_BOOT];	/* enum vm_boot, 0 ends it; empty: as Hyper-V's */
	const char *kernel, *initrd, *append;
	const char *const *modules;	/* multiboot, NULL-terminated; may be NULL */
	struct chr *com1, *com2;	/* NULL: the machine has none */
	bool test_devices;
	uint64_t translate_cache;	/* bytes per processor; 0: as much as fits */
	bool lockstep;			/* translator beside interpreter; one processor */
	bool no_reboot;			/* a reset ends the machine */
	bool no_uring;			/* disks through the thread pool */
	uint32_t vmbus_max_version;	/* 0 = newest */
	const char *gdb;		/* where a debugger may connect, or NULL: see gdb/gdb.h */
	bool gdb_wait;			/* no instruction runs before a debugger says so */
	const char *trace;		/* a file for what ran, or NULL */
	bool trace_insns;		/* instruction by instruction, not by blocks */
	bool stats;			/* count what the board is asked: vm_counters */
	/* The machine paused for trouble, or goes on (rc 0); any thread. */
	void (*paused)(void *arg, int rc, const char *why);
	void *arg;
};

enum vm_end {
	VM_END_POWER_OFF,	/* the guest turned itself off */
	VM_END_QUIT,		/* vm_quit */
	VM_END_RESET,		/* a reset, with no_reboot */
	VM_END_TEST,		/* the debug-exit device; vm_test_code */
	/* the engine failed, or a reset found no kernel; the message is in *err */
	VM_END_ERROR,
};

struct disp;
struct input;
struct vm;

/*
 * Opens and builds everything; no guest instruction has run when it returns.
 * One sentence in *err.
 */
MUST_CHECK int vm_new(const struct vm_conf *conf, struct vm **ret_vm, struct err *err);
/*
 * Runs to the end, once; the caller's thread is the machine's main thread.
 * *err with VM_END_ERROR.
 */
enum vm_end vm_run(struct vm *vm, struct err *err);
void vm_free(struct vm *vm);

/* Any thread, none of the machine's own. */
void vm_quit(struct vm *vm);		/* as pulling the plug, but disks are closed cleanly */
/* Asks the guest; power-off follows if it obeys.  -ENOTCONN while its driver is not there. */
MUST_CHECK int vm_shutdown(struct vm *vm);
void vm_reset(struct vm *vm);
/*
 * Generation 1, one thread at a time: another disc in the NTH DVD drive on IDE, or
 * none where PATH is NULL.  -EBUSY: the guest holds it, which FORCE ignores.
 */
MUST_CHECK int vm_dvd_change(struct vm *vm, unsigned nth, const char *path, bool force,
			     struct err *err);
MUST_CHECK int vm_floppy_change(struct vm *vm, unsigned drive, const char *path, bool read_only,
				struct err *err);
void vm_retry(struct vm *vm);		/* the trouble is cured: go on */

/*
 * The network adapters of a machine that runs; any thread, none of the machine's own.
 * An adapter is named as in vm_adapter.name, or by its address.
 */
struct vm_adapter {
	char name[16];			/* net0, net1, ...: not given twice while a guest may know it */
	char mac[18];
	char net[64];			/* what it is plugged into, as the first word of --net */
	bool cable, link;		/* not pulled; and something is at its other end */
	bool legacy;			/* on PCI, for good; then in_use says nothing */
	bool in_use;			/* by a driver of the guest's */
	bool leaving;			/* removed, and the guest has not let go of it yet */
};

size_t vm_net_list(struct vm *vm, struct vm_adapter *ret_rows, size_t max);	/* how many */
/* NET as net/net_opt.h has it. */
MUST_CHECK int vm_net_add(struct vm *vm, const char *net, struct vm_adapter *ret_a, struct err *err);
/*
 * Its cable is out and its port gone when this returns; the guest is told then, and
 * asked, and when it does not let go in ten seconds the adapter ends all the same.
 * Fine for one that is leaving already.
 */
MUST_CHECK int vm_net_remove(struct vm *vm, const char *adapter, struct err *err);
MUST_CHECK int vm_net_cable(struct vm *vm, const char *adapter, bool in, struct err *err);
/* Another switch; on an error it stays where it was. */
MUST_CHECK int vm_net_move(struct vm *vm, const char *adapter, const char *net, struct err *err);

unsigned vm_test_code(const struct vm *vm);
const char *vm_engine(const struct vm *vm);
/* What the machine shows and what it is typed on; NULL: it has neither.  They live as long as it. */
struct disp *vm_disp(const struct vm *vm);
struct input *vm_input(const struct vm *vm);
/* What gdb's "target remote" takes; NULL without conf.gdb. */
const char *vm_gdb(const struct vm *vm);
/* After vm_run: guest instructions, all vCPUs; 0 = not counted. */
uint64_t vm_retired(const struct vm *vm);

#define VM_MAX_COUNTERS 96

struct vm_counter {
	const char *name;		/* constant; words with '-' between them */
	uint64_t val;
};
/* After vm_run: what the engine and, with conf.stats, the board counted; how many rows. */
size_t vm_counters(const struct vm *vm, struct vm_counter *ret_rows, size_t max);

#endif
