/*
 * vm_priv.h - the machine's own struct; only vm/ sees it
 */
#ifndef VM_VM_PRIV_H
#define VM_VM_PRIV_H

#include "chip/chips.h"
#include "chip/dec21140.h"
#include "chip/fdc.h"
#include "chip/ide.h"
#include "chip/lapic.h"
#include "chip/vga.h"
#include "cpu/cpu.h"
#include "dev/clock.h"
#include "dev/disp.h"
#include "dev/input.h"
#include "dev/pci.h"
#include "disk/disk.h"
#include "fw/fw.h"
#include "gdb/gdb.h"
#include "hv/hv.h"
#include "spec/acpi.h"
#include "syn/scsi.h"
#include "syn/services.h"
#include "vm/vm.h"
#include "vmbus/vmbus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { REQ_QUIT = 1, REQ_POWER_OFF = 2, REQ_RESET = 4, REQ_TROUBLE = 8, REQ_RETRY = 16,
       REQ_TEST = 32, REQ_ERROR = 64, REQ_DEBUG_GO = 128, REQ_DEBUG_LEAVE = 256,
       REQ_DEBUG_STOP = 512, REQ_DEBUG_HIT = 1024 /* of a vCPU, not of the peer */ };
#define REQ_DEBUG (REQ_DEBUG_GO | REQ_DEBUG_LEAVE | REQ_DEBUG_STOP | REQ_DEBUG_HIT)
#define REQ_LAST (REQ_POWER_OFF | REQ_RESET | REQ_TEST)	/* the guest does nothing after it */

/* What stats.c counts, a row each. */
enum vm_stat { STAT_KICK, STAT_HLT, STAT_DEBUG, STAT_IO_READ, STAT_IO_WRITE, STAT_MMIO_READ,
	       STAT_MMIO_WRITE, STAT_CPUID, STAT_MSR_READ, STAT_MSR_WRITE, STAT_HYPERCALL,
	       STAT_IRQ, VM_NR_STATS };

/* struct vcpu.asked; VCPU_PIN: INIT by the board's wire, not from another processor */
enum { VCPU_INIT = 1, VCPU_SIPI = 2, VCPU_PIN = 4 };

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
	uint64_t stat[VM_NR_STATS];	/* own thread */
	bool held;			/* [lock] the debugger lets others run, and not this one */
	struct cpu_debug_stop stop;	/* why it stopped for the debugger, untold; own thread, or
					   whoever holds debug.lock while it stands */
};

struct vm;

struct slot {				/* one row of a board: board_gen1.c, board_gen2.c */
	const char *name;
	const struct dev_ops *ops;
	uint64_t base;			/* port, GPA, or PCI slot and function */
	int irq;			/* ISA line or IOAPIC pin, -1 = none */
	bool (*present)(const struct vm *vm, const struct slot *s);	/* NULL = always */
};

struct board {
	unsigned generation;
	const struct slot *slots;
	unsigned nr_slots;
	const struct absorb_range *absent;	/* ports where guests knock in vain */
	unsigned nr_absent, absent_pic;		/* the first ABSENT_PIC are the PIC's, if there is one */
	uint64_t mmio_low, mmio_low_len;	/* RAM continues at 4 GiB above this gap */
	uint64_t mmio_high_len;
	uint64_t lapic, rsdp, acpi_limit, smbios, smbios_limit;
	uint16_t pm_base;
	uint64_t lapic_hz;		/* what a Hyper-V guest is told */
};
extern const struct board board_gen1, board_gen2;
#define BOARD_RANGES 5u			/* of memory, at most */

struct vm_seat {			/* a disk's place; place.c */
	bool ide;
	unsigned controller, lun;	/* IDE: channel, and 0 or 1 on it */
};

struct network;				/* network.h */

/* floppy.c */
MUST_CHECK int floppy_open(struct vm *vm, struct err *err);
/* An image that a drive takes. */
MUST_CHECK int floppy_open_image(struct vm *vm, const char *path, bool read_only,
				 struct blk **ret_b, struct err *err);
void floppy_close(struct vm *vm);
uint8_t floppy_drives(const struct vm *vm);	/* their kinds, as CMOS memory has them */

#define VM_MAX_LEGACY 4u		/* network adapters, in PCI slots from here on */
#define VM_LEGACY_SLOT 10u
#define VM_MAX_SLOTS 32
#define VM_PHYS_BITS 46			/* of the CPUID models */
#define VM_MAX_MAP 8

/* debug.c; all NULL and false when nobody can debug */
struct debug {
	struct gdb_server *server;
	struct gdb_target target;
	uint8_t *action;		/* [lock] [conf.cpus] enum gdb_action */
	/*
	 * Main holds it while it makes vCPUs run or stand, so whoever holds it
	 * and sees frozen may touch them.  Outside of all other locks.
	 */
	pthread_mutex_t lock;
	bool frozen;			/* [lock] the machine stands for the debugger */
	bool leaving;			/* [lock] it goes on as soon as main looks */
	unsigned shown;			/* [lock] the vCPU that stopped */
	struct cpu_debug want;		/* [lock] the points */
	uint64_t since_ns;		/* [lock] when it froze */
	bool ended;			/* [lock] vm_run is about to return... */
	uint8_t code;			/* [lock] ...with this status */
};

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
	struct testconn *testconn;	/* NULL without --test-devices */
	struct scsi *ide_accel[2][2];	/* of the disks on IDE; storage.c */
	struct blk *blk[VM_MAX_DISKS];
	struct blk *floppy[VM_MAX_FLOPPIES];	/* NULL: an empty drive, or none */
	struct blk *disc[2][2];		/* came later into DVD drives that began empty; media.c */
	struct vm_seat seat[VM_MAX_DISKS];	/* where each of conf.disks is */
	struct network *network;
	unsigned nr_legacy;		/* of them that are a 21140 */
	void *legacy[VM_MAX_LEGACY];	/* some of dev[] */
	void *dev[VM_MAX_SLOTS];	/* parallel to board->slots; NULL = absent */
	void *ioapic;			/* one of dev[], as the next ones */
	void *pic;			/* NULL: this machine has none; so the next ones */
	void *pm, *dma, *piix4, *ide, *fdc;
	struct pci_bus *pci;
	uint32_t pulls[24];		/* [chip] who pulls an interrupt line: a bit for each slot */
	struct bios *bios;		/* NULL: Generation 2 */
	struct vcpu *vcpus;		/* [conf.cpus] */
	struct fw_mem map[VM_MAX_MAP];
	unsigned nr_map;
	struct guid uuid, generation_id;
	uint64_t tsc_offset;		/* [const] */
	bool paused;			/* main thread: for trouble */
	struct debug debug;
	struct trace *trace;		/* NULL without conf.trace */
	struct disp *disp;		/* both NULL: the machine has none; screen.c */
	struct input *input;

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

/* board.c */
MUST_CHECK int board_memory(struct vm *vm, struct gmem_range ranges[BOARD_RANGES],
			    size_t *ret_nr, struct err *err);
/* After gmem_new: what of it is ROM and shadow RAM. */
MUST_CHECK int board_rom(struct vm *vm, struct err *err);
MUST_CHECK int board_devices(struct vm *vm, struct err *err);
void board_reset(struct vm *vm);
/* Memory types as firmware leaves them: RAM write-back, the gap below 4 GiB uncached. */
void board_mtrrs(const struct vm *vm, struct cpu_regs *r);
void board_free(struct vm *vm);

/* boot.c: tables, kernel and registers, with the vCPUs standing */
MUST_CHECK int vm_load(struct vm *vm, struct err *err);

/* What the tables of both generations are made of. */
void tables_conf(const struct vm *vm, struct fw_acpi_conf *ret_c);
void tables_smbios_conf(const struct vm *vm, struct fw_smbios_conf *ret_c,
			char serial[GUID_TEXT_LEN + 1]);

/* bios.c: Generation 1 only, but open and close */
#define BIOS_TABLES_LEN (128 * KIB)	/* ACPI tables, at the end of RAM below 4 GiB */
MUST_CHECK int bios_open(struct vm *vm, struct err *err);
void bios_close(struct vm *vm);
uint64_t bios_len(const struct vm *vm);
const void *bios_bytes(const struct vm *vm);
const void *bios_vga_rom(const struct vm *vm);	/* NULL: none */
size_t bios_vga_rom_len(const struct vm *vm);
const uint8_t *bios_net_rom(const struct vm *vm);	/* FW_NETROM_LEN bytes; NULL: none */
const uint8_t *bios_cmos(const struct vm *vm);
const struct fwcfg_item *bios_items(struct vm *vm, unsigned *ret_nr);
MUST_CHECK int bios_load(struct vm *vm, struct err *err);	/* tables into memory */

/* glue.c */
extern const struct cpu_client vm_cpu_client;
extern const struct lapic_client vm_lapic_client;
extern const struct hv_client vm_hv_client;
extern const struct hv_port vm_hv_port;
extern const struct vmbus_port vm_vmbus_port;

/* testconn.c: connections that test programs make; NULL-safe where there are none */
MUST_CHECK int testconn_new(struct vm *vm, struct err *err);
void testconn_free(struct vm *vm);
void testconn_do(void *vm, enum testdev_synic what, uint8_t vp, uint8_t sint, uint8_t conn);
/* False: no such connection; ask VMBus. */
bool testconn_post(struct vm *vm, uint32_t conn, uint32_t type, const void *msg, size_t n,
		   uint16_t *ret_status);
bool testconn_signal(struct vm *vm, uint32_t conn, uint16_t flag);
/* False: none of the test device's; ask Hyper-V's interface. */
bool testconn_hypercall(struct vm *vm, uint64_t gpr[16]);

/* vcpu.c */
MUST_CHECK int vcpus_new(struct vm *vm, struct err *err);
void vcpus_end(struct vm *vm);		/* the threads end; interrupts may still be raised */
void vcpus_free(struct vm *vm);		/* after everything that raises interrupts */
void vcpus_stop(struct vm *vm);		/* on return none runs guest code */
void vcpus_go(struct vm *vm);
void vcpus_reset(struct vm *vm);	/* while stopped: power-on state, APs wait for SIPI */
void vcpus_init(struct vm *vm);		/* INIT by wire, to all; any thread */
void vcpu_wake(struct vcpu *v);
void vcpu_ask(struct vcpu *v, unsigned what, uint8_t vector);

/* debug.c */
MUST_CHECK int debug_open(struct vm *vm, struct err *err);	/* listens, if conf.gdb says so */
MUST_CHECK int debug_start(struct vm *vm, struct err *err);	/* from here on anybody may call */
void debug_close(struct vm *vm);
void debug_hit(struct vcpu *v);		/* its run gave CPU_EXIT_DEBUG */
/* For main, with debug.lock held and all vCPUs standing. */
void debug_freeze(struct vm *vm);
void debug_thaw(struct vm *vm, bool for_good);
void debug_forget_stops(struct vm *vm);	/* of before a reset */
void debug_end(struct vm *vm, uint8_t code);

/* trace.c */
MUST_CHECK int trace_open(struct vm *vm, struct err *err);
void trace_close(struct vm *vm);	/* no vCPU runs any more */
const struct cpu_trace *trace_of(const struct vm *vm);	/* NULL: none */

/* stats.c */
extern const struct cpu_client vm_stats_client;		/* vm_cpu_client, counted */
void stats_exit(struct vcpu *v, enum cpu_exit exit);

/* place.c */
MUST_CHECK int storage_place(const struct vm_conf *conf, struct vm_seat *seats, struct err *err);

/* storage.c: files before the devices that use them, and closed after */
MUST_CHECK int storage_open_files(struct vm *vm, struct err *err);
void storage_close_files(struct vm *vm);
void storage_ide_conf(struct vm *vm, struct ide_conf *c);	/* its disks; the rest is the board's */
MUST_CHECK int storage_open(struct vm *vm, struct err *err);
void storage_close(struct vm *vm);
void storage_retry(struct vm *vm);

/* screen.c */
MUST_CHECK int screen_open(struct vm *vm, struct err *err);
void screen_close(struct vm *vm);

/* adapters.c: what was asked for, before the devices; then what they are plugged into */
MUST_CHECK int network_read(struct vm *vm, struct err *err);
MUST_CHECK int network_open(struct vm *vm, struct err *err);
void network_close(struct vm *vm);

/* vm.c; any thread */
void vm_request(struct vm *vm, unsigned req);
void vm_test_exit(struct vm *vm, uint32_t code);
void vm_fail(struct vm *vm, const char *what);

#endif
