/*
 * capture.h - looks at all that passes a port
 *
 * A port in front of a port: the owner binds to this one instead of the
 * switch's and notices nothing.
 */
#ifndef NET_CAPTURE_H
#define NET_CAPTURE_H

#include "net/pcapng.h"
#include "net/port.h"

struct capture;

/*
 * P and FILE stay until capture_free; the owner lets go of the port before that.  FILE
 * may be NULL: nothing is written before capture_set.
 */
MUST_CHECK int capture_new(struct port *p, struct pcapng *file, struct capture **ret_c, struct err *err);
struct port *capture_port(struct capture *c);	/* what the owner binds to */
void capture_free(struct capture *c);

/* From now on into FILE, or with NULL into none; then the one before is not used any more. */
MUST_CHECK int capture_set(struct capture *c, struct pcapng *file, struct err *err);

#endif
