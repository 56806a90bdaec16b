/*
 * vhdx.h - the inside of a VHDX that is open
 *
 * The crash argument, on which every file of vhdx_*.c rests.  The BAT is the
 * only metadata we change, in memory first; its pages reach the file by the
 * log alone:
 *
 *	guest write to an absent block
 *		takes space that reads as zero, enters it in the BAT in memory,
 *		goes out, completes: no flush
 *	guest flush
 *		copy the dirty BAT pages; fdatasync (data, zeroing, file size);
 *		one log entry with all of them; fdatasync; answer
 *	later
 *		logged pages are written in place, fdatasync, the tail moves on
 *
 * So that, whenever the power goes, the file is one that was right:
 *	I1  no page is written in place before its log entry is durable
 *	I2  an entry maps a block only after what the block holds is durable:
 *	    pages are copied before the fdatasync that precedes the entry
 *	I3  space a change gave up is used again only when the change is
 *	    durable and nobody who looked it up before is still in flight
 *	I4  the log never overwrites what the newest durable entry needs
 *	I5  headers switch slots
 *	I6  the header names a log only once the log holds an entry, and
 *	    forgets it only when everything is in place: a strict reader
 *	    always finds a valid sequence where LogGuid is not zero
 *
 * Lock     v->lock guards everything marked [lock]; it is held for lookups
 *          and list work only, never across I/O or a callback.  [const] is
 *          set by opening.  [worker] belongs to the worker thread.  What is
 *          [lock] and set by the worker alone, the worker reads without it.
 */
#ifndef DISK_VHDX_H
#define DISK_VHDX_H

#include "disk/disk_priv.h"
#include "disk/vhdx_fmt.h"

#define BAT_PAGE_ENTRIES 512u

/* A chunk is what one block of bits covers: 2^23 sectors, in pages of 2^15. */
#define CHUNK_SHIFT 23
#define PAGE_BIT_SHIFT 15
#define PAGE_BITS (UINT64_C(1) << PAGE_BIT_SHIFT)
#define CHUNK_PAGES 256u

/* A page of the BAT, or of a differencing disk's bits (vhdx_bits.c). */
struct bat_page {
	uint64_t e[BAT_PAGE_ENTRIES];	/* [lock] as in the file */
	uint64_t off;			/* [const] where in the file */
	bool bits;			/* [const] */
	bool dirty;			/* [lock] newer than the newest log entry */
	struct bat_page *next_dirty;	/* [lock] */
	uint8_t *logged;		/* [worker] in the log, not yet in place; or NULL */
	struct bat_page *next_logged;	/* [worker] */
};

/* A range of the file.  SEQ: who was in flight when it was given up. */
struct run {
	uint64_t off, len, seq;
};

struct runs {
	struct run *v;
	size_t nr, cap;
};

/* What a log entry says about the file; in replay order. */
struct patch {
	uint64_t off, len;
	uint8_t *data;			/* 4 KiB, or NULL: zeros */
};

struct patches {
	struct patch *v;
	size_t nr, cap;
	uint64_t lo, hi;		/* all of them lie in here */
	uint64_t flushed, last;		/* file sizes the log vouches for */
};

struct vreq {
	struct xfer x;
	struct vhdx *v;
	struct blk_req *req;
	uint64_t pos, chunk;		/* bytes of the request done, and in flight */
	uint64_t seq;			/* [lock] */
	uint64_t block;			/* to prepare, when PREPARE */
	bool prepare, child;		/* CHILD: bits are to be set for what is in flight */
	struct bat_page *loading;	/* [owned] a page of bits that is on its way here */
	struct iovec iov;		/* into it */
	struct blk_req ask;		/* to the parent */
	struct iovec *ask_iov;		/* [owned] */
	struct vreq *prev, *next;	/* [lock] in v->moving */
	struct vreq *wait_next;		/* [lock] in parked or flushers */
};

struct vreqs {
	struct vreq *head, **tail;
};

struct vhdx {
	struct blk blk;
	struct flight flight;
	struct aio *aio;
	char *name;			/* [const] for messages */

	/* [const] geometry */
	uint32_t block_size, block_shift, chunk_ratio;
	uint64_t nr_blocks, nr_entries, nr_pages;
	bool fixed, has_parent;
	uint64_t bat_off, bat_len, meta_off, meta_len, log_off;
	uint32_t log_len;
	struct runs regions;		/* everything in the file that is not a block */
	/* [const] a differencing disk's */
	struct blk *parent;		/* [owned] */
	uint32_t locator_off, locator_len;	/* in the metadata */
	uint64_t nr_chunks;
	struct bat_page ***bits;	/* [lock] by chunk and page; NULL: not loaded */
	bool bits_in_doubt;		/* [lock] not durable as vhdx_bits_ready must have them */

	char creator[128];
	bool log_dirty;			/* there was something to replay */
	bool regions_bad[2];		/* region table copies to rewrite */
	struct patches patches;		/* [const] what a read-only open replayed in memory */

	struct vhdx_header hdr;		/* current; [worker] once it runs */
	unsigned slot;			/* 0 or 1: where it lies */

	pthread_mutex_t lock;
	pthread_cond_t work;		/* for the worker */
	struct bat_page **page;		/* [lock] NULL: all its used entries are zero */
	uint64_t present;		/* [lock] blocks with space */
	struct bat_page *dirty, **dirty_tail;	/* [lock] oldest first */
	uint64_t nr_dirty, dirty_since;	/* [lock] */
	struct vreq *moving_first, *moving_last;	/* [lock] requests that hold a lookup */
	uint64_t next_seq;		/* [lock] */
	struct vreqs parked;		/* [lock] writes that wait for session or space */
	struct vreqs flushers;		/* [lock] */
	bool session;			/* [lock] the header says that we write */
	bool committing;		/* [lock] */
	bool stop;			/* [lock] */
	bool log_live;			/* [lock] the log holds entries of LOG_GUID */
	bool log_named;			/* [lock] the header on disk has LOG_GUID for certain */

	/* Space.  Everything from END to FILE_SIZE reads as zero once SESSION is set. */
	uint64_t end, file_size;	/* [lock] */
	struct runs ready;		/* [lock] zeroed, one block each */
	struct runs holes;		/* [lock] free, content unknown */
	struct runs limbo;		/* [lock] given up, not durably so */
	struct runs settling;		/* [lock] durably given up, perhaps still looked at */

	/* [worker] the log we write */
	bool worker_runs;
	pthread_t worker;
	struct guid log_guid;
	uint64_t log_seq;		/* of the next entry */
	uint32_t log_head;		/* where the next entry goes */
	uint32_t log_used;		/* bytes from the newest durable entry's tail to LOG_HEAD */
	struct bat_page *logged;	/* pages not yet in place */
	uint64_t last_commit;		/* ns */
	int told;			/* what the operator was last told is wrong, or 0 */
	uint64_t commit_after, close_log_after;	/* [const] ns; tests have less patience */
};

/* ---- runs: vhdx_space.c ---------------------------------------------------- */

MUST_CHECK int runs_add(struct runs *r, uint64_t off, uint64_t len, uint64_t seq);
void runs_free(struct runs *r);

/* ---- vhdx_open.c, vhdx_meta.c ---------------------------------------------- */

/* Reads through the in-memory replay; zeros past the end of the file. */
MUST_CHECK int vhdx_read_meta(struct vhdx *v, uint64_t off, void *buf, size_t len);
MUST_CHECK int vhdx_load_regions(struct vhdx *v, struct err *err);
MUST_CHECK int vhdx_load_metadata(struct vhdx *v, struct err *err);
/* Size of the file with what the log promises. */
uint64_t vhdx_logical_size(const struct vhdx *v);

/* ---- vhdx_bat.c ------------------------------------------------------------ */

MUST_CHECK int vhdx_load_bat(struct vhdx *v, bool writable, struct err *err);
void vhdx_free_bat(struct vhdx *v);

static inline uint64_t vhdx_bat_index(const struct vhdx *v, uint64_t block)
{
	return block + block / v->chunk_ratio;
}

/* An entry by its place in the BAT.  Lock held. */
uint64_t vhdx_bat_entry(const struct vhdx *v, uint64_t index);
/* The entry of BLOCK.  Lock held. */
uint64_t vhdx_bat_get(const struct vhdx *v, uint64_t block);
/* Sets it and marks its page dirty; -ENOMEM.  Lock held. */
MUST_CHECK int vhdx_bat_set(struct vhdx *v, uint64_t block, uint64_t entry);
MUST_CHECK int vhdx_bat_set_entry(struct vhdx *v, uint64_t index, uint64_t entry);
void vhdx_bat_mark_dirty(struct vhdx *v, struct bat_page *p);

static inline bool bat_has_space(uint64_t entry)
{
	return (entry & BAT_STATE_MASK) >= BAT_FULLY_PRESENT;
}

/* ---- vhdx_parent.c --------------------------------------------------------- */

MUST_CHECK int vhdx_find_parent(struct vhdx *v, unsigned flags, const struct descent *from,
				struct err *err);
/* Is PARENT the one that V was made on? */
MUST_CHECK int vhdx_check_parent(struct vhdx *v, const struct blk *parent, struct err *err);
/* For tests: PARENT is taken over, also on failure, and may be NULL. */
MUST_CHECK int vhdx_open_on(struct aio *aio, const char *name, unsigned flags, struct blk *parent,
			    struct blk **ret_b, struct err *err);
/* What to call it before a person. */
void vhdx_parent_name(struct vhdx *v, char *buf, size_t cap);

/* ---- vhdx_bits.c: of differencing disks, OFF is the guest's; lock held ------ */

struct bat_page *vhdx_bits(struct vhdx *v, uint64_t off);	/* NULL: not loaded */
/* Where that page is in the file; false: nowhere, all its bits are 0. */
bool vhdx_bits_at(const struct vhdx *v, uint64_t off, uint64_t *ret_at);
/* Takes *PAGE over, unless there is one by now; -ENOMEM. */
MUST_CHECK int vhdx_bits_keep(struct vhdx *v, uint64_t off, struct bat_page **page);
/* Bytes from OFF, at most N, all of them here or none; not past the page. */
uint64_t vhdx_bits_run(const struct vhdx *v, const struct bat_page *p, uint64_t off, uint64_t n,
		       bool *ret_here);
/* N bytes that do not leave the page, which is loaded, are here now. */
void vhdx_bits_set(struct vhdx *v, uint64_t off, uint64_t n);
/* May BLOCK, which is NOT_PRESENT, become PARTIALLY_PRESENT? */
bool vhdx_bits_ready(struct vhdx *v, uint64_t block);
/* [worker] Without the lock: makes it so, once a commit has followed. */
MUST_CHECK int vhdx_bits_prepare(struct vhdx *v, uint64_t block);
void vhdx_free_bits(struct vhdx *v);

/* ---- vhdx_space.c ---------------------------------------------------------- */

/* Space for one block that reads as zero, or -EAGAIN: the worker must make some.  Lock held. */
MUST_CHECK int vhdx_take_block(struct vhdx *v, uint64_t *ret_off);
bool vhdx_space_low(const struct vhdx *v);	/* lock held */
/* [worker] */
MUST_CHECK int vhdx_make_space(struct vhdx *v);
/* Drops what lies past END, which may hold anything, and grows from there. */
MUST_CHECK int vhdx_fresh_end(struct vhdx *v);
/* Frees what was durably given up and is looked at by nobody any more. */
void vhdx_settle(struct vhdx *v);
/* Gives back what lies free at the end of the file. */
MUST_CHECK int vhdx_trim_file(struct vhdx *v);

/* ---- vhdx_create.c --------------------------------------------------------- */

/* The parent of a disk to be. */
struct vhdx_over {
	uint64_t size;
	uint32_t logical;
	struct guid disk_id, data_write;
	const char *absolute, *relative;	/* paths to it; RELATIVE from the child's folder */
};

MUST_CHECK int vhdx_format_over(struct aio *a, const struct vhdx_create *conf,
				const struct vhdx_over *over, struct err *err);

/* ---- vhdx_log.c ------------------------------------------------------------ */

/* Reads the active sequence into v->patches; refuses a log that has none. */
MUST_CHECK int vhdx_log_find(struct vhdx *v, struct err *err);
void vhdx_patches_free(struct patches *p);
/* Puts what the patches say about [off, off + len) into the slice of IOV. */
void vhdx_patch(const struct patches *p, uint64_t off, uint64_t len, const struct iovec *iov,
		int nr_iov, uint64_t skip);
/* Writes the patches into the file and marks it clean. */
MUST_CHECK int vhdx_log_replay(struct vhdx *v, struct err *err);

/* ---- vhdx_journal.c: the worker's, and opening's and creation's ------------- */

void vhdx_seal(void *structure, size_t len, size_t checksum_off);	/* fills the CRC-32C in */
bool vhdx_sealed(const void *structure, size_t len, size_t checksum_off);
/* Makes v->hdr with NEW_HDR's GUIDs current, in both slots. */
MUST_CHECK int vhdx_header_update(struct vhdx *v, const struct vhdx_header *new_hdr);

struct log_page {
	uint64_t off;
	const uint8_t *data;		/* 4 KiB */
};
uint32_t vhdx_log_max_pages(const struct vhdx *v);
/* Durably appends one entry; may write older pages in place first. */
MUST_CHECK int vhdx_log_append(struct vhdx *v, const struct log_page *pages, uint32_t nr);
/* Makes the header name the log, where it may not. */
MUST_CHECK int vhdx_log_name(struct vhdx *v);
MUST_CHECK int vhdx_log_apply(struct vhdx *v);		/* logged pages in place, durably */
MUST_CHECK int vhdx_log_close(struct vhdx *v);		/* apply, then LogGuid = 0 */
MUST_CHECK int vhdx_repair_regions(struct vhdx *v);

/* ---- vhdx_worker.c --------------------------------------------------------- */

MUST_CHECK int vhdx_worker_start(struct vhdx *v);
/* Commits, closes the log, ends the thread.  Nothing is in flight. */
void vhdx_worker_stop(struct vhdx *v);

/* ---- vhdx_io.c ------------------------------------------------------------- */

extern const struct blk_ops vhdx_blk_ops;
void vreqs_init(struct vreqs *l);
void vreqs_add(struct vreqs *l, struct vreq *r);
void vhdx_step(struct vreq *r);			/* goes on with a parked request */
void vhdx_finish(struct vreq *r, int rc);
void vhdx_free(struct vhdx *v);

#endif
