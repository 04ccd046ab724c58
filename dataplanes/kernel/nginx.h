/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nginx as a component of a deployment. Its listening sockets are made by perhop and inherited (in
 * the environment variable NGINX, as in an upgrade of nginx's binary), so it can serve a socket of
 * another network namespace, and no client ever finds the door closed. Its files lie on a tmpfs in a
 * mount namespace of its own, and it runs as nobody: nothing of it touches the host.
 */
#ifndef PERHOP_KERNEL_NGINX_H
#define PERHOP_KERNEL_NGINX_H

#include "chain/deploy.h"
#include "dataplanes/kernel/nginx_conf.h"

/* Where nginx and, if `lua`, its module are. Static strings, NULL when not found. */
const char *nginx_program(void);
const char *nginx_lua_modules(void);

/*
 * Parent: start nginx as component `name` in network namespace `netns`. `listen` are its sockets for
 * c->listen and, unless -1, c->listen_calls; they stay the caller's. 0 or -errno with d->why.
 */
int nginx_start(struct deployment *d, const char *name, enum component_kind kind,
		instance_id instance, int netns, const int listen[2], const struct nginx_conf *c);

/*
 * Parent: wait until `at`, reached from `netns` (-1: from here), answers /_perhop/health with 200.
 * 0, or -errno with d->why.
 */
int nginx_wait(struct deployment *d, const char *name, int netns, const struct sockaddr_in *at);

#endif
