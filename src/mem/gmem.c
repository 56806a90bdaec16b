/*
 * gmem.c - the guest's RAM: ranges, the mapping behind them, page states
 *
 * All RAM and its page states are one anonymous mapping that asks for large
 * pages.  On a host that is itself a virtual machine a page fault costs 15
 * microseconds, so 4 KiB pages would cost a booting guest a second; and a TLB
 * miss walks two tables.
 * (Stock kernels give no large pages to memfd: shmem_enabled is "never".)
 * Ranges keep their address modulo 2 MiB, so that large pages of the guest
 * and of the host coincide, which KVM needs to use them.
 *
 * Nothing can shrink the mapping, so touching RAM never raises SIGBUS.  A
 * child of fork does not get it: copy-on-write would move pages under pins.
 *
 * Lock     none: the layout is constant, page states are atomic
 */
#include "mem/gmem_priv.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGE_SIZE (2 * MIB)

static int check_ranges(const struct gmem_range *r, size_t nr, struct err *err)
{
	uint64_t end = 0;

	if (nr == 0 || nr > GMEM_MAX_RANGES)
		return err_set(err, -EINVAL, "guest memory: %zu ranges, expected 1 to %d",
			       nr, GMEM_MAX_RANGES);
	for (size_t i = 0; i < nr; i++) {
		if (((r[i].gpa | r[i].len) & PAGE_MASK) != 0 || r[i].len == 0)
			return err_set(err, -EINVAL,
				       "guest memory: range %zu is not whole pages", i);
		if (r[i].gpa < end)
			return err_set(err, -EINVAL,
				       "guest memory: range %zu overlaps or precedes another", i);
		if (__builtin_add_overflow(r[i].gpa, r[i].len, &end) ||
		    end > UINT64_C(1) << 52)
			return err_set(err, -EINVAL,
				       "guest memory: range %zu ends past 52 address bits", i);
	}
	return 0;
}

/* Offsets of the ranges in the mapping, each congruent to its GPA; returns the length. */
static size_t lay_out(struct gmem *m, const struct gmem_range *r, size_t nr,
		      size_t offs[GMEM_MAX_RANGES])
{
	size_t at = 0;

	for (size_t i = 0; i < nr; i++) {
		m->range[i] = r[i];
		m->first_page[i] = m->nr_pages;
		m->nr_pages += r[i].len >> PAGE_SHIFT;
		m->size += r[i].len;
		at = align_up(at, HUGE_SIZE) + (r[i].gpa & (HUGE_SIZE - 1));
		offs[i] = at;
		at += r[i].len;
	}
	m->nr = nr;
	return align_up(at, HUGE_SIZE);
}

static int map_ram(struct gmem *m, size_t len, const size_t offs[GMEM_MAX_RANGES],
		   struct err *err)
{
	size_t words = m->nr_pages * (sizeof(*m->state) + sizeof(*m->pieces));
	size_t state_len = align_up(words + sizeof(*m->pieces), HUGE_SIZE);
	uint8_t *base;

	m->map_len = len + state_len + HUGE_SIZE;
	m->map = mmap(NULL, m->map_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->map == MAP_FAILED)
		return err_set(err, -ENOMEM, "guest memory: the host has no room for %zu MiB: %s",
			       len >> 20, strerror(errno));
	base = (uint8_t *)align_up((uintptr_t)m->map, HUGE_SIZE);
	for (size_t i = 0; i < m->nr; i++)
		m->hva[i] = base + offs[i];
	m->pieces = (_Atomic uint64_t *)(void *)(base + len);
	m->state = (_Atomic uint32_t *)(void *)(m->pieces + m->nr_pages);
	/* Both are improvements only; a kernel without them serves too. */
	(void)madvise(base, len + state_len, MADV_HUGEPAGE);
	(void)madvise(m->map, m->map_len, MADV_DONTFORK);
	return 0;
}

int gmem_new(const struct gmem_range *ranges, size_t nr, struct gmem **ret_m, struct err *err)
{
	size_t offs[GMEM_MAX_RANGES], len;
	struct gmem *m;
	int rc;

	rc = check_ranges(ranges, nr, err);
	if (rc < 0)
		return rc;
	m = new0(struct gmem);
	if (m == NULL)
		return err_set(err, -ENOMEM, "guest memory: out of memory");
	len = lay_out(m, ranges, nr, offs);
	rc = map_ram(m, len, offs, err);
	if (rc < 0) {
		free(m);
		return rc;
	}
	/* For gmem_page_decoding; per process, and twice is fine. */
	(void)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	pthread_mutex_init(&m->listen_lock, NULL);
	*ret_m = m;
	return 0;
}

void gmem_free(struct gmem *m)
{
	if (m == NULL)
		return;
	free(m->shadow.hidden);
	munmap(m->map, m->map_len);
	pthread_mutex_destroy(&m->listen_lock);
	free(m);
}

size_t gmem_ranges(const struct gmem *m, const struct gmem_range **ret_ranges)
{
	*ret_ranges = m->range;
	return m->nr;
}

uint64_t gmem_size(const struct gmem *m)
{
	return m->size;
}

struct gmem_run gmem_run_at(const struct gmem *m, uint64_t gpa, size_t n)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct gmem_range *r = &m->range[i];
		uint64_t off = gpa - r->gpa;	/* wraps to something large below the range */

		if (off < r->len)
			return (struct gmem_run){
				.hva = m->hva[i] + off,
				.state = &m->state[m->first_page[i] + (off >> PAGE_SHIFT)],
				.n = min_u64(n, r->len - off),
				.rom = m->rom[i],
			};
	}
	return (struct gmem_run){ 0 };
}

bool gmem_is_ram(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	const struct gmem_shadow *s = &m->shadow;

	if (!gmem_is_backed(m, gpa, len))
		return false;
	if (!m->guarded || len == 0)
		return true;
	return gmem_takes_writes(m, gpa, len) &&
	       (gpa >= s->gpa + s->len || s->gpa >= gpa + len);
}

bool gmem_is_backed(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	while (len > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, len);

		if (run.n == 0)
			return false;
		gpa += run.n;	/* cannot wrap: ranges end below 2^52 */
		len -= run.n;
	}
	return true;
}

static void clear(const struct gmem *m, uint64_t gpa, uint64_t end)
{
	while (gpa < end) {
		struct gmem_run run = gmem_run_at(m, gpa, end - gpa);
		/* Private anonymous pages read as zeros after this, by definition. */
		int rc = madvise(run.hva, run.n, MADV_DONTNEED);

		/* Locked pages (mlockall) refuse; they still hold the old bytes. */
		if (rc < 0)
			memset(run.hva, 0, run.n);
		gpa += run.n;
	}
}

void gmem_clear(struct gmem *m)
{
	const struct gmem_shadow *s = &m->shadow;

	for (size_t i = 0; i < m->nr; i++) {
		uint64_t gpa = m->range[i].gpa, end = gpa + m->range[i].len;

		if (m->rom[i])
			continue;
		if (s->len != 0 && s->gpa >= gpa && s->gpa < end) {
			clear(m, gpa, s->gpa);
			gpa = s->gpa + s->len;
		}
		clear(m, gpa, end);
	}
	gmem_shadow_clear(m);
	atomic_thread_fence(memory_order_seq_cst);
	for (size_t i = 0; i < m->nr_pages; i++)
		gmem_page_written(m, &m->state[i]);
}

bool gmem_page_of(struct gmem *m, uint64_t gpa, struct gmem_page *ret_page)
{
	struct gmem_run run = gmem_run_at(m, gpa & ~PAGE_MASK, 1);

	if (run.n == 0)
		return false;
	ret_page->hva = run.hva;
	ret_page->state = run.state;
	return true;
}

uint8_t *gmem_range_hva(struct gmem *m, size_t nth)
{
	BUG_IF(nth >= m->nr);
	return m->hva[nth];
}
