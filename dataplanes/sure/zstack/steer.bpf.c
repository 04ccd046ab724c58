// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Of what an interface receives, only frames for the user-space stack's own IPv4 address, and ARP about
 * it, go to the AF_XDP socket of their queue; all else is the kernel's as before.
 */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETHERNET_IPV4 0x0800
#define ETHERNET_ARP 0x0806

const volatile __u32 address;           /* in network byte order; set before the program is loaded */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct arp_ipv4 {
	__be16 hardware, protocol;
	__u8 hardware_bytes, protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6], sender[4], target_mac[6], target[4];
};

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = at;
	struct arp_ipv4 *arp = (void *)(ethernet + 1);
	struct iphdr *ip = (void *)(ethernet + 1);
	__u32 to;

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETHERNET_IPV4) && (void *)(ip + 1) <= end)
		to = ip->daddr;
	else if (ethernet->h_proto == bpf_htons(ETHERNET_ARP) && (void *)(arp + 1) <= end)
		__builtin_memcpy(&to, arp->target, sizeof(to));
	else
		return XDP_PASS;
	return to == address ? bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS) : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
