/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/cpu.h"

enum { SERIES_STEP_MS = 100, SERIES_POINTS_MAX = 4096 };

/*
 * First line of /proc/stat, in ticks of 1/100 s:
 *     cpu  user nice system idle iowait irq softirq steal guest guest_nice
 * guest time is contained in user.
 */
static void node_sample(struct cpu_sample *s)
{
	unsigned long long v[8] = { 0 };
	uint64_t tick = NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	FILE *f = fopen("/proc/stat", "re");
	int i, n;

	s->busy_ns = s->steal_ns = s->total_ns = 0;
	if (!f)
		return;
	n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
		   &v[4], &v[5], &v[6], &v[7]);
	fclose(f);
	if (n != 8)
		return;
	for (i = 0; i < 8; i++)
		s->total_ns += v[i] * tick;
	s->busy_ns = (v[0] + v[1] + v[2] + v[5] + v[6]) * tick;
	s->steal_ns = v[7] * tick;
}

void cpu_sample(struct cpu_sample *s, const struct deployment *d, const struct generator *g)
{
	unsigned i;

	memset(s->component_ns, 0, sizeof(s->component_ns));
	for (i = 0; i < deploy_components(d); i++)
		s->component_ns[i] = deploy_cpu_ns(d, i);
	s->generator_ns = g ? generator_cpu_ns(g) : 0;
	s->at_ns = clock_now_ns();
	node_sample(s);
}

/* Name of the component of component i's kind that belongs to the first instance of its function. */
static const char *first_of(const struct deployment *d, unsigned i)
{
	const struct component *c = deploy_component(d, i);
	instance_id first;

	if (i >= d->components) {
		i -= d->components;
		d = d->node->other;
	}
	if (c->instance == INSTANCE_NONE || c->instance == GATEWAY)
		return c->name;
	first = d->board->of[d->board->line[c->instance].function].at[0];
	for (unsigned j = 0; j < d->components; j++)
		if (d->component[j].instance == first && d->component[j].kind == c->kind)
			return d->component[j].name;
	return c->name;
}

void cpu_groups(struct cpu_groups *groups, const struct deployment *d)
{
	unsigned i, j;

	groups->count = 0;
	for (i = 0; i < COMPONENT_MAX; i++)
		groups->of[i] = CPU_NO_GROUP;
	for (i = 0; i < deploy_components(d); i++) {
		/* The namespace's init waits for children: it is the harness, not the chain. */
		if (deploy_component(d, i)->kind == COMPONENT_INIT)
			continue;
		for (j = 0; j < groups->count; j++)
			if (!strcmp(groups->name[j], first_of(d, i)))
				break;
		if (j == groups->count)
			memcpy(groups->name[groups->count++], first_of(d, i),
			       sizeof(groups->name[0]));
		groups->of[i] = j;
	}
}

uint64_t cpu_used(const struct cpu_groups *groups, const struct cpu_sample *from,
		  const struct cpu_sample *to, uint64_t *out)
{
	uint64_t sum = 0, used;
	unsigned i;

	memset(out, 0, groups->count * sizeof(*out));
	for (i = 0; i < COMPONENT_MAX; i++) {
		/* One that has just died may have no clock any more: then nothing is added. */
		if (groups->of[i] == CPU_NO_GROUP || to->component_ns[i] < from->component_ns[i])
			continue;
		used = to->component_ns[i] - from->component_ns[i];
		out[groups->of[i]] += used;
		sum += used;
	}
	return sum;
}

int cpu_series_init(struct cpu_series *s, uint64_t expected_ns, unsigned groups)
{
	uint64_t steps = expected_ns / (SERIES_STEP_MS * NS_PER_MS) / SERIES_POINTS_MAX + 1;

	s->step_ms = (unsigned)steps * SERIES_STEP_MS;
	s->points = 0;
	s->groups = groups;
	s->capacity = SERIES_POINTS_MAX;
	s->percent = calloc((size_t)s->capacity * groups + 1, sizeof(*s->percent));
	return s->percent ? 0 : -ENOMEM;
}

void cpu_series_add(struct cpu_series *s, const struct cpu_groups *groups,
		    const struct cpu_sample *from, const struct cpu_sample *to, uint64_t start_ns)
{
	/* The step in which most of the sampled time lies. */
	uint64_t middle = from->at_ns + (to->at_ns - from->at_ns) / 2 - start_ns;
	uint64_t point = middle / (s->step_ms * NS_PER_MS);
	uint64_t used[COMPONENT_MAX];
	double wall = (double)(to->at_ns - from->at_ns);
	unsigned i;

	if (!s->percent || point >= s->capacity || wall <= 0)
		return;
	for (; s->points <= point; s->points++)
		for (i = 0; i < s->groups; i++)
			s->percent[(size_t)s->points * s->groups + i] = NAN;
	cpu_used(groups, from, to, used);
	for (i = 0; i < s->groups; i++)
		s->percent[(size_t)point * s->groups + i] = (float)(100.0 * (double)used[i] / wall);
}

void cpu_series_free(struct cpu_series *s)
{
	free(s->percent);
	s->percent = NULL;
}
