/*
 * network.c - the machine's synthetic network adapters and what they are plugged into
 *
 * "private" is one switch of the machine's own for all adapters that say so:
 * nobody else is on it.  "nat" and "tap=NAME" are a switch each, with the
 * adapter on one side and the way out on the other.
 *
 * An adapter without a given address gets one from Hyper-V's range that is
 * made of where the machine's first disk lies, so that it stays the same from
 * run to run and differs between machines; a machine without a disk gets
 * another one each time.
 *
 * Missing  switches that machines share; hot add and remove
 * Lock     none; while the machine is built or its vCPUs stand
 */
#include "vm/vm_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int plug_in(struct vm *vm, struct vm_plug *p, unsigned i, const uint8_t mac[6],
		   enum vswitch_kind kind, struct err *err)
{
	const struct vswitch_conf conf = { .kind = kind };
	struct vswitch **sw = kind == VSWITCH_PRIVATE ? &vm->private_switch : &p->sw;
	char name[16];
	struct port_conf port = { .name = name, .role = PORT_ADAPTER };
	int rc = *sw != NULL ? 0 : vswitch_new(&conf, vm->clock, sw, err);

	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), "net%u", i);
	memcpy(port.mac, mac, 6);
	return vswitch_port(*sw, &port, &p->port, err);
}

static int way_out(struct vm_plug *p, const char *net, enum vswitch_kind kind, struct err *err)
{
	/* The NAT's gateway has an address for each of its roles. */
	const struct port_conf host = { .name = "nat", .role = PORT_HOST, .policy.mac_spoofing = true,
					.mac = { 0x52, 0x55, 0x00, 0x00, 0x00, 0x01 } };
	const struct port_conf uplink = { .name = "tap", .role = PORT_UPLINK };
	char tap[TAP_NAME_MAX + 1];
	struct nat_conf nat;
	int rc;

	if (kind == VSWITCH_PRIVATE)
		return 0;
	rc = kind == VSWITCH_NAT ? nat_parse(net, &nat, err) : tap_parse(net, tap, err);
	if (rc == 0)
		rc = vswitch_port(p->sw, kind == VSWITCH_NAT ? &host : &uplink, &p->way, err);
	if (rc < 0)
		return rc;
	if (kind == VSWITCH_NAT)
		return nat_new(&nat, p->way, &p->nat, err);
	return tap_new(tap, p->way, &p->tap, err);
}

static int kind_of(const char *net, enum vswitch_kind *ret_kind, struct err *err)
{
	if (strcmp(net, "private") == 0)
		*ret_kind = VSWITCH_PRIVATE;
	else if (strncmp(net, "nat", 3) == 0 && (net[3] == '\0' || net[3] == ','))
		*ret_kind = VSWITCH_NAT;
	else if (strncmp(net, "tap=", 4) == 0)
		*ret_kind = VSWITCH_EXTERNAL;
	else
		return err_set(err, -EINVAL, "network \"%s\": expected none, private, nat[,...] or "
			       "tap=NAME", net);
	return 0;
}

static int adapter(struct vm *vm, unsigned i, struct err *err)
{
	static const uint8_t none[6];
	struct nic_conf conf = { .instance = adapter_id(i), .nr_vps = vm->conf.cpus };
	const char *net = vm->conf.nics[i].net;
	struct vm_plug *p = &vm->nics[i];
	enum vswitch_kind kind;
	uint8_t mac[6];
	int rc;

	memcpy(mac, vm->conf.nics[i].mac, 6);
	if (memcmp(mac, none, 6) == 0)
		make_mac(vm, i, mac);
	if (mac[0] & 1)
		return err_set(err, -EINVAL, "the address of an adapter cannot be a group's");
	if (mac_taken(vm, i, mac))
		return err_set(err, -EEXIST, "two adapters with the same address");
	rc = kind_of(net, &kind, err);
	if (rc == 0)
		rc = plug_in(vm, p, i, mac, kind, err);
	if (rc == 0)
		rc = way_out(p, net, kind, err);
	if (rc < 0)
		return rc;
	conf.port = p->port;
	return nic_new(vm->vmbus, &conf, &p->nic, err);
}

int network_open(struct vm *vm, struct err *err)
{
	int rc = 0;

	if (vm->conf.nr_nics > VM_MAX_NICS)
		return err_set(err, -EINVAL, "%u network adapters: at most %u", vm->conf.nr_nics,
			       VM_MAX_NICS);
	for (unsigned i = 0; i < vm->conf.nr_nics && rc == 0; i++)
		rc = adapter(vm, i, err);
	return rc;
}

void network_close(struct vm *vm)
{
	for (unsigned i = 0; i < VM_MAX_NICS; i++) {
		struct vm_plug *p = &vm->nics[i];

		nic_free(p->nic);
		if (p->nat != NULL)
			nat_free(p->nat);
		if (p->tap != NULL)
			tap_free(p->tap);
		vswitch_port_free(p->way);
		vswitch_port_free(p->port);
		if (p->sw != NULL)
			vswitch_free(p->sw);
	}
	if (vm->private_switch != NULL)
		vswitch_free(vm->private_switch);
}
