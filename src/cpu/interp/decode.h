/*
 * decode.h - bytes to struct insn
 */
#ifndef CPU_INTERP_DECODE_H
#define CPU_INTERP_DECODE_H

#include "cpu/interp/interp.h"

enum decode_mode { DECODE_64, DECODE_32, DECODE_16, DECODE_NR };

/* insn.ends after decoding: how the run loop finds what comes next. */
enum {
	END_NO,			/* in the middle of a block */
	END_DIRECT,		/* near branch, one or two targets known from the code */
	END_INDIRECT,		/* near branch, any target; nothing but RIP and RSP changed */
	END_SPECIAL,		/* anything may have changed: mode, IF, TF, tables */
};

struct decoder {
	ZydisDecoder z[DECODE_NR];
	const struct cpu_model *model;
};

#define INSN_MAX_BYTES 15u

void decoder_init(struct decoder *d, const struct cpu_model *model);
/* What Zydis finds, with its mistakes put right. */
ZyanStatus decode_zydis(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes,
			unsigned n, struct zin *ret_z);
/*
 * Decodes one instruction from N bytes.  0; or -ENODATA: the instruction is
 * longer than N, and N < 15.  Bytes that are no instruction of the model
 * decode to one that raises #UD, too long a one raises #GP.
 */
MUST_CHECK int decode_insn(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes,
			   unsigned n, struct insn *out);
/* The same, and what Zydis found; *ret_z is good only when out->mnemonic is not 0. */
MUST_CHECK int decode_both(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes,
			   unsigned n, struct insn *out, struct zin *ret_z);
/* The instruction in words, for traces. */
void decode_text(const struct decoder *d, enum decode_mode mode, const uint8_t *bytes, unsigned n,
		 uint64_t rip, char *buf, size_t size);

#endif
