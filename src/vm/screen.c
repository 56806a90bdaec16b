/*
 * screen.c - the picture that a machine shows, the keys that it takes
 *
 * They are made before the devices that attach to them and outlive them, so
 * that viewers need not know when an adapter comes or goes.
 *
 * Missing  Generation 2 has none until it has synthetic video and keyboard
 * Lock     none; runs while the machine is built or gone
 */
#include "vm/vm_priv.h"

int screen_open(struct vm *vm, struct err *err)
{
	int rc = 0;

	if (vm->conf.generation != 1)
		return 0;
	if (!vm->conf.no_vga)
		rc = disp_new(&vm->disp);
	if (rc == 0)
		rc = input_new(&vm->input);
	return rc < 0 ? err_set(err, rc, "no memory for a screen") : 0;
}

void screen_close(struct vm *vm)
{
	disp_free(vm->disp);
	input_free(vm->input);
}

struct disp *vm_disp(const struct vm *vm) { return vm->disp; }
struct input *vm_input(const struct vm *vm) { return vm->input; }
