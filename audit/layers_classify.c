/* SPDX-License-Identifier: BSD-2-Clause */
/* From the names of a stack to a layer. See layers.h. */
#include <string.h>

#include "audit/layers.h"

/* What a function says by its name's beginning. */
enum sign {
	SIGN_NONE,
	SIGN_HELPER,                /* of whoever called it; of TCP/IP if nobody is known */
	SIGN_NETFILTER, SIGN_REDIRECT, SIGN_DEVICE, SIGN_BRIDGE, SIGN_TCPIP, SIGN_DESCRIPTOR,
	SIGN_SOFTIRQ,
};

/* The first that fits counts: exceptions come before the rule. Names of Linux 5.10 to 6.18. */
static const struct {
	const char *begins;
	enum sign sign;
} signs[] = {
	{ "__do_softirq", SIGN_SOFTIRQ }, { "handle_softirqs", SIGN_SOFTIRQ },
	{ "nf_", SIGN_NETFILTER }, { "__nf_", SIGN_NETFILTER }, { "ipt_", SIGN_NETFILTER },
	{ "iptable_", SIGN_NETFILTER }, { "xt_", SIGN_NETFILTER }, { "nft_", SIGN_NETFILTER },
	{ "ipv4_conntrack", SIGN_NETFILTER }, { "ipv4_confirm", SIGN_NETFILTER },
	{ "tcp_packet", SIGN_NETFILTER }, { "conntrack_mt", SIGN_NETFILTER },
	{ "xdp_", SIGN_REDIRECT }, { "__xdp_", SIGN_REDIRECT }, { "bpf_prog_run_xdp", SIGN_REDIRECT },
	{ "veth_convert_skb", SIGN_REDIRECT }, { "veth_xdp_xmit", SIGN_REDIRECT },
	{ "veth_ndo_xdp", SIGN_REDIRECT }, { "dev_map_", SIGN_REDIRECT }, { "tcf_", SIGN_REDIRECT },
	{ "tc_run", SIGN_REDIRECT }, { "cls_bpf", SIGN_REDIRECT }, { "skb_do_redirect", SIGN_REDIRECT },
	{ "bpf_xdp_", SIGN_REDIRECT }, { "bpf_skb_", SIGN_REDIRECT }, { "bpf_ipv4_fib", SIGN_REDIRECT },
	{ "br_", SIGN_BRIDGE }, { "ip_forward", SIGN_BRIDGE },
	{ "sk_psock", SIGN_DESCRIPTOR }, { "sk_msg", SIGN_DESCRIPTOR }, { "tcp_bpf", SIGN_DESCRIPTOR },
	{ "unix_", SIGN_DESCRIPTOR }, { "futex_", SIGN_DESCRIPTOR }, { "do_futex", SIGN_DESCRIPTOR },
	{ "eventfd_", SIGN_DESCRIPTOR }, { "pipe_", SIGN_DESCRIPTOR },
	{ "veth_", SIGN_DEVICE }, { "loopback_", SIGN_DEVICE }, { "netif_", SIGN_DEVICE },
	{ "__netif_", SIGN_DEVICE }, { "enqueue_to_backlog", SIGN_DEVICE }, { "net_rx_action", SIGN_DEVICE },
	{ "net_tx_action", SIGN_DEVICE }, { "process_backlog", SIGN_DEVICE }, { "__napi_", SIGN_DEVICE },
	{ "napi_", SIGN_DEVICE }, { "gro_", SIGN_DEVICE }, { "dev_gro", SIGN_DEVICE },
	{ "inet_gro", SIGN_DEVICE }, { "tcp4_gro", SIGN_DEVICE }, { "tcp_gro", SIGN_DEVICE },
	{ "skb_gro", SIGN_DEVICE }, { "dev_", SIGN_DEVICE }, { "__dev_", SIGN_DEVICE },
	{ "validate_xmit", SIGN_DEVICE }, { "sch_", SIGN_DEVICE }, { "page_pool_", SIGN_HELPER },
	{ "skb_", SIGN_HELPER }, { "__skb", SIGN_HELPER }, { "kfree_skb", SIGN_HELPER },
	{ "__kfree_skb", SIGN_HELPER }, { "consume_skb", SIGN_HELPER }, { "__alloc_skb", SIGN_HELPER },
	{ "alloc_skb", SIGN_HELPER }, { "build_skb", SIGN_HELPER }, { "__build_skb", SIGN_HELPER },
	{ "napi_build", SIGN_HELPER }, { "csum_", SIGN_HELPER }, { "dst_", SIGN_HELPER },
	{ "fib_", SIGN_HELPER }, { "__fib_", SIGN_HELPER }, { "neigh_", SIGN_HELPER },
	{ "tcp_", SIGN_TCPIP }, { "__tcp", SIGN_TCPIP }, { "ip_", SIGN_TCPIP }, { "__ip_", SIGN_TCPIP },
	{ "inet_", SIGN_TCPIP }, { "__inet", SIGN_TCPIP }, { "inet6_", SIGN_TCPIP }, { "arp_", SIGN_TCPIP },
	{ "sock_", SIGN_TCPIP }, { "__sock", SIGN_TCPIP }, { "sk_", SIGN_TCPIP }, { "__sk_", SIGN_TCPIP },
	{ "lock_sock", SIGN_TCPIP }, { "release_sock", SIGN_TCPIP }, { "__lock_sock", SIGN_TCPIP },
	{ "__release_sock", SIGN_TCPIP }, { "rt_", SIGN_TCPIP }, { "__sys_send", SIGN_TCPIP },
	{ "__sys_recv", SIGN_TCPIP }, { "____sys_send", SIGN_TCPIP }, { "____sys_recv", SIGN_TCPIP },
	{ "___sys_send", SIGN_TCPIP }, { "___sys_recv", SIGN_TCPIP }, { "__sys_accept", SIGN_TCPIP },
	{ "__sys_connect", SIGN_TCPIP }, { "__sys_socket", SIGN_TCPIP }, { "do_accept", SIGN_TCPIP },
};

const char *layer_name(enum layer layer)
{
	static const char *const names[] = {
		[LAYER_USER] = "user", [LAYER_POD] = "pod_stack", [LAYER_HOST] = "host_stack",
		[LAYER_NETFILTER] = "netfilter", [LAYER_REDIRECT] = "redirect", [LAYER_DEVICE] = "device",
		[LAYER_DESCRIPTOR] = "descriptor", [LAYER_SYSTEM] = "system",
	};

	return layer < LAYER_COUNT ? names[layer] : "none";
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static enum sign sign_of(const char *function)
{
	/* An eBPF program is bpf_prog_TAG_NAME: ours that redirect, or the chain's that passes descriptors on. */
	if (!strncmp(function, "bpf_prog_", 9)) {
		if (ends_with(function, "_redirect"))
			return SIGN_REDIRECT;
		return ends_with(function, "_route") ? SIGN_DESCRIPTOR : SIGN_NONE;
	}
	for (unsigned i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (!strncmp(function, signs[i].begins, strlen(signs[i].begins)))
			return signs[i].sign;
	return SIGN_NONE;
}

/* What has reached its destination is no longer the forwarding host's business. */
static bool is_delivery(const char *function)
{
	return !strncmp(function, "ip_local_deliver", 16) || !strncmp(function, "tcp_v4_rcv", 10);
}

/* Of TCP/IP: whose stack is it? */
static enum layer stack_of(bool softirq, bool delivery, enum layer_place place)
{
	if (!softirq)
		return LAYER_POD;
	if (place == PLACE_CLIENT)
		return LAYER_NONE;
	return place == PLACE_NODE && !delivery ? LAYER_HOST : LAYER_POD;
}

enum layer layers_classify(const char *const *function, unsigned n, bool client, enum layer_place place,
			   bool *softirq)
{
	enum sign found = SIGN_NONE;
	bool delivery = false;

	*softirq = false;
	for (unsigned i = 0; i < n; i++) {
		enum sign s = sign_of(function[i]);

		delivery |= is_delivery(function[i]);
		if (s == SIGN_SOFTIRQ) {
			*softirq = true;
			break;
		}
		if (s != SIGN_NONE && (found == SIGN_NONE || found == SIGN_HELPER))
			found = s == SIGN_HELPER && found == SIGN_HELPER ? found : s;
	}
	if (client && !*softirq)
		return LAYER_NONE;
	switch (found) {
	case SIGN_NETFILTER:
		return LAYER_NETFILTER;
	case SIGN_REDIRECT:
		return LAYER_REDIRECT;
	case SIGN_DEVICE:
		return *softirq && place == PLACE_CLIENT ? LAYER_NONE : LAYER_DEVICE;
	case SIGN_BRIDGE:
		return LAYER_HOST;
	case SIGN_HELPER:
	case SIGN_TCPIP:
		return stack_of(*softirq, delivery, place);
	case SIGN_DESCRIPTOR:
		return LAYER_DESCRIPTOR;
	default:
		return *softirq && place == PLACE_CLIENT ? LAYER_NONE : LAYER_SYSTEM;
	}
}
