/* SPDX-License-Identifier: BSD-2-Clause */
/* Pods that come and go (scale=): their activators, and the kernel's part of chain/scaling.h. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chain/netns.h"
#include "dataplanes/kernel/kernel.h"
#include "dataplanes/kernel/nginx.h"
#include "dataplanes/kernel/queue_proxy.h"

enum { ACTIVATOR_BACKLOG = 4096 };

/* ---- Activators ------------------------------------------------------------------------------- */

int lifecycle_setup(struct deployment *d, struct kernel *k)
{
	if (d->network.client_node)
		return deploy_error(d, -ENOTSUP, "scale= needs client=host: pods that come and go are bridged");
	k->activators = mmap(NULL, sizeof(*k->activators), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->activators == MAP_FAILED) {
		k->activators = NULL;
		return -errno;
	}
	for (function_id f = 0; f < d->board->functions; f++) {
		k->front[f] = k->pod[POD_ACTIVATOR].at;
		k->front[f].sin_port = htons((uint16_t)(PORT_ACTIVATOR + f));
		k->opened[f] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (k->opened[f] < 0)
			return -errno;
	}
	return 0;
}

void lifecycle_drop(struct kernel *k)
{
	if (!k->activators)
		return;
	for (unsigned f = 0; f < FUNCTION_MAX; f++)
		if (k->opened[f] > 0)
			close(k->opened[f]);
	munmap(k->activators, sizeof(*k->activators));
	k->activators = NULL;
}

/* An activator's whole life, in its own process. */
static _Noreturn void run_activator(const struct deployment *d, function_id f, int listen_fd)
{
	const struct kernel *k = d->priv;
	const struct activator a = {
		.shared = k->activators,
		.board = d->board,
		.pod = k->target,
		.function = f,
		.limit = d->config.concurrency,
		.wake_fd = k->opened[f],
		.poke_fd = d->scaling_fd,
	};
	const struct queue_proxy_config c = {
		.listen_fd = listen_fd,
		.metrics_fd = -1,
		.clients = d->config.scaling.queue + d->config.concurrency * d->board->of[f].count,
		.limit = d->config.concurrency,
		.queue = d->config.scaling.queue,
		.body_max = d->config.buffer_bytes,
		.timeout_ns = d->config.request_timeout_ns,
		.activator = &a,
	};
	int err = setns(k->pod[POD_ACTIVATOR].netns, CLONE_NEWNET) ? -errno : queue_proxy_run(&c);

	fprintf(stderr, "perhop: activator: %s\n", strerror(-err));
	_exit(1);
}

static int start_activator(struct deployment *d, function_id f)
{
	const struct kernel *k = d->priv;
	int fd = netns_listen(k->pod[POD_ACTIVATOR].netns, &k->front[f], ACTIVATOR_BACKLOG);
	char name[64];
	pid_t pid;

	snprintf(name, sizeof(name), "activator/%s", d->app->functions[f]->name);
	if (fd < 0)
		return deploy_error(d, fd, "%s cannot listen: %s", name, strerror(-fd));
	pid = deploy_fork(d, name, COMPONENT_ACTIVATOR, INSTANCE_NONE);
	if (!pid)
		run_activator(d, f, fd);
	close(fd);
	return pid < 0 ? pid : 0;
}

int lifecycle_start(struct deployment *d)
{
	int err = 0;

	for (function_id f = 0; f < d->board->functions && !err; f++)
		err = start_activator(d, f);
	return err;
}

/* ---- Pods ------------------------------------------------------------------------------------- */

static int pod_raise(struct deployment *d, instance_id id)
{
	return pod_make(d, d->priv, id);
}

static int pod_settled(struct deployment *d, instance_id id)
{
	const struct kernel *k = d->priv;
	int err;

	/* queue-proxy listened before it was forked. */
	if (k->sidecar != SIDECAR_NGINX)
		return 0;
	err = nginx_ask(k->pod[id].netns, &k->pod[id].at);
	return err ? -EAGAIN : 0;
}

static void pod_admit(struct deployment *d, instance_id id, bool open)
{
	struct kernel *k = d->priv;

	atomic_store(&k->activators->pod[id].open, open);
	if (open)
		(void)!write(k->opened[d->board->line[id].function], &(uint64_t){ 1 },
			     sizeof(uint64_t));
}

static unsigned pod_busy(struct deployment *d, instance_id id)
{
	return atomic_load(&((struct kernel *)d->priv)->activators->pod[id].busy);
}

static void demand(struct deployment *d, function_id f, uint64_t now_ns, struct demand *out)
{
	activator_demand(((struct kernel *)d->priv)->activators, f, now_ns, out);
}

static void pod_lower(struct deployment *d, instance_id id)
{
	pod_drop(d, d->priv, id);
}

const struct scaling_ops kernel_scaling = {
	.raise = pod_raise,
	.settled = pod_settled,
	.admit = pod_admit,
	.busy = pod_busy,
	.demand = demand,
	.lower = pod_lower,
};
