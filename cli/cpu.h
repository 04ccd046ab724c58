/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the CPU went: each component by its own CPU clock, the generator by its own, and the whole
 * node by /proc/stat, since softirq time belongs to nobody.
 */
#ifndef PERHOP_CLI_CPU_H
#define PERHOP_CLI_CPU_H

#include <stdint.h>

#include "chain/deploy.h"
#include "cli/generator.h"

struct cpu_sample {
	uint64_t at_ns;             /* CLOCK_MONOTONIC */
	uint64_t component_ns[COMPONENT_MAX];
	uint64_t generator_ns;
	uint64_t busy_ns, steal_ns, total_ns; /* of all cores; total: their time, stolen included */
};

/* Take a sample now. `g` may be NULL: no generator. */
void cpu_sample(struct cpu_sample *s, const struct deployment *d, const struct generator *g);

/*
 * The instances of a function make one group, their sidecars another; both have the first one's name.
 * Called again, it takes in the components that have come since: groups stay what they were.
 */
struct cpu_groups {
	unsigned count;
	unsigned of[COMPONENT_MAX]; /* group of a component, CPU_NO_GROUP for the init */
	char name[COMPONENT_MAX][sizeof(((struct component *)0)->name)];
};
#define CPU_NO_GROUP (~0U)

void cpu_groups(struct cpu_groups *groups, const struct deployment *d);

/* CPU of each group between two samples, ns; `out` has room for groups->count. Returns the sum. */
uint64_t cpu_used(const struct cpu_groups *groups, const struct cpu_sample *from,
		  const struct cpu_sample *to, uint64_t *out);

/* CPU of each group over time, percent of one core; rows of groups->count values. */
struct cpu_series {
	unsigned step_ms, points, capacity, groups;
	float *percent;             /* NaN: the step has no sample */
};

/* For a run of `expected_ns`; the step grows so that it has ≤ 4096 points. 0 or -ENOMEM. */
int cpu_series_init(struct cpu_series *s, uint64_t expected_ns, unsigned groups);
void cpu_series_add(struct cpu_series *s, const struct cpu_groups *groups,
		    const struct cpu_sample *from, const struct cpu_sample *to, uint64_t start_ns);
void cpu_series_free(struct cpu_series *s);

#endif
