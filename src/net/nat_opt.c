/*
 * nat_opt.c - the words after --net nat
 *
 * Each sentence of an error names the word that was found and what was
 * expected in its place.
 *
 * Missing  a comma in a path, an IPv6 network of one's own, a search list
 * Lock     none; usable from any thread
 */
#include "net/nat.h"
#include "net/words.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_NET 0x0a000200u		/* 10.0.2.0 */
#define WORDS "hostfwd=, tftp=, bootfile=, net= or hostloopback="

void nat_conf_init(struct nat_conf *c)
{
	*c = (struct nat_conf){ .net = DEFAULT_NET, .prefix = 24 };
}

static uint32_t mask_of(unsigned prefix)
{
	return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

static int parse_net(char *v, struct nat_conf *c, struct err *err)
{
	char *slash = strchr(v, '/');
	struct in_addr a;
	uint64_t prefix;

	if (slash == NULL)
		return err_set(err, -EINVAL, "net=%s: a length is missing, as in 10.0.2.0/24", v);
	*slash = '\0';
	if (inet_pton(AF_INET, v, &a) != 1)
		return err_set(err, -EINVAL, "net=%s/%s: '%s' is no IPv4 address", v, slash + 1, v);
	if (!words_number(slash + 1, 8, 27, &prefix))
		return err_set(err, -EINVAL, "net=%s/%s: the length is from 8 to 27", v, slash + 1);
	c->net = ntohl(a.s_addr);
	c->prefix = (unsigned)prefix;
	if (c->net & ~mask_of(c->prefix))
		return err_set(err, -EINVAL, "net=%s/%u: the address has bits set after the first %u",
			       v, c->prefix, c->prefix);
	if (c->net >> 24 == 0 || c->net >> 24 == 127 || c->net >> 28 >= 0xe)
		return err_set(err, -EINVAL, "net=%s/%u: no network of hosts", v, c->prefix);
	return 0;
}

/* [ADDR]:PORT; WHAT is "host" or "guest". */
static int parse_end(char *s, const char *what, struct nat_end *ret_e, struct err *err)
{
	char *colon = strrchr(s, ':');
	struct nat_end e = { 0 };
	uint64_t port;
	size_t n;

	if (colon == NULL)
		return err_set(err, -EINVAL, "'%s' is no %s end, expected [ADDRESS]:PORT", s, what);
	if (!words_number(colon + 1, 1, UINT16_MAX, &port))
		return err_set(err, -EINVAL, "%s port '%s' is not from 1 to 65535", what, colon + 1);
	e.port = (uint16_t)port;
	*colon = '\0';
	n = strlen(s);
	if (n >= 2 && s[0] == '[' && s[n - 1] == ']') {
		s[n - 1] = '\0';
		e.v6 = true;
		if (inet_pton(AF_INET6, s + 1, &e.v6_addr) != 1)
			return err_set(err, -EINVAL, "%s address '%s' is no IPv6 address", what, s + 1);
	} else if (n != 0 && inet_pton(AF_INET, s, &e.v4) != 1) {
		return err_set(err, -EINVAL, "%s address '%s' is no IPv4 address (IPv6 goes in brackets)",
			       what, s);
	} else if (n == 0 && what[0] == 'h') {
		e.v4.s_addr = htonl(INADDR_LOOPBACK);
	}
	*ret_e = e;
	return 0;
}

/* PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT */
static int parse_fwd_words(char *v, struct nat_fwd *ret_f, struct err *err)
{
	char *host = strchr(v, ':'), *guest;
	struct nat_fwd f = { 0 };
	int rc;

	if (host == NULL)
		return err_set(err, -EINVAL, "expected PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT");
	*host++ = '\0';
	guest = strchr(host, '-');
	if (guest == NULL)
		return err_set(err, -EINVAL, "a '-' and the guest's end are missing");
	*guest++ = '\0';
	f.udp = strcmp(v, "udp") == 0;
	if (!f.udp && strcmp(v, "tcp") != 0)
		return err_set(err, -EINVAL, "'%s' is neither tcp nor udp", v);
	rc = parse_end(host, "host", &f.host, err);
	if (rc < 0)
		return rc;
	rc = parse_end(guest, "guest", &f.guest, err);
	if (rc < 0)
		return rc;
	if (f.host.v6 != f.guest.v6)
		return err_set(err, -EINVAL, "one end is IPv6, the other is not");
	*ret_f = f;
	return 0;
}

static int parse_fwd(char *v, struct nat_conf *c, struct err *err)
{
	char whole[160], prefix[200];
	int rc;

	if (strlen(v) >= sizeof(whole))
		return err_set(err, -EINVAL, "hostfwd=: longer than any forward");
	strcpy(whole, v);
	if (c->nr_fwd == NAT_FWD_MAX)
		return err_set(err, -E2BIG, "hostfwd=%s: at most %u forwards", whole, NAT_FWD_MAX);
	rc = parse_fwd_words(v, &c->fwd[c->nr_fwd], err);
	if (rc < 0) {
		snprintf(prefix, sizeof(prefix), "hostfwd=%s", whole);
		return err_prefix(err, rc, prefix);
	}
	c->nr_fwd++;
	return 0;
}

static int parse_text(const char *key, const char *v, char *dst, size_t n, struct err *err)
{
	if (*v == '\0')
		return err_set(err, -EINVAL, "%s=: nothing there", key);
	if (strlen(v) >= n)
		return err_set(err, -EINVAL, "%s=: %zu bytes, at most %zu", key, strlen(v), n - 1);
	strcpy(dst, v);
	return 0;
}

static int parse_switch(const char *key, const char *v, bool *ret_on, struct err *err)
{
	return words_on(v, ret_on) ? 0 : err_set(err, -EINVAL, "%s=%s: expected on or off", key, v);
}

static int parse_word(char *word, struct nat_conf *c, struct err *err)
{
	char *eq = strchr(word, '=');

	if (eq == NULL)
		return err_set(err, -EINVAL, "'%s': expected " WORDS, word);
	*eq++ = '\0';
	if (strcmp(word, "hostfwd") == 0)
		return parse_fwd(eq, c, err);
	if (strcmp(word, "tftp") == 0)
		return parse_text(word, eq, c->tftp, sizeof(c->tftp), err);
	if (strcmp(word, "bootfile") == 0)
		return parse_text(word, eq, c->bootfile, sizeof(c->bootfile), err);
	if (strcmp(word, "net") == 0)
		return parse_net(eq, c, err);
	if (strcmp(word, "hostloopback") == 0)
		return parse_switch(word, eq, &c->host_loopback, err);
	return err_set(err, -EINVAL, "'%s=': expected " WORDS, word);
}

/* A forward may come before the net= that its guest is in, so this comes last. */
static int check_guests(const struct nat_conf *c, struct err *err)
{
	for (unsigned i = 0; i < c->nr_fwd; i++) {
		const struct nat_end *g = &c->fwd[i].guest;
		uint32_t a = ntohl(g->v4.s_addr), host = a & ~mask_of(c->prefix);
		char text[INET_ADDRSTRLEN];

		if (g->v6 || a == 0)
			continue;
		inet_ntop(AF_INET, &g->v4, text, sizeof(text));
		if ((a & mask_of(c->prefix)) != c->net)
			return err_set(err, -EINVAL, "hostfwd=: guest address %s is not in the network", text);
		if (host == 0 || host == NAT_GATEWAY || host == NAT_NAMESERVER ||
		    host == ~mask_of(c->prefix))
			return err_set(err, -EINVAL, "hostfwd=: %s can be no guest's address", text);
	}
	return 0;
}

int nat_parse(const char *text, struct nat_conf *ret_conf, struct err *err)
{
	char *copy = strdup(text), *rest = copy, *word;
	struct nat_conf c;
	int rc = 0;

	if (copy == NULL)
		return err_set(err, -ENOMEM, "net: no memory");
	nat_conf_init(&c);
	word = strsep(&rest, ",");
	if (strcmp(word, "nat") != 0)
		rc = err_set(err, -EINVAL, "'%s' is not nat", word);
	while (rc == 0 && (word = strsep(&rest, ",")) != NULL)
		rc = parse_word(word, &c, err);
	if (rc == 0)
		rc = check_guests(&c, err);
	free(copy);
	if (rc < 0)
		return err_prefix(err, rc, "nat");
	*ret_conf = c;
	return 0;
}
