/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library OS: what is between an emulated PC and chain/runtime.c. One CPU, one address space,
 * ring 0.
 *
 * Interrupts are off, but for the instruction that halts: they end a sleep and do nothing else. So
 * there is nothing to lock, and a handler never runs on top of a function.
 *
 * Virtual memory. What is not listed is not mapped: page 0, the physical addresses of the window.
 *
 *   0x00200000    image     code and constants read-only; .trusted key 1; data, bss
 *                 heap
 *                 a guard page, then the functions' stack
 *   … RAM end     trusted   page tables, the runtime and its stack; key 1
 *   0xc0000000    devices   the doorbell, key 1; on q35 where the firmware has put it
 *   0xfee00000    LAPIC     key 1
 *   0x100000000   window    key 1, but for the buffers: key 2, and key 0 while the function holds them
 */
#ifndef PERHOP_UNIKERNEL_GUEST_H
#define PERHOP_UNIKERNEL_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplanes/sure/unikernel/unikernel.h"

#define WINDOW_AT UINT64_C(0x100000000)
#define PAGE UINT64_C(4096)
#define LARGE_PAGE (UINT64_C(2) << 20)

enum { KEY_NONE = 0, KEY_TRUSTED = 1, KEY_CLOSED = 2 }; /* as in gate_entry.h */
enum { MAP_WRITE = 1 << 0, MAP_EXECUTE = 1 << 1, MAP_UNCACHED = 1 << 2, MAP_SUPERVISOR = 1 << 3 };
enum { VECTOR_DOORBELL = 0x40, VECTOR_TIMER = 0x41, VECTOR_SPURIOUS = 0xff };
enum { DOOR_FD = 1000 }; /* descriptor DOOR_FD + i is the doorbell of endpoint i */

#define TRUSTED __attribute__((section(".trusted")))
#define SUPERVISOR __attribute__((section(".supervisor")))

/* The ivshmem device as pci.c left it: physical addresses. */
struct device {
	uint64_t registers; /* BAR 0: IVPosition at 8, Doorbell at 12 */
	uint64_t msix; /* BAR 1: the vector table */
	uint64_t window, window_bytes; /* BAR 2 */
};

/* How to tell the host's time from the TSC. */
struct clock {
	uint64_t tsc_khz;
	uint64_t ahead_ns; /* the host's CLOCK_MONOTONIC is at least the TSC's ns and this */
	uint64_t realtime_ns; /* its CLOCK_REALTIME less CLOCK_MONOTONIC */
};

/* All that the library OS knows. In trusted memory; written by boot(). */
struct machine {
	struct unikernel_page *page;
	struct device device;
	volatile uint32_t *doorbell;
	volatile uint32_t *lapic;
	struct bell *bell; /* this instance's */
	struct clock clock;
	bool keys; /* protection keys are on */
	uint64_t *constants; /* page table entry of .constants */
	uint64_t *window_entries; /* page table entries of the window, one per 4 KiB; NULL: large
				     pages */
	uint8_t *trusted_next, *trusted_end; /* memory that guest_reserve gives out */
	uint8_t *heap, *heap_end; /* memory that malloc gives out */
	uint8_t *user_stack; /* its end */
};

extern struct machine machine;

/* cpu.c */
void cpu_setup(void); /* descriptor tables, LAPIC, SSE's masks */
void cpu_keys_on(void);
void cpu_halt(uint64_t timeout_ns); /* until an interrupt; 0: no time-out */
_Noreturn void cpu_exit(enum unikernel_exit why);
void clock_start(const struct unikernel_page *page);
uint64_t clock_monotonic(void);
uint64_t clock_realtime(void);
void clock_learn(uint64_t host_ns); /* the host's clock has been so far already */
void console(const char *text); /* to the host's stderr */
_Noreturn void guest_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline uint64_t cpu_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

/* pci.c: find and start the device. 0 or -ENODEV. Before memory_setup. */
int device_find(struct device *d);

/* memory.c: the final page tables; `body` goes on with them, on a trusted stack. */
_Noreturn void memory_enter(void (*body)(void));
void memory_key(uint64_t address, unsigned key); /* of one page of the window */
void memory_protect(void); /* .constants are constant from here on */
void *guest_reserve(struct deployment *d, size_t bytes);

/* alloc.c */
void heap_open(uint8_t *from, uint8_t *to);

/* boot.S */
extern char traps[];
_Noreturn void enter(void (*body)(void), void *stack, uint64_t page_tables);

/* link.ld */
extern uint8_t image_trusted[], image_constants[], image_supervisor[], image_data[], image_end[];

#endif
