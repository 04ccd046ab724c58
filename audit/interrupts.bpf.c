/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Interrupts: runs of the NET_RX softirq, attributed to the first frame each one handles; IPIs at
 * their sender, where the cause is known; hard IRQs. User space takes the idle baseline off.
 */
#include "audit/segment.bpf.h"

static __always_inline __u32 component_now(void)
{
	return component_id(bpf_get_current_pid_tgid() >> 32);
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_begins, unsigned int vector)
{
	struct audit_cpu *cpu = cpu_tags();

	if (!cpu || !counting())
		return 0;
	if (vector == NET_RX_SOFTIRQ) {
		cpu->in_net_rx = 1;
		cpu->first = 0;
	} else {
		count(M_SOFTIRQ_OTHER, component_now(), 0, 0);
	}
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_ends, unsigned int vector)
{
	struct audit_cpu *cpu = cpu_tags();

	if (!cpu || vector != NET_RX_SOFTIRQ || !cpu->in_net_rx)
		return 0;
	cpu->in_net_rx = 0;
	if (counting())
		count(M_SOFTIRQ_NET_RX, component_now(), cpu->first, 0);
	return 0;
}

/* Sent while a frame is in hand, or by a component for what it last did. */
static __always_inline void ipi_sent(void)
{
	struct audit_component *c;
	struct audit_cpu *cpu;
	struct audit_task *t;
	__u32 segment;

	if (!counting())
		return;
	cpu = cpu_tags();
	c = component_current();
	segment = cpu ? cpu->segment : 0;
	if (!segment && c && c->id > AUDIT_CLIENT) {
		t = task_tags_current();
		segment = t ? t->did : 0;
	}
	count(M_IPI_SENT, c ? c->id : 0, segment, 0);
}

SEC("tp_btf/ipi_send_cpu")
int BPF_PROG(ipi_to_cpu, unsigned int target)
{
	ipi_sent();
	return 0;
}

static __always_inline int ipi_taken(void)
{
	if (counting())
		count(M_IPI_TAKEN, component_now(), 0, 0);
	return 0;
}

SEC("tp_btf/reschedule_entry")
int BPF_PROG(reschedule, int vector)
{
	return ipi_taken();
}

SEC("tp_btf/call_function_entry")
int BPF_PROG(call_function, int vector)
{
	return ipi_taken();
}

SEC("tp_btf/call_function_single_entry")
int BPF_PROG(call_function_single, int vector)
{
	return ipi_taken();
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(device_irq, int irq)
{
	if (counting())
		count(M_IRQ_DEVICE, component_now(), 0, 0);
	return 0;
}

SEC("tp_btf/local_timer_entry")
int BPF_PROG(timer_irq, int vector)
{
	if (counting())
		count(M_IRQ_TIMER, component_now(), 0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
