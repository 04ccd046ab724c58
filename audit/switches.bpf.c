/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Context switches: a component's task going onto a CPU, and leaving one. One sched_switch between
 * two components is therefore two. The switch-in belongs to the segment of the wake-up, the switch-out
 * to that of the task's last send or receive.
 */
#include "audit/segment.bpf.h"

SEC("tp_btf/sched_waking")
int BPF_PROG(waking, struct task_struct *task)
{
	__u32 to, from, segment;
	struct audit_task *t, *mine;
	struct audit_cpu *cpu;

	if (!counting())
		return 0;
	to = component_id(task->tgid);
	if (to <= AUDIT_CLIENT)
		return 0;
	cpu = cpu_tags();
	segment = cpu ? cpu->segment : 0;
	if (!segment) {                 /* no frame in hand: one component wakes another itself */
		from = component_id(bpf_get_current_pid_tgid() >> 32);
		segment = from ? pair_segment(from, to) : 0;
		if (segment) {
			mine = task_tags_current();
			if (mine)
				mine->did = segment;
		}
	}
	t = task_tags(task);
	if (t) {
		t->woken_by = segment;
		t->woken = 1;
	}
	count(M_WAKEUP, to, segment, 0);
	return 0;
}

/* Did it leave of its own will? The task's state says so; its field was renamed in 5.14. */
struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

static __always_inline bool is_runnable(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return !BPF_CORE_READ(task, __state);
	return !BPF_CORE_READ((struct task_struct___old *)task, state);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct audit_task *t;
	__u32 out, in;

	if (!counting())
		return 0;
	count(M_SWITCH_EVENTS, AUDIT_NOBODY, 0, 0);
	out = component_id(prev->tgid);
	in = component_id(next->tgid);
	if (out > AUDIT_CLIENT || in > AUDIT_CLIENT)
		count(M_SWITCH_EVENTS_OURS, AUDIT_NOBODY, 0, 0);
	if (out > AUDIT_CLIENT) {
		t = task_tags(prev);
		count(preempt || is_runnable(prev) ? M_SWITCH_OUT_INVOLUNTARY : M_SWITCH_OUT_VOLUNTARY,
		      out, t ? t->did : 0, 0);
	}
	if (in > AUDIT_CLIENT) {
		t = task_tags(next);
		if (t && t->woken) {
			t->woken = 0;
			t->runs_for = t->woken_by;
			count(M_SWITCH_IN_WOKEN, in, t->runs_for, 0);
		} else {
			count(M_SWITCH_IN_RESUMED, in, t ? t->runs_for : 0, 0);
		}
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
