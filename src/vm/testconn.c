/*
 * testconn.c - synthetic interrupts and connections on a test program's word
 *
 * On Hyper-V connections come from VMBus offers.  A test program makes its own,
 * by a port of the test device: a connection id to which it then posts
 * messages or signals events, and which leads back to one of its processors.
 * Its ids are small, and it never opens VMBus, so the two do not meet.
 *
 * One suite also makes a hypercall of the hypervisor it was written for, which
 * sends an interrupt to a set of processors.  It is answered to guests that
 * have not told Hyper-V who they are.
 *
 * Lock     none: each connection is one atomic word; hv takes its VP lock
 */
#include "vm/vm_priv.h"

#include <stdlib.h>

#define NR_CONNS 256u
#define CONN_MADE 0x10000u		/* then VP in 15:8, source in 7:0 */
#define HV_SUCCESS 0u
#define HV_INSUFFICIENT_BUFFERS 0x13u

struct testconn {
	_Atomic uint32_t msg[NR_CONNS], event[NR_CONNS];
};

int testconn_new(struct vm *vm, struct err *err)
{
	if (!vm->conf.test_devices)
		return 0;
	vm->testconn = new0(struct testconn);
	return vm->testconn == NULL ? err_set(err, -ENOMEM, "no memory for test devices") : 0;
}

void testconn_free(struct vm *vm)
{
	free(vm->testconn);
	vm->testconn = NULL;
}

void testconn_do(void *self, enum testdev_synic what, uint8_t vp, uint8_t sint, uint8_t conn)
{
	uint32_t made = CONN_MADE | (uint32_t)vp << 8 | sint;
	struct vm *vm = self;
	struct testconn *t = vm->testconn;

	switch (what) {
	case TESTDEV_SINT_CREATE:	/* sources are there without asking */
	case TESTDEV_SINT_DESTROY:
		break;
	case TESTDEV_SINT_RAISE:
		hv_synic_raise(vm->hv, vp, sint);
		break;
	case TESTDEV_MSG_CREATE:
		atomic_store(&t->msg[conn], made);
		break;
	case TESTDEV_MSG_DESTROY:
		atomic_store(&t->msg[conn], 0);
		break;
	case TESTDEV_EVENT_CREATE:
		atomic_store(&t->event[conn], made);
		break;
	case TESTDEV_EVENT_DESTROY:
		atomic_store(&t->event[conn], 0);
		break;
	}
}

#define SEND_IPI 10u

/* RBX and RCX: a bit for each processor from RDX on; RSI: vector and mode as in the ICR. */
bool testconn_hypercall(struct vm *vm, uint64_t gpr[16])
{
	uint64_t mask[2] = { gpr[CPU_RBX], gpr[CPU_RCX] }, first = gpr[CPU_RDX];
	uint32_t icr = (uint32_t)gpr[CPU_RSI], sent = 0;

	if (vm->testconn == NULL || gpr[CPU_RAX] != SEND_IPI || hv_guest_os_id(vm->hv) != 0)
		return false;
	for (unsigned i = 0; i < 128; i++)
		if ((mask[i / 64] >> i % 64 & 1) != 0 && first < vm->conf.cpus &&
		    first + i < vm->conf.cpus)
			sent += lapic_deliver(vm->lapics, (uint32_t)first + i, false,
					      icr >> 8 & 7, icr & 0xff, false);
	gpr[CPU_RAX] = sent;
	return true;
}

static bool find(const _Atomic uint32_t *table, uint32_t conn, uint32_t *ret_to)
{
	if (conn >= NR_CONNS)
		return false;
	*ret_to = atomic_load(&table[conn]);
	return *ret_to != 0;
}

bool testconn_post(struct vm *vm, uint32_t conn, uint32_t type, const void *msg, size_t n,
		   uint16_t *ret_status)
{
	uint32_t to;

	if (vm->testconn == NULL || !find(vm->testconn->msg, conn, &to))
		return false;
	*ret_status = hv_synic_post(vm->hv, to >> 8 & 0xff, to & 0xff, type, msg, n) == 0 ?
		      HV_SUCCESS : HV_INSUFFICIENT_BUFFERS;
	return true;
}

/* An event's flag is the connection's number: test programs know no other. */
bool testconn_signal(struct vm *vm, uint32_t conn, uint16_t flag)
{
	uint32_t to;

	if (flag != 0 || vm->testconn == NULL || !find(vm->testconn->event, conn, &to))
		return false;
	hv_synic_signal(vm->hv, to >> 8 & 0xff, to & 0xff, conn);
	return true;
}
