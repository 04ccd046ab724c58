/* SPDX-License-Identifier: BSD-2-Clause */
/* The gRPC endpoint's server side: calls of the function, and the function's answers. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplanes/kernel/grpc_conn.h"
#include "dataplanes/kernel/wire.h"

enum { ACCEPTS = 64, FIELDS = 8, HTTP_NOT_ALLOWED = 405, HTTP_UNSUPPORTED = 415 };

/* ---- Answers ----------------------------------------------------------------------------------- */

/* From here on the runtime's answer, should there be one, finds nobody. The client has to take this one. */
static void ending(struct grpc *g, struct rpc *r)
{
	r->state = RPC_ENDING;
	r->generation++;
	rpc_deadline(g, r, g->now + (g->c.timeout_ns ? g->c.timeout_ns : HALF_CALL_NS));
}

/* Trailers-Only: a status and why, without a message. `status` is HTTP's; `g` answers if that fails. */
static void fail(struct grpc *g, struct rpc *r, enum grpc_status status, unsigned http,
		 const char *reason, size_t length, bool reply)
{
	char text[3 * GRPC_REASON_MAX], digits[12], exact[12];
	nghttp2_nv nv[FIELDS] = {
		H2_LITERAL(":status", "200"),
		H2_LITERAL("content-type", "application/grpc"),
		H2_BRIEF("grpc-status", h2_digits(digits, status)),
		H2_BRIEF("perhop-status", h2_digits(exact, http)),
	};
	size_t n = 4;

	if (length > GRPC_REASON_MAX)
		length = GRPC_REASON_MAX;
	length = grpc_percent_encode(reason, length, text, sizeof(text));
	nv[n++] = H2_ONCE("grpc-message", text, length);
	if (reply)
		nv[n++] = H2_LITERAL("perhop-outcome", "reply");
	if (nghttp2_submit_response(r->c->h2, r->stream, nv, n, NULL))
		r->c->broken = true;
	h2_touch(g, r->c);
	ending(g, r);
}

/* Refuse a request before the runtime has seen it. */
static void refuse(struct grpc *g, struct rpc *r, enum grpc_status status, const char *reason)
{
	const unsigned http = status == GRPC_RESOURCE_EXHAUSTED ? STATUS_UNAVAILABLE :
			      status == GRPC_UNIMPLEMENTED ? STATUS_NOT_FOUND :
			      status == GRPC_DEADLINE_EXCEEDED ? STATUS_GATEWAY_TIMEOUT :
								 STATUS_BAD_REQUEST;

	grpc_count(&g->c.counters->refused);
	if (r->head.topic >= 0)         /* the sender's route_pick; the runtime will not see it */
		route_done(g->c.board, g->c.self);
	if (r->m)
		pool_free(g->pool, r->m, g->c.self);
	r->m = NULL;
	fail(g, r, status, http, reason, strlen(reason), false);
}

/* Not even gRPC: HTTP's status, as the protocol wants it, and a line for whoever tries with a browser. */
static void refuse_http(struct grpc *g, struct rpc *r)
{
	static const char says[] = "This is gRPC: POST a message of application/grpc.\n";
	const nghttp2_data_provider body = h2_message(r);
	char digits[12];
	const nghttp2_nv nv[] = {
		H2_BRIEF(":status", h2_digits(digits, r->refusal)),
		H2_LITERAL("content-type", "text/plain"),
		H2_LITERAL("allow", "POST"),
	};

	grpc_count(&g->c.counters->refused);
	memcpy(r->tx, says, sizeof(says) - 1);
	r->tx_bytes = sizeof(says) - 1;
	if (nghttp2_submit_response(r->c->h2, r->stream, nv, r->refusal == HTTP_NOT_ALLOWED ? 3 : 2,
				    r->head.bodyless ? NULL : &body))
		r->c->broken = true;
	h2_touch(g, r->c);
	ending(g, r);
}

int server_trailers(struct rpc *r)
{
	char digits[12], exact[12];
	const nghttp2_nv nv[] = {
		H2_BRIEF("grpc-status", h2_digits(digits, grpc_of_http(r->status))),
		H2_BRIEF("perhop-status", h2_digits(exact, r->status)),
	};

	return nghttp2_submit_trailer(r->c->h2, r->stream, nv, r->tell_status ? 2 : 1);
}

/* The encoded message in r->tx, and what is to be known of it before it comes. */
static void respond(struct grpc *g, struct rpc *r, uint16_t type, bool reply)
{
	const nghttp2_data_provider message = h2_message(r);
	char digits[12];
	nghttp2_nv nv[FIELDS] = {
		H2_LITERAL(":status", "200"),
		H2_LITERAL("content-type", "application/grpc"),
	};
	size_t n = 2;

	if (!r->method || type != r->method->response)
		nv[n++] = H2_BRIEF("perhop-type", h2_digits(digits, type));
	if (reply)
		nv[n++] = H2_LITERAL("perhop-outcome", "reply");
	if (nghttp2_submit_response(r->c->h2, r->stream, nv, n, &message))
		r->c->broken = true;
	h2_touch(g, r->c);
	ending(g, r);
}

static struct rpc *rpc_of_token(const struct grpc *g, uint32_t token)
{
	struct rpc *r = (token & 0xffff) < g->c.servers ? &g->rpc[token & 0xffff] : NULL;

	return r && r->state == RPC_SERVING && r->generation == token >> 16 ? r : NULL;
}

uint64_t server_deadline(const struct grpc *g, uint32_t token)
{
	const struct rpc *r = rpc_of_token(g, token);

	return r ? r->deadline : 0;
}

int server_respond(struct grpc *g, struct message *m, bool reply)
{
	static const char unsound[] = "the function's answer is unsound";
	struct rpc *r = rpc_of_token(g, m->token);
	ssize_t n;

	if (!r) {
		grpc_count(&g->c.counters->aborted);
	} else if (m->type == TYPE_REASON) {
		const unsigned status = m->status >= 400 && m->status <= 599 ? m->status :
									       STATUS_INTERNAL;

		fail(g, r, grpc_of_http(status), status, (const char *)m->arena, m->length, reply);
	} else {
		n = wire_encode_payload(g->c.app, m, r->tx + GRPC_PREFIX, g->room - GRPC_PREFIX);
		if (n < 0 && !reply)
			return n == -EMSGSIZE ? -EMSGSIZE : -EINVAL;
		if (n < 0) {
			fail(g, r, GRPC_INTERNAL, STATUS_BAD_GATEWAY, unsound, sizeof(unsound) - 1, true);
		} else {
			grpc_prefix(r->tx, (uint32_t)n);
			r->tx_bytes = GRPC_PREFIX + (uint32_t)n;
			/* An HTTP response has its own; what the function was last told is no status of it. */
			r->status = m->type == TYPE_HTTP_RESPONSE ? STATUS_OK : m->status;
			r->tell_status = r->status != STATUS_OK;
			respond(g, r, m->type, reply);
		}
	}
	pool_free(g->pool, m, g->c.self);
	return 0;
}

/* ---- Requests ---------------------------------------------------------------------------------- */

/* The head is whole: refuse what no body can save. */
void server_head(struct grpc *g, struct rpc *r)
{
	const struct grpc_head *h = &r->head;

	if (r->state != RPC_READING)
		return;
	/* HTTP's own refusals wait for the request's end, as HTTP's clients do. */
	if (!h->post)
		r->refusal = HTTP_NOT_ALLOWED;
	else if (!h->grpc)
		r->refusal = HTTP_UNSUPPORTED;
	else if (h->bytes >= GRPC_FIELDS_MAX)
		refuse(g, r, GRPC_RESOURCE_EXHAUSTED, "the header fields are too long");
	else if (!h->trailers)
		refuse(g, r, GRPC_INTERNAL, "te: trailers is missing: is there a proxy for HTTP/1.1?");
	else if (h->bad)
		refuse(g, r, GRPC_INTERNAL, "grpc-timeout or a perhop-… field is malformed");
	else if (h->function == FUNCTION_NONE || h->function != g->c.board->line[g->c.self].function)
		refuse(g, r, GRPC_UNIMPLEMENTED, "this method is not served here");
	else if (!h->method && h->type < 0)
		refuse(g, r, GRPC_INVALID_ARGUMENT, "perhop-type is missing");
	else if (h->topic >= (int)g->c.app->n_chains)
		refuse(g, r, GRPC_INVALID_ARGUMENT, "there is no such topic");
	else if (h->timeout_ns)
		rpc_deadline(g, r, g->now + h->timeout_ns);
	r->method = h->method;
}

static void refuse_message(struct grpc *g, struct rpc *r, int err)
{
	switch (err) {
	case -EMSGSIZE:
		refuse(g, r, GRPC_RESOURCE_EXHAUSTED, "the message is larger than a buffer");
		return;
	case -ENOTSUP:
		if (r->head.encoded)
			refuse(g, r, GRPC_UNIMPLEMENTED, "no compression is supported but identity");
		else
			refuse(g, r, GRPC_INTERNAL, "a compressed message without grpc-encoding");
		return;
	case -EEXIST:
		refuse(g, r, GRPC_UNIMPLEMENTED, "a unary call has one message, this is a second");
		return;
	default:
		refuse(g, r, GRPC_INTERNAL, "not a gRPC message");
	}
}

/* The request's message as a message for the runtime in r->m; false when it was refused. */
static bool decode(struct grpc *g, struct rpc *r, const uint8_t *in, size_t length)
{
	const struct grpc_head *h = &r->head;
	int err;

	r->m = pool_alloc(g->pool, g->c.self);
	if (!r->m) {
		refuse(g, r, GRPC_RESOURCE_EXHAUSTED, "no buffer is free");
		return false;
	}
	err = wire_decode_payload(g->c.app, h->type >= 0 ? (uint16_t)h->type : h->method->request, in,
				  length, r->m);
	if (err)
		refuse(g, r, err == -413 ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL,
		       "the message cannot be decoded");
	return !err;
}

void server_data(struct grpc *g, struct rpc *r, const uint8_t *in, size_t n, bool last)
{
	uint32_t length;
	int err;

	if (r->state != RPC_READING || r->refusal)
		return;
	/* Nearly always: the whole message at once. It is decoded from where it was received. */
	if (last && !r->reader.have && n >= GRPC_PREFIX && !in[0]) {
		length = (uint32_t)in[1] << 24 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 8 | in[4];
		if (length == n - GRPC_PREFIX) {
			r->reader = (struct grpc_reader){ (uint32_t)n, length, true };
			decode(g, r, in + GRPC_PREFIX, length);
			return;
		}
	}
	err = r->m ? -EEXIST : grpc_read(&r->reader, in, n, r->rx, g->room);
	if (err)
		refuse_message(g, r, err);
}

void server_ended(struct grpc *g, struct rpc *r)
{
	const struct grpc_head *h = &r->head;
	struct message *m;

	if (r->state != RPC_READING)
		return;
	if (r->refusal) {
		refuse_http(g, r);
		return;
	}
	if (!r->reader.whole) {
		refuse(g, r, r->reader.have ? GRPC_INTERNAL : GRPC_UNIMPLEMENTED,
		       r->reader.have ? "the message is not whole" : "a unary call has one message");
		return;
	}
	if (!r->m && !decode(g, r, r->rx + GRPC_PREFIX, r->reader.length))
		return;
	m = r->m;
	r->m = NULL;
	r->state = RPC_SERVING;
	if (!h->timeout_ns)
		r->deadline = 0;        /* that of the request's arrival; the runtime has its own */
	m->kind = !h->method && h->invoke ? MESSAGE_INVOKE : MESSAGE_CALL;
	m->function = h->function;
	m->topic = h->topic > 0 ? (uint16_t)h->topic : 0;
	m->position = h->position > 0 ? (uint8_t)h->position : 0;
	m->status = STATUS_OK;
	m->id = ++g->next_id;
	m->token = (uint32_t)r->generation << 16 | r->index;
	if (m->kind == MESSAGE_CALL) {
		/* Who called is not here. This frame makes RETURN an answer for m->token. */
		m->stack[0] = (struct frame){ .function = FUNCTION_NONE, .instance = GATEWAY };
		m->depth = 1;
	}
	grpc_count(&g->c.counters->requests);
	grpc_ready(g, m);
}

/* The client does not take its answer: its window, or its socket's, stays shut. */
static void give_up(struct grpc *g, struct rpc *r)
{
	struct h2_conn *c = r->c;

	grpc_count(&g->c.counters->aborted);
	if (c->out_bytes || nghttp2_submit_rst_stream(c->h2, NGHTTP2_FLAG_NONE, r->stream, NGHTTP2_CANCEL))
		h2_close(g, c);
	else
		h2_touch(g, c);
}

void server_expired(struct grpc *g, struct rpc *r)
{
	static const char late[] = "the deadline has passed";

	if (r->state == RPC_READING && r->refusal) {
		refuse_http(g, r);
	} else if (r->state == RPC_READING) {
		refuse(g, r, GRPC_DEADLINE_EXCEEDED, "the request did not become whole in time");
	} else if (r->state == RPC_SERVING) {
		grpc_count(&g->c.counters->timeouts);
		fail(g, r, GRPC_DEADLINE_EXCEEDED, STATUS_GATEWAY_TIMEOUT, late, sizeof(late) - 1, false);
	} else if (r->state == RPC_ENDING) {
		give_up(g, r);
	}
}

void server_closed(struct grpc *g, struct rpc *r)
{
	rpc_release(g, r);
}

void grpc_accept(struct grpc *g, int listen_fd)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = stream_accept(listen_fd);
		struct h2_conn *c;

		if (fd == -EAGAIN)
			return;
		if (fd < 0)
			break;          /* no descriptor is free */
		if (h2_open(g, &c, fd, true)) {
			grpc_count(&g->c.counters->refused);
			continue;
		}
		grpc_count(&g->c.counters->accepts);
		h2_event(g, c, EPOLLIN);        /* its bytes may be here already */
	}
	g->accept_again = true;         /* there are more, and the edge has been used up */
}
