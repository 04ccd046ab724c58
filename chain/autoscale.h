/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many instances of a function there should be: Knative's autoscaler (KPA) as a pure function of what
 * was observed and of the time. It starts, stops and reads nothing.
 *
 *     observed: requests in flight or waiting, averaged over buckets of stable/60 (Knative: 1 s)
 *
 *     |<----------------- stable window, 60 s ----------------->|
 *     [ ][ ][ ][ ][ ][ ][ ][ ][ ][ ][ ][ ] … [ ][ ][ ][ ][ ][ ][ ]  now
 *                                                |<- panic, 6 s ->|
 *
 *     wanted = average over the stable window / target, rounded up
 *     panic:   average over the panic window wants ≥ panic_threshold × the ready ones: then that counts,
 *              and nothing is taken away until a stable window after the last such moment
 *     zero:    the stable window is empty, and has been so for the grace period
 *
 * Sources: knative/serving, pkg/autoscaler/scaling/autoscaler.go (Scale), pkg/reconciler/autoscaling/kpa/
 * scaler.go (scale to zero) and the defaults of config/core/configmaps/autoscaler.yaml. One difference:
 * Knative leaves the grace period out when its activator has been in the path for as long; here the last
 * instance always stays for it.
 */
#ifndef PERHOP_CHAIN_AUTOSCALE_H
#define PERHOP_CHAIN_AUTOSCALE_H

#include <stdbool.h>
#include <stdint.h>

enum { AUTOSCALE_BUCKETS = 60 };

/* Times in ns, already scaled. */
struct autoscale_config {
	double target;              /* requests in flight that one instance should have, > 0 */
	unsigned min, max;          /* instances; min 0 allows none; min ≤ max, max ≥ 1 */
	uint64_t stable_ns;         /* 60 s; > 0 */
	uint64_t panic_ns;          /* 6 s: panic-window-percentage 10; ≤ stable_ns */
	uint64_t grace_ns;          /* 30 s: scale-to-zero-grace-period */
	double panic_threshold;     /* 2: panic-threshold-percentage 200 */
	double up_rate;             /* 1000: max-scale-up-rate, of the ready ones per decision; > 1 */
	double down_rate;           /* 2: max-scale-down-rate; > 1 */
};

struct autoscaler {
	struct autoscale_config c;
	double bucket[AUTOSCALE_BUCKETS];   /* requests × ns observed in it */
	uint64_t first_ns;          /* of all observations; 0: none yet */
	uint64_t newest;            /* number of the newest bucket, ns / bucket length */
	uint64_t panic_ns;          /* last moment above the threshold; 0: no panic */
	unsigned panic_most;        /* instances wanted during this panic */
	uint64_t idle_ns;           /* since when the stable window is empty; 0: it is not */
};

/* What was decided, and from what. */
struct autoscale_decision {
	unsigned want;              /* instances, within min … max */
	bool panic;
	double stable, recent;      /* average requests over the stable and the panic window */
};

void autoscale_open(struct autoscaler *a, const struct autoscale_config *c);

/* From `from_ns` to `to_ns` there were `requests` in flight or waiting, on average. Times only grow. */
void autoscale_observe(struct autoscaler *a, uint64_t from_ns, uint64_t to_ns, double requests);

/*
 * Decide. `ready`: instances that take requests; `waiting`: requests that wait because there is none, for
 * which one is wanted at once, whatever the windows say (Knative's activator pokes the autoscaler);
 * `at_least`: instances wanted in any case for now (pre-warming), which also counts as activity.
 */
struct autoscale_decision autoscale_decide(struct autoscaler *a, uint64_t now_ns, unsigned ready,
					   unsigned waiting, unsigned at_least);

/*
 * Is it time to pre-warm? Bursts come every `period_ns` from `origin_ns` on, the one at the origin not
 * counted; from `ahead_ns` before each until it comes: yes. period_ns 0: never.
 */
bool autoscale_prewarm(uint64_t now_ns, uint64_t origin_ns, uint64_t period_ns, uint64_t ahead_ns);

#endif
