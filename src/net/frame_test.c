#include "base/test.h"

#include "net/frame.h"

#include <string.h>

static const uint8_t text[] = "0123456789abcdef";

/* The 16 bytes cut at A and B, with an empty piece between. */
static struct net_frame cut(struct iovec iov[4], size_t a, size_t b)
{
	uint8_t *p = (uint8_t *)(uintptr_t)text;

	iov[0] = (struct iovec){ p, a };
	iov[1] = (struct iovec){ p + a, 0 };
	iov[2] = (struct iovec){ p + a, b - a };
	iov[3] = (struct iovec){ p + b, 16 - b };
	return (struct net_frame){ .iov = iov, .nr_iov = 4, .len = 16 };
}

static void copies_from_any_offset_over_any_cut(void **s)
{
	struct iovec iov[4];
	uint8_t got[16];

	(void)s;
	for (size_t a = 0; a <= 16; a++)
		for (size_t b = a; b <= 16; b++) {
			struct net_frame f = cut(iov, a, b);

			for (uint32_t off = 0; off <= 16; off++) {
				CHECK(frame_copy(&f, off, got, 16 - off));
				CHECK_MEM(got, text + off, 16 - off);
				CHECK(!frame_copy(&f, off, got, 17 - off));
			}
			CHECK(!frame_copy(&f, UINT32_MAX, got, 1));
			CHECK(!frame_copy(&f, 1, got, UINT32_MAX));
		}
}

static void a_slice_is_the_rest(void **s)
{
	struct iovec iov[4], rest[4];

	(void)s;
	for (size_t a = 0; a <= 16; a++)
		for (uint32_t off = 0; off <= 16; off++) {
			struct net_frame f = cut(iov, a, 16), r = { .iov = rest, .len = 16 - off };
			uint8_t got[16];

			r.nr_iov = frame_slice(&f, off, rest);
			CHECK(r.nr_iov <= 4);
			CHECK(frame_copy(&r, 0, got, 16 - off));
			CHECK_MEM(got, text + off, 16 - off);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_from_any_offset_over_any_cut),
		cmocka_unit_test(a_slice_is_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
