/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex: descriptors in shared rings, a futex as the bell. The control that says what the kernel's
 * part in a hop is worth: nothing is sent through it, it only wakes who sleeps. See chain/mesh.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "chain/mesh.h"

enum { IN_MAX = 64 };

static const struct option_spec futex_options[] = {
	WAITING_OPTION("block"),
	SCALING_OPTIONS("none|load"),
	{ "slots", "16..65536", "1024", "descriptors that one sender can leave at one receiver" },
	NODE_OPTIONS,
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

static int futex_setup(struct deployment *d)
{
	struct mesh *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	d->priv = m;
	return mesh_open(m, d, (uint32_t)spec_number(&d->spec, futex_options, "slots"));
}

static void futex_teardown(struct deployment *d)
{
	if (d->priv)
		mesh_close(d->priv);
	free(d->priv);
	d->priv = NULL;
}

/* ---- Endpoints -------------------------------------------------------------------------------- */

static void futex_detach(struct endpoint *ep)
{
	if (ep->priv)
		mesh_detach(ep->priv);
	free(ep->priv);
	ep->priv = NULL;
}

static int futex_attach(struct endpoint *ep)
{
	struct mesh_port *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	ep->priv = p;
	return mesh_attach(p, ep->deployment->priv, ep,
			   waiting_of(&ep->deployment->spec, futex_options));
}

static int futex_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct mesh_port *p = ep->priv;
	struct descriptor d;
	/* Room first: after the hand-over nothing may fail. */
	int err = mesh_room(p, to);

	if (!err)
		err = pool_describe(ep->pool, m, ep->self, to, &d);
	if (!err)
		mesh_push(p, &d);
	return err;
}

static int futex_flush(struct endpoint *ep)
{
	mesh_flush(ep->priv);
	return 0;
}

static int futex_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct descriptor d[IN_MAX];
	uint32_t got = mesh_pop(ep->priv, d, max < IN_MAX ? (uint32_t)max : IN_MAX);
	int n = 0;

	for (uint32_t i = 0; i < got; i++)
		n += !pool_accept(ep->pool, &d[i], ep->self, &batch[n]);
	return n;
}

static int futex_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	int n = futex_recv(ep, batch, max), err;

	if (n || !timeout_ns)
		return n;
	err = mesh_wait(ep->priv, timeout_ns);
	return err ? err : futex_recv(ep, batch, max);
}

static bool futex_arm(struct endpoint *ep)
{
	return mesh_arm(ep->priv);
}

static void futex_disarm(struct endpoint *ep)
{
	mesh_disarm(ep->priv);
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
