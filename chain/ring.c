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

/* Room by the head as last seen; one that lies in the future or too far back leaves none. */
static uint32_t room(const struct ring_sender *s)
{
	uint32_t used = s->tail - s->head;

	return used > s->mask + 1 ? 0 : s->mask + 1 - used;
}

static uint32_t look(struct ring_sender *s)
{
	s->head = atomic_load_explicit(&s->ring->head, memory_order_acquire);
	return room(s);
}

/* The receiver's line is fetched only when the room last seen is used up. */
uint32_t ring_room(struct ring_sender *s)
{
	uint32_t seen = room(s);

	return seen ? seen : look(s);
}

int ring_push(struct ring_sender *s, const struct descriptor *d, uint32_t n)
{
	if (room(s) < n && look(s) < n)
		return -EAGAIN;
	for (uint32_t i = 0; i < n; i++) {
		struct ring_slot *slot = &s->ring->slot[s->tail & s->mask];

		s->tail++;
		atomic_store_explicit(&slot->where, (uint64_t)d[i].offset << 32 | d[i].length,
				      memory_order_relaxed);
		atomic_store_explicit(&slot->stamp, (uint64_t)s->tail << 32 | d[i].generation,
				      memory_order_release);
	}
	atomic_store_explicit(&s->ring->tail, s->tail, memory_order_relaxed);
	return 0;
}

uint32_t ring_pop(struct ring_receiver *v, struct descriptor *d, uint32_t max, instance_id self)
{
	uint32_t n = 0;

	for (; n < max; n++) {
		struct ring_slot *slot = &v->ring->slot[v->head & v->mask];
		uint64_t stamp = atomic_load_explicit(&slot->stamp, memory_order_acquire), where;

		if ((uint32_t)(stamp >> 32) != v->head + 1)
			break;
		/* Copied once and judged from the copy: the sender can still write to the slot. */
		where = atomic_load_explicit(&slot->where, memory_order_relaxed);
		d[n] = (struct descriptor){ .target = self, .generation = (uint32_t)stamp,
					    .offset = (uint32_t)(where >> 32),
					    .length = (uint32_t)where };
		v->head++;
	}
	if (n)
		atomic_store_explicit(&v->ring->head, v->head, memory_order_release);
	return n;
}
