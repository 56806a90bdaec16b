/*
 * network.c - the machine's network adapters and what they are plugged into
 *
 * "private" is one switch of the machine's own for all adapters that say so:
 * nobody else is on it.  "nat" and "tap=NAME" are a switch each, with the
 * adapter on one side and the way out on the other.  "switch=NAME" is a port
 * of a switch in another process.
 *
 * An adapter without a given address gets one from Hyper-V's range that is
 * made of where the machine's first disk lies, so that it stays the same from
 * run to run and differs between machines; a machine without a disk gets
 * another one each time.
 *
 * In the meeting place (net/places.h) the machine is +PID, where "genvisor net
 * show --machine" finds its own switches.  A machine that cannot have that runs
 * all the same.
 *
 * Missing  hot add and remove
 * Lock     none; while the machine is built or its vCPUs stand
 */
#include "vm/vm_priv.h"

#include "base/log.h"
#include "net/netctl.h"
#include "net/net_opt.h"
#include "net/places.h"
#include "net/switchd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct network {
	struct net_opt opt[VM_MAX_NICS];	/* what was asked for; until network_open ends */
	unsigned nr_opts;
	struct roster *private_switch;	/* NULL: no adapter wants one */
	struct roster *shown[VM_MAX_NICS + 1];
	unsigned nr_shown;
	unsigned nr_plugged;		/* legacy adapters */
	struct place place;		/* with ctl */
	char name[24];
	struct netctl *ctl;		/* NULL: nobody can ask */
	pthread_t thread;
};

static void make_mac(const struct vm *vm, unsigned i, uint8_t mac[6])
{
	char host[64] = { 0 }, *path = vm->conf.nr_disks != 0 ? realpath(vm->conf.disks[0].path, NULL)
							      : NULL;
	uint32_t sum;

	if (path != NULL) {
		gethostname(host, sizeof(host) - 1);
		sum = base_crc32c(base_crc32c(0, host, strlen(host)), path, strlen(path));
		sum = base_crc32c(sum, &i, sizeof(i));
	} else {
		base_random(&sum, sizeof(sum));
	}
	free(path);
	memcpy(mac, (const uint8_t[]){ 0x00, 0x15, 0x5d, (uint8_t)(sum >> 16), (uint8_t)(sum >> 8),
				       (uint8_t)sum }, 6);
}

static bool mac_taken(const struct vm *vm, unsigned before, const uint8_t mac[6])
{
	for (unsigned i = 0; i < before; i++)
		if (memcmp(vm->nics[i].port->mac, mac, 6) == 0)
			return true;
	return false;
}

/* Stable, so that a guest's settings for an adapter find it again. */
static struct guid adapter_id(unsigned i)
{
	const struct guid g = GUID_INIT(0xb2a9f6a0 + i, 0x6e1d, 0x4c5b,
					0x8f, 0x3a, 0x52, 0x1c, 0x90, 0x77, 0x4d, 0xe1);

	return g;
}

/* The switch of this process that O wants, made if it must be. */
static int own_switch(struct vm *vm, struct vm_plug *p, unsigned i, const struct net_opt *o, struct err *err)
{
	static const enum vswitch_kind kinds[] = {
		[NET_PRIVATE] = VSWITCH_PRIVATE, [NET_NAT] = VSWITCH_NAT, [NET_TAP] = VSWITCH_EXTERNAL,
	};
	struct network *n = vm->network;
	char name[16];
	int rc;

	p->roster = o->kind == NET_PRIVATE ? n->private_switch : NULL;
	if (p->roster != NULL)
		return 0;
	if (o->kind == NET_PRIVATE)
		strcpy(name, "private");
	else
		snprintf(name, sizeof(name), "%s%u", o->kind == NET_NAT ? "nat" : "tap", i);
	rc = roster_new(name, &(struct vswitch_conf){ .kind = kinds[o->kind] }, vm->clock, &p->roster, err);
	if (rc < 0)
		return rc;
	if (o->kind == NET_PRIVATE)
		n->private_switch = p->roster;
	n->shown[n->nr_shown++] = p->roster;
	return 0;
}

static int plug_in(struct vm *vm, struct vm_plug *p, unsigned i, const struct net_opt *o, const uint8_t mac[6],
		   struct err *err)
{
	struct roster_port port = { .role = PORT_ADAPTER, .words = o->words };
	char name[16];
	int rc = own_switch(vm, p, i, o, err);

	snprintf(name, sizeof(name), "net%u", i);
	port.name = o->port[0] != '\0' ? o->port : name;
	memcpy(port.mac, mac, 6);
	if (rc == 0)
		rc = roster_port(p->roster, &port, &p->plugged, err);
	if (rc == 0)
		p->port = p->plugged;
	return rc;
}

static int way_out(struct vm_plug *p, const struct net_opt *o, struct err *err)
{
	const struct roster_port host = { .name = "nat", .role = PORT_HOST, .words = "",
					  .mac = { 0x52, 0x55, 0x00, 0x00, 0x00, 0x01 } };
	const struct roster_port uplink = { .name = "tap", .role = PORT_UPLINK, .words = "" };
	int rc;

	if (o->kind == NET_PRIVATE)
		return 0;
	rc = roster_port(p->roster, o->kind == NET_NAT ? &host : &uplink, &p->way, err);
	if (rc < 0)
		return rc;
	if (o->kind == NET_NAT)
		return nat_new(&o->nat, p->way, &p->nat, err);
	return tap_new(o->tap, p->way, &p->tap, err);
}

/* A port of a switch elsewhere.  Without a name it is called after its address. */
static int link_up(struct vm_plug *p, const struct net_opt *o, const uint8_t mac[6], struct err *err)
{
	struct link_port_conf conf = { .sw = o->sw, .words = o->words, .reach = switch_reach };
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "%02x%02x%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	conf.port = o->port[0] != '\0' ? o->port : name;
	memcpy(conf.mac, mac, 6);
	rc = link_port_new(&conf, &p->link, err);
	if (rc == 0)
		p->port = link_port_port(p->link);
	return rc;
}

static int write_down(struct vm_plug *p, const struct net_opt *o, struct err *err)
{
	int rc;

	if (o->capture == NULL)
		return 0;
	rc = pcapng_open(o->capture, &p->file, err);
	if (rc < 0)
		return rc;
	rc = capture_new(p->port, p->file, &p->capture, err);
	if (rc == 0)
		p->port = capture_port(p->capture);
	return rc;
}

static int plug(struct vm *vm, unsigned i, const struct net_opt *o, struct err *err)
{
	struct nic_conf conf = { .instance = adapter_id(i), .nr_vps = vm->conf.cpus };
	static const uint8_t none[6];
	struct vm_plug *p = &vm->nics[i];
	uint8_t mac[6];
	int rc;

	memcpy(mac, o->mac, 6);
	if (memcmp(mac, none, 6) == 0)
		make_mac(vm, i, mac);
	if (mac_taken(vm, i, mac))
		return err_set(err, -EEXIST, "two adapters with the same address");
	if (o->kind == NET_SWITCH)
		rc = link_up(p, o, mac, err);
	else
		rc = plug_in(vm, p, i, o, mac, err);
	if (rc == 0 && o->kind != NET_SWITCH)
		rc = way_out(p, o, err);
	if (rc == 0)
		rc = write_down(p, o, err);
	if (rc < 0)
		return rc;
	if (o->adapter == NET_LEGACY) {
		p->legacy = vm->legacy[vm->network->nr_plugged++];
		dec21140_plug(p->legacy, p->port);
		return 0;
	}
	conf.port = p->port;
	return nic_new(vm->vmbus, &conf, &p->nic, err);
}

static int read_one(struct vm *vm, unsigned i, struct err *err)
{
	struct net_opt *o = &vm->network->opt[i];
	int rc = net_opt_parse(vm->conf.nics[i].net, o, err);

	if (rc < 0)
		return rc;
	vm->network->nr_opts++;
	if (o->adapter != NET_LEGACY)
		return 0;
	if (vm->board->generation != 1)
		return err_set(err, -ENOTSUP, "generation 2 has no legacy network adapter: leave out "
			       "adapter=legacy");
	if (vm->nr_legacy == VM_MAX_LEGACY)
		return err_set(err, -E2BIG, "more than %u legacy network adapters: leave out "
			       "adapter=legacy for the others", VM_MAX_LEGACY);
	vm->nr_legacy++;
	return 0;
}

static void forget_options(struct network *n)
{
	while (n->nr_opts > 0)
		net_opt_fini(&n->opt[--n->nr_opts]);
}

/* ---- being asked ------------------------------------------------------------ */

static void *answer(void *arg)
{
	struct network *n = arg;

	netctl_run(n->ctl, 0, -1);
	return NULL;
}

static void answer_begin(struct network *n)
{
	struct netctl_conf conf = { .rosters = n->shown, .nr = n->nr_shown };
	struct err err = { "" };

	snprintf(n->name, sizeof(n->name), "+%d", (int)getpid());
	if (place_runtime(&n->place, &err) < 0)
		goto out;
	conf.listen = place_listen(&n->place, n->name, &err);
	if (conf.listen >= 0 && netctl_new(&conf, &n->ctl, &err) == 0) {
		if (pthread_create(&n->thread, NULL, answer, n) == 0)
			return;
		err_fill(&err, "no thread");
		netctl_free(n->ctl);
		n->ctl = NULL;
	}
	place_close(&n->place);
out:
	log_info("net", "nobody can ask about this machine's switches: %s", err.msg);
}

static void answer_end(struct network *n)
{
	if (n->ctl == NULL)
		return;
	place_unlisten(&n->place, n->name);
	netctl_stop(n->ctl);
	pthread_join(n->thread, NULL);
	netctl_free(n->ctl);
	place_close(&n->place);
}

int network_read(struct vm *vm, struct err *err)
{
	int rc = 0;

	if (vm->conf.nr_nics > VM_MAX_NICS)
		return err_set(err, -EINVAL, "%u network adapters: at most %u", vm->conf.nr_nics,
			       VM_MAX_NICS);
	vm->network = new0(struct network);
	if (vm->network == NULL)
		return err_set(err, -ENOMEM, "no memory for networks");
	for (unsigned i = 0; i < vm->conf.nr_nics && rc == 0; i++)
		rc = read_one(vm, i, err);
	return rc < 0 ? err_prefix(err, rc, "--net") : 0;
}

int network_open(struct vm *vm, struct err *err)
{
	int rc = 0;

	for (unsigned i = 0; i < vm->conf.nr_nics && rc == 0; i++)
		rc = plug(vm, i, &vm->network->opt[i], err);
	forget_options(vm->network);
	if (rc == 0 && vm->network->nr_shown != 0)
		answer_begin(vm->network);
	return rc < 0 ? err_prefix(err, rc, "--net") : 0;
}

static void unplug(struct vm_plug *p, const struct network *n)
{
	nic_free(p->nic);
	if (p->legacy != NULL)
		dec21140_plug(p->legacy, NULL);
	if (p->nat != NULL)
		nat_free(p->nat);
	if (p->tap != NULL)
		tap_free(p->tap);
	capture_free(p->capture);
	pcapng_close(p->file);
	link_port_free(p->link);
	if (p->roster == NULL)
		return;
	roster_port_free(p->roster, p->way);
	roster_port_free(p->roster, p->plugged);
	if (p->roster != n->private_switch)
		roster_free(p->roster);
}

void network_close(struct vm *vm)
{
	if (vm->network == NULL)
		return;
	answer_end(vm->network);
	forget_options(vm->network);
	for (unsigned i = 0; i < VM_MAX_NICS; i++)
		unplug(&vm->nics[i], vm->network);
	roster_free(vm->network->private_switch);
	free(vm->network);
	vm->network = NULL;
}
