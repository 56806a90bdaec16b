/*
 * gmem_shadow.c - memory that the guest cannot write: ROM, and the RAM beneath one
 *
 * Below 1 MiB a PC has the same addresses twice: BIOS and option ROMs, and RAM
 * to copy them into, where they are faster and can be patched. The chipset
 * says page by page which of the two answers reads and whether RAM takes
 * writes.
 *
 * The frame that guests see stays where it is, and so do all pointers to it;
 * what changes is its contents. A page that shows ROM keeps its RAM in a hidden
 * frame, and a switch copies. So nobody who holds decoded code or a host
 * address of the page need hear of it, but for one thing: that a page is read
 * only is a bit of its state word, and who may have cached the right to write
 * must look again (whoever calls gmem_shadow_set tells the engines).
 *
 * A store to a page that takes none goes the way of a store to a device. The
 * chipset gets it there, and gives it back by gmem_shadow_write where RAM takes
 * writes while ROM answers reads.
 *
 * Spec     [440BX] PAM registers
 * Lock     the caller's (chip), for all functions here
 */
#include "mem/gmem_priv.h"

#include <stdlib.h>
#include <string.h>

int gmem_shadow_new(struct gmem *m, uint64_t gpa, uint64_t len, struct err *err)
{
	struct gmem_shadow *s = &m->shadow;

	BUG_IF(s->len != 0 || len > GMEM_SHADOW_MAX || ((gpa | len) & PAGE_MASK) != 0 ||
	       !gmem_is_ram(m, gpa, len));
	s->hidden = base_new0(len);
	if (s->hidden == NULL)
		return err_set(err, -ENOMEM, "guest memory: no room for %zu KiB beneath the ROM",
			       (size_t)len >> 10);
	memset(s->how, GMEM_SHADOW_READ | GMEM_SHADOW_WRITE, sizeof(s->how));
	s->gpa = gpa;
	s->len = len;
	m->guarded = true;
	return 0;
}

/* What the page shows while RAM does not: ROM's bytes, or a bus where nobody answers. */
static void show_rom(struct gmem *m, const struct gmem_run *run, uint64_t rom_gpa)
{
	uint8_t page[PAGE_SIZE];

	if (rom_gpa == GMEM_NO_ROM || gmem_read(m, rom_gpa, page, sizeof(page)) < 0)
		memset(page, 0xff, sizeof(page));
	gmem_copy_out(run->hva, page, sizeof(page));
	gmem_mark(m, run->hva, run->state, sizeof(page));
}

static void switch_page(struct gmem *m, size_t i, uint8_t how, uint64_t rom_gpa)
{
	struct gmem_shadow *s = &m->shadow;
	struct gmem_run run = gmem_run_at(m, s->gpa + i * PAGE_SIZE, PAGE_SIZE);
	uint8_t *hidden = s->hidden + i * PAGE_SIZE, was = s->how[i];

	if (how == (GMEM_SHADOW_READ | GMEM_SHADOW_WRITE))
		atomic_fetch_and(run.state, ~GMEM_READ_ONLY);
	else
		atomic_fetch_or(run.state, GMEM_READ_ONLY);
	s->how[i] = how;
	if ((was & GMEM_SHADOW_READ) != 0 && (how & GMEM_SHADOW_READ) == 0) {
		gmem_copy_in(hidden, run.hva, PAGE_SIZE);
		show_rom(m, &run, rom_gpa);
	} else if ((was & GMEM_SHADOW_READ) == 0 && (how & GMEM_SHADOW_READ) != 0) {
		gmem_copy_out(run.hva, hidden, PAGE_SIZE);
		gmem_mark(m, run.hva, run.state, PAGE_SIZE);
	}
}

bool gmem_shadow_set(struct gmem *m, uint64_t gpa, uint64_t len, unsigned how, uint64_t rom_gpa)
{
	struct gmem_shadow *s = &m->shadow;
	size_t first = (gpa - s->gpa) / PAGE_SIZE, nr = len / PAGE_SIZE;
	bool changed = false;

	BUG_IF(((gpa | len) & PAGE_MASK) != 0 || gpa < s->gpa || gpa - s->gpa > s->len ||
	       len > s->len - (gpa - s->gpa));
	for (size_t i = 0; i < nr; i++) {
		uint64_t from = rom_gpa == GMEM_NO_ROM ? rom_gpa : rom_gpa + i * PAGE_SIZE;

		if (s->how[first + i] == how)
			continue;
		switch_page(m, first + i, (uint8_t)how, from);
		changed = true;
	}
	return changed;
}

void gmem_shadow_write(struct gmem *m, uint64_t gpa, const void *src, size_t n)
{
	struct gmem_shadow *s = &m->shadow;
	const uint8_t *p = src;

	for (; n > 0; n--, gpa++, p++) {
		uint64_t off = gpa - s->gpa;

		if (off >= s->len)
			continue;
		if (s->how[off / PAGE_SIZE] == GMEM_SHADOW_WRITE)
			s->hidden[off] = *p;
		else if (s->how[off / PAGE_SIZE] != GMEM_SHADOW_READ)
			(void)!gmem_write(m, gpa, p, 1);	/* it has become RAM meanwhile */
	}
}

void gmem_shadow_clear(struct gmem *m)
{
	struct gmem_shadow *s = &m->shadow;

	for (size_t i = 0; i < s->len / PAGE_SIZE; i++) {
		struct gmem_run run = gmem_run_at(m, s->gpa + i * PAGE_SIZE, PAGE_SIZE);

		if ((s->how[i] & GMEM_SHADOW_READ) == 0)
			memset(s->hidden + i * PAGE_SIZE, 0, PAGE_SIZE);
		else
			memset(run.hva, 0, PAGE_SIZE);
	}
}

void gmem_rom_new(struct gmem *m, uint64_t gpa)
{
	size_t i = 0;

	while (i < m->nr && m->range[i].gpa != gpa)
		i++;
	BUG_IF(i == m->nr || m->rom[i]);
	m->rom[i] = m->guarded = true;
	m->size -= m->range[i].len;
	for (size_t p = 0; p < m->range[i].len >> PAGE_SHIFT; p++)
		atomic_fetch_or(&m->state[m->first_page[i] + p], GMEM_READ_ONLY);
}

int gmem_rom_fill(struct gmem *m, uint64_t gpa, const void *src, size_t n)
{
	const uint8_t *p = src;

	while (n > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, n);

		if (run.n == 0 || !run.rom)
			return -EFAULT;
		gmem_copy_out(run.hva, p, run.n);
		gmem_mark(m, run.hva, run.state, run.n);
		p += run.n;
		gpa += run.n;
		n -= run.n;
	}
	return 0;
}

bool gmem_takes_writes(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	if (!m->guarded)
		return true;
	while (len > 0) {
		struct gmem_run run = gmem_run_at(m, gpa,
						  min_u64(len, PAGE_SIZE - (gpa & PAGE_MASK)));

		if (run.n == 0 || (atomic_load(run.state) & GMEM_READ_ONLY) != 0)
			return false;
		gpa += run.n;
		len -= run.n;
	}
	return true;
}
