/*
 * vm_priv.h - the machine's own struct; only vm/ sees it
 */
#ifndef VM_VM_PRIV_H
#define VM_VM_PRIV_H

#include "chip/chips.h"
#include "chip/lapic.h"
#include "cpu/cpu.h"
#include "dev/clock.h"
#include "disk/disk.h"
#include "fw/fw.h"
#include "hv/hv.h"
#include "syn/scsi.h"
#include "syn/services.h"
#include "vm/vm.h"
#include "vmbus/vmbus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { REQ_QUIT = 1, REQ_POWER_OFF = 2, REQ_RESET = 4, REQ_TROUBLE = 8, REQ_RETRY = 16,
       REQ_TEST = 32, REQ_ERROR = 64 };
#define REQ_LAST (REQ_POWER_OFF | REQ_RESET | REQ_TEST)	/* the guest does nothing after it */

enum { VCPU_INIT = 1, VCPU_SIPI = 2 };	/* struct vcpu.asked */

struct vcpu {
	struct vm *vm;			/* [const] */
	unsigned index;			/* [const] APIC id = VP index */
	struct cpu *cpu;		/* [const], owned */
	pthread_t thread;
	bool started;			/* [const] the thread exists */
	pthread_mutex_t lock;		/* leaf */
	pthread_cond_t wake;
	_Atomic bool woken;		/* something happened since the last cpu_run began */
	_Atomic bool asleep;		/* waiting in halt(): signal the condition too */
	bool parked;			/* [lock] stands still because vm->stopping */
	unsigned asked;			/* [lock] VCPU_* */
	uint8_t sipi_vector;		/* [lock] */
	bool wait_sipi;			/* own thread: INIT happened, no SIPI yet */
};

struct slot {				/* one row of a board: see board_gen2.c */
	const char *name;
	const struct dev_ops *ops;
	uint64_t base;			/* port or GPA */
	int irq;			/* IOAPIC pin, -1 = none */
	bool (*present)(const struct vm_conf *conf);	/* NULL = always */
};

struct board {
	unsigned generation;
	const struct slot *slots;
	unsigned nr_slots;
	uint64_t mmio_low, mmio_low_len;	/* RAM continues at 4 GiB above this gap */
	uint64_t mmio_high_len;
	uint64_t lapic, rsdp, acpi_limit, smbios, smbios_limit;
	uint16_t pm_base;
	uint64_t lapic_hz;		/* what a Hyper-V guest is told */
};
extern const struct board board_gen2;

#define VM_MAX_SLOTS 16
#define VM_PHYS_BITS 46			/* of the CPUID models */
#define VM_MAX_MAP 8

struct vm {
	struct vm_conf conf;		/* [const] */
	const struct board *board;	/* [const] */
	const struct cpu_engine *engine;
	struct cpu_shared *shared;
	struct gmem *mem;
	struct clock *clock;
	pthread_mutex_t chip_lock;
	struct bus *pio, *mmio;
	struct lapic_set *lapics;
	struct hv *hv;
	struct vmbus *vmbus;
	struct scsi *scsi[VM_MAX_CONTROLLERS];
	struct services *services;
	struct blk *blk[VM_MAX_DISKS];
	void *dev[VM_MAX_SLOTS];	/* parallel to board->slots; NULL = absent */
	void *ioapic;			/* one of dev[] */
	struct vcpu *vcpus;		/* [conf.cpus] */
	struct fw_mem map[VM_MAX_MAP];
	unsigned nr_map;
	struct guid uuid, generation_id;
	uint64_t tsc_offset;		/* [const] */
	bool paused;			/* main thread: for trouble */

	pthread_mutex_t lock;		/* leaf: the fields below */
	pthread_cond_t changed;		/* on the monotonic clock */
	unsigned requests;		/* REQ_* */
	bool stopping;			/* vCPUs shall park */
	bool ending;			/* ...and their threads end */
	int trouble_rc;
	unsigned test_code;
	struct err failure;		/* the first one */
	_Atomic bool over;		/* [lock to write] a REQ_LAST came: vCPUs wait for main */
	_Atomic unsigned nr_triple, nr_crash;	/* log lines about them */
};

/* board_gen2.c */
MUST_CHECK int board_memory(struct vm *vm, struct gmem_range ranges[2], size_t *ret_nr,
			    struct err *err);
MUST_CHECK int board_devices(struct vm *vm, struct err *err);
void board_reset(struct vm *vm);
/* Memory types as firmware leaves them: RAM write-back, the gap below 4 GiB uncached. */
void board_mtrrs(const struct vm *vm, struct cpu_regs *r);
void board_free(struct vm *vm);

/* boot.c: tables, kernel and registers, with the vCPUs standing */
MUST_CHECK int vm_load(struct vm *vm, struct err *err);

/* glue.c */
extern const struct cpu_client vm_cpu_client;
extern const struct lapic_client vm_lapic_client;
extern const struct hv_client vm_hv_client;
extern const struct hv_port vm_hv_port;
extern const struct vmbus_port vm_vmbus_port;

/* vcpu.c */
MUST_CHECK int vcpus_new(struct vm *vm, struct err *err);
void vcpus_end(struct vm *vm);		/* the threads end; interrupts may still be raised */
void vcpus_free(struct vm *vm);		/* after everything that raises interrupts */
void vcpus_stop(struct vm *vm);		/* on return none runs guest code */
void vcpus_go(struct vm *vm);
void vcpus_reset(struct vm *vm);	/* while stopped: power-on state, APs wait for SIPI */
void vcpu_wake(struct vcpu *v);
void vcpu_ask(struct vcpu *v, unsigned what, uint8_t vector);

/* storage.c */
MUST_CHECK int storage_open(struct vm *vm, struct err *err);
void storage_close(struct vm *vm);
void storage_retry(struct vm *vm);

/* vm.c; any thread */
void vm_request(struct vm *vm, unsigned req);
void vm_test_exit(struct vm *vm, uint32_t code);
void vm_fail(struct vm *vm, const char *what);

#endif
