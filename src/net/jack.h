/*
 * jack.h - where an adapter's cable goes in
 *
 * A port whose other side changes while the owner stays bound: the cable may be
 * pulled and put back, or go to another switch.  The owner sees its link go down
 * and come up, no more.
 */
#ifndef NET_JACK_H
#define NET_JACK_H

#include "net/port.h"

struct jack;

/* MAC and NAME are what the owner finds in its port. */
MUST_CHECK int jack_new(const uint8_t mac[6], const char *name, struct jack **ret_j);
/* The owner has let go of its port, and nothing is plugged in.  NULL is fine. */
void jack_free(struct jack *j);
struct port *jack_port(struct jack *j);		/* what the owner binds to */

/*
 * From now on P, which stays the caller's, or NULL: nothing.  When it returns the
 * port before is not used any more.  Any thread, one at a time.
 */
void jack_plug(struct jack *j, struct port *p);
/* Out: nothing goes in or out, and the link is down, whatever is plugged in. */
void jack_cable(struct jack *j, bool in);
bool jack_is_up(struct jack *j);		/* as the owner was told */

#endif
