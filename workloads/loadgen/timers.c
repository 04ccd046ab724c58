/* SPDX-License-Identifier: BSD-2-Clause */
#include "workloads/loadgen/timers.h"

#include <errno.h>
#include <stdlib.h>

int timers_open(struct timers *t, uint32_t room)
{
	t->heap = calloc(room ? room : 1, sizeof(*t->heap));
	t->count = 0;
	t->room = room;
	return t->heap ? 0 : -ENOMEM;
}

void timers_close(struct timers *t)
{
	free(t->heap);
	t->heap = NULL;
	t->count = t->room = 0;
}

void timers_add(struct timers *t, uint64_t due_ns, uint32_t user)
{
	uint32_t i = t->count++;

	while (i) {
		uint32_t parent = (i - 1) / 2;

		if (t->heap[parent].due_ns <= due_ns)
			break;
		t->heap[i] = t->heap[parent];
		i = parent;
	}
	t->heap[i] = (struct timer){ due_ns, user };
}

bool timers_take(struct timers *t, uint64_t now_ns, struct timer *out)
{
	struct timer last;
	uint32_t i = 0;

	if (!t->count || t->heap[0].due_ns > now_ns)
		return false;
	*out = t->heap[0];
	last = t->heap[--t->count];
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= t->count)
			break;
		if (child + 1 < t->count && t->heap[child + 1].due_ns < t->heap[child].due_ns)
			child++;
		if (t->heap[child].due_ns >= last.due_ns)
			break;
		t->heap[i] = t->heap[child];
		i = child;
	}
	t->heap[i] = last;
	return true;
}
