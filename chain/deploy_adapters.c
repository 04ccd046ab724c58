/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "chain/adapter_file.h"
#include "chain/control.h"
#include "chain/deploy_adapters.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void deploy_no_adapters(struct deployment *d)
{
	d->control_fd = -1;
	for (unsigned i = 0; i < DEPLOY_ADAPTERS; i++)
		d->adapter[i].so_fd = d->adapter[i].listen_fd = -1;
}

static int open_one(struct deployment *d, unsigned i, char *why, size_t why_bytes)
{
	struct adapter_file file;
	int err = adapter_open(&file, d->config.adapter[i].name, why, why_bytes);

	if (err)
		return err;
	d->adapter[i].so_fd = file.fd;
	snprintf(d->adapter[i].name, sizeof(d->adapter[i].name), "%s", file.name);
	return adapter_listen(&d->adapter[i].listen_fd, &file, &d->config.adapter[i].listen,
			      &d->adapter[i].address, why, why_bytes);
}

int deploy_open_adapters(struct deployment *d)
{
	char why[256];
	int err;

	if (d->config.adapters && d->flags & DP_OWN_INGRESS)
		return deploy_error(d, -ENOTSUP, "%s has an ingress of its own, which speaks HTTP only",
				    d->spec.text);
	for (unsigned i = 0; i < d->config.adapters; i++) {
		err = open_one(d, i, why, sizeof(why));
		if (err)
			return deploy_error(d, err, "adapter %s: %s", d->config.adapter[i].name, why);
	}
	if (!d->config.control || d->flags & DP_OWN_INGRESS)
		return 0;
	d->control_fd = control_open(getpid());
	return d->control_fd >= 0 ? 0 : deploy_error(d, d->control_fd, "control socket: %s",
						     strerror(-d->control_fd));
}

void deploy_close_unloaded(struct deployment *d)
{
	const uint32_t unloaded = atomic_load_explicit(&d->board->unloaded, memory_order_relaxed);

	for (unsigned i = 0; unloaded && i < d->config.adapters; i++) {
		if (!(unloaded >> i & 1))
			continue;
		close_fd(&d->adapter[i].so_fd);
		close_fd(&d->adapter[i].listen_fd);
	}
}

void deploy_close_adapters(struct deployment *d)
{
	close_fd(&d->control_fd);
	for (unsigned i = 0; i < DEPLOY_ADAPTERS; i++) {
		close_fd(&d->adapter[i].so_fd);
		close_fd(&d->adapter[i].listen_fd);
	}
}
