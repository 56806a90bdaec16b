/*
 * switch_def_fuzz.c - files that say what a switch is
 *
 * What is read is a switch that can be asked for the policy of any port.
 */
#include "net/switch_def.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct switch_def d;
	struct port_opt o;

	if (switch_def_read("fuzz", data, size, "it", &d, NULL) < 0)
		return 0;
	BUG_IF(switch_def_check(&d, NULL) < 0);
	for (unsigned i = 0; i < d.nr_ports; i++) {
		/* Words that are right alone may contradict others, as native= without its trunk=. */
		if (switch_def_policy(&d, d.ports[i].name, "vlan=5", &o, NULL) == 0)
			port_opt_fini(&o);
	}
	switch_def_fini(&d);
	return 0;
}
