/*
 * net_opt.c - the words after --net
 *
 * The first word says what the adapter is plugged into.  Words of the port's
 * are taken out of the rest; what remains belongs to the first word.
 *
 * Lock     none; usable from any thread
 */
#include "net/net_opt.h"
#include "net/words.h"

#include <stdlib.h>
#include <string.h>

/* What is being put together: the kind's own words, and the port's. */
struct gather {
	struct net_opt *o;
	char *own;			/* as long as all the words, with room for doubled commas */
	char *words;
};

/* Appends WORD to the list TO, its commas doubled. */
static void append(char *to, const char *word)
{
	to += strlen(to);
	for (*to = ','; *word != '\0'; word++) {
		*++to = *word;
		if (*word == ',')
			*++to = ',';
	}
	to[1] = '\0';
}

static int take_text(const char *what, const char *val, char **ret_text, struct err *err)
{
	if (*val == '\0')
		return err_set(err, -EINVAL, "%s=: nothing there", what);
	free(*ret_text);
	*ret_text = strdup(val);
	return *ret_text != NULL ? 0 : err_set(err, -ENOMEM, "%s=: no memory", what);
}

static int port_name(const char *val, char *ret_name, struct err *err)
{
	if (!words_name(val, PORT_NAME_MAX))
		return err_set(err, -EINVAL, "port=%.60s: expected a name of letters, digits, '.', '_' and '-', "
			       "at most %u", val, PORT_NAME_MAX - 1);
	strcpy(ret_name, val);
	return 0;
}

static int adapter(const char *val, enum net_adapter *ret_adapter, struct err *err)
{
	if (strcmp(val, "synthetic") != 0 && strcmp(val, "legacy") != 0)
		return err_set(err, -EINVAL, "adapter=%.60s: expected synthetic or legacy", val);
	*ret_adapter = strcmp(val, "legacy") == 0 ? NET_LEGACY : NET_SYNTHETIC;
	return 0;
}

static int one_word(struct gather *g, const char *word, struct err *err)
{
	struct net_opt *o = g->o;
	int rc;

	if (strncmp(word, "mac=", 4) == 0)
		return words_mac(word + 4, o->mac) ? 0 :
		       err_set(err, -EINVAL, "%.60s: expected the address of one station, as mac=00:15:5d:01:02:03", word);
	if (strncmp(word, "capture=", 8) == 0)
		return take_text("capture", word + 8, &o->capture, err);
	if (strncmp(word, "port=", 5) == 0)
		return port_name(word + 5, o->port, err);
	if (strncmp(word, "adapter=", 8) == 0)
		return adapter(word + 8, &o->adapter, err);
	rc = port_opt_word(&o->policy, word, err);
	if (rc == 0)
		append(g->words, word);
	if (rc != -ENOENT)
		return rc;
	if (strchr(word, ',') != NULL)
		return err_set(err, -EINVAL, "'%.60s': a comma cannot be part of it", word);
	append(g->own, word);
	return 0;
}

static int kind_of(struct net_opt *o, const char *own, struct err *err)
{
	const char *rest = strchr(own, ',');

	if (strcmp(own, "nat") == 0 || strncmp(own, "nat,", 4) == 0) {
		o->kind = NET_NAT;
		return nat_parse(own, &o->nat, err);
	}
	if (rest != NULL)
		return err_set(err, -EINVAL, "'%.60s': expected adapter=, mac=, port=, capture=, spoof=, vlan=, trunk=, native=, "
			       "pvlan=, dhcp-guard, router-guard, addr-guard, mirror=, storm=, max-out=, max-in=, min-weight=, min-out= or "
			       "acl=", rest + 1);
	if (strcmp(own, "private") == 0) {
		o->kind = NET_PRIVATE;
		return 0;
	}
	if (strncmp(own, "tap=", 4) == 0) {
		o->kind = NET_TAP;
		return tap_parse(own, o->tap, err);
	}
	if (strncmp(own, "switch=", 7) != 0)
		return err_set(err, -EINVAL, "network \"%.60s\": expected none, private, nat[,...], tap=NAME or "
			       "switch=NAME", own);
	o->kind = NET_SWITCH;
	return switch_name_take(own + 7, o->sw, err);
}

static int take_words(struct gather *g, char *rest, struct err *err)
{
	char *word = words_next(&rest);
	int rc = 0;

	append(g->own, word);
	while (rc == 0 && (word = words_next(&rest)) != NULL)
		rc = one_word(g, word, err);
	if (rc == 0)
		rc = kind_of(g->o, g->own + 1, err);
	if (rc == 0)
		rc = port_opt_check(&g->o->policy, err);
	return rc;
}

int net_opt_parse(const char *text, struct net_opt *ret_o, struct err *err)
{
	size_t room = strlen(text) * 2 + 2;
	struct net_opt o = { 0 };
	struct gather g = { .o = &o, .own = base_new0(room), .words = base_new0(room) };
	char *copy = strdup(text);
	int rc = -ENOMEM;

	if (copy == NULL || g.own == NULL || g.words == NULL)
		err_fill(err, "no memory");
	else
		rc = take_words(&g, copy, err);
	if (rc == 0) {
		o.words = strdup(*g.words != '\0' ? g.words + 1 : "");
		rc = o.words != NULL ? 0 : err_set(err, -ENOMEM, "no memory");
	}
	free(copy);
	free(g.own);
	free(g.words);
	if (rc < 0)
		net_opt_fini(&o);
	else
		*ret_o = o;
	return rc;
}

void net_opt_fini(struct net_opt *o)
{
	free(o->capture);
	free(o->words);
	port_opt_fini(&o->policy);
	*o = (struct net_opt){ 0 };
}
