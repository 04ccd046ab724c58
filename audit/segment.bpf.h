/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Attribution, the eBPF side: which component, link and segment an event belongs to. Every probe
 * includes this file; the maps below exist once, made by segment.bpf.c and reused by all.
 *
 *      socket or frame --(netns, IP, port)--> link --direction--> segment
 *      frame in a softirq ----tags the CPU---> wake-up ---tags the task---> its switch-in
 *      send or receive ------tags the task---> its switch-out, its codec and copies
 */
#ifndef PERHOP_AUDIT_SEGMENT_BPF_H
#define PERHOP_AUDIT_SEGMENT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "audit/counts.h"

#define AF_INET 2
#define AF_INET6 10
#define PROTOCOL_TCP 6

/* Sizes of the cells' array, known when the chain is. */
const volatile __u32 n_components = AUDIT_COMPONENTS, n_segments = AUDIT_SEGMENTS;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct audit_window);
} window SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);     /* set before loading: M_COUNT × n_components × n_segments */
	__type(key, __u32);
	__type(value, struct audit_cell);
} cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);         /* tgid in the initial PID namespace */
	__type(value, struct audit_component);
} components SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct audit_link_key);
	__type(value, struct audit_link);
} links SEC(".maps");

/*
 * The network namespaces that the chain lives in. Another deployment may well use the same addresses:
 * its frames are none of ours.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} namespaces SEC(".maps");

/* Segment of a hand-over from one component to another where no frame says it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AUDIT_COMPONENTS * AUDIT_COMPONENTS);
	__type(key, __u32);
	__type(value, __u32);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct audit_task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct audit_cpu);
} cpus SEC(".maps");

static __always_inline bool counting(void)
{
	__u32 zero = 0;
	struct audit_window *w = bpf_map_lookup_elem(&window, &zero);

	return w && w->open;
}

static __always_inline void count(__u32 metric, __u32 component, __u32 segment, __u64 sum)
{
	__u32 key = (metric * n_components + component) * n_segments + segment;
	struct audit_cell *c;

	if (component >= n_components || segment >= n_segments)
		return;
	c = bpf_map_lookup_elem(&cells, &key);
	if (c) {
		c->n++;
		c->sum += sum;
	}
}

static __always_inline struct audit_component *component_of(__u32 tgid)
{
	return bpf_map_lookup_elem(&components, &tgid);
}

static __always_inline __u32 component_id(__u32 tgid)
{
	struct audit_component *c = component_of(tgid);

	return c ? c->id : AUDIT_NOBODY;
}

static __always_inline struct audit_component *component_current(void)
{
	return component_of(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline struct audit_cpu *cpu_tags(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

static __always_inline struct audit_task *task_tags(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline struct audit_task *task_tags_current(void)
{
	return task_tags(bpf_get_current_task_btf());
}

static __always_inline __u32 pair_segment(__u32 from, __u32 to)
{
	__u32 key = from * AUDIT_COMPONENTS + to, *segment;

	segment = bpf_map_lookup_elem(&pairs, &key);
	return segment ? *segment : 0;
}

/* 127/8 and ::1 are another host in every network namespace. */
static __always_inline bool is_loopback(const __u32 *addr)
{
	if (addr[0] || addr[1])
		return false;
	if (addr[2] == bpf_htonl(0xffff))
		return (bpf_ntohl(addr[3]) >> 24) == 127;
	return !addr[2] && addr[3] == bpf_htonl(1);
}

static __always_inline void address4(struct audit_link_key *k, __u32 addr)
{
	k->addr[0] = k->addr[1] = 0;
	k->addr[2] = bpf_htonl(0xffff);
	k->addr[3] = addr;
}

static __always_inline struct audit_link *link_find(struct audit_link_key *k, __u32 netns, __u16 port)
{
	k->netns = is_loopback(k->addr) ? netns : 0;
	k->port = port;
	k->zero = 0;
	return bpf_map_lookup_elem(&links, k);
}

/* The link that a socket is an end of, or NULL. *at_server: which end. */
static __always_inline struct audit_link *link_of_socket(const struct sock *sk, bool *at_server)
{
	struct audit_link_key local = {}, remote = {};
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u32 netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	struct audit_link *l;

	if (family == AF_INET) {
		address4(&local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		address4(&remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&local.addr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&remote.addr, sk, __sk_common.skc_v6_daddr);
	} else {
		return NULL;
	}
	*at_server = true;
	l = link_find(&local, netns, BPF_CORE_READ(sk, __sk_common.skc_num));
	if (l)
		return l;
	*at_server = false;
	return link_find(&remote, netns, bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)));
}

/* Segment of what a socket sends or receives. */
static __always_inline __u32 socket_segment(const struct audit_link *l, bool at_server, bool send)
{
	return l->segment[at_server == send];
}

/* What a frame of the chain is. */
struct audit_frame {
	__u32 segment;
	__u8 from, to;              /* components; 0 when it is the client of the link */
	__u8 metric;                /* M_STACK_DATA, M_STACK_CONTROL or M_STACK_ACK */
	__u32 payload;              /* bytes */
};

/* Is the frame whose network header is at `l3`, seen in `netns`, on a link of the chain? */
static __always_inline bool frame_parse(struct audit_frame *f, const void *l3, __u32 netns)
{
	struct audit_link_key src = {}, dst = {};
	struct audit_link *l;
	struct tcphdr tcp;
	__u32 header, length;
	__u8 version;

	if (!bpf_map_lookup_elem(&namespaces, &netns) || bpf_probe_read_kernel(&version, 1, l3))
		return false;
	if (version >> 4 == 4) {
		struct iphdr ip;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), l3) || ip.protocol != PROTOCOL_TCP)
			return false;
		header = ip.ihl * 4;
		length = bpf_ntohs(ip.tot_len);
		address4(&src, ip.saddr);
		address4(&dst, ip.daddr);
	} else if (version >> 4 == 6) {
		struct ipv6hdr ip;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), l3) || ip.nexthdr != PROTOCOL_TCP)
			return false;
		header = sizeof(ip);
		length = header + bpf_ntohs(ip.payload_len);
		__builtin_memcpy(src.addr, &ip.saddr, sizeof(src.addr));
		__builtin_memcpy(dst.addr, &ip.daddr, sizeof(dst.addr));
	} else {
		return false;
	}
	if (bpf_probe_read_kernel(&tcp, sizeof(tcp), l3 + header))
		return false;
	l = link_find(&dst, netns, bpf_ntohs(tcp.dest));
	if (l) {
		f->segment = l->segment[0];
		f->from = 0;
		f->to = l->server;
	} else {
		l = link_find(&src, netns, bpf_ntohs(tcp.source));
		if (!l)
			return false;
		f->segment = l->segment[1];
		f->from = l->server;
		f->to = 0;
	}
	header += tcp.doff * 4;
	f->payload = length > header ? length - header : 0;
	f->metric = tcp.syn || tcp.fin || tcp.rst ? M_STACK_CONTROL :
		    f->payload ? M_STACK_DATA : M_STACK_ACK;
	return true;
}

#endif
