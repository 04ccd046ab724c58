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

/*
 * At least so many descriptors can be pushed now; 0: the ring is full, or `head` is unsound. Until the
 * next push it can only grow.
 */
uint32_t ring_room(struct ring_sender *s);

/* Push all `n` descriptors, in order, or none. 0, or -EAGAIN: no room for so many. */
int ring_push(struct ring_sender *s, const struct descriptor *d, uint32_t n);

/* Take up to `max` descriptors; `self` becomes their target. Returns how many. */
uint32_t ring_pop(struct ring_receiver *v, struct descriptor *d, uint32_t max, instance_id self);

/* Would ring_pop find one? One load. */
static inline bool ring_ready(const struct ring_receiver *v)
{
	uint64_t stamp = atomic_load_explicit(&v->ring->slot[v->head & v->mask].stamp,
					      memory_order_acquire);

	return (uint32_t)(stamp >> 32) == v->head + 1;
}

#endif
