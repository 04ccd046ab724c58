/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to requests. Bytes are received into one scratch area; what is left over after the
 * last whole request moves into a buffer of the connection. A body goes straight into the request's
 * own buffer: the bytes are copied once, out of the input, or not at all when they come later.
 */
#include <errno.h>
#include <sys/socket.h>

#include "chain/gateway_conn.h"
#include "chain/probe.h"

enum { READS_PER_TURN = 4 };        /* then other clients have their turn */

static struct ticket ticket_of(const struct front *f, const struct conn *c, uint32_t sequence)
{
	return (struct ticket){ (uint32_t)(c - f->conns), c->generation, sequence };
}

/* The newest exchange has its whole request: hand it over. */
static void submit(struct front *f, struct conn *c, struct exchange *x, uint32_t length)
{
	struct message *m = x->m;

	c->input_state = x->keep_alive ? INPUT_HEAD : INPUT_CLOSED;
	c->body = NULL;
	x->want_continue = false;
	if (f->host.submit(f->host.arg, ticket_of(f, c, c->next - 1), x, m, length)) {
		x->m = NULL;
		x->state = EXCHANGE_WAITING;
		return;
	}
	conn_ready(f, x);
}

/* The body is complete, or has been dropped. */
static void end_body(struct front *f, struct conn *c)
{
	struct exchange *x = conn_exchange(c, c->next - 1);

	if (c->body)
		submit(f, c, x, (uint32_t)http_request_end(message_payload(x->m), c->body_offset,
							   (size_t)c->body_made));
	else
		c->input_state = x->keep_alive ? INPUT_HEAD : INPUT_CLOSED;
}

/* No further request from this client: where the next one would begin is not known. */
static void close_input(struct conn *c)
{
	c->input_state = INPUT_CLOSED;
	c->linger = true;
	c->body = NULL;
}

/* Answer the newest exchange, whose request did not arrive soundly, and read no more. */
static void fail_request(struct front *f, struct conn *c, struct exchange *x, unsigned status,
			 const char *text)
{
	x->keep_alive = false;
	close_input(c);
	if (x->state == EXCHANGE_RECEIVING)
		conn_refuse(f, x, status, text);
}

/* `x` has been answered before its body came: read past the body, if that is cheap. */
static void skip_body(struct front *f, struct conn *c, struct exchange *x,
		      const struct http_head *h)
{
	if (h->expect_continue || (!h->chunked && h->content_length > f->host.body_max)) {
		x->keep_alive = false;
		close_input(c);
		return;
	}
	c->body = NULL;
	c->body_made = 0;
	c->body_limit = h->chunked ? f->host.body_max : h->content_length;
}

/* Make room for a body that is still to come. */
static void await_body(struct front *f, struct conn *c, struct exchange *x, size_t built,
		       const struct http_head *h)
{
	const size_t kept = h->chunked ? 0 : (size_t)h->content_length;
	const size_t room = f->host.room - built;

	c->body_offset = (uint32_t)(built - 1 - kept);
	c->body = (char *)message_payload(x->m) + c->body_offset;
	c->body_made = 0;
	c->body_limit = h->content_length;
	if (h->chunked)
		c->body_limit = room < f->host.body_max ? room : f->host.body_max;
}

/* A whole head, `rest` bytes behind it. Returns how many of these were its body. */
static size_t begin_request(struct front *f, struct conn *c, const struct http_head *h,
			    const char *body, size_t rest)
{
	struct exchange *x = conn_begin(c);
	const bool whole = !h->chunked && rest >= h->content_length;
	ssize_t built;

	x->head_only = h->method == HTTP_HEAD;
	x->keep_alive = h->keep_alive;
	x->want_continue = h->expect_continue && !whole && !rest;
	c->input_state = h->chunked ? INPUT_CHUNKS : INPUT_LENGTH;
	c->input_ns = f->now;
	memset(&c->chunks, 0, sizeof(c->chunks));
	if (!h->chunked && h->content_length > f->host.body_max) {
		fail_request(f, c, x, 413, NULL);
		return rest;
	}
	if (!f->host.open(f->host.arg, x, h, whole)) {
		skip_body(f, c, x, h);
		conn_ready(f, x);
	} else {
		const size_t n = h->chunked ? 0 : (size_t)h->content_length;

		built = http_request_build(message_payload(x->m), f->host.room, h,
					   whole ? body : NULL, n);
		if (built < 0) {
			fail_request(f, c, x, n ? 413 : 431, NULL);
			return rest;
		}
		if (whole) {
			submit(f, c, x, (uint32_t)built);
			return n;
		}
		await_body(f, c, x, (size_t)built, h);
	}
	if (c->input_state == INPUT_LENGTH && !c->body_limit)
		end_body(f, c);
	return 0;
}

static size_t take_head(struct front *f, struct conn *c, const char *at, size_t n)
{
	struct http_head h;
	int rc;

	if (conn_full(c)) {
		c->stalled = true;
		return 0;
	}
	rc = http_parse_request(&h, at, n);
	if (rc == 0)
		return 0;
	if (rc < 0) {
		fail_request(f, c, conn_begin(c), (unsigned)-rc, NULL);
		return n;
	}
	return (size_t)rc + begin_request(f, c, &h, at + rc, n - (size_t)rc);
}

static size_t take_length(struct front *f, struct conn *c, const char *at, size_t n)
{
	const uint64_t left = c->body_limit - c->body_made;

	if (n > left)
		n = (size_t)left;
	if (c->body && n) {
		memcpy(c->body + c->body_made, at, n);
		PERHOP_COPY(n);
	}
	c->body_made += n;
	if (n == left)
		end_body(f, c);
	return n;
}

/* A body that nobody wants is decoded where it lies. */
static size_t take_chunks(struct front *f, struct conn *c, char *at, size_t n)
{
	char *out = c->body ? c->body + c->body_made : at;
	size_t used, made;
	int rc = http_dechunk(&c->chunks, at, n, out, &used, &made, c->body_limit);

	c->body_made += made;
	if (c->body && made)
		PERHOP_COPY(made);
	if (rc < 0) {
		fail_request(f, c, conn_exchange(c, c->next - 1), (unsigned)-rc, NULL);
		return n;
	}
	if (rc)
		end_body(f, c);
	return used;
}

/* Keep what is left of `buf` for later, in a buffer of the connection. */
static void keep(struct front *f, struct conn *c, char *buf, size_t used, size_t length)
{
	const size_t left = length - used;

	if (!left) {
		front_unbuffer(f, c->input);
		c->input = NULL;
	} else if (!c->input) {
		c->input = front_buffer(f);
		if (!c->input) {
			c->broken = true;
			return;
		}
	}
	if (left)
		memmove(c->input, buf + used, left);
	if (c->input_state == INPUT_HEAD && (used || !c->input_length))
		c->input_ns = f->now;           /* what is left is the beginning of a request */
	c->input_length = (uint32_t)left;
}

/* Use `length` bytes at `buf`, of which the first `seen` were there before. */
static void use(struct front *f, struct conn *c, char *buf, size_t seen, size_t length)
{
	size_t at = 0, n = 1;

	/* A head is parsed anew only when a line has ended: bytes dripping in cost nothing. */
	if (c->input_state == INPUT_HEAD && seen && length < HTTP_HEAD_MAX &&
	    !memchr(buf + seen, '\n', length - seen))
		n = 0;
	while (n && at < length) {
		switch ((enum input_state)c->input_state) {
		case INPUT_HEAD:
			n = take_head(f, c, buf + at, length - at);
			break;
		case INPUT_LENGTH:
			n = take_length(f, c, buf + at, length - at);
			break;
		case INPUT_CHUNKS:
			n = take_chunks(f, c, buf + at, length - at);
			break;
		case INPUT_CLOSED:
			n = length - at;
			break;
		}
		at += n;
	}
	keep(f, c, buf, at, length);
}

void conn_resume(struct front *f, struct conn *c)
{
	c->stalled = false;
	c->input_ns = f->now;
	use(f, c, c->input, 0, c->input_length);
}

void conn_drop_input(struct front *f, struct conn *c)
{
	front_unbuffer(f, c->input);
	c->input = NULL;
	c->input_length = 0;
}

/* The client has sent its last byte. It may still wait for answers. */
static void end_of_input(struct front *f, struct conn *c)
{
	if (c->input_state == INPUT_LENGTH || c->input_state == INPUT_CHUNKS)
		fail_request(f, c, conn_exchange(c, c->next - 1), 400, "the body ended early\n");
	c->input_state = INPUT_CLOSED;
	c->linger = false;
	c->readable = false;
	if (c->draining)
		c->broken = true;
	conn_drop_input(f, c);
}

void conn_receive(struct front *f, struct conn *c)
{
	for (int i = 0; i < READS_PER_TURN && conn_reads(c); i++) {
		const bool direct = c->input_state == INPUT_LENGTH && c->body && !c->input_length;
		char *buf = direct ? c->body + c->body_made : c->input ? c->input : f->scratch;
		const size_t seen = direct ? 0 : c->input_length;
		const size_t room = direct ? (size_t)(c->body_limit - c->body_made) :
					     FRONT_INPUT_BYTES - seen;
		ssize_t n;

		do
			n = recv(c->fd, buf + seen, room, 0);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			c->readable = false;
			c->broken |= errno != EAGAIN && errno != EWOULDBLOCK;
			return;
		}
		if (n == 0) {
			end_of_input(f, c);
			return;
		}
		f->stats.bytes_in += (uint64_t)n;
		/* Less than asked for: the socket is empty, and epoll will report what comes. */
		if ((size_t)n < room && !c->hung_up)
			c->readable = false;
		if (c->draining)
			continue;
		if (!direct) {
			use(f, c, buf, seen, seen + (size_t)n);
			continue;
		}
		c->body_made += (uint64_t)n;
		if (c->body_made == c->body_limit)
			end_body(f, c);
	}
}
