/* Hypercalls in every form a guest can make them, and in some it should not. */
#include "hv/hv_fake.h"

#define IN UINT64_C(0x20000)
#define OUT UINT64_C(0x21000)
#define FAST HV_CTL_FAST
#define REPS(n) ((uint64_t)(n) << 32)
#define START(n) ((uint64_t)(n) << 48)
#define VAR(n) ((uint64_t)(n) << 17)
#define VP 4u

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };

struct cpu_state {
	uint64_t gpr[16];
	uint8_t xmm[6][16];
};

/* The 64-bit convention; returns RAX. */
static uint64_t call64(struct fake *f, struct cpu_state *s, uint64_t control, uint64_t in, uint64_t out)
{
	struct hv_call call = { .gpr = s->gpr, .xmm = s->xmm, .long_mode = true };
	uint64_t before[16];

	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = UINT64_C(0x1111111111111111) * i;
	s->gpr[RCX] = control;
	s->gpr[RDX] = in;
	s->gpr[R8] = out;
	memcpy(before, s->gpr, sizeof(before));
	hv_hypercall(f->hv, VP, &call);
	CHECK_MEM(&s->gpr[1], &before[1], sizeof(before) - 8);
	return s->gpr[RAX];
}

static uint64_t call(struct fake *f, uint64_t control, uint64_t in, uint64_t out)
{
	struct cpu_state s = { .gpr = { 0 } };

	return call64(f, &s, control, in, out);
}

/* The 32-bit one; returns EDX:EAX. */
static uint64_t call32(struct fake *f, uint64_t control, uint64_t in, uint64_t out)
{
	struct cpu_state s = { .gpr = { 0 } };
	struct hv_call c = { .gpr = s.gpr, .xmm = s.xmm, .long_mode = false };

	s.gpr[RDX] = control >> 32;
	s.gpr[RAX] = (uint32_t)control;
	s.gpr[RBX] = in >> 32;
	s.gpr[RCX] = (uint32_t)in;
	s.gpr[RDI] = out >> 32;
	s.gpr[RSI] = (uint32_t)out;
	hv_hypercall(f->hv, VP, &c);
	CHECK_EQ(s.gpr[RAX] >> 32 | s.gpr[RDX] >> 32, 0);
	return s.gpr[RDX] << 32 | s.gpr[RAX];
}

static void put(struct fake *f, uint64_t gpa, const void *src, size_t n)
{
	CHECK_EQ(gmem_write(f->mem, gpa, src, n), 0);
}

static struct hv_in_post good_post(void)
{
	struct hv_in_post p = { .conn = le32_of(FAKE_CONN), .type = le32_of(1), .size = le32_of(5) };

	memcpy(p.payload, "hello", 5);
	return p;
}

static uint64_t post_at(struct fake *f, const struct hv_in_post *p, uint64_t gpa)
{
	put(f, gpa, p, sizeof(*p));
	return call(f, HV_CALL_POST_MESSAGE, gpa, 0);
}

static void post_message(void **state)
{
	struct fake *f = *state;
	struct hv_in_post p = good_post();

	CHECK_EQ(post_at(f, &p, IN), 0);
	CHECK_EQ(f->nr_posts, 1);
	CHECK_EQ(f->post_vp, VP);
	CHECK_EQ(f->post_type, 1);
	CHECK_EQ(f->post_len, 5);
	CHECK_MEM(f->post_msg, "hello", 5);
	CHECK_EQ(call32(f, HV_CALL_POST_MESSAGE, IN, 0), 0);
	CHECK_EQ(f->nr_posts, 2);
	p.size = le32_of(HV_MSG_PAYLOAD);
	CHECK_EQ(post_at(f, &p, IN + PAGE_SIZE - 256), 0);
	CHECK_EQ(f->post_len, HV_MSG_PAYLOAD);
}

static void post_message_refuses(void **state)
{
	struct fake *f = *state;
	struct hv_in_post p = good_post();

	CHECK_EQ(post_at(f, &p, IN + 4), HV_INVALID_ALIGNMENT);
	CHECK_EQ(post_at(f, &p, IN + PAGE_SIZE - 248), HV_INVALID_ALIGNMENT);
	CHECK_EQ(call(f, HV_CALL_POST_MESSAGE, FAKE_RAM, 0), HV_INVALID_PARAMETER);
	CHECK_EQ(call(f, HV_CALL_POST_MESSAGE, UINT64_MAX - 0xfff, 0), HV_INVALID_PARAMETER);
	CHECK_EQ(call(f, HV_CALL_POST_MESSAGE | FAST, IN, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_POST_MESSAGE | REPS(1), IN, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_POST_MESSAGE | VAR(1), IN, 0), HV_INVALID_HYPERCALL_INPUT);
	p.size = le32_of(HV_MSG_PAYLOAD + 1);
	CHECK_EQ(post_at(f, &p, IN), HV_INVALID_PARAMETER);
	p = good_post();
	p.type = le32_of(HV_MSG_TIMER);
	CHECK_EQ(post_at(f, &p, IN), HV_INVALID_PARAMETER);
	p.type = le32_of(0);
	CHECK_EQ(post_at(f, &p, IN), HV_INVALID_PARAMETER);
	p = good_post();
	p.conn = le32_of(FAKE_CONN + 1);
	CHECK_EQ(post_at(f, &p, IN), HV_INVALID_CONNECTION_ID);
	p.conn = le32_of(FAKE_CONN | 1u << 24);
	CHECK_EQ(post_at(f, &p, IN), HV_INVALID_CONNECTION_ID);
	CHECK_EQ(f->nr_posts, 0);
}

static void signal_event(void **state)
{
	struct hv_in_signal in = { .conn = le32_of(FAKE_CONN), .flag = le16_of(2047) };
	struct fake *f = *state;
	uint64_t word = ld64(&in);

	CHECK_EQ(call(f, HV_CALL_SIGNAL_EVENT | FAST, word, 0), 0);	/* Linux */
	CHECK_EQ(f->nr_signals, 1);
	CHECK_EQ(f->signal_flag, 2047);
	put(f, IN + 8, &in, sizeof(in));
	CHECK_EQ(call(f, HV_CALL_SIGNAL_EVENT, IN + 8, 0), 0);		/* FreeBSD, iPXE */
	CHECK_EQ(f->nr_signals, 2);
	CHECK_EQ(call32(f, HV_CALL_SIGNAL_EVENT | FAST, word, 0), 0);
	CHECK_EQ(f->nr_signals, 3);
	CHECK_EQ(call(f, HV_CALL_SIGNAL_EVENT | FAST, word + (UINT64_C(1) << 32), 0),
		 HV_INVALID_PARAMETER);		/* flag 2048 */
	CHECK_EQ(call(f, HV_CALL_SIGNAL_EVENT | FAST, word | UINT64_C(1) << 48, 0),
		 HV_INVALID_PARAMETER);
	CHECK_EQ(call(f, HV_CALL_SIGNAL_EVENT | FAST, 1, 0), HV_INVALID_CONNECTION_ID);
	CHECK_EQ(f->nr_signals, 3);
}

static void unknown_and_denied_codes(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(call(f, 0, 0, 0), HV_INVALID_HYPERCALL_CODE);
	CHECK_EQ(call(f, 0x4b, 0, 0), HV_INVALID_HYPERCALL_CODE);
	CHECK_EQ(call(f, 0xffff | FAST, 0, 0), HV_INVALID_HYPERCALL_CODE);
	CHECK_EQ(call(f, 0x46, 0, 0), HV_ACCESS_DENIED);
	CHECK_EQ(call(f, 0x8001, 0, OUT), HV_ACCESS_DENIED);
	wrmsr(f, 0, HV_MSR_GUEST_OS_ID, 0);
	CHECK_EQ(call(f, HV_CALL_LONG_SPIN | FAST, 0, 0), HV_ACCESS_DENIED);
}

static void reserved_control_bits(void **state)
{
	struct fake *f = *state;

	for (unsigned bit = 0; bit < 64; bit++)
		if ((HV_CTL_RESERVED >> bit & 1) != 0)
			CHECK_EQ(call(f, HV_CALL_LONG_SPIN | FAST | UINT64_C(1) << bit, 0, 0),
				 HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_LONG_SPIN | FAST | START(1), 0, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_LONG_SPIN | FAST, 0, 0), 0);
}

static void check_set(const unsigned *count, const unsigned *vps, size_t nr)
{
	unsigned total = 0;

	for (unsigned vp = 0; vp < FAKE_VPS; vp++)
		total += count[vp];
	CHECK_EQ(total, nr);
	for (size_t i = 0; i < nr; i++)
		CHECK_EQ(count[vps[i]], 1);
}

static void flush_by_mask(void **state)
{
	static const unsigned vps[] = { 0, 5, 63 };
	struct hv_in_flush in = {
		.flags = le64_of(HV_FLUSH_ALL_SPACES),
		.vps = le64_of(UINT64_C(1) << 63 | 1 << 5 | 1),
	};
	struct fake *f = *state;

	put(f, IN, &in, sizeof(in));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE, IN, 0), 0);
	check_set(f->flushed, vps, 3);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST | REPS(3), IN, 0), REPS(3));
	CHECK_EQ(f->nr_flushes, 6);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST | REPS(3) | START(2), IN, 0), REPS(3));
	CHECK_EQ(f->nr_flushes, 9);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST | REPS(3) | START(3), IN, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST, IN, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST | REPS(509), IN, 0), REPS(509));
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST | REPS(510), IN, 0), HV_INVALID_ALIGNMENT);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST | REPS(4095), IN, 0), HV_INVALID_ALIGNMENT);
	f->nr_flushes = 0;
	in.flags = le64_of(HV_FLUSH_ALL_VPS);
	put(f, IN, &in, sizeof(in));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE, IN, 0), 0);
	CHECK_EQ(f->nr_flushes, FAKE_VPS);
	in.flags = le64_of(0x10);
	put(f, IN, &in, sizeof(in));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE, IN, 0), HV_INVALID_PARAMETER);
}

/* 24 bytes in registers: the third qword is in XMM0. */
static void flush_fast_in_xmm(void **state)
{
	static const unsigned vps[] = { 1 };
	struct cpu_state s = { .xmm = { { 2 } } };
	struct fake *f = *state;
	struct hv_call c = { .gpr = s.gpr, .xmm = NULL, .long_mode = true };

	CHECK_EQ(call64(f, &s, HV_CALL_FLUSH_SPACE | FAST, 0, 0), 0);
	check_set(f->flushed, vps, 1);
	CHECK_EQ(call64(f, &s, HV_CALL_FLUSH_LIST | FAST | REPS(11), 0, 0), REPS(11));
	CHECK_EQ(call64(f, &s, HV_CALL_FLUSH_LIST | FAST | REPS(12), 0, 0),
		 HV_INVALID_HYPERCALL_INPUT);
	s.gpr[RCX] = HV_CALL_FLUSH_SPACE | FAST;
	hv_hypercall(f->hv, VP, &c);
	CHECK_EQ(s.gpr[RAX], HV_INVALID_HYPERCALL_INPUT);
}

static void flush_by_set(void **state)
{
	static const unsigned vps[] = { 3, 64, 69 };
	struct { struct hv_in_flush_ex in; uint64_t bank[64]; } b = {
		.in.set.valid = le64_of(1u | 2u | UINT64_C(1) << 63),
		.bank = { 1 << 3, 1 | 1 << 5 | UINT64_C(1) << 63, UINT64_MAX },
	};
	struct fake *f = *state;

	put(f, IN, &b, sizeof(b));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX | VAR(3), IN, 0), 0);
	check_set(f->flushed, vps, 3);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST_EX | VAR(3) | REPS(7), IN, 0), REPS(7));
	CHECK_EQ(f->nr_flushes, 6);
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX | VAR(2), IN, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_FLUSH_LIST_EX | VAR(2) | REPS(7), IN, 0), HV_INVALID_HYPERCALL_INPUT);
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX | VAR(1023), IN, 0), HV_INVALID_ALIGNMENT);
	b.in.set.valid = le64_of(UINT64_MAX);
	put(f, IN, &b, sizeof(b));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX | VAR(64), IN, 0), 0);
	b.in.set.format = le64_of(2);
	put(f, IN, &b, sizeof(b));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX | VAR(64), IN, 0), HV_INVALID_PARAMETER);
	f->nr_flushes = 0;
	b.in.set.format = le64_of(1);
	put(f, IN, &b, sizeof(b));
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX, IN, 0), 0);
	CHECK_EQ(f->nr_flushes, FAKE_VPS);
}

static void no_flush_where_the_board_has_none(void **state)
{
	struct hv_client client = fake_client;
	struct fake *f = *state;
	struct hv_conf conf = fake_conf(f);
	struct hv *hv = f->hv;
	struct hv_in_flush in = { .flags = le64_of(HV_FLUSH_ALL_VPS) };
	uint32_t r[4];

	hv_cpuid(f->hv, 0, 0x40000004, 0, r);
	CHECK_EQ(r[0] & HV_HINT_REMOTE_FLUSH, HV_HINT_REMOTE_FLUSH);
	client.flush_tlb = NULL;
	conf.client = &client;
	CHECK_EQ(hv_new(&conf, &f->hv, NULL), 0);
	wrmsr(f, 0, HV_MSR_GUEST_OS_ID, FAKE_OS_ID);
	put(f, IN, &in, sizeof(in));
	hv_cpuid(f->hv, 0, 0x40000004, 0, r);
	CHECK_EQ(r[0] & HV_HINT_REMOTE_FLUSH, 0);
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE, IN, 0), HV_ACCESS_DENIED);
	CHECK_EQ(call(f, HV_CALL_FLUSH_SPACE_EX, IN, 0), HV_ACCESS_DENIED);
	hv_free(f->hv);
	f->hv = hv;
}

static void ipis(void **state)
{
	static const unsigned low[] = { 0, 1 }, high[] = { 65 };
	struct { struct hv_in_ipi_ex in; uint64_t bank[1]; } ex = {
		.in = { .vector = le32_of(0xfb), .set.valid = le64_of(2) },
		.bank = { 2 },
	};
	struct fake *f = *state;

	CHECK_EQ(call(f, HV_CALL_IPI | FAST, 0xfd, 3), 0);
	check_set(f->raised, low, 2);
	CHECK_EQ(f->raise[1].vector, 0xfd);
	CHECK(!f->raise[1].auto_eoi);
	memset(f->raised, 0, sizeof(f->raised));
	put(f, IN, &ex, sizeof(ex));
	CHECK_EQ(call(f, HV_CALL_IPI_EX | VAR(1), IN, 0), 0);
	check_set(f->raised, high, 1);
	CHECK_EQ(call(f, HV_CALL_IPI | FAST, 0x0f, 3), HV_INVALID_PARAMETER);
	CHECK_EQ(call(f, HV_CALL_IPI | FAST, 0x100, 3), HV_INVALID_PARAMETER);
	CHECK_EQ(call(f, HV_CALL_IPI | FAST, UINT64_C(0x11000000fd), 3), HV_INVALID_PARAMETER);
	ex.in.vector = le32_of(1);
	put(f, IN, &ex, sizeof(ex));
	CHECK_EQ(call(f, HV_CALL_IPI_EX | VAR(1), IN, 0), HV_INVALID_PARAMETER);
	check_set(f->raised, high, 1);
}

struct get_regs {
	struct hv_in_regs h;
	le32 name[8];
};

static struct get_regs regs_in(void)
{
	return (struct get_regs){
		.h = { .partition = le64_of(HV_PARTITION_SELF), .vp = le32_of(HV_VP_SELF) },
		.name = { le32_of(0x00090002), le32_of(0x00090003), le32_of(0x000a0002),
			  le32_of(0x00000100), le32_of(0x12345678), le32_of(0x00090003) },
	};
}

static void get_registers(void **state)
{
	struct get_regs in = regs_in();
	struct fake *f = *state;
	uint64_t out[12];

	put(f, IN, &in, sizeof(in));
	memset(out, 0xee, sizeof(out));
	put(f, OUT, out, sizeof(out));
	/* Up to the one nobody knows. */
	CHECK_EQ(call(f, HV_CALL_GET_VP_REGS | REPS(6), IN, OUT), REPS(4) | HV_UNKNOWN_REGISTER_NAME);
	CHECK_EQ(gmem_read(f->mem, OUT, out, sizeof(out)), 0);
	CHECK_EQ(out[0], FAKE_OS_ID);
	CHECK_EQ(out[1], 0);
	CHECK_EQ(out[2], VP);
	CHECK_EQ(out[4], HV_SINT_MASKED);
	CHECK_EQ((uint32_t)out[6], 20348);
	CHECK_EQ(out[8], UINT64_C(0xeeeeeeeeeeeeeeee));
	/* A later start leaves what is before it alone. */
	CHECK_EQ(call(f, HV_CALL_GET_VP_REGS | REPS(6) | START(5), IN, OUT), REPS(6));
	CHECK_EQ(gmem_read(f->mem, OUT, out, sizeof(out)), 0);
	CHECK_EQ(out[8], UINT64_C(0xeeeeeeeeeeeeeeee));
	CHECK_EQ(out[10], VP);
}

static void get_registers_fast(void **state)
{
	struct fake *f = *state;
	struct cpu_state s = { .xmm = { { 0x02, 0x00, 0x09, 0x00, 0x03, 0x00, 0x09, 0x00 } } };
	uint64_t val;

	/* 16 + 2 * 4 bytes in, rounded up to 32; out comes in XMM1 and XMM2. */
	CHECK_EQ(call64(f, &s, HV_CALL_GET_VP_REGS | FAST | REPS(2), UINT64_MAX, HV_VP_SELF), REPS(2));
	memcpy(&val, s.xmm[1], 8);
	CHECK_EQ(val, FAKE_OS_ID);
	memcpy(&val, s.xmm[2], 8);
	CHECK_EQ(val, VP);
	CHECK_EQ(s.xmm[0][0], 2);
	CHECK_EQ(call64(f, &s, HV_CALL_GET_VP_REGS | FAST | REPS(5), UINT64_MAX, HV_VP_SELF),
		 HV_INVALID_HYPERCALL_INPUT);		/* 16 + 32 + 80 bytes do not fit */
}

static void get_registers_refuses(void **state)
{
	struct get_regs in = regs_in(), bad;
	struct fake *f = *state;
	uint64_t control = HV_CALL_GET_VP_REGS | REPS(1);

	put(f, IN, &in, sizeof(in));
	CHECK_EQ(call(f, control, IN, FAKE_RAM), HV_INVALID_PARAMETER);
	CHECK_EQ(call(f, control, IN, OUT + 1), HV_INVALID_ALIGNMENT);
	CHECK_EQ(call(f, control, IN, OUT + PAGE_SIZE - 8), HV_INVALID_ALIGNMENT);
	CHECK_EQ(call(f, control, IN, IN + 16), HV_INVALID_PARAMETER);	/* over each other */
	CHECK_EQ(call(f, control, IN, IN + 24), REPS(1));
	bad = in;
	bad.h.partition = le64_of(1);
	put(f, IN, &bad, sizeof(bad));
	CHECK_EQ(call(f, control, IN, OUT), HV_INVALID_PARTITION_ID);
	bad = in;
	bad.h.vp = le32_of(FAKE_VPS);
	put(f, IN, &bad, sizeof(bad));
	CHECK_EQ(call(f, control, IN, OUT), HV_INVALID_VP_INDEX);
	bad.h.vp = le32_of(VP + 1);
	put(f, IN, &bad, sizeof(bad));
	CHECK_EQ(call(f, control, IN, OUT), HV_ACCESS_DENIED);
	bad = in;
	bad.h.vtl = 0x11;
	put(f, IN, &bad, sizeof(bad));
	CHECK_EQ(call(f, control, IN, OUT), HV_INVALID_PARAMETER);
}

static uint64_t set_register(struct fake *f, uint32_t name, uint64_t val)
{
	struct { struct hv_in_regs h; struct hv_in_set_reg r; } in = {
		.h = { .partition = le64_of(HV_PARTITION_SELF), .vp = le32_of(VP) },
		.r = { .name = le32_of(name), .value = le64_of(val) },
	};

	put(f, IN, &in, sizeof(in));
	return call(f, HV_CALL_SET_VP_REGS | REPS(1), IN, 0);
}

static void set_registers(void **state)
{
	struct fake *f = *state;

	CHECK_EQ(set_register(f, 0x000a0002, 0xf3), REPS(1));
	CHECK_EQ(rdmsr(f, VP, HV_MSR_SINT0 + 2), 0xf3);
	CHECK_EQ(set_register(f, 0x000a0002, 3), HV_INVALID_REGISTER_VALUE);
	CHECK_EQ(set_register(f, 0x00090003, 3), HV_ACCESS_DENIED);	/* VP index */
	CHECK_EQ(set_register(f, 0x00000100, 3), HV_ACCESS_DENIED);
	CHECK_EQ(set_register(f, 0x00080000, 3), HV_UNKNOWN_REGISTER_NAME);
	CHECK_EQ(rdmsr(f, VP, HV_MSR_SINT0 + 2), 0xf3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(post_message),
		FAKE_TEST(post_message_refuses),
		FAKE_TEST(signal_event),
		FAKE_TEST(unknown_and_denied_codes),
		FAKE_TEST(reserved_control_bits),
		FAKE_TEST(flush_by_mask),
		FAKE_TEST(flush_fast_in_xmm),
		FAKE_TEST(flush_by_set),
		FAKE_TEST(no_flush_where_the_board_has_none),
		FAKE_TEST(ipis),
		FAKE_TEST(get_registers),
		FAKE_TEST(get_registers_fast),
		FAKE_TEST(get_registers_refuses),
		FAKE_TEST(set_registers),
	};

	return cmocka_run_group_tests_name("hv-hypercall", tests, NULL, NULL);
}
