/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "chain/ring.h"

size_t ring_bytes(uint32_t capacity)
{
	size_t bytes = sizeof(struct ring) + (size_t)capacity * sizeof(struct ring_slot);

	return (bytes + 63) & ~(size_t)63;
}

static bool capacity_ok(uint32_t capacity)
{
	return capacity && capacity <= RING_CAPACITY_MAX && !(capacity & (capacity - 1));
}

static uint32_t slot_number(struct ring *r, uint32_t at)
{
	return (uint32_t)(atomic_load_explicit(&r->slot[at].stamp, memory_order_acquire) >> 32);
}

int ring_sender_open(struct ring_sender *s, struct ring *r, uint32_t capacity)
{
	if (!capacity_ok(capacity))
		return -EINVAL;
	s->ring = r;
	s->mask = capacity - 1;
	s->tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	s->head = atomic_load_explicit(&r->head, memory_order_acquire);
	/* The predecessor may have died between making a push visible and counting it. */
	for (uint32_t i = 0; i < capacity && slot_number(r, s->tail & s->mask) == s->tail + 1; i++)
		s->tail++;
	return 0;
}

int ring_receiver_open(struct ring_receiver *v, struct ring *r, uint32_t capacity)
{
	if (!capacity_ok(capacity))
		return -EINVAL;
	v->ring = r;
	v->mask = capacity - 1;
	v->head = atomic_load_explicit(&r->head, memory_order_relaxed);
	return 0;
}
