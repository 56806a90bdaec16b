/*
 * switch_link.h - a port of a switch whose owner is another process
 */
#ifndef NET_SWITCH_LINK_H
#define NET_SWITCH_LINK_H

#include "net/roster.h"

/* ASK is the owner's first message on SOCK.  Returns when the owner is gone, or was refused. */
void switch_link_serve(struct roster *r, int sock, const json_t *ask);

#endif
