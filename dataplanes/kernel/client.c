/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's client side: requests to other functions, and the messages that wait for them. */
#include <errno.h>

#include "chain/codec.h"
#include "dataplanes/kernel/engine_conn.h"

/* All connections are in use or idle: close one that is idle, wherever it leads. */
static void make_room(struct engine *e)
{
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		if (e->idle[i] != NO_CONN) {
			conn_close(e, &e->conn[e->idle[i]]);
			return;
		}
}

/* A connection to `target`: an idle one unless `fresh`, else a new one. NULL with *err. */
static struct conn *client_take(struct engine *e, uint16_t target, bool fresh, int *err)
{
	const struct sockaddr_in *at = e->c.broker ? e->c.broker : &e->c.target[target];
	struct conn *c;
	int fd;

	if (!fresh && e->idle[target] != NO_CONN)
		return conn_take(e, &e->idle[target]);
	*err = -EAGAIN;
	if (e->free_client == NO_CONN)
		make_room(e);
	c = conn_take(e, &e->free_client);
	if (!c)
		return NULL;
	c->target = target;
	fd = stream_connect(at);
	if (fd < 0) {
		c->s.fd = -1;
		conn_close(e, c);
		*err = fd == -EMFILE || fd == -ENFILE || fd == -EADDRNOTAVAIL ? -EAGAIN : -EPIPE;
		return NULL;
	}
	engine_count(&e->c.counters->connects);
	if (conn_open(e, c, fd, CONN_WAITING))
		return NULL;
	return c;
}

/*
 * Send `m` to instance `to` as a request, and let it wait. -EAGAIN, -EPIPE, or an encoding error:
 * nothing was sent. An idle connection that refuses the very first byte was closed by the peer in
 * the meantime: the next one is tried, which is safe for any request.
 */
static int send_request(struct engine *e, instance_id to, struct message *m, enum wire_form form,
		   bool relay, bool retry)
{
	const uint16_t target = e->c.broker ? GATEWAY : to;
	struct conn *c;
	int err;

	err = wire_encode(&e->wire, m, form, true, false);
	if (err)
		return err;
	for (;;) {
		c = client_take(e, target, retry, &err);
		if (!c)
			return err;
		if (!stream_send(&c->s, e->wire.iov, 2))
			break;
		err = c->used ? 0 : -EPIPE;
		c->state = CONN_WAITING;
		conn_close(e, c);
		if (err)
			return err;
	}
	c->state = CONN_WAITING;
	c->m = m;
	c->form = (uint8_t)form;
	c->relay = relay;
	c->retried = retry;
	c->picked = e->c.broker ? INSTANCE_NONE : to;
	conn_deadline(e, c, e->c.timeout_ns);
	if (e->c.broker && to != INSTANCE_NONE)
		route_done(e->c.board, to);     /* the broker chooses, not route_pick */
	engine_count(&e->c.counters->calls);
	return 0;
}

/* `m` has its answer. Returns it when the runtime is to go on with it, NULL when it is dealt with. */
static struct message *deliver(struct engine *e, struct message *m, bool relay)
{
	enum wire_form form = m->kind == MESSAGE_ANSWER && m->depth ? WIRE_ANSWER : WIRE_REPLY;

	if (relay) {
		if (!server_answer(e, m, form))
			return NULL;
		wire_reason(m, STATUS_INTERNAL, "the answer cannot be encoded");
		server_answer(e, m, WIRE_REPLY);
		return NULL;
	}
	if (e->c.self == GATEWAY || !m->depth)
		m->kind = MESSAGE_REPLY;
	if (m->kind == MESSAGE_ANSWER)
		m->function = m->stack[m->depth - 1].function;
	return m;
}

static bool safe_to_resend(const struct message *m)
{
	const struct http_request *r = (const void *)m->arena;

	return m->type == TYPE_HTTP_REQUEST && m->length >= sizeof(*r) &&
	       (r->method == HTTP_GET || r->method == HTTP_HEAD || r->method == HTTP_OPTIONS);
}

/*
 * The response will not come. A kept-alive connection that was closed before a byte of it came may
 * only have been closed at the wrong moment: what is safe is sent once more, on a new connection.
 */
static struct message *client_fail(struct engine *e, struct conn *c, uint16_t status,
				   const char *reason)
{
	struct message *m = c->m;
	const instance_id picked = c->picked;
	const bool relay = c->relay, silent = !c->s.filled;
	const bool again = c->used && !c->retried && silent && status == STATUS_BAD_GATEWAY &&
			   c->form == WIRE_CLIENT && safe_to_resend(m);

	conn_close(e, c);
	if (again && !send_request(e, picked, m, WIRE_CLIENT, relay, true)) {
		engine_count(&e->c.counters->retried);
		return NULL;
	}
	if (status == STATUS_GATEWAY_TIMEOUT) {
		engine_count(&e->c.counters->timeouts);
	} else {
		engine_count(&e->c.counters->broken);
		if (picked != INSTANCE_NONE)
			route_done(e->c.board, picked);
	}
	m->kind = MESSAGE_ANSWER;
	wire_reason(m, status, reason);
	return deliver(e, m, relay);
}

static struct message *client_respond(struct engine *e, struct conn *c)
{
	struct message *m = c->m;
	const bool relay = c->relay, keep = c->s.head.keep_alive && !c->s.ended;

	if (wire_decode(&e->wire, &c->s, m)) {
		m->kind = MESSAGE_ANSWER;
		wire_reason(m, STATUS_BAD_GATEWAY, "the callee's answer cannot be decoded");
	}
	stream_consume(&c->s);
	c->m = NULL;
	c->deadline = 0;
	if (!keep || c->s.filled || c->s.pending) {
		conn_close(e, c);
	} else {
		c->state = CONN_IDLE;
		c->used = true;
		c->next = e->idle[c->target];
		e->idle[c->target] = c->index;
	}
	return deliver(e, m, relay);
}

struct message *client_event(struct engine *e, struct conn *c, uint32_t events)
{
	int err = stream_fill(&c->s, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)), got;

	if (!err && events & EPOLLOUT)
		err = stream_push(&c->s);
	if (c->state == CONN_IDLE) {
		if (err || c->s.ended || c->s.filled)
			conn_close(e, c);
		return NULL;
	}
	if (c->expired)
		return client_fail(e, c, STATUS_GATEWAY_TIMEOUT, "the callee did not answer in time");
	if (err && !c->s.filled)
		return client_fail(e, c, STATUS_BAD_GATEWAY, "the connection to the callee broke");
	got = stream_next(&c->s);
	if (got == 1)
		return client_respond(e, c);
	if (got < 0)
		return client_fail(e, c, STATUS_BAD_GATEWAY, "the callee does not speak HTTP/1.1");
	if (err || c->s.ended)
		return client_fail(e, c, STATUS_BAD_GATEWAY, "the connection to the callee broke");
	return NULL;
}

int client_request(struct engine *e, instance_id to, struct message *m, enum wire_form form,
		   bool relay)
{
	return send_request(e, to, m, form, relay, false);
}
