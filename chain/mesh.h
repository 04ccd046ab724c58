/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rings between all endpoints of a deployment, and their bells: what dataplanes with descriptors in
 * shared rings have in common (futex, sure).
 *
 *      gateway  ══ ring 0→1 ══►  instance 1  ══ ring 1→2 ══►  instance 2
 *      eventfd                   futex                        futex          bells
 *
 * One ring per ordered pair of endpoints (see chain/ring.h for why), all in one anonymous mapping made
 * before any child exists. A descriptor can be taken as soon as it is pushed; `mesh_flush`, once per
 * event-loop turn, rings for all of them, and only where the receiver sleeps.
 *
 * Back-pressure: a full ring has no room (503). Rings towards the gateway hold every buffer of the
 * pool, so that an answer is never refused.
 */
#ifndef PERHOP_CHAIN_MESH_H
#define PERHOP_CHAIN_MESH_H

#include "chain/deploy.h"
#include "chain/ring.h"
#include "chain/waiting.h"

/* The deployment's, in the parent; children inherit the mappings. */
struct mesh {
	struct hall hall;
	unsigned n;                 /* endpoints */
	uint32_t slots, gateway_slots;
	unsigned char *map;
	size_t map_bytes, to_bytes, to_gateway_bytes;
};

/* An endpoint's, private to its process. */
struct mesh_port {
	struct mesh *mesh;
	struct waiter waiter;
	instance_id self;
	uint64_t touched;           /* receivers of this turn's descriptors */
	unsigned n, first;          /* first: whose ring is looked at first, in turn */
	struct ring_sender out[INSTANCE_MAX];
	struct ring_receiver in[INSTANCE_MAX];
};

/*
 * Rings of `slots` descriptors (rounded up to a power of two) between all of d's endpoints. 0, or -errno
 * with a sentence in d->why. mesh_close undoes it, also after a failure; one that is all zero is fine.
 */
int mesh_open(struct mesh *m, struct deployment *d, uint32_t slots);
void mesh_close(struct mesh *m);

/* Take the endpoint's ends; sets ep->poll_fd for the gateway. 0 or -errno. */
int mesh_attach(struct mesh_port *p, struct mesh *m, struct endpoint *ep, enum waiting mode);
void mesh_detach(struct mesh_port *p);

/* Is there room for a descriptor to `to`? 0, -EAGAIN, or -EPIPE: no such endpoint. */
static inline int mesh_room(struct mesh_port *p, instance_id to)
{
	if (to >= p->n)
		return -EPIPE;
	return ring_room(&p->out[to]) ? 0 : -EAGAIN;
}

/* Push a descriptor for which mesh_room has just found room. */
static inline void mesh_push(struct mesh_port *p, const struct descriptor *d)
{
	p->touched |= UINT64_C(1) << d->target;
	(void)ring_push(&p->out[d->target], d, 1);
}

void mesh_flush(struct mesh_port *p);

/* Up to `max` descriptors, from each sender in turn, so that a busy one does not keep others waiting. */
uint32_t mesh_pop(struct mesh_port *p, struct descriptor *d, uint32_t max);

/* Sleep, as the port's way of waiting is, until mesh_pop has something; dataplane_ops.recv_wait's time. */
int mesh_wait(struct mesh_port *p, int64_t timeout_ns);

/* dataplane_ops.arm and .disarm. */
bool mesh_arm(struct mesh_port *p);
void mesh_disarm(struct mesh_port *p);

#endif
