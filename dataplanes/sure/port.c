/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An endpoint of sure: what runs in the gateway and in each instance, be that a process or a unikernel.
 * Of the machine below it knows the mesh, the pool and the gate only.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "dataplanes/sure/sure.h"

enum { IN_MAX = 64 };

struct sure_port {
	struct mesh_port mesh;
	struct sidecar sidecar;
	bool gated;                 /* an instance behind mprotect, mpk or model */
	bool guarded;               /* … behind mprotect or mpk */
	uint32_t buffer_bytes;
	uint64_t *begin_ns;         /* per buffer: when its invocation began */
};

/* ---- Endpoints -------------------------------------------------------------------------------- */

void sure_detach(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	if (!p)
		return;
	/* Guests get no signals: the gateway, which leaves when all are to, wakes them to see for themselves. */
	if (ep->self == GATEWAY && p->mesh.mesh && p->mesh.mesh->hall.doors)
		hall_ring(&p->mesh.mesh->hall, ((UINT64_C(1) << (p->mesh.n - 1)) - 1) << 1);
	mesh_detach(&p->mesh);
	ep->priv = NULL;
	if (ep->self == GATEWAY)
		free(p);
}

static int seal(struct endpoint *ep, const struct sure_plane *plane)
{
	unsigned char *buffers = pool_base(ep->pool);
	const struct gate_config c = {
		.mode = plane->gate,
		.base = plane->base,
		.buffers = buffers,
		.end = buffers + (size_t)pool_buffers(ep->pool) * pool_buffer_bytes(ep->pool),
		.user_stack = plane->user_stack,
		.name = deploy_instance_name(ep->deployment, ep->self),
		.violation = sure_violation(plane, ep->self),
		.wrpkru_cycles = plane->wrpkru_cycles,
		.pte_cycles = plane->pte_cycles,
		.seccomp = true,
	};

	return gate_seal(&c);
}

int sure_attach(struct endpoint *ep)
{
	struct sure_plane *plane = ep->deployment->priv;
	struct sure_port *p = ep->self == GATEWAY ? calloc(1, sizeof(*p)) :
						    sure_reserve(ep->deployment, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	ep->priv = p;
	p->buffer_bytes = pool_buffer_bytes(ep->pool);
	sidecar_open(&p->sidecar, &plane->sidecar, &plane->stats[ep->self]);
	err = mesh_attach(&p->mesh, &plane->mesh, ep, plane->waiting);
	if (err || ep->self == GATEWAY)
		return err;
	p->gated = plane->gate != GATE_NONE;
	p->guarded = plane->gate >= GATE_MPROTECT;
	ep->direct = !p->gated && !p->sidecar.config.n;
	p->begin_ns = sure_reserve(ep->deployment, pool_buffers(ep->pool) * sizeof(*p->begin_ns));
	if (!p->begin_ns)
		return -ENOMEM;
	err = p->gated ? seal(ep, plane) : 0;
	return err ? deploy_error(ep->deployment, err, "cannot close the gate: %s", strerror(-err)) : 0;
}

/*
 * The gateway vouches for what enters the chain on this node: from a client, or from the other node, whose
 * gateway is trusted as ours is. An answer has its tag already.
 */
static void sign(const struct sure_port *p, struct message *m)
{
	if (m->kind != MESSAGE_INVOKE && m->kind != MESSAGE_CALL)
		return;
	if (!m->born_ns)
		m->born_ns = clock_now_ns();
	if (p->sidecar.config.has & 1u << SIDECAR_AUTH)
		sidecar_tag(&p->sidecar, m->id, m->topic, m->tag);
}

/* Room at `to`; the retry handler gives a full receiver a chance to run. */
static int room(struct sure_port *p, instance_id to)
{
	int err = mesh_room(&p->mesh, to);

	for (uint32_t i = 0; err == -EAGAIN && i < p->sidecar.config.retries; i++) {
		mesh_flush(&p->mesh);
		sched_yield();
		atomic_fetch_add_explicit(&p->sidecar.stats->retried, 1, memory_order_relaxed);
		err = mesh_room(&p->mesh, to);
	}
	return err;
}

int sure_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct sure_port *p = ep->priv;
	struct descriptor d;
	int err = room(p, to);

	if (err)
		return err;
	if (ep->self == GATEWAY && p->sidecar.config.n)
		sign(p, m);
	err = pool_describe(ep->pool, m, ep->self, to, &d);
	if (err)
		return err;
	/* Closed before anybody can learn of it. */
	if (p->gated)
		gate_buffer(m, p->buffer_bytes, false);
	mesh_push(&p->mesh, &d);
	return 0;
}

int sure_flush(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	mesh_flush(&p->mesh);
	return 0;
}

int sure_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct sure_port *p = ep->priv;
	struct descriptor d[IN_MAX];
	uint32_t got = mesh_pop(&p->mesh, d, max < IN_MAX ? (uint32_t)max : IN_MAX);
	int n = 0;

	for (uint32_t i = 0; i < got; i++) {
		if (!p->gated) {
			n += !pool_accept(ep->pool, &d[i], ep->self, &batch[n]);
			continue;
		}
		if (pool_take(ep->pool, &d[i], ep->self, &batch[n]))
			continue;
		gate_buffer(batch[n], p->buffer_bytes, true);
		pool_sound(ep->pool, &d[i], batch[n]);
		n++;
	}
	return n;
}

int sure_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	struct sure_port *p = ep->priv;
	int n = sure_recv(ep, batch, max), err;

	if (n || !timeout_ns)
		return n;
	err = mesh_wait(&p->mesh, timeout_ns);
	return err ? err : sure_recv(ep, batch, max);
}

bool sure_arm(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	return mesh_arm(&p->mesh);
}

void sure_disarm(struct endpoint *ep)
{
	struct sure_port *p = ep->priv;

	mesh_disarm(&p->mesh);
}

/* ---- Functions -------------------------------------------------------------------------------- */

static void run_user(void *c)
{
	user_call_run(c);
}

/* Run user code behind the gate. It may have written to the header of the message: that is undone. */
static void pass(const struct sure_port *p, struct message *m, struct user_call *c)
{
	unsigned char header[offsetof(struct message, landing)];

	if (!p->gated) {
		user_call_run(c);
		return;
	}
	if (p->guarded && m)
		memcpy(header, m, sizeof(header));
	gate_call(run_user, c, sizeof(*c));
	if (p->guarded && m)
		memcpy(m, header, sizeof(header));
}

/* Answer in place of the function. */
static void refuse(struct message *m, struct user_call *c, uint16_t status, const char *why)
{
	c->inv.length = (uint32_t)strlen(why);
	memcpy(message_payload(m), why, c->inv.length);
	c->inv.type = TYPE_REASON;
	c->inv.status = status;
	c->result = FAIL;
}

void sure_call(struct endpoint *ep, struct message *m, struct user_call *c)
{
	struct sure_port *p = ep->priv;
	struct sidecar_request rq;
	const char *why = "";
	uint64_t *begin;
	uint16_t status;

	if (!m || !p->sidecar.config.n) {
		pass(p, m, c);
		return;
	}
	rq = (struct sidecar_request){ .id = m->id, .born_ns = m->born_ns, .tag = m->tag,
				       .topic = m->topic, .function = m->function, .depth = m->depth,
				       .position = m->position };
	begin = &p->begin_ns[pool_index(ep->pool, m)];
	if (!c->inv.step) {
		*begin = clock_now_ns();
		status = sidecar_before(&p->sidecar, &rq, *begin, &why);
		if (status) {
			refuse(m, c, status, why);
			return;
		}
	}
	pass(p, m, c);
	if (c->result == CALL)
		return;
	status = c->result == FORWARD ? STATUS_OK : c->inv.status;
	sidecar_after(&p->sidecar, &rq, *begin, clock_now_ns(), status);
}
