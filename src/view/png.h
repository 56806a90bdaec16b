/*
 * png.h - a picture as a PNG file
 */
#ifndef VIEW_PNG_H
#define VIEW_PNG_H

#include "base/base.h"

/*
 * WIDTH x HEIGHT pixels, 0x00RRGGBB, rows STRIDE pixels apart, as 8 bits of
 * red, green, blue.  *ret_png is the caller's to free; -ENOMEM, -EINVAL for a
 * picture of no pixels or of more than DISP_MAX of dev/disp.h.
 */
MUST_CHECK int png_encode(const uint32_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
			  uint8_t **ret_png, size_t *ret_n);

#endif
