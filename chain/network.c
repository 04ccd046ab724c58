/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chain/netfilter.h"
#include "chain/netns.h"
#include "chain/network.h"
#include "chain/redirect.h"

enum { HOST_NODE = 1, HOST_GATEWAY = 2, HOST_CLIENT = 254 };

static const char uplink[] = "uplink", gateway_port[] = "gw";

const struct option_spec network_options[] = {
	{ "client", "local|node", "local", "the client's place: this machine's loopback, or a node of "
	  "its own (a network namespace behind a veth)" },
	{ "gateway", "host|pod", "host", "with client=node: the gateway has the node's address, or a pod's "
	  "that the node forwards to" },
	{ "accel", "none|tc|xdp", "none", "redirect by FIB lookup past the node's stack: TC at pods and "
	  "uplink, or XDP at the uplink; needs gateway=pod" },
	{ "iptables-rules", "0..20000", "0", "with client=node: so many netfilter rules in the node, as "
	  "kube-proxy has them, five a service" },
	{ NULL, NULL, NULL, NULL },
};

static const char *value(const struct spec *spec, const char *key)
{
	return spec_value(spec, network_options, key);
}

static void read_spec(struct network *n, const struct spec *spec)
{
	const char *accel = value(spec, "accel");

	n->client_node = !strcmp(value(spec, "client"), "node");
	n->gateway_pod = !strcmp(value(spec, "gateway"), "pod");
	n->accel = !strcmp(accel, "xdp") ? ACCEL_XDP : !strcmp(accel, "tc") ? ACCEL_TC : ACCEL_NONE;
	n->rules = (unsigned)spec_number(spec, network_options, "iptables-rules");
}

/* ---- Probe ------------------------------------------------------------------------------------ */

static bool may_make_namespaces(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	const uint32_t need = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN;

	return !syscall(SYS_capget, &head, data) && (data[0].effective & need) == need;
}

void network_probe(const struct spec *spec, struct probe_report *r)
{
	struct network n;

	read_spec(&n, spec);
	r->ok = false;
	if (!n.client_node && (n.gateway_pod || n.accel || n.rules))
		snprintf(r->reason, sizeof(r->reason),
			 "gateway=pod, accel= and iptables-rules= need client=node");
	else if (n.accel && !n.gateway_pod)
		snprintf(r->reason, sizeof(r->reason), "accel= needs gateway=pod: what is for the node "
			 "itself is not forwarded");
	else if (n.client_node && !may_make_namespaces())
		snprintf(r->reason, sizeof(r->reason),
			 "client=node needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN)");
	else if (n.rules && !netfilter_program())
		snprintf(r->reason, sizeof(r->reason),
			 "iptables-rules= needs iptables-restore (Debian: iptables)");
	else
		r->ok = !n.accel || !redirect_probe(r->reason, sizeof(r->reason));
	if (r->ok)
		r->reason[0] = '\0';
}

/* ---- Making it -------------------------------------------------------------------------------- */

static struct in_addr host(const struct network *n, unsigned number)
{
	return (struct in_addr){ htonl(n->base | number) };
}

void network_init(struct network *n)
{
	memset(n, 0, sizeof(*n));
	n->node = n->client = n->gateway = -1;
}

int network_choose(int netns, uint32_t *base)
{
	struct stat node;

	if (fstat(netns, &node))
		return -errno;
	*base = 100u << 24 | 64u << 16 | ((uint32_t)node.st_ino & 0x3fff) << 8;
	return 0;
}

/*
 * The wire. A network card gives whole checksums to it, so the client's end makes them itself; and a card
 * is polled and merges segments (NAPI, GRO), which a veth does only when told. Both hold with and without
 * acceleration. XDP can redirect to a device only if its other end is polled (Linux 5.13; before that an XDP
 * program had to be there): hence GRO in pods as well.
 */
static int make_wire(struct network *n)
{
	int err = netns_join(n->node, uplink, n->client, host(n, HOST_CLIENT));

	if (!err)
		err = netns_address(n->node, uplink, host(n, HOST_NODE), 32);
	if (!err)
		err = netns_offload(n->client, "eth0", ETHTOOL_STXCSUM, false);
	if (!err)
		err = netns_offload(n->node, uplink, ETHTOOL_SGRO, true);
	if (!err && n->accel)
		err = redirect_uplink(n->bpf, n->node, netns_index(n->node, uplink), n->accel == ACCEL_XDP);
	return err;
}

int network_pod(struct network *n, const char *port, int pod, struct in_addr address)
{
	int err = netns_join(n->node, port, pod, address);

	if (!err)
		err = netns_offload(pod, "eth0", ETHTOOL_SGRO, true);
	if (!err && n->accel)
		err = redirect_pod(n->bpf, n->node, netns_index(n->node, port));
	return err;
}

static int make_namespaces(struct network *n)
{
	int err;

	n->node = netns_new();
	if (n->node < 0)
		return n->node;
	n->client = netns_new();
	if (n->client < 0)
		return n->client;
	if (n->gateway_pod)
		n->gateway = netns_new();
	if (n->gateway_pod && n->gateway < 0)
		return n->gateway;
	err = network_choose(n->node, &n->base);
	return err ? err : netns_forward(n->node);
}

int network_make(struct network *n, const struct spec *spec, char *why, size_t why_bytes)
{
	int err;

	network_init(n);
	read_spec(n, spec);
	if (!n->client_node)
		return 0;
	err = make_namespaces(n);
	if (!err && n->accel)
		err = redirect_open(&n->bpf);
	if (!err)
		err = make_wire(n);
	if (!err && n->gateway_pod)
		err = network_pod(n, gateway_port, n->gateway, host(n, HOST_GATEWAY));
	if (err) {
		snprintf(why, why_bytes, "cannot make the client's node and the way to it: %s",
			 strerror(-err));
		return err;
	}
	return n->rules ? netfilter_install(n->node, n->base, n->rules, why, why_bytes) : 0;
}

void network_drop(struct network *n)
{
	redirect_close(n->bpf);
	for (int *fd = (int[]){ n->node, n->client, n->gateway, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	network_init(n);
}

int network_listen_netns(const struct network *n)
{
	return n->gateway_pod ? n->gateway : n->node;
}

struct in_addr network_listen_address(const struct network *n)
{
	return host(n, n->gateway_pod ? HOST_GATEWAY : HOST_NODE);
}
