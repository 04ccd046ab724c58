/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A deployment on two nodes. Each node is a deployment of its own: a gateway, the functions placed on it,
 * a pool, a board. To functions nothing changes: a message to a function that lives on the other node is
 * handed by descriptor to the gateway of this one, which sends its payload to the gateway of that one
 * (chain/peer.h), where it enters the pool and goes on by descriptor.
 *
 *      node a: a network namespace                        node b: another
 *   client ──> gateway ── frontend            ┌──────── gateway@b ── cart …
 *                 └──── stack=kernel|zstack ──┘
 *
 * `nodes=2`: one supervisor starts both, in two unnamed network namespaces joined by a veth.
 * `node=a|b,peer=ADDR:PORT`: this supervisor has one node; another one, here or on another host, has the
 * other. Both must be given the same workload, seed, placement and pool.
 */
#ifndef PERHOP_CHAIN_NODE_H
#define PERHOP_CHAIN_NODE_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chain/clock.h"
#include "chain/peer_stack.h"
#include "chain/spec.h"

struct application;
struct dataplane_ops;
struct deployment;
struct pool;

/* Rows for the option table of a dataplane whose functions can be on two nodes. */
#define NODE_PLACE_OPTIONS \
	{ "nodes", "1..2", "1", "2: functions on two nodes, network namespaces joined by a veth" }, \
	{ "place", "TEXT", "", "who is where, FUNCTION:a|b joined by '+'; others as the workload says" }, \
	{ "offload", "on|off", "on", "nodes=2: off: no segmentation, GRO or checksum offload on the veth" }

/* And of one with a shared pool, whose messages have to be carried there. */
#define NODE_OPTIONS \
	NODE_PLACE_OPTIONS, \
	{ "stack", "kernel|zstack", "kernel", "TCP between nodes: the kernel's, or lwIP on AF_XDP" }, \
	{ "node", "a|b", "a", "with peer=: which of the two nodes this is" }, \
	{ "peer", "TEXT", "", "ADDR:PORT: the other node is another perhop; a connects, b listens there" }, \
	{ "iface", "TEXT", "", "with peer= and stack=zstack: the interface to the other node" }, \
	{ "address", "TEXT", "", "with peer= and stack=zstack: IPv4 address of node a's stack" }

/* A connection on which nothing comes for so long has ended; both nodes speak at least each second. */
#define NODE_SILENCE_NS (3 * NS_PER_SEC)
#define NODE_SPEAK_NS NS_PER_SEC

struct node {
	char name;                  /* 'a': where clients come in; 'b' */
	bool listens;               /* b waits for a */
	bool paired;                /* this supervisor has the other node as well */
	const struct peer_stack *stack;
	int netns;                  /* -1: where the supervisor is */
	int peer_netns;             /* the other's, until it has been started; else -1 */
	char iface[IFNAMSIZ];       /* towards the other node; "": not known */
	struct sockaddr_in peer;    /* where b listens */
	struct in_addr address;     /* zstack: of our own stack */
	uint32_t here;              /* bit f: function f is on this node */
	uint64_t fingerprint;       /* what both must agree on */
	struct deployment *other;   /* paired, node a: node b's deployment */
};

/*
 * Does `spec` ask for two nodes? What follows makes them for a dataplane with a shared pool; another makes
 * its own, by node_place and node_plain_wire.
 */
bool node_wanted(const struct spec *spec, const struct option_spec *options);

/* What carries messages between the nodes, or NULL: there is one node, or the dataplane carries them. */
const struct peer_stack *node_stack(const struct dataplane_ops *ops, const struct spec *spec);

/* Then can it have them? Sets report->ok to false, with the reason, if not. */
void node_probe(const struct dataplane_ops *ops, const struct spec *spec, struct probe_report *report);

/* Bit f of *on_b: function f is on node b. 0, or -EINVAL and *bad is the part of place= that is not sound. */
int node_place(const struct spec *spec, const struct option_spec *options, const struct application *app,
	       uint32_t *on_b, const char **bad);

/*
 * Device `end_a` of namespace `a` and `end_b` of `b` are a veth between two nodes: for offload=off, take the segmentation,
 * GRO and checksum offloads from it. 0 or -errno.
 */
int node_plain_wire(int a, const char *end_a, int b, const char *end_b);

/*
 * Parent, before the board is made: d->node, or NULL: one node, or a dataplane that makes its own two. 0, or -errno with a sentence
 * in d->why. node_close undoes it; it also stops the other node.
 */
int node_open(struct deployment *d);
void node_close(struct deployment *d);

/* Start the other node of a pair; then wait until both are connected. 0 or -errno, d->why. */
int node_start_other(struct deployment *d);
int node_wait(struct deployment *d);

/* Is function `f` on this node? */
bool node_has(const struct node *n, unsigned f);

/* "frontend:a+cart:b…", all functions, for records. False: one node. */
bool node_map(const struct spec *spec, const struct option_spec *options, const struct application *app,
	      char *out, size_t bytes);

#endif
