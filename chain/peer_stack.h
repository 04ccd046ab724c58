/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam between a gateway and the transport that carries its stream to the other node's gateway:
 * kernel TCP (peer_tcp.c) for every dataplane with a shared pool, and what a dataplane brings of its
 * own (dataplane_ops.peer_stack). A stack keeps at most one connection; node a makes it, node b waits
 * for it, and either makes it again after it has ended.
 *
 * All of it runs in the gateway's one thread. Nothing is allocated or logged per message by us.
 */
#ifndef PERHOP_CHAIN_PEER_STACK_H
#define PERHOP_CHAIN_PEER_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "chain/message.h"
#include "chain/spec.h"

struct node;
struct pool;
struct probe_report;

/* Between two attempts to connect. */
#define PEER_RETRY_NS (100 * NS_PER_MS)

/* What a stack does to its gateway. */
struct peer_events {
	void (*up)(void *arg);                          /* connected: nothing sent or received yet */
	void (*down)(void *arg, const char *why);       /* it has ended, by itself or by the peer */
	/*
	 * Bytes in order. `landing`: the posted buffer they lie in, or NULL; *taken: it is the chain's now.
	 * Not 0: unsound; the stack ends the connection and calls `down`.
	 */
	int (*received)(void *arg, const unsigned char *at, size_t n, struct message *landing, bool *taken);
	/* The oldest `n` bytes written are not needed any more: their memory may change. */
	void (*sent)(void *arg, size_t n);
};

enum { PEER_SLOTS = 3 };            /* a listener, a connection, and a newer one beside it */

struct peer_config {
	const struct node *node;
	struct pool *pool;          /* buffers to receive into are posted by GATEWAY */
	const struct peer_events *events;
	void *arg;
	/*
	 * Have `fd` watched; its events come by `ready`. `slot`, below PEER_SLOTS, is its own until it is closed.
	 * 0 or -errno.
	 */
	int (*watch)(void *arg, unsigned slot, int fd, uint32_t events);
};

struct peer_stack {
	const char *name;           /* value of the option stack= */
	void (*probe)(const struct spec *spec, struct probe_report *report);
	/* 0 and *priv, or -errno with a sentence in `why`. close also after a failure. */
	int (*open)(void **priv, const struct peer_config *c, char *why, size_t why_bytes);
	void (*close)(void *priv);
	/*
	 * Queue bytes, whose memory stays as it is until `sent`. Returns how many were taken, 0: no room
	 * now, `up` or progress of `sent` tells when to try again; -errno: the connection has ended.
	 */
	ssize_t (*write)(void *priv, const struct iovec *iov, unsigned n);
	void (*flush)(void *priv);                      /* once per loop turn: let go what was written */
	void (*ready)(void *priv, int fd, uint32_t events);
	void (*turn)(void *priv, uint64_t now_ns);      /* once per loop turn: receive, timers */
	int64_t (*due)(void *priv, uint64_t now_ns);    /* ns until turn must run again, or -1 */
	bool (*pending)(void *priv);                    /* optional: has something come? no system call */
	void (*reset)(void *priv);                      /* end the connection; `down` is not called */
	void (*settings)(FILE *f);                      /* as dataplane_ops.settings */
};

extern const struct peer_stack peer_tcp;

#endif
