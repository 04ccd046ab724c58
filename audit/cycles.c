/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/cycles.h"
#include "audit/cycles.skel.h"

static const struct hook hooks[] = {
	{ "slice", "sched_switch", TIER_TRACEPOINT, "time on CPU", "CPU time by segment" },
	{ "softirq_starts", "softirq_entry", TIER_TRACEPOINT, "softirq time begins", NULL },
	{ "softirq_stops", "softirq_exit", TIER_TRACEPOINT, "softirq time ends", NULL },
	{ 0 },
};

static void *cycles_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct cycles_bpf *s = cycles_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void cycles_destroy(void *skeleton)
{
	cycles_bpf__destroy(skeleton);
}

const struct probe probe_cycles = {
	.name = "cycles",
	.summary = "CPU time of components and softirqs",
	.hooks = hooks,
	.open = cycles_open,
	.destroy = cycles_destroy,
};
