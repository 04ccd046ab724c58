/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside queue-proxy: its clients, its connections to the function, and what its parts want of each other. */
#ifndef PERHOP_KERNEL_QUEUE_PROXY_CONN_H
#define PERHOP_KERNEL_QUEUE_PROXY_CONN_H

#include <stdbool.h>

#include "chain/clock.h"
#include "chain/dataplane.h"
#include "dataplanes/kernel/queue_proxy.h"
#include "dataplanes/kernel/stream.h"
#include "dataplanes/sure/sidecar/sidecar.h"

enum { NONE = 0xffff };                     /* end of a list; also the clients' listener */

enum client_state {
	CLIENT_FREE,
	CLIENT_READING,             /* waits for a (whole) request */
	CLIENT_QUEUED,              /* the request waits for a place in the function */
	CLIENT_ACTIVE,              /* it is in the function */
	CLIENT_PAUSED,              /* it failed there, and is sent again at `deadline`; keeps its place */
	CLIENT_DRAINING,            /* answered for the last time; discards until the client closes */
};

enum upstream_state { UPSTREAM_FREE, UPSTREAM_IDLE, UPSTREAM_BUSY };

struct client {
	struct stream s;            /* holds the request until it is answered */
	uint64_t deadline, since;   /* ns; since: the request was whole */
	uint64_t begun;             /* ACTIVE, PAUSED: when it was sent for the first time */
	uint16_t index, generation;
	uint16_t next, prev;        /* in the free list (next only), or the queue */
	uint16_t upstream;          /* ACTIVE: who works for it */
	uint16_t target;            /* PAUSED: the pod where it has its place */
	uint8_t state;              /* enum client_state */
	uint8_t retries;            /* so often was it sent again */
	bool metrics;               /* came in on the second port */
	bool keep_alive, old;       /* old: HTTP/1.0 */
	bool head_only;
	bool again;                 /* in the list of those with bytes that no event announces */
	struct sidecar_request rq;  /* as the handlers see it */
	uint8_t tag[SIDECAR_TAG_BYTES];
};

struct upstream {
	struct stream s;
	uint64_t deadline;
	uint32_t length;            /* bytes of the request that is being sent, or was */
	uint16_t index, generation;
	uint16_t next;              /* in the free or idle list */
	uint16_t target;            /* pod; 0 but for an activator */
	uint16_t client;            /* BUSY: for whom; NONE: who has gone meanwhile */
	uint8_t state;              /* enum upstream_state */
};

struct stats {
	uint64_t requests, by_class[6], rejected, aborted, timeouts;
	uint64_t queue_ns, total_ns;
};

struct proxy {
	struct queue_proxy_config c;
	int epfd;
	struct client *client;      /* [c.clients] */
	struct upstream *upstream;  /* [uplinks]: a request in the function has its own connection */
	struct stream_arena client_arena, upstream_arena;
	unsigned uplinks;
	uint16_t free_client, free_upstream, idle_upstream[INSTANCE_MAX];
	uint16_t first, last;       /* the queue */
	uint16_t *again;            /* stack of clients with `again` */
	unsigned again_count, queued, active, paused, open;
	uint64_t now, next_sweep;
	struct stats stats;
	struct sidecar handlers;
	struct sidecar_stats *seen; /* by the handlers */
	char head[HTTP_HEAD_MAX + 512];
	char page[8192];
};

/* What comes back with an event of a connection. */
static inline uint64_t event_data(bool is_upstream, uint16_t generation, uint16_t index)
{
	return (uint64_t)is_upstream << 63 | (uint64_t)generation << 32 | index;
}

/* ---- queue_proxy.c ---------------------------------------------------------------------------- */

/* Take `c` out of the queue. */
void proxy_unqueue(struct proxy *p, struct client *c);

/* Send `iov` (two parts: head and body) to `c`, whose request is done with; it then reads the next one. */
void proxy_respond(struct proxy *p, struct client *c, const struct iovec *iov, bool keep_alive,
		   unsigned status);

/* Likewise an answer of our own, as text. */
void proxy_answer(struct proxy *p, struct client *c, unsigned status, const char *text,
		  bool keep_alive);

/* ---- queue_proxy_function.c ------------------------------------------------------------------- */

/* Where a request may go now, a place for it being taken there; INSTANCE_NONE: nowhere. */
instance_id function_place(struct proxy *p);

/* Send `c`'s request to `target`, where function_place has taken a place. */
void function_send(struct proxy *p, struct client *c, instance_id target);

/* There may be a place again: send what waits in the queue. */
void function_next(struct proxy *p);

/* `c` is PAUSED, and its time has come. */
void function_send_again(struct proxy *p, struct client *c);

/* `c` has gone while it was ACTIVE or PAUSED. The function goes on; its response is dropped. */
void function_forget(struct proxy *p, struct client *c);

/* Something has happened on `u`. */
void function_event(struct proxy *p, struct upstream *u, uint32_t events);

/* It has not answered in time. */
void function_late(struct proxy *p, struct upstream *u);

/* ---- queue_proxy_handlers.c ------------------------------------------------------------------- */

/* 0 or -ENOMEM; the caller frees p->seen. */
int handlers_open(struct proxy *p);

/* A request of `c` is whole: what handlers want to know of it. */
void handlers_look(const struct proxy *p, struct client *c);

/* Their status for it, with a sentence in *why; 0: let it in. */
uint16_t handlers_ask(struct proxy *p, const struct client *c, const char **why);

/* It was let in and has ended. */
void handlers_tell(struct proxy *p, const struct client *c, unsigned status);

/* ---- queue_proxy_page.c ----------------------------------------------------------------------- */

/* Answer a request that came in on the second port. */
void page_request(struct proxy *p, struct client *c);

#endif
