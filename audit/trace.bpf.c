/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * `perhop trace`: the life of a request as events, through a ring buffer. The only probe that streams;
 * it is never on while counts or times are taken. Attached after the counting probes, whose tags it
 * reads.
 */
#include "audit/segment.bpf.h"
#include <bpf/usdt.bpf.h>

#define MSG_PEEK 0x2

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} events SEC(".maps");

/* Events that found no room: the trace has a gap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline void emit(__u8 kind, __u8 component, __u8 segment, __u8 other, __u32 tid,
				 __u64 amount)
{
	struct audit_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	__u32 zero = 0;
	__u64 *n;

	if (!e) {
		n = bpf_map_lookup_elem(&lost, &zero);
		if (n)
			__sync_fetch_and_add(n, 1);
		return;
	}
	e->at_ns = bpf_ktime_get_ns();
	e->amount = amount;
	e->tid = tid;
	e->cpu = bpf_get_smp_processor_id();
	e->kind = kind;
	e->component = component;
	e->segment = segment;
	e->other = other;
	e->zero = 0;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline void emit_here(__u8 kind, __u8 segment, __u64 amount)
{
	__u64 id = bpf_get_current_pid_tgid();

	emit(kind, component_id(id >> 32), segment, 0, (__u32)id, amount);
}

SEC("tp_btf/sched_waking")
int BPF_PROG(trace_waking, struct task_struct *task)
{
	struct audit_task *t;
	__u32 to;

	if (!counting())
		return 0;
	to = component_id(task->tgid);
	if (!to)
		return 0;
	t = task_tags(task);
	emit(AUDIT_TRACE_WAKE, to, t && to > AUDIT_CLIENT ? t->woken_by : 0,
	     component_id(bpf_get_current_pid_tgid() >> 32), task->pid,
	     (__u32)bpf_get_current_pid_tgid());
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(trace_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct audit_task *t;
	__u32 out, in;

	if (!counting())
		return 0;
	out = component_id(prev->tgid);
	if (out) {
		t = task_tags(prev);
		emit(AUDIT_TRACE_SWITCH_OUT, out, t ? t->did : 0, preempt, prev->pid, 0);
	}
	in = component_id(next->tgid);
	if (in) {
		t = task_tags(next);
		emit(AUDIT_TRACE_SWITCH_IN, in, t ? t->runs_for : 0, 0, next->pid, 0);
	}
	return 0;
}

static __always_inline int transfer(struct sock *sk, int bytes, int flags, bool send)
{
	struct audit_component *c;
	struct audit_link *l;
	struct audit_task *t;
	bool at_server;
	__u8 segment;

	if (bytes <= 0 || flags & MSG_PEEK || !counting())
		return 0;
	c = component_current();
	if (!c)
		return 0;
	l = link_of_socket(sk, &at_server);
	t = task_tags_current();
	segment = l ? socket_segment(l, at_server, send) : !t ? 0 : send ? t->did : t->runs_for;
	emit_here(send ? AUDIT_TRACE_SEND : AUDIT_TRACE_RECV, segment, bytes);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(trace_send, struct sock *sk, int ret, int flags)
{
	return transfer(sk, ret, flags, true);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(trace_recv, struct sock *sk, int ret, int flags)
{
	return transfer(sk, ret, flags, false);
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(trace_frame, struct sk_buff *skb)
{
	struct audit_frame f = {};

	if (counting() && frame_parse(&f, skb->data, skb->dev->nd_net.net->ns.inum))
		emit_here(AUDIT_TRACE_FRAME, f.segment, f.payload);
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(trace_softirq, unsigned int vector)
{
	if (vector == NET_RX_SOFTIRQ && counting())
		emit_here(AUDIT_TRACE_SOFTIRQ, 0, 0);
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(trace_softirq_end, unsigned int vector)
{
	struct audit_cpu *cpu;

	if (vector != NET_RX_SOFTIRQ || !counting())
		return 0;
	cpu = cpu_tags();
	emit_here(AUDIT_TRACE_SOFTIRQ_END, cpu ? cpu->first : 0, 0);
	return 0;
}

SEC("tp_btf/ipi_send_cpu")
int BPF_PROG(trace_ipi, unsigned int target)
{
	struct audit_cpu *cpu;

	if (!counting())
		return 0;
	cpu = cpu_tags();
	emit_here(AUDIT_TRACE_IPI, cpu ? cpu->segment : 0, target);
	return 0;
}

static __always_inline int ours(__u8 kind, long amount)
{
	struct audit_component *c;
	struct audit_task *t;

	if (!counting())
		return 0;
	c = component_current();
	t = c ? task_tags_current() : NULL;
	if (t)
		emit_here(kind, kind == AUDIT_TRACE_DECODE ? t->received : t->did, amount);
	return 0;
}

SEC("usdt")
int BPF_USDT(trace_copy, long bytes)
{
	return ours(AUDIT_TRACE_COPY, bytes);
}

SEC("usdt")
int BPF_USDT(trace_encode, long type, long bytes)
{
	return ours(AUDIT_TRACE_ENCODE, type << 32 | (bytes & 0xffffffff));
}

SEC("usdt")
int BPF_USDT(trace_decode, long type, long bytes)
{
	return ours(AUDIT_TRACE_DECODE, type << 32 | (bytes & 0xffffffff));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
