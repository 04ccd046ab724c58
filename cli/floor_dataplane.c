/* SPDX-License-Identifier: BSD-2-Clause */
/* A dataplane between two instances and nothing else: no gateway, no runtime, no functions. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chain/deploy.h"
#include "chain/function.h"
#include "cli/floor.h"

enum { BUFFERS = 16, PAYLOAD = 16 };

struct bench {
	struct deployment d;
	struct application app;
	struct endpoint ep[2];
	struct message *m;          /* the one message, held by whose turn it is */
};

static const struct function function_a = { .name = "a" }, function_b = { .name = "b" };
static const struct function *const functions[] = { &function_a, &function_b };

int floor_dataplane_open(struct floor_link *l)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct deployment *d;
	char why[128];
	int err;

	if (!b)
		return -ENOMEM;
	l->dataplane = b;
	d = &b->d;
	d->listen_fd = d->wake_fd = d->lifeline_fd = d->pidns_fd = d->home_pidns_fd = -1;
	b->app.functions = functions;
	b->app.n_functions = 2;
	d->app = &b->app;
	deploy_defaults(&d->config);
	d->config.pool_buffers = BUFFERS;
	err = dataplane_open(&d->spec, &d->ops, l->spec, why, sizeof(why));
	if (err)
		return err;
	d->flags = dataplane_flags(d->ops, &d->spec);
	d->board = mmap(NULL, sizeof(*d->board), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d->board == MAP_FAILED) {
		d->board = NULL;
		return -errno;
	}
	d->board->instances = 3;
	d->board->functions = 2;
	d->board->line[2].function = 1;
	err = pool_create(&d->pool, BUFFERS, MESSAGE_BUFFER_DEFAULT, POOL_SHARED);
	if (err)
		return err;
	d->set_up = true;
	return d->ops->setup ? d->ops->setup(d) : 0;
}

int floor_dataplane_join(struct floor_link *l, int side)
{
	struct bench *b = l->dataplane;
	struct endpoint *ep = &b->ep[side];
	int err = b->d.ops->enter ? b->d.ops->enter(&b->d, (instance_id)(side + 1)) : 0;

	*ep = (struct endpoint){ .deployment = &b->d, .self = (instance_id)(side + 1),
				 .pool = b->d.pool, .poll_fd = -1 };
	if (!err)
		err = b->d.ops->attach(ep);
	if (!err && !side) {
		b->m = pool_alloc(ep->pool, ep->self);
		b->m->kind = MESSAGE_INVOKE;
		b->m->length = PAYLOAD;
	}
	return err;
}

void floor_dataplane_send(struct floor_link *l, int side)
{
	struct bench *b = l->dataplane;
	struct endpoint *ep = &b->ep[side];
	uint64_t *payload = message_payload(b->m);

	payload[0]++;
	if (b->d.ops->send(ep, (instance_id)(2 - side), b->m) ||
	    (b->d.ops->flush && b->d.ops->flush(ep)))
		_exit(1);
}

void floor_dataplane_recv(struct floor_link *l, int side)
{
	struct bench *b = l->dataplane;
	struct message *batch[64];
	int n;

	do
		n = b->d.ops->recv_wait(&b->ep[side], batch, 64, -1);
	while (!n || n == -EINTR);
	if (n < 0)
		_exit(1);
	b->m = batch[0];
}

void floor_dataplane_close(struct floor_link *l)
{
	struct bench *b = l->dataplane;

	if (!b)
		return;
	deploy_stop(&b->d);
	free(b);
	l->dataplane = NULL;
}
