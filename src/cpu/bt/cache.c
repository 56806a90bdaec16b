/*
 * cache.c - translated blocks: where they are kept, found, linked and forgotten
 *
 * Code lies in two halves of one region: hot code, and stubs that rarely run.
 * It is mapped twice, writable and executable, never both at one address.
 * Nothing is ever freed alone: a block that is wrong is unlinked and its memory
 * waits for the day when everything goes.
 *
 * Pages of code are known by linear and by physical address: a block holds only
 * as long as both belong together (bt_page.epoch) and the bytes are the same.
 *
 * Lock     none: everything belongs to the vCPU's thread
 */
#include "cpu/bt/bt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOW_STEP UINT64_C(0x00200000)	/* a large page of the host */
/* More than any one block takes. */
#define ROOM_CODE (64 * KIB)
#define ROOM_META (96 * KIB)
#define HOT_HITS 64u
#define HOT_AGAIN 8u
#define READY_STEP (2 * MIB)	/* a large page of the host */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22	/* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25	/* Linux 6.1 */
#endif

/* ---- memory below 2 GiB -------------------------------------------------------------- */

void *bt_low_map(size_t n, int prot, int flags, int fd)
{
	for (uint64_t at = BT_LOW_BEGIN; at + n <= BT_LOW_END; at += LOW_STEP) {
		void *p = mmap((void *)(uintptr_t)at, n, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

		if (p == (void *)(uintptr_t)at)
			return p;
		if (p != MAP_FAILED)	/* an old kernel took it for a hint */
			munmap(p, n);
	}
	return NULL;
}

/* A mapping that begins where a large page may. */
static uint8_t *map_aligned(size_t size, int fd)
{
	size_t room = size + READY_STEP;
	uint8_t *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *at;

	if (p == MAP_FAILED)
		return MAP_FAILED;
	at = (uint8_t *)align_up((uintptr_t)p, READY_STEP);
	munmap(p, (size_t)(at - p));
	munmap(at + size, (size_t)(p + room - (at + size)));
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

static int map_code(struct bt *b, size_t size)
{
	int fd = memfd_create("genvisor-code", MFD_CLOEXEC);
	uint8_t *rx, *rw;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		close(fd);
		return -ENOMEM;
	}
	rx = bt_low_map(size, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
	rw = map_aligned(size, fd);
	close(fd);
	if (rx == NULL || rw == MAP_FAILED) {
		if (rx != NULL)
			munmap(rx, size);
		if (rw != MAP_FAILED)
			munmap(rw, size);
		return -ENOMEM;
	}
	b->code_rw = rw;
	b->code_delta = rx - rw;
	b->code_size = size;
	return 0;
}

int bt_cache_init(struct bt *b, size_t code_size, size_t meta_size)
{
	int rc = map_code(b, code_size);

	if (rc < 0)
		return rc;
	b->meta.base = bt_low_map(meta_size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	b->meta.size = meta_size;
	if (b->meta.base == NULL)
		return -ENOMEM;
	(void)madvise(b->meta.base, meta_size, MADV_HUGEPAGE);
	return 0;
}

void bt_cache_fini(struct bt *b)
{
	if (b->code_rw != NULL) {
		munmap(b->code_rw + b->code_delta, b->code_size);
		munmap(b->code_rw, b->code_size);
	}
	if (b->meta.base != NULL)
		munmap(b->meta.base, b->meta.size);
	free(b->sorted);
}

void *bt_alloc(struct bt *b, size_t n)
{
	uint8_t *p = b->meta.base + b->meta.used;

	b->meta.used += align_up(n, 8);
	BUG_IF(b->meta.used > b->meta.size);
	return p;
}

bool bt_cache_full(const struct bt *b)
{
	return b->hot_used + ROOM_CODE > b->code_size / 2 ||
	       b->cold_used + ROOM_CODE > b->code_size / 2 ||
	       b->meta.used + ROOM_META > b->meta.size;
}

/*
 * Pages of the cache that are about to be written, at once: one by one each would
 * cost two page faults, which on some hosts take longer than the translation.  As
 * large pages where the host can: programs run through far more code than the
 * processor's own TLB reaches by small ones.  As much again as is in use: to make
 * large pages costs the host a wait for all its processors, once each time.
 */
static void make_ready(struct bt *b, size_t at, size_t *ready)
{
	uint8_t *rw = b->code_rw + *ready + (ready == &b->cold_ready ? b->code_size / 2 : 0);
	size_t n = *ready == 0 ? READY_STEP : *ready;

	if (at + ROOM_CODE <= *ready || *ready >= b->code_size / 2)
		return;
	if (n > b->code_size / 2 - *ready)
		n = b->code_size / 2 - *ready;
	for (size_t i = 0; i < n; i += READY_STEP)	/* a hole does not collapse */
		(void)((volatile uint8_t *)rw)[i];
	if (madvise(rw, n, MADV_COLLAPSE) < 0)
		(void)madvise(rw, n, MADV_POPULATE_WRITE);
	(void)madvise(rw + b->code_delta, n, MADV_POPULATE_READ);
	*ready += n;
}

void bt_cache_ready(struct bt *b)
{
	make_ready(b, b->hot_used, &b->hot_ready);
	make_ready(b, b->cold_used, &b->cold_ready);
}

void bt_jumps_for(struct bt *b, unsigned mode)
{
	mode &= ~(unsigned)BT_PLAIN;
	if (likely(b->jump_of[mode] != 0) || b->nr_jumps == BT_JUMP_TABLES)
		return;
	for (unsigned i = 0; i < BT_JUMP_SLOTS; i++)
		b->jump[b->nr_jumps][i] = b->gate_miss;
	b->jump_of[mode] = (uint8_t)++b->nr_jumps;
}

void bt_cache_flush(struct bt *b)
{
	memset(b->hash, 0, sizeof(b->hash));
	b->lock_next = NULL;
	memset(&b->plain, 0, sizeof(b->plain));
	memset(&b->roams, 0, sizeof(b->roams));
	memset(&b->hot, 0, sizeof(b->hot));
	memset(b->by_lin, 0, sizeof(b->by_lin));
	memset(b->by_state, 0, sizeof(b->by_state));
	b->hot_used = b->cold_used = b->meta.used = 0;
	b->nr_sorted = 0;
	bt_gates_make(b);
	memset(b->jump_of, 0, sizeof(b->jump_of));
	b->nr_jumps = 0;
	b->stats.flushes++;
}

/* ---- pages --------------------------------------------------------------------------- */

static struct bt_page **lin_bucket(struct bt *b, uint64_t lin)
{
	return &b->by_lin[(lin >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

static struct bt_page **state_bucket(struct bt *b, const _Atomic uint32_t *state)
{
	return &b->by_state[((uintptr_t)state >> 2) % BT_PAGE_HASH];
}

static struct bt_page *page_new(struct bt *b, uint64_t lin, const struct tlb_code_entry *te,
				bool user)
{
	struct bt_page *p = bt_alloc(b, sizeof(*p));

	*p = (struct bt_page){
		.lin = lin, .gpa = te->gpa, .state = te->state, .hva = te->hva,
		.global = te->global, .user = user,
		.lin_next = *lin_bucket(b, lin), .state_next = *state_bucket(b, te->state),
	};
	*lin_bucket(b, lin) = p;
	*state_bucket(b, te->state) = p;
	b->stats.code_pages++;
	return p;
}

void bt_page_gone(struct interp *c, uint64_t lin)
{
	struct bt *b = BT_OF(c);

	lin &= ~PAGE_MASK;
	for (struct bt_page *p = *lin_bucket(b, lin); p != NULL; p = p->lin_next)
		if (p->lin == lin)
			p->epoch = BT_EPOCH_NEVER;
}

struct bt_page *bt_page_at(struct bt *b, uint64_t lin)
{
	const struct tlb_code_entry *te;
	bool user = b->c.cpl == 3;
	struct bt_page *p;
	uint32_t code;

	te = interp_tlb_code(&b->c, lin, &code);
	if (te == NULL) {
		if (code != UINT32_MAX)
			interp_page_fault(&b->c, lin, code);
		return NULL;
	}
	lin &= ~PAGE_MASK;
	for (p = *lin_bucket(b, lin); p != NULL; p = p->lin_next)
		if (p->lin == lin && p->gpa == te->gpa && p->user == user &&
		    p->global == te->global)
			break;
	if (p == NULL)
		p = page_new(b, lin, te, user);
	p->epoch = b->c.flush_seq[p->global];
	return p;
}

/* ---- blocks -------------------------------------------------------------------------- */

static struct bt_block **bucket(struct bt *b, uint64_t lin, unsigned mode)
{
	return &b->hash[((lin ^ (uint64_t)mode << 59) * UINT64_C(0x9e3779b97f4a7c15)) >> 47];
}
_Static_assert(BT_HASH == 1u << 17, "bucket shifts for this");

struct bt_block *bt_lookup(struct bt *b, uint64_t lin, const struct bt_page *p, unsigned mode)
{
	struct bt_block *k = *bucket(b, lin, mode);

	while (k != NULL && (k->lin != lin || k->page != p || k->mode != mode))
		k = k->hash_next;
	return k;
}

void bt_insert(struct bt *b, struct bt_block *k)
{
	struct bt_block **at = bucket(b, k->lin, k->mode);

	if (b->nr_sorted == b->max_sorted) {
		size_t max = b->max_sorted ? b->max_sorted * 2 : 4096;
		struct bt_block **more = realloc(b->sorted, max * sizeof(struct bt_block *));

		if (more == NULL)
			return;		/* not found again: translated again */
		b->sorted = more;
		b->max_sorted = max;
	}
	b->sorted[b->nr_sorted++] = k;
	k->hash_next = *at;
	*at = k;
	k->page_next = k->page->blocks;
	k->page->blocks = k;
	if (k->page2 != NULL) {
		k->page2_next = k->page2->blocks2;
		k->page2->blocks2 = k;
	}
}

struct bt_block *bt_find_pc(struct bt *b, const uint8_t *pc, uint64_t *ret_rip)
{
	size_t lo = 0, hi = b->nr_sorted;
	struct bt_block *k;
	uint64_t rip;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (b->sorted[mid]->code <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	k = b->sorted[lo - 1];
	if (pc >= k->code_end)
		return NULL;
	rip = k->lin;
	for (unsigned i = 0; i < k->nr && k->code + k->map[i].host <= pc; i++)
		rip = k->lin + k->map[i].guest;
	*ret_rip = rip;
	return k;
}

/* ---- links --------------------------------------------------------------------------- */

/* From a block to another in the same page and mode the mapping needs no look. */
static uint8_t *entry_for(const struct bt_site *s, const struct bt_block *to)
{
	const struct bt_block *from = s->block;

	if (to->page2 != NULL || (from->page != to->page && from->page2 != to->page) || (from->mode & ~(unsigned)BT_PLAIN) != to->mode)
		return to->far;
	if (!s->len || (to->fp && !from->fp))
		return to->poll;
	return to->body;
}

/* In one page and mode, and with the same registers. */
static bool same_swaps(const struct bt_site *s, const struct bt_block *to)
{
	const struct bt_block *from = s->block;

	if (to->page2 != NULL || from->page != to->page || from->mode != to->mode ||
	    from->nr_swaps != to->nr_swaps)
		return false;
	for (unsigned i = 0; i < to->nr_swaps; i++)
		if (from->swap[i].in != to->swap[i].in ||
		    from->swap[i].gives != to->swap[i].gives ||
		    from->swap[i].changes > to->swap[i].changes)
			return false;
	return true;
}

void bt_link(struct bt *b, struct bt_site *s, struct bt_block *to)
{
	if (s->to != NULL || s->block->dead || to->dead || to->mode != s->to_mode)
		return;
	s->to = to;
	s->in_next = to->in;
	to->in = s;
	b->stats.links++;
	if (s->direct != NULL && same_swaps(s, to))
		em_patch(s->direct, b->code_delta,
			 s->len && s->block->fp >= to->fp ? to->body_swapped : to->poll_swapped);
	else
		em_patch(s->patch, b->code_delta, entry_for(s, to));
}

static void unlink_out(struct bt_block *k)
{
	for (struct bt_site *s = k->out; s != NULL; s = s->next) {
		struct bt_site **at;

		if (s->to == NULL)
			continue;
		for (at = &s->to->in; *at != s; at = &(*at)->in_next)
			;
		*at = s->in_next;
		s->to = NULL;
	}
}

static void unlink_in(struct bt *b, struct bt_block *k)
{
	for (struct bt_site *s = k->in; s != NULL; s = s->in_next) {
		em_patch(s->patch, b->code_delta, s->stub);
		if (s->direct != NULL)
			em_patch(s->direct, b->code_delta, s->out);
		s->to = NULL;
	}
	k->in = NULL;
}

void bt_kill(struct bt *b, struct bt_block *k)
{
	uint8_t **jumps = bt_jumps(b, k->mode);
	struct bt_block **at;

	if (k->dead)
		return;
	k->dead = true;
	unlink_out(k);
	unlink_in(b, k);
	if (jumps != NULL && jumps[k->lin % BT_JUMP_SLOTS] == k->ind)
		jumps[k->lin % BT_JUMP_SLOTS] = b->gate_miss;
	for (at = bucket(b, k->lin, k->mode); *at != NULL; at = &(*at)->hash_next)
		if (*at == k) {
			*at = k->hash_next;
			break;
		}
	for (at = &k->page->blocks; *at != NULL; at = &(*at)->page_next)
		if (*at == k) {
			*at = k->page_next;
			break;
		}
	if (k->page2 != NULL)
		for (at = &k->page2->blocks2; *at != NULL; at = &(*at)->page2_next)
			if (*at == k) {
				*at = k->page2_next;
				break;
			}
	b->stats.invalidated++;
}

/* ---- writes to code ------------------------------------------------------------------ */

/* Bytes of K on its first page. */
static unsigned first_bytes(const struct bt_block *k)
{
	unsigned room = (unsigned)(PAGE_SIZE - (k->lin & PAGE_MASK));

	return k->bytes < room ? k->bytes : room;
}

static unsigned check_blocks(struct bt *b, struct bt_page *p, bool all)
{
	struct bt_block *k, *next;
	unsigned killed = 0;

	for (k = p->blocks2; k != NULL; k = next) {
		unsigned n = first_bytes(k);

		next = k->page2_next;
		if (!all && memcmp(p->hva, k->src + n, k->bytes - n) == 0)
			continue;
		bt_kill(b, k);
		killed++;
	}

	for (k = p->blocks; k != NULL; k = next) {
		next = k->page_next;
		if (!all && memcmp(p->hva + (k->lin & PAGE_MASK), k->src, first_bytes(k)) == 0)
			continue;
		bt_kill(b, k);
		killed++;
	}
	return killed;
}

/* Whether no processor holds what it translated before SEQ; one that rests looks first. */
static bool have_seen(void *self, uint64_t seq)
{
	const struct bt *b = self;
	const struct cpu_shared *sh = b->c.conf.shared;

	for (unsigned i = 0; i < sh->nr_cpus && i < SHARED_CPUS; i++)
		if (sh->cpu[i] != NULL && sh->cpu[i] != &b->c &&
		    atomic_load(&sh->cpu[i]->running) && atomic_load(&sh->cpu[i]->code_seen) < seq)
			return false;
	return true;
}

/*
 * A page that is written again and again and not run: stores shall be fast there.
 * True: it is no page with code any more, or will soon be none, and our own blocks of
 * it must go.  Another processor may be in the middle of a block of it, whose next
 * store would no longer be seen to change that block: so all are asked to forget
 * theirs, and the page becomes data when they have.
 */
static bool cool_down(struct bt *b, _Atomic uint32_t *state, unsigned killed)
{
	size_t n = ((uintptr_t)state >> 2) % ARRAY_LEN(b->busy);
	struct gmem *m = b->c.conf.mem;

	if (b->busy[n].state != state || killed)
		b->busy[n].hits = 0;
	b->busy[n].state = state;
	if (++b->busy[n].hits < HOT_HITS)
		return false;
	if (gmem_code_listeners(m) == 1) {
		b->busy[n].hits = 0;
		atomic_fetch_and(state, ~GMEM_HAS_CODE);
		return true;
	}
	b->busy[n].hits = HOT_HITS - HOT_AGAIN;
	gmem_code_cool(m, state, have_seen, b);
	return true;
}

static unsigned check_pages(struct bt *b, const _Atomic uint32_t *state, bool all)
{
	unsigned killed = 0;

	for (struct bt_page *p = *state_bucket(b, state); p != NULL; p = p->state_next)
		if (p->state == state)
			killed += check_blocks(b, p, all);
	return killed;
}

static void page_written(struct bt *b, _Atomic uint32_t *state)
{
	unsigned killed = check_pages(b, state, gmem_code_gone(state));

	if ((atomic_load(state) & GMEM_HAS_CODE) && cool_down(b, state, killed))
		(void)check_pages(b, state, true);
}

/* Bytes of K on page P: [*ret_at, *ret_at + result). */
static unsigned part(const struct bt_block *k, const struct bt_page *p, unsigned *ret_at)
{
	unsigned first = (unsigned)(PAGE_SIZE - (k->lin & PAGE_MASK));

	if (first > k->len)
		first = k->len;
	*ret_at = k->page == p ? (unsigned)(k->lin & PAGE_MASK) : 0;
	return k->page == p ? first : k->len - first;
}

static bool overlaps(const struct bt_block *k, const struct bt_page *p, unsigned off, unsigned size)
{
	unsigned at, n = part(k, p, &at);

	return off < at + n && at < off + size;
}

/* Kills the blocks of P that overlap; 0, or 1 when KEEP is among them, which stays. */
static unsigned kill_overlaps(struct bt *b, struct bt_page *p, unsigned off, unsigned size,
			      const struct bt_block *keep)
{
	struct bt_block *k, *next;
	unsigned kept = 0;

	for (k = p->blocks; k != NULL; k = next) {
		next = k->page_next;
		if (k == keep && overlaps(k, p, off, size))
			kept = 1;
		else if (overlaps(k, p, off, size))
			bt_kill(b, k);
	}
	for (k = p->blocks2; k != NULL; k = next) {
		next = k->page2_next;
		if (k == keep && overlaps(k, p, off, size))
			kept = 1;
		else if (overlaps(k, p, off, size))
			bt_kill(b, k);
	}
	return kept;
}

static uint64_t pieces_left(const struct bt_page *p)
{
	uint64_t bits = 0;
	unsigned at, n;

	for (const struct bt_block *k = p->blocks; k != NULL; k = k->page_next)
		if ((n = part(k, p, &at)) != 0)
			bits |= gmem_pieces_mask(at, n);
	for (const struct bt_block *k = p->blocks2; k != NULL; k = k->page2_next)
		if ((n = part(k, p, &at)) != 0)
			bits |= gmem_pieces_mask(at, n);
	return bits;
}

bool bt_code_store(struct bt *b, _Atomic uint32_t *state, unsigned off, unsigned size,
		   const struct bt_block *running)
{
	uint64_t left = 0;

	for (struct bt_page *p = *state_bucket(b, state); p != NULL; p = p->state_next) {
		if (p->state != state)
			continue;
		if (kill_overlaps(b, p, off, size, running))
			return false;
		left |= pieces_left(p);
	}
	/* The interpreter's own blocks look at the word, whatever the bits say. */
	atomic_store(gmem_code_pieces(b->c.conf.mem, state), left);
	atomic_fetch_add(state, GMEM_GEN_STEP);
	if (left == 0)
		(void)cool_down(b, state, 0);
	return true;
}

void bt_code_events(struct bt *b)
{
	uint64_t now;

	atomic_fetch_and(&b->c.events, ~(uint32_t)EVENT_CODE);
	now = gmem_code_seq(b->c.conf.mem);
	while (b->code_seq != now) {
		_Atomic uint32_t *state = gmem_code_log(b->c.conf.mem, b->code_seq);

		if (state == NULL)
			break;
		page_written(b, state);
		b->code_seq++;
	}
	if (b->code_seq == now) {
		atomic_store(&b->c.code_seen, now);
		return;
	}
	b->code_seq = now;
	for (unsigned i = 0; i < BT_PAGE_HASH; i++)
		for (struct bt_page *p = b->by_state[i]; p != NULL; p = p->state_next)
			(void)check_blocks(b, p, gmem_code_gone(p->state));
	atomic_store(&b->c.code_seen, now);
}
