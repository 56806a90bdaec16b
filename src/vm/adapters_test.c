/*
 * adapters_test.c - adapters of a machine come, go and move; no guest knows of them
 */
#include "base/test.h"

#include "net/link_msg.h"
#include "vm/network.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char home[] = "/tmp/adapters_test.XXXXXX";

/* A multiboot image of HLT. */
static const char *kernel(void)
{
	static char path[64];
	uint8_t b[0x80] = { 0 };
	FILE *f;

	snprintf(path, sizeof(path), "%s/kernel", home);
	memcpy(b, "\x7f" "ELF\x01\x01\x01", 7);
	st16(b + 16, 2);
	st16(b + 18, 3);
	st32(b + 24, 0x100010);
	st32(b + 28, 52);
	st16(b + 42, 32);
	st16(b + 44, 1);
	st32(b + 52, 1);
	st32(b + 56, 0x60);
	st32(b + 64, 0x100000);
	st32(b + 68, sizeof(b) - 0x60);
	st32(b + 72, 0x1000);
	st32(b + 0x60, 0x1badb002);
	st32(b + 0x68, (uint32_t)-0x1badb002);
	b[0x70] = 0xf4;
	f = fopen(path, "w");
	CHECK(f != NULL);
	CHECK_EQ(fwrite(b, sizeof(b), 1, f), 1);
	fclose(f);
	return path;
}

static struct vm *machine(void)
{
	struct vm_nic nic = { .net = "private" };
	struct vm_conf c = { .generation = 2, .memory = 32 * MIB, .cpus = 2, .engine = "interpret",
			     .kernel = kernel(), .no_uring = true, .nics = &nic, .nr_nics = 1 };
	struct err e = { "" };
	struct vm *vm;

	if (vm_new(&c, &vm, &e) < 0)
		fail_msg("%s", e.msg);
	return vm;
}

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Until NR are left, those that are leaving too. */
static void wait_for(struct vm *vm, size_t nr)
{
	struct vm_adapter rows[32];

	for (unsigned i = 0; i < 500 && vm_net_list(vm, rows, ARRAY_LEN(rows)) != nr; i++)
		usleep(10000);
	CHECK_EQ(vm_net_list(vm, rows, ARRAY_LEN(rows)), nr);
}

static void they_come_and_go_without_a_trace(void **s)
{
	static const char *const nets[] = { "nat", "private", "nat,mac=00-15-5D-0A-0B-0C,port=web,vlan=5" };
	struct vm_adapter a, rows[32];
	struct vm *vm = machine();
	struct err e = { "" };
	unsigned fds = 0, threads = 0;
	char net[128];

	(void)s;
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 1; i < VM_MAX_NICS; i++) {
			snprintf(net, sizeof(net), "%s", nets[i % 3]);
			if (i > 2 && i % 3 == 2)
				snprintf(net, sizeof(net), "private,capture=%s/%u.pcapng", home, i);
			CHECK_EQ(vm_net_add(vm, net, &a, &e), 0);
			CHECK_EQ(a.name[3] - '0', (int)i);	/* the same ones in each round */
			CHECK(!a.in_use && a.cable && a.link);
		}
		CHECK_STR(a.net, "private");
		CHECK_EQ(vm_net_add(vm, "nat", &a, &e), -ENOSPC);
		CHECK_EQ(vm_net_remove(vm, "net2", &e), 0);
		CHECK_EQ(vm_net_remove(vm, "net1", &e), 0);
		(void)!vm_net_remove(vm, "net1", &e);	/* leaving, or gone already */
		for (unsigned i = 3; i < VM_MAX_NICS; i++) {
			snprintf(net, sizeof(net), "net%u", i);
			CHECK_EQ(vm_net_remove(vm, net, &e), 0);
		}
		wait_for(vm, 1);
		usleep(20000);		/* the last thread's own end */
		if (round == 1) {
			fds = entries("/proc/self/fd");
			threads = entries("/proc/self/task");
		} else if (round > 1) {
			CHECK_EQ(entries("/proc/self/fd"), fds);
			CHECK_EQ(entries("/proc/self/task"), threads);
		}
	}
	CHECK_EQ(vm->network->nr_shown, 1);
	CHECK_EQ(vm_net_list(vm, rows, ARRAY_LEN(rows)), 1);
	CHECK_EQ(vm_net_remove(vm, rows[0].mac, &e), 0);	/* by its address */
	wait_for(vm, 0);
	CHECK(vm->network->private_switch == NULL);
	CHECK_EQ(vm_net_add(vm, "private", &a, &e), 0);
	vm_free(vm);
}

static void what_cannot_be_is_said(void **s)
{
	struct vm_adapter a;
	struct vm *vm = machine();
	struct err e = { "" };

	(void)s;
	CHECK_EQ(vm_net_add(vm, "nowhere", &a, &e), -EINVAL);
	CHECK(strstr(e.msg, "nowhere") != NULL);
	CHECK_EQ(vm_net_add(vm, "private,port=net0", &a, &e), -EEXIST);
	CHECK_EQ(vm_net_add(vm, "private,mac=00:15:5d:01:01:01", &a, &e), 0);
	CHECK_EQ(vm_net_add(vm, "nat,mac=00:15:5d:01:01:01", &a, &e), -EEXIST);
	CHECK_EQ(vm_net_add(vm, "nat,capture=/nowhere/at/all", &a, &e), -ENOENT);
	CHECK_EQ(vm_net_remove(vm, "net7", &e), -ENOENT);
	CHECK_STR(e.msg, "no adapter \"net7\": this machine has net0, net1");
	CHECK_EQ(vm_net_move(vm, "net0", "nat,mac=00:15:5d:01:01:02", &e), -EINVAL);
	CHECK_EQ(vm_net_move(vm, "net0", "tap=there-is-none-of-it", &e) < 0, true);
	CHECK_EQ(vm_net_cable(vm, "00:15:5d:01:01:09", false, &e), -ENOENT);
	vm_free(vm);
}

static struct vm_adapter row(struct vm *vm, size_t i)
{
	struct vm_adapter rows[32];

	CHECK(vm_net_list(vm, rows, ARRAY_LEN(rows)) > i);
	return rows[i];
}

static void cables_are_pulled_and_moved(void **s)
{
	struct vm *vm = machine();
	struct err e = { "" };

	(void)s;
	CHECK_EQ(vm_net_cable(vm, "net0", false, &e), 0);
	CHECK(!row(vm, 0).cable && !row(vm, 0).link);
	CHECK_EQ(vm_net_move(vm, "net0", "nat", &e), 0);
	CHECK_STR(row(vm, 0).net, "nat");
	CHECK(!row(vm, 0).link);
	CHECK(vm->network->private_switch == NULL);
	CHECK_EQ(vm_net_cable(vm, "net0", true, &e), 0);
	CHECK(row(vm, 0).link);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(vm_net_move(vm, "net0", i % 2 ? "nat" : "private", &e), 0);
	CHECK_EQ(vm->network->nr_shown, 1);
	vm_free(vm);
}

/* A capture of the machine's own switches ends when one of them goes. */
static void a_switch_goes_while_it_is_looked_at(void **s)
{
	struct vm *vm = machine();
	struct network *n = vm->network;
	struct vm_adapter a;
	struct err e = { "" };
	char name[24], file[64];

	(void)s;
	snprintf(file, sizeof(file), "%s/all.pcapng", home);
	CHECK(n->ctl != NULL);
	snprintf(name, sizeof(name), "+%d", (int)getpid());
	for (unsigned i = 0; i < 10; i++) {
		int sock, fd;
		json_t *msg;

		CHECK_EQ(vm_net_add(vm, "nat", &a, &e), 0);
		sock = place_connect(&n->place, name, &e);
		CHECK(sock >= 0);
		fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0);
		msg = json_pack("{s:s}", "do", "capture");
		CHECK_EQ(link_send(sock, msg, fd), 0);
		json_decref(msg);
		close(fd);
		CHECK_EQ(link_recv(sock, &msg, NULL), 0);
		CHECK_EQ(json_integer_value(json_object_get(msg, "ports")), 3);
		json_decref(msg);
		CHECK_EQ(vm_net_remove(vm, a.name, &e), 0);
		CHECK_EQ(link_recv(sock, &msg, NULL), 0);
		CHECK(json_object_get(msg, "frames") != NULL);
		json_decref(msg);
		close(sock);
		wait_for(vm, 1);
	}
	vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_come_and_go_without_a_trace),
		cmocka_unit_test(what_cannot_be_is_said),
		cmocka_unit_test(cables_are_pulled_and_moved),
		cmocka_unit_test(a_switch_goes_while_it_is_looked_at),
	};
	char path[64];
	int rc;

	if (mkdtemp(home) == NULL)
		return 1;
	setenv("XDG_RUNTIME_DIR", home, 1);
	setenv("XDG_CONFIG_HOME", home, 1);
	rc = cmocka_run_group_tests_name("adapters", tests, NULL, NULL);
	snprintf(path, sizeof(path), "rm -rf %s", home);
	return rc != 0 || system(path) != 0;
}
