/*
 * nat.c - user-mode NAT: makes and ends it
 *
 * The work is libslirp's; here it gets the addresses, the forwards, a thread
 * and a port of a switch.  Large sends of a guest are taken as they are, for
 * TCP within a host a segment of 64 KiB is as good as forty, and nat_large.c
 * sees to the same in the other direction.
 *
 * Spec     [RFC2131] 4 DHCP, [RFC4861] 6 router advertisement: as libslirp does them
 * Missing  a bound per guest on sockets; IPv6 fragments
 * Lock     nat_priv.h says which field is whose
 */
#include "net/nat_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* fec0::/64, as everybody who runs libslirp has it. */
static const struct in6_addr prefix6 = { { { 0xfe, 0xc0 } } };
static const struct in6_addr gateway6 = { { { 0xfe, 0xc0, [15] = NAT_GATEWAY } } };
static const struct in6_addr nameserver6 = { { { 0xfe, 0xc0, [15] = NAT_NAMESERVER } } };

static struct in_addr host_in(const struct nat_conf *c, uint32_t host)
{
	return (struct in_addr){ htonl(c->net | host) };
}

static socklen_t address(const struct nat_end *e, struct in_addr any, struct sockaddr_storage *ret_a)
{
	*ret_a = (struct sockaddr_storage){ 0 };
	if (e->v6) {
		struct sockaddr_in6 *a = (void *)ret_a;

		a->sin6_family = AF_INET6;
		a->sin6_port = htons(e->port);
		a->sin6_addr = e->v6_addr;
		return sizeof(*a);
	}
	struct sockaddr_in *a = (void *)ret_a;

	a->sin_family = AF_INET;
	a->sin_port = htons(e->port);
	a->sin_addr = e->v4.s_addr == 0 ? any : e->v4;
	return sizeof(*a);
}

static int add_forward(struct nat *n, const struct nat_conf *c, const struct nat_fwd *f, struct err *err)
{
	struct in_addr none = { 0 };
	struct sockaddr_storage host, guest;
	socklen_t hlen = address(&f->host, none, &host);
	socklen_t glen = address(&f->guest, host_in(c, NAT_DHCP_FIRST), &guest);
	int flags = (f->udp ? SLIRP_HOSTFWD_UDP : 0) | (f->host.v6 ? SLIRP_HOSTFWD_V6ONLY : 0);
	char text[INET6_ADDRSTRLEN];

	errno = 0;
	if (slirp_add_hostxfwd(n->slirp, (void *)&host, hlen, (void *)&guest, glen, flags) == 0)
		return 0;
	inet_ntop(f->host.v6 ? AF_INET6 : AF_INET,
		  f->host.v6 ? (const void *)&f->host.v6_addr : (const void *)&f->host.v4,
		  text, sizeof(text));
	return err_set(err, errno ? -errno : -EINVAL, "nat: hostfwd: %s port %u of %s: %s",
		       f->udp ? "UDP" : "TCP", f->host.port, text,
		       errno ? strerror(errno) : "refused");
}

static int start_slirp(struct nat *n, const struct nat_conf *c, struct err *err)
{
	SlirpConfig conf = {
		.version = 1,
		.in_enabled = true,
		.vnetwork = host_in(c, 0),
		.vnetmask = { htonl(UINT32_MAX << (32 - c->prefix)) },
		.vhost = host_in(c, NAT_GATEWAY),
		.vdhcp_start = host_in(c, NAT_DHCP_FIRST),
		.vnameserver = host_in(c, NAT_NAMESERVER),
		.in6_enabled = true,
		.vprefix_addr6 = prefix6,
		.vprefix_len = 64,
		.vhost6 = gateway6,
		.vnameserver6 = nameserver6,
		.if_mtu = NAT_MTU,
		.if_mru = NAT_MTU,
		.vhostname = "gateway",
		.disable_host_loopback = !c->host_loopback && n->nr_udp_fwd == 0,	/* see nat_dest.c */
		.bootfile = c->bootfile[0] != '\0' ? c->bootfile : NULL,
	};
	int rc = 0;

	n->slirp = slirp_new(&conf, &nat_slirp_cb, n);
	if (n->slirp == NULL)
		return err_set(err, -EINVAL, "nat: libslirp %s does not start", slirp_version_string());
	for (unsigned i = 0; i < c->nr_fwd && rc == 0; i++)
		rc = add_forward(n, c, &c->fwd[i], err);
	return rc;
}

/* Everything that can be there is there, or NULL, or -1. */
static void nat_destroy(struct nat *n)
{
	nat_tftp_end(n);
	if (n->slirp != NULL)
		slirp_cleanup(n->slirp);
	if (n->wake >= 0)
		close(n->wake);
	pthread_mutex_destroy(&n->lock);
	nat_frags_free(n->frags);
	free(n->in.buf);
	free(n->pfd);
	free(n);
}

static int nat_start(struct nat *n, const struct nat_conf *c, struct err *err)
{
	struct in_addr gateway = host_in(c, NAT_GATEWAY);
	int rc = nat_tftp_start(n, c->tftp, err);

	if (rc < 0)
		return rc;
	memcpy(n->gateway4, &gateway, sizeof(gateway));
	memcpy(n->gateway6, &gateway6, sizeof(gateway6));
	n->mask = UINT32_MAX << (32 - c->prefix);
	n->host_loopback = c->host_loopback;
	for (unsigned i = 0; i < c->nr_fwd; i++)
		if (c->fwd[i].udp)
			n->udp_fwd[n->nr_udp_fwd++] = c->fwd[i].guest.port;
	nat_fds_init(&n->fds);
	n->max_pfd = 1 + n->fds.max + NAT_FRAME_BUDGET + NAT_FWD_MAX;
	n->pfd = new_array(struct pollfd, n->max_pfd);
	n->in.buf = base_new0(NAT_IN_BYTES);
	n->frags = nat_frags_new();
	if (n->pfd == NULL || n->in.buf == NULL || n->frags == NULL)
		return err_set(err, -ENOMEM, "nat: no memory");
	n->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (n->wake < 0)
		return err_set(err, -errno, "nat: eventfd: %s", strerror(errno));
	return start_slirp(n, c, err);
}

int nat_new(const struct nat_conf *c, struct port *p, struct nat **ret_nat, struct err *err)
{
	static const struct port_caps caps = {
		.flags = PORT_TAKES_LSO4 | PORT_TAKES_LSO6,
		.max_frame = NET_FRAME_MAX,
	};
	struct nat *n = new0(struct nat);
	int rc;

	if (n == NULL)
		return err_set(err, -ENOMEM, "nat: no memory");
	n->port = p;
	n->wake = -1;
	pthread_mutex_init(&n->lock, NULL);
	rc = nat_start(n, c, err);
	if (rc < 0)
		goto out;
	port_bind(p, &nat_client, n, &caps);
	rc = -pthread_create(&n->thread, NULL, nat_run, n);
	if (rc == 0) {
		*ret_nat = n;
		return 0;
	}
	err_fill(err, "nat: thread: %s", strerror(-rc));
	port_bind(p, NULL, NULL, NULL);
out:
	nat_destroy(n);
	return rc;
}

void nat_free(struct nat *n)
{
	if (n == NULL)
		return;
	port_bind(n->port, NULL, NULL, NULL);
	pthread_mutex_lock(&n->lock);
	n->in.stop = true;
	pthread_mutex_unlock(&n->lock);
	nat_wake(n);
	pthread_join(n->thread, NULL);
	nat_destroy(n);
}

void nat_stats(struct nat *n, struct nat_stats *ret_stats)
{
	pthread_mutex_lock(&n->lock);
	*ret_stats = n->shown;
	pthread_mutex_unlock(&n->lock);
}
