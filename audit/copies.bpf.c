/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Copies: one per send and one per receive of message payload, plus our own copies in user space
 * (USDT) and the kernel's (skb_copy, pskb_expand_head). This probe also tags the task with the segment
 * of its last send and receive.
 */
#include "audit/segment.bpf.h"
#include <bpf/usdt.bpf.h>

#define MSG_PEEK 0x2
#define MSG_SPLICE_PAGES 0x8000000

/* While learning: connections of components that are no link yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct audit_seen);
	__type(value, __u8);
} seen SEC(".maps");

static __always_inline void learn(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct audit_link_key remote = {};
	struct audit_seen key = {};
	struct audit_window *w;
	__u32 zero = 0;
	__u8 one = 1;

	w = bpf_map_lookup_elem(&window, &zero);
	if (!w || !w->learning)
		return;
	if (family == AF_INET)
		address4(&remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	else if (family == AF_INET6)
		BPF_CORE_READ_INTO(&remote.addr, sk, __sk_common.skc_v6_daddr);
	else
		return;
	__builtin_memcpy(key.remote, remote.addr, sizeof(key.remote));
	key.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
}

static __always_inline int on_send(struct sock *sk, int bytes, int flags)
{
	struct audit_component *c;
	struct audit_link *l;
	struct audit_task *t;
	bool at_server;

	if (bytes <= 0 || !counting())
		return 0;
	c = component_current();
	if (!c)
		return 0;
	t = task_tags_current();
	if (!t)
		return 0;
	l = link_of_socket(sk, &at_server);
	/* Not a link: a component's own sockets (SK_MSG, Unix). The wake-up has told the segment. */
	if (!l || l->flags & AUDIT_LINK_DESCRIPTOR) {
		learn(sk);
		count(M_COPY_DESCRIPTOR_SEND, c->id, t->did, bytes);
		return 0;
	}
	t->did = socket_segment(l, at_server, true);
	count(flags & MSG_SPLICE_PAGES ? M_SEND_ZEROCOPY : M_COPY_SEND, c->id, t->did, bytes);
	return 0;
}

static __always_inline int on_recv(struct sock *sk, int bytes, int flags)
{
	struct audit_component *c;
	struct audit_link *l;
	struct audit_task *t;
	bool at_server;

	if (bytes <= 0 || !counting())
		return 0;
	c = component_current();
	if (!c)
		return 0;
	t = task_tags_current();
	if (!t)
		return 0;
	l = link_of_socket(sk, &at_server);
	if (!l || l->flags & AUDIT_LINK_DESCRIPTOR) {
		t->received = t->runs_for;
		count(M_COPY_DESCRIPTOR_RECV, c->id, t->runs_for, bytes);
		return 0;
	}
	if (flags & MSG_PEEK) {
		count(M_COPY_PEEK, c->id, socket_segment(l, at_server, false), bytes);
		return 0;
	}
	t->did = t->received = socket_segment(l, at_server, false);
	count(M_COPY_RECV, c->id, t->did, bytes);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_length, struct sock *sk, int ret, int flags)
{
	return on_send(sk, ret, flags);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(recv_length, struct sock *sk, int ret, int flags)
{
	return on_recv(sk, ret, flags);
}

/* Before Linux 6.3 these tracepoints are not there. */
SEC("fexit/inet_sendmsg")
int BPF_PROG(send_exit, struct socket *socket, struct msghdr *m, size_t size, int ret)
{
	return on_send(socket->sk, ret, m->msg_flags);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(recv_exit, struct socket *socket, struct msghdr *m, size_t size, int flags, int ret)
{
	return on_recv(socket->sk, ret, flags);
}

SEC("usdt")
int BPF_USDT(user_copy, long bytes)
{
	struct audit_component *c;
	struct audit_task *t;

	if (!counting())
		return 0;
	c = component_current();
	t = c ? task_tags_current() : NULL;
	if (t)
		count(M_COPY_USER, c->id, t->did, bytes);
	return 0;
}

/* A user-space stack's frame between two nodes. What the kernel does with it, no socket's probe sees. */
static __always_inline int on_frame(bool out, long bytes, long copied)
{
	struct audit_component *c;
	struct audit_task *t;

	if (!counting())
		return 0;
	c = component_current();
	t = c && c->beyond ? task_tags_current() : NULL;
	if (!t)
		return 0;
	t->did = out ? pair_segment(c->id, c->beyond) : pair_segment(c->beyond, c->id);
	if (!out) {
		t->received = t->did;
		count(M_STACK_DATA, c->id, t->did, bytes);
	}
	if (copied)
		count(out ? M_COPY_SEND : M_COPY_RECV, c->id, t->did, bytes);
	return 0;
}

SEC("usdt")
int BPF_USDT(frame_out, long bytes, long copied)
{
	return on_frame(true, bytes, copied);
}

SEC("usdt")
int BPF_USDT(frame_in, long bytes, long copied)
{
	return on_frame(false, bytes, copied);
}

static __always_inline int kernel_copy(const struct sk_buff *skb)
{
	struct audit_component *c;
	struct audit_cpu *cpu;

	if (!counting())
		return 0;
	c = component_current();
	cpu = cpu_tags();
	if (cpu && (c || cpu->segment))
		count(M_COPY_KERNEL, c ? c->id : 0, cpu->segment, skb->len);
	return 0;
}

SEC("fentry/skb_copy")
int BPF_PROG(whole_copy, const struct sk_buff *skb)
{
	return kernel_copy(skb);
}

SEC("fentry/pskb_expand_head")
int BPF_PROG(head_copy, struct sk_buff *skb)
{
	return kernel_copy(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
