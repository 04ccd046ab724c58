/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who talks to whom: components and links found from the sockets of running processes, by /proc alone.
 * A link is a connection whose one end is a listening port of a component. Sample while traffic flows:
 * a connection that lives for one request is only seen by luck, so sample often.
 */
#ifndef PERHOP_AUDIT_DISCOVER_H
#define PERHOP_AUDIT_DISCOVER_H

#include "audit/segment.h"

struct discover_options {
	uint16_t entry_port;        /* clients connect here, from processes that are no component */
	bool expand;                /* processes at the far end of a link become components too */
};

/*
 * Add what /proc shows now to the plan: links, and with `expand` components. Returns how many links
 * are new, or -errno. Processes that may not be looked at are passed over.
 */
int discover_sample(struct plan *p, const struct discover_options *o);

struct sockets;

/* All sockets as they are now, read once for any number of connections. 0 or -errno; close it in any case. */
int discover_open(struct sockets **s, const struct plan *p, const struct discover_options *o);
void discover_close(struct sockets *s);

/*
 * A connection that `client` was seen to make, from network namespace `netns` to `addr`:`port` (as in
 * audit_link_key): a link, when a component of `p` listens there according to `s` (or, with `expand`, anybody).
 * Returns how many links are new (0 or 1), or -errno.
 */
int discover_connection(struct plan *p, const struct sockets *s, const struct discover_options *o, pid_t client,
			uint32_t netns, const uint32_t *addr, uint16_t port);

/* Make the process that listens on `port` (in our network namespace) a component. Its id or -errno. */
int discover_listener(struct plan *p, uint16_t port);

/* Every process of a cgroup (v2 or v1 path, below /sys/fs/cgroup or absolute). How many, or -errno. */
int discover_cgroup(struct plan *p, const char *path);

/* Add the children of all components to them, for programs with worker processes. */
void discover_children(struct plan *p);

/*
 * Note the network namespaces of the chain: those of its components, our own (the client's), and those
 * that this process holds open (a deployment's bridge may be in one without any process). Not the one of a
 * client on a node of its own (client_netns, a descriptor; -1: it has none): what it receives is its business.
 */
void discover_namespaces(struct plan *p, int client_netns);

/* A component for `pid`, named after its program and, when it listens, its port. Its id or -errno. */
int discover_process(struct plan *p, pid_t pid);

#endif
