/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream from the other node, hostile and cut anywhere: whatever is let through has sound fields, its
 * payload lies within a buffer, no buffer is placed twice, and none is lost.
 */
#include <errno.h>
#include <string.h>

#include "chain/peer_wire.h"
#include "chain/pool.h"
#include "tests/fuzz/fuzz.h"

enum { BUFFERS = 8, BYTES = 4096, FUNCTIONS = 3, TOPICS = 2 };

struct node {
	struct pool *pool;
	uint32_t held;              /* buffers placed and not done or undone */
};

static struct message *place(void *arg, const struct peer_header *h, struct message *landing, int *err)
{
	struct node *n = arg;
	struct message *m;

	PROMISE(h->kind >= PEER_INVOKE && h->kind <= PEER_REPLY);
	PROMISE(h->token < BUFFERS && h->length <= BYTES - sizeof(*m));
	if (h->id == UINT64_MAX) {
		*err = -EBADMSG;
		return NULL;
	}
	if (landing && h->id & 1) {
		pool_land(n->pool, landing, GATEWAY);
		m = landing;
	} else {
		m = pool_alloc(n->pool, GATEWAY);
	}
	n->held += m != NULL;
	return m;
}

static int done(void *arg, const struct peer_header *h, struct message *m)
{
	struct node *n = arg;

	PROMISE(h->magic == PEER_MAGIC && h->version == PEER_VERSION);
	if (h->kind == PEER_INVOKE || h->kind == PEER_CALL)
		PROMISE(h->function < FUNCTIONS && h->topic < TOPICS);
	if (!m)
		return 0;
	memset(message_payload(m), 0x5a, h->length);
	n->held--;
	return pool_free(n->pool, m, GATEWAY);
}

static void undo(void *arg, const struct peer_header *h, struct message *m)
{
	struct node *n = arg;

	(void)h;
	n->held--;
	PROMISE(!pool_free(n->pool, m, GATEWAY));
}

/* As a stack does: pieces of the size that the first byte says, each into a posted buffer. */
static void feed(struct node *n, struct peer_stream *s, const uint8_t *data, size_t size)
{
	const size_t most = size ? 1 + (size_t)data[0] * 16 : 1;
	int err = 0;

	for (size_t at = 1; at < size && !err;) {
		struct message *m = pool_post(n->pool, GATEWAY);
		size_t piece = size - at < most ? size - at : most;
		unsigned char *to;
		bool taken = false;

		PROMISE(m);
		to = (unsigned char *)message_payload(m) - PEER_HEADER_BYTES;
		memcpy(to, data + at, piece);
		err = peer_stream_take(s, to, piece, m, &taken);
		if (!taken)
			pool_unpost(n->pool, m, GATEWAY);
		at += piece;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node n = { 0 };
	struct peer_stream s = {
		.limits = { .payload = BYTES - sizeof(struct message), .tokens = BUFFERS,
			    .functions = FUNCTIONS, .topics = TOPICS },
		.sink = { &n, place, done, undo },
	};

	if (pool_create(&n.pool, BUFFERS, BYTES, 0))
		return 0;
	feed(&n, &s, data, size);
	peer_stream_end(&s);
	PROMISE(!n.held && !pool_in_use(n.pool));
	pool_destroy(n.pool);
	return 0;
}
