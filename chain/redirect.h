/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPRIGHT's acceleration outside the chain (section 3.4, Fig 6): eBPF programs that look a frame's destination
 * up in the node's FIB and hand it to that device, past the node's protocol stack and netfilter.
 *
 *   at the uplink           XDP, before there is an sk_buff, or TC
 *   at a pod's host side    TC: what pods send are sk_buffs already, which XDP on a veth would copy
 *
 * What is not plain IPv4 between devices of the node (fragments, options, TTL 1, for the node itself, no
 * neighbour) goes the ordinary way. Nothing is pinned: programs end with the devices they are attached to.
 */
#ifndef PERHOP_CHAIN_REDIRECT_H
#define PERHOP_CHAIN_REDIRECT_H

#include <stdbool.h>
#include <stddef.h>

struct redirect_bpf;

/* Does this kernel take the programs? 0, or -errno with a sentence in `why`. */
int redirect_probe(char *why, size_t why_bytes);

/* Load them. 0 or -errno. redirect_close(NULL) is fine. */
int redirect_open(struct redirect_bpf **out);
void redirect_close(struct redirect_bpf *bpf);

/* Attach to device `index` of namespace `node`; a negative index is returned as it is. 0 or -errno. */
int redirect_uplink(struct redirect_bpf *bpf, int node, int index, bool xdp);
int redirect_pod(struct redirect_bpf *bpf, int node, int index);

#endif
