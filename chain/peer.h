/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's side of the link to the other node: messages leave this node's pool and enter it.
 *
 *     node a                                                   node b
 *     CALL of f2 ─> gateway: the buffer stays, ABROAD          a posted buffer, IMPORTED
 *                     header + payload ───────────────────────────> pool ── descriptor ──> f2
 *                     ANSWER to token, generation <──────────────── gateway <── descriptor ──┘
 *     caller <── descriptor, its stack and locals as they were
 *
 * What a buffer is here is kept in a private table, one entry per buffer of the pool. A buffer may be both:
 * IMPORTED for a caller of the other node, and ABROAD as the function that it is at calls back there. A
 * function that leads on (FORWARD) to the node where its request waits takes it back home at once:
 * nothing is held at two nodes.
 *
 * Payload bytes and copies, each way, beside those of the transport (peer_tcp.c, zstack):
 *   - out: none. Header and payload lie together, right before and in the arena, and go from there.
 *   - in, a request, or a client's answer, that fills a frame of its own: none; its frame is its buffer.
 *   - in, an answer to a caller, whose buffer is at home; or what shares a frame, or needs several: one.
 *
 * Nothing that was accepted is lost: it is answered, or the connection ends, and then what waits here is
 * answered 502 and what came from there is dropped when it comes back (its home has answered by then).
 */
#ifndef PERHOP_CHAIN_PEER_H
#define PERHOP_CHAIN_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "chain/message.h"

struct deployment;
struct peer;
struct pool;
struct runtime;

/* What the gateway is to its link. */
struct peer_host {
	void *arg;
	struct deployment *d;
	struct runtime *runtime;
	struct pool *pool;
	/* The client's answer is in `m`; the request waits in `home`. Both are the gateway's to free. */
	void (*reply)(void *arg, struct message *home, struct message *m);
};

/* 0 and *out, or -errno with a sentence in d->why. d->node is set. */
int peer_open(struct peer **out, const struct peer_host *host);
void peer_close(struct peer *p);

/* runtime_guest.abroad: 0, or -EHOSTUNREACH: there is no connection; -EAGAIN. */
int peer_abroad(struct peer *p, struct message *m);

/* Did `m` come from the other node? Then an answer in it goes back there by peer_return. */
bool peer_imported(const struct peer *p, const struct message *m);
void peer_return(struct peer *p, struct message *m, bool reply);

/* Is `data` of runtime_guest.ready the link's? Then it has been dealt with. */
bool peer_ready(struct peer *p, void *data, uint32_t events);

void peer_turn(struct peer *p);             /* first thing in a turn: receive */
void peer_flush(struct peer *p);            /* last thing in a turn: send */
int64_t peer_due(struct peer *p);
bool peer_pending(struct peer *p);

#endif
