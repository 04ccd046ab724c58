/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * System calls of the components. Each belongs to the segment of the wake-up that its task runs for:
 * what a call is about shows only once it is done, and an epoll_wait is about nothing in particular.
 */
#include "audit/segment.bpf.h"

SEC("tp_btf/sys_enter")
int BPF_PROG(entered, struct pt_regs *regs, long number)
{
	struct audit_component *c;
	struct audit_task *t;

	if (!counting())
		return 0;
	c = component_current();
	if (!c || c->id <= AUDIT_CLIENT)
		return 0;
	t = task_tags_current();
	count(M_SYSCALL, c->id, t ? t->runs_for : 0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
