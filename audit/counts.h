/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the probes count, and the keys and values they share with user space. Included by eBPF and by
 * C: fixed-width kernel types only, no other header.
 */
#ifndef PERHOP_AUDIT_COUNTS_H
#define PERHOP_AUDIT_COUNTS_H

/*
 * A cell is (metric, component, segment). `n` counts events, `sum` adds their amounts: bytes, or
 * nanoseconds for the *_TIME metrics.
 */
enum audit_metric {
	/* copies.bpf.c */
	M_COPY_SEND,                  /* payload into the kernel, one per send call */
	M_COPY_RECV,                  /* payload out of the kernel, one per receive call */
	M_COPY_USER,                  /* our copy primitive (PERHOP_COPY) */
	M_COPY_KERNEL,                /* skb_copy, pskb_expand_head: the kernel's own */
	M_COPY_DESCRIPTOR_SEND,       /* 16-byte descriptors into and … */
	M_COPY_DESCRIPTOR_RECV,       /* … out of the kernel */
	M_COPY_PEEK,                  /* MSG_PEEK: bytes that will be received again */
	M_SEND_ZEROCOPY,              /* sendfile and splice: a send that copies nothing */
	/* switches.bpf.c */
	M_SWITCH_OUT_VOLUNTARY,       /* the task blocked */
	M_SWITCH_OUT_INVOLUNTARY,     /* the task was preempted */
	M_SWITCH_IN_WOKEN,            /* first run after a wake-up */
	M_SWITCH_IN_RESUMED,          /* run again after a preemption */
	M_SWITCH_EVENTS,              /* sched_switch events of the whole machine (component 0) */
	M_SWITCH_EVENTS_OURS,         /* those with a component on either side */
	M_WAKEUP,                     /* sched_waking of a component */
	/* interrupts.bpf.c */
	M_SOFTIRQ_NET_RX,             /* runs of the NET_RX softirq */
	M_SOFTIRQ_OTHER,              /* runs of any other softirq */
	M_IPI_SENT,                   /* at the sender */
	M_IPI_TAKEN,                  /* reschedule and function-call interrupts, at the receiver */
	M_IRQ_DEVICE,                 /* irq_handler_entry */
	M_IRQ_TIMER,                  /* local timer */
	/* protocol.bpf.c: frames that enter the stack on a link of the chain */
	M_STACK_DATA,                 /* with payload */
	M_STACK_CONTROL,              /* SYN, FIN or RST */
	M_STACK_ACK,                  /* bare acknowledgements */
	M_STACK_OUT,                  /* frames queued to a device, of any kind */
	M_STACK_TCP,                  /* segments taken by TCP */
	/* serde.bpf.c */
	M_ENCODE_HTTP,                /* our HTTP writer */
	M_ENCODE_PAYLOAD,             /* our codec */
	M_DECODE_HTTP,
	M_DECODE_PAYLOAD,
	M_TURN_OUT,                   /* first send after a receive on a socket: a message written */
	M_TURN_IN,                    /* first receive after a send: a message read */
	/* cycles.bpf.c */
	M_CPU_TIME,                   /* a component on a CPU */
	M_SOFTIRQ_TIME,               /* NET_RX softirq, whoever's context it borrowed */
	/* syscalls.bpf.c */
	M_SYSCALL,                    /* system calls entered */
	M_COUNT,
};

enum {
	AUDIT_SEGMENTS = 64,          /* 0: not attributed */
	AUDIT_COMPONENTS = 64,        /* 0: not of the chain; 1: the client */
	AUDIT_NOBODY = 0,
	AUDIT_CLIENT = 1,
	AUDIT_DESCRIPTOR_BYTES = 16,
};

struct audit_cell {
	__u64 n, sum;
};

/* Where a server listens. `netns` is 0 unless the address means something else in each namespace. */
struct audit_link_key {
	__u32 addr[4];              /* network order; IPv4 as ::ffff:a.b.c.d */
	__u32 netns;
	__u16 port;                 /* host order */
	__u16 zero;
};

enum audit_link_flags {
	AUDIT_LINK_DESCRIPTOR = 1,        /* carries descriptors, not payload; segments come from wake-ups */
};

struct audit_link {
	__u8 segment[2];            /* towards the server, towards the client */
	__u8 server;                /* component */
	__u8 flags;                 /* enum audit_link_flags */
};

enum audit_component_flags {
	AUDIT_COMPONENT_USDT = 1,         /* has our USDT points: its codecs are seen, not inferred */
};

struct audit_component {
	__u8 id;
	__u8 flags;
	__u8 beyond;                /* of a gateway: the one of the other node, or 0 */
	__u8 zero;
};

/* One switch for all probes: the window in which they count. */
struct audit_window {
	__u32 open;
	__u32 learning;             /* note connections that belong to no link */
};

/* Such a connection, from the side of the component that holds it. */
struct audit_seen {
	__u32 remote[4];            /* as in audit_link_key */
	__u32 netns;
	__u32 tgid;
	__u16 port;                 /* remote, host order */
	__u16 zero;
};

/* Tags that follow a request: on a task… */
struct audit_task {
	__u8 woken_by;              /* segment of the wake-up that is on its way */
	__u8 woken;                 /* there is one */
	__u8 runs_for;              /* segment of the wake-up that made it run */
	__u8 did;                   /* segment of its last send or receive */
	__u8 received;              /* segment of its last receive */
	__u8 zero[3];
	__u32 encoded_http, encoded_payload;        /* encodes that wait for their send */
	__u64 encoded_http_bytes, encoded_payload_bytes;
	__u64 on_cpu_ns;            /* since when it runs; 0: it does not */
};

/* …and on a CPU, while a softirq works on a frame. */
struct audit_cpu {
	__u32 segment;              /* of the frame in hand */
	__u32 first;                /* of the first frame of this softirq run */
	__u32 in_net_rx;
	__u32 zero;
	__u64 since_ns;
};

/* perhop trace: one event. */
enum audit_trace_kind {
	AUDIT_TRACE_SWITCH_IN = 1, AUDIT_TRACE_SWITCH_OUT, AUDIT_TRACE_WAKE, AUDIT_TRACE_SEND, AUDIT_TRACE_RECV, AUDIT_TRACE_COPY,
	AUDIT_TRACE_ENCODE, AUDIT_TRACE_DECODE, AUDIT_TRACE_FRAME, AUDIT_TRACE_SOFTIRQ, AUDIT_TRACE_SOFTIRQ_END, AUDIT_TRACE_IPI,
};

struct audit_event {
	__u64 at_ns;                /* CLOCK_MONOTONIC */
	__u64 amount;               /* bytes, or the payload type of a codec */
	__u32 tid;
	__u32 cpu;
	__u8 kind;                  /* enum audit_trace_kind */
	__u8 component;
	__u8 segment;
	__u8 other;                 /* AUDIT_TRACE_WAKE: who woke it; AUDIT_TRACE_SWITCH_OUT: 1 when preempted */
	__u32 zero;
};

#endif
