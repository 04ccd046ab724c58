/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the engine: connections, and what its server and its client side want of each other. */
#ifndef PERHOP_KERNEL_ENGINE_CONN_H
#define PERHOP_KERNEL_ENGINE_CONN_H

#include <sys/epoll.h>

#include "chain/clock.h"
#include "dataplanes/kernel/engine.h"
#include "dataplanes/kernel/stream.h"
#include "dataplanes/kernel/wire.h"

enum {
	EVENTS = 128,               /* taken from epoll at once */
	NO_CONN = 0xffff,           /* end of a list of connections; also the listener's index */
	TIMER = 0xfffe,
};

#define TICK_NS (250 * NS_PER_MS)           /* how late a timeout may be noticed */

enum conn_state {
	CONN_FREE,
	CONN_READING,               /* server: waits for a (whole) request */
	CONN_SERVING,               /* server: the request is with the runtime */
	CONN_DRAINING,              /* server: refused; discards until the client closes */
	CONN_IDLE,                  /* client: in its target's list */
	CONN_WAITING,               /* client: `m` waits here for the response */
};

struct conn {
	struct stream s;
	struct message *m;
	uint64_t deadline;          /* ns; 0: none */
	uint16_t index, next;       /* in the free list, or its target's idle list */
	uint16_t generation;        /* of this slot: a token or event of an earlier user is stale */
	uint16_t target;            /* client: index of the idle list */
	instance_id picked;         /* client: whose load was raised; INSTANCE_NONE: nobody's */
	uint8_t state;              /* enum conn_state */
	uint8_t form;               /* client: enum wire_form of the request */
	bool keep_alive, head_only; /* server: how the request wants its response */
	bool relay;                 /* client: the response is for m->token, not for the runtime */
	bool used, retried;         /* client: has carried a response before; is a second try */
	bool queued, expired;       /* in the queue; because its deadline has passed */
};

struct engine {
	struct engine_config c;
	struct pool *pool;
	struct wire wire;
	struct stream_arena arena;
	int epfd, listen_fd, timer_fd;
	bool timer_on, accept_again;
	uint64_t now, next_id;
	struct conn *conn;          /* [servers], then [clients] */
	unsigned n_conns;
	uint16_t free_server, free_client;
	uint16_t idle[INSTANCE_MAX];
	uint16_t *queue;            /* ring of connections with work that no event will announce */
	unsigned queue_head, queue_count;
	int event_at, event_count;
	struct epoll_event event[EVENTS];
};

static inline void engine_count(_Atomic uint64_t *counter)
{
	/* One writer: no locked instruction. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* ---- engine.c: any connection ----------------------------------------------------------------- */

/* First of a free or idle list, taken off it; NULL when it is empty. */
struct conn *conn_take(struct engine *e, uint16_t *list);

/* Put the fresh socket `fd` into `c` and watch it. 0, or -errno with both closed. */
int conn_open(struct engine *e, struct conn *c, int fd, enum conn_state state);

/* Close it and put it on its free list; a message that waits there is the caller's. */
void conn_close(struct engine *e, struct conn *c);

/* Have conn_event called for `c` next turn: it has work that no event will announce. */
void conn_enqueue(struct engine *e, struct conn *c);

/* conn_event with `expired` set, `ns` from now and up to TICK_NS late; 0: never. */
void conn_deadline(struct engine *e, struct conn *c, uint64_t ns);

/* ---- server.c --------------------------------------------------------------------------------- */

void server_accept(struct engine *e);

/* Something has happened on `c`. Returns a request for the runtime, or NULL. */
struct message *server_event(struct engine *e, struct conn *c, uint32_t events);

/* Answer the request that m->token names with `m`, and free it; also when the client has gone. */
int server_answer(struct engine *e, struct message *m, enum wire_form form);

/* ---- client.c --------------------------------------------------------------------------------- */

/* Something has happened on `c`. Returns a message that has its answer, or NULL. */
struct message *client_event(struct engine *e, struct conn *c, uint32_t events);

/*
 * Send `m` to instance `to` as a request, and let it wait for its response; `relay`: which is not for
 * the runtime but for whom m->token names. -EAGAIN, -EPIPE or an encoding error: nothing was sent.
 */
int client_request(struct engine *e, instance_id to, struct message *m, enum wire_form form,
		   bool relay);

#endif
