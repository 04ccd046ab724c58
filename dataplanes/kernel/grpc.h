/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gRPC endpoint of one process: what engine.h is for HTTP/1.1. It serves the calls of its function
 * and makes those that the function asks for, over one HTTP/2 connection per pair of processes.
 *
 *        calls ──> server streams ──> recv ──> runtime ──> send ──> client streams ──>
 *      answers <── (m->token names one)  <── send   │        recv <── (the message waits there)
 *                                                   └── function
 *
 * `send` only hands frames to libnghttp2; `flush`, once per loop turn, writes each connection's with
 * one sendmsg, the messages from where they were encoded. One thread, one epoll; after grpc_open
 * nothing is allocated for a call but libnghttp2's objects, which come from free lists (grpc_memory.h).
 */
#ifndef PERHOP_KERNEL_GRPC_H
#define PERHOP_KERNEL_GRPC_H

#include "dataplanes/kernel/engine.h"

struct grpc;

/*
 * As engine_open; `config`'s servers and clients are streams, its broker is not used. `door_fd`: another
 * listening socket to serve, for clients outside of the pods; -1: none; it stays the caller's.
 */
int grpc_open(struct grpc **out, const struct engine_config *config, int door_fd, struct pool *pool);

/* NULL is fine. Messages that still wait are given back to the pool. */
void grpc_close(struct grpc *g);

/* As engine_settings. */
void grpc_settings(FILE *f);

/* Readable (an epoll descriptor) when grpc_recv has something to do. */
int grpc_fd(const struct grpc *g);

/* As dataplane_ops.send, .flush, .recv and .recv_wait (timeout_ns 0: do not wait; -1: for ever). */
int grpc_send(struct grpc *g, instance_id to, struct message *m);
int grpc_flush(struct grpc *g);
int grpc_recv(struct grpc *g, struct message **batch, int max, int64_t timeout_ns);

/* Is there work that grpc_fd does not show? As dataplane_ops.arm. */
bool grpc_pending(const struct grpc *g);

#endif
