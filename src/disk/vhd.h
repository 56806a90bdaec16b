/*
 * vhd.h - the inside of a VHD that is open
 *
 * The format has no log.  What makes it safe is the order in which things
 * become durable, and that space is never used twice:
 *
 *	guest write to an absent block
 *		takes space that reads as zero, enters it in the BAT in memory,
 *		goes out, completes: no flush
 *	write to a sector that was the parent's
 *		goes out; its bit is set in memory when it is there
 *	guest flush
 *		copy the dirty sectors of the BAT and the dirty bitmaps; write the
 *		bitmaps of new blocks; fdatasync; write the BAT sectors and the
 *		bitmaps of older blocks; fdatasync; answer
 *
 * So that, whenever the power goes:
 *	V1  an entry of the BAT names only a block whose space is in the file, zero
 *	    where nobody wrote, and whose bitmap is durable: bitmap, data and the
 *	    file's length come before the fdatasync that precedes the entry
 *	V2  a bit is 1 in the file only after its sector's data is durable: a bitmap
 *	    is copied before that fdatasync, and only sectors whose writes had ended
 *	    are 1 in it.  A cut before leaves the parent's sector, as before the write
 *	V3  BAT and bitmaps change by whole sectors in place, and each entry and bit
 *	    of a sector is right by itself, old or new
 *	V4  the copy of the footer at the start is never touched (but to mend it), and
 *	    the footer of a longer file is durable before the one at the old end is
 *	    overwritten; a shorter file is cut only after its footer is durable
 *
 * A cut between can leave space that nobody names; the next session's end of
 * the file starts below it.  Trimmed blocks stay, as holes of the host's file.
 *
 * Lock     v->lock guards everything marked [lock]; held for lookups and list
 *          work only, never across I/O or a callback.  [const] is set by
 *          opening, [worker] belongs to the worker thread
 */
#ifndef DISK_VHD_H
#define DISK_VHD_H

#include "disk/disk_priv.h"
#include "disk/vhd_fmt.h"

#define VHD_ALIGN 4096u			/* Windows starts every block's data on one */
#define BAT_SECTOR_ENTRIES 128u

/* Which sectors of a block are here and not in the parent; differencing disks only. */
struct vhd_map {
	uint64_t block;			/* [const] */
	bool dirty;			/* [lock] */
	bool seeded;			/* [lock] the file's own may be looked at: V1 is met */
	struct vhd_map *next_dirty;	/* [lock] */
	uint8_t bits[];			/* [lock] as in the file */
};

struct vhd_req {
	struct xfer x;
	struct vhd *v;
	struct blk_req *req;
	uint64_t pos, chunk;		/* bytes of the request done, and in flight */
	struct vhd_map *loading;	/* [owned] a bitmap that is on its way here */
	struct iovec iov;		/* into it */
	struct blk_req ask;		/* to the parent */
	struct iovec *ask_iov;		/* [owned] */
	struct vhd_req *wait_next;	/* [lock] in parked or flushers */
};

struct vhd_reqs {
	struct vhd_req *head, **tail;
};

struct vhd {
	struct blk blk;
	struct flight flight;
	struct aio *aio;
	char *name;			/* [const] for messages */

	/* [const] */
	struct vhd_footer foot;
	struct vhd_header head;		/* not of a fixed disk */
	enum vhd_type type;
	bool head_bad, tail_bad;	/* copies of the footer to mend */
	uint32_t block_size, block_shift, bitmap_len;
	uint64_t nr_blocks, bat_off, bat_len;	/* BAT_LEN: all of the table's sectors */
	struct blk *parent;		/* [owned] */
	uint8_t *ones;			/* a bitmap of a dynamic disk */

	pthread_mutex_t lock;
	pthread_cond_t work;		/* for the worker */
	uint32_t *bat;			/* [lock] host byte order */
	uint64_t present;		/* [lock] */
	uint8_t *bat_dirty;		/* [lock] per sector of the BAT */
	uint64_t nr_bat_dirty, nr_map_dirty, dirty_since;	/* [lock] */
	struct vhd_map **map;		/* [lock] of a differencing disk; NULL: not loaded */
	struct vhd_map *maps, **maps_tail;	/* [lock] dirty ones, oldest first */
	uint64_t *fresh;		/* [lock] dynamic: blocks whose bitmap is yet to be written */
	uint8_t *full;			/* [lock] dynamic: is the block's bitmap all ones? */
	size_t nr_fresh, cap_fresh;	/* [lock] */
	struct vhd_reqs parked;		/* [lock] writes that wait for session or space */
	struct vhd_reqs flushers;	/* [lock] */
	bool session;			/* [lock] END to LIMIT reads as zero */
	bool committing, stop;		/* [lock] */
	uint64_t end;			/* [lock] of everything somebody names */
	uint64_t limit;			/* [lock] where the footer lies */
	uint64_t file_size;		/* [const] when opened */

	bool worker_runs;
	pthread_t worker;
	int told;			/* [worker] what the operator was last told, or 0 */
	uint64_t commit_after, grow_step;	/* [const] ns, bytes; tests have less patience */
};

/* ---- places ----------------------------------------------------------------- */

/* Where Windows puts the footer of a file whose last block ends at END. */
static inline uint64_t vhd_footer_place(uint64_t end)
{
	return align_up(end, VHD_ALIGN) + VHD_ALIGN - VHD_SECTOR;
}

/* Where the data of the next block starts; its bitmap is right before it. */
static inline uint64_t vhd_data_place(const struct vhd *v, uint64_t end)
{
	return align_up(align_up(end, VHD_ALIGN) + v->bitmap_len, VHD_ALIGN);
}

static inline bool vhd_bit(const struct vhd_map *m, uint64_t sector)
{
	return m->bits[sector / 8] >> (7 - sector % 8) & 1;
}

/* ---- vhd_open.c ------------------------------------------------------------- */

uint32_t vhd_checksum(const void *structure, size_t len, size_t checksum_off);
void vhd_free(struct vhd *v);
/* For tests: PARENT is taken over, also on failure, and may be NULL. */
MUST_CHECK int vhd_open_on(struct aio *aio, const char *name, unsigned flags, struct blk *parent,
			   struct blk **ret_b, struct err *err);

/* ---- vhd_bat.c -------------------------------------------------------------- */

MUST_CHECK int vhd_load_bat(struct vhd *v, struct err *err);
void vhd_free_bat(struct vhd *v);
/* The rest: lock held. */
static inline bool vhd_is_dirty(const struct vhd *v)
{
	return v->nr_bat_dirty + v->nr_map_dirty + v->nr_fresh > 0;
}

void vhd_mark_bat(struct vhd *v, uint64_t sector);
/* The bitmap of BLOCK of a dynamic disk is to be all ones; -ENOMEM. */
MUST_CHECK int vhd_fill_map(struct vhd *v, uint64_t block);
void vhd_mark_map(struct vhd *v, struct vhd_map *m);
/* Space for BLOCK.  -EAGAIN: the worker must make some; -ENOMEM. */
MUST_CHECK int vhd_take_block(struct vhd *v, uint64_t block);
bool vhd_space_low(const struct vhd *v);
/* File offset of guest offset OFF, whose block is present. */
uint64_t vhd_place(const struct vhd *v, uint64_t off);
struct vhd_map *vhd_new_map(const struct vhd *v, uint64_t block);

/* ---- vhd_parent.c ----------------------------------------------------------- */

/* Opens the parent that V names, beneath FROM's folder, into v->parent. */
MUST_CHECK int vhd_find_parent(struct vhd *v, unsigned flags, const struct descent *from,
			       struct err *err);
/* Is PARENT the one that V was made on? */
MUST_CHECK int vhd_check_parent(const struct vhd *v, const struct blk *parent, struct err *err);
/* What to call the parent before a person: the best of its names. */
void vhd_parent_name(struct vhd *v, char *buf, size_t cap);

/* ---- vhd_create.c ----------------------------------------------------------- */

/* The parent of a disk to be. */
struct vhd_over {
	uint64_t size;
	struct guid id;
	const char *absolute, *relative;	/* paths to it; RELATIVE from the child's folder */
};

/* OVER: of a differencing disk. */
MUST_CHECK int vhd_format_over(struct aio *a, const struct vhd_create *c,
			       const struct vhd_over *over, struct err *err);

/* ---- vhd_worker.c ----------------------------------------------------------- */

MUST_CHECK int vhd_worker_start(struct vhd *v);
/* Commits, cuts the file to size, ends the thread.  Nothing is in flight. */
void vhd_worker_stop(struct vhd *v);

/* ---- vhd_io.c --------------------------------------------------------------- */

extern const struct blk_ops vhd_blk_ops;
void vhd_reqs_init(struct vhd_reqs *l);
void vhd_reqs_add(struct vhd_reqs *l, struct vhd_req *r);
void vhd_step(struct vhd_req *r);		/* goes on with a parked request */
void vhd_finish(struct vhd_req *r, int rc);

#endif
