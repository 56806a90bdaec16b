/*
 * switch_def.h - what a shared switch is, in a file of its own
 *
 * NAME.json in the folder of places.h:
 *
 *	{ "kind": "private|internal|external|nat",
 *	  "host": "TAP",			internal, external: the host's port
 *	  "uplinks": ["TAP", ...],		external
 *	  "nat": "net=CIDR,...",		nat: as after --net nat, or left out
 *	  "bandwidth": "weight[,default=N]|absolute[,default=RATE]|none",
 *					by what ports share what is contended for; left out: weight
 *	  "uplink-speed": "RATE",		external: what each uplink takes, shared by that
 *	  "team": "port|dynamic",		external: how several uplinks are used
 *	  "policy": "WORDS",			of an adapter that says nothing itself (port_opt.h)
 *	  "ports": { "NAME": "WORDS", ... } }	what the owner of that port cannot change
 */
#ifndef NET_SWITCH_DEF_H
#define NET_SWITCH_DEF_H

#include "base/err.h"
#include "net/port_opt.h"
#include "net/tap.h"

#define SWITCH_NAME_MAX 48
#define PORT_NAME_MAX 32
#define SWITCH_UPLINKS 8

struct switch_port_def {
	char name[PORT_NAME_MAX];
	char *words;			/* [owned] */
};

struct switch_def {
	char name[SWITCH_NAME_MAX];
	enum vswitch_kind kind;
	char host[TAP_NAME_MAX + 1];	/* "": none */
	unsigned nr_uplinks;
	char uplinks[SWITCH_UPLINKS][TAP_NAME_MAX + 1];
	uint64_t uplink_bps;		/* 0: not said */
	enum vswitch_team team;
	enum vswitch_bandwidth bandwidth;
	uint32_t default_weight;
	uint64_t default_bps;
	char *nat;			/* [owned] "nat" or "nat,..."; only of that kind */
	char *policy;			/* [owned] "" for none */
	unsigned nr_ports;
	struct switch_port_def *ports;	/* [owned] VSWITCH_PORTS */
};

MUST_CHECK int switch_name_take(const char *text, char *ret_name, struct err *err);	/* SWITCH_NAME_MAX */
const char *switch_kind_name(enum vswitch_kind kind);
MUST_CHECK int switch_kind_parse(const char *text, enum vswitch_kind *ret_kind, struct err *err);
/* The values of the keys of these names, into D. */
MUST_CHECK int switch_def_bandwidth(struct switch_def *d, const char *text, struct err *err);
MUST_CHECK int switch_def_team(struct switch_def *d, const char *text, struct err *err);
MUST_CHECK int switch_def_speed(struct switch_def *d, const char *text, struct err *err);
#define SWITCH_BANDWIDTH_MAX 48
/* The value of "bandwidth" in BUF; "" when it is the default. */
void switch_def_bandwidth_text(const struct switch_def *d, char buf[SWITCH_BANDWIDTH_MAX]);
const char *switch_team_name(enum vswitch_team team);
/* What a switch of D is made of. */
struct vswitch_conf switch_def_conf(const struct switch_def *d);

MUST_CHECK int switch_def_init(struct switch_def *d, const char *name, struct err *err);
void switch_def_fini(struct switch_def *d);
/* Do its parts fit together?  Fills in what may be left out. */
MUST_CHECK int switch_def_check(struct switch_def *d, struct err *err);
/* WORDS NULL: nothing is said of that port any more (-ENOENT if nothing was). */
MUST_CHECK int switch_def_port(struct switch_def *d, const char *port, const char *words, struct err *err);
/*
 * The policy of PORT: for an adapter, whose owner says WORDS, the switch's, then those,
 * then the port's; for the host's port or an uplink (WORDS NULL) only the port's.
 */
MUST_CHECK int switch_def_policy(const struct switch_def *d, const char *port, const char *words,
				 struct port_opt *ret_o, struct err *err);

/* N bytes of a file; WHERE names it in sentences. */
MUST_CHECK int switch_def_read(const char *name, const void *text, size_t n, const char *where,
			       struct switch_def *ret_d, struct err *err);
MUST_CHECK int switch_def_load(const char *name, struct switch_def *ret_d, struct err *err);
/* FRESH: it must not be there yet (-EEXIST); else it replaces what is there, at once or not at all. */
MUST_CHECK int switch_def_save(const struct switch_def *d, bool fresh, struct err *err);
MUST_CHECK int switch_def_remove(const char *name, struct err *err);
/* FN for each, by name; what it returns below 0 ends that. */
MUST_CHECK int switch_def_each(int (*fn)(void *arg, const char *name), void *arg, struct err *err);
/* Nobody else changes definitions until close(*ret_fd). */
MUST_CHECK int switch_def_lock(int *ret_fd, struct err *err);

#endif
