/*
 * acl_opt.h - one rule of an access control list, in words
 *
 *	ACTION [in|out] [ip|ip4|ip6] [tcp|udp|icmp|icmp6|proto N]
 *	       [local ADDR[/BITS]] [local-port N[-M]]
 *	       [remote ADDR[/BITS]] [remote-port N[-M]] [remote-mac MAC]
 *	       [weight N] [stateful] [idle SECONDS]
 *
 * ACTION is allow, deny or meter and comes first, the rest in any order.
 * Without in or out a rule is for both directions.  "Local" is the port's
 * side.  The family follows from an address, IP from a protocol.
 */
#ifndef NET_ACL_OPT_H
#define NET_ACL_OPT_H

#include "base/err.h"
#include "net/acl.h"

#define ACL_TEXT_MAX 320u

MUST_CHECK int acl_parse(const char *text, struct acl_rule *ret_r, struct err *err);
/* The same in words again, which acl_parse takes; BUF holds ACL_TEXT_MAX. */
void acl_format(const struct acl_rule *r, char *buf);

#endif
