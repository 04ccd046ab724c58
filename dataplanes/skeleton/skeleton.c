/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skeleton: copy this folder to start a dataplane of your own.
 *
 *   cp -r dataplanes/skeleton dataplanes/mine && cd dataplanes/mine
 *   mv skeleton.c mine.c && sed -i 's/skeleton/mine/g' mine.c
 *   make && build/perhop verify -w boutique -d null,mine
 *
 * It is compiled with everything else, so that it stays true, but it is not listed. It works:
 * a pipe per endpoint carries descriptors, the payload stays in the shared pool. Every hook is here,
 * also those that a dataplane this simple could leave out.
 *
 * Rules: send, flush, recv and arm allocate nothing and log nothing. A message belongs to whoever got
 * it last; after send has returned 0 it must not be touched. Everything that arrives is untrusted:
 * pool_accept is the only way to turn received bytes into a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "chain/deploy.h"

/* What all endpoints share. Made in the parent by setup, inherited by fork, freed by teardown. */
struct skeleton {
	int pipe[INSTANCE_MAX][2];  /* [to whom][0: read, 1: write] */
};

/* What one endpoint needs on the hot path. Made by attach. */
struct skeleton_port {
	const struct skeleton *shared;
	int fd;
};

/*
 * Options appear in `perhop list`, are checked before any hook runs, and are read with spec_value and
 * spec_number. Give every one a fallback: a plain `-d mine` must be a sensible choice.
 */
static const struct option_spec skeleton_options[] = {
	{ "pipe-kib", "4..1024", "64", "capacity of each endpoint's pipe" },
	{ NULL },
};

/* Can it run here? One sentence when not, and what would help. Must change nothing. */
static void skeleton_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = true;
}

/*
 * In the parent, before any child exists. Create here whatever a child could otherwise race for:
 * an endpoint that exists before its owner cannot miss a message.
 */
static int skeleton_setup(struct deployment *d)
{
	struct skeleton *s = calloc(1, sizeof(*s));
	int kib = (int)spec_number(&d->spec, d->ops->options, "pipe-kib");

	if (!s)
		return -ENOMEM;
	d->priv = s;            /* first: teardown runs even when setup fails half-way */
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		s->pipe[i][0] = s->pipe[i][1] = -1;
	for (unsigned i = 0; i < d->board->instances; i++) {
		if (pipe2(s->pipe[i], O_NONBLOCK | O_CLOEXEC))
			return deploy_error(d, -errno, "cannot make pipe %u", i);
		fcntl(s->pipe[i][1], F_SETPIPE_SZ, kib << 10);
	}
	return 0;
}

/* In the parent, after everything has ended. Must cope with a setup that failed half-way. */
static void skeleton_teardown(struct deployment *d)
{
	struct skeleton *s = d->priv;

	if (!s)
		return;
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		for (unsigned end = 0; end < 2; end++)
			if (s->pipe[i][end] >= 0)
				close(s->pipe[i][end]);
	free(s);
	d->priv = NULL;
}

/* In the child, first thing: go where this endpoint lives (a namespace, a cgroup). */
static int skeleton_enter(struct deployment *d, instance_id id)
{
	(void)d, (void)id;
	return 0;
}

/* In the child: say what to sleep on. ep->pool is the shared pool already (DP_SHARED_POOL). */
static int skeleton_attach(struct endpoint *ep)
{
	const struct skeleton *s = ep->deployment->priv;
	struct skeleton_port *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->shared = s;
	p->fd = s->pipe[ep->self][0];
	ep->priv = p;
	ep->poll_fd = p->fd;
	return 0;
}

static void skeleton_detach(struct endpoint *ep)
{
	free(ep->priv);
	ep->priv = NULL;
}

/*
 * One message to one endpoint. On error the message must still be the caller's: take the hand-over
 * back. -EAGAIN becomes a 503 for the request that it belongs to.
 */
static int skeleton_send(struct endpoint *ep, instance_id to, struct message *m)
{
	const struct skeleton_port *p = ep->priv;
	struct descriptor d;
	int err = pool_describe(ep->pool, m, ep->self, to, &d);

	if (err)
		return err;
	/* At most PIPE_BUF bytes: POSIX keeps them in one piece. */
	_Static_assert(sizeof(d) <= PIPE_BUF, "a descriptor is written atomically");
	if (write(p->shared->pipe[to][1], &d, sizeof(d)) == sizeof(d))
		return 0;
	err = errno == EAGAIN ? -EAGAIN : -EPIPE;
	pool_undescribe(ep->pool, &d, ep->self);
	return err;
}

/* Once per turn of the loop. A dataplane that batches sends here; this one has nothing held back. */
static int skeleton_flush(struct endpoint *ep)
{
	(void)ep;
	return 0;
}

/* Never blocks. A descriptor that pool_accept refuses is counted there, and dropped. */
static int skeleton_recv(struct endpoint *ep, struct message **batch, int max)
{
	const struct skeleton_port *p = ep->priv;
	struct descriptor d[64];
	int got = 0;
	ssize_t n;

	if (max > 64)
		max = 64;
	n = read(p->fd, d, (size_t)max * sizeof(d[0]));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < (size_t)n / sizeof(d[0]); i++)
		if (!pool_accept(ep->pool, &d[i], ep->self, &batch[got]))
			got++;
	return got;
}

/*
 * The loop is about to sleep on poll_fd. A dataplane whose messages do not make poll_fd readable by
 * themselves (a ring) announces here that it needs a bell, then looks once more.
 */
static bool skeleton_arm(struct endpoint *ep)
{
	(void)ep;
	return false;
}

extern const struct dataplane_ops dataplane_skeleton;
const struct dataplane_ops dataplane_skeleton = {
	.version = DATAPLANE_VERSION,
	.name = "skeleton",
	.summary = "an example: descriptors through a pipe per endpoint",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY,
	.options = skeleton_options,
	.probe = skeleton_probe,
	.setup = skeleton_setup,
	.enter = skeleton_enter,
	.attach = skeleton_attach,
	.send = skeleton_send,
	.flush = skeleton_flush,
	.recv = skeleton_recv,
	.arm = skeleton_arm,
	.detach = skeleton_detach,
	.teardown = skeleton_teardown,
};
