/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The hop of SPRIGHT §3.2.1: a 16-byte descriptor, written to the sender's own socket, is put by this
 * program on the receive queue of the target's socket. The TCP stack never sees it.
 *
 * One send may carry many descriptors. The program takes the leading run of those with the same
 * target, gives one verdict for all of it (bpf_msg_apply_bytes), and is run again for the rest.
 *
 * The same program is the EPROXY (§3.3: metrics, kept while messages pass) and the domain filter.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "dataplanes/skmsg/skmsg.h"

struct descriptor {
	__u32 target, generation, offset, length;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SKMSG_INSTANCES);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SKMSG_INSTANCES);
	__type(key, __u32);
	__type(value, struct skmsg_member);
} senders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SKMSG_INSTANCES);
	__type(key, __u32);
	__type(value, __u32);
} domains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SKMSG_INSTANCES);
	__type(key, __u32);
	__type(value, struct skmsg_metrics);
} metrics SEC(".maps");

SEC("sk_msg")
int route(struct sk_msg_md *msg)
{
	struct descriptor *d, *next, *end;
	struct skmsg_metrics *in, *out;
	struct skmsg_member *from;
	__u32 port = msg->local_port, target, *domain, run, bytes = 0;

	from = bpf_map_lookup_elem(&senders, &port);
	if (!from)
		return SK_DROP;
	out = bpf_map_lookup_elem(&metrics, &from->instance);
	if (!out)
		return SK_DROP;
	d = msg->data;
	end = msg->data_end;
	if (d + 1 > end) {              /* not linear: only a torn or foreign write looks like this */
		if (bpf_msg_pull_data(msg, 0, sizeof(*d), 0))
			return SK_DROP;
		d = msg->data;
		end = msg->data_end;
		if (d + 1 > end)
			return SK_DROP;
	}
	target = d->target;
	domain = bpf_map_lookup_elem(&domains, &target);
	if (!domain || *domain != from->domain)
		goto refuse;
	in = bpf_map_lookup_elem(&metrics, &target);
	if (!in)
		goto refuse;
	bytes = d->length;
	next = d + 1;
	for (run = 1; run < SKMSG_RUN_MAX; run++, next++) {
		if (next + 1 > end || next->target != target)
			break;
		bytes += next->length;
	}
	in->messages_in += run;
	in->payload_bytes_in += bytes;
	in->last_ns = bpf_ktime_get_ns();
	out->messages_out += run;
	bpf_msg_apply_bytes(msg, run * sizeof(*d));
	return bpf_msg_redirect_map(msg, &sockets, target, BPF_F_INGRESS);

refuse:
	out->refused++;
	bpf_msg_apply_bytes(msg, sizeof(*d));
	return SK_DROP;
}

/*
 * Kernels from 6.18.14 lose epoll wake-ups, and report FIONREAD 0, for a socket in a map that has an
 * SK_MSG program only. A verdict program on the same map, doing nothing, restores them.
 */
SEC("sk_skb/stream_verdict")
int pass(struct __sk_buff *skb)
{
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
