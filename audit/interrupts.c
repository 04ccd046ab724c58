/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/interrupts.h"
#include "audit/interrupts.skel.h"

static const struct hook hooks[] = {
	{ "softirq_begins", "softirq_entry", TIER_TRACEPOINT, "softirq begins", "softirq runs" },
	{ "softirq_ends", "softirq_exit", TIER_TRACEPOINT, "softirq ends", "softirq runs" },
	{ "ipi_to_cpu", "ipi_send_cpu", TIER_TRACEPOINT_NEW, "IPIs sent",
	  "IPIs at their sender: interrupts by segment lack them" },
	{ "reschedule", "reschedule_entry", TIER_TRACEPOINT, "IPIs taken: reschedule", NULL },
	{ "call_function", "call_function_entry", TIER_TRACEPOINT, "IPIs taken: call", NULL },
	{ "call_function_single", "call_function_single_entry", TIER_TRACEPOINT,
	  "IPIs taken: single call", NULL },
	{ "device_irq", "irq_handler_entry", TIER_TRACEPOINT, "device interrupts",
	  "device interrupts" },
	{ "timer_irq", "local_timer_entry", TIER_TRACEPOINT, "timer interrupts", NULL },
	{ 0 },
};

static void *interrupts_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct interrupts_bpf *s = interrupts_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void interrupts_destroy(void *skeleton)
{
	interrupts_bpf__destroy(skeleton);
}

const struct probe probe_interrupts = {
	.name = "interrupts",
	.summary = "softirq runs, IPIs and hard IRQs",
	.hooks = hooks,
	.open = interrupts_open,
	.destroy = interrupts_destroy,
};
