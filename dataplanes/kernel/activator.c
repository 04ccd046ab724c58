/* SPDX-License-Identifier: BSD-2-Clause */
#include <unistd.h>

#include "dataplanes/kernel/activator.h"

static instance_id least_busy(const struct activator *a)
{
	const struct board *b = a->board;
	instance_id best = INSTANCE_NONE;
	uint32_t least = a->limit;

	for (uint32_t i = 0; i < b->of[a->function].count; i++) {
		const instance_id id = b->of[a->function].at[i];
		const uint32_t busy = atomic_load(&a->shared->pod[id].busy);

		if (atomic_load(&a->shared->pod[id].open) && busy < least) {
			least = busy;
			best = id;
		}
	}
	return best;
}

/* As in route_pick: announced first, looked at again then, so that none is missed by who drains. */
instance_id activator_pick(const struct activator *a)
{
	instance_id id;

	while ((id = least_busy(a)) != INSTANCE_NONE) {
		atomic_fetch_add(&a->shared->pod[id].busy, 1);
		if (atomic_load(&a->shared->pod[id].open))
			break;
		atomic_fetch_sub(&a->shared->pod[id].busy, 1);
	}
	return id;
}

void activator_done(const struct activator *a, instance_id id)
{
	atomic_fetch_sub(&a->shared->pod[id].busy, 1);
}

static bool any_open(const struct activator *a)
{
	const struct board *b = a->board;

	for (uint32_t i = 0; i < b->of[a->function].count; i++)
		if (atomic_load(&a->shared->pod[b->of[a->function].at[i]].open))
			return true;
	return false;
}

void activator_tell(const struct activator *a, uint64_t now_ns, unsigned waiting, unsigned in_pods)
{
	__typeof__(a->shared->function[0]) *f = &a->shared->function[a->function];
	const uint32_t before = atomic_load(&f->requests);

	if (before == waiting + in_pods && atomic_load(&f->waiting) == waiting)
		return;
	atomic_fetch_add(&f->sequence, 1);
	if (atomic_load(&f->at))
		atomic_fetch_add(&f->area, before * (now_ns - atomic_load(&f->at)));
	atomic_store(&f->at, now_ns);
	atomic_store(&f->requests, waiting + in_pods);
	atomic_store(&f->waiting, waiting);
	atomic_fetch_add(&f->sequence, 1);
	if (waiting && !any_open(a))
		(void)!write(a->poke_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void activator_demand(struct activator_shared *s, function_id f, uint64_t now_ns, struct demand *out)
{
	__typeof__(s->function[0]) *of = &s->function[f];
	uint32_t sequence, requests;
	uint64_t at;

	/* A writer that was killed midway would leave it odd: then the last words have to do. */
	for (int tries = 0; tries < 1000; tries++) {
		sequence = atomic_load(&of->sequence);
		requests = atomic_load(&of->requests);
		at = atomic_load(&of->at);
		out->area = atomic_load(&of->area);
		out->waiting = atomic_load(&of->waiting);
		if (!(sequence & 1) && atomic_load(&of->sequence) == sequence)
			break;
	}
	if (at && now_ns > at)
		out->area += requests * (now_ns - at);
}
