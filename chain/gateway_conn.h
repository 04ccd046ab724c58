/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the gateway's client side: shared by gateway_front.c, gateway_in.c and gateway_out.c.
 */
#ifndef PERHOP_CHAIN_GATEWAY_CONN_H
#define PERHOP_CHAIN_GATEWAY_CONN_H

#include "chain/gateway_front.h"

/* What the next byte of a connection belongs to. */
enum input_state { INPUT_HEAD, INPUT_LENGTH, INPUT_CHUNKS, INPUT_CLOSED };

struct conn {
	int fd;                     /* -1: this slot is free */
	uint32_t generation;        /* 31 bits: tells users of this slot apart */
	uint32_t next_free;
	uint8_t input_state;
	bool watched;               /* in the epoll set */
	bool readable, hung_up;     /* recv may give bytes; the client has sent its last */
	bool blocked;               /* the socket takes no bytes now */
	bool stalled;               /* input waits because the ring is full */
	bool broken;                /* to be closed */
	bool linger, draining;      /* refused while it was sending: close gently; doing so */
	bool queued;                /* this slot is in front.again */
	bool sending;               /* the answer of exchange `first` has begun */
	uint32_t first, next;       /* exchanges in the ring, by sequence number */

	char *input;                /* bytes that could not be used yet, or NULL */
	uint32_t input_length;
	uint64_t input_ns;          /* when the request being received began */

	char *body;                 /* where the body goes, of exchange next - 1; NULL: nowhere */
	uint32_t body_offset;       /* of `body` in the payload */
	uint64_t body_made, body_limit; /* bytes so far; Content-Length, or how many are allowed */
	struct http_chunks chunks;

	char *output;               /* rest of a head that the socket did not take, or NULL */
	uint32_t output_at, output_length;
	uint64_t body_sent;
	uint64_t output_ns;         /* last progress of output, or when it became idle */

	struct exchange ring[FRONT_PIPELINE];
};

struct front {
	struct front_host host;
	struct front_stats stats;
	uint64_t now, next_sweep, date_until;
	struct conn *conns;
	uint32_t size, used, free;  /* slots, slots ever used, free list */
	uint32_t *again, n_again;   /* slots with more to read */
	void *spare;                /* free buffers */
	int reserve_fd;             /* given up for a moment when there are no more descriptors */
	char date[48];              /* "Date: …\r\n" */
	char scratch[FRONT_INPUT_BYTES];
	char head[FRONT_OUTPUT_BYTES];
};

static inline struct exchange *conn_exchange(struct conn *c, uint32_t sequence)
{
	return &c->ring[sequence % FRONT_PIPELINE];
}

static inline bool conn_full(const struct conn *c)
{
	return c->next - c->first == FRONT_PIPELINE;
}

/* May bytes be read now? */
static inline bool conn_reads(const struct conn *c)
{
	return c->readable && !c->broken &&
	       (c->draining || (c->input_state != INPUT_CLOSED && !c->stalled));
}

/* FRONT_INPUT_BYTES from a free list; NULL when out of memory. */
char *front_buffer(struct front *f);
void front_unbuffer(struct front *f, char *buffer);

/* Begin an exchange; the ring must have room. */
struct exchange *conn_begin(struct conn *c);

/* Make `x` ready with what is in x->answer; its request buffer, if any, is released. */
void conn_ready(struct front *f, struct exchange *x);

/* Refuse `x` with `status` (and a text of that status when `text` is NULL). */
void conn_refuse(struct front *f, struct exchange *x, unsigned status, const char *text);

/* gateway_in.c: read some; use what is in c->input. */
void conn_receive(struct front *f, struct conn *c);
void conn_resume(struct front *f, struct conn *c);
void conn_drop_input(struct front *f, struct conn *c);

/* gateway_out.c: send every answer whose turn has come, as far as the socket takes it. */
void conn_flush(struct front *f, struct conn *c);

#endif
