/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pod is a network namespace with an address on the bridge of a private "node" namespace:
 *
 *      host ns          node ns: bridge `node`, 100.64+.x.0/24, visible to nobody else
 *      ───────          ────────┬───────────┬───────────┬──────────┬────────
 *      listening         veth   │     veth  │     veth  │    veth  │
 *      socket ─────> [ingress  .2] [function 1 .3] [function 2 .4]  [broker]
 *
 * Since nothing of it is in the host's namespace, it can collide with nothing there; since nothing has a
 * name, nothing is left when the last process and descriptor are gone. Two deployments could even use
 * the same addresses, but a frame is known by its addresses to whoever audits the whole machine: each
 * gets a network of its own. With client=node (chain/network.h) the node is that of the network, and routes
 * where this one bridges: a hop is two stack traversals either way.
 *
 * With nodes=2 both nodes route, and a veth joins them. Ingress, broker or gateway are on node a:
 *
 *      node a ── wire ──────────────────────── eth0 .253 ── node b
 *        │                                                    │
 *     [ingress .2] [broker] [frontend .3] …                [cart .4] …      100.64+.x.0/24, a route per pod
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplanes/kernel/kernel.h"
#include "chain/netns.h"

static const char bridge[] = "node", wire[] = "wire";

enum { ADDRESS_PREFIX = 24, ADDRESS_FIRST = 2, ADDRESS_NODE_B = 253 };

static struct sockaddr_in address(uint32_t host_order, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(host_order),
		.sin_port = htons(port),
	};
}

static bool has_function(unsigned i)
{
	return i != POD_INGRESS && i < INSTANCE_MAX;
}

/*
 * A port on the host's loopback. It is bound here, not listening, so that it is known to all and taken by
 * nobody else; the function's own socket may bind it again (SO_REUSEADDR) and is the one that listens:
 * when its process dies, clients are refused at once.
 */
static int reserve_port(struct pod *p, struct sockaddr_in *at)
{
	socklen_t length = sizeof(*at);
	int one = 1;

	*at = address(INADDR_LOOPBACK, 0);
	p->reserved_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->reserved_fd < 0 ||
	    setsockopt(p->reserved_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(p->reserved_fd, (struct sockaddr *)at, sizeof(*at)) ||
	    getsockname(p->reserved_fd, (struct sockaddr *)at, &length))
		return -errno;
	return 0;
}

static bool two_nodes(const struct kernel *k)
{
	return k->node_netns[1] >= 0;
}

/* The node of pod `i`. */
static int node_of(const struct deployment *d, const struct kernel *k, unsigned i)
{
	return k->node_netns[has_function(i) && k->on_b >> d->board->line[i].function & 1];
}

/* Where pod `i` is, or will be. */
static int place_pod(struct deployment *d, struct kernel *k, unsigned i)
{
	struct pod *p = &k->pod[i];
	uint32_t network = 0;
	int err = network_choose(k->node_netns[0], &network);

	if (err)
		return deploy_error(d, err, "the node's namespace: %s", strerror(-err));
	p->at = p->serve = address(network | (ADDRESS_FIRST + i), PORT_POD);
	if (has_function(i) && k->sidecar != SIDECAR_NONE)
		p->serve = address(INADDR_LOOPBACK, PORT_FUNCTION);
	return 0;
}

static int connect_pod(struct deployment *d, struct kernel *k, unsigned i)
{
	const struct pod *p = &k->pod[i];
	const int node = node_of(d, k, i);
	char port[16];
	int err;

	snprintf(port, sizeof(port), "pod%u", i);
	if (d->network.client_node && node == k->node_netns[0])
		return network_pod(&d->network, port, p->netns, p->at.sin_addr);
	if (!two_nodes(k))
		return netns_veth(node, bridge, port, p->netns, p->at.sin_addr, ADDRESS_PREFIX);
	err = netns_join(node, port, p->netns, p->at.sin_addr);
	/* As network_pod does on the other node. */
	return err || !d->network.client_node ? err : netns_offload(p->netns, "eth0", ETHTOOL_SGRO, true);
}

static int make_netns_pod(struct deployment *d, struct kernel *k, unsigned i)
{
	struct pod *p = &k->pod[i];
	int err = place_pod(d, k, i);

	if (err)
		return err;
	/* With gateway=pod it is there already. */
	if (i == POD_INGRESS && d->network.gateway_pod) {
		p->netns = fcntl(d->network.gateway, F_DUPFD_CLOEXEC, 0);
		return p->netns < 0 ? -errno : 0;
	}
	p->netns = netns_new();
	if (p->netns < 0)
		return deploy_error(d, p->netns, "cannot make a network namespace: %s",
				    strerror(-p->netns));
	if (has_function(i) && k->expose) {
		err = reserve_port(p, &p->door);
		if (err)
			return deploy_error(d, err, "cannot reserve a port: %s", strerror(-err));
	}
	err = connect_pod(d, k, i);
	return err ? deploy_error(d, err, "cannot connect a pod to the node: %s", strerror(-err)) : 0;
}

/* On the host a pod is a port on the loopback. */
static int make_host_pod(struct deployment *d, struct kernel *k, unsigned i)
{
	struct pod *p = &k->pod[i];
	int err = reserve_port(p, &p->at);

	if (err)
		return deploy_error(d, err, "cannot reserve a port: %s", strerror(-err));
	p->serve = p->at;
	if (k->expose)
		p->door = p->at;
	return 0;
}

void pods_init(struct kernel *k)
{
	k->node_netns[0] = k->node_netns[1] = k->log[0] = k->log[1] = k->door_fd = -1;
	for (unsigned i = 0; i < POD_MAX; i++)
		k->pod[i].netns = k->pod[i].reserved_fd = -1;
}

/* Node b, and the wire to it. */
static int make_node_b(struct deployment *d, struct kernel *k)
{
	uint32_t network = 0;
	const char *bad;
	int err = node_place(&d->spec, kernel_options, d->app, &k->on_b, &bad);

	if (err)
		return deploy_error(d, err, "place: '%.*s' is not FUNCTION:a or FUNCTION:b of %s",
				    (int)strcspn(bad, "+"), bad, d->app->spec.text);
	k->node_netns[1] = netns_new();
	err = k->node_netns[1] < 0 ? k->node_netns[1] : network_choose(k->node_netns[0], &network);
	if (!err)
		err = netns_neighbours(k->node_netns[0], wire, k->node_netns[1],
				       address(network | ADDRESS_NODE_B, 0).sin_addr);
	if (!err && !strcmp(spec_value(&d->spec, kernel_options, "offload"), "off"))
		err = node_plain_wire(k->node_netns[0], wire, k->node_netns[1], "eth0");
	return err ? deploy_error(d, err, "cannot make the pods' second node: %s", strerror(-err)) : 0;
}

/* With client=node there is one, which routes; else one of our own, which bridges, or routes if there are two. */
static int make_nodes(struct deployment *d, struct kernel *k)
{
	const bool two = node_wanted(&d->spec, kernel_options);
	int err = 0;

	k->node_netns[0] = d->network.client_node ? fcntl(d->network.node, F_DUPFD_CLOEXEC, 0) : netns_new();
	if (k->node_netns[0] < 0)
		err = d->network.client_node ? -errno : k->node_netns[0];
	else if (!d->network.client_node && !two)
		err = netns_bridge(k->node_netns[0], bridge);
	if (err)
		return deploy_error(d, err, "cannot make the pods' node: %s", strerror(-err));
	return two ? make_node_b(d, k) : 0;
}

int pods_make(struct deployment *d, struct kernel *k)
{
	int err = 0;

	if (k->own_netns)
		err = make_nodes(d, k);
	for (unsigned i = 0; i < POD_MAX && !err; i++) {
		if (i >= d->board->instances && !(i == POD_BROKER && k->broker) &&
		    !(i == POD_ACTIVATOR && d->config.scaling.mode != SCALE_NONE))
			continue;
		if (i < INSTANCE_MAX && !deploy_begins(d, (instance_id)i))
			err = place_pod(d, k, i);
		else if (k->own_netns)
			err = make_netns_pod(d, k, i);
		else if (has_function(i))
			err = make_host_pod(d, k, i);
		if (i < INSTANCE_MAX)
			k->target[i] = k->pod[i].at;
	}
	k->calls = k->pod[POD_BROKER].at;
	k->calls.sin_port = htons(PORT_CALLS);
	return err;
}

int pod_make(struct deployment *d, struct kernel *k, instance_id id)
{
	return make_netns_pod(d, k, id);
}

void pod_drop(struct deployment *d, struct kernel *k, instance_id id)
{
	struct pod *p = &k->pod[id];
	char port[16];

	/* The kernel would remove it with the namespace, but later: its name may be needed at once. */
	snprintf(port, sizeof(port), "pod%u", id);
	(void)netns_unlink(node_of(d, k, id), port);
	close(p->netns);
	p->netns = -1;
	p->sidecar = false;
}

void pods_drop(struct kernel *k)
{
	for (unsigned i = 0; i < POD_MAX; i++) {
		if (k->pod[i].netns >= 0)
			close(k->pod[i].netns);
		if (k->pod[i].reserved_fd >= 0)
			close(k->pod[i].reserved_fd);
	}
	for (unsigned i = 0; i < 2; i++)
		if (k->node_netns[i] >= 0)
			close(k->node_netns[i]);
}
