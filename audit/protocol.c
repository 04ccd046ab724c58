/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/protocol.h"
#include "audit/protocol.skel.h"

static const struct hook hooks[] = {
	{ "received", "netif_receive_skb", TIER_TRACEPOINT, "frames in", "protocol tasks" },
	{ "queued", "net_dev_queue", TIER_TRACEPOINT, "frames out", NULL },
	{ "tcp_took", "tcp_probe", TIER_TRACEPOINT, "TCP segments", NULL },
	{ "done", "softirq_exit", TIER_TRACEPOINT, "end of a frame",
	  "exact attribution of wake-ups" },
	{ 0 },
};

static void *protocol_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct protocol_bpf *s = protocol_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void protocol_destroy(void *skeleton)
{
	protocol_bpf__destroy(skeleton);
}

const struct probe probe_protocol = {
	.name = "protocol",
	.summary = "traversals of the protocol stack",
	.hooks = hooks,
	.open = protocol_open,
	.destroy = protocol_destroy,
};
