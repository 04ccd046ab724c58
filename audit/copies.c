/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/copies.h"
#include "audit/copies.skel.h"

static const struct hook hooks[] = {
	{ "send_length", "sock_send_length", TIER_TRACEPOINT_NEW, "sends", "copies" },
	{ "send_exit", "inet_sendmsg", TIER_TRAMPOLINE, "sends", "copies" },
	{ "recv_length", "sock_recv_length", TIER_TRACEPOINT_NEW, "receives", "copies" },
	{ "recv_exit", "inet_recvmsg", TIER_TRAMPOLINE, "receives", "copies" },
	{ "user_copy", "copy", TIER_USER, "user copies", "our own copies in user space" },
	{ "frame_out", "frame_out", TIER_USER, "frames sent by our own stack", "frames of our own stack" },
	{ "frame_in", "frame_in", TIER_USER, "frames received by our own stack", "frames of our own stack" },
	{ "whole_copy", "skb_copy", TIER_TRAMPOLINE, "kernel copies: skb_copy",
	  "copies within the kernel" },
	{ "head_copy", "pskb_expand_head", TIER_TRAMPOLINE, "kernel copies: pskb_expand_head",
	  "copies within the kernel" },
	{ 0 },
};

static void *copies_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct copies_bpf *s = copies_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void copies_destroy(void *skeleton)
{
	copies_bpf__destroy(skeleton);
}

const struct probe probe_copies = {
	.name = "copies",
	.summary = "copies of payload and of descriptors",
	.hooks = hooks,
	.open = copies_open,
	.destroy = copies_destroy,
};
