/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one device: ivshmem-doorbell (PCI 1af4:1110, specs/ivshmem-spec of QEMU). On q35 the firmware
 * has given it addresses and configuration space is behind ports; on microvm there is no firmware
 * that does, and configuration space is memory (ECAM) at a fixed address.
 */
#include <errno.h>

#include "dataplanes/sure/unikernel/guest/guest.h"

enum {
	IVSHMEM = 0x11101af4,
	COMMAND = 0x04,
	BAR0 = 0x10,
	BAR1 = 0x14,
	BAR2 = 0x18,
	CAPABILITIES = 0x34,
	COMMAND_MEMORY = 2,
	COMMAND_MASTER = 4,
	CAPABILITY_MSIX = 0x11,
};

#define MSIX_ENABLE (UINT32_C(1) << 31)

/* hw/i386/microvm.c: ECAM, and 512 MiB for BARs below it. */
#define ECAM UINT64_C(0xe0000000)
#define BARS UINT64_C(0xc0000000)
#define BARS_END UINT64_C(0xe0000000)

struct config {
	bool memory;
	uint32_t slot; /* bus 0, device << 3 */
};

static uint32_t get(const struct config *c, uint32_t at)
{
	if (c->memory)
		return *(volatile uint32_t *)(ECAM + ((uint64_t)c->slot << 12) + at);
	out32(0xcf8, 0x80000000u | c->slot << 8 | at);
	return in32(0xcfc);
}

static void set(const struct config *c, uint32_t at, uint32_t v)
{
	if (c->memory) {
		*(volatile uint32_t *)(ECAM + ((uint64_t)c->slot << 12) + at) = v;
		return;
	}
	out32(0xcf8, 0x80000000u | c->slot << 8 | at);
	out32(0xcfc, v);
}

static bool find(struct config *c)
{
	for (c->slot = 0; c->slot < 256; c->slot += 8)
		if (get(c, 0) == IVSHMEM)
			return true;
	return false;
}

/* Size of the 64-bit BAR 2: what stays of ones written to it. */
static uint64_t window_bytes(const struct config *c)
{
	uint32_t low = get(c, BAR2), high = get(c, BAR2 + 4);
	uint64_t mask;

	set(c, BAR2, ~0u);
	set(c, BAR2 + 4, ~0u);
	mask = (uint64_t)get(c, BAR2 + 4) << 32 | (get(c, BAR2) & ~0xfu);
	set(c, BAR2, low);
	set(c, BAR2 + 4, high);
	return ~mask + 1;
}

static int place_bars(const struct config *c, uint64_t bytes)
{
	uint64_t at = BARS_END - bytes;

	if (bytes > BARS_END - BARS - LARGE_PAGE)
		return -ENODEV;
	set(c, BAR0, (uint32_t)BARS);
	set(c, BAR1, (uint32_t)(BARS + PAGE));
	set(c, BAR2, (uint32_t)at);
	set(c, BAR2 + 4, 0);
	return 0;
}

/* One vector, to this CPU. */
static int start_msix(const struct config *c, struct device *d)
{
	uint32_t at = get(c, CAPABILITIES) & 0xfc;
	volatile uint32_t *entry;

	while (at && (get(c, at) & 0xff) != CAPABILITY_MSIX)
		at = get(c, at) >> 8 & 0xfc;
	if (!at)
		return -ENODEV;
	entry = (volatile uint32_t *)(d->msix + (get(c, at + 4) & ~7u));
	entry[0] = 0xfee00000;
	entry[1] = 0;
	entry[2] = VECTOR_DOORBELL;
	entry[3] = 0;
	set(c, at, get(c, at) | MSIX_ENABLE);
	return 0;
}

int device_find(struct device *d)
{
	struct config c = {.memory = false};
	int err = 0;

	if (!find(&c)) {
		c.memory = true;
		if (!find(&c))
			return -ENODEV;
	}
	d->window_bytes = window_bytes(&c);
	if (c.memory)
		err = place_bars(&c, d->window_bytes);
	if (err)
		return err;
	set(&c, COMMAND, (get(&c, COMMAND) & 0xffff) | COMMAND_MEMORY | COMMAND_MASTER);
	d->registers = get(&c, BAR0) & ~0xfu;
	d->msix = get(&c, BAR1) & ~0xfu;
	d->window = (uint64_t)get(&c, BAR2 + 4) << 32 | (get(&c, BAR2) & ~0xfu);
	return start_msix(&c, d);
}
