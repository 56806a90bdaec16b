/*
 * control_fuzz.c - lines of anything at all to the control socket
 */
#include "ctl/control_priv.h"

#include "ctl/vm_fake.h"
#include "dev/disp.h"
#include "dev/input.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_key(void *self, unsigned key, bool down)
{
	(void)self, (void)down;
	BUG_IF(!input_is_key(key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct input_sink sink = { .key = on_key };
	static struct typist t;
	static struct control_conf conf = { .where = "" };	/* a picture is large: one for all */
	const char *p = (const char *)data;

	if (conf.disp == NULL) {
		BUG_IF(disp_new(&conf.disp) < 0 || input_new(&conf.input) < 0);
		BUG_IF(input_attach(conf.input, &sink) < 0);
		conf.vm = (struct vm *)(void *)&conf;
	}
	memset(&t, 0, sizeof(t));
	fake_nr = 0;
	t.input = conf.input;
	while (size > 0) {
		const char *end = memchr(p, '\n', size);
		size_t n = end == NULL ? size : (size_t)(end - p);
		struct control_answer a;
		uint64_t now = 1;
		int rc;

		control_do(&conf, &t, p, n, &a);
		BUG_IF(a.json == NULL && !typist_busy(&t));
		json_decref(a.json);
		if (a.fd >= 0)
			close(a.fd);
		for (unsigned i = 0; i < 100 && typist_busy(&t); i++)
			now = typist_step(&t, now, &rc);
		n += end != NULL;
		p += n;
		size -= n;
	}
	input_release(conf.input);
	return 0;
}
