/* SPDX-License-Identifier: BSD-2-Clause */
#include "workloads/loadgen/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum phase { HEAD, LENGTH, CHUNKED, UNTIL_EOF, DONE };

enum {
	BUFFER_MIN = 32 << 10,      /* the boutique's largest page needs 24 KiB */
	SPARES_MAX = 64,            /* 2 MiB kept for reuse */
};

void answer_begin(struct answer *a, bool whole, bool bodiless)
{
	a->phase = HEAD;
	a->whole = whole;
	a->bodiless = bodiless;
	a->keep_alive = a->started = false;
	a->interim = 0;
	a->status = 0;
	a->total = 0;
	a->kept = NULL;
	a->kept_bytes = a->head_bytes = 0;
	a->awaits = 0;
	a->parsed = 0;
	a->head = a->body = "";
	a->head_length = a->body_length = 0;
}

void answer_end(struct answer *a, struct answer_store *store)
{
	struct answer_buffer *b = a->kept;

	a->kept = NULL;
	a->kept_bytes = 0;
	if (!b)
		return;
	if (b->room > BUFFER_MIN || store->spares == SPARES_MAX) {
		free(b);
		return;
	}
	b->next = store->spare;
	store->spare = b;
	store->spares++;
}

void answer_store_free(struct answer_store *store)
{
	while (store->spare) {
		struct answer_buffer *b = store->spare;

		store->spare = b->next;
		free(b);
	}
	store->spares = 0;
}

/* Make room for `more` bytes in a->kept. 0 or -ENOMEM. */
static int reserve(struct answer *a, struct answer_store *store, size_t more)
{
	size_t room = a->kept ? a->kept->room : BUFFER_MIN;
	struct answer_buffer *b;

	if (a->kept && a->kept_bytes + more <= room)
		return 0;
	while (room < a->kept_bytes + more)
		room *= 2;
	if (!a->kept && room == BUFFER_MIN && store->spare) {
		a->kept = store->spare;
		store->spare = a->kept->next;
		store->spares--;
		return 0;
	}
	b = realloc(a->kept, sizeof(*b) + room);
	if (!b)
		return -ENOMEM;
	b->room = room;
	a->kept = b;
	return 0;
}

int answer_keep(struct answer *a, struct answer_store *store, const char *in, size_t length)
{
	int r = reserve(a, store, length);

	if (r)
		return r;
	memcpy(a->kept->bytes + a->kept_bytes, in, length);
	a->kept_bytes += length;
	return 0;
}

/* Body bytes of an answer in pieces; before the first, its head: still in the shared buffer. */
static int keep_body(struct answer *a, struct answer_store *store, const char *in, size_t length)
{
	int r = 0;

	if (!a->whole)
		return 0;
	if (!a->kept)
		r = answer_keep(a, store, a->head, a->head_bytes);
	return r ? r : answer_keep(a, store, in, length);
}

/* The answer is complete; its body, unless in a->kept, is `length` bytes at `body`. */
static int complete(struct answer *a, const char *body, size_t length)
{
	a->phase = DONE;
	if (!a->whole)
		return 1;
	if (a->kept) {
		a->head = a->kept->bytes;
		a->body = a->kept->bytes + a->head_bytes;
		a->body_length = a->kept_bytes - a->head_bytes;
	} else {
		a->body = body;
		a->body_length = length;
	}
	a->head_length = a->head_bytes;
	return 1;
}

/* How the body is framed (RFC 9112 §6.3). */
static int frame(struct answer *a, const struct http_head *h)
{
	a->status = h->status;
	a->keep_alive = h->keep_alive;
	if (a->bodiless || h->status == 204 || h->status == 304) {
		a->phase = DONE;
	} else if (h->chunked) {
		a->phase = CHUNKED;
		memset(&a->chunks, 0, sizeof(a->chunks));
	} else if (h->has_length) {
		if (h->content_length > ANSWER_BODY_MAX)
			return -EMSGSIZE;
		a->left = h->content_length;
		a->phase = a->left ? LENGTH : DONE;
	} else {
		a->phase = UNTIL_EOF;
		a->keep_alive = false;
	}
	return 0;
}

/*
 * Take bytes in until the head is complete; *used of them were its own. a->phase says what follows:
 * HEAD again when it is not complete, or was a 1xx. 0, -EBADMSG, -EMSGSIZE, -ENOMEM.
 */
static int feed_head(struct answer *a, struct answer_store *store, const char *in, size_t length,
		     size_t *used)
{
	size_t before = a->kept_bytes;
	struct http_head h;
	int r;

	if (a->kept) {
		/* Only a line feed can complete a head: this keeps byte-wise senders linear. */
		bool line = memchr(in, '\n', length);

		if (length > HTTP_HEAD_MAX + 1 - before)
			length = HTTP_HEAD_MAX + 1 - before;
		r = answer_keep(a, store, in, length);
		if (r)
			return r;
		r = line ? http_parse_response(&h, a->kept->bytes, a->kept_bytes) : 0;
	} else {
		r = http_parse_response(&h, in, length);
		if (!r && length <= HTTP_HEAD_MAX) {
			*used = length;
			return answer_keep(a, store, in, length);
		}
	}
	if (r < 0)
		return r == -431 ? -EMSGSIZE : -EBADMSG;
	if (!r) {
		*used = length;
		return before + length > HTTP_HEAD_MAX ? -EMSGSIZE : 0;
	}
	*used = (size_t)r - before;
	if (h.status / 100 == 1) {
		answer_end(a, store);
		if (h.status == 101 || ++a->interim > ANSWER_INTERIM_MAX)
			return -EBADMSG;
		return 0;
	}
	a->head_bytes = (size_t)r;
	if (!a->kept)
		a->head = in;
	else if (a->whole)
		a->kept_bytes = a->head_bytes;
	else
		answer_end(a, store);
	return frame(a, &h);
}

/* Body bytes that have no framing of their own. */
static int feed_plain(struct answer *a, struct answer_store *store, const char *in, size_t length,
		      size_t *used)
{
	int r;

	if (a->phase == LENGTH && length > a->left)
		length = (size_t)a->left;
	a->total += length;
	if (a->total > ANSWER_BODY_MAX)
		return -EMSGSIZE;
	*used = length;
	if (a->phase == LENGTH) {
		a->left -= length;
		if (!a->left && !a->kept)
			return complete(a, in, length);
	}
	r = keep_body(a, store, in, length);
	if (r)
		return r;
	return a->phase == LENGTH && !a->left ? complete(a, NULL, 0) : 0;
}

static int feed_chunked(struct answer *a, struct answer_store *store, char *in, size_t length,
			size_t *used)
{
	size_t made;
	int r, error;

	r = http_dechunk(&a->chunks, in, length, in, used, &made, ANSWER_BODY_MAX);
	if (r < 0)
		return r == -413 ? -EMSGSIZE : -EBADMSG;
	if (r && !a->kept)
		return complete(a, in, made);
	error = keep_body(a, store, in, made);
	if (error)
		return error;
	return r ? complete(a, NULL, 0) : 0;
}

int answer_feed(struct answer *a, struct answer_store *store, char *in, size_t length, size_t *used)
{
	size_t at = 0, n = 0;
	int r;

	a->started |= length > 0;
	while (a->phase == HEAD && at < length) {
		r = feed_head(a, store, in + at, length - at, &n);
		if (r < 0)
			return r;
		at += n;
	}
	*used = at;
	if (a->phase == HEAD)
		return 0;
	if (a->phase == DONE)
		return complete(a, in + at, 0);
	if (a->phase == CHUNKED)
		r = feed_chunked(a, store, in + at, length - at, &n);
	else
		r = feed_plain(a, store, in + at, length - at, &n);
	*used += n;
	return r;
}

int answer_eof(struct answer *a)
{
	return a->phase == UNTIL_EOF ? complete(a, NULL, 0) : -ECONNRESET;
}
