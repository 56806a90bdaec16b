/*
 * gmem_view.c - a list of guest pages seen as one range
 *
 * VMBus rings and GPADLs are lists of page numbers.  The list is checked and
 * resolved once, when the view is made; the layout of RAM never changes, so
 * afterwards only an offset can be wrong.
 *
 * Lock     none: constant after gview_new
 */
#include "mem/gmem_priv.h"

#include <stdlib.h>
#include <string.h>

struct gview {
	struct gmem *m;			/* borrowed */
	size_t nr;
	struct gmem_page page[];
};

static struct gview *view_alloc(struct gmem *m, size_t nr)
{
	struct gview *v;
	size_t bytes;

	if (__builtin_mul_overflow(nr, sizeof(v->page[0]), &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*v), &bytes))
		return NULL;
	v = base_new0(bytes);
	if (v != NULL)
		v->nr = nr, v->m = m;
	return v;
}

int gview_new(struct gmem *m, const uint64_t *pfns, size_t nr, struct gview **ret_view)
{
	struct gview *v = view_alloc(m, nr);

	if (v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		uint64_t pfn = pfns[i];		/* once: the list may be shared */

		if (pfn > UINT64_MAX >> PAGE_SHIFT ||
		    !gmem_is_ram(m, pfn << PAGE_SHIFT, PAGE_SIZE) ||
		    !gmem_page_of(m, pfn << PAGE_SHIFT, &v->page[i])) {
			free(v);
			return -EFAULT;
		}
	}
	*ret_view = v;
	return 0;
}

int gview_sub(const struct gview *v, size_t first, size_t nr, struct gview **ret_view)
{
	struct gview *sub;

	if (first > v->nr || nr > v->nr - first)
		return -EFAULT;
	sub = view_alloc(v->m, nr);
	if (sub == NULL)
		return -ENOMEM;
	memcpy(sub->page, v->page + first, nr * sizeof(v->page[0]));
	*ret_view = sub;
	return 0;
}

void gview_free(struct gview *v)
{
	free(v);
}

size_t gview_size(const struct gview *v)
{
	return v->nr << PAGE_SHIFT;
}

static bool in_view(const struct gview *v, size_t off, size_t n)
{
	size_t size = gview_size(v);

	return off <= size && n <= size - off;
}

int gview_read(const struct gview *v, size_t off, void *dst, size_t n)
{
	uint8_t *p = dst;

	if (!in_view(v, off, n))
		return -EFAULT;
	while (n > 0) {
		const struct gmem_page *pg = &v->page[off >> PAGE_SHIFT];
		size_t at = off & PAGE_MASK, len = min_u64(n, PAGE_SIZE - at);

		gmem_copy_in(p, pg->hva + at, len);
		p += len;
		off += len;
		n -= len;
	}
	return 0;
}

int gview_write(const struct gview *v, size_t off, const void *src, size_t n)
{
	const uint8_t *p = src;

	if (!in_view(v, off, n))
		return -EFAULT;
	while (n > 0) {
		const struct gmem_page *pg = &v->page[off >> PAGE_SHIFT];
		size_t at = off & PAGE_MASK, len = min_u64(n, PAGE_SIZE - at);

		gmem_copy_out(pg->hva + at, p, len);
		gmem_mark(v->m, pg->hva + at, pg->state, len);
		p += len;
		off += len;
		n -= len;
	}
	return 0;
}

int gview_load32(const struct gview *v, size_t off, uint32_t *ret_val)
{
	const struct gmem_page *pg;

	if ((off & 3) != 0 || !in_view(v, off, 4))
		return -EFAULT;
	pg = &v->page[off >> PAGE_SHIFT];
	gmem_copy_in(ret_val, pg->hva + (off & PAGE_MASK), 4);
	return 0;
}

int gview_store32(const struct gview *v, size_t off, uint32_t val)
{
	const struct gmem_page *pg;

	if ((off & 3) != 0 || !in_view(v, off, 4))
		return -EFAULT;
	pg = &v->page[off >> PAGE_SHIFT];
	gmem_copy_out(pg->hva + (off & PAGE_MASK), &val, 4);
	gmem_mark(v->m, pg->hva + (off & PAGE_MASK), pg->state, 4);
	return 0;
}
