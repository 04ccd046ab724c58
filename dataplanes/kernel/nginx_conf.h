/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The texts that an nginx of a deployment runs on, rendered from the templates in this folder:
 * nginx.conf around ingress.conf, broker.conf, sidecar.conf or sidecar-grpc.conf; broker.lua; and the broker's routes.
 */
#ifndef PERHOP_KERNEL_NGINX_CONF_H
#define PERHOP_KERNEL_NGINX_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chain/route.h"
#include "chain/workload.h"

enum nginx_role { NGINX_INGRESS, NGINX_BROKER, NGINX_SIDECAR };

struct nginx_conf {
	enum nginx_role role;
	bool grpc;                          /* sidecar: before a function that speaks gRPC */
	const char *dir;                    /* where its files lie: a private tmpfs */
	const char *modules;                /* folder of ngx_http_lua_module.so; broker only */
	unsigned workers;
	uint32_t body_max;                  /* bytes */
	uint64_t timeout_ns;                /* 0: for ever (as nginx understands it: a day) */
	struct sockaddr_in listen;
	struct sockaddr_in listen_calls;    /* broker: for calls between functions */
	struct sockaddr_in listen_health;   /* sidecar before gRPC: for /_perhop/health */
	struct sockaddr_in upstream;        /* ingress: the broker; sidecar: the function */
	const struct application *app;      /* broker */
	const struct board *board;          /* broker: instances of each function */
	const struct sockaddr_in *target;   /* broker: [instance] */
	const struct sockaddr_in *front;    /* broker: [function], an activator before its instances; or NULL */
	const uint8_t *key;                 /* broker: [SIDECAR_KEY_BYTES], to sign requests with; NULL: does not */
};

/* nginx.conf. malloc'd text; NULL: no memory. */
char *nginx_conf_render(const struct nginx_conf *c);

/*
 * routes.lua: path → topic, first function, next functions by position; longest path first. And `key`
 * (SIDECAR_KEY_BYTES), by which requests get a token; NULL: none.
 */
char *nginx_routes_render(const struct application *app, const uint8_t *key);

/*
 * What every nginx of such a deployment is told, for the record: a line "WHO: DIRECTIVE" for each directive of the
 * templates that does not depend on the deployment and is no answer. sidecar: one of nginx, before a gRPC function if `grpc`.
 */
void nginx_settings(FILE *out, bool broker, bool sidecar, bool grpc);

/* broker.lua, as it is. Static. */
const char *nginx_broker_lua(void);

#endif
