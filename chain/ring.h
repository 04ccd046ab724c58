/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded queue of descriptors in shared memory, from one sender to one receiver.
 *
 * Why one ring per pair, and not one per receiver that all senders share: in every multi-producer ring
 * a sender first claims a slot and then fills it. One that is killed in between leaves a hole that the
 * receiver must wait for, and nobody can tell a dead sender from a slow one. Here a message exists
 * when a single store has made it visible, or not at all.
 *
 * Nor are there shared indices to agree on. Every slot carries the number of the push that filled it,
 * and the receiver, who alone knows which number comes next, looks at that slot and no other:
 *
 *      slot      0        1        2        3         capacity 4
 *             +--------+--------+--------+--------+
 *     number  |   5    |   6    |   3    |   4    |   6 pushes so far
 *             +--------+--------+--------+--------+
 *                          ^        ^
 *                          |        next: awaits 7, sees 3: empty
 *                          the last one taken
 *
 * So an empty poll reads one cache line that stays in the receiver's cache, and a hop moves one line:
 * the number and the descriptor come together, four descriptors to the line.
 *
 * What a hostile peer can do: the sender writes slots, so it can put any descriptor there, which
 * pool_accept judges; a wrong number looks like an empty slot. The receiver writes `head`, by which
 * the sender sees room; one that is not within the last `capacity` pushes counts as "no room". The
 * capacity itself is in nobody's reach but the process's own. Nobody reads out of bounds and nobody
 * waits inside a ring function.
 */
#ifndef PERHOP_CHAIN_RING_H
#define PERHOP_CHAIN_RING_H

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/pool.h"

enum { RING_CAPACITY_MAX = 1 << 20 };

struct ring_slot {
	_Atomic uint64_t stamp;     /* number of the push << 32 | generation: written last */
	_Atomic uint64_t where;     /* offset << 32 | length */
};

/* In shared memory, zeroed before use. ring_bytes says how much of it there must be. */
struct ring {
	alignas(64) _Atomic uint32_t tail;  /* pushes so far: for a sender that starts again */
	alignas(64) _Atomic uint32_t head;  /* descriptors taken so far */
	alignas(64) struct ring_slot slot[];
};

/* The sender's end, private to its process. */
struct ring_sender {
	struct ring *ring;
	uint32_t mask, tail;
	uint32_t head;              /* as last seen */
};

/* The receiver's end, private to its process. */
struct ring_receiver {
	struct ring *ring;
	uint32_t mask, head;
};

/* Bytes of a ring of `capacity` descriptors, a multiple of 64. */
size_t ring_bytes(uint32_t capacity);

/*
 * Take an end of `r`. `capacity` is the same at both ends: a power of two up to RING_CAPACITY_MAX, else
 * -EINVAL. A process started again goes on where its predecessor stopped; what that one had taken and
 * not yet reported comes once more, and pool_accept refuses it.
 */
int ring_sender_open(struct ring_sender *s, struct ring *r, uint32_t capacity);
int ring_receiver_open(struct ring_receiver *v, struct ring *r, uint32_t capacity);

/* ---- The path of every hop: inline, for a call is a tenth of what a cache line takes to cross ---------- */

/* Room by the head as last seen; one that lies in the future or too far back leaves none. */
static inline uint32_t ring_room_seen(const struct ring_sender *s)
{
	uint32_t used = s->tail - s->head;

	return used > s->mask + 1 ? 0 : s->mask + 1 - used;
}

static inline uint32_t ring_look(struct ring_sender *s)
{
	s->head = atomic_load_explicit(&s->ring->head, memory_order_acquire);
	return ring_room_seen(s);
}

/*
 * At least so many descriptors can be pushed now; 0: the ring is full, or `head` is unsound. Until the
 * next push it can only grow. The receiver's line is fetched only when the room last seen is used up.
 */
static inline uint32_t ring_room(struct ring_sender *s)
{
	uint32_t seen = ring_room_seen(s);

	return seen ? seen : ring_look(s);
}

/* Push all `n` descriptors, in order, or none. 0, or -EAGAIN: no room for so many. */
static inline int ring_push(struct ring_sender *s, const struct descriptor *d, uint32_t n)
{
	struct ring *r = s->ring;
	uint32_t tail = s->tail;

	if (ring_room_seen(s) < n && ring_look(s) < n)
		return -EAGAIN;
	for (uint32_t i = 0; i < n; i++) {
		struct ring_slot *slot = &r->slot[tail++ & s->mask];

		atomic_store_explicit(&slot->where, (uint64_t)d[i].offset << 32 | d[i].length,
				      memory_order_relaxed);
		atomic_store_explicit(&slot->stamp, (uint64_t)tail << 32 | d[i].generation,
				      memory_order_release);
	}
	s->tail = tail;
	atomic_store_explicit(&r->tail, tail, memory_order_relaxed);
	return 0;
}

/* Would ring_pop find one? One load. */
static inline bool ring_ready(const struct ring_receiver *v)
{
	uint64_t stamp = atomic_load_explicit(&v->ring->slot[v->head & v->mask].stamp,
					      memory_order_acquire);

	return (uint32_t)(stamp >> 32) == v->head + 1;
}

/* Take up to `max` descriptors; `self` becomes their target. Returns how many. */
static inline uint32_t ring_pop(struct ring_receiver *v, struct descriptor *d, uint32_t max, instance_id self)
{
	struct ring *r = v->ring;
	const uint32_t first = v->head;
	uint32_t n = 0;

	for (; n < max; n++) {
		struct ring_slot *slot = &r->slot[(first + n) & v->mask];
		uint64_t stamp = atomic_load_explicit(&slot->stamp, memory_order_acquire), where;

		if ((uint32_t)(stamp >> 32) != first + n + 1)
			break;
		/* Copied once and judged from the copy: the sender can still write to the slot. */
		where = atomic_load_explicit(&slot->where, memory_order_relaxed);
		d[n].target = self;
		d[n].generation = (uint32_t)stamp;
		d[n].offset = (uint32_t)(where >> 32);
		d[n].length = (uint32_t)where;
	}
	if (!n)
		return 0;
	v->head = first + n;
	atomic_store_explicit(&r->head, first + n, memory_order_release);
	return n;
}

#endif
