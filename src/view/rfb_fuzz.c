/*
 * rfb_fuzz.c - a viewer that says anything at all
 *
 * The first byte decides whether there is a password, how the rest is cut into
 * pieces, and how much of our answers is taken each time.  A second run begins
 * after a right handshake.  Updates come after every piece; whatever is pending
 * must stay within its limit.
 */
#include "view/rfb.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
	struct disp *disp;
	struct input *input;
	uint32_t tick;
};

/* A picture that changes, in size too. */
static void paint(void *self, struct disp *d, bool all)
{
	struct scene *c = self;
	uint32_t px[200];

	(void)all;
	c->tick++;
	disp_size(d, 100 + c->tick / 5 % 3 * 33, 70 + c->tick / 7 % 2 * 9);
	for (uint32_t i = 0; i < ARRAY_LEN(px); i++)
		px[i] = c->tick % 3 == 0 ? i * 0x010305 * c->tick : i / 20 * 0x10203f;
	for (uint32_t y = c->tick * 5 % 70; y < 79; y += 3)
		disp_line(d, 0, y, px, ARRAY_LEN(px));
}

static void take(struct rfb *s, size_t most)
{
	const uint8_t *buf;
	size_t n = rfb_pending(s, &buf);

	BUG_IF(n > RFB_MAX_OUT);
	rfb_sent(s, min_u64(n, most));
}

static void feed(struct rfb *s, const uint8_t *data, size_t n, size_t cut, size_t most)
{
	while (n > 0 && !s->over) {
		size_t piece = min_u64(n, cut);

		rfb_input(s, data, piece);
		rfb_update(s);
		take(s, most);
		data += piece;
		n -= piece;
	}
}

static void session(struct scene *c, const uint8_t *data, size_t size, bool shaken)
{
	struct rfb_conf conf = { c->disp, c->input, "fuzz", (data[0] & 1) != 0 ? "secret" : NULL };
	size_t cut = (data[0] >> 1 & 7u) * 3 + 1, most = (data[0] & 0x10) != 0 ? 50 : SIZE_MAX;
	static struct rfb s;

	rfb_open(&s, &conf);
	if (shaken) {
		uint8_t answer[16];

		rfb_input(&s, (const uint8_t *)"RFB 003.008\n", 12);
		rfb_input(&s, (const uint8_t *)(conf.password != NULL ? "\2" : "\1"), 1);
		if (conf.password != NULL) {
			BUG_IF(rfb_respond(conf.password, s.challenge, answer) < 0);
			rfb_input(&s, answer, sizeof(answer));
		}
		rfb_input(&s, (const uint8_t *)"\1", 1);
		BUG_IF(s.state != RFB_RUN);
		take(&s, SIZE_MAX);
	}
	feed(&s, data + 1, size - 1, cut, most);
	rfb_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene c;		/* a picture is large: one for all inputs */
	const struct disp_adapter a = { paint, &c };

	if (size < 2 || size > 4096)
		return 0;
	if (c.disp == NULL)
		BUG_IF(disp_new(&c.disp) < 0 || input_new(&c.input) < 0);
	c.tick = 0;
	BUG_IF(disp_attach(c.disp, &a) < 0);
	session(&c, data, size, false);
	session(&c, data, size, true);
	disp_detach(c.disp, &a);
	return 0;
}
