/*
 * int_test.h - what the tests of this folder share
 */
#ifndef CPU_INTERP_INT_INT_TEST_H
#define CPU_INTERP_INT_INT_TEST_H

#include "base/test.h"
#include "cpu/interp/block.h"
#include "cpu/interp/decode.h"
#include "cpu/interp/itest.h"

/* Decodes one instruction for a machine in 64-bit mode; run_insn then runs it. */
static inline struct insn test_insn(struct itest *t, const uint8_t *bytes, unsigned n)
{
	uint8_t padded[INSN_MAX_BYTES] = { 0 };
	struct insn in;

	for (unsigned i = 0; i < n; i++)
		padded[i] = bytes[i];
	CHECK_EQ(decode_insn(interp_cache_decoder(t->c->cache), DECODE_64, padded, sizeof(padded),
			     &in), 0);
	CHECK_EQ(in.len, n);
	return in;
}

/* One step of BYTES in the mode the machine is in: ITEST_HLT or a vector. */
#define STEP(t, ...) \
	({ \
		static const uint8_t step_[] = { __VA_ARGS__ }; \
		ITEST_CODE_IS((t), step_); \
		itest_step(t); \
	})

#define RUN(t, ...) \
	({ \
		static const uint8_t run_[] = { __VA_ARGS__, 0xf4 }; \
		ITEST_CODE_IS((t), run_); \
		itest_run((t), 100000); \
	})

#endif
