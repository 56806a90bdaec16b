/*
 * host.c - questions about the host that ctl/ may ask
 *
 * Lock     none
 */
#include "vm/host.h"

#include "cpu/cpu.h"
#include "cpu/x86/model.h"

#include <liburing.h>

bool host_engine(unsigned nth, struct host_engine *ret_e)
{
	const struct cpu_engine *const *list = cpu_engines();

	for (unsigned i = 0; list[i] != NULL; i++) {
		if (i != nth)
			continue;
		*ret_e = (struct host_engine){ .name = list[i]->name, .words = list[i]->summary };
		ret_e->usable = list[i]->probe(&ret_e->err) == 0;
		return true;
	}
	return false;
}

bool host_model(unsigned nth, struct host_model *ret_m)
{
	ret_m->name = cpu_model_name(nth);
	if (ret_m->name == NULL)
		return false;
	ret_m->usable = cpu_model_host_ok(cpu_model_find(ret_m->name));
	return true;
}

bool host_has_uring(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(8, &ring, 0) < 0)
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

uint64_t host_tsc_hz(void)
{
	return cpu_host_tsc_hz();
}
