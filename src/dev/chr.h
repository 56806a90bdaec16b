/*
 * chr.h - the contract between a serial device and whoever reads it
 *
 * A slow or vanished reader never stalls the guest: write takes what fits
 * and drops the rest.
 */
#ifndef DEV_CHR_H
#define DEV_CHR_H

#include "base/base.h"

struct chr {
	/* Device to outside.  Any thread; never blocks for long. */
	void (*write)(struct chr *c, const uint8_t *buf, size_t n);
	/* Outside to device: set by the device; any thread may call it. */
	void (*input)(void *dev, const uint8_t *buf, size_t n);
	/* How many bytes the device can take now; set by the device, NULL = no limit.  Any thread. */
	size_t (*room)(void *dev);
	void *dev;
};

#endif
