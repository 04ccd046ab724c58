/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP/1.1 endpoint of one process: a server for the requests of its function, and clients for
 * what the function asks of others. One thread, one epoll, no allocation after engine_open.
 *
 *         requests ──> server connections ──> recv ──> runtime ──> send ──> client connections ──>
 *        responses <── (m->token names one)   <── send   │         recv <── (the message waits here)
 *                                                        └── function
 *
 * A message that has been sent as a request waits at its client connection; its frames, locals and
 * token stay at home. The response is decoded over its payload and resumes it.
 */
#ifndef PERHOP_KERNEL_ENGINE_H
#define PERHOP_KERNEL_ENGINE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "chain/message.h"
#include "chain/pool.h"
#include "chain/route.h"
#include "chain/workload.h"

enum { LISTEN_BACKLOG = 1024 };     /* of every endpoint: a burst of connections waits */

/* In memory shared with the supervisor; each line is written by its own process only. */
struct engine_counters {
	alignas(64) _Atomic uint64_t requests;      /* decoded and handed to the runtime */
	_Atomic uint64_t calls;                     /* requests sent to others */
	_Atomic uint64_t connects, accepts;         /* connections made and taken */
	_Atomic uint64_t refused;                   /* requests answered with an error here */
	_Atomic uint64_t broken;                    /* responses that never came: 502 */
	_Atomic uint64_t timeouts;                  /* likewise: 504 */
	_Atomic uint64_t retried;                   /* resent after a keep-alive race */
	_Atomic uint64_t aborted;                   /* answers whose client had gone */
};

struct engine_config {
	const struct application *app;
	struct board *board;
	instance_id self;                   /* GATEWAY: a client only */
	const struct sockaddr_in *listen;   /* where the function is served; NULL: nowhere */
	const struct sockaddr_in *target;   /* [instance]: where each is reached */
	const struct sockaddr_in *broker;   /* NULL, or all requests go there instead */
	unsigned servers, clients;          /* connections at most, of each kind: < 32768 */
	uint32_t body_max;                  /* bytes of a message's body */
	uint64_t timeout_ns;                /* for a response; 0: for ever */
	struct engine_counters *counters;
};

struct engine;

/*
 * Messages come from `pool`, owned by config->self. What `config` points to, and the pool, must
 * outlive the engine. 0 or -errno.
 */
int engine_open(struct engine **out, const struct engine_config *config, struct pool *pool);

/* NULL is fine. Messages that still wait are given back to the pool. */
void engine_close(struct engine *e);

/* What is tuned here and no option: lines for the record (dataplane_ops.settings). */
void engine_settings(FILE *f);

/* Readable (an epoll descriptor) when engine_recv has something to do. */
int engine_fd(const struct engine *e);

/* As dataplane_ops.send, .recv and .recv_wait (timeout_ns 0: do not wait; -1: for ever). */
int engine_send(struct engine *e, instance_id to, struct message *m);
int engine_recv(struct engine *e, struct message **batch, int max, int64_t timeout_ns);

/* Is there work that engine_fd does not show? As dataplane_ops.arm. */
bool engine_pending(const struct engine *e);

#endif
