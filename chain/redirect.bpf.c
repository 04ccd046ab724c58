// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Redirect a frame to the device that the FIB names. See redirect.h. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define AF_INET 2
#define IP_NO_FRAGMENT_MASK 0x3fff          /* more fragments, and the offset */
#define TC_ACT_OK 0

__u32 uplink;                               /* index of the device that leads out of the node */

/* As ip_decrease_ttl of the kernel: the checksum falls by 0x0100, with its carry. */
static __always_inline void decrease_ttl(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = (__u16)(check + (check >= 0xffff));
	ip->ttl--;
}

/* Where the frame in data … end goes: the device's index, with its MACs written; 0: the ordinary way. */
static __always_inline __u32 forward(void *ctx, void *data, void *end, __u32 from, bool xdp)
{
	struct bpf_fib_lookup fib = {};
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->ttl <= 1 ||
	    ip->frag_off & bpf_htons(IP_NO_FRAGMENT_MASK))
		return 0;
	fib.family = AF_INET;
	fib.tos = ip->tos;
	fib.l4_protocol = ip->protocol;
	/* 0: TC lets the helper look at the sk_buff, which may be many segments in one. */
	fib.tot_len = xdp ? bpf_ntohs(ip->tot_len) : 0;
	fib.ipv4_src = ip->saddr;
	fib.ipv4_dst = ip->daddr;
	fib.ifindex = from;
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return 0;
	decrease_ttl(ip);
	__builtin_memcpy(eth->h_dest, fib.dmac, sizeof(eth->h_dest));
	__builtin_memcpy(eth->h_source, fib.smac, sizeof(eth->h_source));
	return fib.ifindex;
}

SEC("xdp")
int xdp_redirect(struct xdp_md *ctx)
{
	__u32 to = forward(ctx, (void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx->ingress_ifindex,
			   true);

	return to ? bpf_redirect(to, 0) : XDP_PASS;
}

SEC("tc")
int tc_redirect(struct __sk_buff *skb)
{
	__u32 to;

	/* The headers may lie in a fragment, out of sight. */
	bpf_skb_pull_data(skb, sizeof(struct ethhdr) + sizeof(struct iphdr));
	to = forward(skb, (void *)(long)skb->data, (void *)(long)skb->data_end, skb->ifindex, false);
	if (!to)
		return TC_ACT_OK;
	/* Into a pod without another queue; onto the wire as the wire wants it. */
	return to == uplink ? bpf_redirect(to, 0) : bpf_redirect_peer(to, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
