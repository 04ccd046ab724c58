/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue-proxy: the sidecar that Knative puts before every function, here in C. It takes a request in
 * whole, lets at most `limit` of them into the function at a time and up to `queue` wait in the order
 * in which they came, answers the rest with 503, and passes responses on in whole.
 *
 *     client ──> [read whole] ──> [queue] ──> [≤ limit] ──> function ──> [read whole] ──> client
 *
 * Its handlers are those of sure's library sidecar, called before and after the function. auth wants the
 * X-Perhop-Token of a request (token.h). retry sends a request that met a broken connection or a 502
 * once more, while `timeout_ns` lasts, and only if that does no harm: when it is idempotent, or no
 * byte of it had left.
 *
 * One thread, one epoll; connections are kept alive on both sides. On its second port it answers
 * GET /metrics (Prometheus text) and GET /health (200 when the function takes connections, else 503).
 */
#ifndef PERHOP_KERNEL_QUEUE_PROXY_H
#define PERHOP_KERNEL_QUEUE_PROXY_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>

struct activator;
struct sidecar_config;

struct queue_proxy_config {
	int listen_fd, metrics_fd;          /* listening, non-blocking; stay the caller's; metrics: -1 */
	struct sockaddr_in function;        /* where the function listens */
	unsigned clients;                   /* connections at most; the next one is answered 503 */
	unsigned limit;                     /* requests in the function at a time; ≥ 1 */
	unsigned queue;                     /* requests that may wait; then 503 */
	uint32_t body_max;                  /* bytes; more is a 413 */
	uint64_t timeout_ns;                /* for the function's response, then 504; 0: for ever */
	const struct activator *activator;  /* NULL, or: it is one, `function` and `limit` do not count */
	const struct sidecar_config *handlers;      /* of sure's library sidecar, around the function; NULL: none */
};

/* Serve until the process is ended. Returns only on errors: -errno. */
int queue_proxy_run(const struct queue_proxy_config *config);

#endif
