/*
 * console.h - the guest's serial port on our standard input and output
 */
#ifndef CTL_CONSOLE_H
#define CTL_CONSOLE_H

#include "base/err.h"
#include "dev/chr.h"

struct console;

/* the keys after Ctrl-A; any may be NULL; the console's own thread */
struct console_ops {
	void (*quit)(void *arg);
	void (*shutdown)(void *arg);
	void (*reset)(void *arg);
	void (*retry)(void *arg);
	void *arg;
};

/* Standard input may be a file or a pipe too. */
MUST_CHECK int console_open(const struct console_ops *ops, struct console **ret_c, struct err *err);
/* Writes out what the guest sent, for at most two seconds, and restores the terminal. */
void console_close(struct console *c);
void console_free(struct console *c);	/* closed before; the device that knew its chr is gone */
struct chr *console_chr(struct console *c);
/*
 * The device is there: starts reading.  On a terminal: raw mode, restored by
 * console_close, by exit() and by fatal signals.
 */
MUST_CHECK int console_start(struct console *c, struct err *err);
bool console_is_terminal(const struct console *c);

#endif
