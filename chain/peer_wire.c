/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "chain/peer_wire.h"
#include "chain/probe.h"

static bool is_back(const struct peer_header *h)
{
	return h->flags & PEER_BACK;
}

bool peer_is_hello(const void *at, size_t n, uint64_t fingerprint)
{
	static const struct peer_limits none = { 0 };
	struct peer_header h;

	if (n < sizeof(h))
		return false;
	memcpy(&h, at, sizeof(h));
	return !peer_header_check(&h, &none, true) && h.fingerprint == fingerprint;
}

int peer_header_check(const struct peer_header *h, const struct peer_limits *l, bool first)
{
	if (h->magic != PEER_MAGIC || h->version != PEER_VERSION ||
	    h->flags & ~(PEER_CALLER | PEER_BACK) || h->zero ||
	    h->reserved[0] || h->reserved[1])
		return -EBADMSG;
	if (first != (h->kind == PEER_HELLO))
		return -EBADMSG;
	switch (h->kind) {
	case PEER_HELLO:
	case PEER_PING:
		return h->length || h->flags ? -EBADMSG : 0;
	case PEER_INVOKE:
	case PEER_CALL:
		if (h->function >= l->functions || h->topic >= l->topics ||
		    h->position >= SEQUENCE_MAX)
			return -EBADMSG;
		if (h->kind == PEER_CALL && h->flags != PEER_CALLER)
			return -EBADMSG;
		break;
	case PEER_ANSWER:
	case PEER_REPLY:
		if (h->flags != PEER_BACK)
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	if (h->kind == PEER_INVOKE && h->flags == (PEER_CALLER | PEER_BACK))
		return -EBADMSG;
	if (h->fingerprint || !h->generation || h->token >= l->tokens || h->length > l->payload)
		return -EBADMSG;
	return is_back(h) || (h->status == STATUS_OK) ? 0 : -EBADMSG;
}

/* The header is complete; `rest` bytes follow it at once, in `landing` where its payload belongs. */
static int begin(struct peer_stream *s, size_t rest, struct message *landing)
{
	int err = peer_header_check(&s->head, &s->limits, !s->greeted);

	s->filled = 0;
	s->into = NULL;
	if (err)
		return err;
	s->greeted = true;
	if (s->head.kind == PEER_HELLO || s->head.kind == PEER_PING)
		return 0;
	s->into = s->sink.place(s->sink.arg, &s->head, rest >= s->head.length ? landing : NULL, &err);
	return err;
}

/* The message is complete. `adopted`: the landing buffer is it. */
static int finish(struct peer_stream *s)
{
	struct message *m = s->into;

	s->have = 0;
	s->into = NULL;
	return s->sink.done(s->sink.arg, &s->head, m);
}

/* Bytes of the payload. Returns how many were used. */
static size_t fill(struct peer_stream *s, const unsigned char *at, size_t n)
{
	const uint32_t left = s->head.length - s->filled;
	const size_t use = n < left ? n : left;

	if (s->into && use) {
		memcpy((unsigned char *)message_payload(s->into) + s->filled, at, use);
		PERHOP_COPY(use);
		s->copied += use;
	}
	s->filled += (uint32_t)use;
	return use;
}

int peer_stream_take(struct peer_stream *s, const unsigned char *at, size_t n,
		     struct message *landing, bool *taken)
{
	const unsigned char *place = landing ? (unsigned char *)message_payload(landing) -
						       PEER_HEADER_BYTES : NULL;
	struct peer_header adopted;
	int err = 0;

	*taken = false;
	while (n && !err) {
		size_t use;

		if (s->have < PEER_HEADER_BYTES) {
			const bool here = !s->have && at == place;

			use = PEER_HEADER_BYTES - s->have;
			use = n < use ? n : use;
			memcpy((char *)&s->head + s->have, at, use);
			s->have += (uint32_t)use;
			at += use;
			n -= use;
			if (s->have < PEER_HEADER_BYTES)
				break;
			err = begin(s, n, here ? landing : NULL);
			if (err)
				break;
			if (s->into && s->into == landing) {
				/*
				 * It is dispatched last: what lies behind it in the buffer must be read
				 * before a function may write there.
				 */
				*taken = true;
				adopted = s->head;
				s->landed += s->head.length;
				at += s->head.length;
				n -= s->head.length;
				s->have = 0;
				s->into = NULL;
				continue;
			}
		}
		use = fill(s, at, n);
		at += use;
		n -= use;
		if (s->filled == s->head.length)
			err = finish(s);
	}
	if (*taken) {
		int last = s->sink.done(s->sink.arg, &adopted, landing);

		err = err ? err : last;
	}
	return err;
}

void peer_stream_end(struct peer_stream *s)
{
	if (s->have == PEER_HEADER_BYTES && s->into)
		s->sink.undo(s->sink.arg, &s->head, s->into);
	s->have = s->filled = 0;
	s->into = NULL;
	s->greeted = false;
}
