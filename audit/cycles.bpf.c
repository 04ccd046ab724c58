/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where the CPU time of a request goes: each component by segment, and the NET_RX softirq, which works
 * in whoever's context it finds. Nanoseconds; user space makes cycles of them by the TSC's rate where
 * there is no hardware counter, and says so.
 *
 * Attached after `switches`, which decides what a task runs for.
 */
#include "audit/segment.bpf.h"

SEC("tp_btf/sched_switch")
int BPF_PROG(slice, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();
	struct audit_task *t;
	__u32 out, in;

	out = component_id(prev->tgid);
	if (out > AUDIT_CLIENT) {
		t = task_tags(prev);
		if (t && t->on_cpu_ns) {
			if (counting())
				count(M_CPU_TIME, out, t->runs_for, now - t->on_cpu_ns);
			t->on_cpu_ns = 0;
		}
	}
	in = component_id(next->tgid);
	if (in > AUDIT_CLIENT && counting()) {
		t = task_tags(next);
		if (t)
			t->on_cpu_ns = now;
	}
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_starts, unsigned int vector)
{
	struct audit_cpu *cpu = cpu_tags();

	if (cpu && vector == NET_RX_SOFTIRQ)
		cpu->since_ns = counting() ? bpf_ktime_get_ns() : 0;
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_stops, unsigned int vector)
{
	struct audit_cpu *cpu = cpu_tags();

	if (!cpu || vector != NET_RX_SOFTIRQ || !cpu->since_ns)
		return 0;
	if (counting())
		count(M_SOFTIRQ_TIME, AUDIT_NOBODY, cpu->first, bpf_ktime_get_ns() - cpu->since_ns);
	cpu->since_ns = 0;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
