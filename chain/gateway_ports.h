/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's other protocols. Each loaded adapter (chain/adapter.h) has a port: a socket that
 * listens. What is published there is an event: its topic selects the chains that get it, and the
 * clients that have subscribed. Every connection's state is here, none in the adapter.
 *
 *     PUBLISH ──> leaf (a copy, kept until done) ──> chain, chain … ──answers──┐
 *                  │                                                           │
 *                  ├──> subscribers' queues <── the answer, on its own topic ──┤
 *                  └──> PUBACK, in the order of the PUBLISHes <────────────────┘
 *
 * At QoS 1 nothing is acknowledged before all chains have answered. A chain that takes no more is tried
 * again, and meanwhile the leaves run out and clients are not read: overload becomes back-pressure. An
 * event that died with an instance (502), or was not answered in time (504), is tried again too: at least once.
 * One that cannot be delivered ends its connection without a PUBACK, so that the client sends it again.
 *
 * Memory is bounded: see the enum. One thread; nothing is allocated per event.
 */
#ifndef PERHOP_CHAIN_GATEWAY_PORTS_H
#define PERHOP_CHAIN_GATEWAY_PORTS_H

#include <stdio.h>

#include "chain/adapter.h"
#include "chain/gateway_front.h"
#include "chain/workload.h"

enum {
	PORTS_MAX = 4,              /* adapters loaded at a time */
	PORTS_CONNS_MAX = 16384,    /* clients of all ports */
	PORTS_SESSIONS_MAX = 16384, /* connected or kept for a client that will be back */
	PORTS_WINDOW = 64,          /* Receive Maximum: events of one client not yet acknowledged */
	PORTS_QUEUE = 64,           /* messages that wait for one subscriber */
	PORTS_FILTERS = 32,         /* subscriptions of one session… */
	PORTS_FILTERS_MAX = 4096,   /* …and of all */
	PORTS_LEAVES_MAX = 8192,    /* events and messages kept; a page or more each, once used */
	PORTS_SESSION_S = 3600,     /* a session without a client is kept so long at most */
	PORTS_EXCHANGES = 4096,     /* datagrams remembered, so that a repeated one runs once */
};

#define TICKET_PORTS UINT32_MAX     /* ticket.conn: the answer is for this side */

/* The gateway, as this side sees it. */
struct ports_host {
	void *arg;
	const struct application *app;
	uint32_t leaves;            /* ≤ PORTS_LEAVES_MAX */
	uint64_t retry_ns;          /* how long an event is tried before its client is told to */
	int (*watch)(void *arg, int fd, uint32_t events, uint64_t data);
	/* The chain of an HTTP path, or TOPIC_MAX. */
	unsigned (*find)(void *arg, struct slice path);
	/*
	 * Start a request in `chain`. 0; -EAGAIN: full, try again; -EPIPE: nobody alive; other
	 * errors are final. The answer comes by ports_answer with `t`, never from within.
	 */
	int (*submit)(void *arg, struct ticket t, unsigned chain, const struct http_head *h,
		      struct slice body);
};

struct ports;

/* 0 or -ENOMEM; the caller owns *out. */
int ports_create(struct ports **out, const struct ports_host *host);
void ports_destroy(struct ports *p);

/*
 * Load the shared object open at `so_fd` and serve its protocol on `listen_fd`: a bound socket, and
 * for a stream a listening one. When an adapter of this name is loaded it is replaced, its clients
 * stay connected, and `listen_fd` may be -1. Both descriptors are the callee's, also on error. 0 or
 * -errno with a sentence.
 */
int ports_load(struct ports *p, int so_fd, int listen_fd, char *why, size_t why_bytes);

/* Say goodbye to its clients and forget it. 0, or -ENOENT with a sentence. */
int ports_unload(struct ports *p, const char *name, char *why, size_t why_bytes);

/* Is an adapter of this name loaded? */
bool ports_has(const struct ports *p, const char *name);

/* A line per adapter: name, address, clients. */
void ports_list(const struct ports *p, FILE *f);

/* Is the data of an epoll event this side's? */
static inline bool ports_owns(uint64_t data)
{
	return data >> 62 == 1;     /* neither a pointer nor a connection of the front */
}

void ports_ready(struct ports *p, uint64_t data, uint32_t events);

/* The chain's answer; its memory stays the caller's. */
void ports_answer(struct ports *p, struct ticket t, const struct answer *a);

void ports_set_now(struct ports *p, uint64_t now_ns);

/* Once per loop turn; ns until it must run again, or -1. */
void ports_turn(struct ports *p);
int64_t ports_due(const struct ports *p);

/* Counters as Prometheus text. */
void ports_page(const struct ports *p, FILE *f);

#endif
