/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anonymous network namespaces, and the little rtnetlink that pods need. A namespace here lives only
 * by the descriptors and processes that hold it: there is no name that could be left behind.
 */
#ifndef PERHOP_KERNEL_NETNS_H
#define PERHOP_KERNEL_NETNS_H

#include <netinet/in.h>
#include <stdint.h>

/* A new network namespace with `lo` up and IPv6 off: its descriptor (O_CLOEXEC), or -errno. */
int netns_new(void);

/* A socket that lives in namespace `ns` for good; the caller stays where it is. fd or -errno. */
int netns_socket(int ns, int domain, int type, int protocol);

/* A TCP socket listening on `at` in `ns` (-1: here), non-blocking, O_CLOEXEC. fd or -errno. */
int netns_listen(int ns, const struct sockaddr_in *at, int backlog);

/* In namespace `node`: make a bridge and bring it up. 0 or -errno. */
int netns_bridge(int node, const char *name);

/*
 * Connect `pod` to `bridge` of `node` by a veth pair: `port` is its end in the node (≤ 15 letters),
 * `eth0` with address/prefix its end in the pod. Both are up. 0 or -errno.
 */
int netns_veth(int node, const char *bridge, const char *port, int pod, struct in_addr address,
	       unsigned prefix);

#endif
