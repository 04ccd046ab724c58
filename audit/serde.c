/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/serde.h"
#include "audit/serde.skel.h"

static const struct hook hooks[] = {
	{ "send_turn", "sock_send_length", TIER_TRACEPOINT_NEW, "messages out", "serializations" },
	{ "send_turn_exit", "inet_sendmsg", TIER_TRAMPOLINE, "messages out", "serializations" },
	{ "recv_turn", "sock_recv_length", TIER_TRACEPOINT_NEW, "messages in", "deserializations" },
	{ "recv_turn_exit", "inet_recvmsg", TIER_TRAMPOLINE, "messages in", "deserializations" },
	{ "encode", "encode", TIER_USER, "our encodes", "serializations in our own code" },
	{ "decode", "decode", TIER_USER, "our decodes", "deserializations in our own code" },
	{ 0 },
};

static void *serde_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct serde_bpf *s = serde_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void serde_destroy(void *skeleton)
{
	serde_bpf__destroy(skeleton);
}

const struct probe probe_serde = {
	.name = "serde",
	.summary = "serialization and deserialization",
	.hooks = hooks,
	.open = serde_open,
	.destroy = serde_destroy,
};
