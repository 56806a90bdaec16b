/*
 * rfb.c - what a VNC client says, and the handshake
 *
 * A message is read in two steps: its fixed beginning, whose length the first
 * byte (or two) tells, and for lists and texts the rest as it comes.  Nothing
 * is allocated or looped by a number of the client's.
 *
 * Spec     [RFC 6143] RFB 3.8, with 3.3 and 3.7; [RFBPROTO] DesktopSize (-223)
 *          and QEMU extended key events (-258, message 255)
 * Missing  colour maps; texts to the clipboard are skipped; the cursor is part
 *          of the picture; audio and LED state
 * Lock     none: the server's thread
 */
#include "view/rfb_priv.h"

#include "base/le.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECURITY_NONE = 1, SECURITY_VNC = 2 };
enum { MSG_FORMAT = 0, MSG_ENCODINGS = 2, MSG_REQUEST = 3, MSG_KEY = 4, MSG_POINTER = 5,
       MSG_TEXT = 6, MSG_QEMU = 255 };

static uint32_t in32(const uint8_t *p) { return __builtin_bswap32(ld32(p)); }
static uint16_t in16(const uint8_t *p) { return __builtin_bswap16(ld16(p)); }

/* ---- the handshake ------------------------------------------------------------- */

static void say_init(struct rfb *s)
{
	static const uint8_t format[16] = { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 };
	struct disp_view v;

	disp_open(s->conf->disp, &v);
	s->width = v.width;
	s->height = v.height;
	disp_close(s->conf->disp);
	rfb_put16(s, (uint16_t)s->width);
	rfb_put16(s, (uint16_t)s->height);
	rfb_put(s, format, sizeof(format));
	rfb_put32(s, (uint32_t)strlen(s->conf->name));
	rfb_put(s, s->conf->name, strlen(s->conf->name));
	s->state = RFB_RUN;
}

static void say_challenge(struct rfb *s)
{
	base_random(s->challenge, sizeof(s->challenge));
	rfb_put(s, s->challenge, sizeof(s->challenge));
	s->state = RFB_CHALLENGE;
}

static void on_version(struct rfb *s)
{
	char text[13];
	unsigned major, minor;

	memcpy(text, s->in, 12);
	text[12] = '\0';
	if (sscanf(text, "RFB %3u.%3u\n", &major, &minor) != 2 || major < 3) {
		rfb_end(s, "it does not speak RFB");
		return;
	}
	s->minor = major > 3 || minor >= 8 ? 8 : minor == 7 ? 7 : 3;
	if (s->minor == 3) {
		rfb_put32(s, s->conf->password != NULL ? SECURITY_VNC : SECURITY_NONE);
		s->state = RFB_INIT;
		if (s->conf->password != NULL)
			say_challenge(s);
		return;
	}
	rfb_put8(s, 1);
	rfb_put8(s, s->conf->password != NULL ? SECURITY_VNC : SECURITY_NONE);
	s->state = RFB_SECURITY;
}

static void say_denied(struct rfb *s, const char *why)
{
	rfb_put32(s, 1);
	if (s->minor == 8) {
		rfb_put32(s, (uint32_t)strlen(why));
		rfb_put(s, why, strlen(why));
	}
	rfb_end(s, why);
	s->state = RFB_DENIED;
}

static void on_security(struct rfb *s)
{
	unsigned want = s->conf->password != NULL ? SECURITY_VNC : SECURITY_NONE;

	if (s->in[0] != want) {
		say_denied(s, "it chose a way in that was not offered");
		return;
	}
	if (want == SECURITY_VNC) {
		say_challenge(s);
		return;
	}
	if (s->minor == 8)
		rfb_put32(s, 0);
	s->state = RFB_INIT;
}

static void on_response(struct rfb *s)
{
	uint8_t right[16], differs = 0;

	if (rfb_respond(s->conf->password, s->challenge, right) < 0) {
		say_denied(s, "this host has no DES");
		return;
	}
	for (unsigned i = 0; i < sizeof(right); i++)
		differs |= right[i] ^ s->in[i];
	base_random(s->challenge, sizeof(s->challenge));
	if (differs != 0) {
		s->denied = true;
		say_denied(s, "wrong password");
		return;
	}
	rfb_put32(s, 0);
	s->state = RFB_INIT;
}

/* ---- messages ------------------------------------------------------------------ */

static void on_format(struct rfb *s)
{
	if (!rfb_format_set(&s->format, s->in + 4))
		rfb_end(s, "it wants pixels that are not 8, 16 or 32 bits of true color");
}

static void on_encoding(struct rfb *s, int32_t e)
{
	switch (e) {
	case ENC_RAW:
		s->raw_chosen = s->raw_chosen || !s->zrle;
		break;
	case ENC_COPY:
		s->copies = true;
		break;
	case ENC_ZRLE:
		s->zrle = s->zrle || !s->raw_chosen;
		break;
	case ENC_DESKTOP_SIZE:
		s->resize = true;
		break;
	case ENC_QEMU_KEYS:
		s->qemu_keys = true;
		break;
	}
}

static void on_encodings(struct rfb *s)
{
	s->encodings = in16(s->in + 2);
	s->zrle = s->raw_chosen = s->copies = s->resize = s->qemu_keys = false;
	s->lines_known = false;
	s->keys_told = false;
}

/* The rest of the list, one encoding. */
static void on_one_encoding(struct rfb *s)
{
	on_encoding(s, (int32_t)in32(s->in));
	s->encodings--;
}

/* Incremental or not; we always send all that has changed, wherever it is. */
static void on_request(struct rfb *s)
{
	s->asked = true;
	s->whole = s->whole || s->in[1] == 0;
}

static void on_message(struct rfb *s)
{
	switch (s->in[0]) {
	case MSG_FORMAT:
		on_format(s);
		break;
	case MSG_ENCODINGS:
		on_encodings(s);
		break;
	case MSG_REQUEST:
		on_request(s);
		break;
	case MSG_KEY:
		rfb_key(s, in32(s->in + 4), s->in[1] != 0);
		break;
	case MSG_POINTER:
		rfb_pointer(s, s->in[1], in16(s->in + 2), in16(s->in + 4));
		break;
	case MSG_TEXT:
		s->skip = in32(s->in + 4);
		break;
	case MSG_QEMU:
		rfb_qemu_key(s, in32(s->in + 8), in16(s->in + 2) != 0);
		break;
	}
}

/* Bytes of the message that in[] begins, as far as they can be told; 0: there is no such one. */
static unsigned message_len(const struct rfb *s)
{
	if (s->have == 0)
		return 1;
	switch (s->in[0]) {
	case MSG_FORMAT:
		return 20;
	case MSG_ENCODINGS:
		return 4;
	case MSG_REQUEST:
		return 10;
	case MSG_KEY:
	case MSG_TEXT:
		return 8;
	case MSG_POINTER:
		return 6;
	case MSG_QEMU:		/* only extended keys; with 1 it would be audio */
		return s->have < 2 ? 2 : s->in[1] == 0 ? 12 : 0;
	}
	return 0;
}

static unsigned needed(const struct rfb *s)
{
	switch (s->state) {
	case RFB_VERSION:
		return 12;
	case RFB_SECURITY:
	case RFB_INIT:
		return 1;
	case RFB_CHALLENGE:
		return 16;
	case RFB_RUN:
		return s->encodings > 0 ? 4 : message_len(s);
	case RFB_DENIED:
		break;
	}
	return 0;
}

/* in[] holds all that is needed. */
static void dispatch(struct rfb *s)
{
	switch (s->state) {
	case RFB_VERSION:
		on_version(s);
		break;
	case RFB_SECURITY:
		on_security(s);
		break;
	case RFB_CHALLENGE:
		on_response(s);
		break;
	case RFB_INIT:
		say_init(s);
		break;
	case RFB_RUN:
		if (s->encodings > 0)
			on_one_encoding(s);
		else
			on_message(s);
		break;
	case RFB_DENIED:
		break;
	}
}

static void one_byte(struct rfb *s, uint8_t byte)
{
	unsigned need;

	s->in[s->have++] = byte;
	need = needed(s);
	if (need == 0) {
		rfb_end(s, "it sent a message that nobody knows");
	} else if (s->have == need) {
		dispatch(s);
		s->have = 0;
	}
}

void rfb_input(struct rfb *s, const uint8_t *buf, size_t n)
{
	while (n > 0 && !s->over) {
		size_t part = min_u64(n, s->skip);

		s->skip -= part;
		if (part == 0) {
			one_byte(s, *buf);
			part = 1;
		}
		buf += part;
		n -= part;
	}
}

void rfb_open(struct rfb *s, const struct rfb_conf *conf)
{
	memset(s, 0, sizeof(*s));
	s->conf = conf;
	rfb_format_default(&s->format);
	rfb_put(s, "RFB 003.008\n", 12);
}

void rfb_close(struct rfb *s)
{
	rfb_let_go(s);
	if (s->z_open)
		deflateEnd(&s->z);
	free(s->out);
	free(s->lines);
	s->out = NULL;
	s->lines = NULL;
	s->z_open = false;
}
