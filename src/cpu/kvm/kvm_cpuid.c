/*
 * kvm_cpuid.c - the model's CPUID as a table for KVM
 *
 * An interpreter asks leaf by leaf; KVM wants them all before the first
 * instruction, and no change after.  A feature the model names and this host
 * lacks is left out: an instruction cannot be had by announcing it.  The
 * board's own are exempt, since KVM has no part in them.
 *
 * Spec     [SDM 2] CPUID; Linux Documentation/virt/kvm/api.rst KVM_SET_CPUID2
 * Lock     none: the vCPU's thread
 */
#include "cpu/kvm/kvm_priv.h"

#include <stdlib.h>
#include <string.h>

#define HV_FIRST 0x40000000u
#define HV_END 0x40000100u
#define EXT_FIRST 0x80000000u

/* Feature words, and the bits of them that KVM need not support. */
struct word {
	uint32_t leaf, sub;
	uint8_t reg;			/* 0..3: EAX, EBX, ECX, EDX */
	uint32_t ours;
};

static const struct word words[] = {
	{ 1, 0, 2, 1u << 21 | 1u << 24 | 1u << 27 | 1u << 31 },	/* x2APIC, TSC deadline, OSXSAVE */
	{ 1, 0, 3, 1u << 9 },					/* APIC */
	{ 7, 0, 1, 0 }, { 7, 0, 2, 0 }, { 7, 0, 3, 0 },
	{ 7, 1, 0, 0 }, { 7, 1, 3, 0 }, { 7, 2, 3, 0 },
	{ 0xd, 0, 0, 0 }, { 0xd, 0, 3, 0 }, { 0xd, 1, 0, 0 },
	{ 0x80000001, 0, 2, 0 }, { 0x80000001, 0, 3, 0 },
	{ 0x80000008, 0, 1, 0 },
};

struct table {
	struct kvm_cpu *c;
	struct kvm_cpuid2 *out;
};

static const struct kvm_cpuid_entry2 *supported(const struct kvm_vm *vm, uint32_t leaf, uint32_t sub)
{
	for (uint32_t i = 0; i < vm->supported->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &vm->supported->entries[i];

		if (e->function == leaf && (e->index == sub ||
		    (e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0))
			return e;
	}
	return NULL;
}

static void restrict_to_host(const struct kvm_vm *vm, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	const struct kvm_cpuid_entry2 *e = supported(vm, leaf, sub);
	const uint32_t have[4] = { e ? e->eax : 0, e ? e->ebx : 0, e ? e->ecx : 0, e ? e->edx : 0 };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].leaf == leaf && words[i].sub == sub)
			r[words[i].reg] &= have[words[i].reg] | words[i].ours;
	/* More address bits than the host's page tables have would fault in the host. */
	if (leaf == 0x80000008 && (have[0] & 0xff) != 0 && (r[0] & 0xff) > (have[0] & 0xff))
		r[0] = (r[0] & ~0xffu) | (have[0] & 0xff);
}

/* Appends one leaf, as the model, the host and the board will have it; its registers to R. */
static void add(struct table *t, uint32_t leaf, uint32_t sub, bool has_sub, uint32_t r[4])
{
	struct kvm_cpu *c = t->c;

	if (leaf >= HV_FIRST && leaf < HV_END)
		memset(r, 0, 4 * sizeof(r[0]));
	else
		cpu_model_cpuid(c->model, leaf, sub, r);
	restrict_to_host(c->vm, leaf, sub, r);
	c->conf.client->cpuid(c->conf.self, leaf, sub, r);
	if (t->out->nent >= KVM_MAX_CPUID)
		return;
	t->out->entries[t->out->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = sub,
		.flags = has_sub ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = r[0], .ebx = r[1], .ecx = r[2], .edx = r[3],
	};
}

/* The last part of a leaf that has several, by its first. */
static uint32_t last_part(uint32_t leaf, const uint32_t r[4])
{
	if (leaf == 7)
		return r[0] < 8 ? r[0] : 8;
	if (leaf == 0xd)		/* one for each state component, and two more */
		return r[0] == 0 ? 0 : r[0] < 4 ? 1 : 31 - (uint32_t)__builtin_clz(r[0]);
	return 8;
}

/* The others end with a part that says nothing. */
static bool is_end(uint32_t leaf, const uint32_t r[4])
{
	return leaf == 4 ? (r[0] & 0x1f) == 0 : (leaf == 0xb || leaf == 0x1f) && (r[2] & 0xff00) == 0;
}

static void add_parts(struct table *t, uint32_t leaf)
{
	uint32_t r[4], last, components;

	add(t, leaf, 0, true, r);
	last = last_part(leaf, r);
	components = r[0];
	for (uint32_t sub = 1; sub <= last && !is_end(leaf, r); sub++)
		if (leaf != 0xd || sub == 1 || (components >> sub & 1) != 0)
			add(t, leaf, sub, true, r);
}

static void add_range(struct table *t, uint32_t first)
{
	uint32_t r[4], last;

	add(t, first, 0, false, r);
	last = r[0];
	if (last < first || last - first > 0xff)
		return;
	for (uint32_t leaf = first + 1; leaf <= last; leaf++) {
		if (leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x1f)
			add_parts(t, leaf);
		else
			add(t, leaf, 0, false, r);
	}
}

int kvm_set_cpuid(struct kvm_cpu *c, struct err *err)
{
	struct table t = { .c = c };
	int rc = 0;

	t.out = base_new0(sizeof(*t.out) + KVM_MAX_CPUID * sizeof(t.out->entries[0]));
	if (t.out == NULL)
		return err_set(err, -ENOMEM, "kvm: out of memory");
	add_range(&t, 0);
	add_range(&t, HV_FIRST);
	add_range(&t, EXT_FIRST);
	if (ioctl(c->fd, KVM_SET_CPUID2, t.out) < 0)
		rc = err_set(err, -errno, "kvm: refuses the processor model \"%s\": %s",
			     c->conf.model, strerror(errno));
	c->cpuid_done = rc == 0;
	free(t.out);
	return rc;
}
