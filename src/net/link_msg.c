/*
 * link_msg.c - a message of JSON, and perhaps a descriptor with it
 *
 * Lock     none
 */
#include "net/link_msg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int) * 8)];
};

const char *link_text(const json_t *msg, const char *key)
{
	const char *s = json_string_value(json_object_get(msg, key));

	return s != NULL ? s : "";
}

int link_limits(int sock)
{
	const struct timeval t = { .tv_sec = LINK_TALK_S };

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0)
		return -errno;
	return 0;
}

int link_same_user(int sock)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0)
		return -errno;
	return c.uid == geteuid() || c.uid == 0 ? 0 : -EPERM;
}

static int send_text(int sock, const char *text, int fd)
{
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c = { 0 };

	if (fd >= 0) {
		struct cmsghdr *h = &c.align;

		m.msg_control = &c;
		m.msg_controllen = CMSG_SPACE(sizeof(fd));
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	if (iov.iov_len > LINK_MESSAGE_MAX)
		return -EMSGSIZE;
	while (sendmsg(sock, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int link_send(int sock, const json_t *msg, int fd)
{
	char *text = json_dumps(msg, JSON_COMPACT);
	int rc = text != NULL ? send_text(sock, text, fd) : -EINVAL;

	free(text);
	return rc;
}

/* Of the descriptors that came, keeps the first; the rest are closed. */
static int take_fds(struct msghdr *m)
{
	int first = -1;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
		size_t nr = h->cmsg_len >= CMSG_LEN(0) ? (h->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < nr; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

int link_recv(int sock, json_t **ret_msg, int *ret_fd)
{
	struct iovec iov = { malloc(LINK_MESSAGE_MAX), LINK_MESSAGE_MAX };
	union control c;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	json_t *msg = NULL;
	ssize_t n;
	int fd, rc = 0;

	if (iov.iov_base == NULL)
		return -ENOMEM;
	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		rc = n < 0 ? -errno : -ECONNRESET;
		free(iov.iov_base);
		return rc;
	}
	fd = take_fds(&m);
	if (m.msg_flags & MSG_TRUNC)
		rc = -EMSGSIZE;
	else
		msg = json_loadb(iov.iov_base, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	free(iov.iov_base);
	if (rc == 0 && !json_is_object(msg))
		rc = -EPROTO;
	if (fd >= 0 && (ret_fd == NULL || rc < 0)) {
		close(fd);
		fd = -1;
	}
	if (rc < 0) {
		json_decref(msg);
		return rc;
	}
	*ret_msg = msg;
	if (ret_fd != NULL)
		*ret_fd = fd;
	return 0;
}
