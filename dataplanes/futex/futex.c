/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex: descriptors in shared rings, a futex as the bell. The control that says what the kernel's
 * part in a hop is worth: nothing is sent through it, it only wakes who sleeps.
 *
 *      gateway  ══ ring 0→1 ══►  instance 1  ══ ring 1→2 ══►  instance 2
 *      eventfd                   futex                        futex          bells
 *
 * One ring per ordered pair of endpoints (see chain/ring.h for why), all in one anonymous mapping made
 * before any child exists. A message can be taken as soon as it is pushed; `flush`, once per
 * event-loop turn, rings for all of them, and only where the receiver sleeps.
 *
 * Back-pressure: a full ring refuses (503). Rings towards the gateway hold every buffer of the pool, so
 * that an answer is never refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "chain/deploy.h"
#include "chain/ring.h"
#include "chain/waiting.h"

enum { IN_MAX = 64 };

/* The deployment's, in the parent; children inherit the mappings. */
struct futex_plane {
	struct hall hall;
	unsigned n;                 /* endpoints */
	uint32_t slots, gateway_slots;
	unsigned char *map;
	size_t map_bytes, to_bytes, to_gateway_bytes;
};

/* An endpoint's. */
struct futex_port {
	struct futex_plane *plane;
	struct waiter waiter;
	uint64_t touched;           /* receivers of this turn's messages */
	unsigned n, first;          /* first: whose ring is looked at first, in turn */
	struct ring_sender out[INSTANCE_MAX];
	struct ring_receiver in[INSTANCE_MAX];
};

static const struct option_spec futex_options[] = {
	WAITING_OPTION("block"),
	{ "slots", "16..65536", "1024", "descriptors that one sender can leave at one receiver" },
	{ NULL, NULL, NULL, NULL },
};

/* ---- Parent ----------------------------------------------------------------------------------- */

static void futex_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = true;
}

static uint32_t flags_of(const struct spec *spec)
{
	return DP_SHARED_POOL | DP_ZERO_COPY | waiting_flags(waiting_of(spec, futex_options));
}

static uint32_t power_of_two(uint32_t n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/* The ring from `from` to `to`; those towards the gateway come first. */
static struct ring *ring_at(const struct futex_plane *p, unsigned from, unsigned to)
{
	size_t at = to == GATEWAY ? from * p->to_gateway_bytes :
		    p->n * p->to_gateway_bytes + ((to - 1) * p->n + from) * p->to_bytes;

	return (struct ring *)(p->map + at);
}

static int futex_setup(struct deployment *d)
{
	struct futex_plane *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	d->priv = p;
	p->hall.gateway_fd = -1;
	p->map = MAP_FAILED;
	p->n = d->board->instances;
	p->slots = power_of_two((uint32_t)spec_number(&d->spec, futex_options, "slots"));
	p->gateway_slots = power_of_two(d->config.pool_buffers);
	p->to_bytes = ring_bytes(p->slots);
	p->to_gateway_bytes = ring_bytes(p->gateway_slots);
	p->map_bytes = p->n * p->to_gateway_bytes + (size_t)(p->n - 1) * p->n * p->to_bytes;
	err = hall_open(&p->hall);
	if (err)
		return deploy_error(d, err, "cannot make the bells: %s", strerror(-err));
	/* Pages are taken as rings are used. */
	p->map = mmap(NULL, p->map_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->map == MAP_FAILED)
		return deploy_error(d, -errno, "cannot map %zu bytes of rings: %s", p->map_bytes,
				    strerror(errno));
	return 0;
}

static void futex_teardown(struct deployment *d)
{
	struct futex_plane *p = d->priv;

	if (!p)
		return;
	if (p->map != MAP_FAILED)
		munmap(p->map, p->map_bytes);
	hall_close(&p->hall);
	free(p);
	d->priv = NULL;
}

/* ---- Endpoints -------------------------------------------------------------------------------- */

static void futex_detach(struct endpoint *ep)
{
	struct futex_port *p = ep->priv;

	if (p)
		waiter_close(&p->waiter);
	free(p);
	ep->priv = NULL;
}

static int futex_attach(struct endpoint *ep)
{
	struct futex_plane *plane = ep->deployment->priv;
	struct futex_port *p = calloc(1, sizeof(*p));
	uint32_t in = ep->self == GATEWAY ? plane->gateway_slots : plane->slots;
	int err = 0;

	if (!p)
		return -ENOMEM;
	ep->priv = p;
	p->plane = plane;
	p->n = plane->n;
	waiter_open(&p->waiter, &plane->hall, ep->self,
		    waiting_of(&ep->deployment->spec, futex_options));
	for (unsigned i = 0; i < p->n && !err; i++) {
		uint32_t out = i == GATEWAY ? plane->gateway_slots : plane->slots;

		err = ring_sender_open(&p->out[i], ring_at(plane, ep->self, i), out);
		if (!err)
			err = ring_receiver_open(&p->in[i], ring_at(plane, i, ep->self), in);
	}
	if (ep->self == GATEWAY) {
		ep->poll_fd = plane->hall.gateway_fd;
		ep->poll_bell = true;
	}
	return err;
}

static int futex_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct futex_port *p = ep->priv;
	struct descriptor d;
	int err;

	if (to >= p->n)
		return -EPIPE;
	/* Room first: after the hand-over nothing may fail. */
	if (!ring_room(&p->out[to]))
		return -EAGAIN;
	err = pool_describe(ep->pool, m, ep->self, to, &d);
	if (err)
		return err;
	p->touched |= UINT64_C(1) << to;
	return ring_push(&p->out[to], &d, 1);
}

static int futex_flush(struct endpoint *ep)
{
	struct futex_port *p = ep->priv;

	if (p->touched) {
		waiter_busy(&p->waiter);
		hall_ring(&p->plane->hall, p->touched);
		p->touched = 0;
	}
	return 0;
}

/* Up to `max` messages, from each sender in turn, so that a busy one does not keep others waiting. */
static int futex_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct futex_port *p = ep->priv;
	struct descriptor d[IN_MAX];
	unsigned at = p->first;
	int n = 0;

	max = max < IN_MAX ? max : IN_MAX;
	for (unsigned i = 0; i < p->n && n < max; i++) {
		uint32_t got = ring_pop(&p->in[at], d, (uint32_t)(max - n), ep->self);

		for (uint32_t k = 0; k < got; k++)
			n += !pool_accept(ep->pool, &d[k], ep->self, &batch[n]);
		at = at + 1 == p->n ? 0 : at + 1;
	}
	p->first = p->first + 1 >= p->n ? 0 : p->first + 1;
	if (n)
		waiter_busy(&p->waiter);
	return n;
}

static bool any_ready(void *arg)
{
	const struct futex_port *p = arg;

	for (unsigned i = 0; i < p->n; i++)
		if (ring_ready(&p->in[i]))
			return true;
	return false;
}

static int futex_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	struct futex_port *p = ep->priv;
	int n = futex_recv(ep, batch, max), err;

	if (n || !timeout_ns)
		return n;
	err = waiter_wait(&p->waiter, any_ready, p, timeout_ns);
	return err ? err : futex_recv(ep, batch, max);
}

static bool futex_arm(struct endpoint *ep)
{
	struct futex_port *p = ep->priv;

	return waiter_arm(&p->waiter, any_ready, p);
}

static void futex_disarm(struct endpoint *ep)
{
	struct futex_port *p = ep->priv;

	waiter_disarm(&p->waiter);
}

const struct dataplane_ops dataplane_futex = {
	.version = DATAPLANE_VERSION,
	.name = "futex",
	.summary = "control: shared pool, descriptors in shared rings, a futex wakes the receiver",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY,
	.flags_of = flags_of,
	.options = futex_options,
	.probe = futex_probe,
	.setup = futex_setup,
	.attach = futex_attach,
	.send = futex_send,
	.flush = futex_flush,
	.recv = futex_recv,
	.recv_wait = futex_recv_wait,
	.arm = futex_arm,
	.disarm = futex_disarm,
	.detach = futex_detach,
	.teardown = futex_teardown,
};
