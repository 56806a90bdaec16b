/*
 * net_opt.h - the words after --net
 *
 *	private | nat[,...] | tap=NAME | switch=NAME
 *
 * then, in any order, adapter=synthetic|legacy, mac=ADDRESS, capture=FILE,
 * port=NAME and what port_opt.h has.  A comma in a word is written twice.
 */
#ifndef NET_NET_OPT_H
#define NET_NET_OPT_H

#include "net/nat.h"
#include "net/port_opt.h"
#include "net/switch_def.h"
#include "net/tap.h"

enum net_kind { NET_PRIVATE, NET_NAT, NET_TAP, NET_SWITCH };
enum net_adapter { NET_SYNTHETIC, NET_LEGACY };	/* on VMBus; a 21140 */

struct net_opt {
	enum net_kind kind;
	enum net_adapter adapter;
	struct nat_conf nat;		/* with NET_NAT */
	char tap[TAP_NAME_MAX + 1];	/* with NET_TAP */
	char sw[SWITCH_NAME_MAX];	/* with NET_SWITCH */
	char port[PORT_NAME_MAX];	/* as the switch calls it; "": not said */
	uint8_t mac[6];			/* zeros: not said */
	char *capture;			/* [owned] a file, or NULL */
	char *words;			/* [owned] those of port_opt.h as they were given; may be "" */
	struct port_opt policy;		/* what they say */
};

MUST_CHECK int net_opt_parse(const char *text, struct net_opt *ret_o, struct err *err);
void net_opt_fini(struct net_opt *o);

#endif
