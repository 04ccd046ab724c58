/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables. Keys apply to pages with the user bit only, whatever ring the CPU is in: all pages
 * have it, save those that the CPU itself reads and writes while user code's keys are in force
 * (descriptor tables, the stack of traps). A protected page must have one address: memory is mapped
 * once, nothing twice.
 */
#include <string.h>

#include "dataplanes/sure/unikernel/guest/guest.h"

#define ENTRY_PRESENT UINT64_C(1)
#define ENTRY_WRITE UINT64_C(2)
#define ENTRY_USER UINT64_C(4)
#define ENTRY_UNCACHED UINT64_C(0x18)
#define ENTRY_LARGE UINT64_C(0x80)
#define ENTRY_NX (UINT64_C(1) << 63)
#define ENTRY_KEY_SHIFT 59
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)

enum {
	RESERVE_BYTES = 320 << 10, /* runtime, ports and their arrays: see domain.c … */
	RESERVE_PER_BUFFER = 32,
	STACK_BYTES = 256 << 10,
	TABLES_BYTES = 256 << 10, /* without those of the window */
	USER_STACK_BYTES = 512 << 10,
};

static uint8_t *take(size_t bytes)
{
	uint8_t *at = machine.trusted_next;

	bytes = (bytes + 63) & ~(size_t)63;
	if (bytes > (size_t)(machine.trusted_end - at))
		return NULL;
	machine.trusted_next += bytes;
	return at;
}

void *guest_reserve(struct deployment *d, size_t bytes)
{
	(void)d;
	return take(bytes);
}

/* RAM beyond the image is zero: nobody had it before. */
static uint64_t *new_table(void)
{
	uint64_t *t;

	machine.trusted_next =
		(uint8_t *)(((uintptr_t)machine.trusted_next + PAGE - 1) & ~(PAGE - 1));
	t = (uint64_t *)take(PAGE);
	if (!t)
		guest_panic("no memory for page tables");
	return t;
}

static uint64_t *next_table(uint64_t *table, uint64_t address, unsigned shift)
{
	uint64_t *entry = &table[address >> shift & 511];

	if (!*entry)
		*entry = (uint64_t)new_table() | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
	return (uint64_t *)(*entry & ENTRY_ADDRESS);
}

/* Map `bytes` at `physical` to `address`, by large pages where that goes. */
static void map(uint64_t *root, uint64_t address, uint64_t physical, uint64_t bytes, unsigned flags,
		unsigned key)
{
	uint64_t bits = ENTRY_PRESENT | (uint64_t)key << ENTRY_KEY_SHIFT |
			(flags & MAP_WRITE ? ENTRY_WRITE : 0) |
			(flags & MAP_EXECUTE ? 0 : ENTRY_NX) |
			(flags & MAP_UNCACHED ? ENTRY_UNCACHED : 0) |
			(flags & MAP_SUPERVISOR ? 0 : ENTRY_USER);

	while (bytes) {
		uint64_t *t = next_table(next_table(root, address, 39), address, 30);
		bool large = !((address | physical) & (LARGE_PAGE - 1)) && bytes >= LARGE_PAGE;
		uint64_t step = large ? LARGE_PAGE : PAGE;

		if (large) {
			t[address >> 21 & 511] = physical | bits | ENTRY_LARGE;
		} else {
			t = next_table(t, address, 21);
			t[address >> 12 & 511] = physical | bits;
		}
		address += step;
		physical += step;
		bytes -= step;
	}
}

static void map_same(uint64_t *root, const void *from, const void *to, unsigned flags, unsigned key)
{
	map(root, (uint64_t)from, (uint64_t)from, (uint64_t)to - (uint64_t)from, flags, key);
}

static void map_registers(uint64_t *root, uint64_t at)
{
	map(root, at, at, PAGE, MAP_WRITE | MAP_UNCACHED, KEY_TRUSTED);
}

static uint64_t *entry_of(uint64_t *root, uint64_t address)
{
	uint64_t *t =
		next_table(next_table(next_table(root, address, 39), address, 30), address, 21);

	return &t[address >> 12 & 511];
}

/* With keys, by small pages whose entries lie in one array, so that memory_key need not walk. */
static void map_window(uint64_t *root, const struct unikernel_page *page)
{
	const struct device *d = &machine.device;
	uint64_t n = d->window_bytes / PAGE, buffers, bits;
	uint64_t *entries, *middle;

	if (!machine.keys) {
		map(root, WINDOW_AT, d->window, d->window_bytes, MAP_WRITE, KEY_NONE);
		return;
	}
	entries = new_table();
	for (uint64_t i = 512; i < n; i += 512)
		new_table();
	buffers = (page->pool + page->pool_bytes -
		   (uint64_t)page->config.pool_buffers * page->config.buffer_bytes) /
		  PAGE;
	bits = ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER | ENTRY_NX;
	for (uint64_t i = 0; i < n; i++)
		entries[i] = (d->window + i * PAGE) | bits |
			     (uint64_t)(i < buffers ? KEY_TRUSTED : KEY_CLOSED) << ENTRY_KEY_SHIFT;
	for (uint64_t i = 0; i < n; i += 512) {
		middle = next_table(next_table(root, WINDOW_AT + i * PAGE, 39),
				    WINDOW_AT + i * PAGE, 30);
		middle[i / 512 & 511] =
			(uint64_t)(entries + i) | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
	}
	machine.window_entries = entries;
}

void memory_key(uint64_t address, unsigned key)
{
	uint64_t *entry = &machine.window_entries[(address - WINDOW_AT) / PAGE];

	*entry = (*entry & ~(UINT64_C(15) << ENTRY_KEY_SHIFT)) | (uint64_t)key << ENTRY_KEY_SHIFT;
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void memory_protect(void)
{
	*machine.constants &= ~ENTRY_WRITE;
	__asm__ volatile("invlpg (%0)" : : "r"(image_constants) : "memory");
}

/*
 *   image end        heap …                guard │ user's stack │ trusted
 *   └ heap                  heap_end ┘           └              └ 2 MiB-aligned         RAM end ┘
 */
static void divide_ram(const struct unikernel_page *page)
{
	uint64_t trusted =
		RESERVE_BYTES + STACK_BYTES + TABLES_BYTES +
		(uint64_t)page->config.pool_buffers * RESERVE_PER_BUFFER +
		(machine.keys ? machine.device.window_bytes / PAGE * sizeof(uint64_t) : 0);

	trusted = (trusted + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	if ((uint64_t)image_end + USER_STACK_BYTES + PAGE + trusted > page->ram_bytes)
		guest_panic("%llu MiB of RAM are too few",
			    (unsigned long long)page->ram_bytes >> 20);
	machine.trusted_end = (uint8_t *)page->ram_bytes;
	machine.trusted_next = machine.trusted_end - trusted;
	machine.user_stack = machine.trusted_next;
	machine.heap = image_end;
	machine.heap_end = machine.user_stack - USER_STACK_BYTES - PAGE;
}

_Noreturn void memory_enter(void (*body)(void))
{
	uint64_t in_window = (uint64_t)machine.page - machine.device.window, *root;
	uint8_t *stack;

	divide_ram(machine.page);
	root = new_table();
	stack = take(STACK_BYTES) + STACK_BYTES;
	map_same(root, (void *)0x200000, image_trusted, MAP_EXECUTE, KEY_NONE);
	map_same(root, image_trusted, image_constants, MAP_WRITE, KEY_TRUSTED);
	map_same(root, image_constants, image_supervisor, MAP_WRITE, KEY_NONE);
	machine.constants = entry_of(root, (uint64_t)image_constants);
	map_same(root, image_supervisor, image_data, MAP_WRITE | MAP_SUPERVISOR, KEY_NONE);
	map_same(root, image_data, machine.heap_end, MAP_WRITE, KEY_NONE);
	map_same(root, machine.user_stack - USER_STACK_BYTES, machine.user_stack, MAP_WRITE,
		 KEY_NONE);
	map_same(root, machine.user_stack, machine.trusted_end, MAP_WRITE, KEY_TRUSTED);
	map_registers(root, (uint64_t)machine.lapic);
	map_registers(root, machine.device.registers);
	map_window(root, machine.page);
	machine.page = (struct unikernel_page *)(WINDOW_AT + in_window);
	enter(body, stack, (uint64_t)root);
}
