/*
 * glue.c - where the rooms below meet
 *
 * Engine exits go to buses, local APIC and hypervisor interface; the
 * hypervisor interface and VMBus know one another only through here.
 *
 * Lock     none of its own.  The bus takes the chip lock around a handler; an
 *          EOI for a level interrupt takes it here.
 */
#include "vm/vm_priv.h"

#include "base/log.h"
#include "spec/x86.h"

#include <string.h>

#define MSR_HV_FIRST 0x40000000u
#define MSR_HV_LAST 0x400001ffu

static bool is_lapic_msr(uint32_t msr)
{
	return msr == X86_MSR_APIC_BASE || msr == X86_MSR_TSC_DEADLINE ||
	       (msr >= X86_MSR_X2APIC && msr <= X86_MSR_X2APIC + 0xff);
}

static uint64_t io_read(void *self, uint16_t port, unsigned width)
{
	struct vcpu *v = self;

	return bus_read(v->vm->pio, port, width);
}

/* After a write that ended the machine its next instruction is none of ours. */
static void stop_if_over(struct vcpu *v)
{
	if (unlikely(atomic_load(&v->vm->over)))
		cpu_kick(v->cpu);
}

static void io_write(void *self, uint16_t port, unsigned width, uint64_t val)
{
	struct vcpu *v = self;

	bus_write(v->vm->pio, port, width, val);
	stop_if_over(v);
}

/* Whether GPA lies in the page of V's local APIC, and which register it is. */
static bool lapic_at(struct vcpu *v, uint64_t gpa, unsigned width, uint32_t *ret_off)
{
	uint64_t page = lapic_page(v->vm->lapics, v->index);

	if (page == 0 || gpa - page >= PAGE_SIZE)
		return false;
	*ret_off = (uint32_t)(gpa - page) & ~3u;
	return width <= 4;
}

static uint64_t mmio_read(void *self, uint64_t gpa, unsigned width)
{
	struct vcpu *v = self;
	uint32_t off;

	if (lapic_at(v, gpa, width, &off))
		return lapic_read(v->vm->lapics, v->index, off) >> 8 * (gpa & 3);
	return bus_read(v->vm->mmio, gpa, width);
}

static void mmio_write(void *self, uint64_t gpa, unsigned width, uint64_t val)
{
	struct vcpu *v = self;
	uint32_t off;

	if (!lapic_at(v, gpa, width, &off))
		bus_write(v->vm->mmio, gpa, width, val);
	else if (width == 4 && (gpa & 3) == 0)
		lapic_write(v->vm->lapics, v->index, off, (uint32_t)val);
}

static unsigned bits_for(unsigned nr)
{
	unsigned bits = 0;

	while (1u << bits < nr)
		bits++;
	return bits;
}

/* One package, one thread a core: what Hyper-V shows unless told otherwise. */
static void topology(const struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	unsigned nr = v->vm->conf.cpus, bits = bits_for(nr);

	switch (leaf) {
	case 1:
		r[1] = (r[1] & 0xffff) | v->index << 24 | (nr > 255 ? 255 : nr) << 16;
		if (nr > 1)
			r[3] |= 1u << 28;		/* HTT: the count above is valid */
		if (!lapic_enabled(v->vm->lapics, v->index))
			r[3] &= ~(1u << 9);
		break;
	case 4:
		if ((r[0] & 0x1f) != 0)
			r[0] |= ((1u << bits) - 1) << 26;
		break;
	case 0xb:
		r[0] = sub == 1 ? bits : 0;
		r[1] = sub == 0 ? 1 : sub == 1 ? nr : 0;
		r[2] = sub | (sub == 0 ? 1u << 8 : sub == 1 ? 2u << 8 : 0);
		r[3] = v->index;
		break;
	default:
		break;
	}
}

static void cpuid(void *self, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	struct vcpu *v = self;

	topology(v, leaf, sub, r);
	hv_cpuid(v->vm->hv, v->index, leaf, sub, r);
}

static int msr_read(void *self, uint32_t msr, uint64_t *ret_val)
{
	struct vcpu *v = self;

	if (is_lapic_msr(msr))
		return lapic_msr_read(v->vm->lapics, v->index, msr, ret_val);
	if (msr >= MSR_HV_FIRST && msr <= MSR_HV_LAST)
		return hv_msr_read(v->vm->hv, v->index, msr, ret_val);
	return -ENOENT;
}

static int msr_write(void *self, uint32_t msr, uint64_t val)
{
	struct vcpu *v = self;

	if (is_lapic_msr(msr))
		return lapic_msr_write(v->vm->lapics, v->index, msr, val);
	if (msr >= MSR_HV_FIRST && msr <= MSR_HV_LAST) {
		int rc = hv_msr_write(v->vm->hv, v->index, msr, val);

		stop_if_over(v);
		return rc;
	}
	return -ENOENT;
}

static int hypercall(void *self, struct cpu_hypercall *h)
{
	struct vcpu *v = self;
	struct hv_call call = { .gpr = h->gpr, .xmm = h->xmm, .long_mode = h->long_mode };

	if (!testconn_hypercall(v->vm, h->gpr))
		hv_hypercall(v->vm->hv, v->index, &call);
	return 0;
}

static int irq_take(void *self)
{
	struct vcpu *v = self;

	return lapic_take(v->vm->lapics, v->index);
}

static bool irq_ready(void *self)
{
	struct vcpu *v = self;

	return lapic_ready(v->vm->lapics, v->index);
}

/* Only the boot processor's is wired; without a bridge nobody's is. */
static enum cpu_ferr ferr(void *self, bool error)
{
	struct vcpu *v = self;
	bool ignore;

	if (v->index != 0 || v->vm->piix4 == NULL)
		return CPU_FERR_RAISE;
	pthread_mutex_lock(&v->vm->chip_lock);
	ignore = piix4_ferr(v->vm->piix4, error);
	pthread_mutex_unlock(&v->vm->chip_lock);
	return ignore ? CPU_FERR_IGNORE : CPU_FERR_WAIT;
}

static uint8_t tpr_get(void *self)
{
	struct vcpu *v = self;

	return lapic_cr8(v->vm->lapics, v->index);
}

static void tpr_set(void *self, uint8_t cr8)
{
	struct vcpu *v = self;

	lapic_set_cr8(v->vm->lapics, v->index, cr8);
}

const struct cpu_client vm_cpu_client = {
	.io_read = io_read, .io_write = io_write, .mmio_read = mmio_read, .mmio_write = mmio_write,
	.cpuid = cpuid, .msr_read = msr_read, .msr_write = msr_write, .hypercall = hypercall,
	.irq_take = irq_take, .irq_ready = irq_ready, .ferr = ferr,
	.tpr_get = tpr_get, .tpr_set = tpr_set,
};

/* ---- local APICs -------------------------------------------------------- */

static uint64_t guest_tsc(void *self)
{
	struct vm *vm = self;

	return cpu_host_tsc() + vm->tsc_offset;
}

static void lapic_notify(void *self, unsigned vp)
{
	struct vm *vm = self;

	vcpu_wake(&vm->vcpus[vp]);
}

static void lapic_nmi(void *self, unsigned vp)
{
	struct vm *vm = self;

	vm->engine->nmi(vm->vcpus[vp].cpu);
	vcpu_wake(&vm->vcpus[vp]);
}

static void lapic_init(void *self, unsigned vp)
{
	struct vm *vm = self;

	vcpu_ask(&vm->vcpus[vp], VCPU_INIT, 0);
}

static void lapic_sipi(void *self, unsigned vp, uint8_t vector)
{
	struct vm *vm = self;

	vcpu_ask(&vm->vcpus[vp], VCPU_SIPI, vector);
}

static void lapic_eoi(void *self, unsigned vp, uint8_t vector, bool level)
{
	struct vm *vm = self;

	hv_eoi(vm->hv, vp, vector);
	if (!level)
		return;
	pthread_mutex_lock(&vm->chip_lock);
	ioapic_eoi(vm->ioapic, vector);
	pthread_mutex_unlock(&vm->chip_lock);
}

static uint8_t lapic_extint(void *self, unsigned vp)
{
	struct vm *vm = self;
	uint8_t vector;

	(void)vp;
	pthread_mutex_lock(&vm->chip_lock);
	vector = pic_ack(vm->pic);
	pthread_mutex_unlock(&vm->chip_lock);
	return vector;
}

const struct lapic_client vm_lapic_client = {
	.notify = lapic_notify, .nmi = lapic_nmi, .init = lapic_init, .sipi = lapic_sipi,
	.eoi = lapic_eoi, .tsc = guest_tsc, .extint = lapic_extint,
};

/* ---- hypervisor interface ----------------------------------------------- */

static void hv_raise(void *self, unsigned vp, uint8_t vector, bool auto_eoi)
{
	struct vm *vm = self;

	lapic_post(vm->lapics, vp, vector, false, auto_eoi);
}

static void hv_flush(void *self, unsigned vp)
{
	struct vm *vm = self;

	vm->engine->tlb_flush(vm->vcpus[vp].cpu);
}

static void hv_ask_reset(void *self)
{
	vm_request(self, REQ_RESET);
}

static uint64_t hv_apic_read(void *self, unsigned vp, uint32_t reg)
{
	struct vm *vm = self;
	uint64_t val = lapic_read(vm->lapics, vp, reg);

	if (reg == 0x300)
		val |= (uint64_t)lapic_read(vm->lapics, vp, 0x310) << 32;
	return val;
}

static void hv_apic_write(void *self, unsigned vp, uint32_t reg, uint64_t val)
{
	struct vm *vm = self;

	if (reg == 0x300)
		lapic_write(vm->lapics, vp, 0x310, (uint32_t)(val >> 32));
	lapic_write(vm->lapics, vp, reg, (uint32_t)val);
}

/* A guest's words, without what a terminal would obey. */
static void log_words(const char *text, size_t n)
{
	char line[300];

	n = min_u64(n, sizeof(line) - 1);
	for (size_t i = 0; i < n; i++)
		line[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '.';
	line[n] = '\0';
	log_warn("guest", "crash: %s", line);
}

static void hv_crash(void *self, unsigned vp, const uint64_t p[5], const char *text, size_t n)
{
	struct vm *vm = self;

	if (atomic_load(&vm->nr_crash) >= 10 || atomic_fetch_add(&vm->nr_crash, 1) >= 10)
		return;
	log_warn("guest", "processor %u reports a crash: %#llx %#llx %#llx %#llx %#llx", vp,
		 (unsigned long long)p[0], (unsigned long long)p[1], (unsigned long long)p[2],
		 (unsigned long long)p[3], (unsigned long long)p[4]);
	/* Line by line: a log line is short, the guest's text may be a page. */
	while (n > 0) {
		const char *nl = memchr(text, '\n', n);
		size_t len = nl == NULL ? n : (size_t)(nl - text);

		if (len > 0)
			log_words(text, len);
		text += len + (nl != NULL);
		n -= len + (nl != NULL);
	}
}

const struct hv_client vm_hv_client = {
	.raise = hv_raise, .flush_tlb = hv_flush, .reset = hv_ask_reset,
	.apic_read = hv_apic_read, .apic_write = hv_apic_write, .crash = hv_crash, .tsc = guest_tsc,
};

/* ---- hypervisor interface and VMBus ------------------------------------- */

static uint16_t port_post(void *self, unsigned vp, uint32_t conn, uint32_t type, const void *msg,
			  size_t n)
{
	struct vm *vm = self;
	uint16_t status;

	if (testconn_post(vm, conn, type, msg, n, &status))
		return status;
	return vmbus_post(vm->vmbus, vp, conn, type, msg, n);
}

static uint16_t port_signal(void *self, uint32_t conn, uint16_t flag)
{
	struct vm *vm = self;

	if (testconn_signal(vm, conn, flag))
		return 0;
	return vmbus_signal(vm->vmbus, conn, flag);
}

const struct hv_port vm_hv_port = { .post = port_post, .signal = port_signal };

#define VMBUS_MESSAGE 1u	/* [TLFS] 11.8.1: the type VMBus messages travel under */

static int bus_message(void *self, unsigned vp, unsigned sint, const void *msg, size_t n)
{
	struct vm *vm = self;

	return hv_synic_post(vm->hv, vp, sint, VMBUS_MESSAGE, msg, n);
}

static void bus_event(void *self, unsigned vp, unsigned sint, unsigned flag)
{
	struct vm *vm = self;

	hv_synic_signal(vm->hv, vp, sint, flag);
}

const struct vmbus_port vm_vmbus_port = { .message = bus_message, .event = bus_event };
