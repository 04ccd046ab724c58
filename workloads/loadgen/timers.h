/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When which user is due: a binary heap of (time, user), for spawn, think and back-off. A user is
 * in it at most once and leaves it only by being due, so it needs neither removal nor allocation.
 */
#ifndef PERHOP_LOADGEN_TIMERS_H
#define PERHOP_LOADGEN_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct timer {
	uint64_t due_ns;            /* CLOCK_MONOTONIC */
	uint32_t user;
};

struct timers {
	struct timer *heap;
	uint32_t count, room;
};

/* Room for `room` timers. 0 or -ENOMEM. */
int timers_open(struct timers *t, uint32_t room);
void timers_close(struct timers *t);

/* Add one; the caller sees to it that there are never more than `room`. */
void timers_add(struct timers *t, uint64_t due_ns, uint32_t user);

/* Take the earliest into *out when it is due at `now_ns`. */
bool timers_take(struct timers *t, uint64_t now_ns, struct timer *out);

/* When the earliest is due; UINT64_MAX without one. */
static inline uint64_t timers_next(const struct timers *t)
{
	return t->count ? t->heap[0].due_ns : UINT64_MAX;
}

#endif
