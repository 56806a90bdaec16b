/*
 * fwcfg.c - the firmware configuration device that SeaBIOS asks
 *
 * Numbered items of bytes: select one by a word to port 510, then read it byte
 * by byte from port 511, or let the device copy it into memory: the guest puts
 * a request there (big-endian, like all of this interface) and its address
 * into ports 514 to 51B, low half last. Item 19 is a directory of those
 * that have a name. What is not there, and what lies behind an item's end,
 * reads as zeros.
 *
 * No guest but the BIOS knows of it, and it holds nothing secret.
 *
 * Spec     QEMU docs/specs/fw_cfg
 * Missing  writable items
 * Lock     chip
 */
#include "chip/chips.h"

#include "base/le.h"
#include "mem/gmem.h"

#include <stdlib.h>
#include <string.h>

#define KEY_SIGNATURE 0x00u
#define KEY_ID 0x01u
#define KEY_DIRECTORY 0x19u
#define ID_DMA 2u
#define MAX_FILES 64u
#define MAX_NAME 56u
#define ZEROS_MAX (64 * KIB)		/* behind an item's end, in one request */

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct dir_entry {
	uint8_t size[4];		/* big-endian */
	uint8_t key[2];
	uint8_t rsvd0[2];
	char name[MAX_NAME];
};
_Static_assert(sizeof(struct dir_entry) == 64, "as the BIOS reads it");

struct directory {
	uint8_t nr[4];
	struct dir_entry entry[MAX_FILES];
};

struct fwcfg {
	struct fwcfg_conf conf;		/* [const] */
	struct gmem *mem;		/* [const] */
	struct directory *dir;		/* [owned] [const] */
	uint32_t dir_len;
	uint16_t key;
	uint32_t at;			/* next byte of the item */
	uint64_t dma_gpa;		/* the address as far as it is written */
};

static const char signature[4] = { 'Q', 'E', 'M', 'U' };
static const uint8_t id[4] = { 1 | ID_DMA, 0, 0, 0 };

static void put_be32(uint8_t p[4], uint32_t val)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(val >> (24 - 8 * i));
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The selected item's bytes; none where there is no such item. */
static const uint8_t *item(const struct fwcfg *f, uint32_t *ret_len)
{
	*ret_len = sizeof(signature);
	if (f->key == KEY_SIGNATURE)
		return (const uint8_t *)signature;
	if (f->key == KEY_ID)
		return id;
	*ret_len = f->dir_len;
	if (f->key == KEY_DIRECTORY)
		return (const uint8_t *)f->dir;
	for (unsigned i = 0; i < f->conf.nr; i++)
		if (f->conf.items[i].key == f->key) {
			*ret_len = f->conf.items[i].len;
			return f->conf.items[i].data;
		}
	*ret_len = 0;
	return NULL;
}

static void select_item(struct fwcfg *f, uint16_t key)
{
	f->key = key;
	f->at = 0;
}

static uint8_t next_byte(struct fwcfg *f)
{
	uint32_t len;
	const uint8_t *p = item(f, &len);

	return f->at < len ? p[f->at++] : 0;
}

/* ---- requests in memory --------------------------------------------------------------- */

static void advance(struct fwcfg *f, uint32_t n)
{
	f->at = n > UINT32_MAX - f->at ? UINT32_MAX : f->at + n;
}

/* False: not all of it went. */
static bool copy(struct fwcfg *f, uint64_t gpa, uint32_t n)
{
	uint32_t len, part, zeros;
	const uint8_t *p = item(f, &len);

	part = f->at < len ? (uint32_t)min_u64(n, len - f->at) : 0;
	zeros = (uint32_t)min_u64(n - part, ZEROS_MAX);
	if (part > 0 && gmem_write(f->mem, gpa, p + f->at, part) < 0)
		return false;
	if (zeros > 0 && gmem_zero(f->mem, gpa + part, zeros) < 0)
		return false;
	advance(f, n);
	return part + zeros == n;
}

static void dma(struct fwcfg *f, uint64_t gpa)
{
	uint8_t g_req[16], done[4] = { 0 };
	uint32_t control, n;
	uint64_t to;
	bool ok = true;

	if (gmem_read(f->mem, gpa, g_req, sizeof(g_req)) < 0)
		return;
	control = get_be32(g_req);
	n = get_be32(g_req + 4);
	to = (uint64_t)get_be32(g_req + 8) << 32 | get_be32(g_req + 12);
	if ((control & DMA_SELECT) != 0)
		select_item(f, (uint16_t)(control >> 16));
	if ((control & DMA_READ) != 0)
		ok = copy(f, to, n);
	else if ((control & DMA_WRITE) != 0)
		ok = false;
	else if ((control & DMA_SKIP) != 0)
		advance(f, n);
	put_be32(done, ok ? 0 : DMA_ERROR);
	(void)!gmem_write(f->mem, gpa, done, sizeof(done));
}

/* ---- ports ---------------------------------------------------------------------------- */

static uint64_t port_read(void *self, uint32_t off, unsigned width)
{
	struct fwcfg *f = self;

	if (off == 1 && width == 1)
		return next_byte(f);
	return off == 0 ? f->key : UINT64_MAX;
}

static void port_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	if (off == 0 && width == 2)
		select_item(self, (uint16_t)val);
}

/* Reads tell that the interface is there: "QEMU CFG". */
static uint64_t dma_read(void *self, uint32_t off, unsigned width)
{
	(void)self, (void)width;
	return off == 0 ? 0x554d4551 : 0x47464320;
}

static void dma_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct fwcfg *f = self;
	uint32_t word = __builtin_bswap32((uint32_t)val);
	uint64_t gpa;

	(void)width;
	if (off == 0) {
		f->dma_gpa = (uint64_t)word << 32;
		return;
	}
	gpa = f->dma_gpa | word;
	f->dma_gpa = 0;
	dma(f, gpa);
}

static const struct io_ops port_io = { IO_W1 | IO_W2, port_read, port_write };
static const struct io_ops dma_io = { IO_W4, dma_read, dma_write };

static void make_directory(struct fwcfg *f)
{
	uint32_t nr = 0;

	for (unsigned i = 0; i < f->conf.nr; i++) {
		const struct fwcfg_item *it = &f->conf.items[i];
		struct dir_entry *e = &f->dir->entry[nr];

		if (it->name == NULL)
			continue;
		BUG_IF(nr == MAX_FILES || strlen(it->name) >= MAX_NAME);
		put_be32(e->size, it->len);
		e->key[0] = (uint8_t)(it->key >> 8);
		e->key[1] = (uint8_t)it->key;
		memcpy(e->name, it->name, strlen(it->name));
		nr++;
	}
	put_be32(f->dir->nr, nr);
	f->dir_len = (uint32_t)(sizeof(f->dir->nr) + nr * sizeof(struct dir_entry));
}

static void fwcfg_reset(void *self)
{
	struct fwcfg *f = self;

	select_item(f, 0);
	f->dma_gpa = 0;
}

static int fwcfg_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct fwcfg *f = self;
	int rc;

	f->conf = *(const struct fwcfg_conf *)conf;
	f->mem = env->mem;
	f->dir = new0(struct directory);
	if (f->dir == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	make_directory(f);
	rc = bus_add(env->pio, env->name, 0x510, 2, &port_io, f, err);
	if (rc == 0)
		rc = bus_add(env->pio, env->name, 0x514, 8, &dma_io, f, err);
	if (rc < 0)
		free(f->dir);
	return rc;
}

static void fwcfg_fini(void *self)
{
	free(((struct fwcfg *)self)->dir);
}

static const struct state_field fwcfg_state[] = {
	STATE(1, struct fwcfg, key), STATE(2, struct fwcfg, at), STATE(3, struct fwcfg, dma_gpa),
	{ 0 },
};

const struct dev_ops fwcfg_dev = {
	.name = "fwcfg",
	.size = sizeof(struct fwcfg),
	.state = fwcfg_state,
	.init = fwcfg_init,
	.reset = fwcfg_reset,
	.fini = fwcfg_fini,
};
