/*
 * chan_priv.h - between channel.c (data) and open.c (opening and closing)
 */
#ifndef VMBUS_CHAN_PRIV_H
#define VMBUS_CHAN_PRIV_H

#include "vmbus/vmbus_priv.h"

void chan_interrupt(struct chan *c);	/* under out.lock */
void chan_stop(struct chan *c);		/* on the worker: closes the device's side */
void chan_fail(struct chan *c);		/* on the worker: the guest broke it */

#endif
