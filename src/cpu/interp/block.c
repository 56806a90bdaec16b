/*
 * block.c - the cache of decoded instructions
 *
 * Keyed by guest physical address and mode, so that it survives changes of
 * address space.  A processor sees its own stores to code at once and those of
 * others soon; here every entry of a block compares one word (gmem_cpu.h), and a
 * store to a page with code leaves the running block after its instruction.
 *
 * When the word moved, the bytes are compared before the block is thrown away:
 * data beside code costs a comparison, not a decode.  A page that is written
 * over and over and no longer run stops being a code page (interp_code_hit):
 * the word is moved on as its bit 0 is cleared, so every holder of old blocks,
 * on any processor, looks again before it trusts one.
 *
 * An instruction that crosses pages is a block of its own and is found only
 * through the slow path, which checks that the second page is still the same.
 *
 * Memory is bounded: when the arena is full all blocks go.
 *
 * Spec     [SDM 3] 8.1.3, 11.6 self- and cross-modifying code
 * Lock     none: a cache belongs to its vCPU's thread; page words are atomic
 */
#include "cpu/interp/block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (48 * MIB)
#define HASH_BITS 17
#define BLOCK_ALIGN 64u
#define MAX_BYTES (BLOCK_MAX_INSNS * INSN_MAX_BYTES)
#define WORST_BLOCK \
	(sizeof(struct interp_block) + BLOCK_MAX_INSNS * sizeof(struct insn) + MAX_BYTES)
#define HOT_SLOTS 64u
#define HOT_WRITES 64u

/* How often a page with code was written since a block of it was last found good. */
struct hot {
	_Atomic uint32_t *state;
	uint32_t writes;
};

struct interp_cache {
	struct decoder dec;
	uint8_t *arena;
	size_t used;
	uint64_t epoch, made;
	struct hot hot[HOT_SLOTS];
	struct interp_block *scratch;	/* for code that cannot be kept */
	uint8_t scratch_copy[MAX_BYTES];
	struct interp_block *hash[1u << HASH_BITS];
};

_Static_assert(offsetof(struct interp_block, src2) == 64, "what a lookup reads is one cache line");
_Static_assert(sizeof(struct insn) <= 48, "a block of ten instructions is eight cache lines");

/* ---- the cache ----------------------------------------------------------------------- */

struct interp_cache *interp_cache_new(const struct cpu_model *model)
{
	struct interp_cache *k = new0(struct interp_cache);

	if (k == NULL)
		return NULL;
	k->scratch = base_new0(WORST_BLOCK);
	k->arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (k->arena == MAP_FAILED || k->scratch == NULL) {
		if (k->arena != MAP_FAILED)
			munmap(k->arena, ARENA_BYTES);
		free(k->scratch);
		free(k);
		return NULL;
	}
	decoder_init(&k->dec, model);
	return k;
}

void interp_cache_free(struct interp_cache *k)
{
	if (k == NULL)
		return;
	munmap(k->arena, ARENA_BYTES);
	free(k->scratch);
	free(k);
}

void interp_cache_flush(struct interp_cache *k)
{
	memset(k->hash, 0, sizeof(k->hash));
	k->used = 0;
	k->epoch++;
}

const struct decoder *interp_cache_decoder(const struct interp_cache *k)
{
	return &k->dec;
}

uint64_t interp_cache_epoch(const struct interp_cache *k)
{
	return k->epoch;
}

uint64_t interp_cache_made(const struct interp_cache *k)
{
	return k->made;
}

static struct interp_block **bucket(struct interp_cache *k, uint64_t key)
{
	return &k->hash[key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS)];
}

static struct interp_block *lookup(struct interp_cache *k, uint64_t key)
{
	struct interp_block *b = *bucket(k, key);

	while (b != NULL && b->key != key)
		b = b->hash_next;
	return b;
}

static void kill_block(struct interp_cache *k, struct interp_block *b)
{
	struct interp_block **at = bucket(k, b->key);

	while (*at != b)
		at = &(*at)->hash_next;
	*at = b->hash_next;
	b->key = BLOCK_DEAD;
}

/* ---- writes to code ------------------------------------------------------------------ */

static struct hot *hot_of(struct interp_cache *k, const _Atomic uint32_t *state)
{
	return &k->hot[((uintptr_t)state >> 2) % HOT_SLOTS];
}

static void hot_forget(struct interp_cache *k, const _Atomic uint32_t *state)
{
	struct hot *h = hot_of(k, state);

	if (h->state == state)
		h->writes = 0;
}

/* The page is data now.  Moving the word on as well makes all old blocks suspect. */
static void not_code(_Atomic uint32_t *state)
{
	uint32_t old = atomic_load(state);

	while (!atomic_compare_exchange_weak(state, &old, (old + GMEM_GEN_STEP) & ~GMEM_HAS_CODE))
		;
}

void interp_code_hit(struct interp *c, _Atomic uint32_t *state)
{
	struct hot *h = hot_of(c->cache, state);

	gmem_page_written(c->conf.mem, state);
	c->stop = 1;
	if (state == c->code_state)
		return;
	if (h->state != state)
		*h = (struct hot){ .state = state };
	if (++h->writes >= HOT_WRITES && !c->code_guard) {
		h->writes = 0;
		not_code(state);
	}
}

/* ---- is a block still right? --------------------------------------------------------- */

static bool src_same(struct interp_cache *k, struct block_src *s, const uint8_t *copy)
{
	uint8_t now[MAX_BYTES];
	uint32_t word = gmem_page_decoding(s->state);

	host_copy_from(now, s->hva, s->bytes);
	if (memcmp(now, copy, s->bytes) != 0)
		return false;
	s->word = word;
	hot_forget(k, s->state);
	return true;
}

static bool src_fresh(const struct block_src *s)
{
	return atomic_load_explicit(s->state, memory_order_acquire) == s->word;
}

static bool block_good(struct interp_cache *k, struct interp_block *b)
{
	if (!src_fresh(&b->src) && !src_same(k, &b->src, b->copy))
		return false;
	return !b->crossing || src_fresh(&b->src2) ||
	       src_same(k, &b->src2, b->copy + b->src.bytes);
}

struct interp_block *interp_block_cached(struct interp *c, uint64_t key)
{
	struct interp_block *b = lookup(c->cache, key);

	return b != NULL && block_fresh(b) && !b->crossing ? b : NULL;
}

/* ---- fetching ------------------------------------------------------------------------ */

/* Where a block is to be made from. */
struct fetch {
	enum decode_mode mode;
	uint64_t lin;
	uint64_t avail;			/* bytes up to the code segment's limit */
	const struct tlb_code_entry *te;	/* NULL: not RAM */
};

static void fetch_address(struct interp *c, struct fetch *f)
{
	const struct cpu_seg *cs = &c->seg[CPU_CS];

	f->mode = block_mode(c);
	if (f->mode == DECODE_64) {
		f->lin = c->rip;
		f->avail = UINT64_MAX;
		if (!lin_canonical(f->lin))
			interp_gp(c);
		return;
	}
	c->rip = (uint32_t)c->rip;
	f->lin = (uint32_t)(cs->base + c->rip);
	if (c->rip > cs->limit)
		interp_gp(c);
	f->avail = (uint64_t)cs->limit - c->rip + 1;
}

static const struct tlb_code_entry *fetch_page(struct interp *c, uint64_t lin)
{
	uint32_t code;
	const struct tlb_code_entry *te = interp_tlb_code(c, lin, &code);

	if (te == NULL && code != UINT32_MAX)
		interp_page_fault(c, lin, code);
	return te;
}

/* The page after the one F begins on; raises as the fetch of its first byte does. */
static uint64_t second_lin(struct interp *c, const struct fetch *f)
{
	uint64_t lin = (f->lin | PAGE_MASK) + 1;

	if (f->mode != DECODE_64)
		return (uint32_t)lin;
	if (!lin_canonical(lin))
		interp_gp(c);
	return lin;
}

/* ---- making a block ------------------------------------------------------------------ */

static unsigned seen_bytes(const struct insn *in, unsigned n)
{
	/* What made bytes no instruction may lie behind the first. */
	if (in->mnemonic == ZYDIS_MNEMONIC_INVALID)
		return n < INSN_MAX_BYTES ? n : INSN_MAX_BYTES;
	return in->len;
}

/* Decodes up to MAX instructions from N bytes; 0 instructions when the first is longer. */
static void decode_run(const struct decoder *d, enum decode_mode mode, const uint8_t *buf,
		       unsigned n, unsigned max, struct interp_block *b)
{
	unsigned at = 0, seen = 0;

	b->nr = 0;
	b->end = END_DIRECT;
	while (b->nr < max && at < n) {
		struct insn *in = &b->insn[b->nr];

		if (decode_insn(d, mode, buf + at, n - at, in) != 0)
			break;
		b->nr++;
		seen = at + seen_bytes(in, n - at);
		at += in->len;
		if (in->ends != END_NO) {
			b->end = in->ends;
			break;
		}
	}
	b->bytes = (uint16_t)at;
	b->src.bytes = seen;
	b->src2.bytes = 0;
	b->crossing = false;
}

/* The one instruction that goes on in the next page. */
static void decode_crossing(struct interp *c, const struct fetch *f, uint8_t *buf, unsigned first,
			    struct interp_block *b)
{
	const struct tlb_code_entry *te;
	unsigned n = (unsigned)min_u64(INSN_MAX_BYTES, f->avail);
	uint64_t lin;

	if (n <= first)
		interp_gp(c);
	lin = second_lin(c, f);
	te = fetch_page(c, lin);
	if (te == NULL) {		/* from a device: nothing sensible answers */
		memset(buf + first, 0xff, n - first);
		decode_run(&c->cache->dec, f->mode, buf, n, 1, b);
		b->src.state = NULL;
		return;
	}
	b->src2 = (struct block_src){ te->state, te->hva,
				      interp_guard_code(c, te->state, te->hva), 0 };
	b->gpa2 = te->gpa;
	host_copy_from(buf + first, te->hva, n - first);
	decode_run(&c->cache->dec, f->mode, buf, n, 1, b);
	if (b->nr == 0)
		interp_gp(c);
	if (b->src.bytes > first) {
		b->src2.bytes = b->src.bytes - first;
		b->src.bytes = first;
		b->crossing = true;
	}
}

/* Before the bytes are believed: a store of now is either in them or hits a piece. */
static void note_pieces(struct interp *c, const struct interp_block *b, unsigned off)
{
	if (!c->code_guard || b->src.state == NULL)
		return;
	if (b->src.bytes != 0)
		atomic_fetch_or(gmem_code_pieces(c->conf.mem, b->src.state),
				gmem_pieces_mask(off, b->src.bytes));
	if (b->crossing)
		atomic_fetch_or(gmem_code_pieces(c->conf.mem, b->src2.state),
				gmem_pieces_mask(0, b->src2.bytes));
}

static void make(struct interp *c, const struct fetch *f, unsigned max, struct interp_block *b,
		 uint8_t *buf)
{
	unsigned off = (unsigned)(f->lin & PAGE_MASK);
	unsigned room = (unsigned)PAGE_SIZE - off;
	unsigned n = (unsigned)min_u64(min_u64(room, f->avail), MAX_BYTES);

	if (c->leaving != NULL)
		c->leaving(c);
	b->src = (struct block_src){ f->te->state, f->te->hva + off,
				     interp_guard_code(c, f->te->state, f->te->hva), 0 };
	host_copy_from(buf, b->src.hva, n);
	decode_run(&c->cache->dec, f->mode, buf, n, max, b);
	if (b->nr == 0)
		decode_crossing(c, f, buf, n, b);
	note_pieces(c, b, off);
	hot_forget(c->cache, b->src.state);
	b->next_link = 0;
	b->link[0] = b->link[1] = NULL;
}

/* One instruction, not kept. */
static struct interp_block *make_scratch(struct interp *c, const struct fetch *f)
{
	struct interp_block *b = c->cache->scratch;

	b->key = BLOCK_DEAD;
	b->copy = c->cache->scratch_copy;
	make(c, f, 1, b, c->cache->scratch_copy);
	b->end = END_SPECIAL;
	return b;
}

/*
 * Code in a device's registers.  Nothing is fetched, lest reading have effects:
 * an empty bus answers all ones, which is no instruction.
 */
static struct interp_block *make_device(struct interp *c, const struct fetch *f)
{
	struct interp_block *b = c->cache->scratch;
	uint8_t *buf = c->cache->scratch_copy;

	b->key = BLOCK_DEAD;
	memset(buf, 0xff, INSN_MAX_BYTES);
	decode_run(&c->cache->dec, f->mode, buf, INSN_MAX_BYTES, 1, b);
	b->src.state = NULL;
	b->end = END_SPECIAL;
	return b;
}

static struct interp_block *make_kept(struct interp *c, const struct fetch *f, uint64_t key)
{
	struct interp_cache *k = c->cache;
	struct interp_block *b;
	uint8_t buf[MAX_BYTES];
	uint8_t *copy;

	if (ARENA_BYTES - k->used < WORST_BLOCK + BLOCK_ALIGN)
		interp_cache_flush(k);
	b = (struct interp_block *)(void *)(k->arena + k->used);
	b->key = BLOCK_DEAD;
	make(c, f, BLOCK_MAX_INSNS, b, buf);
	if (b->src.state == NULL)
		return make_device(c, f);
	copy = (uint8_t *)&b->insn[b->nr];
	memcpy(copy, buf, b->src.bytes + b->src2.bytes);
	b->copy = copy;
	k->used = align_up((uint64_t)(copy - k->arena) + b->src.bytes + b->src2.bytes,
			   BLOCK_ALIGN);
	k->made++;
	b->key = key;
	b->hash_next = *bucket(k, key);
	*bucket(k, key) = b;
	return b;
}

static bool second_same(struct interp *c, const struct fetch *f, const struct interp_block *b)
{
	const struct tlb_code_entry *te = fetch_page(c, second_lin(c, f));

	return te != NULL && te->gpa == b->gpa2;
}

struct interp_block *interp_block_at(struct interp *c)
{
	struct interp_block *b;
	struct fetch f;
	uint64_t key;

	fetch_address(c, &f);
	f.te = fetch_page(c, f.lin);
	if (f.te == NULL)
		return make_device(c, &f);
	key = block_key(f.te->gpa | (f.lin & PAGE_MASK), f.mode);
	b = lookup(c->cache, key);
	if (b != NULL && b->bytes > f.avail)
		return make_scratch(c, &f);
	if (b != NULL && (!block_good(c->cache, b) ||
			  (b->crossing && !second_same(c, &f, b)))) {
		kill_block(c->cache, b);
		b = NULL;
	}
	return b != NULL ? b : make_kept(c, &f, key);
}
