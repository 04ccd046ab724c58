/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The activator of kernel:knative,scale=zero: where requests for a function wait while it has no instance,
 * and what the autoscaler is told. It is a queue-proxy (queue_proxy.h) before many pods instead of one; here
 * is what they share with the supervisor.
 *
 *     broker ──> [read whole] ──> [queue, bounded] ──> the open pod with the fewest requests, < limit
 *                                      │
 *                                      └── eventfd: the supervisor is to start one
 *
 * One process per function, all in one pod, always in the path, as Knative's is with
 * target-burst-capacity: -1 (with the default of 200 it is until there are some dozens of pods).
 */
#ifndef PERHOP_KERNEL_ACTIVATOR_H
#define PERHOP_KERNEL_ACTIVATOR_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/route.h"
#include "chain/scaling.h"

/* In memory that the supervisor and the activators share; zero at first. */
struct activator_shared {
	struct {                    /* by the function's activator; `sequence` is odd while it writes */
		alignas(64) _Atomic uint32_t sequence;
		_Atomic uint32_t requests;  /* in flight or waiting since `at` */
		_Atomic uint32_t waiting;
		_Atomic uint64_t area, at;  /* requests × ns until `at`, CLOCK_MONOTONIC */
	} function[FUNCTION_MAX];
	struct {
		alignas(64) _Atomic uint32_t open;  /* by the supervisor: requests may go there */
		_Atomic uint32_t busy;              /* by the activator: requests that are there */
	} pod[INSTANCE_MAX];
};

/* A function's activator. What it points to outlives it. */
struct activator {
	struct activator_shared *shared;
	const struct board *board;
	const struct sockaddr_in *pod;      /* [instance] */
	function_id function;
	unsigned limit;                     /* requests in one pod at a time */
	int wake_fd;                        /* eventfd, non-blocking: a pod has opened */
	int poke_fd;                        /* eventfd: somebody waits, and no pod is open */
};

/* How many pods there can be. */
static inline unsigned activator_pods(const struct activator *a)
{
	return a->board->of[a->function].count;
}

/* An open pod with less than `limit` requests, the least busy one, now with one more; INSTANCE_NONE. */
instance_id activator_pick(const struct activator *a);

/* The request that activator_pick has placed there has ended. */
void activator_done(const struct activator *a, instance_id id);

/* From now on so many wait and so many are in pods. */
void activator_tell(const struct activator *a, uint64_t now_ns, unsigned waiting, unsigned in_pods);

/* Supervisor: what the activator of `f` has told. */
void activator_demand(struct activator_shared *s, function_id f, uint64_t now_ns, struct demand *out);

#endif
