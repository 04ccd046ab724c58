/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's client side: bytes in, requests out; answers in, bytes out. It knows sockets and
 * HTTP, nothing of chains, dataplanes or the runtime, so that it can be tested on a socket pair.
 *
 *     socket --recv--> input --parse--> exchange --open--> buffer --submit--> host (the gateway)
 *        ^                                 |                                     |
 *        +------ one sendmsg: head, body --+<-------------- front_answer --------+
 *
 * A connection holds up to FRONT_PIPELINE exchanges in a ring; answers leave in the order in which
 * the requests came, whatever order they arrive in. Sockets are watched edge-triggered and once, so
 * a request costs one recv and one sendmsg. An idle connection owns no buffer.
 *
 * Everything runs in the gateway's one thread. Nothing is allocated per request.
 */
#ifndef PERHOP_CHAIN_GATEWAY_FRONT_H
#define PERHOP_CHAIN_GATEWAY_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "chain/clock.h"
#include "chain/http.h"
#include "chain/message.h"

enum {
	FRONT_CONNS_MAX = 16384,    /* clients at a time; the next one is answered 503 */
	FRONT_PIPELINE = 16,        /* unanswered requests per client; more wait in its input */
	FRONT_INPUT_BYTES = 20 << 10,       /* ≥ HTTP_HEAD_MAX: a head that fills it is a 431 */
	FRONT_OUTPUT_BYTES = HTTP_RESPONSE_HEAD_MAX + 1024, /* a response's head with our fields */
};

/*
 * How long a client may take, ns. RFC 9110 names none; these are near nginx's and httpd's defaults.
 */
#define FRONT_HEAD_NS (10 * NS_PER_SEC)     /* first to last byte of a head */
#define FRONT_BODY_NS (30 * NS_PER_SEC)     /* then to the last byte of the body */
#define FRONT_IDLE_NS (75 * NS_PER_SEC)     /* between requests */
#define FRONT_CROWDED_NS (5 * NS_PER_SEC)   /* the same, when connections run short */
#define FRONT_STALL_NS (30 * NS_PER_SEC)    /* without taking a byte of an answer */
#define FRONT_LINGER_NS (2 * NS_PER_SEC)    /* to read a refusal while still sending */

/* Where an answer belongs. Private to this process; a stale one is recognised. */
struct ticket {
	uint32_t conn, generation, sequence;
};

/* What a client is answered. All slices stay valid until `release` or, for `page`, free. */
struct answer {
	unsigned status;
	struct slice content_type, fields, body;
	struct message *m;          /* buffer that holds them; released after the last byte */
	char *page;                 /* or malloc'd memory, freed then; or NULL */
};

enum exchange_state { EXCHANGE_RECEIVING, EXCHANGE_WAITING, EXCHANGE_READY };

/* One request and its answer. */
struct exchange {
	uint8_t state;              /* enum exchange_state */
	bool head_only;             /* a HEAD: the answer's body is not sent */
	bool keep_alive;
	bool want_continue;         /* owes the client a 100 */
	uint16_t topic;             /* host's: chain, or TOPIC_MAX when there is none */
	uint64_t started_ns;        /* host's: when the head was complete */
	struct message *m;          /* RECEIVING: where the request is being written; may be NULL */
	struct answer answer;       /* READY */
};

/* The gateway, as the client side sees it. */
struct front_host {
	void *arg;
	uint32_t room;              /* payload bytes of a buffer */
	uint32_t body_max;          /* largest body accepted, bytes */
	/* Watch `fd`; events go to front_ready with `data`. 0 or -errno. */
	int (*watch)(void *arg, int fd, uint32_t events, uint64_t data);
	/*
	 * A head is complete; `whole`: the body too. Set x->topic, x->started_ns and x->m and
	 * return true; or fill x->answer and return false: it is sent and the body, if any, is
	 * dropped.
	 */
	bool (*open)(void *arg, struct exchange *x, const struct http_head *h, bool whole);
	/*
	 * The request in `m` is complete: `length` bytes of struct http_request. True: `m` is the
	 * host's. False: x->answer is filled and `m` is still ours.
	 */
	bool (*submit)(void *arg, struct ticket t, struct exchange *x, struct message *m,
		       uint32_t length);
	void (*release)(void *arg, struct message *m);
	/* The answer's last byte has been given to the kernel. */
	void (*answered)(void *arg, const struct exchange *x);
};

/* Counters; read them at any time. */
struct front_stats {
	uint64_t accepted, crowded_out; /* connections; of those refused as one too many */
	uint64_t aborted;           /* connections that ended with requests unanswered */
	uint64_t timed_out_head, timed_out_body, timed_out_idle, timed_out_write;
	uint64_t refused[600];      /* requests refused by this side, by status: 400, 408, 413… */
	uint64_t bytes_in, bytes_out;
	uint32_t open;              /* connections now */
	uint32_t buffers;           /* input and output buffers in use now */
};

struct front;

/* At most `conns` connections (≤ FRONT_CONNS_MAX). 0 or -ENOMEM; the caller owns *out. */
int front_create(struct front **out, const struct front_host *host, uint32_t conns);

/* Close all connections, release all buffers. NULL is fine. */
void front_destroy(struct front *f);

/* CLOCK_MONOTONIC ns, before the calls below: the front asks no clock itself. */
void front_set_now(struct front *f, uint64_t now_ns);

/* Accept what waits on a listening socket, some at a time: it must be watched level-triggered. */
void front_accept(struct front *f, int listen_fd);

/* Serve a connected, non-blocking socket; it is the front's from now on, also on error. */
void front_adopt(struct front *f, int fd);

/* Events of a watched socket. Of one that has been closed since they are ignored. */
void front_ready(struct front *f, uint64_t data, uint32_t events);

/*
 * Answer a request. True: the answer's memory is the front's. False: the client has gone, or was
 * answered before, and the memory is still the caller's. Must not be called from within open,
 * submit or answered.
 */
bool front_answer(struct front *f, struct ticket t, const struct answer *a);

/* Once per loop turn: goes on with greedy clients, ends slow ones. */
void front_turn(struct front *f);

/* ns until front_turn must run again, or -1. */
int64_t front_due(const struct front *f);

const struct front_stats *front_stats(const struct front *f);

/* Fill *a with a text and a status; `text` is a literal. A 503 says when to come back. */
void answer_text(struct answer *a, unsigned status, const char *text);

#endif
