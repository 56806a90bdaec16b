/*
 * segment.h - large sends to an owner that has room for a few frames only
 *
 * A port in front of a port: the owner binds to this one instead of the
 * switch's, and gets the segments of a large send one by one, each when it has
 * room.
 */
#ifndef NET_SEGMENT_H
#define NET_SEGMENT_H

#include "base/err.h"
#include "net/port.h"

struct segmenter;

/* P stays until segmenter_free; the owner lets go of the port before that. */
MUST_CHECK int segmenter_new(struct port *p, struct segmenter **ret_s, struct err *err);
struct port *segmenter_port(struct segmenter *s);	/* what the owner binds to */
void segmenter_free(struct segmenter *s);

#endif
