/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What two nodes' gateways say to each other over one stream of bytes, in order and reliable:
 *
 *     | header, 64 bytes | payload, header.length bytes | header | payload | …
 *
 * Only the payload of a message and what the other node needs to run a function on it travel; return
 * stack and locals stay in the buffer at home, which `token` and `generation` name. Both nodes are
 * little-endian x86-64: fields go as they lie in memory.
 *
 * The peer is untrusted: every field is checked before anything follows from it, and the first unsound
 * byte ends the connection (-EBADMSG). Knows nothing of sockets, of the pool or of the chain.
 */
#ifndef PERHOP_CHAIN_PEER_WIRE_H
#define PERHOP_CHAIN_PEER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/message.h"

enum { PEER_VERSION = 1, PEER_HEADER_BYTES = 64 };
#define PEER_MAGIC 0x31486850u                  /* "PhH1" */

enum peer_kind {
	PEER_HELLO = 1,             /* first in either direction: `fingerprint` */
	PEER_PING,                  /* nothing else to say for a while */
	PEER_INVOKE,                /* run `function` on the payload; as message_kind */
	PEER_CALL,
	PEER_ANSWER,                /* home's caller is resumed with the payload */
	PEER_REPLY,                 /* the payload is the client's answer */
};

enum peer_flags {
	PEER_CALLER = 1 << 0,       /* INVOKE, CALL: somebody at home waits for a RETURN */
	PEER_BACK = 1 << 1,         /* token is the receiver's own: ANSWER, REPLY, and an INVOKE that
				     * leads a request back to the node where it waits */
};

struct peer_header {
	uint32_t magic;
	uint8_t version;
	uint8_t kind;               /* enum peer_kind */
	uint8_t flags;              /* enum peer_flags */
	uint8_t position;           /* message.position */
	uint32_t length;            /* payload bytes */
	uint32_t token, generation; /* the buffer that waits at home */
	uint16_t type, topic, function, status;
	uint32_t zero;
	uint64_t id;
	uint64_t fingerprint;       /* HELLO: what both nodes must agree on; else 0 */
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct peer_header) == PEER_HEADER_BYTES, "as on the wire");

/* The largest values that a header may have here. */
struct peer_limits {
	uint32_t payload;           /* bytes of an arena */
	uint32_t tokens;            /* buffers of the pool; both pools have as many */
	uint32_t functions, topics;
};

/*
 * Do the first `n` bytes of a connection begin with the HELLO of a node with this fingerprint? Anybody can reach the port: a
 * connection that works is given up for a new one only when that one has said so.
 */
bool peer_is_hello(const void *at, size_t n, uint64_t fingerprint);

/* Is a received header sound? 0 or -EBADMSG. `first`: it must be a HELLO, else it must not. */
int peer_header_check(const struct peer_header *h, const struct peer_limits *l, bool first);

/* Who takes what a stream carries. */
struct peer_sink {
	void *arg;
	/*
	 * A header has come and is sound. Where does its payload go? `landing`, when not NULL, is a posted
	 * buffer in whose arena the whole payload lies already: returning it means that it is taken and
	 * nothing is copied. Else a buffer whose arena has room for h->length bytes; or NULL: drop the
	 * payload. -EBADMSG in *err ends the stream. Not called for HELLO and PING.
	 */
	struct message *(*place)(void *arg, const struct peer_header *h, struct message *landing,
				 int *err);
	/* All of it is there, in `m` (what place returned; NULL: dropped). 0, or -EBADMSG. */
	int (*done)(void *arg, const struct peer_header *h, struct message *m);
	/* A stream ends with a message half received into `m`, which place returned. */
	void (*undo)(void *arg, const struct peer_header *h, struct message *m);
};

/* A stream being received. All zero but limits and sink: a new one. */
struct peer_stream {
	struct peer_limits limits;
	struct peer_sink sink;
	bool greeted;               /* the HELLO has come */
	uint32_t have;              /* bytes of the header that have come */
	uint32_t filled;            /* bytes of the payload */
	struct message *into;
	struct peer_header head;
	uint64_t copied;            /* payload bytes copied to where they belong */
	uint64_t landed;            /* payload bytes that lay there */
};

/*
 * Take `n` bytes at `at`. `landing`: the posted buffer in which they lie, or NULL. 0, or -EBADMSG: reset the
 * connection. *taken says whether `landing` is the chain's now, and must not be received into again.
 */
int peer_stream_take(struct peer_stream *s, const unsigned char *at, size_t n,
		     struct message *landing, bool *taken);

/* The connection is gone: give back what is half received. */
void peer_stream_end(struct peer_stream *s);

#endif
