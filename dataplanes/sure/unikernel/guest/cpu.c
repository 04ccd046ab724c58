/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPU: descriptor tables, traps, sleeping, the clock.
 *
 * The clock is the host's CLOCK_MONOTONIC: bells and requests carry its stamps. The guest's TSC
 * runs at the host's rate from an unknown start. It learns that from the bells: each carries the
 * time when it was rung, so at its arrival the clock must be past that. The greatest such bound is
 * kept; it falls short by the fastest wake-up there was, never goes back, and before the first bell
 * by the time it took to boot.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplanes/sure/gate_entry.h"
#include "dataplanes/sure/unikernel/guest/guest.h"

enum {
	LAPIC_ID = 0x20 / 4,
	LAPIC_EOI = 0xb0 / 4,
	LAPIC_SPURIOUS = 0xf0 / 4,
	LAPIC_TIMER = 0x320 / 4,
	LAPIC_INITIAL = 0x380 / 4,
	LAPIC_DIVIDE = 0x3e0 / 4,
	LAPIC_ON = 1 << 8,
	LAPIC_DIVIDE_1 = 0xb,
	TRAP_STACK_BYTES = 8192,
	FAULT_PAGE = 14,
	SELECTOR_CODE = 8,
	SELECTOR_DATA = 16,
	SELECTOR_TASK = 24,
};

#define LAPIC_AT UINT64_C(0xfee00000)
#define FAULT_KEY UINT64_C(0x20)
#define CR4_FSGSBASE (UINT64_C(1) << 16)
#define CR4_PKE (UINT64_C(1) << 22)

struct trap_frame {
	uint64_t saved[9], vector, error, rip, cs, flags, rsp, ss;
};

struct __attribute__((packed)) interrupt_gate {
	uint16_t low, selector;
	uint8_t stack, type;
	uint16_t middle;
	uint32_t high, zero;
};

struct __attribute__((packed)) task_state {
	uint32_t reserved;
	uint64_t rsp[3], reserved_2, ist[7], reserved_3;
	uint16_t reserved_4, io_map;
};

struct __attribute__((packed)) table_address {
	uint16_t limit;
	uint64_t base;
};

TRUSTED struct machine machine = {.lapic = (volatile uint32_t *)LAPIC_AT};

/* What the CPU itself reads and writes while user code's keys are in force. */
SUPERVISOR static struct interrupt_gate gates[256];
SUPERVISOR static struct task_state task;
SUPERVISOR static uint64_t descriptors[5] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
SUPERVISOR static uint8_t trap_stack[TRAP_STACK_BYTES] __attribute__((aligned(16)));

/* Before it, at fs:0x28, what -fstack-protector compares with. */
static uint64_t thread_block[8] = {[5] = 0x00a7c15d3e96f248};

/* ---- Talking to the host --------------------------------------------------------------------- */

void console(const char *text)
{
	while (*text)
		out8(UNIKERNEL_DEBUG_PORT, (uint8_t)*text++);
}

_Noreturn void cpu_exit(enum unikernel_exit why)
{
	out8(UNIKERNEL_EXIT_PORT, (uint8_t)why);
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void guest_panic(const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	console("perhop: unikernel: ");
	console(text);
	console("\n");
	cpu_exit(UNIKERNEL_EXIT_FAILED);
}

/* ---- Traps ----------------------------------------------------------------------------------- */

static const char *where(uint64_t address)
{
	if (!gate_page.base)
		return "";
	if (address >= gate_page.base && address < gate_page.buffers)
		return " in trusted memory";
	if (address >= gate_page.buffers && address < gate_page.end)
		return " in a buffer that it does not hold";
	return "";
}

/* The key of a page of the window, or of trusted memory elsewhere. */
static int32_t key_of(uint64_t address)
{
	uint64_t i = (address - WINDOW_AT) / PAGE;

	if (address < WINDOW_AT || i >= machine.device.window_bytes / PAGE)
		return KEY_TRUSTED;
	return (int32_t)(machine.window_entries[i] >> 59 & 15);
}

/*
 * A function did what it must not, or the library OS is wrong: say what, and end. The host restarts
 * it.
 */
static _Noreturn void fault(const struct trap_frame *f)
{
	struct gate_violation *v = gate_page.violation;
	const char *name = gate_page.name ? gate_page.name : "(starting)";
	uint64_t address = 0;
	int32_t key = -1;
	char text[256], what[96];

	if (f->vector == FAULT_PAGE) {
		__asm__ volatile("mov %%cr2, %0" : "=r"(address));
		key = f->error & FAULT_KEY ? key_of(address) : -1;
		snprintf(what, sizeof(what), "touched 0x%llx%s, key %d",
			 (unsigned long long)address, where(address), key);
		if (key < 0)
			snprintf(what, sizeof(what), "touched 0x%llx%s, key none",
				 (unsigned long long)address, where(address));
	} else {
		snprintf(what, sizeof(what), "trap %u, error 0x%llx", (unsigned)f->vector,
			 (unsigned long long)f->error);
	}
	if (v) {
		v->address = address;
		v->instruction = f->rip;
		v->key = key;
		v->signal = 11;
		v->count++;
	}
	snprintf(text, sizeof(text),
		 "perhop: function %s violated its domain: %s, at 0x%llx; its guest is ended\n",
		 name, what, (unsigned long long)f->rip);
	console(text);
	cpu_exit(UNIKERNEL_EXIT_FAULT);
}

void trap(const struct trap_frame *f);

void trap(const struct trap_frame *f)
{
	if (f->vector < VECTOR_DOORBELL)
		fault(f);
	if (f->vector != VECTOR_SPURIOUS)
		machine.lapic[LAPIC_EOI] = 0;
}

static void set_traps(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)traps + 16ull * i;

		gates[i] = (struct interrupt_gate){.low = (uint16_t)at,
						   .selector = SELECTOR_CODE,
						   .stack = 1,
						   .type = 0x8e,
						   .middle = (uint16_t)(at >> 16),
						   .high = (uint32_t)(at >> 32)};
	}
}

void cpu_setup(void)
{
	struct table_address idt = {sizeof(gates) - 1, (uint64_t)gates};
	struct table_address gdt = {sizeof(descriptors) - 1, (uint64_t)descriptors};
	uint64_t base = (uint64_t)&task;

	set_traps();
	task.ist[0] = (uint64_t)(trap_stack + sizeof(trap_stack));
	task.io_map = sizeof(task);
	descriptors[3] = (sizeof(task) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
			 (base >> 24 & 0xff) << 56;
	descriptors[4] = base >> 32;
	__asm__ volatile("lgdt %0\n\tlidt %1\n\tltr %w2"
			 :
			 : "m"(gdt), "m"(idt), "r"(SELECTOR_TASK)
			 : "memory");
	__asm__ volatile("wrmsr"
			 :
			 : "c"(0xc0000100), "a"((uint32_t)(uint64_t)thread_block), "d"(0));
	out8(0x21, 0xff); /* the old interrupt controllers, where there are any, are silent */
	out8(0xa1, 0xff);
	machine.lapic[LAPIC_SPURIOUS] = LAPIC_ON | VECTOR_SPURIOUS;
	machine.lapic[LAPIC_DIVIDE] = LAPIC_DIVIDE_1;
	machine.lapic[LAPIC_TIMER] = VECTOR_TIMER;
}

/* Protection keys, and FSGSBASE, for which the gate's way back restores fs. */
void cpu_keys_on(void)
{
	uint32_t a = 7, b, c = 0, d;
	uint64_t cr4;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(c & 1u << 3) || !(b & 1))
		guest_panic("the virtual CPU has no protection keys");
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_PKE | CR4_FSGSBASE;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
	machine.keys = true;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* The functions' own: they ask for the time, too, and may spoil it for themselves only. */
static struct clock public_clock;

static const struct clock *my_clock(void)
{
	uint32_t pkru, high;

	if (gate_page.mode != GATE_MPK)
		return &machine.clock;
	__asm__ volatile("rdpkru" : "=a"(pkru), "=d"(high) : "c"(0));
	return pkru & 3u << 2 * KEY_TRUSTED ? &public_clock : &machine.clock;
}

static uint64_t tsc_ns(const struct clock *c)
{
	return (uint64_t)((unsigned __int128)cpu_tsc() * 1000000 / c->tsc_khz);
}

uint64_t clock_monotonic(void)
{
	const struct clock *c = my_clock();

	return tsc_ns(c) + c->ahead_ns;
}

uint64_t clock_realtime(void)
{
	return clock_monotonic() + my_clock()->realtime_ns;
}

void clock_start(const struct unikernel_page *page)
{
	machine.clock = (struct clock){.tsc_khz = page->tsc_khz,
				       .ahead_ns = page->start_ns,
				       .realtime_ns = (uint64_t)page->realtime_ns};
	public_clock = machine.clock;
}

void clock_learn(uint64_t host_ns)
{
	uint64_t now = tsc_ns(&machine.clock);

	if (host_ns <= now || host_ns - now <= machine.clock.ahead_ns)
		return;
	machine.clock.ahead_ns = host_ns - now;
	public_clock.ahead_ns = machine.clock.ahead_ns;
}

/*
 * The LAPIC's timer counts nanoseconds, on QEMU and on KVM, 32 bits of them: who waits longer wakes
 * early.
 */
void cpu_halt(uint64_t timeout_ns)
{
	if (timeout_ns)
		machine.lapic[LAPIC_INITIAL] =
			timeout_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)timeout_ns;
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	if (timeout_ns)
		machine.lapic[LAPIC_INITIAL] = 0;
}
