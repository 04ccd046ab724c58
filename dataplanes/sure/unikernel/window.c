/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <x86intrin.h>

#include "chain/runtime.h"
#include "dataplanes/sure/unikernel/window.h"

static struct unikernel_page *page_of(unsigned char *window, instance_id self)
{
	return (struct unikernel_page *)(window + (size_t)self * UNIKERNEL_PAGE);
}

void window_stamp(unsigned char *window, instance_id self, enum unikernel_phase phase, uint64_t tsc)
{
	atomic_store_explicit(&page_of(window, self)->stamp[phase], tsc, memory_order_relaxed);
}

/* Every invocation is a sign of life, so that one that never ends can be told from work. */
static void call(struct endpoint *ep, struct message *m, struct user_call *c)
{
	const struct sure_plane *p = ep->deployment->priv;
	struct unikernel_page *page = page_of(p->base, ep->self);

	atomic_fetch_add_explicit(&page->beat, 1, memory_order_relaxed);
	sure_call(ep, m, c);
	if (m && !atomic_load_explicit(&page->stamp[UNIKERNEL_FIRST], memory_order_relaxed))
		window_stamp(p->base, ep->self, UNIKERNEL_FIRST, __rdtsc());
}

/* With or without a gate, `call` is to see every invocation. */
static int attach(struct endpoint *ep)
{
	int err = sure_attach(ep);

	ep->direct = false;
	return err;
}

const struct dataplane_ops window_hooks = {
	.version = DATAPLANE_VERSION,
	.name = "sure",
	.reserve = sure_reserve,
	.call = call,
	.attach = attach,
	.send = sure_send,
	.flush = sure_flush,
	.recv = sure_recv,
	.recv_wait = sure_recv_wait,
	.arm = sure_arm,
	.disarm = sure_disarm,
	.detach = sure_detach,
};

/* The host's struct, with pointers that are good here. */
static struct sure_plane *open_plane(unsigned char *window, const struct unikernel_page *page,
				     const int *doors)
{
	struct sure_plane *p = sure_reserve(NULL, sizeof(*p));

	if (!p)
		return NULL;
	*p = page->plane;
	p->mesh.hall.shared = (struct hall_shared *)(window + page->bells);
	p->mesh.hall.gateway_fd = doors ? doors[GATEWAY] : -1;
	p->mesh.hall.doors = doors;
	p->mesh.map = window + page->rings;
	p->stats = (struct sidecar_stats *)(window + page->stats);
	p->violations = (struct gate_violation *)(window + page->violations);
	p->base = window;
	return p;
}

struct deployment *window_deployment(unsigned char *window, instance_id self, const int *doors,
				     char *why, size_t why_bytes)
{
	const struct unikernel_page *page = page_of(window, self);
	struct deployment *d = sure_reserve(NULL, sizeof(*d));
	struct application *app = sure_reserve(NULL, sizeof(*app));
	void *handle = sure_reserve(NULL, pool_handle_bytes());
	struct sure_plane *p = open_plane(window, page, doors);
	const struct workload *found;

	if (!d || !app || !handle || !p) {
		snprintf(why, why_bytes, "out of memory");
		return NULL;
	}
	if (application_open(app, &found, page->workload, why, why_bytes))
		return NULL;
	d->ops = &window_hooks;
	d->app = app;
	d->config = page->config;
	d->board = (struct board *)(window + page->board);
	d->flags = DP_SHARED_POOL | DP_ZERO_COPY;
	d->wake_fd = d->listen_fd = -1;
	d->priv = p;
	if (pool_adopt(&d->pool, handle, window + page->pool, page->pool_bytes,
		       page->config.pool_buffers, page->config.buffer_bytes)) {
		snprintf(why, why_bytes, "the pool does not fit the window");
		return NULL;
	}
	return d;
}

int window_run(struct deployment *d, instance_id self)
{
	const struct sure_plane *p = d->priv;
	struct runtime *r;
	int err = runtime_open(&r, d, self, NULL);

	if (err)
		return err;
	window_stamp(p->base, self, UNIKERNEL_CONFIGURED, __rdtsc());
	atomic_store_explicit(&d->board->line[self].state, INSTANCE_READY, memory_order_release);
	return runtime_loop(r);
}
