/*
 * acl_opt.c - one rule of an access control list, in words
 *
 * One row for each word; a row says whether something follows it.
 *
 * Lock     none; usable from any thread
 */
#include "net/acl_opt.h"
#include "net/words.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 86400u
#define WEIGHT_MAX 65535

struct rule_word {
	const char *name;
	const char *expects;		/* what follows it; NULL: nothing */
	bool (*take)(struct acl_rule *r, const char *val);
};

/* Makes the rule one for WHAT; false: it is for another family already. */
static bool family(struct acl_rule *r, enum acl_what what)
{
	bool vague = r->what == ACL_EVERY || r->what == ACL_IP;

	if (vague || r->what == what) {
		r->what = what;
		return true;
	}
	return what == ACL_IP;
}

static bool proto(struct acl_rule *r, enum acl_what what, uint8_t n)
{
	if (r->proto != 0 || !family(r, what))
		return false;
	r->proto = n;
	return true;
}

static bool take_in(struct acl_rule *r, const char *v) { (void)v; r->dirs |= ACL_IN; return true; }
static bool take_out(struct acl_rule *r, const char *v) { (void)v; r->dirs |= ACL_OUT; return true; }
static bool take_ip(struct acl_rule *r, const char *v) { (void)v; return family(r, ACL_IP); }
static bool take_ip4(struct acl_rule *r, const char *v) { (void)v; return family(r, ACL_IP4); }
static bool take_ip6(struct acl_rule *r, const char *v) { (void)v; return family(r, ACL_IP6); }
static bool take_tcp(struct acl_rule *r, const char *v) { (void)v; return proto(r, ACL_IP, IP_TCP); }
static bool take_udp(struct acl_rule *r, const char *v) { (void)v; return proto(r, ACL_IP, IP_UDP); }
static bool take_icmp(struct acl_rule *r, const char *v) { (void)v; return proto(r, ACL_IP4, IP_ICMP); }
static bool take_icmp6(struct acl_rule *r, const char *v) { (void)v; return proto(r, ACL_IP6, IP_ICMP6); }

static bool take_proto(struct acl_rule *r, const char *v)
{
	uint64_t n;

	return words_number(v, 1, 255, &n) && proto(r, ACL_IP, (uint8_t)n);
}

static bool prefix(struct acl_rule *r, const char *v, uint8_t addr[16], uint8_t *ret_bits)
{
	uint8_t fam;

	return words_prefix(v, &fam, addr, ret_bits) && family(r, fam == 4 ? ACL_IP4 : ACL_IP6);
}

static bool take_local(struct acl_rule *r, const char *v) { return prefix(r, v, r->local, &r->local_bits); }
static bool take_remote(struct acl_rule *r, const char *v) { return prefix(r, v, r->remote, &r->remote_bits); }

/* N or N-M. */
static bool ports(struct acl_rule *r, const char *v, uint16_t *ret_lo, uint16_t *ret_hi)
{
	const char *dash = strchr(v, '-');
	char first[8];
	size_t n = dash != NULL ? (size_t)(dash - v) : strlen(v);
	uint64_t lo, hi;

	if (n >= sizeof(first))
		return false;
	memcpy(first, v, n);
	first[n] = '\0';
	if (!words_number(first, 1, UINT16_MAX, &lo))
		return false;
	hi = lo;
	if (dash != NULL && !words_number(dash + 1, lo, UINT16_MAX, &hi))
		return false;
	*ret_lo = (uint16_t)lo;
	*ret_hi = (uint16_t)hi;
	return family(r, ACL_IP);
}

static bool take_local_port(struct acl_rule *r, const char *v) { return ports(r, v, &r->local_lo, &r->local_hi); }
static bool take_remote_port(struct acl_rule *r, const char *v) { return ports(r, v, &r->remote_lo, &r->remote_hi); }

static bool take_remote_mac(struct acl_rule *r, const char *v)
{
	r->by_mac = true;
	return words_mac(v, r->remote_mac);
}

static bool take_weight(struct acl_rule *r, const char *v)
{
	bool minus = v[0] == '-';
	uint64_t n;

	if (!words_number(v + minus, 0, WEIGHT_MAX, &n))
		return false;
	r->weight = minus ? -(int)n : (int)n;
	return true;
}

static bool take_stateful(struct acl_rule *r, const char *v)
{
	(void)v;
	r->stateful = true;
	return family(r, ACL_IP);
}

static bool take_idle(struct acl_rule *r, const char *v)
{
	uint64_t n;

	if (!words_number(v, 1, IDLE_MAX, &n))
		return false;
	r->idle_s = (uint32_t)n;
	return true;
}

static const struct rule_word rule_words[] = {
	{ "in", NULL, take_in },
	{ "out", NULL, take_out },
	{ "ip", NULL, take_ip },
	{ "ip4", NULL, take_ip4 },
	{ "ip6", NULL, take_ip6 },
	{ "tcp", NULL, take_tcp },
	{ "udp", NULL, take_udp },
	{ "icmp", NULL, take_icmp },
	{ "icmp6", NULL, take_icmp6 },
	{ "proto", "a protocol's number, 1 to 255", take_proto },
	{ "local", "an address, or ADDRESS/BITS", take_local },
	{ "local-port", "a port, or FIRST-LAST", take_local_port },
	{ "remote", "an address, or ADDRESS/BITS", take_remote },
	{ "remote-port", "a port, or FIRST-LAST", take_remote_port },
	{ "remote-mac", "the address of one station, as 00:15:5d:01:02:03", take_remote_mac },
	{ "weight", "a number from -65535 to 65535", take_weight },
	{ "stateful", NULL, take_stateful },
	{ "idle", "seconds, 1 to 86400", take_idle },
};

static int find(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(rule_words); i++)
		if (strcmp(rule_words[i].name, word) == 0)
			return (int)i;
	return -1;
}

static char *next_word(char **rest)
{
	char *w;

	do
		w = strsep(rest, " ");
	while (w != NULL && *w == '\0');
	return w;
}

static int action(const char *word, struct acl_rule *r, struct err *err)
{
	static const char *const names[] = { [ACL_ALLOW] = "allow", [ACL_DENY] = "deny", [ACL_METER] = "meter" };

	for (size_t i = 0; word != NULL && i < ARRAY_LEN(names); i++)
		if (strcmp(word, names[i]) == 0) {
			r->action = (enum acl_action)i;
			return 0;
		}
	return err_set(err, -EINVAL, "'%.40s': a rule begins with allow, deny or meter", word == NULL ? "" : word);
}

static int one_word(const char *word, char **rest, struct acl_rule *r, uint32_t *seen, struct err *err)
{
	int i = find(word);
	const struct rule_word *w = &rule_words[i < 0 ? 0 : i];
	const char *val = "";

	if (i < 0)
		return err_set(err, -EINVAL, "'%.40s' is no word of a rule (in, out, ip, ip4, ip6, tcp, udp, icmp, icmp6, "
			       "proto, local, local-port, remote, remote-port, remote-mac, weight, stateful, idle)", word);
	if (*seen & 1u << i)
		return err_set(err, -EINVAL, "'%s' is there twice", word);
	*seen |= 1u << i;
	if (w->expects != NULL) {
		val = next_word(rest);
		if (val == NULL)
			return err_set(err, -EINVAL, "after '%s': expected %s", word, w->expects);
	}
	if (w->take(r, val))
		return 0;
	if (w->expects != NULL)
		return err_set(err, -EINVAL, "'%s %.60s': expected %s, of the rule's own family", word, val, w->expects);
	return err_set(err, -EINVAL, "'%s' contradicts what is said before it", word);
}

/* What does not fit together though each word is right. */
static int whole(const struct acl_rule *r, struct err *err)
{
	bool any_port = r->local_lo | r->remote_lo;

	if (any_port && r->proto != IP_TCP && r->proto != IP_UDP)
		return err_set(err, -EINVAL, "ports need the word tcp or udp");
	if (r->stateful && r->action != ACL_ALLOW)
		return err_set(err, -EINVAL, "'stateful' belongs to allow");
	if (r->stateful && r->dirs == (ACL_IN | ACL_OUT))
		return err_set(err, -EINVAL, "'stateful' needs one direction, in or out");
	if (r->idle_s != 0 && !r->stateful)
		return err_set(err, -EINVAL, "'idle' belongs to stateful");
	return 0;
}

int acl_parse(const char *text, struct acl_rule *ret_r, struct err *err)
{
	char copy[ACL_TEXT_MAX], *rest = copy, *word;
	struct acl_rule r = { 0 };
	uint32_t seen = 0;
	int rc;

	if (strlen(text) >= sizeof(copy))
		return err_set(err, -EINVAL, "%zu letters, at most %u", strlen(text), ACL_TEXT_MAX - 1);
	strcpy(copy, text);
	rc = action(next_word(&rest), &r, err);
	while (rc == 0 && (word = next_word(&rest)) != NULL)
		rc = one_word(word, &rest, &r, &seen, err);
	if (r.dirs == 0)
		r.dirs = ACL_IN | ACL_OUT;
	if (rc == 0)
		rc = whole(&r, err);
	if (rc == 0)
		*ret_r = r;
	return rc;
}

/* Appends; BUF is long enough for any rule. */
PRINTF(2, 3) static void add(char *buf, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + n, ACL_TEXT_MAX - n, fmt, ap);
	va_end(ap);
}

static void add_prefix(char *buf, const char *word, const struct acl_rule *r, const uint8_t *addr, unsigned bits)
{
	char text[INET6_ADDRSTRLEN];

	if (bits != 0 && inet_ntop(r->what == ACL_IP4 ? AF_INET : AF_INET6, addr, text, sizeof(text)) != NULL)
		add(buf, " %s %s/%u", word, text, bits);
}

static void add_ports(char *buf, const char *word, unsigned lo, unsigned hi)
{
	if (lo != 0 || hi != 0)
		add(buf, lo == hi ? " %s %u" : " %s %u-%u", word, lo, hi);
}

void acl_format(const struct acl_rule *r, char *buf)
{
	static const char *const actions[] = { "allow", "deny", "meter" };
	static const char *const dirs[] = { "", " out", " in", "" };
	static const char *const whats[] = { "", " ip", " ip4", " ip6" };
	const uint8_t *m = r->remote_mac;

	buf[0] = '\0';
	add(buf, "%s%s%s", actions[r->action], dirs[r->dirs], whats[r->what]);
	if (r->proto == IP_TCP || r->proto == IP_UDP)
		add(buf, r->proto == IP_TCP ? " tcp" : " udp");
	else if (r->proto != 0)
		add(buf, " proto %u", r->proto);
	add_prefix(buf, "local", r, r->local, r->local_bits);
	add_ports(buf, "local-port", r->local_lo, r->local_hi);
	add_prefix(buf, "remote", r, r->remote, r->remote_bits);
	add_ports(buf, "remote-port", r->remote_lo, r->remote_hi);
	if (r->by_mac)
		add(buf, " remote-mac %02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	if (r->weight != 0)
		add(buf, " weight %d", r->weight);
	if (r->stateful)
		add(buf, " stateful");
	if (r->idle_s != 0)
		add(buf, " idle %u", r->idle_s);
}
