/*
 * sock.h - the places where peers of a machine may connect
 */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include "base/err.h"

#include <sys/un.h>

struct sock_place {
	int fd;				/* listens; non-blocking, closed on exec */
	bool local;			/* only this host can reach it: a Unix socket, loopback */
	char where[128];		/* for people: a path, or HOST:PORT with the port that it got */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];	/* to unlink, or "" */
};

/*
 * "unix:PATH", "PORT" (of 127.0.0.1; 0: a free one), "HOST:PORT" or
 * "[HOST]:PORT".  A socket that nobody listens at is taken over, any other
 * file is not; the new one is its owner's alone.
 */
MUST_CHECK int sock_listen(const char *where, struct sock_place *ret_p, struct err *err);
/* Nothing to do where fd is -1. */
void sock_unlisten(struct sock_place *p);
/* The next caller, non-blocking; -EAGAIN: none; else no descriptor is left: try later. */
MUST_CHECK int sock_accept(const struct sock_place *p);
/* A blocking connection to "unix:PATH". */
MUST_CHECK int sock_connect(const char *where, struct err *err);

#endif
