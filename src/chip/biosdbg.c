/*
 * biosdbg.c - port 402, where a BIOS writes what it thinks
 *
 * A byte written is a character; reading E9 says that somebody listens. Lines
 * go to the board one by one, with nothing in them that a terminal obeys; a
 * line too long is cut in two.
 *
 * Spec     QEMU's debug console, as SeaBIOS uses it
 * Lock     chip
 */
#include "chip/chips.h"

#include <string.h>

#define PORT 0x402u
#define LISTENING 0xe9u

struct biosdbg {
	struct biosdbg_conf conf;	/* [const] */
	uint8_t text[160];
	uint8_t nr;
};

static void end_line(struct biosdbg *b)
{
	char line[sizeof(b->text) + 1];

	memcpy(line, b->text, b->nr);
	line[b->nr] = '\0';
	if (b->nr > 0 && b->conf.line != NULL)
		b->conf.line(b->conf.arg, line);
	b->nr = 0;
}

static uint64_t biosdbg_read(void *self, uint32_t off, unsigned width)
{
	(void)self, (void)off, (void)width;
	return LISTENING;
}

static void biosdbg_write(void *self, uint32_t off, unsigned width, uint64_t val)
{
	struct biosdbg *b = self;
	uint8_t c = (uint8_t)val;

	(void)off, (void)width;
	if (c == '\n') {
		end_line(b);
		return;
	}
	if (c == '\r')
		return;
	b->text[b->nr++] = c >= ' ' && c < 0x7f ? c : '.';
	if (b->nr == sizeof(b->text))
		end_line(b);
}

static const struct io_ops biosdbg_io = { IO_W1, biosdbg_read, biosdbg_write };

static void biosdbg_reset(void *self)
{
	end_line(self);
}

static int biosdbg_init(void *self, const struct dev_env *env, const void *conf, struct err *err)
{
	struct biosdbg *b = self;

	b->conf = *(const struct biosdbg_conf *)conf;
	return bus_add(env->pio, env->name, PORT, 1, &biosdbg_io, b, err);
}

/* The text of a stranger is cut to what we would have kept. */
static int biosdbg_loaded(void *self, struct err *err)
{
	const struct biosdbg *b = self;

	if (b->nr >= sizeof(b->text))
		return err_set(err, -EBADMSG, "biosdbg: a line that is too long");
	for (unsigned i = 0; i < b->nr; i++)
		if (b->text[i] < ' ' || b->text[i] >= 0x7f)
			return err_set(err, -EBADMSG, "biosdbg: not text");
	return 0;
}

static const struct state_field biosdbg_state[] = {
	STATE(1, struct biosdbg, text), STATE(2, struct biosdbg, nr),
	{ 0 },
};

const struct dev_ops biosdbg_dev = {
	.name = "biosdbg",
	.size = sizeof(struct biosdbg),
	.state = biosdbg_state,
	.init = biosdbg_init,
	.reset = biosdbg_reset,
	.loaded = biosdbg_loaded,
};
