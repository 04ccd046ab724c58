/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * null: all functions in the gateway's process, a hop is a function call. It is the upper bound that
 * no dataplane can beat, and it tests the harness itself: what it costs, every other one pays too.
 *
 * Messages wait in a ring until the loop's next turn, so that a long chain cannot recurse and clients
 * get their turn between hops.
 */
#include <errno.h>
#include <stdlib.h>

#include "chain/dataplane.h"
#include "chain/deploy.h"

struct null_queue {
	unsigned head, count, size; /* size ≥ the pool's buffers: it cannot overflow */
	struct message *at[];
};

static void null_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = true;
}

static int null_attach(struct endpoint *ep)
{
	unsigned size = pool_buffers(ep->pool);
	struct null_queue *q = calloc(1, sizeof(*q) + size * sizeof(q->at[0]));

	if (!q)
		return -ENOMEM;
	q->size = size;
	ep->priv = q;
	return 0;
}

static int null_send(struct endpoint *ep, instance_id to, struct message *m)
{
	struct null_queue *q = ep->priv;

	(void)to;
	if (q->count == q->size)
		return -EAGAIN;
	q->at[(q->head + q->count++) % q->size] = m;
	return 0;
}

static int null_recv(struct endpoint *ep, struct message **batch, int max)
{
	struct null_queue *q = ep->priv;
	int n = 0;

	for (; n < max && q->count; n++, q->count--) {
		batch[n] = q->at[q->head];
		q->head = (q->head + 1) % q->size;
	}
	return n;
}

static bool null_arm(struct endpoint *ep)
{
	struct null_queue *q = ep->priv;

	return q->count > 0;
}

static void null_detach(struct endpoint *ep)
{
	free(ep->priv);
	ep->priv = NULL;
}

const struct dataplane_ops dataplane_null = {
	.version = DATAPLANE_VERSION,
	.name = "null",
	.summary = "all functions in one process; a hop is a function call: the upper bound",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY | DP_ONE_PROCESS,
	.probe = null_probe,
	.attach = null_attach,
	.send = null_send,
	.recv = null_recv,
	.arm = null_arm,
	.detach = null_detach,
};
