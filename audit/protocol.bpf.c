/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Protocol processing: traversals of the stack by frames of the chain. A hop over a veth pair and a
 * bridge is two, one over loopback is one. This probe also tags the CPU with the segment of the frame
 * in hand, so that the wake-ups and IPIs that follow from it are attributed.
 */
#include "audit/segment.bpf.h"

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(received, struct sk_buff *skb)
{
	struct audit_frame f = {};
	struct audit_cpu *cpu;

	if (!counting() || !frame_parse(&f, skb->data, skb->dev->nd_net.net->ns.inum))
		return 0;
	cpu = cpu_tags();
	if (cpu) {
		cpu->segment = f.segment;
		if (!cpu->first)
			cpu->first = f.segment;
	}
	count(f.metric, f.to ? f.to : f.from, f.segment, f.payload);
	return 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(queued, struct sk_buff *skb)
{
	struct audit_frame f = {};

	if (!counting() || !frame_parse(&f, skb->head + skb->network_header,
					skb->dev->nd_net.net->ns.inum))
		return 0;
	count(M_STACK_OUT, f.from ? f.from : f.to, f.segment, f.payload);
	return 0;
}

/* A segment for an established connection: what TCP takes may differ from what the device saw. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(tcp_took, struct sock *sk, struct sk_buff *skb)
{
	struct audit_link *l;
	struct audit_cpu *cpu;
	bool at_server;
	__u32 segment, netns;

	if (!counting())
		return 0;
	netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (!bpf_map_lookup_elem(&namespaces, &netns))
		return 0;
	l = link_of_socket(sk, &at_server);
	if (!l || l->flags & AUDIT_LINK_DESCRIPTOR)
		return 0;
	segment = socket_segment(l, at_server, false);
	cpu = cpu_tags();
	if (cpu)
		cpu->segment = segment;
	count(M_STACK_TCP, at_server ? l->server : 0, segment, skb->len);
	return 0;
}

/* The frame is dealt with; what follows on this CPU has nothing to do with it. */
SEC("tp_btf/softirq_exit")
int BPF_PROG(done, unsigned int vector)
{
	struct audit_cpu *cpu = cpu_tags();

	if (cpu && vector == NET_RX_SOFTIRQ)
		cpu->segment = 0;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
