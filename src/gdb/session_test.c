/* session_test.c - frames, registers, and the conversation with a machine of a few variables */
#include "base/test.h"
#include "gdb/gdb_fake.h"
#include "gdb/regs.h"

#include "base/le.h"

/* ---- frames ------------------------------------------------------------------------ */

static struct gdb_piece take(const char *text)
{
	static char buf[200];

	strcpy(buf, text);
	return gdb_take(buf, strlen(buf));
}

static void a_frame_is_taken_when_it_is_whole_and_right(void **state)
{
	struct gdb_piece p;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		char part[8] = "$OK#9a";

		part[i] = '\0';
		CHECK_EQ(take(part).what, GDB_MORE);
	}
	p = take("$OK#9a+");
	CHECK_EQ(p.what, GDB_BODY_OK);
	CHECK_EQ(p.used, 6);
	CHECK_EQ(p.len, 2);
	CHECK_MEM(p.body, "OK", 2);
	CHECK_EQ(take("$OK#9b").what, GDB_BODY_BAD);
	CHECK_EQ(take("$OK#zz").what, GDB_BODY_BAD);
	CHECK_EQ(take("+$OK#9a").what, GDB_ACK);
	CHECK_EQ(take("-").what, GDB_NAK);
	CHECK_EQ(take("\x03").what, GDB_BREAK);
	p = take("noise$OK#9a");
	CHECK_EQ(p.what, GDB_BODY_OK);
	CHECK_EQ(p.used, 11);
	p = take("$lost$OK#9a");
	CHECK_EQ(p.what, GDB_BODY_OK);
	CHECK_EQ(p.len, 2);
	p = take("noise");
	CHECK_EQ(p.what, GDB_MORE);
	CHECK_EQ(p.used, 5);
	p = take("$}\x03}]#5a");			/* '#' and '}', escaped */
	CHECK_EQ(p.what, GDB_BODY_OK);
	CHECK_EQ(p.len, 2);
	CHECK_MEM(p.body, "#}", 2);
}

static void what_is_too_long_is_refused_and_the_next_is_taken(void **state)
{
	static char buf[2 * GDB_FRAME];
	struct gdb_piece p;

	(void)state;
	memset(buf, 'x', sizeof(buf));
	buf[0] = '$';
	CHECK_EQ(gdb_take(buf, GDB_BODY + 1).what, GDB_MORE);
	p = gdb_take(buf, sizeof(buf));
	CHECK_EQ(p.what, GDB_BODY_BAD);
	CHECK(p.used > 0);
	memcpy(buf + GDB_BODY, "$OK#9a", 6);
	p = gdb_take(buf, sizeof(buf));
	CHECK_EQ(p.what, GDB_BODY_OK);
}

static void a_reply_that_does_not_fit_is_an_error(void **state)
{
	static struct gdb_out o;
	static uint8_t big[GDB_BODY];

	(void)state;
	gdb_out_begin(&o);
	gdb_out_raw(&o, "#$}*a", 5);
	gdb_out_end(&o);
	CHECK_EQ(o.n, 1 + 9 + 3);
	CHECK_MEM(o.buf, "$}\x03}\x04}]}\na#", 11);
	gdb_out_begin(&o);
	gdb_out_hex(&o, big, GDB_BODY / 2);
	CHECK(!o.full);
	gdb_out_hex(&o, big, 1);
	CHECK(o.full);
	gdb_out_end(&o);
	CHECK(o.n <= sizeof(o.buf));
}

/* ---- registers --------------------------------------------------------------------- */

static const struct gdb_reg *reg(const char *name)
{
	for (unsigned i = 0; i < gdb_nr_regs(); i++)
		if (strcmp(gdb_reg(i)->name, name) == 0)
			return gdb_reg(i);
	fail_msg("no register %s", name);
	return NULL;
}

/* Two that shared bytes would spoil one another; numbers are GDB's. */
static void every_register_keeps_its_own_value(void **state)
{
	struct cpu_regs r = { .xcr0 = 7 };
	uint8_t val[GDB_REG_BYTES], got[GDB_REG_BYTES];

	(void)state;
	CHECK_STR(gdb_reg(0)->name, "rax");
	CHECK_STR(gdb_reg(7)->name, "rsp");
	CHECK_STR(gdb_reg(16)->name, "rip");
	CHECK_STR(gdb_reg(40)->name, "xmm0");
	for (unsigned i = 0; i < gdb_nr_regs(); i++) {
		const struct gdb_reg *d = gdb_reg(i);

		memset(val, (int)i + 1, sizeof(val));
		if (d->held < d->bytes)
			memset(val + d->held, 0, sizeof(val) - d->held);
		if (strcmp(d->name, "mxcsr") == 0)
			st16(val + 2, 0);
		if (strcmp(d->name, "ftag") != 0 && gdb_reg_set(d, &r, val) == -EPERM)
			continue;
	}
	for (unsigned i = 0; i < gdb_nr_regs(); i++) {
		const struct gdb_reg *d = gdb_reg(i);
		struct cpu_regs other = r;

		memset(val, (int)i + 1, sizeof(val));
		if (strcmp(d->name, "ftag") == 0 || gdb_reg_set(d, &other, val) == -EPERM)
			continue;
		memset(val + min_u64(d->held, d->bytes), 0,
		       sizeof(val) - min_u64(d->held, d->bytes));
		if (strcmp(d->name, "mxcsr") == 0)
			st16(val + 2, 0);
		gdb_reg_get(d, &r, got);
		CHECK_MEM(got, val, sizeof(val));
	}
}

static void state_never_used_reads_as_initial(void **state)
{
	struct cpu_regs r = { .xcr0 = 3 };
	uint8_t val[GDB_REG_BYTES], one[GDB_REG_BYTES] = { 1 };

	(void)state;
	memset(r.xsave, 0xee, 512);
	gdb_reg_get(reg("fctrl"), &r, val);
	CHECK_EQ(ld32(val), 0x37f);
	gdb_reg_get(reg("ftag"), &r, val);
	CHECK_EQ(ld32(val), 0xffff);
	gdb_reg_get(reg("xmm7"), &r, val);
	CHECK_EQ(ld64(val), 0);
	CHECK_EQ(gdb_reg_set(reg("xmm1"), &r, one), 0);
	gdb_reg_get(reg("xmm7"), &r, val);
	CHECK_EQ(ld64(val), 0);
	CHECK_EQ(ld64(r.xsave + 512), 2);
	CHECK_EQ(gdb_reg_set(reg("ymm1h"), &r, one), -EINVAL);	/* the guest has no AVX on */
	r.xcr0 = 7;
	CHECK_EQ(gdb_reg_set(reg("ymm1h"), &r, one), 0);
	CHECK_EQ(r.xsave[576 + 16], 1);
	st32(one, 0xffffffff);
	CHECK_EQ(gdb_reg_set(reg("mxcsr"), &r, one), 0);
	CHECK_EQ(ld32(r.xsave + 24), 0xffff);
}

static void tags_are_two_bits_a_register(void **state)
{
	struct cpu_regs r = { 0 };
	uint8_t val[GDB_REG_BYTES];

	(void)state;
	r.xsave[512] = 1;
	r.xsave[3] = 6 << 3;			/* TOP = 6: st0 is R6, st1 R7, st2 R0 */
	r.xsave[4] = 0xc1;			/* R0, R6, R7 */
	st64(r.xsave + 32, UINT64_C(1) << 63);	/* st0 = 1.0: valid */
	st16(r.xsave + 40, 0x3fff);
	st16(r.xsave + 32 + 32 + 8, 0x7fff);	/* st2 is no number: special */
	gdb_reg_get(reg("ftag"), &r, val);
	CHECK_EQ(ld32(val), 1 << 14 | 0 << 12 | 0xffc | 2);
	CHECK_EQ(gdb_reg_set(reg("ftag"), &r, val), 0);
	CHECK_EQ(r.xsave[4], 0xc1);
}

static void the_description_comes_in_any_pieces(void **state)
{
	static char whole[32768], parts[32768];
	size_t n = gdb_target_xml(0, whole, sizeof(whole)), at = 0, got;

	(void)state;
	CHECK(n > 4000 && n < sizeof(whole));
	while ((got = gdb_target_xml(at, parts + at, 777)) > 0)
		at += got;
	CHECK_EQ(at, n);
	CHECK_MEM(whole, parts, n);
	whole[n] = '\0';
	CHECK(strstr(whole, "<reg name=\"xmm15\" bitsize=\"128\"") != NULL);
	CHECK(strstr(whole, "</target>\n") == whole + n - 10);
	CHECK_EQ(gdb_target_xml(UINT64_MAX, parts, 10), 0);
}

/* ---- the conversation -------------------------------------------------------------- */

static struct fake f;

static void tell(const char *body)
{
	static struct gdb_out o;

	gdb_out_begin(&o);
	gdb_out_text(&o, body);
	gdb_out_end(&o);
	f.nr_out = 0;
	f.out[0] = '\0';
	gdb_session_input(&f.s, o.buf, o.n);
}

/* The reply's body; "" too when there was none. */
static const char *ask(const char *body)
{
	char *end;

	tell(body);
	if (f.out[0] == '\0' || f.out[1] == '\0')
		return "";
	CHECK_EQ(f.out[0], '+');
	end = strrchr(f.out, '#');
	CHECK(f.out[1] == '$' && end != NULL && end[3] == '\0');
	*end = '\0';
	return f.out + 2;
}

static void a_new_peer_stops_the_machine_first(void **state)
{
	(void)state;
	fake_open(&f);
	CHECK_EQ(f.stops, 1);
	CHECK(strncmp(ask("?"), "T02", 3) == 0);
	/* Where it takes a while, the question waits. */
	fake_open(&f);
	f.status.state = GDB_RUNS;
	CHECK_STR(ask("?"), "");
	f.status = (struct gdb_status){ .state = GDB_STANDS, .cpu = 2 };
	gdb_session_poll(&f.s);
	CHECK(strstr(f.out, "thread:3;") != NULL);
}

static void processors_go_on_as_they_are_told(void **state)
{
	(void)state;
	fake_open(&f);
	CHECK_STR(ask("vCont?"), "vCont;c;C;s;S");
	CHECK_STR(ask("vCont;s:2;c"), "");
	CHECK_EQ(f.action[0], GDB_GO);
	CHECK_EQ(f.action[1], GDB_STEP);
	CHECK_EQ(f.action[2], GDB_GO);
	/* While it runs nothing is answered but 0x03. */
	CHECK_STR(ask("g"), "");
	f.status = (struct gdb_status){ GDB_STANDS, 1, { CPU_STOP_STEP, 0, 0 }, 0 };
	gdb_session_poll(&f.s);
	CHECK(strncmp(f.out, "$T05", 4) == 0 && strstr(f.out, "thread:2;") != NULL);
	CHECK_STR(ask("vCont;s:1"), "");
	CHECK_EQ(f.action[1], GDB_STAND);
	f.status = (struct gdb_status){ GDB_STANDS, 0, { CPU_STOP_WATCH, CPU_DEBUG_WRITE, 0xabc },
					0 };
	gdb_session_poll(&f.s);
	CHECK(strstr(f.out, "$T05watch:abc;") != NULL);
	CHECK_STR(ask("c"), "");
	gdb_session_input(&f.s, "\x03", 1);
	gdb_session_poll(&f.s);
	CHECK(strstr(f.out, "$T02") != NULL);
	CHECK_STR(ask("s10020"), "");
	CHECK_EQ(f.r[0].rip, 0x10020);
	CHECK_EQ(f.action[0], GDB_STEP);
	CHECK_EQ(f.action[1], GDB_STAND);
	f.status = (struct gdb_status){ .state = GDB_ENDED, .code = 7 };
	gdb_session_poll(&f.s);
	CHECK(strstr(f.out, "$W07#") != NULL);
}

static void registers_and_memory(void **state)
{
	char text[40];

	(void)state;
	fake_open(&f);
	f.r[0].gpr[CPU_RAX] = 0x1122334455667788;
	CHECK_STR(ask("p0"), "8877665544332211");
	CHECK(strncmp(ask("g"), "8877665544332211", 16) == 0);
	CHECK_STR(ask("P1=0100000000000000"), "OK");
	CHECK_EQ(f.r[0].gpr[CPU_RBX], 1);
	CHECK_STR(ask("Hg3"), "OK");
	CHECK_STR(ask("P1=0200000000000000"), "OK");
	CHECK_EQ(f.r[2].gpr[CPU_RBX], 2);
	CHECK_STR(ask("Hg4"), "E16");
	CHECK_STR(ask("Hg0"), "OK");
	CHECK_STR(ask("T3"), "OK");
	CHECK_STR(ask("T4"), "E03");
	CHECK_STR(ask("M10010,4:deadbeef"), "OK");
	CHECK_STR(ask("m10010,4"), "deadbeef");
	CHECK_STR(ask("X10010,3:a\xf8\x01"), "OK");
	CHECK_STR(ask("m10010,3"), "61f801");
	CHECK_STR(ask("m10ffe,8"), "0000");		/* where memory ends */
	CHECK_STR(ask("m11000,8"), "E0e");
	CHECK_STR(ask("M10fff,2:0102"), "E0e");
	CHECK_EQ(strlen(ask("m10000,ffffffffffffffff")), 2 * FAKE_RAM);
	/* G takes back what g gave, and refuses what the engine does. */
	strcpy(text, "P");
	snprintf(text, sizeof(text), "P%x=ff00000000000000",
		 (unsigned)(16 + 8 + 16 + 17 + 2 + 16 + 4));
	CHECK_STR(ask(text), "E16");			/* CR8 */
}

static void all_registers_go_out_and_come_back(void **state)
{
	static char body[GDB_BODY];

	(void)state;
	fake_open(&f);
	f.r[0].gpr[CPU_R15] = 99;
	body[0] = 'G';
	strcpy(body + 1, ask("g"));
	memcpy(body + 1, "0500000000000000", 16);
	CHECK_STR(ask(body), "OK");
	CHECK_EQ(f.r[0].gpr[CPU_RAX], 5);
	CHECK_EQ(f.r[0].gpr[CPU_R15], 99);
	CHECK_STR(ask("G0600000000000000"), "OK");
	CHECK_EQ(f.r[0].gpr[CPU_RAX], 6);
	CHECK_STR(ask("G06000000000000"), "E16");
}

static void points(void **state)
{
	(void)state;
	fake_open(&f);
	CHECK_STR(ask("Z0,1234,1"), "OK");
	CHECK_EQ(f.point[0].on, CPU_DEBUG_EXEC);
	CHECK_STR(ask("Z2,1234,8"), "OK");
	CHECK_EQ(f.point[1].on, CPU_DEBUG_WRITE);
	CHECK_EQ(f.point[1].len, 8);
	CHECK_STR(ask("Z3,1234,1000"), "OK");
	CHECK_STR(ask("Z4,1234,1001"), "E16");
	CHECK_STR(ask("Z4,1234,0"), "E16");
	CHECK_STR(ask("Z4,1234,1"), "OK");
	CHECK_STR(ask("Z1,1234,1"), "E1c");		/* no more room */
	CHECK_STR(ask("Z5,1234,1"), "");
	CHECK_STR(ask("z4,1234,1"), "OK");
	CHECK_EQ(f.nr_points, 3);
	gdb_session_close(&f.s);
	CHECK_EQ(f.leaves, 1);
}

static void questions(void **state)
{
	(void)state;
	fake_open(&f);
	CHECK(strstr(ask("qSupported:xmlRegisters=i386"), "qXfer:features:read+") != NULL);
	CHECK_STR(ask("qfThreadInfo"), "m1,2,3");
	CHECK_STR(ask("qsThreadInfo"), "l");
	CHECK_STR(ask("qThreadExtraInfo,2"), "7643505520313a2066616b65");
	CHECK_STR(ask("qThreadExtraInfo,9"), "E16");
	CHECK_STR(ask("qC"), "QC1");
	CHECK_STR(ask("qCRC:0,1"), "");
	CHECK_STR(ask("qAttached"), "1");
	CHECK(strncmp(ask("qXfer:features:read:target.xml:0,ffffffffffffffff"), "m<?xml", 6) == 0);
	CHECK_STR(ask("qXfer:features:read:target.xml:fffff,100"), "l");
	CHECK_STR(ask("qXfer:features:read:other.xml:0,100"), "");
	CHECK_STR(ask("vMustReplyEmpty"), "");
	CHECK_STR(ask(""), "");
}

static void commands_for_people(void **state)
{
	(void)state;
	fake_open(&f);
	memcpy(f.ram, "Hello", 5);
	tell("qRcmd,68656c70");						/* help */
	CHECK(strstr(f.out, "$O") != NULL && strstr(f.out, "$OK#9a") != NULL);
	tell("qRcmd,706879732030783130303030203332");			/* phys 0x10000 32 */
	CHECK(strstr(f.out, "34382036352036632036632036") != NULL);	/* "48 65 6c 6c 6" */
	tell("qRcmd,7068797320302039393939393939");			/* phys 0 9999999 */
	CHECK(strstr(f.out, "$OK#9a") != NULL && strlen(f.out) < 400);
	tell("qRcmd,7265677320");					/* regs */
	CHECK(strstr(f.out, "$OK#9a") != NULL);
	tell("qRcmd,nothex");
	CHECK(strstr(f.out, "$E16") != NULL);
}

static void acknowledgements(void **state)
{
	char first[100];

	(void)state;
	fake_open(&f);
	snprintf(first, sizeof(first), "%s", ask("qC"));
	f.nr_out = 0;
	gdb_session_input(&f.s, "-", 1);		/* say that again */
	CHECK_STR(f.out, "$QC1#c5");
	f.nr_out = 0;
	gdb_session_input(&f.s, "$qC#00", 6);
	CHECK_STR(f.out, "-");
	CHECK_STR(ask("QStartNoAckMode"), "OK");
	tell("qC");
	CHECK_STR(f.out, "$QC1#c5");
}

static void going_away(void **state)
{
	(void)state;
	fake_open(&f);
	CHECK_STR(ask("D"), "OK");
	CHECK(f.s.over && f.leaves == 1);
	gdb_session_close(&f.s);
	CHECK_EQ(f.leaves, 1);
	fake_open(&f);
	tell("k");
	CHECK(f.s.over && f.kills == 1 && f.leaves == 0);
	fake_open(&f);
	CHECK_STR(ask("vKill;1"), "OK");
	CHECK_EQ(f.kills, 1);
}

static void broken_bodies_are_errors(void **state)
{
	static const char *const bodies[] = {
		"m", "m1", "m1,", "m1,2,", "m,1", "m10000,0", "m11111111111111111,1", "M1", "M1,2:0",
		"M10000,1:zz", "M10000,2:00", "X10000,5:a", "p", "pffff", "p1x", "P0", "P0=", "P0=00",
		"Pffff=00", "H", "Hx1", "Hg", "Hg99", "T", "Z", "Z0", "Z0,", "Z0,1", "Z2,1,",
		"vCont", "vCont;", "vCont;x", "vCont;c:9", "vCont;c:", "vCont;s:1;", "vCont;t", "C", "S",
		"cx", "sx", "qRcmd,0", "qThreadExtraInfo,", "qXfer:features:read:target.xml:", "Gxx", "G0",
	};

	(void)state;
	fake_open(&f);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		if (ask(bodies[i])[0] != 'E')
			fail_msg("\"%s\" is answered \"%s\"", bodies[i], f.out);
		CHECK_EQ(f.status.state, GDB_STANDS);
	}
	CHECK_EQ(f.resumes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_taken_when_it_is_whole_and_right),
		cmocka_unit_test(what_is_too_long_is_refused_and_the_next_is_taken),
		cmocka_unit_test(a_reply_that_does_not_fit_is_an_error),
		cmocka_unit_test(every_register_keeps_its_own_value),
		cmocka_unit_test(state_never_used_reads_as_initial),
		cmocka_unit_test(tags_are_two_bits_a_register),
		cmocka_unit_test(the_description_comes_in_any_pieces),
		cmocka_unit_test(a_new_peer_stops_the_machine_first),
		cmocka_unit_test(processors_go_on_as_they_are_told),
		cmocka_unit_test(registers_and_memory),
		cmocka_unit_test(all_registers_go_out_and_come_back),
		cmocka_unit_test(points),
		cmocka_unit_test(questions),
		cmocka_unit_test(commands_for_people),
		cmocka_unit_test(acknowledgements),
		cmocka_unit_test(going_away),
		cmocka_unit_test(broken_bodies_are_errors),
	};

	return cmocka_run_group_tests_name("gdb", tests, NULL, NULL);
}
