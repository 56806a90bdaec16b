/*
 * hv_fuzz.c - a guest that does anything at all to the hypervisor interface
 *
 * The input is a list of 16-byte steps: kind, VP, a small number, and two
 * arguments.  Whatever comes, no interrupt may be raised for a VP that does
 * not exist or on an exception's vector, and nothing may crash or hang.
 */
#include "hv/hv_fake.h"

#define MAX_STEPS 512u

enum { STEP_RDMSR, STEP_WRMSR, STEP_CALL, STEP_CALL_FAST, STEP_WRITE, STEP_CLOCK, STEP_POST,
       STEP_SIGNAL, STEP_EOI, STEP_RESET, STEP_CPUID, STEP_CALL32, NR_STEPS };

struct step {
	uint8_t kind, vp;
	le16 small;
	le32 a;
	le64 b;
};
_Static_assert(sizeof(struct step) == 16, "as in the corpus");

static void fuzz_call(struct fake *f, const struct step *s, bool long_mode, bool fast)
{
	uint64_t a = le32_get(s->a), b = le64_get(s->b);
	uint64_t control = le16_get(s->small) | (a & 0xffff) << 32 | (a & 0xff0000) << 1;
	uint64_t gpr[16] = { 0 };
	uint8_t xmm[6][16];
	struct hv_call call = { .gpr = gpr, .xmm = xmm, .long_mode = long_mode };

	memset(xmm, (int)(b & 0xff), sizeof(xmm));
	memcpy(xmm[1], &b, 8);
	if (fast)
		control |= HV_CTL_FAST;
	gpr[0] = (uint32_t)control;
	gpr[1] = long_mode ? control : (uint32_t)b;
	gpr[2] = long_mode ? b : control >> 32;
	gpr[3] = b >> 32;
	gpr[6] = b >> 8 & 0xfffff;
	gpr[8] = b >> 16 & 0xffffff;
	hv_hypercall(f->hv, s->vp % FAKE_VPS, &call);
	BUG_IF(long_mode && (gpr[0] & ~UINT64_C(0xfff0000ffff)) != 0);
}

static void fuzz_msr(struct fake *f, const struct step *s)
{
	uint32_t msr = 0x40000000u | (le16_get(s->small) & 0x1ff);
	uint64_t val = le64_get(s->b);
	int rc;

	if (s->kind % NR_STEPS == STEP_WRMSR)
		rc = hv_msr_write(f->hv, s->vp % FAKE_VPS, msr, val);
	else
		rc = hv_msr_read(f->hv, s->vp % FAKE_VPS, msr, &val);
	BUG_IF(rc != 0 && rc != -ENOENT);
}

static void fuzz_step(struct fake *f, const struct step *s)
{
	uint32_t r[4] = { 0 };
	uint64_t b = le64_get(s->b);
	uint16_t small = le16_get(s->small);

	switch (s->kind % NR_STEPS) {
	case STEP_RDMSR:
	case STEP_WRMSR:
		fuzz_msr(f, s);
		break;
	case STEP_CALL:
	case STEP_CALL_FAST:
		fuzz_call(f, s, true, s->kind % NR_STEPS == STEP_CALL_FAST);
		break;
	case STEP_CALL32:
		fuzz_call(f, s, false, (s->vp & 1) != 0);
		break;
	case STEP_WRITE:
		if (gmem_write(f->mem, le32_get(s->a) % FAKE_RAM, &b, 8) < 0)
			return;
		break;
	case STEP_CLOCK:
		clock_step(f->clock, le32_get(s->a) % 1000000);
		break;
	case STEP_POST:
		if (hv_synic_post(f->hv, s->vp, small % 20, le32_get(s->a), &b, small % 8) < 0)
			return;
		break;
	case STEP_SIGNAL:
		hv_synic_signal(f->hv, s->vp, small % 20, le32_get(s->a) % 3000);
		break;
	case STEP_EOI:
		hv_eoi(f->hv, s->vp % FAKE_VPS, (uint8_t)small);
		break;
	case STEP_RESET:
		hv_stop(f->hv);
		hv_reset(f->hv);
		hv_start(f->hv);
		break;
	case STEP_CPUID:
		hv_cpuid(f->hv, s->vp % FAKE_VPS, le32_get(s->a), small, r);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake *f = NULL;
	struct step s;
	size_t nr;

	BUG_IF(fake_new(&f, true) < 0);
	if (hv_msr_write(f->hv, 0, HV_MSR_GUEST_OS_ID, FAKE_OS_ID) < 0)
		return 0;
	for (nr = 0; nr < MAX_STEPS && (nr + 1) * sizeof(s) <= size; nr++) {
		memcpy(&s, data + nr * sizeof(s), sizeof(s));
		fuzz_step(f, &s);
		for (unsigned i = 0; i < f->nr_raises && i < ARRAY_LEN(f->raise); i++)
			BUG_IF(f->raise[i].vp >= FAKE_VPS || f->raise[i].vector < HV_MIN_VECTOR);
		f->nr_raises = 0;
	}
	fake_free(f);
	return 0;
}
