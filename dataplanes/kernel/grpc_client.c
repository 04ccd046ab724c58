/* SPDX-License-Identifier: BSD-2-Clause */
/* The gRPC endpoint's client side: calls of other functions, and the messages that wait for them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplanes/kernel/grpc_conn.h"
#include "dataplanes/kernel/wire.h"

enum { FIELDS = 12 };

/* ---- Answers ----------------------------------------------------------------------------------- */

/* `m` has its answer: on to the runtime, or to whom it is relayed. */
static void deliver(struct grpc *g, struct message *m, bool relay)
{
	const bool reply = m->kind != MESSAGE_ANSWER || !m->depth;

	if (relay) {
		if (!server_respond(g, m, reply))
			return;
		wire_reason(m, STATUS_INTERNAL, "the answer cannot be encoded");
		server_respond(g, m, true);
		return;
	}
	if (g->c.self == GATEWAY || !m->depth)
		m->kind = MESSAGE_REPLY;
	if (m->kind == MESSAGE_ANSWER)
		m->function = m->stack[m->depth - 1].function;
	grpc_ready(g, m);
}

/* The message leaves the call; what HTTP/2 still says of its stream concerns nobody. */
static struct message *detach(struct rpc *r)
{
	struct message *m = r->m;

	r->m = NULL;
	r->head.reason = NULL;
	r->state = RPC_ENDING;
	r->deadline = 0;
	return m;
}

/* Tell HTTP/2 that this stream is of no interest any more. */
static void reset(struct grpc *g, struct rpc *r)
{
	if (nghttp2_submit_rst_stream(r->c->h2, NGHTTP2_FLAG_NONE, r->stream, NGHTTP2_CANCEL))
		r->c->broken = true;
	h2_touch(g, r->c);
}

/* There is no answer, and will be none. */
static void fail(struct grpc *g, struct rpc *r, uint16_t status, const char *reason)
{
	struct message *m = detach(r);

	if (status == STATUS_GATEWAY_TIMEOUT) {
		grpc_count(&g->c.counters->timeouts);
	} else {
		grpc_count(&g->c.counters->broken);
		route_done(g->c.board, r->picked);
	}
	m->kind = MESSAGE_ANSWER;
	wire_reason(m, status, reason);
	deliver(g, m, r->relay);
}

void client_head_whole(struct grpc *g, struct rpc *r)
{
	if (r->state != RPC_WAITING || r->ended)
		return;
	if (r->head.bytes < GRPC_FIELDS_MAX && !r->head.bad)
		return;
	fail(g, r, STATUS_BAD_GATEWAY, "the callee's header fields cannot be read");
	reset(g, r);
}

/* The whole message of the answer, decoded over the one that waits; false: refused. */
static bool decode(struct grpc *g, struct rpc *r, const uint8_t *in, size_t length)
{
	const int type = r->head.type >= 0 ? r->head.type : r->method ? r->method->response : -1;

	if (type >= 0 && !wire_decode_payload(g->c.app, (uint16_t)type, in, length, r->m))
		return true;
	fail(g, r, STATUS_BAD_GATEWAY, "the callee's answer cannot be decoded");
	reset(g, r);
	return false;
}

void client_data(struct grpc *g, struct rpc *r, const uint8_t *in, size_t n)
{
	uint32_t length;

	/* What answers without being gRPC (a proxy) is judged by its :status. */
	if (r->state != RPC_WAITING || !r->head.grpc || r->head.http_status != 200)
		return;
	if (!r->reader.have && n >= GRPC_PREFIX && !in[0]) {
		length = (uint32_t)in[1] << 24 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 8 | in[4];
		if (length == n - GRPC_PREFIX) {
			r->reader = (struct grpc_reader){ (uint32_t)n, length, true };
			decode(g, r, in + GRPC_PREFIX, length);
			return;
		}
	}
	if (grpc_read(&r->reader, in, n, r->rx, g->room)) {
		fail(g, r, STATUS_BAD_GATEWAY, "the callee's message is not gRPC");
		reset(g, r);
	} else if (r->reader.whole) {
		decode(g, r, r->rx + GRPC_PREFIX, r->reader.length);
	}
}

/* Why the answer is none, or NULL. */
static const char *flaw(const struct rpc *r, unsigned *status)
{
	const struct grpc_head *h = &r->head;

	*status = STATUS_BAD_GATEWAY;
	if (h->http_status != 200) {
		if (h->http_status >= 400)
			*status = (unsigned)h->http_status;
		return "the callee's endpoint does not answer by gRPC";
	}
	if (!h->grpc || h->grpc_status < 0 || h->bad || h->bytes >= GRPC_FIELDS_MAX)
		return "the callee does not speak gRPC";
	if (h->grpc_status == GRPC_OK && !r->reader.whole)
		return "the callee's answer has no message";
	return NULL;
}

void client_ended(struct grpc *g, struct rpc *r)
{
	const struct grpc_head *h = &r->head;
	unsigned status = STATUS_OK;
	struct message *m;
	const char *why;

	if (r->state != RPC_WAITING)
		return;
	why = flaw(r, &status);
	if (why) {
		fail(g, r, (uint16_t)status, why);
		return;
	}
	m = detach(r);
	m->kind = h->reply ? MESSAGE_REPLY : MESSAGE_ANSWER;
	if (h->grpc_status == GRPC_OK || (r->reader.whole && h->status >= 0)) {
		m->status = h->status >= 100 ? (uint16_t)h->status : STATUS_OK;
	} else {
		/* grpc-message was decoded to where the reason belongs. */
		m->type = TYPE_REASON;
		m->length = h->reason_length;
		m->status = (uint16_t)(h->status >= 400 ? h->status :
							  (int)grpc_to_http((unsigned)h->grpc_status));
	}
	deliver(g, m, r->relay);
}

void client_expired(struct grpc *g, struct rpc *r)
{
	if (r->state != RPC_WAITING)
		return;
	fail(g, r, STATUS_GATEWAY_TIMEOUT, "the callee did not answer in time");
	reset(g, r);
}

static uint16_t status_of_error(uint32_t error)
{
	return error == NGHTTP2_REFUSED_STREAM || error == NGHTTP2_ENHANCE_YOUR_CALM ?
		       STATUS_UNAVAILABLE : STATUS_BAD_GATEWAY;
}

static int call(struct grpc *g, instance_id to, struct message *m, bool relay, bool retry);

/*
 * What the peer has never seen, or says that it has not looked at, is sent once more, on another
 * connection: gRPC's transparent retry, safe for any call.
 */
void client_closed(struct grpc *g, struct rpc *r, uint32_t error, bool never)
{
	const instance_id to = r->picked;
	const bool relay = r->relay, waits = r->state == RPC_WAITING;
	const bool again = waits && never && !r->retried && (r->c->leaving || !r->c->h2);
	struct message *m = again ? detach(r) : NULL;

	if (waits && !again)
		fail(g, r, status_of_error(error), error == NGHTTP2_REFUSED_STREAM ?
							   "the callee takes no more calls" :
							   "the connection to the callee broke");
	rpc_release(g, r);
	if (!again)
		return;
	if (!call(g, to, m, relay, true)) {
		grpc_count(&g->c.counters->retried);
		return;
	}
	grpc_count(&g->c.counters->broken);
	route_done(g->c.board, to);
	m->kind = MESSAGE_ANSWER;
	wire_reason(m, STATUS_BAD_GATEWAY, "the connection to the callee broke");
	deliver(g, m, relay);
}

/* ---- Calls ------------------------------------------------------------------------------------- */

/* The method's declared name, when the call is one of it. */
static const struct service_method *method_of(const struct application *app, const struct message *m)
{
	for (unsigned i = 0; i < app->n_methods; i++)
		if (app->methods[i].function == m->function && app->methods[i].request == m->type)
			return &app->methods[i];
	return NULL;
}

/* The connection to instance `to`, made when there is none. NULL with *err. */
static struct h2_conn *conn_to(struct grpc *g, instance_id to, int *err)
{
	struct h2_conn *c = g->peer[to];
	int fd;

	if (c && nghttp2_session_check_request_allowed(c->h2))
		return c;
	fd = stream_connect(&g->c.target[to]);
	if (fd < 0) {
		*err = fd == -EMFILE || fd == -ENFILE || fd == -EADDRNOTAVAIL ? -EAGAIN : -EPIPE;
		return NULL;
	}
	*err = h2_open(g, &c, fd, false);
	if (*err) {
		*err = -EAGAIN;
		return NULL;
	}
	grpc_count(&g->c.counters->connects);
	c->target = to;
	g->peer[to] = c;
	return c;
}

/* Give the encoded call to libnghttp2. 0 or -EAGAIN. */
static int submit(struct grpc *g, struct rpc *r, const struct message *m)
{
	const nghttp2_data_provider message = h2_message(r);
	const struct application *app = g->c.app;
	char type[12], topic[12], position[12], timeout[GRPC_TIMEOUT_TEXT];
	const char *path = r->method ? r->method->path : m->kind == MESSAGE_CALL || m->depth ?
			   g->call_path[m->function] : g->invoke_path[m->function];
	nghttp2_nv nv[FIELDS] = {
		H2_LITERAL(":method", "POST"),
		H2_LITERAL(":scheme", "http"),
		H2_LASTING(":path", path),
		H2_LASTING(":authority", app->functions[m->function]->name),
		H2_LITERAL("te", "trailers"),
		H2_LITERAL("content-type", "application/grpc"),
		H2_BRIEF("perhop-topic", h2_digits(topic, m->topic)),
	};
	size_t n = 7;

	if (!r->method)
		nv[n++] = H2_BRIEF("perhop-type", h2_digits(type, m->type));
	if (m->position)
		nv[n++] = H2_BRIEF("perhop-position", h2_digits(position, m->position));
	if (r->deadline) {
		grpc_timeout_format(r->deadline > g->now ? r->deadline - g->now : 0, timeout);
		nv[n++] = H2_ONCE("grpc-timeout", timeout, strlen(timeout));
	}
	r->stream = nghttp2_submit_request(r->c->h2, NULL, nv, n, &message, r);
	return r->stream < 0 ? -EAGAIN : 0;
}

/* Until when the answer may come: as long as the call that this is a part of, and the endpoint, allow. */
static uint64_t deadline_of(const struct grpc *g, const struct message *m)
{
	const uint64_t inherited = g->c.self == GATEWAY ? 0 : server_deadline(g, m->token);
	const uint64_t own = g->c.timeout_ns ? g->now + g->c.timeout_ns : 0;

	return !inherited || (own && own < inherited) ? own : inherited;
}

static int call(struct grpc *g, instance_id to, struct message *m, bool relay, bool retry)
{
	struct h2_conn *c;
	struct rpc *r;
	ssize_t n;
	int err = -EPIPE;

	if (m->function >= g->c.app->n_functions)
		return -EINVAL;
	c = conn_to(g, to, &err);
	if (!c)
		return err;
	r = rpc_take(g, c, RPC_WAITING);
	if (!r)
		return -EAGAIN;
	if (m->kind == MESSAGE_CALL)
		r->method = method_of(g->c.app, m);
	n = wire_encode_payload(g->c.app, m, r->tx + GRPC_PREFIX, g->room - GRPC_PREFIX);
	if (n < 0) {
		rpc_release(g, r);
		return n == -EMSGSIZE ? -EMSGSIZE : -EINVAL;
	}
	grpc_prefix(r->tx, (uint32_t)n);
	r->tx_bytes = GRPC_PREFIX + (uint32_t)n;
	rpc_deadline(g, r, deadline_of(g, m));
	if (submit(g, r, m)) {
		rpc_release(g, r);
		return -EAGAIN;
	}
	r->m = m;
	r->picked = to;
	r->relay = relay;
	r->retried = retry;
	/* Before the answer's head is there the arguments are not needed any more. */
	r->head.reason = message_payload(m);
	r->head.reason_room = message_room(m);
	grpc_count(&g->c.counters->calls);
	h2_touch(g, c);
	return 0;
}

int client_call(struct grpc *g, instance_id to, struct message *m, bool relay)
{
	return to < g->c.board->instances && to != GATEWAY ? call(g, to, m, relay, false) : -EPIPE;
}
