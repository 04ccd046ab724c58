/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One answer as it comes in: framing only, on untrusted bytes, without sockets. HTTP/1.1's here, MQTT's
 * in mqtt.h.
 *
 * Bytes are read into a buffer that all connections share. An answer that is whole in it is handed
 * out where it lies; only one that comes in pieces, and is wanted whole, takes a buffer of its own
 * until it is complete. 25,000 idle users therefore hold no receive buffers.
 */
#ifndef PERHOP_LOADGEN_ANSWER_H
#define PERHOP_LOADGEN_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/http.h"

enum {
	ANSWER_BODY_MAX = 1 << 20,  /* bytes of a decoded body; more is an error */
	ANSWER_INTERIM_MAX = 8,     /* 1xx answers before the real one; more is an error */
};

/* A buffer for an answer in pieces. */
struct answer_buffer {
	struct answer_buffer *next;
	size_t room;
	char bytes[];
};

/* Buffers not in use now, kept for the next answer. All zeroes is an empty store. */
struct answer_store {
	struct answer_buffer *spare;
	unsigned spares;
};

struct answer {
	uint8_t phase;
	bool whole;                 /* head and body are wanted when complete */
	bool bodiless;              /* answer to HEAD */
	bool keep_alive;            /* valid when complete: the connection may be used again */
	bool started;               /* a byte of it has come */
	uint8_t interim;            /* 1xx answers skipped */
	unsigned status;            /* valid when complete */
	uint64_t left;              /* of a body with Content-Length */
	uint64_t total;             /* body bytes so far */
	struct http_chunks chunks;
	struct answer_buffer *kept; /* head, then decoded body, of an answer in pieces */
	size_t kept_bytes, head_bytes;
	/* MQTT: what must still come, and how much of `kept` has been read. */
	uint8_t awaits, version, qos;
	uint32_t parsed;
	/* When complete and `whole`: until answer_end or the next use of the shared buffer. */
	const char *head, *body;
	size_t head_length, body_length;
};

/* Expect a new answer. `bodiless`: the request was a HEAD. */
void answer_begin(struct answer *a, bool whole, bool bodiless);

/*
 * Take in `length` bytes at `in` (chunked bodies are decoded in place). Returns 1 when the answer
 * is complete: *used says how many bytes were its own; 0 for more; -EBADMSG (not HTTP/1.1),
 * -EMSGSIZE (over a limit), -ENOMEM.
 */
int answer_feed(struct answer *a, struct answer_store *store, char *in, size_t length,
		size_t *used);

/* Append bytes to those kept. 0 or -ENOMEM. */
int answer_keep(struct answer *a, struct answer_store *store, const char *in, size_t length);

/* The peer has closed. 1: that completes the answer; -ECONNRESET: it is truncated or missing. */
int answer_eof(struct answer *a);

/* Give the buffer back. Needed after every answer_begin, complete or not. */
void answer_end(struct answer *a, struct answer_store *store);

void answer_store_free(struct answer_store *store);

#endif
