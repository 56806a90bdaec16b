/*
 * gmem_copy.c - the one door through which bytes enter and leave guest RAM
 *
 * The guest writes while we read.  So a copy must be one fetch of each byte:
 * the functions that touch guest bytes are never inlined, so that no compiler
 * can fetch again what it thinks it knows, and their string instructions are
 * opaque to it.  Words of natural size and alignment move in one access; the
 * guest's own locks and ring indices rely on that.
 *
 * A writer stores first and looks at the page's state after; a decoder does
 * the opposite.  The fence between makes one of them see the other.
 *
 * Lock     none
 */
#include "mem/gmem_priv.h"

static inline bool is_word(const uint8_t *hva, size_t n)
{
	return n <= 8 && (n & (n - 1)) == 0 && ((uintptr_t)hva & (n - 1)) == 0;
}

static __attribute__((noinline)) void load_word(void *dst, const uint8_t *hva, size_t n)
{
	switch (n) {
	case 1:
		*(uint8_t *)dst = __atomic_load_n(hva, __ATOMIC_ACQUIRE);
		break;
	case 2:
		st16(dst, __atomic_load_n((const uint16_t *)(const void *)hva, __ATOMIC_ACQUIRE));
		break;
	case 4:
		st32(dst, __atomic_load_n((const uint32_t *)(const void *)hva, __ATOMIC_ACQUIRE));
		break;
	case 8:
		st64(dst, __atomic_load_n((const uint64_t *)(const void *)hva, __ATOMIC_ACQUIRE));
		break;
	}
}

static __attribute__((noinline)) void store_word(uint8_t *hva, const void *src, size_t n)
{
	switch (n) {
	case 1:
		__atomic_store_n(hva, *(const uint8_t *)src, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)(void *)hva, ld16(src), __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)(void *)hva, ld32(src), __ATOMIC_RELEASE);
		break;
	case 8:
		__atomic_store_n((uint64_t *)(void *)hva, ld64(src), __ATOMIC_RELEASE);
		break;
	}
}

/* A string move in assembly: no sanitizer mistakes the guest's race for ours. */
static __attribute__((noinline)) void move_bytes(void *dst, const void *src, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

static __attribute__((noinline)) void zero_bytes(void *dst, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(0) : "memory");
}

void gmem_copy_in(void *dst, const uint8_t *hva, size_t n)
{
	if (is_word(hva, n)) {
		load_word(dst, hva, n);
		return;
	}
	/* The assembly is opaque to sanitizers too; show them the caller's buffer. */
	((volatile uint8_t *)dst)[0] = 0;
	((volatile uint8_t *)dst)[n - 1] = 0;
	move_bytes(dst, hva, n);
}

void gmem_copy_out(uint8_t *hva, const void *src, size_t n)
{
	if (is_word(hva, n)) {
		store_word(hva, src, n);
		return;
	}
	(void)((const volatile uint8_t *)src)[0];
	(void)((const volatile uint8_t *)src)[n - 1];
	move_bytes(hva, src, n);
}

void gmem_mark(struct gmem *m, const uint8_t *hva, _Atomic uint32_t *state, size_t n)
{
	size_t pages = (((uintptr_t)hva & PAGE_MASK) + n + PAGE_MASK) >> PAGE_SHIFT;

	atomic_thread_fence(memory_order_seq_cst);
	for (size_t i = 0; i < pages; i++)
		gmem_page_written(m, &state[i]);
}

int gmem_read(struct gmem *m, uint64_t gpa, void *dst, size_t n)
{
	uint8_t *p = dst;

	if (!gmem_is_backed(m, gpa, n))
		return -EFAULT;
	while (n > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, n);

		gmem_copy_in(p, run.hva, run.n);
		p += run.n;
		gpa += run.n;
		n -= run.n;
	}
	return 0;
}

int gmem_write(struct gmem *m, uint64_t gpa, const void *src, size_t n)
{
	const uint8_t *p = src;

	if (!gmem_is_backed(m, gpa, n) || !gmem_takes_writes(m, gpa, n))
		return -EFAULT;
	while (n > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, n);

		gmem_copy_out(run.hva, p, run.n);
		gmem_mark(m, run.hva, run.state, run.n);
		p += run.n;
		gpa += run.n;
		n -= run.n;
	}
	return 0;
}

int gmem_zero(struct gmem *m, uint64_t gpa, size_t n)
{
	if (!gmem_is_backed(m, gpa, n) || !gmem_takes_writes(m, gpa, n))
		return -EFAULT;
	while (n > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, n);

		zero_bytes(run.hva, run.n);
		gmem_mark(m, run.hva, run.state, run.n);
		gpa += run.n;
		n -= run.n;
	}
	return 0;
}

/* The aligned word at GPA, or NULL. */
static _Atomic uint32_t *word_at(struct gmem *m, uint64_t gpa, struct gmem_run *ret_run)
{
	if ((gpa & 3) != 0)
		return NULL;
	*ret_run = gmem_run_at(m, gpa, 4);
	return ret_run->n == 4 ? (_Atomic uint32_t *)(void *)ret_run->hva : NULL;
}

int gmem_load32(struct gmem *m, uint64_t gpa, uint32_t *ret_val)
{
	struct gmem_run run;
	_Atomic uint32_t *w = word_at(m, gpa, &run);

	if (w == NULL)
		return -EFAULT;
	*ret_val = atomic_load_explicit(w, memory_order_acquire);
	return 0;
}

int gmem_store32(struct gmem *m, uint64_t gpa, uint32_t val)
{
	struct gmem_run run;
	_Atomic uint32_t *w = word_at(m, gpa, &run);

	if (w == NULL || !gmem_takes_writes(m, gpa, 4))
		return -EFAULT;
	atomic_store_explicit(w, val, memory_order_release);
	gmem_mark(m, run.hva, run.state, 4);
	return 0;
}

int gmem_or32(struct gmem *m, uint64_t gpa, uint32_t bits, uint32_t *ret_old)
{
	struct gmem_run run;
	_Atomic uint32_t *w = word_at(m, gpa, &run);

	if (w == NULL || !gmem_takes_writes(m, gpa, 4))
		return -EFAULT;
	*ret_old = atomic_fetch_or(w, bits);
	gmem_mark(m, run.hva, run.state, 4);
	return 0;
}

int gmem_and32(struct gmem *m, uint64_t gpa, uint32_t bits, uint32_t *ret_old)
{
	struct gmem_run run;
	_Atomic uint32_t *w = word_at(m, gpa, &run);

	if (w == NULL || !gmem_takes_writes(m, gpa, 4))
		return -EFAULT;
	*ret_old = atomic_fetch_and(w, bits);
	gmem_mark(m, run.hva, run.state, 4);
	return 0;
}

/* Appends or extends one piece; false when the array is full. */
static bool pin_run(const struct gmem_run *run, struct iovec *iov, int *nr, int max)
{
	if (*nr > 0 &&
	    (uint8_t *)iov[*nr - 1].iov_base + iov[*nr - 1].iov_len == run->hva) {
		iov[*nr - 1].iov_len += run->n;
		return true;
	}
	if (*nr >= max)
		return false;
	iov[*nr] = (struct iovec){ run->hva, run->n };
	++*nr;
	return true;
}

int gmem_pin(struct gmem *m, uint64_t gpa, size_t n, bool write,
	     struct iovec *iov, int *nr, int max)
{
	size_t last_len = *nr > 0 ? iov[*nr - 1].iov_len : 0;
	int nr0 = *nr;

	(void)write;	/* the pages' states change when the write is done */
	if (!gmem_is_ram(m, gpa, n))
		return -EFAULT;
	while (n > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, n);

		if (!pin_run(&run, iov, nr, max)) {
			*nr = nr0;
			if (nr0 > 0)
				iov[nr0 - 1].iov_len = last_len;
			return -ENOSPC;
		}
		gpa += run.n;
		n -= run.n;
	}
	return 0;
}

void gmem_unpin_written(struct gmem *m, uint64_t gpa, size_t n)
{
	BUG_IF(!gmem_is_ram(m, gpa, n));	/* the range was pinned */
	while (n > 0) {
		struct gmem_run run = gmem_run_at(m, gpa, n);

		gmem_mark(m, run.hva, run.state, run.n);
		gpa += run.n;
		n -= run.n;
	}
}
