/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "chain/mesh.h"

static uint32_t power_of_two(uint32_t n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/* The ring from `from` to `to`; those towards the gateway come first. */
static struct ring *ring_at(const struct mesh *m, unsigned from, unsigned to)
{
	size_t at = to == GATEWAY ? from * m->to_gateway_bytes :
		    m->n * m->to_gateway_bytes + ((to - 1) * m->n + from) * m->to_bytes;

	return (struct ring *)(m->map + at);
}

int mesh_open(struct mesh *m, struct deployment *d, uint32_t slots)
{
	int err;

	*m = (struct mesh){ .hall.gateway_fd = -1, .n = d->board->instances,
			    .slots = power_of_two(slots),
			    .gateway_slots = power_of_two(d->config.pool_buffers) };
	m->to_bytes = ring_bytes(m->slots);
	m->to_gateway_bytes = ring_bytes(m->gateway_slots);
	m->map_bytes = m->n * m->to_gateway_bytes + (size_t)(m->n - 1) * m->n * m->to_bytes;
	err = hall_open(&m->hall);
	if (err)
		return deploy_error(d, err, "cannot make the bells: %s", strerror(-err));
	/* Pages are taken as rings are used. */
	m->map = mmap(NULL, m->map_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->map != MAP_FAILED)
		return 0;
	m->map = NULL;
	return deploy_error(d, -errno, "cannot map %zu bytes of rings: %s", m->map_bytes,
			    strerror(errno));
}

void mesh_close(struct mesh *m)
{
	if (!m->n)
		return;
	if (m->map)
		munmap(m->map, m->map_bytes);
	m->map = NULL;
	m->n = 0;
	hall_close(&m->hall);
}

int mesh_attach(struct mesh_port *p, struct mesh *m, struct endpoint *ep, enum waiting mode)
{
	uint32_t in = ep->self == GATEWAY ? m->gateway_slots : m->slots;
	int err = 0;

	p->mesh = m;
	p->n = m->n;
	p->self = ep->self;
	waiter_open(&p->waiter, &m->hall, ep->self, mode);
	for (unsigned i = 0; i < p->n && !err; i++) {
		uint32_t out = i == GATEWAY ? m->gateway_slots : m->slots;

		err = ring_sender_open(&p->out[i], ring_at(m, ep->self, i), out);
		if (!err)
			err = ring_receiver_open(&p->in[i], ring_at(m, i, ep->self), in);
	}
	if (ep->self == GATEWAY) {
		ep->poll_fd = m->hall.gateway_fd;
		ep->poll_bell = true;
	}
	return err;
}

void mesh_detach(struct mesh_port *p)
{
	if (p->mesh)
		waiter_close(&p->waiter);
}

void mesh_flush(struct mesh_port *p)
{
	if (!p->touched)
		return;
	waiter_busy(&p->waiter);
	hall_ring(&p->mesh->hall, p->touched);
	p->touched = 0;
}

uint32_t mesh_pop(struct mesh_port *p, struct descriptor *d, uint32_t max)
{
	unsigned at = p->first;
	uint32_t n = 0;

	for (unsigned left = p->n; left && n < max; left--) {
		if (ring_ready(&p->in[at]))
			n += ring_pop(&p->in[at], d + n, max - n, p->self);
		at = at + 1 == p->n ? 0 : at + 1;
	}
	p->first = p->first + 1 >= p->n ? 0 : p->first + 1;
	if (n)
		waiter_heard(&p->waiter, n);
	return n;
}

static bool any_ready(void *arg)
{
	const struct mesh_port *p = arg;

	for (unsigned i = 0; i < p->n; i++)
		if (ring_ready(&p->in[i]))
			return true;
	return false;
}

int mesh_wait(struct mesh_port *p, int64_t timeout_ns)
{
	return waiter_wait(&p->waiter, any_ready, p, timeout_ns);
}

bool mesh_arm(struct mesh_port *p)
{
	return waiter_arm(&p->waiter, any_ready, p);
}

void mesh_disarm(struct mesh_port *p)
{
	waiter_disarm(&p->waiter);
}
