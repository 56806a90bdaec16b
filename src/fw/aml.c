/*
 * aml.c - the little AML that must be written at run time
 *
 * The DSDT is compiled from dsdt.asl when we are built; what depends on the
 * machine is patched into its named constants.  Only the list of processors
 * is made from nothing.
 *
 * Spec     [ACPI 6.2] 20.2.3 data objects, 20.2.4 package length, 20.2.5 named objects
 * Lock     none
 */
#include "fw/aml.h"

#include "base/le.h"

#include <stdio.h>

#define AML_NAME 0x08
#define AML_DWORD 0x0c
#define AML_STRING 0x0d
#define AML_SCOPE 0x10
#define AML_EXT 0x5b
#define AML_DEVICE 0x82

/* One processor: opcode 2, package length 1, name 4, _HID 15, _UID 10. */
#define DEVICE_BYTES 32u

int aml_patch_name(uint8_t *aml, size_t n, const char name[4], uint32_t val)
{
	for (size_t i = 0; i + 10 <= n; i++) {
		if (aml[i] != AML_NAME || memcmp(aml + i + 1, name, 4) != 0 ||
		    aml[i + 5] != AML_DWORD)
			continue;
		st32(aml + i + 6, val);
		return 0;
	}
	return -ENOENT;
}

/* A package length in its longest form that fits our needs: three bytes, the first included. */
static size_t put_pkg_length(uint8_t *p, size_t len)
{
	p[0] = (uint8_t)(0x80 | (len & 0xf));
	p[1] = (uint8_t)(len >> 4);
	p[2] = (uint8_t)(len >> 12);
	return 3;
}

static size_t put_processor(uint8_t *p, unsigned i)
{
	char name[8];
	size_t at = 0;

	p[at++] = AML_EXT;
	p[at++] = AML_DEVICE;
	p[at++] = (uint8_t)(DEVICE_BYTES - 2);	/* under 64: one byte */
	snprintf(name, sizeof(name), "P%03X", i & 0xfff);
	memcpy(p + at, name, 4);
	at += 4;
	memcpy(p + at, "\x08_HID\x0d" "ACPI0007", 15);	/* with its NUL */
	at += 15;
	memcpy(p + at, "\x08_UID\x0c", 6);
	st32(p + at + 6, i + 1);
	return at + 10;
}

size_t aml_processors(uint8_t *buf, size_t cap, unsigned nr)
{
	size_t body = 5 + (size_t)nr * DEVICE_BYTES, need = 1 + 3 + body, at = 0;

	if (need > cap)
		return need;
	buf[at++] = AML_SCOPE;
	at += put_pkg_length(buf + at, 3 + body);
	memcpy(buf + at, "\\_SB_", 5);
	at += 5;
	for (unsigned i = 0; i < nr; i++)
		at += put_processor(buf + at, i);
	BUG_IF(at != need);
	return need;
}
