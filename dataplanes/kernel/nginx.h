/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nginx as a component of a deployment. Its files lie on a tmpfs in a mount namespace of its own, and
 * it runs as nobody: nothing of it touches the host. A listening socket of another network namespace
 * it inherits, by the means by which nginx replaces its own binary (environment variable NGINX).
 */
#ifndef PERHOP_KERNEL_NGINX_H
#define PERHOP_KERNEL_NGINX_H

#include "chain/deploy.h"
#include "dataplanes/kernel/nginx_conf.h"

/* Where nginx and, if `lua`, its module are. Static strings, NULL when not found. */
const char *nginx_program(void);
const char *nginx_lua_modules(void);

/* How one nginx is started. */
struct nginx_launch {
	const char *name;           /* of the component */
	enum component_kind kind;
	instance_id instance;
	int netns;                  /* where it lives */
	int listen_fd;              /* inherited for conf.listen; -1: it listens there by itself */
	int log_fd;                 /* non-blocking; gets what nginx writes to stderr */
	struct nginx_conf conf;
};

/* Parent: start it. 0 or -errno with d->why. */
int nginx_start(struct deployment *d, const struct nginx_launch *l);

/*
 * Parent: wait until `at`, reached from `netns` (-1: from here), answers /_perhop/health with 200.
 * 0, or -errno with d->why, which quotes what nginx has said into the pipe that ends in `log_fd`.
 */
int nginx_wait(struct deployment *d, const char *name, int netns, const struct sockaddr_in *at,
	       int log_fd);

/* One such look, of milliseconds. 0, or -errno: not yet. */
int nginx_ask(int netns, const struct sockaddr_in *at);

#endif
