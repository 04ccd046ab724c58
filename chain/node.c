/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chain/deploy.h"
#include "chain/netns.h"
#include "chain/node.h"
#include "chain/peer_wire.h"

/* Of a pair: addresses in namespaces of its own, so that any two runs may use the same. Host byte order. */
enum {
	NODE_PORT = 7701,
	NODE_A = 10 << 24 | 77 << 16 | 1,       /* 10.77.0.1, and node b the one after it */
	STACK_A = 10 << 24 | 77 << 16 | 101,    /* the same for stack=zstack, beside the kernel's */
	NODE_PREFIX = 24,
};

static const char *value(const struct deployment *d, const char *key)
{
	return spec_value(&d->spec, d->ops->options, key);
}

bool node_wanted(const struct spec *spec, const struct option_spec *options)
{
	const char *peer = spec_value(spec, options, "peer");

	return (peer && *peer) || spec_number(spec, options, "nodes") == 2;
}

static const struct peer_stack *stack_of(const struct dataplane_ops *ops, const struct spec *spec)
{
	const char *name = spec_value(spec, ops->options, "stack");

	if (!strcmp(name, peer_tcp.name))
		return &peer_tcp;
	return ops->peer_stack && !strcmp(name, ops->peer_stack->name) ? ops->peer_stack : NULL;
}

const struct peer_stack *node_stack(const struct dataplane_ops *ops, const struct spec *spec)
{
	return node_wanted(spec, ops->options) && dataplane_flags(ops, spec) & DP_SHARED_POOL ? stack_of(ops, spec) : NULL;
}

void node_probe(const struct dataplane_ops *ops, const struct spec *spec, struct probe_report *report)
{
	const char *scale = spec_value(spec, ops->options, "scale");
	const struct peer_stack *stack;
	bool pair;
	int ns;

	if (!node_wanted(spec, ops->options))
		return;
	if (scale && strcmp(scale, "none")) {
		report->ok = false;
		snprintf(report->reason, sizeof(report->reason), "instances come and go on one node only: no nodes=2 "
			 "with scale=%s", scale);
		return;
	}
	/* Who carries no messages between nodes has judged the rest itself. */
	if (!(dataplane_flags(ops, spec) & DP_SHARED_POOL))
		return;
	stack = stack_of(ops, spec);
	report->ok = stack;
	if (!stack) {
		snprintf(report->reason, sizeof(report->reason), "%s has no stack=%s between nodes", ops->name,
			 spec_value(spec, ops->options, "stack"));
		return;
	}
	pair = !*spec_value(spec, ops->options, "peer");
	ns = pair ? netns_new() : -1;
	report->ok = !pair || ns >= 0;
	if (!report->ok)
		snprintf(report->reason, sizeof(report->reason),
			 "nodes=2 takes network namespaces, and this user may not make them: %s", strerror(-ns));
	if (ns >= 0)
		close(ns);
	if (report->ok)
		stack->probe(spec, report);
}

/* ---- Placement -------------------------------------------------------------------------------- */

static int find_function(const struct application *app, const char *name, size_t n)
{
	for (unsigned f = 0; f < app->n_functions; f++)
		if (strlen(app->functions[f]->name) == n && !memcmp(app->functions[f]->name, name, n))
			return (int)f;
	return -1;
}

/* Is `name` one of the words of `list`, joined by '+'? */
static bool listed(const char *list, const char *name)
{
	const size_t n = strlen(name);

	for (const char *at = list; *at; at += strcspn(at, "+"), at += *at == '+')
		if (strcspn(at, "+") == n && !memcmp(at, name, n))
			return true;
	return false;
}

int node_place(const struct spec *spec, const struct option_spec *options, const struct application *app,
	       uint32_t *on_b, const char **bad)
{
	*on_b = 0;
	for (unsigned f = 0; f < app->n_functions && f < 32; f++)
		if (app->second_node ? listed(app->second_node, app->functions[f]->name) : f % 2)
			*on_b |= 1u << f;
	for (const char *at = spec_value(spec, options, "place"); *at; at += strcspn(at, "+"), at += *at == '+') {
		const size_t n = strcspn(at, ":+");
		const char node = at[n] == ':' ? at[n + 1] : '\0';
		int f = find_function(app, at, n);

		*bad = at;
		if (f < 0 || f >= 32 || (node != 'a' && node != 'b') || strcspn(at, "+") != n + 2)
			return -EINVAL;
		*on_b = node == 'b' ? *on_b | 1u << f : *on_b & ~(1u << f);
	}
	return 0;
}

bool node_has(const struct node *n, unsigned f)
{
	return !n || n->here >> f & 1;
}

bool node_map(const struct spec *spec, const struct option_spec *options, const struct application *app,
	      char *out, size_t bytes)
{
	const char *bad;
	uint32_t on_b;
	int at = 0;

	if (!node_wanted(spec, options) || node_place(spec, options, app, &on_b, &bad))
		return false;
	for (unsigned f = 0; f < app->n_functions && at >= 0 && (size_t)at < bytes; f++)
		at += snprintf(out + at, bytes - (size_t)at, "%s%s:%c", f ? "+" : "",
			       app->functions[f]->name, on_b >> f & 1 ? 'b' : 'a');
	return true;
}

/* FNV-1a, 64 bits. It tells mistakes apart, not enemies. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t fingerprint(const struct deployment *d, uint32_t on_b)
{
	const struct deploy_config *c = &d->config;
	const char *text = d->app->spec.text;
	uint64_t h = mix(UINT64_C(0xcbf29ce484222325), text, strlen(text));

	h = mix(h, &on_b, sizeof(on_b));
	h = mix(h, &c->pool_buffers, sizeof(c->pool_buffers));
	h = mix(h, &c->buffer_bytes, sizeof(c->buffer_bytes));
	h = mix(h, &c->seed, sizeof(c->seed));
	h = mix(h, &(uint32_t){ PEER_VERSION }, sizeof(uint32_t));
	return h ? h : 1;
}

/* ---- A pair ------------------------------------------------------------------------------------ */

static struct in_addr address(uint32_t host)
{
	return (struct in_addr){ htonl(host) };
}

int node_plain_wire(int a, const char *end_a, int b, const char *end_b)
{
	static const uint32_t offloads[] = { ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM };
	int err = 0;

	for (unsigned i = 0; !err && i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		err = netns_offload(a, end_a, offloads[i], false);
		if (!err)
			err = netns_offload(b, end_b, offloads[i], false);
	}
	return err;
}

/* Two namespaces and a veth between them. Its ends have the same name: a node need not know which it is. */
static int make_pair(struct node *n, bool offload)
{
	static const char end[] = "eth0";
	int err;

	n->netns = netns_new();
	n->peer_netns = n->netns < 0 ? n->netns : netns_new();
	if (n->peer_netns < 0)
		return n->peer_netns;
	err = netns_veth(n->netns, NULL, end, n->peer_netns, address(NODE_A + 1), NODE_PREFIX);
	if (!err)
		err = netns_address(n->netns, end, address(NODE_A), NODE_PREFIX);
	if (!err && !offload)
		err = node_plain_wire(n->netns, end, n->peer_netns, end);
	strcpy(n->iface, end);
	n->paired = true;
	n->peer.sin_family = AF_INET;
	n->peer.sin_port = htons(NODE_PORT);
	n->peer.sin_addr = address(n->stack == &peer_tcp ? NODE_A + 1 : STACK_A + 1);
	n->address = address(STACK_A);
	return err;
}

/* Given by options: the other node is somebody else's. */
static int configure(struct deployment *d, struct node *n)
{
	const char *peer = value(d, "peer"), *colon = strchr(peer, ':');
	char host[INET_ADDRSTRLEN] = "";
	long port = colon ? strtol(colon + 1, NULL, 10) : 0;

	if (colon && (size_t)(colon - peer) < sizeof(host))
		memcpy(host, peer, (size_t)(colon - peer));
	n->peer.sin_family = AF_INET;
	n->peer.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &n->peer.sin_addr) != 1 || port < 1 || port > 65535)
		return deploy_error(d, -EINVAL, "peer=%s is not ADDR:PORT", peer);
	n->name = *value(d, "node");
	n->listens = n->name == 'b';
	if (n->stack == &peer_tcp)
		return 0;
	snprintf(n->iface, sizeof(n->iface), "%s", value(d, "iface"));
	if (!*n->iface || (!n->listens && inet_pton(AF_INET, value(d, "address"), &n->address) != 1))
		return deploy_error(d, -EINVAL, "with peer= stack=%s needs iface=%s", n->stack->name,
				    n->listens ? "" : " and address=");
	return 0;
}

int node_open(struct deployment *d)
{
	struct node *n;
	const char *bad;
	uint32_t on_b;
	int err;

	if (!node_wanted(&d->spec, d->ops->options) || !(d->flags & DP_SHARED_POOL))
		return 0;
	if (d->app->n_functions > 32)
		return deploy_error(d, -EINVAL, "at most 32 functions on two nodes");
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	d->node = n;
	*n = (struct node){ .name = 'a', .netns = -1, .peer_netns = -1,
			    .stack = stack_of(d->ops, &d->spec) };
	err = node_place(&d->spec, d->ops->options, d->app, &on_b, &bad);
	if (err)
		return deploy_error(d, err, "place: '%.*s' is not FUNCTION:a or FUNCTION:b of %s",
				    (int)strcspn(bad, "+"), bad, d->app->spec.text);
	if (d->config.pair) {                   /* node b of a pair: as node a has made it */
		*n = *d->config.pair;
		n->name = 'b';
		n->listens = true;
		n->netns = n->peer_netns;
		n->peer_netns = -1;
		n->address = n->peer.sin_addr;
		n->other = NULL;
	} else if (*value(d, "peer")) {
		err = configure(d, n);
	} else {
		err = make_pair(n, !strcmp(value(d, "offload"), "on"));
		if (err)
			return deploy_error(d, err, "cannot make two nodes: %s", strerror(-err));
	}
	n->here = n->name == 'b' ? on_b : ~on_b;
	n->fingerprint = fingerprint(d, on_b);
	if (n->listens)
		n->address = n->peer.sin_addr;
	return err;
}

int node_start_other(struct deployment *d)
{
	struct deploy_config config = d->config;
	struct deployment *other;
	int err;

	if (!d->node || !d->node->paired || d->config.pair)
		return 0;
	other = calloc(1, sizeof(*other));
	if (!other)
		return -ENOMEM;
	config.pair = d->node;
	config.listen.sin_port = 0;
	config.adapters = 0;                    /* clients come in, and commands, at node a */
	config.control = false;
	err = deploy_start(other, d->ops, &d->spec, d->app, &config);
	d->node->peer_netns = -1;               /* the other's now, also after a failure */
	if (err) {
		deploy_error(d, err, "node b: %.480s", other->why);
		free(other);
		return err;
	}
	d->node->other = other;
	return 0;
}

int node_wait(struct deployment *d)
{
	const uint64_t end = clock_now_ns() + d->config.start_timeout_ms * NS_PER_MS;
	const struct timespec step = { .tv_nsec = (long)NS_PER_MS };

	if (!d->node || !d->node->other)
		return 0;
	while (!atomic_load(&d->board->link.up) || !atomic_load(&d->node->other->board->link.up)) {
		int err = deploy_watch(d);

		if (err)
			return err;
		if (clock_now_ns() > end)
			return deploy_error(d, -ETIMEDOUT, "the two nodes were not connected after %u ms",
					    d->config.start_timeout_ms);
		nanosleep(&step, NULL);
	}
	return 0;
}

void node_close(struct deployment *d)
{
	struct node *n = d->node;

	if (!n)
		return;
	if (n->other)
		deploy_stop(n->other);
	free(n->other);
	if (n->netns >= 0)
		close(n->netns);
	if (n->peer_netns >= 0)
		close(n->peer_netns);
	free(n);
	d->node = NULL;
}
