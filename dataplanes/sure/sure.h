/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the sure dataplane share. */
#ifndef PERHOP_DATAPLANES_SURE_SURE_H
#define PERHOP_DATAPLANES_SURE_SURE_H

#include "chain/mesh.h"
#include "chain/peer_stack.h"
#include "dataplanes/sure/gate.h"
#include "dataplanes/sure/sidecar/sidecar.h"

/* The deployment's: made by setup in the parent; an instance has its own copy, out of user code's reach. */
struct sure_plane {
	struct mesh mesh;
	enum gate_mode gate;
	enum waiting waiting;
	uint32_t wrpkru_cycles, pte_cycles;
	struct sidecar_config sidecar;
	struct sidecar_stats *stats;        /* shared, per instance; [0] is the gateway's, unused */
	struct gate_violation *violations;  /* shared, a page per instance */
	size_t stats_bytes, violations_bytes;
	struct unikernel *unikernel;        /* sure:unikernel; else NULL */
	/* In an instance behind a gate: its trusted memory. */
	unsigned char *base, *next, *limit; /* reserve takes from next, up to limit */
	unsigned char *user_stack;
};

/* An instance's violations are on a page of its own: the others' are not mapped there. */
enum { SURE_VIOLATION_STRIDE = 4096 };

static inline struct gate_violation *sure_violation(const struct sure_plane *p, instance_id id)
{
	return (struct gate_violation *)((char *)p->violations + (size_t)id * SURE_VIOLATION_STRIDE);
}

/* dataplane_ops.live and .reserve: see domain.c. */
int sure_live(struct deployment *d, instance_id id,
	      int (*body)(struct deployment *d, instance_id id));
void *sure_reserve(struct deployment *d, size_t bytes);

/* stack=zstack: zero copy between nodes, see zstack/. */
extern const struct peer_stack zstack;

/* The hooks of an endpoint: see port.c. */
int sure_attach(struct endpoint *ep);
void sure_detach(struct endpoint *ep);
int sure_send(struct endpoint *ep, instance_id to, struct message *m);
int sure_flush(struct endpoint *ep);
int sure_recv(struct endpoint *ep, struct message **batch, int max);
int sure_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns);
bool sure_arm(struct endpoint *ep);
void sure_disarm(struct endpoint *ep);
void sure_call(struct endpoint *ep, struct message *m, struct user_call *c);

#endif
