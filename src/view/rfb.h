/*
 * rfb.h - one VNC client, without its socket
 *
 * Bytes go in by rfb_input and wait to go out in rfb_pending; whoever has the
 * socket carries them.  A session asks for nothing and waits for nothing, so
 * tests and the fuzzer drive it as the server does.
 */
#ifndef VIEW_RFB_H
#define VIEW_RFB_H

#include "dev/disp.h"
#include "dev/input.h"

#include <zlib.h>

#define RFB_PASSWORD 8u			/* characters that the protocol's scheme looks at */
#define RFB_MAX_OUT (32u << 20)		/* the largest picture, raw, with much to spare */

struct rfb_conf {			/* borrowed for the session's life */
	struct disp *disp;
	struct input *input;
	const char *name;		/* what a viewer's title bar says */
	const char *password;		/* NULL: nobody is asked for one */
};

struct rfb_format {			/* how the client wants its pixels */
	uint8_t bytes;			/* 1, 2 or 4 */
	bool big;
	uint32_t part[3][256];		/* red, green, blue of 8 bits, in place */
	unsigned packed;		/* where in 4 bytes the 3 of a CPIXEL begin; 4: all are meant */
};

enum rfb_state { RFB_VERSION, RFB_SECURITY, RFB_CHALLENGE, RFB_INIT, RFB_RUN, RFB_DENIED };

struct rfb {
	const struct rfb_conf *conf;
	enum rfb_state state;
	unsigned minor;			/* of protocol 3.x: 3, 7 or 8 */
	bool over;			/* nothing more is read; what is pending may still go */
	bool denied;			/* a wrong password */
	char why[96];			/* [over] for the log */

	uint8_t in[24];			/* a message's beginning */
	unsigned have;
	uint64_t skip;			/* bytes of a text that nobody wants */
	unsigned encodings;		/* that are still to come of a list */
	uint8_t challenge[16];

	uint8_t *out;			/* [owned] */
	size_t out_n, out_at, out_cap;

	struct rfb_format format;
	bool zrle, raw_chosen, copies, resize, qemu_keys;
	z_stream z;			/* one for the session's life */
	bool z_open;

	uint32_t width, height;		/* as the client knows it */
	uint64_t seen;			/* of the picture; 0: nothing */
	uint64_t *lines;		/* [owned] numbers of those it has; see rfb_scroll.c */
	bool lines_known;
	bool asked, whole;		/* an update; even of what has not changed */
	bool keys_told;			/* that extended key events are understood */

	unsigned buttons;
	uint32_t x, y;
	uint8_t down[33];		/* a bit a key that this client holds; see key_bit */
};

void rfb_open(struct rfb *s, const struct rfb_conf *conf);
void rfb_input(struct rfb *s, const uint8_t *buf, size_t n);
/* Wants a look at the picture as soon as rfb_pending is empty. */
bool rfb_asks(const struct rfb *s);
/* Paints and sends what has changed, if anything has. */
void rfb_update(struct rfb *s);
size_t rfb_pending(const struct rfb *s, const uint8_t **ret_buf);
void rfb_sent(struct rfb *s, size_t n);
/* Lets go of keys and buttons. */
void rfb_close(struct rfb *s);

/* VNC's answer to a challenge: DES of both halves by the password; -EIO without DES. */
MUST_CHECK int rfb_respond(const char *password, const uint8_t challenge[16], uint8_t ret_r[16]);

#endif
