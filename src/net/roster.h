/*
 * roster.h - a switch and its ports as people know them
 *
 * Ports have names and words, can be looked at, and written down while they
 * run.  Who plugs something into a switch that people are to see goes through
 * here and not to vswitch.h itself.
 */
#ifndef NET_ROSTER_H
#define NET_ROSTER_H

#include "net/pcapng.h"
#include "net/switch_def.h"
#include "net/vswitch.h"

#include <jansson.h>

struct roster;

struct roster_port {
	const char *name;		/* of no other port of this switch */
	enum port_role role;
	uint8_t mac[6];			/* not for uplinks */
	uint64_t bps;			/* struct port_conf */
	const char *words;		/* port_opt.h; "" for none */
};

MUST_CHECK int roster_new(const char *name, const struct vswitch_conf *conf, struct clock *c, struct roster **ret_r,
			  struct err *err);
void roster_free(struct roster *r);		/* all ports are gone before; NULL is fine */
/* The switch's and the ports' words of D, which stays the caller's, count from now on. */
MUST_CHECK int roster_define(struct roster *r, const struct switch_def *d, struct err *err);

MUST_CHECK int roster_port(struct roster *r, const struct roster_port *conf, struct port **ret_p, struct err *err);
void roster_port_free(struct roster *r, struct port *p);	/* NULL is fine */

/* What the owner of a port counts itself, as an object; NULL: no memory. */
typedef json_t *roster_counters(void *owner);
/* It is shown with P, as of KIND (static).  FN NULL: no more, and when this returns it does not run. */
void roster_count(struct roster *r, struct port *p, const char *kind, roster_counters *fn, void *owner);

/* Takes MSG, which may be NULL (no memory); below 0 ends the tale. */
typedef int roster_emit(void *arg, json_t *msg);
/*
 * {"switch": {...}}, then {"port": {...}} each followed by its {"rule": {...}}, then
 * {"learned": [...]} of some addresses each.  With a port is "owner": {"kind", ...} where
 * that counts, too.
 */
MUST_CHECK int roster_show(struct roster *r, roster_emit *emit, void *arg);

/* All ports, or with a NAME that one, from now on into FILE; how many. */
MUST_CHECK int roster_capture(struct roster *r, const char *name, struct pcapng *file, struct err *err);
void roster_capture_end(struct roster *r, struct pcapng *file);

#endif
