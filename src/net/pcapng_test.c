#include "base/test.h"

#include "net/pcapng.c"		/* the file under test, statics and all */

#include "net/capture.h"
#include "net/nat_rig.h"

#include <sys/stat.h>

static const uint8_t mac[6] = { 0, 0x15, 0x5d, 1, 2, 3 };
static char path[] = "/tmp/pcapng_test_XXXXXX";

static void put(struct pcapng *p, int nr, uint64_t when, enum pcapng_dir dir, const uint8_t *b, uint32_t len,
		uint32_t flags)
{
	struct iovec iov[] = { { (uint8_t *)(uintptr_t)b, 5 }, { (uint8_t *)(uintptr_t)b + 5, len - 5 } };
	struct net_frame f = { .iov = iov, .nr_iov = 2, .len = len, .flags = flags, .tci = 0x6007 };

	pcapng_put(p, nr, when, dir, &f);
}

static uint8_t *file;
static size_t file_len;

static void file_read(void)
{
	struct stat st;
	FILE *f = fopen(path, "r");

	CHECK(f != NULL && fstat(fileno(f), &st) == 0);
	free(file);
	file_len = (size_t)st.st_size;
	file = malloc(file_len + 1);
	CHECK(file != NULL);
	CHECK_EQ(fread(file, 1, file_len, f), file_len);
	fclose(f);
}

/* The block at *at, its type checked, *at behind it. */
static const uint8_t *next_block(size_t *at, uint32_t type, uint32_t *ret_len)
{
	const uint8_t *b = file + *at;
	uint32_t n;

	CHECK(file_len - *at >= 12);
	n = ld32(b + 4);
	CHECK_EQ(ld32(b), type);
	CHECK(n >= 12 && n % 4 == 0 && n <= file_len - *at);
	CHECK_EQ(ld32(b + n - 4), n);
	*at += n;
	*ret_len = n;
	return b;
}

/* The value of an option in a block whose options begin at OFF; NULL without. */
static const uint8_t *option(const uint8_t *b, uint32_t off, uint32_t len, unsigned code)
{
	while (off + 4 <= len - 4 && ld16(b + off) != OPT_END) {
		if (ld16(b + off) == code)
			return b + off + 4;
		off += 4 + (uint32_t)align_up(ld16(b + off + 2), 4);
	}
	return NULL;
}

static void a_file_is_what_the_format_says(void **s)
{
	uint8_t frame[64];
	const uint8_t *b;
	struct pcapng *p;
	struct err err;
	size_t at = 0;
	uint32_t len, n;

	(void)s;
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)i;
	CHECK_EQ(pcapng_open(path, &p, &err), 0);
	CHECK_EQ(pcapng_interface(p, "first", mac), 0);
	CHECK_EQ(pcapng_interface(p, "a name that has no end and is cut", mac), 1);
	for (n = 14; n < 18; n++)
		put(p, 0, UINT64_C(0x123456789abcdef0) + n, PCAPNG_IN, frame, n, 0);
	put(p, 1, 1, PCAPNG_OUT, frame, 60, FRAME_TAGGED);
	put(p, 1, 1, PCAPNG_OUT, frame, 13, 0);		/* no frame */
	pcapng_close(p);
	file_read();
	b = next_block(&at, 0x0a0d0d0a, &len);
	CHECK_EQ(ld32(b + 8), 0x1a2b3c4d);
	CHECK_EQ(ld32(b + 12), 1);
	CHECK_MEM(option(b, 24, len, 4), "genvisor", 8);
	b = next_block(&at, 1, &len);
	CHECK_EQ(ld16(b + 8), 1);
	CHECK_MEM(option(b, 16, len, 2), "first\0\0", 8);
	CHECK_MEM(option(b, 16, len, 6), mac, 6);
	CHECK_EQ(*option(b, 16, len, 9), 9);
	next_block(&at, 1, &len);
	for (n = 14; n < 18; n++) {
		b = next_block(&at, 6, &len);
		CHECK_EQ(ld32(b + 8), 0);
		CHECK_EQ(ld32(b + 12), 0x12345678);
		CHECK_EQ(ld32(b + 16), 0x9abcdef0 + n);
		CHECK_EQ(ld32(b + 20), n);
		CHECK_EQ(ld32(b + 24), n);
		CHECK_MEM(b + 28, frame, n);
		CHECK_EQ(ld32(option(b, 28 + (uint32_t)align_up(n, 4), len, 2)), 1);
	}
	b = next_block(&at, 6, &len);
	CHECK_EQ(ld32(b + 20), 64);
	CHECK_MEM(b + 28, frame, 12);
	CHECK_MEM(b + 40, "\x81\x00\x60\x07", 4);
	CHECK_MEM(b + 44, frame + 12, 48);
	CHECK_EQ(ld32(option(b, 28 + 64, len, 2)), 2);
	b = next_block(&at, 5, &len);
	CHECK_EQ(ld64(option(b, 20, len, 4)), 4);
	CHECK_EQ(ld64(option(b, 20, len, 5)), 0);
	b = next_block(&at, 5, &len);
	CHECK_EQ(ld64(option(b, 20, len, 4)), 2);
	CHECK_EQ(ld64(option(b, 20, len, 5)), 1);
	CHECK_EQ(at, file_len);
}

/* More than the ring holds, so that it wraps often: every block is whole, in order. */
static void the_ring_wraps_and_loses_none_of_what_it_took(void **s)
{
	static uint8_t frame[9014];
	struct pcapng_stats st;
	struct pcapng *p;
	struct err err;
	uint32_t len, seen = 0, last = 0;
	size_t at = 0;

	(void)s;
	CHECK_EQ(pcapng_open(path, &p, &err), 0);
	CHECK_EQ(pcapng_interface(p, "x", mac), 0);
	for (uint32_t i = 1; i <= 5000; i++) {
		st32(frame + 14, i);
		put(p, 0, i, PCAPNG_IN, frame, 18 + i % 8996, 0);
	}
	pcapng_stats(p, &st);
	CHECK_EQ(st.frames + st.lost, 5000);
	CHECK_EQ(st.error, 0);
	pcapng_close(p);
	file_read();
	next_block(&at, 0x0a0d0d0a, &len);
	next_block(&at, 1, &len);
	while (ld32(file + at) == 6) {
		const uint8_t *b = next_block(&at, 6, &len);

		CHECK(ld32(b + 28 + 14) > last);
		last = ld32(b + 28 + 14);
		CHECK_EQ(ld32(b + 20), 18 + last % 8996);
		seen++;
	}
	CHECK_EQ(seen, st.frames);
	next_block(&at, 5, &len);
	CHECK_EQ(at, file_len);
}

/* Somebody else reads it, too. */
static void capinfos_can_read_it(void **s)
{
	char cmd[256], line[256];
	bool packets = false, type = false;
	FILE *f;

	(void)s;
	if (access("/usr/bin/capinfos", X_OK) < 0)
		skip();
	a_file_is_what_the_format_says(s);
	snprintf(cmd, sizeof(cmd), "capinfos -M -t -c -S '%s' 2>&1", path);
	f = popen(cmd, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		packets |= strncmp(line, "Number of packets:", 18) == 0 && strstr(line, " 5\n") != NULL;
		type |= strstr(line, "pcapng") != NULL;
	}
	CHECK_EQ(pclose(f), 0);
	CHECK(packets && type);
}

struct owner {
	unsigned delivered, resumed;
	int answer;
};

static int owner_deliver(void *dev, const struct net_frame *f)
{
	struct owner *o = dev;

	(void)f;
	o->delivered++;
	return o->answer;
}

static void owner_resume(void *dev)
{
	((struct owner *)dev)->resumed++;
}

static const struct port_client owner_client = { .deliver = owner_deliver, .resume = owner_resume };

/* Frames that had no room are not in the file; everything else passes unchanged. */
static void a_port_is_captured_without_noticing(void **s)
{
	static const struct port_caps caps = { .flags = PORT_TAKES_TAG, .max_frame = 4000 };
	uint8_t frame[60] = { 1 };
	struct iovec iov = { frame, sizeof(frame) };
	struct net_frame f[3];
	struct owner o = { 0 };
	struct capture *c;
	struct pcapng *p;
	struct rig rig;
	struct err err;
	uint32_t len;
	size_t at = 0;

	(void)s;
	for (unsigned i = 0; i < 3; i++)
		f[i] = (struct net_frame){ .iov = &iov, .nr_iov = 1, .len = sizeof(frame) };
	rig_init(&rig);
	CHECK_EQ(pcapng_open(path, &p, &err), 0);
	CHECK_EQ(capture_new(&rig.port, p, &c, &err), 0);
	CHECK_STR(capture_port(c)->name, "rig");
	port_bind(capture_port(c), &owner_client, &o, &caps);
	CHECK_EQ(rig.caps.max_frame, 4000);
	rig.take = 2;
	CHECK_EQ(port_send(capture_port(c), f, 3), 2);
	CHECK_EQ(rig.client->deliver(rig.dev, f), 0);
	o.answer = -EAGAIN;
	CHECK_EQ(rig.client->deliver(rig.dev, f), -EAGAIN);
	rig.client->deliver_end(rig.dev);
	rig.client->link(rig.dev, true, 1);
	rig.client->resume(rig.dev);
	CHECK_EQ(o.delivered, 2);
	CHECK_EQ(o.resumed, 1);
	port_room(capture_port(c));
	CHECK_EQ(rig.rooms, 1);
	port_bind(capture_port(c), NULL, NULL, NULL);
	CHECK(rig.client == NULL);
	capture_free(c);
	rig_drop_all(&rig);
	pcapng_close(p);
	file_read();
	next_block(&at, 0x0a0d0d0a, &len);
	next_block(&at, 1, &len);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *b = next_block(&at, 6, &len);

		CHECK_EQ(ld32(option(b, 28 + 60, len, 2)), i < 2 ? 2 : 1);
	}
	next_block(&at, 5, &len);
	CHECK_EQ(at, file_len);
}

static void what_cannot_be_written_is_said(void **s)
{
	struct pcapng_stats st;
	uint8_t frame[60] = { 0 };
	struct capture *c = NULL;
	struct rig rig;
	struct pcapng *p = NULL;
	struct err err;
	uint64_t lost;
	int full;

	(void)s;
	CHECK_EQ(pcapng_open("/nowhere/at/all", &p, &err), -ENOENT);
	CHECK_STR(err.msg, "capture /nowhere/at/all: No such file or directory");
	for (unsigned i = 1; i <= 2; i++) {
		base_fail_alloc(i);
		CHECK_EQ(pcapng_open(path, &p, &err), -ENOMEM);
	}
	base_fail_alloc(0);
	CHECK_EQ(pcapng_open("/dev/full", &p, &err), -ENOSPC);
	CHECK(p == NULL);
	CHECK_EQ(pcapng_open(path, &p, &err), 0);
	for (unsigned i = 0; i < PCAPNG_IFS; i++)
		CHECK_EQ(pcapng_interface(p, "x", mac), i);
	CHECK_EQ(pcapng_interface(p, "x", mac), -ENOSPC);
	rig_init(&rig);
	CHECK_EQ(capture_new(&rig.port, p, &c, &err), -ENOSPC);
	CHECK_STR(err.msg, "capture: at most 64 ports in one file");
	/* A disk that fills up later. */
	log_set_level(LOG_ERR);
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	CHECK(full >= 0);
	CHECK_EQ(dup2(full, p->fd), p->fd);	/* at once: the writer is at work */
	close(full);
	do {
		put(p, 0, 1, PCAPNG_IN, frame, sizeof(frame), 0);
		pcapng_stats(p, &st);
	} while (st.error == 0);		/* frames may be lost before, for want of room */
	CHECK_EQ(st.error, -ENOSPC);
	lost = st.lost;
	put(p, 0, 1, PCAPNG_IN, frame, sizeof(frame), 0);
	pcapng_stats(p, &st);
	CHECK_EQ(st.lost, lost + 1);
	pcapng_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_what_the_format_says),
		cmocka_unit_test(the_ring_wraps_and_loses_none_of_what_it_took),
		cmocka_unit_test(capinfos_can_read_it),
		cmocka_unit_test(a_port_is_captured_without_noticing),
		cmocka_unit_test(what_cannot_be_written_is_said),
	};
	int rc, fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	free(file);
	return rc;
}
