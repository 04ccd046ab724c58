/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU time by layer, from sampled stacks: what Figs 2 and 13 of SPRIGHT break cycles down into. A software
 * clock of each CPU (perf_event_open, cpu-clock: no counter of the CPU is needed) interrupts every
 * LAYERS_PERIOD_NS; an eBPF program notes stack, process and where the frame in hand was received.
 *
 * A stack is read from its leaf towards its root; the first function that belongs to a layer decides:
 *
 *      memcpy, skb_*            helpers of everybody: whoever called them
 *      nf_*, ipt_*, …           netfilter
 *      xdp_*, a redirecting
 *      program, tc              redirect: what the acceleration itself costs
 *      veth_*, net_rx_action    device: veth, softirq, queues
 *      ip_forward, br_*         host stack
 *      ip_*, tcp_*, sock_*      TCP/IP: in a softirq of whoever received the frame: the node (host stack,
 *                               until it is delivered), a pod (pod stack) or the client's node (not
 *                               counted); else of the process
 *      sk_psock_*, futex_*, …   descriptor: hand-over within a shared-memory chain
 *      all else                 system: scheduler, epoll, system call entry
 *
 * What the client's process does, and what its node receives, is left out. With client=local its receive
 * path cannot be told from the gateway's and is in the pod stack.
 */
#ifndef PERHOP_AUDIT_LAYERS_H
#define PERHOP_AUDIT_LAYERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LAYERS_PERIOD_NS 251000ULL          /* no multiple of any timer's */

enum layer {
	LAYER_USER, LAYER_POD, LAYER_HOST, LAYER_NETFILTER, LAYER_REDIRECT, LAYER_DEVICE, LAYER_DESCRIPTOR,
	LAYER_SYSTEM,
	LAYER_COUNT,
	LAYER_NONE = LAYER_COUNT,   /* idle, or the client's */
};

/* "user", "pod_stack", "host_stack", …: as records have it. */
const char *layer_name(enum layer layer);

/* Where a frame was received, by network namespace. */
enum layer_place { PLACE_POD, PLACE_NODE, PLACE_CLIENT };

/*
 * Layer of a kernel stack of `n` function names, the leaf first. `client`: the process is the client's;
 * `place`: of the last frame received on that CPU; *softirq: the work was done in a softirq, for nobody in
 * particular.
 */
enum layer layers_classify(const char *const *function, unsigned n, bool client, enum layer_place place,
			   bool *softirq);

/* Who is who. Groups are the caller's: a component is the index of its group. */
enum { LAYERS_GROUPS = 168, LAYERS_PIDS = 512 };

struct layers_config {
	unsigned groups;            /* < LAYERS_GROUPS */
	struct {
		pid_t pid;
		unsigned group;
	} process[LAYERS_PIDS];
	unsigned processes;
	pid_t client;
	uint32_t node, client_node; /* inodes of network namespaces; 0: there is none */
};

/* Samples by group and layer. [groups]: softirqs; [groups + 1]: processes that are none of the chain's. */
struct layers_result {
	uint64_t samples[LAYERS_GROUPS + 2][LAYER_COUNT];
	uint64_t client, idle, lost;
};

struct layers;

/* Load and attach, not counting yet. 0, or -errno with a sentence in `why`. layers_close(NULL) is fine. */
int layers_open(struct layers **out, char *why, size_t why_bytes);
void layers_close(struct layers *l);

/* Count from here on; stop, and say what was counted. 0 or -errno. */
int layers_start(struct layers *l);
int layers_stop(struct layers *l, const struct layers_config *config, struct layers_result *result);

#endif
