/*
 * port_opt.h - what may be said of a port of a switch, in words
 *
 *	spoof=on|off		may send from any address (off)
 *	vlan=ID			access; 0: the untagged network
 *	trunk=LIST[,native=ID]	LIST: 5+10-20
 *	pvlan=isolated:PRIMARY:ID | community:PRIMARY:ID | promiscuous:PRIMARY:LIST
 *	dhcp-guard[=on|off]  router-guard[=on|off]
 *	addr-guard[=on|off|ADDR[/BITS][+...]]	ARP and ND; with addresses: only these
 *	mirror=source|destination|none
 *	storm=N			broadcasts and the like, frames a second; 0: no limit
 *	max-out=RATE max-in=RATE	bits a second: 100M, 1G; 0: no limit
 *	min-weight=N min-out=RATE	its part, or what is reserved, of what it sends where
 *				others send too; 0: of the default flow
 *	acl=RULE		one more rule, as acl_opt.h has it; acl=none: none of those before
 *
 * Of two that contradict each other the later one counts.
 */
#ifndef NET_PORT_OPT_H
#define NET_PORT_OPT_H

#include "base/err.h"
#include "net/acl.h"
#include "net/vswitch.h"

struct port_opt {
	struct port_policy policy;	/* its acl are RULES */
	struct acl_rule *rules;		/* [owned] policy.nr_acl of them */
	unsigned room;
};

/* O is zeroed, or was filled in; then it is zeroed. */
void port_opt_fini(struct port_opt *o);

/* One word into O: 0; -ENOENT without a message: no word of a port's; or another error. */
MUST_CHECK int port_opt_word(struct port_opt *o, const char *word, struct err *err);
/* Words with commas between them, "" for none; a comma in a word is written twice. */
MUST_CHECK int port_opt_parse(struct port_opt *o, const char *words, struct err *err);
/* After the last word: do they fit together? */
MUST_CHECK int port_opt_check(const struct port_opt *o, struct err *err);
/* What differs from the default, but for rules, in words that port_opt_parse takes.  NULL: no memory. */
char *port_policy_format(const struct port_policy *p);

#endif
