/*
 * keys.c - characters, keysyms and names to make codes of scan code set 1
 *
 * Spec     [KBD] scan code set 1; [X11] keysymdef: Latin 1 is itself, function
 *          keys are FFxx
 * Lock     none: pure
 */
#include "view/keys.h"

#include <string.h>
#include <strings.h>

#define E0 0xe000u

/* In the order of the make codes; what Shift makes of them is in the other row. */
static const struct {
	unsigned first;
	const char *plain, *shifted;
} rows[] = {
	{ 0x02, "1234567890-=", "!@#$%^&*()_+" },
	{ 0x10, "qwertyuiop[]", "QWERTYUIOP{}" },
	{ 0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~" },
	{ 0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?" },
};

static const struct {
	const char *name;		/* NULL: only a keysym */
	unsigned key;
	uint32_t sym;			/* 0: only a name */
} named[] = {
	{ "esc", 0x01, 0xff1b }, { "escape", 0x01, 0 }, { "backspace", 0x0e, 0xff08 },
	{ "tab", 0x0f, 0xff09 }, { NULL, 0x0f, 0xfe20 }, { "enter", 0x1c, 0xff0d },
	{ "return", 0x1c, 0 }, { NULL, 0x1c, 0xff0a }, { "ctrl", 0x1d, 0xffe3 },
	{ "shift", 0x2a, 0xffe1 }, { "rshift", 0x36, 0xffe2 }, { "alt", 0x38, 0xffe9 },
	{ NULL, 0x38, 0xffe7 },
	{ "space", 0x39, 0x20 }, { "capslock", 0x3a, 0xffe5 },
	{ "f1", 0x3b, 0xffbe }, { "f2", 0x3c, 0xffbf }, { "f3", 0x3d, 0xffc0 },
	{ "f4", 0x3e, 0xffc1 }, { "f5", 0x3f, 0xffc2 }, { "f6", 0x40, 0xffc3 },
	{ "f7", 0x41, 0xffc4 }, { "f8", 0x42, 0xffc5 }, { "f9", 0x43, 0xffc6 },
	{ "f10", 0x44, 0xffc7 }, { "f11", 0x57, 0xffc8 }, { "f12", 0x58, 0xffc9 },
	{ "numlock", 0x45, 0xff7f }, { "scrolllock", 0x46, 0xff14 }, { "less", 0x56, 0 },
	{ "minus", 0x0c, 0 },
	{ "kp*", 0x37, 0xffaa }, { "kp-", 0x4a, 0xffad }, { "kp+", 0x4e, 0xffab },
	{ "kp.", 0x53, 0xffae }, { "kp0", 0x52, 0xffb0 }, { "kp1", 0x4f, 0xffb1 },
	{ "kp2", 0x50, 0xffb2 }, { "kp3", 0x51, 0xffb3 }, { "kp4", 0x4b, 0xffb4 },
	{ "kp5", 0x4c, 0xffb5 }, { "kp6", 0x4d, 0xffb6 }, { "kp7", 0x47, 0xffb7 },
	{ "kp8", 0x48, 0xffb8 }, { "kp9", 0x49, 0xffb9 }, { NULL, 0x4c, 0xff9d },
	{ NULL, 0x53, 0xff9f }, { NULL, 0x52, 0xff9e }, { NULL, 0x4f, 0xff9c },
	{ NULL, 0x50, 0xff99 }, { NULL, 0x51, 0xff9b }, { NULL, 0x4b, 0xff96 },
	{ NULL, 0x4d, 0xff98 }, { NULL, 0x47, 0xff95 }, { NULL, 0x48, 0xff97 },
	{ NULL, 0x49, 0xff9a },
	{ "kpenter", E0 | 0x1c, 0xff8d }, { "kp/", E0 | 0x35, 0xffaf },
	{ "rctrl", E0 | 0x1d, 0xffe4 }, { "ralt", E0 | 0x38, 0xffea }, { "altgr", E0 | 0x38, 0xfe03 },
	{ NULL, E0 | 0x38, 0xffe8 }, { NULL, E0 | 0x38, 0xff7e },
	{ "print", E0 | 0x37, 0xff61 }, { "break", E0 | 0x46, 0xff6b }, { "pause", 0xe11d, 0xff13 },
	{ "home", E0 | 0x47, 0xff50 }, { "up", E0 | 0x48, 0xff52 }, { "pageup", E0 | 0x49, 0xff55 },
	{ "left", E0 | 0x4b, 0xff51 }, { "right", E0 | 0x4d, 0xff53 }, { "end", E0 | 0x4f, 0xff57 },
	{ "down", E0 | 0x50, 0xff54 }, { "pagedown", E0 | 0x51, 0xff56 },
	{ "insert", E0 | 0x52, 0xff63 }, { "delete", E0 | 0x53, 0xffff }, { "del", E0 | 0x53, 0 },
	{ "win", E0 | 0x5b, 0xffeb }, { "rwin", E0 | 0x5c, 0xffec }, { "menu", E0 | 0x5d, 0xff67 },
};

bool keys_of_char(uint32_t ch, struct key_stroke *ret_s)
{
	if (ch == '\n' || ch == '\r' || ch == '\t' || ch == ' ') {
		*ret_s = (struct key_stroke){ ch == '\t' ? 0x0f : ch == ' ' ? 0x39 : 0x1c, false };
		return true;
	}
	if (ch <= ' ' || ch > '~')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *plain = strchr(rows[i].plain, (int)ch);
		const char *shifted = strchr(rows[i].shifted, (int)ch);

		if (plain != NULL)
			*ret_s = (struct key_stroke){
				rows[i].first + (unsigned)(plain - rows[i].plain), false };
		else if (shifted != NULL)
			*ret_s = (struct key_stroke){
				rows[i].first + (unsigned)(shifted - rows[i].shifted), true };
		else
			continue;
		return true;
	}
	return false;
}

bool keys_of_keysym(uint32_t sym, struct key_stroke *ret_s)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (named[i].sym != 0 && named[i].sym == sym) {
			*ret_s = (struct key_stroke){ named[i].key, false };
			return true;
		}
	return sym > ' ' && keys_of_char(sym, ret_s);
}

/* One word of N characters. */
static bool key_of_word(const char *word, size_t n, struct key_stroke *ret_s)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (named[i].name != NULL && strlen(named[i].name) == n &&
		    strncasecmp(named[i].name, word, n) == 0) {
			*ret_s = (struct key_stroke){ named[i].key, false };
			return true;
		}
	return n == 1 && keys_of_char((uint8_t)word[0], ret_s);
}

/* Words are divided by a '-' that is not itself the first character of one, nor ends "kp-". */
static size_t word_len(const char *at)
{
	size_t n = at[0] == '-' ? 1 : strcspn(at, "-");

	return n == 2 && strncasecmp(at, "kp-", 3) == 0 ? 3 : n;
}

int keys_parse(const char *text, unsigned ret_keys[KEYS_MAX_CHORD], struct err *err)
{
	unsigned keys[KEYS_MAX_CHORD];
	int nr = 0;

	for (const char *at = text;;) {
		size_t n = word_len(at);
		struct key_stroke s;

		if (!key_of_word(at, n, &s))
			return err_set(err, -EINVAL, "\"%.*s\" is no key; expected such as "
				       "ctrl-alt-delete, f2, enter, a", (int)min_u64(n, 40), at);
		if (nr + s.shift >= KEYS_MAX_CHORD)
			return err_set(err, -EINVAL, "\"%.80s\": at most %u keys at once", text,
				       KEYS_MAX_CHORD);
		if (s.shift)
			keys[nr++] = KEYS_SHIFT;
		keys[nr++] = s.key;
		at += n;
		if (*at == '\0')
			break;
		at++;
	}
	memcpy(ret_keys, keys, (size_t)nr * sizeof(*keys));
	return nr;
}
