/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's server side: requests for the function, and the function's answers. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "chain/codec.h"
#include "dataplanes/kernel/engine_conn.h"
#include "dataplanes/kernel/token.h"

enum { ACCEPTS = 64 };                      /* per turn: new clients do not starve the old */

#define HALF_REQUEST_NS (30 * NS_PER_SEC)   /* for a request to become whole */
#define DRAIN_NS (2 * NS_PER_SEC)           /* for a refused client to read why */
#define ACCEPT_AGAIN_NS NS_PER_MS           /* when there were more, or no descriptor was free */

/* ---- Responses --------------------------------------------------------------------------------- */

/* The response in e->wire.iov is the answer of `c`: send it and be ready for the next request. */
static void respond(struct engine *e, struct conn *c, bool keep_alive)
{
	c->state = CONN_READING;
	if (stream_send(&c->s, e->wire.iov, 2)) {
		conn_close(e, c);
		return;
	}
	if (keep_alive) {
		/* Pipelined requests are here already: no event will tell. */
		if (c->s.filled || c->s.readable || c->s.ended)
			conn_enqueue(e, c);
		return;
	}
	/* Closing with unread bytes would reset the connection and take the response with it. */
	c->state = CONN_DRAINING;
	if (!c->s.pending)
		shutdown(c->s.fd, SHUT_WR);
	conn_deadline(e, c, DRAIN_NS);
}

static void refuse(struct engine *e, struct conn *c, unsigned status, const char *reason,
		   bool keep_alive)
{
	engine_count(&e->c.counters->refused);
	wire_refuse(&e->wire, status, reason, keep_alive);
	respond(e, c, keep_alive);
}

static struct conn *conn_of_token(struct engine *e, uint32_t token)
{
	struct conn *c = &e->conn[token & 0xffff];

	if ((token & 0xffff) >= e->c.servers || c->state != CONN_SERVING ||
	    c->generation != token >> 16)
		return NULL;
	return c;
}

int server_answer(struct engine *e, struct message *m, enum wire_form form)
{
	struct conn *c = conn_of_token(e, m->token);
	int err;

	if (!c) {
		engine_count(&e->c.counters->aborted);
		pool_free(e->pool, m, e->c.self);
		return 0;
	}
	err = wire_encode(&e->wire, m, form, c->keep_alive, c->head_only);
	if (err && form != WIRE_REPLY)
		return err;
	if (err)
		refuse(e, c, STATUS_BAD_GATEWAY, "the function's answer is unsound\n",
		       c->keep_alive);
	else
		respond(e, c, c->keep_alive);
	pool_free(e->pool, m, e->c.self);
	return 0;
}

/* ---- Requests ---------------------------------------------------------------------------------- */

static const char *refusal(int status)
{
	switch (status) {
	case 404: return "this function is not served here, or no chain has this path\n";
	case 408: return "the request did not become whole in time\n";
	case 413: return "the body is larger than a buffer\n";
	case 414: return "the request target is too long\n";
	case 431: return "the request head is too long\n";
	case 501: return "the method or transfer coding is not implemented\n";
	case 505: return "the HTTP version is not supported\n";
	default: return "the request is malformed\n";
	}
}

/* The whole request in `c` as a message for the runtime; NULL when it was refused. */
static struct message *take_request(struct engine *e, struct conn *c)
{
	const bool keep = c->s.head.keep_alive, picked = c->s.head.x_topic.length && !e->c.broker;
	struct message *m = pool_alloc(e->pool, e->c.self);
	int err = m ? wire_decode(&e->wire, &c->s, m) : -503;

	c->keep_alive = keep;
	c->head_only = c->s.head.method == HTTP_HEAD;
	c->deadline = 0;
	stream_consume(&c->s);
	if (err) {
		if (m)
			pool_free(e->pool, m, e->c.self);
		if (picked)             /* the sender's route_pick; the runtime will not see it */
			route_done(e->c.board, e->c.self);
		refuse(e, c, (unsigned)-err, err == -503 ? "no buffer is free\n" : refusal(-err),
		       keep);
		return NULL;
	}
	engine_count(&e->c.counters->requests);
	c->state = CONN_SERVING;
	if (!token_present(m))          /* a token is signed for the id that it came with */
		m->id = ++e->next_id;
	m->token = (uint32_t)c->generation << 16 | c->index;
	if (m->kind == MESSAGE_CALL) {
		/* Who called is not here. This frame makes RETURN an answer for m->token. */
		m->stack[0] = (struct frame){ .function = FUNCTION_NONE, .instance = GATEWAY };
		m->depth = 1;
	}
	return m;
}

/* The client may be waiting for a word before it sends the body. */
static void expect_continue(struct conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct iovec iov = { (void *)go_on, sizeof(go_on) - 1 };

	if (c->s.part == PART_HEAD || !c->s.head.expect_continue)
		return;
	c->s.head.expect_continue = false;
	(void)!stream_send(&c->s, &iov, 1);
}

static struct message *next_request(struct engine *e, struct conn *c)
{
	int got = stream_next(&c->s);

	if (got == 1)
		return take_request(e, c);
	if (got < 0) {
		c->s.filled = 0;
		refuse(e, c, (unsigned)-got, refusal(-got), false);
		return NULL;
	}
	if (c->s.ended) {
		if (!c->s.pending)
			conn_close(e, c);
		return NULL;
	}
	expect_continue(c);
	if (!stream_idle(&c->s) && !c->deadline)
		conn_deadline(e, c, HALF_REQUEST_NS);
	return NULL;
}

struct message *server_event(struct engine *e, struct conn *c, uint32_t events)
{
	int err = stream_fill(&c->s, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));

	if (!err && c->s.pending)
		err = stream_push(&c->s);
	if (err) {
		conn_close(e, c);       /* its message, if any, finds no connection later */
		return NULL;
	}
	switch (c->state) {
	case CONN_READING:
		if (c->expired) {
			refuse(e, c, 408, refusal(408), false);
			return NULL;
		}
		return next_request(e, c);
	case CONN_DRAINING:
		c->s.filled = 0;
		if (c->s.readable)
			conn_enqueue(e, c);
		if (c->s.ended || c->expired)
			conn_close(e, c);
		else if (!c->s.pending)
			shutdown(c->s.fd, SHUT_WR);
		return NULL;
	default:
		return NULL;
	}
}

void server_accept(struct engine *e)
{
	e->accept_again = false;
	for (int i = 0; i < ACCEPTS; i++) {
		static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
					   "Connection: close\r\n\r\n";
		int fd = stream_accept(e->listen_fd);
		struct conn *c;

		if (fd == -EAGAIN)
			return;
		if (fd < 0)
			break;          /* no descriptor is free */
		c = conn_take(e, &e->free_server);
		if (!c) {
			engine_count(&e->c.counters->refused);
			(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
			close(fd);
			continue;
		}
		engine_count(&e->c.counters->accepts);
		if (!conn_open(e, c, fd, CONN_READING))
			conn_enqueue(e, c);
	}
	/* There are more, and the edge has been used up. */
	e->accept_again = true;
	e->timer_on = true;
	timerfd_settime(e->timer_fd, 0,
			&(struct itimerspec){ .it_value.tv_nsec = ACCEPT_AGAIN_NS }, NULL);
}

