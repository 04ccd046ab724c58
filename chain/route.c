/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "chain/route.h"

function_id route_next(const struct board *b, uint16_t topic, function_id current,
		       unsigned position, unsigned skip)
{
	uint32_t length;

	if (topic >= b->topics)
		return FUNCTION_NONE;
	length = atomic_load_explicit(&b->sequence[topic].length, memory_order_acquire);
	if (length > SEQUENCE_MAX || skip >= SEQUENCE_MAX || position + skip + 1 >= length ||
	    b->sequence[topic].function[position] != current)
		return FUNCTION_NONE;
	return b->sequence[topic].function[position + skip + 1];
}

int route_update(struct board *b, uint16_t topic, const function_id *sequence, unsigned length)
{
	if (topic >= TOPIC_MAX || !length || length > SEQUENCE_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < length; i++)
		if (sequence[i] >= b->functions)
			return -EINVAL;
	/* Shortened first: a reader in between ends its chain early, it never takes a wrong hop. */
	atomic_store_explicit(&b->sequence[topic].length, 0, memory_order_release);
	for (unsigned i = 0; i < length; i++)
		b->sequence[topic].function[i] = sequence[i];
	atomic_store_explicit(&b->sequence[topic].length, length, memory_order_release);
	return 0;
}

/* Invocations that `line` can still take at once; negative when some wait already. */
static int32_t residual(const struct instance_line *line)
{
	return line->concurrency - atomic_load_explicit(&line->load, memory_order_relaxed);
}

/* The ready instance with the greatest residual capacity. */
static instance_id best_of(const struct board *b, function_id function, int *why)
{
	instance_id best = INSTANCE_NONE;
	int32_t most = INT32_MIN;
	uint32_t count;

	*why = -EPIPE;
	if (function >= b->functions)
		return INSTANCE_NONE;
	count = b->of[function].count;
	for (uint32_t i = 0; i < count; i++) {
		instance_id id = b->of[function].at[i];
		int32_t left;

		if (atomic_load_explicit(&b->line[id].state, memory_order_acquire) != INSTANCE_READY)
			continue;
		left = residual(&b->line[id]);
		if (left <= -(int32_t)b->line[id].backlog) {
			*why = -EAGAIN;
			continue;
		}
		if (left > most) {
			most = left;
			best = id;
		}
	}
	return best;
}

instance_id route_pick(struct board *b, function_id function, int *why)
{
	instance_id id;

	/*
	 * Announce first, look again then. The supervisor drains in the reverse order: it sets DRAINING, then
	 * reads the load. Both being sequentially consistent, either it sees this invocation or we its word.
	 */
	while ((id = best_of(b, function, why)) != INSTANCE_NONE) {
		atomic_fetch_add(&b->line[id].load, 1);
		if (atomic_load(&b->line[id].state) == INSTANCE_READY)
			break;
		atomic_fetch_sub(&b->line[id].load, 1);
	}
	return id;
}

void route_done(struct board *b, instance_id instance)
{
	_Atomic int32_t *load = &b->line[instance].load;

	/* Where a broker picks the instance nobody raised the load: it stays at zero. */
	if (atomic_fetch_sub_explicit(load, 1, memory_order_relaxed) <= 0)
		atomic_fetch_add_explicit(load, 1, memory_order_relaxed);
}

void route_lost(struct board *b, const struct message *m, instance_id to)
{
	const bool answer = m->kind == MESSAGE_ANSWER && m->depth && m->depth <= MESSAGE_DEPTH_MAX;

	if (to >= b->instances || m->kind == MESSAGE_REPLY)
		return;
	if (!answer || m->stack[m->depth - 1].instance != to)
		route_done(b, to);
}

void route_unwind(struct board *b, const struct message *m)
{
	for (unsigned i = 0; i < m->depth && i < MESSAGE_DEPTH_MAX; i++)
		if (m->stack[i].instance < b->instances)
			route_done(b, m->stack[i].instance);
}
