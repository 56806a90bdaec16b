/*
 * trace.c - what ran, a row for each block or instruction
 *
 * A traced processor goes back to its loop after every block, so that each
 * begins with a row; instruction by instruction it takes the slow path, which
 * changes nothing that the guest can see.  A row comes before its instruction:
 * one that raises has a row too, and REP has one for each turn it takes.
 *
 * Lock     none: the vCPU's thread
 */
#include "cpu/interp/block.h"
#include "cpu/interp/engine.h"

static void row(struct interp *c, unsigned nr, unsigned bytes, const char *text)
{
	static const uint8_t bits[] = { [DECODE_64] = 64, [DECODE_32] = 32, [DECODE_16] = 16 };
	const struct cpu_trace_row r = {
		.rip = c->rip, .cs = c->seg[CPU_CS].sel, .bits = bits[block_mode(c)],
		.cpl = c->cpl, .nr = (uint16_t)nr, .bytes = (uint16_t)bytes, .text = text,
	};

	c->conf.trace->row(c->conf.self, &r);
}

void interp_trace_block(struct interp *c, const struct interp_block *b)
{
	row(c, b->nr, b->bytes, NULL);
}

void interp_trace_insn(struct interp *c)
{
	const struct interp_block *b = interp_block_at(c);
	char text[96] = "";

	if (c->conf.trace->insns)
		decode_text(interp_cache_decoder(c->cache), block_mode(c), b->copy, b->insn[0].len,
			    c->rip, text, sizeof(text));
	row(c, 1, b->insn[0].len, c->conf.trace->insns ? text : NULL);
}
