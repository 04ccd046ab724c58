// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Where the CPU is, by samples of a software clock: the kernel stack, the process, and the network
 * namespace of the last frame that this CPU has received. See layers.h.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "audit/layers_shared.h"

#define USER_RING 3

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, LAYERS_STACKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, LAYERS_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * LAYERS_STACKS);
	__type(key, struct layers_key);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} received SEC(".maps");

__u64 lost;                                 /* samples without a place in the maps */

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(frame_received, struct sk_buff *skb)
{
	__u32 zero = 0, *netns = bpf_map_lookup_elem(&received, &zero);

	if (netns)
		*netns = BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	return 0;
}

SEC("perf_event")
int sampled(struct bpf_perf_event_data *ctx)
{
	struct layers_key key = { .tgid = bpf_get_current_pid_tgid() >> 32, .stack = LAYERS_USER };
	__u32 zero = 0, *netns = bpf_map_lookup_elem(&received, &zero);
	__u64 one = 1, *n, cs;

	key.netns = netns ? *netns : 0;
	/* As a whole word, which is all that may be read, whatever its type is in this kernel. */
	cs = *(volatile __u64 *)&ctx->regs.cs;
	if ((cs & USER_RING) != USER_RING) {
		key.stack = bpf_get_stackid(ctx, &stacks, 0);
		if (key.stack < 0)
			key.stack = LAYERS_UNKNOWN;
	}
	n = bpf_map_lookup_elem(&counts, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&counts, &key, &one, BPF_NOEXIST))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
