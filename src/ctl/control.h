/*
 * control.h - the socket by which a running machine is talked to
 *
 * A request is a line with a JSON object, {"do": "screenshot"}; the answer is
 * a line with another, {"ok": true, ...} or {"ok": false, "error": "..."}.
 * One request after the other on a connection.
 *
 *   do           takes                      gives
 *   info                                    pid, width and height of a display
 *   screenshot                              width, height, bytes; and with the
 *                                           line a descriptor of a PNG file
 *   key          keys: "ctrl-alt-delete"    when all is typed
 *   type         text
 *   dvd          drive: 0; path, or           when the disc is in, or out
 *                eject: true; force: true
 *   floppy       the same; readonly: true
 *   net-list                                adapters: name, mac, net, legacy, cable,
 *                                           link, in-use, leaving
 *   net-add      net: as after --net        adapter: as in that list
 *   net-remove   adapter: name or address
 *   net-set      adapter; link: "up" or
 *                "down", or net
 */
#ifndef CTL_CONTROL_H
#define CTL_CONTROL_H

#include "base/err.h"

#define CONTROL_MAX_LINE 65536u

struct disp;
struct input;
struct vm;
struct control;

struct control_conf {
	const char *where;		/* "unix:PATH" */
	struct disp *disp;		/* NULL: this machine has no display */
	struct input *input;		/* NULL: none of these either */
	struct vm *vm;			/* runs; NULL: it takes no adapters */
};

/* Listens and serves, on a thread of its own. */
MUST_CHECK int control_new(const struct control_conf *conf, struct control **ret_c,
			   struct err *err);
const char *control_where(const struct control *c);
void control_free(struct control *c);

/*
 * Where a machine listens that was not told: unix:$XDG_RUNTIME_DIR/genvisor/PID,
 * else beside its first disk.  -ENOENT: nowhere.
 */
MUST_CHECK int control_default(const char *first_disk, char *ret_where, size_t n);

#endif
