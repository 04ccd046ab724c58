/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpdk: SPRIGHT's D-variant (§3.2.2): descriptors in rte_rings, receivers that poll.
 *
 * One ring per ordered pair of endpoints, single producer and single consumer. The original has one
 * multi-producer ring per function; there, a function killed between claiming and filling a slot
 * stops everyone who sends to the same receiver, for good.
 *
 * An rte_ring believes its peers: its indices and its mask lie in the shared memory. A descriptor that
 * comes out is checked like any other, but a hostile peer that writes to the ring's header can make
 * this process read elsewhere. The `futex` dataplane's rings do not have that weakness.
 *
 * `wait=yield` is the default. With `wait=spin`, as published, each endpoint needs a CPU of its own:
 * two spinning on one wait for each other's whole time slices. See README.md.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "chain/deploy.h"
#include "chain/waiting.h"
#include "dataplanes/dpdk/dpdk.h"

enum { IN_MAX = 64, DESCRIPTOR_BYTES = sizeof(struct descriptor) };

/* The deployment's, in the parent; children inherit it. */
struct dpdk_plane {
	struct hall hall;
	struct eal eal;
	unsigned n;                 /* endpoints */
	unsigned slots, gateway_slots;
	size_t to_bytes, to_gateway_bytes;
};

/* An endpoint's. */
struct dpdk_port {
	struct dpdk_plane *plane;
	struct waiter waiter;
	uint64_t touched;           /* receivers of this turn's messages */
	unsigned n, first;          /* first: whose ring is looked at first, in turn */
	struct rte_ring *out[INSTANCE_MAX], *in[INSTANCE_MAX];
};

static const struct option_spec dpdk_options[] = {
	{ "wait", "yield|adaptive|spin", "yield", "how receivers wait; spin: a CPU per endpoint" },
	{ "memory", "auto|hugepages|anonymous", "auto", "where rings live; auto: hugepages if free" },
	{ "slots", "16..65536", "1024", "descriptors that one sender can leave at one receiver" },
	NODE_OPTIONS,
	{ NULL, NULL, NULL, NULL },
};

/* ---- Parent ----------------------------------------------------------------------------------- */

static unsigned cpus(void)
{
	cpu_set_t may;

	return sched_getaffinity(0, sizeof(may), &may) ? 1 : (unsigned)CPU_COUNT(&may);
}

static void dpdk_probe(const struct spec *spec, struct probe_report *report)
{
	const char *memory = spec_value(spec, dpdk_options, "memory");
	bool huge = eal_hugepage_bytes() > 0 && !geteuid();

	report->ok = strcmp(memory, "hugepages") || huge;
	if (!report->ok)
		snprintf(report->reason, sizeof(report->reason), "%s", geteuid() ?
			 "memory=hugepages needs root, to mount a hugetlbfs of its own" :
			 "no free hugepages: write 64 to /proc/sys/vm/nr_hugepages");
	else if (waiting_of(spec, dpdk_options) == WAITING_SPIN)
		snprintf(report->reason, sizeof(report->reason),
			 "wait=spin wants a CPU per endpoint and here are %u: with more endpoints, each "
			 "hop waits for others' time slices", cpus());
	else if (!huge || !strcmp(memory, "anonymous"))
		snprintf(report->reason, sizeof(report->reason),
			 "no free hugepages: each process has an EAL of its own (--no-huge), and the "
			 "rte_rings lie in an ordinary shared mapping");
}

static uint32_t flags_of(const struct spec *spec)
{
	return DP_SHARED_POOL | DP_ZERO_COPY | waiting_flags(waiting_of(spec, dpdk_options));
}

static unsigned power_of_two(unsigned n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/* The ring from `from` to `to`; those towards the gateway come first. */
static struct rte_ring *ring_at(const struct dpdk_plane *p, void *rings, unsigned from, unsigned to)
{
	size_t at = to == GATEWAY ? from * p->to_gateway_bytes :
		    p->n * p->to_gateway_bytes + ((to - 1) * p->n + from) * p->to_bytes;

	return (struct rte_ring *)((char *)rings + at);
}

/* In the process that owns the memory, before anyone else sees it. */
static void make_rings(void *rings, void *arg)
{
	const struct dpdk_plane *p = arg;
	char name[RTE_RING_NAMESIZE];

	for (unsigned to = 0; to < p->n; to++)
		for (unsigned from = 0; from < p->n; from++) {
			snprintf(name, sizeof(name), "%u-%u", from, to);
			rte_ring_init(ring_at(p, rings, from, to), name,
				      to == GATEWAY ? p->gateway_slots : p->slots,
				      RING_F_SP_ENQ | RING_F_SC_DEQ);
		}
}

/* A ring's size in memory. One slot of an rte_ring stays empty, so `want` takes the next power of two. */
static unsigned size_ring(unsigned want, size_t *bytes)
{
	unsigned slots = power_of_two(want + 1);

	*bytes = (size_t)rte_ring_get_memsize_elem(DESCRIPTOR_BYTES, slots);
	return slots;
}

static int dpdk_setup(struct deployment *d)
{
	const char *memory = spec_value(&d->spec, dpdk_options, "memory");
	struct dpdk_plane *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	d->priv = p;
	p->eal.mount_fd = -1;
	p->hall.gateway_fd = -1;
	p->n = d->board->instances;
	p->slots = size_ring((unsigned)spec_number(&d->spec, dpdk_options, "slots"), &p->to_bytes);
	p->gateway_slots = size_ring(d->config.pool_buffers, &p->to_gateway_bytes);
	p->eal.bytes = p->n * p->to_gateway_bytes + (size_t)(p->n - 1) * p->n * p->to_bytes;
	p->eal.memory = EAL_HUGEPAGES;
	if (!strcmp(memory, "anonymous") ||
	    (!strcmp(memory, "auto") &&
	     (geteuid() || eal_hugepage_bytes() < p->eal.bytes + ((size_t)16 << 20))))
		p->eal.memory = EAL_ANONYMOUS;
	err = hall_open(&p->hall);
	if (err)
		return deploy_error(d, err, "cannot make the bells: %s", strerror(-err));
	err = eal_start(&p->eal, d, make_rings, p);
	if (!err || p->eal.memory == EAL_ANONYMOUS || strcmp(memory, "auto"))
		return err;
	/* Somebody else took the hugepages. */
	eal_stop(&p->eal);
	p->eal.memory = EAL_ANONYMOUS;
	return eal_start(&p->eal, d, make_rings, p);
}

static void dpdk_teardown(struct deployment *d)
{
	struct dpdk_plane *p = d->priv;

	if (!p)
		return;
	eal_stop(&p->eal);
	hall_close(&p->hall);
	free(p);
	d->priv = NULL;
}

/* ---- Endpoints -------------------------------------------------------------------------------- */

static int dpdk_enter(struct deployment *d, instance_id id)
{
	const struct dpdk_plane *p = d->priv;

	(void)id;
	return eal_enter(&p->eal);
}

static void dpdk_detach(struct endpoint *ep)
{
	struct dpdk_port *p = ep->priv;

	if (p)
		waiter_close(&p->waiter);
	free(p);
	ep->priv = NULL;
}

static int dpdk_attach(struct endpoint *ep)
{
	struct dpdk_plane *plane = ep->deployment->priv;
	struct dpdk_port *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	ep->priv = p;
	p->plane = plane;
	p->n = plane->n;
	waiter_open(&p->waiter, &plane->hall, ep->self,
		    waiting_of(&ep->deployment->spec, dpdk_options));
	err = eal_join(&plane->eal, ep->deployment);
	if (err)
		return err;
	for (unsigned i = 0; i < p->n; i++) {
		p->out[i] = ring_at(plane, plane->eal.rings, ep->self, i);
		p->in[i] = ring_at(plane, plane->eal.rings, i, ep->self);
	}
	if (ep->self == GATEWAY) {
		ep->poll_fd = plane->hall.gateway_fd;
		ep->poll_bell = true;
	}
	return 0;
}

static int dpdk_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct dpdk_port *p = ep->priv;
	struct descriptor d;
	int err;

	if (to >= p->n)
		return -EPIPE;
	err = pool_describe(ep->pool, m, ep->self, to, &d);
	if (err)
		return err;
	if (rte_ring_sp_enqueue_elem(p->out[to], &d, DESCRIPTOR_BYTES)) {
		pool_undescribe(ep->pool, &d, ep->self);
		return -EAGAIN;
	}
	p->touched |= UINT64_C(1) << to;
	return 0;
}

static int dpdk_flush(struct endpoint *ep)
{
	struct dpdk_port *p = ep->priv;

	if (p->touched) {
		waiter_busy(&p->waiter);
		hall_ring(&p->plane->hall, p->touched);
		p->touched = 0;
	}
	return 0;
}

/* Up to `max` messages, from each sender in turn, so that a busy one does not keep others waiting. */
static int dpdk_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct dpdk_port *p = ep->priv;
	struct descriptor d[IN_MAX];
	unsigned at = p->first;
	int n = 0;

	max = max < IN_MAX ? max : IN_MAX;
	for (unsigned i = 0; i < p->n && n < max; i++) {
		unsigned got = rte_ring_sc_dequeue_burst_elem(p->in[at], d, DESCRIPTOR_BYTES,
							      (unsigned)(max - n), NULL);

		for (unsigned k = 0; k < got; k++)
			n += !pool_accept(ep->pool, &d[k], ep->self, &batch[n]);
		at = at + 1 == p->n ? 0 : at + 1;
	}
	p->first = p->first + 1 >= p->n ? 0 : p->first + 1;
	if (n)
		waiter_heard(&p->waiter, (unsigned)n);
	return n;
}

static bool any_ready(void *arg)
{
	const struct dpdk_port *p = arg;

	for (unsigned i = 0; i < p->n; i++)
		if (!rte_ring_empty(p->in[i]))
			return true;
	return false;
}

static int dpdk_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	struct dpdk_port *p = ep->priv;
	int n = dpdk_recv(ep, batch, max), err;

	if (n || !timeout_ns)
		return n;
	err = waiter_wait(&p->waiter, any_ready, p, timeout_ns);
	return err ? err : dpdk_recv(ep, batch, max);
}

static bool dpdk_arm(struct endpoint *ep)
{
	struct dpdk_port *p = ep->priv;

	return waiter_arm(&p->waiter, any_ready, p);
}

static void dpdk_disarm(struct endpoint *ep)
{
	struct dpdk_port *p = ep->priv;

	waiter_disarm(&p->waiter);
}

const struct dataplane_ops dataplane_dpdk = {
	.version = DATAPLANE_VERSION,
	.name = "dpdk",
	.summary = "SPRIGHT's D-variant: rte_ring between EAL processes, polled",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY | DP_POLLING,
	.flags_of = flags_of,
	.options = dpdk_options,
	.probe = dpdk_probe,
	.setup = dpdk_setup,
	.enter = dpdk_enter,
	.attach = dpdk_attach,
	.send = dpdk_send,
	.flush = dpdk_flush,
	.recv = dpdk_recv,
	.recv_wait = dpdk_recv_wait,
	.arm = dpdk_arm,
	.disarm = dpdk_disarm,
	.detach = dpdk_detach,
	.teardown = dpdk_teardown,
};
