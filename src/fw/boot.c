/*
 * boot.c - puts a kernel into guest memory and the processor at its door
 *
 * Finds by content what the file is; the formats are linux.c and multiboot.c.
 *
 * Lock     none; before any vCPU runs
 */
#include "fw/boot_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, struct blob *b, size_t n)
{
	while (b->n < n) {
		ssize_t got = read(fd, b->data + b->n, n - b->n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		b->n += (size_t)got;
	}
	return 0;
}

int blob_read(const char *path, uint64_t limit, struct blob *ret_b, struct err *err)
{
	struct blob b = { .path = path };
	struct stat st;
	/* O_NONBLOCK: the name of a FIFO must not hang us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc;

	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		rc = err_set(err, -EINVAL, "%s: not a regular file", path);
		goto out_close;
	}
	if ((uint64_t)st.st_size > limit) {
		rc = err_set(err, -EFBIG, "%s: %lld bytes, at most %llu are possible here",
			     path, (long long)st.st_size, (unsigned long long)limit);
		goto out_close;
	}
	b.data = base_new_array((size_t)st.st_size + 1, 1);
	rc = b.data == NULL ? -ENOMEM : read_all(fd, &b, (size_t)st.st_size);
	if (rc < 0) {
		err_set(err, rc, "%s: %s", path, strerror(-rc));
		free(b.data);
		goto out_close;
	}
	*ret_b = b;
out_close:
	close(fd);
	return rc;
}

int fw_read_file(const char *path, uint64_t limit, uint8_t **ret_data, size_t *ret_n,
		 struct err *err)
{
	struct blob b;
	int rc = blob_read(path, limit, &b, err);

	if (rc < 0)
		return rc;
	*ret_data = b.data;
	*ret_n = b.n;
	return 0;
}

void blob_free(struct blob *b)
{
	free(b->data);
	b->data = NULL;
}

uint64_t boot_place_high(const struct fw_boot_conf *c, uint64_t n, uint64_t floor, uint64_t top)
{
	uint64_t best = 0;

	for (size_t i = 0; i < c->nr_map; i++) {
		uint64_t lo = max_u64(c->map[i].gpa, floor);
		uint64_t hi = min_u64(c->map[i].gpa + c->map[i].len, top), at;

		if (c->map[i].type != FW_E820_RAM || hi <= lo || n > hi - lo)
			continue;
		at = align_down(hi - n, PAGE_SIZE);
		if (at >= lo && at > best)
			best = at;
	}
	return best;
}

int fw_boot(struct gmem *m, const struct fw_boot_conf *c, struct cpu_regs *regs, struct err *err)
{
	struct blob kernel;
	int rc = blob_read(c->kernel, gmem_size(m), &kernel, err);

	if (rc < 0)
		return rc;
	if (c->cmdline != NULL && strlen(c->cmdline) >= BOOT_CMDLINE_MAX)
		rc = err_set(err, -E2BIG,
			     "kernel command line: %zu characters, at most %u are possible",
			     strlen(c->cmdline), BOOT_CMDLINE_MAX - 1);
	else if (boot_is_linux(&kernel))
		rc = boot_linux(m, c, &kernel, regs, err);
	else if (boot_is_multiboot(&kernel))
		rc = boot_multiboot(m, c, &kernel, regs, err);
	else
		rc = err_set(err, -ENOEXEC, "%s: neither a Linux bzImage nor a multiboot ELF image",
			     c->kernel);
	blob_free(&kernel);
	return rc;
}
