/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "dataplanes/kernel/engine.h"
#include "dataplanes/kernel/stream.h"
#include "dataplanes/kernel/wire.h"

enum {
	EVENTS = 128,               /* taken from epoll at once */
	LISTEN_BACKLOG = 1024,
	ACCEPTS = 64,               /* per turn: new clients do not starve the old */
	NO_CONN = 0xffff,           /* end of a list of connections; also the listener's index */
	TIMER = 0xfffe,
};

#define TICK_NS (250 * NS_PER_MS)           /* how late a timeout may be noticed */
#define HALF_REQUEST_NS (30 * NS_PER_SEC)   /* for a request to become whole */
#define DRAIN_NS (2 * NS_PER_SEC)           /* for a refused client to read why */

enum conn_state {
	CONN_FREE,
	CONN_READING,               /* server: waits for a (whole) request */
	CONN_SERVING,               /* server: the request is with the runtime */
	CONN_DRAINING,              /* server: refused; discards until the client closes */
	CONN_IDLE,                  /* client: in its target's list */
	CONN_WAITING,               /* client: `m` waits here for the response */
};

struct conn {
	struct stream s;
	struct message *m;
	uint64_t deadline;          /* ns; 0: none */
	uint16_t index, next;       /* in the free list, or its target's idle list */
	uint16_t generation;        /* of this slot: a token or event of an earlier user is stale */
	uint16_t target;            /* client: index of the idle list */
	instance_id picked;         /* client: whose load was raised; INSTANCE_NONE: nobody's */
	uint8_t state;              /* enum conn_state */
	uint8_t form;               /* client: enum wire_form of the request */
	bool keep_alive, head_only; /* server: how the request wants its response */
	bool relay;                 /* client: the response is for m->token, not for the runtime */
	bool used, retried;         /* client: has carried a response before; is a second try */
	bool queued, expired;       /* in the queue; because its deadline has passed */
};

struct engine {
	struct engine_config c;
	struct pool *pool;
	struct wire wire;
	struct stream_arena arena;
	int epfd, listen_fd, timer_fd;
	bool timer_on, accept_again;
	uint64_t now, next_id;
	struct conn *conn;          /* [servers], then [clients] */
	unsigned n_conns;
	uint16_t free_server, free_client;
	uint16_t idle[INSTANCE_MAX];
	uint16_t *queue;            /* ring of connections with work that no event will announce */
	unsigned queue_head, queue_count;
	int event_at, event_count;
	struct epoll_event event[EVENTS];
};

static void count(_Atomic uint64_t *counter)
{
	/* One writer: no locked instruction. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* ---- Connections ------------------------------------------------------------------------------ */

static bool is_server(const struct engine *e, const struct conn *c)
{
	return c->index < e->c.servers;
}

static struct conn *conn_take(struct engine *e, uint16_t *list)
{
	struct conn *c;

	if (*list == NO_CONN)
		return NULL;
	c = &e->conn[*list];
	*list = c->next;
	return c;
}

static void idle_remove(struct engine *e, struct conn *c)
{
	uint16_t *at = &e->idle[c->target];

	while (*at != c->index)
		at = &e->conn[*at].next;
	*at = c->next;
}

static void conn_close(struct engine *e, struct conn *c)
{
	uint16_t *list = is_server(e, c) ? &e->free_server : &e->free_client;

	if (c->state == CONN_IDLE)
		idle_remove(e, c);
	stream_close(&c->s);
	c->state = CONN_FREE;
	c->generation++;
	c->deadline = 0;
	c->m = NULL;
	c->next = *list;
	*list = c->index;
}

/* Put a fresh socket into `c` and watch it. On error both are closed. */
static int conn_open(struct engine *e, struct conn *c, int fd, enum conn_state state)
{
	int err;

	stream_open(&c->s, &e->arena, c->index, fd, !is_server(e, c));
	c->state = (uint8_t)state;
	c->used = c->retried = c->relay = c->expired = false;
	err = stream_watch(e->epfd, fd, (uint64_t)c->generation << 32 | c->index);
	if (err)
		conn_close(e, c);
	return err;
}

static void enqueue(struct engine *e, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	e->queue[(e->queue_head + e->queue_count++) % e->n_conns] = c->index;
}

static void set_deadline(struct engine *e, struct conn *c, uint64_t ns)
{
	const struct itimerspec t = { .it_value.tv_nsec = TICK_NS };

	if (!ns)
		return;
	c->deadline = e->now + ns;
	if (e->timer_on)
		return;
	e->timer_on = true;
	timerfd_settime(e->timer_fd, 0, &t, NULL);
}

/* ---- Server: responses ------------------------------------------------------------------------ */

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
			enqueue(e, c);
		return;
	}
	/* Closing with unread bytes would reset the connection and take the response with it. */
	c->state = CONN_DRAINING;
	if (!c->s.pending)
		shutdown(c->s.fd, SHUT_WR);
	set_deadline(e, c, DRAIN_NS);
}

static void refuse(struct engine *e, struct conn *c, unsigned status, const char *reason,
		   bool keep_alive)
{
	count(&e->c.counters->refused);
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

/* Answer the request that m->token names with `m`, and free it. */
static int answer(struct engine *e, struct message *m, enum wire_form form)
{
	struct conn *c = conn_of_token(e, m->token);
	int err;

	if (!c) {
		count(&e->c.counters->aborted);
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

/* ---- Client ----------------------------------------------------------------------------------- */

/* A connection to `target`: an idle one unless `fresh`, else a new one. NULL with *err. */
static struct conn *client_take(struct engine *e, uint16_t target, bool fresh, int *err)
{
	const struct sockaddr_in *at = e->c.broker ? e->c.broker : &e->c.target[target];
	struct conn *c;
	int fd;

	if (!fresh && e->idle[target] != NO_CONN)
		return conn_take(e, &e->idle[target]);
	*err = -EAGAIN;
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
	count(&e->c.counters->connects);
	if (conn_open(e, c, fd, CONN_WAITING))
		return NULL;
	return c;
}

/*
 * Send `m` to instance `to` as a request, and let it wait. -EAGAIN, -EPIPE, or an encoding error:
 * nothing was sent. An idle connection that refuses the very first byte was closed by the peer in
 * the meantime: the next one is tried, which is safe for any request.
 */
static int request(struct engine *e, instance_id to, struct message *m, enum wire_form form,
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
	set_deadline(e, c, e->c.timeout_ns);
	if (e->c.broker)
		route_done(e->c.board, to);     /* the broker chooses, not route_pick */
	count(&e->c.counters->calls);
	return 0;
}

/* `m` has its answer. Returns it when the runtime is to go on with it, NULL when it is dealt with. */
static struct message *deliver(struct engine *e, struct message *m, bool relay)
{
	enum wire_form form = m->kind == MESSAGE_ANSWER && m->depth ? WIRE_ANSWER : WIRE_REPLY;

	if (relay) {
		if (!answer(e, m, form))
			return NULL;
		wire_reason(m, STATUS_INTERNAL, "the answer cannot be encoded");
		answer(e, m, WIRE_REPLY);
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
	if (again && !request(e, picked == INSTANCE_NONE ? GATEWAY : picked, m, WIRE_CLIENT, relay,
			      true)) {
		count(&e->c.counters->retried);
		return NULL;
	}
	if (status == STATUS_GATEWAY_TIMEOUT) {
		count(&e->c.counters->timeouts);
	} else {
		count(&e->c.counters->broken);
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

static struct message *client_event(struct engine *e, struct conn *c, uint32_t events)
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

/* ---- Server: requests ------------------------------------------------------------------------- */

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
	count(&e->c.counters->requests);
	c->state = CONN_SERVING;
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
		set_deadline(e, c, HALF_REQUEST_NS);
	return NULL;
}

static struct message *server_event(struct engine *e, struct conn *c, uint32_t events)
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
			enqueue(e, c);
		if (c->s.ended || c->expired)
			conn_close(e, c);
		else if (!c->s.pending)
			shutdown(c->s.fd, SHUT_WR);
		return NULL;
	default:
		return NULL;
	}
}

static void accept_clients(struct engine *e)
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
			count(&e->c.counters->refused);
			(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
			close(fd);
			continue;
		}
		count(&e->c.counters->accepts);
		if (!conn_open(e, c, fd, CONN_READING))
			enqueue(e, c);
	}
	/* There are more, and the edge has been used up. */
	e->accept_again = true;
	e->timer_on = true;
	timerfd_settime(e->timer_fd, 0, &(struct itimerspec){ .it_value.tv_nsec = 1000 }, NULL);
}

/* ---- The loop --------------------------------------------------------------------------------- */

/* Every quarter of a second while somebody has a deadline. */
static void tick(struct engine *e)
{
	const struct itimerspec t = { .it_value.tv_nsec = TICK_NS };
	bool wanted = false;

	(void)!read(e->timer_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
	for (unsigned i = 0; i < e->n_conns; i++) {
		struct conn *c = &e->conn[i];

		if (c->state == CONN_FREE || !c->deadline)
			continue;
		if (c->deadline > e->now) {
			wanted = true;
			continue;
		}
		c->expired = true;
		c->deadline = 0;
		enqueue(e, c);
	}
	e->timer_on = wanted;
	if (wanted)
		timerfd_settime(e->timer_fd, 0, &t, NULL);
	if (e->accept_again)
		accept_clients(e);
}

static struct message *conn_event(struct engine *e, struct conn *c, uint32_t events)
{
	struct message *m = is_server(e, c) ? server_event(e, c, events) :
					      client_event(e, c, events);

	c->expired = false;
	return m;
}

static struct message *event(struct engine *e, const struct epoll_event *ev)
{
	const uint32_t index = ev->data.u64 & 0xffff;
	struct conn *c = &e->conn[index];

	if (index == NO_CONN)
		accept_clients(e);
	else if (index == TIMER)
		tick(e);
	else if (c->state != CONN_FREE && c->generation == ev->data.u64 >> 32)
		return conn_event(e, c, ev->events);
	return NULL;
}

static int wait_for_events(struct engine *e, int64_t ns)
{
	const struct timespec t = { ns / (int64_t)NS_PER_SEC, ns % (int64_t)NS_PER_SEC };
	int n;

	if (ns <= 0)
		n = epoll_wait(e->epfd, e->event, EVENTS, ns ? -1 : 0);
	else
		n = epoll_pwait2(e->epfd, e->event, EVENTS, &t, NULL);
	if (n < 0 && errno == ENOSYS)           /* before 5.11: milliseconds will have to do */
		n = epoll_wait(e->epfd, e->event, EVENTS, (int)((ns + 999999) / (int64_t)NS_PER_MS));
	e->now = clock_now_ns();
	e->event_at = 0;
	e->event_count = n < 0 ? 0 : n;
	return n < 0 ? -errno : 0;
}

int engine_recv(struct engine *e, struct message **batch, int max, int64_t timeout_ns)
{
	unsigned queued = e->queue_count;
	struct message *m;
	int n = 0, err;

	for (; queued && n < max; queued--) {
		struct conn *c = &e->conn[e->queue[e->queue_head]];

		e->queue_head = (e->queue_head + 1) % e->n_conns;
		e->queue_count--;
		c->queued = false;
		m = c->state == CONN_FREE ? NULL : conn_event(e, c, 0);
		if (m)
			batch[n++] = m;
	}
	if (e->event_at == e->event_count && n < max) {
		err = wait_for_events(e, n || e->queue_count ? 0 : timeout_ns);
		if (err)
			return n ? n : err;
	}
	while (n < max && e->event_at < e->event_count) {
		m = event(e, &e->event[e->event_at++]);
		if (m)
			batch[n++] = m;
	}
	return n;
}

bool engine_pending(const struct engine *e)
{
	return e->queue_count || e->event_at < e->event_count;
}

int engine_fd(const struct engine *e)
{
	return e->epfd;
}

int engine_send(struct engine *e, instance_id to, struct message *m)
{
	bool plain;

	switch (m->kind) {
	case MESSAGE_REPLY:
		return answer(e, m, WIRE_REPLY);
	case MESSAGE_ANSWER:
		return to == GATEWAY ? answer(e, m, WIRE_ANSWER) : -EPIPE;
	case MESSAGE_CALL:
		return request(e, to, m, WIRE_CALL, false, false);
	case MESSAGE_INVOKE:
		break;
	default:
		return -EINVAL;
	}
	if (e->c.self == GATEWAY) {
		/* A HEAD travels as a typed request: its answer must have the body's length. */
		plain = m->type == TYPE_HTTP_REQUEST &&
			((struct http_request *)message_payload(m))->method != HTTP_HEAD;
		return request(e, to, m, plain ? WIRE_CLIENT : WIRE_INVOKE, false, false);
	}
	if (e->c.broker && !m->depth) {
		int err = answer(e, m, WIRE_FORWARD);

		if (!err)
			route_done(e->c.board, to);
		return err;
	}
	return request(e, to, m, m->depth ? WIRE_CALL : WIRE_INVOKE, true, false);
}

/* ---- Coming and going ------------------------------------------------------------------------- */

/* Two descriptors per connection would be generous; the soft limit is often 1,024. */
static void raise_descriptor_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static void link_free(struct engine *e, unsigned from, unsigned n, uint16_t *list)
{
	*list = NO_CONN;
	for (unsigned i = from + n; i-- > from;) {
		e->conn[i].index = (uint16_t)i;
		e->conn[i].s.fd = -1;
		e->conn[i].next = *list;
		*list = (uint16_t)i;
	}
}

static int listen_here(struct engine *e)
{
	const struct sockaddr_in *at = e->c.listen;
	int one = 1;

	if (!at)
		return 0;
	e->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (e->listen_fd < 0 ||
	    setsockopt(e->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(e->listen_fd, (const struct sockaddr *)at, sizeof(*at)) ||
	    listen(e->listen_fd, LISTEN_BACKLOG))
		return -errno;
	return stream_watch(e->epfd, e->listen_fd, NO_CONN);
}

int engine_open(struct engine **out, const struct engine_config *config, struct pool *pool)
{
	const function_id self = config->self == GATEWAY ? FUNCTION_NONE :
				 config->board->line[config->self].function;
	struct engine *e = calloc(1, sizeof(*e));
	int err = -ENOMEM;

	if (!e)
		return err;
	*out = e;
	e->c = *config;
	e->pool = pool;
	e->n_conns = config->servers + config->clients;
	e->epfd = e->listen_fd = e->timer_fd = -1;
	e->now = clock_now_ns();
	e->conn = calloc(e->n_conns, sizeof(*e->conn));
	e->queue = calloc(e->n_conns, sizeof(*e->queue));
	if (!e->conn || !e->queue)
		goto out;
	link_free(e, 0, config->servers, &e->free_server);
	link_free(e, config->servers, config->clients, &e->free_client);
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		e->idle[i] = NO_CONN;
	err = wire_open(&e->wire, config->app, self, config->body_max);
	if (!err)
		err = stream_arena_make(&e->arena, e->n_conns, config->body_max);
	if (err)
		goto out;
	raise_descriptor_limit();
	e->epfd = epoll_create1(EPOLL_CLOEXEC);
	e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (e->epfd < 0 || e->timer_fd < 0) {
		err = -errno;
		goto out;
	}
	err = stream_watch(e->epfd, e->timer_fd, TIMER);
	if (!err)
		err = listen_here(e);
out:
	if (err) {
		engine_close(e);
		*out = NULL;
	}
	return err;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	for (unsigned i = 0; e->conn && i < e->n_conns; i++) {
		if (e->conn[i].m)
			pool_free(e->pool, e->conn[i].m, e->c.self);
		stream_close(&e->conn[i].s);
	}
	for (int *fd = (int[]){ e->listen_fd, e->timer_fd, e->epfd, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	wire_close(&e->wire);
	stream_arena_free(&e->arena);
	free(e->conn);
	free(e->queue);
	free(e);
}
