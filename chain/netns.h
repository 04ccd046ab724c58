/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anonymous network namespaces, and the little rtnetlink that pods need. A namespace here lives only
 * by the descriptors and processes that hold it: there is no name that could be left behind.
 */
#ifndef PERHOP_CHAIN_NETNS_H
#define PERHOP_CHAIN_NETNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* 169.254.1.1: every routed pod's next hop, as Calico has it. Host byte order. */
#define NETNS_NEXT_HOP (169u << 24 | 254u << 16 | 1u << 8 | 1u)

/* A new network namespace with `lo` up and IPv6 off: its descriptor (O_CLOEXEC), or -errno. */
int netns_new(void);

/*
 * Go to namespace `ns`: the descriptor of where the caller (this thread) was, for netns_leave, which closes
 * it; or -errno, and the caller stays.
 */
int netns_enter(int ns);
int netns_leave(int home);

/* A socket that lives in namespace `ns` for good; the caller stays where it is. fd or -errno. */
int netns_socket(int ns, int domain, int type, int protocol);

/* A TCP socket listening on `at` in `ns` (-1: here), non-blocking, O_CLOEXEC. fd or -errno. */
int netns_listen(int ns, const struct sockaddr_in *at, int backlog);

/* In namespace `node`: make a bridge and bring it up. 0 or -errno. */
int netns_bridge(int node, const char *name);

/*
 * Connect `pod` to `bridge` (NULL: to none) of `node` by a veth pair: `port` is its end in the node
 * (≤ 15 letters), `eth0` with address/prefix its end in the pod. Both are up. 0 or -errno.
 */
int netns_veth(int node, const char *bridge, const char *port, int pod, struct in_addr address,
	       unsigned prefix);

/* Remove device `name` of `ns`, a veth with its other end. 0 or -errno. */
int netns_unlink(int ns, const char *name);

/*
 * The same without a bridge, as Calico's native routing does it: the node has a route to address/32
 * through `port`, the pod a default route through 169.254.1.1, and both know the other's MAC for good.
 */
int netns_join(int node, const char *port, int pod, struct in_addr address);

/*
 * Node `b` next to node `a`, by a veth: `port` its end in a, `eth0` with `address` its end in b. What a node has no other
 * route for goes to the other, and both forward. 0 or -errno.
 */
int netns_neighbours(int a, const char *port, int b, struct in_addr address);

/* Let `ns` forward between its devices (IPv4). 0 or -errno. */
int netns_forward(int ns);

/* Index of device `name` in `ns` (-1: here), or -errno. */
int netns_index(int ns, const char *name);

/* Give device `name` of `ns` an address. 0 or -errno. */
int netns_address(int ns, const char *name, struct in_addr address, unsigned prefix);

/* Switch an offload of device `name` in `ns`: `command` is ETHTOOL_SGRO, ETHTOOL_STXCSUM, … */
int netns_offload(int ns, const char *name, uint32_t command, bool on);

#endif
