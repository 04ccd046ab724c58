/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the SK_MSG program and its loader agree on. */
#ifndef PERHOP_SKMSG_H
#define PERHOP_SKMSG_H

enum {
	SKMSG_INSTANCES = 64,       /* INSTANCE_MAX */
	SKMSG_RUN_MAX = 32,         /* descriptors to one target that a single verdict covers */
};

/* Who owns the socket with this local port. Sockets of the map only; key: port, host order. */
struct skmsg_member {
	__u32 instance;
	__u32 domain;               /* security domain: descriptors never cross it */
};

/* EPROXY (SPRIGHT §3.3): per instance, kept by the kernel while messages pass; per CPU. */
struct skmsg_metrics {
	__u64 messages_in;          /* descriptors redirected to it */
	__u64 messages_out;         /* descriptors it has sent */
	__u64 payload_bytes_in;     /* bytes those descriptors stand for */
	__u64 last_ns;              /* bpf_ktime_get_ns of the last one in */
	__u64 refused;              /* descriptors it has sent that were dropped */
};

#endif
