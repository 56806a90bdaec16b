/*
 * aml.h - the little AML that must be written at run time
 */
#ifndef FW_AML_H
#define FW_AML_H

#include "base/base.h"

/* Sets the 32-bit constant of Name (NAME, ...) in a compiled table; -ENOENT where there is none. */
MUST_CHECK int aml_patch_name(uint8_t *aml, size_t n, const char name[4], uint32_t val);

/*
 * Writes Scope (\_SB) { Device (P000) { _HID "ACPI0007", _UID 1 } ... } for NR
 * processors.  Bytes needed, whether or not they fit in CAP.
 */
size_t aml_processors(uint8_t *buf, size_t cap, unsigned nr);

#endif
