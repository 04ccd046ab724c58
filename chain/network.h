/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network between the client and a deployment: options that every dataplane takes, and what they make.
 *
 *   client=local   the client is on the loopback of wherever perhop runs (default)
 *   client=node    the client is a machine of its own: frames cross a device, as in the papers
 *
 *      client node       node: the host's stack, routes, netfilter         pods
 *      ───────────       ──────────────────────────────────────────        ─────────────────────
 *      eth0 .254 <─wire─> uplink .1 ── [ iptables, forwarding ] ── gw ──────> eth0 .2 gateway or ingress
 *                              └─ XDP: FIB lookup, redirect ─────> │
 *                              <─ TC:  FIB lookup, redirect ────── ┘         (gateway=pod)
 *
 * With gateway=host clients connect to the node's own address, with gateway=pod to that of a pod, which the
 * node forwards to. Everything lies in unnamed network namespaces (addresses of 100.64.0.0/10, RFC 6598):
 * the machine's own network is not touched, and all of it ends with the processes that hold it.
 */
#ifndef PERHOP_CHAIN_NETWORK_H
#define PERHOP_CHAIN_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/dataplane.h"

enum network_accel { ACCEL_NONE, ACCEL_TC, ACCEL_XDP };

struct redirect_bpf;

struct network {
	bool client_node;           /* else the client is local and nothing below is made */
	bool gateway_pod;
	enum network_accel accel;
	unsigned rules;             /* of services, as kube-proxy would install them; 0: no netfilter */
	int node, client, gateway;  /* network namespaces; -1: there is none */
	uint32_t base;              /* the deployment's /24, host byte order */
	struct redirect_bpf *bpf;   /* the accelerating programs; NULL without */
};

/* The options: client, gateway, accel, iptables-rules. Ends with key == NULL. */
extern const struct option_spec network_options[];

/* Do the options of `spec` fit each other and this machine? As dataplane_ops.probe. */
void network_probe(const struct spec *spec, struct probe_report *report);

void network_init(struct network *n);

/* Make what `spec` asks for. 0, or -errno with a sentence in `why`. network_drop in any case. */
int network_make(struct network *n, const struct spec *spec, char *why, size_t why_bytes);
void network_drop(struct network *n);

/* Where the deployment listens: the namespace (-1: here), and the address there (client_node only). */
int network_listen_netns(const struct network *n);
struct in_addr network_listen_address(const struct network *n);

/*
 * A pod of a dataplane's own: connect namespace `pod` to the node under `address` of n->base, and let the
 * acceleration take what it sends. `port` names the node's end. Only with client_node. 0 or -errno.
 */
int network_pod(struct network *n, const char *port, int pod, struct in_addr address);

/*
 * A /24 of 100.64.0.0/10 in host byte order, told apart by the namespace's inode: the kernel hands those out
 * one after another, so of 16,384 that live at the same time no two share one. 0 or -errno.
 */
int network_choose(int netns, uint32_t *base);

#endif
