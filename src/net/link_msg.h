/*
 * link_msg.h - a message of JSON, and perhaps a descriptor with it
 */
#ifndef NET_LINK_MSG_H
#define NET_LINK_MSG_H

#include "base/base.h"

#include <jansson.h>

#define LINK_MESSAGE_MAX 65536u
#define LINK_TALK_S 5			/* how long a peer may take over a message */

/* Its limits of time; before the others. */
MUST_CHECK int link_limits(int sock);
MUST_CHECK int link_same_user(int sock);	/* or root; else -EPERM */

/* FD -1: none. */
MUST_CHECK int link_send(int sock, const json_t *msg, int fd);
/* RET_FD NULL: descriptors that come are closed.  Over LINK_MESSAGE_MAX bytes: -EMSGSIZE. */
MUST_CHECK int link_recv(int sock, json_t **ret_msg, int *ret_fd);

/* The text of KEY, "" if it is not there or none. */
const char *link_text(const json_t *msg, const char *key);

#endif
