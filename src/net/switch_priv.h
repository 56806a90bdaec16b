/*
 * switch_priv.h - what the files of the shared switch have in common
 */
#ifndef NET_SWITCH_PRIV_H
#define NET_SWITCH_PRIV_H

#include "net/switch_def.h"

#include <jansson.h>

/* switch_def.c: as it is in its file; NULL: no memory.  The caller's. */
json_t *switch_def_json(const struct switch_def *d);

#endif
