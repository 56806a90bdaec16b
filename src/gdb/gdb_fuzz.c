/*
 * gdb_fuzz.c - a peer that says anything at all
 *
 * The first byte decides how the rest is cut into pieces and when the machine
 * stops by itself.  In a second run every body that the input's lines are gets
 * a right frame, so that commands are reached whatever their checksums.
 */
#include "gdb/gdb_fake.h"

#include <stdlib.h>

static void feed(struct fake *f, const uint8_t *data, size_t n, unsigned cut)
{
	while (n > 0 && !f->s.over) {
		size_t piece = min_u64(min_u64(n, cut), gdb_session_room(&f->s));

		if (piece == 0) {
			f->status = (struct gdb_status){ .state = GDB_STANDS };
			gdb_session_poll(&f->s);
			piece = min_u64(min_u64(n, cut), gdb_session_room(&f->s));
			BUG_IF(piece == 0 && !f->s.over);
		}
		gdb_session_input(&f->s, data, piece);
		data += piece;
		n -= piece;
	}
}

static void stop_by_itself(struct fake *f, unsigned how)
{
	if (f->status.state != GDB_RUNS)
		return;
	f->status = (struct gdb_status){
		.state = how % 16 == 15 ? GDB_ENDED : GDB_STANDS, .cpu = how % FAKE_CPUS,
		.stop = { (enum cpu_stop)(how / 4 % 4), how % 7 + 1, how },
	};
	gdb_session_poll(&f->s);
}

static void feed_lines(struct fake *f, const uint8_t *data, size_t n)
{
	static struct gdb_out o;

	for (size_t at = 0, end; at < n && !f->s.over; at = end + 1) {
		for (end = at; end < n && data[end] != '\n'; end++)
			;
		gdb_out_begin(&o);
		gdb_out_raw(&o, data + at, min_u64(end - at, GDB_BODY));
		gdb_out_end(&o);
		feed(f, (const uint8_t *)o.buf, o.n, GDB_FRAME);
		stop_by_itself(f, (unsigned)at);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake f;

	if (size == 0)
		return 0;
	fake_open(&f);
	f.stubborn = data[0] & 1;
	feed(&f, data + 1, size - 1, data[0] / 2u + 1);
	stop_by_itself(&f, data[0]);
	gdb_session_close(&f.s);

	fake_open(&f);
	feed_lines(&f, data + 1, size - 1);
	gdb_session_close(&f.s);
	BUG_IF(f.s.over == false);
	return 0;
}
