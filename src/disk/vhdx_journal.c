/*
 * vhdx_journal.c - writes headers and log entries
 *
 * Two oddities on purpose.  A log begins with its first real entry, and only
 * then does the header name it: between the two the header says "no log", the
 * entry is ignored, and nothing was promised yet.  The other order leaves a
 * moment in which a strict reader finds a named log without an entry and
 * calls the file corrupt.
 *
 * And a failed write proves nothing: the bytes may be on the disk.  So after
 * a failed header update we do not know whether the log is named, and act as
 * if it may be (log_named false, log_live true): the entries stay, the same
 * GUID goes on, and nothing is answered until an update succeeds.
 *
 * Spec     [MS-VHDX] 2.2.2, 2.3
 * Lock     none; the worker's, or opening's while there is no worker.
 *          log_live and log_named are also read by submitters, so they are
 *          set under v->lock
 */
#include "disk/vhdx.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 4096u
#define MAX_DESCS 1000u

_Static_assert(sizeof(struct vhdx_header) == SECTOR, "one write");

void vhdx_seal(void *structure, size_t len, size_t checksum_off)
{
	uint8_t *p = structure;

	st32(p + checksum_off, 0);
	st32(p + checksum_off, base_crc32c(0, p, len));
}

bool vhdx_sealed(const void *structure, size_t len, size_t checksum_off)
{
	static const uint8_t zero[4];
	const uint8_t *p = structure;
	uint32_t crc = base_crc32c(0, p, checksum_off);

	crc = base_crc32c(crc, zero, sizeof(zero));
	crc = base_crc32c(crc, p + checksum_off + 4, len - checksum_off - 4);
	return crc == ld32(p + checksum_off);
}

static int header_once(struct vhdx *v, struct vhdx_header *h)
{
	unsigned slot = v->slot ^ 1;
	int rc;

	h->sequence = le64_of(le64_get(v->hdr.sequence) + 1);
	vhdx_seal(h, sizeof(*h), offsetof(struct vhdx_header, checksum));
	rc = aio_write_wait(v->aio, slot == 0 ? VHDX_HEADER_1 : VHDX_HEADER_2, h, sizeof(*h));
	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	if (rc == 0) {
		v->hdr = *h;
		v->slot = slot;
	}
	return rc;
}

int vhdx_header_update(struct vhdx *v, const struct vhdx_header *new_hdr)
{
	struct vhdx_header h = *new_hdr;
	int rc = header_once(v, &h);

	return rc < 0 ? rc : header_once(v, &h);
}

/* ---- log entries ----------------------------------------------------------- */

static uint32_t desc_bytes(uint32_t count)
{
	return (uint32_t)align_up(sizeof(struct vhdx_log_entry) +
				  (uint64_t)count * sizeof(struct vhdx_log_desc), SECTOR);
}

/*
 * An entry takes at most a quarter of the log and the tail moves on before
 * more than half is in use, so what the newest durable entry needs (I4) and a
 * new entry always fit together.
 */
uint32_t vhdx_log_max_pages(const struct vhdx *v)
{
	uint32_t sectors = (uint32_t)min_u64(v->log_len / 4 / SECTOR, MAX_DESCS);
	uint32_t n = sectors - 1;

	while (desc_bytes(n) / SECTOR + n > sectors)
		n--;
	return n;
}

static void fill_entry(const struct vhdx *v, uint8_t *buf, const struct log_page *pages,
		       uint32_t nr, uint32_t len, uint32_t tail)
{
	struct vhdx_log_entry head = {
		.signature = "loge", .length = le32_of(len), .tail = le32_of(tail),
		.sequence = le64_of(v->log_seq), .count = le32_of(nr), .log = v->log_guid,
		.flushed_file = le64_of(v->file_size), .last_file = le64_of(v->file_size),
	};
	uint8_t *data = buf + desc_bytes(nr);

	memcpy(buf, &head, sizeof(head));
	for (uint32_t i = 0; i < nr; i++, data += SECTOR) {
		struct vhdx_log_desc d = {
			.signature = "desc",
			.offset = le64_of(pages[i].off),
			.sequence = le64_of(v->log_seq),
		};
		const uint8_t *src = pages[i].data;

		memcpy(d.leading.b, src, 8);
		memcpy(d.trailing.b, src + SECTOR - 4, 4);
		memcpy(buf + sizeof(head) + i * sizeof(d), &d, sizeof(d));
		memcpy(data, "data", 4);
		st32(data + 4, (uint32_t)(v->log_seq >> 32));
		memcpy(data + 8, src + 8, SECTOR - 12);
		st32(data + SECTOR - 4, (uint32_t)v->log_seq);
	}
	vhdx_seal(buf, len, offsetof(struct vhdx_log_entry, checksum));
}

/* The ring's end may lie inside the entry. */
static int write_entry(struct vhdx *v, const uint8_t *buf, uint32_t len)
{
	uint32_t first = (uint32_t)min_u64(len, v->log_len - v->log_head);
	int rc = aio_write_wait(v->aio, v->log_off + v->log_head, buf, first);

	if (rc == 0)
		rc = aio_write_wait(v->aio, v->log_off, buf + first, len - first);
	return rc == 0 ? aio_sync_wait(v->aio) : rc;
}

static void set_log(struct vhdx *v, bool live, bool named)
{
	pthread_mutex_lock(&v->lock);
	v->log_live = live;
	v->log_named = named;
	pthread_mutex_unlock(&v->lock);
}

int vhdx_log_append(struct vhdx *v, const struct log_page *pages, uint32_t nr)
{
	uint32_t len = desc_bytes(nr) + nr * SECTOR, used, tail;
	uint8_t *buf;
	int rc;

	BUG_IF(nr == 0 || nr > vhdx_log_max_pages(v));
	if (v->log_live && v->log_used + len > v->log_len / 2) {
		rc = vhdx_log_name(v);
		if (rc == 0)
			rc = vhdx_log_apply(v);
		if (rc < 0)
			return rc;
	}
	if (!v->log_live) {
		guid_random(&v->log_guid);
		v->log_seq = 1;
		v->log_head = v->log_used = 0;
	}
	buf = calloc(1, len);
	if (buf == NULL)
		return -ENOMEM;
	/* Nothing waits to be put in place: this entry is the oldest still needed. */
	used = v->logged == NULL ? 0 : v->log_used;
	tail = (v->log_head + v->log_len - used) % v->log_len;
	fill_entry(v, buf, pages, nr, len, tail);
	rc = write_entry(v, buf, len);
	free(buf);
	if (rc < 0)
		return rc;
	set_log(v, true, v->log_named);
	v->log_seq++;
	v->log_head = (v->log_head + len) % v->log_len;
	v->log_used = used + len;
	return 0;
}

int vhdx_log_name(struct vhdx *v)
{
	struct vhdx_header h = v->hdr;
	int rc;

	if (!v->log_live || v->log_named)
		return 0;
	h.log = v->log_guid;
	h.log_version = le16_of(0);
	rc = vhdx_header_update(v, &h);
	if (rc == 0)
		set_log(v, true, true);
	return rc;
}

/* In flight together; the last one to end wakes us. */
struct batch {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint32_t left;
	int rc;
};

struct page_io {
	struct aio_io io;
	struct iovec iov;
};

static void page_done(struct aio_io *io, int rc)
{
	struct batch *b = io->ctx;

	pthread_mutex_lock(&b->lock);
	if (rc < 0)
		b->rc = rc;
	if (--b->left == 0)
		pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

static int write_logged(struct vhdx *v)
{
	struct batch b = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct page_io *ios, *io;

	for (const struct bat_page *p = v->logged; p != NULL; p = p->next_logged)
		b.left++;
	ios = io = new_array(struct page_io, b.left);
	if (ios == NULL)
		return -ENOMEM;
	for (const struct bat_page *p = v->logged; p != NULL; p = p->next_logged, io++) {
		io->iov = (struct iovec){ p->logged, SECTOR };
		io->io = (struct aio_io){
			.op = AIO_WRITE, .off = p->off, .len = SECTOR,
			.iov = &io->iov, .nr_iov = 1, .done = page_done, .ctx = &b,
		};
		aio_submit(v->aio, &io->io);
	}
	pthread_mutex_lock(&b.lock);
	while (b.left > 0)
		pthread_cond_wait(&b.cond, &b.lock);
	pthread_mutex_unlock(&b.lock);
	free(ios);
	return b.rc;
}

/*
 * The copies that were logged go in place, not the pages as they are now (I1).
 * The log keeps its entries: until the next one is durable, replaying them
 * again changes nothing.
 */
int vhdx_log_apply(struct vhdx *v)
{
	struct bat_page *p;
	int rc;

	if (v->logged == NULL)
		return 0;
	BUG_IF(!v->log_named);
	rc = write_logged(v);
	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	if (rc < 0)
		return rc;
	while ((p = v->logged) != NULL) {
		v->logged = p->next_logged;
		p->next_logged = NULL;
		free(p->logged);
		p->logged = NULL;
	}
	return 0;
}

int vhdx_log_close(struct vhdx *v)
{
	struct vhdx_header h;
	int rc;

	if (!v->log_live)
		return 0;
	rc = vhdx_log_name(v);
	if (rc == 0)
		rc = vhdx_log_apply(v);
	if (rc < 0)
		return rc;
	h = v->hdr;
	h.log = (struct guid){ { 0 } };
	set_log(v, true, false);
	rc = vhdx_header_update(v, &h);
	if (rc == 0)
		set_log(v, false, false);
	return rc;
}

/* ---- the region tables ----------------------------------------------------- */

/* The good copy over the bad one, by the log like any other page. */
int vhdx_repair_regions(struct vhdx *v)
{
	struct log_page pages[VHDX_REGION_TABLE_LEN / SECTOR];
	uint64_t good = v->regions_bad[0] ? VHDX_REGIONS_2 : VHDX_REGIONS_1;
	uint64_t bad = v->regions_bad[0] ? VHDX_REGIONS_1 : VHDX_REGIONS_2;
	uint8_t *buf;
	int rc;

	if (!v->regions_bad[0] && !v->regions_bad[1])
		return 0;
	buf = malloc(VHDX_REGION_TABLE_LEN);
	if (buf == NULL)
		return -ENOMEM;
	/* The entry vouches for the file's size: let it be durable. */
	rc = aio_sync_wait(v->aio);
	if (rc == 0)
		rc = aio_read_wait(v->aio, good, buf, VHDX_REGION_TABLE_LEN);
	for (uint32_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = (struct log_page){ bad + i * SECTOR, buf + i * SECTOR };
	if (rc == 0)
		rc = vhdx_log_append(v, pages, ARRAY_LEN(pages));
	if (rc == 0)
		rc = vhdx_log_name(v);
	if (rc == 0)
		rc = aio_write_wait(v->aio, bad, buf, VHDX_REGION_TABLE_LEN);
	if (rc == 0)
		rc = aio_sync_wait(v->aio);
	if (rc == 0)
		rc = vhdx_log_close(v);
	free(buf);
	return rc;
}
