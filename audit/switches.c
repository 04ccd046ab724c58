/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/switches.h"
#include "audit/switches.skel.h"

static const struct hook hooks[] = {
	{ "waking", "sched_waking", TIER_TRACEPOINT, "wake-ups", "context switches by segment" },
	{ "switched", "sched_switch", TIER_TRACEPOINT, "switches", "context switches" },
	{ 0 },
};

static void *switches_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct switches_bpf *s = switches_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void switches_destroy(void *skeleton)
{
	switches_bpf__destroy(skeleton);
}

const struct probe probe_switches = {
	.name = "switches",
	.summary = "context switches of the components",
	.hooks = hooks,
	.open = switches_open,
	.destroy = switches_destroy,
};
