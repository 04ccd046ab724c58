/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "chain/codec.h"
#include "dataplanes/kernel/engine_conn.h"

/* ---- Connections ------------------------------------------------------------------------------ */

static bool is_server(const struct engine *e, const struct conn *c)
{
	return c->index < e->c.servers;
}

struct conn *conn_take(struct engine *e, uint16_t *list)
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

void conn_close(struct engine *e, struct conn *c)
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

int conn_open(struct engine *e, struct conn *c, int fd, enum conn_state state)
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

void conn_enqueue(struct engine *e, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	e->queue[(e->queue_head + e->queue_count++) % e->n_conns] = c->index;
}

void conn_deadline(struct engine *e, struct conn *c, uint64_t ns)
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
		conn_enqueue(e, c);
	}
	e->timer_on = wanted;
	if (wanted)
		timerfd_settime(e->timer_fd, 0, &t, NULL);
	if (e->accept_again)
		server_accept(e);
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
		server_accept(e);
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

	/* A client's request, which has woken the gateway: the last look at the clock may be long ago. */
	if (e->c.self == GATEWAY)
		e->now = clock_now_ns();
	switch (m->kind) {
	case MESSAGE_REPLY:
		return server_answer(e, m, WIRE_REPLY);
	case MESSAGE_ANSWER:
		return to == GATEWAY ? server_answer(e, m, WIRE_ANSWER) : -EPIPE;
	case MESSAGE_CALL:
		return client_request(e, to, m, WIRE_CALL, false);
	case MESSAGE_INVOKE:
		break;
	default:
		return -EINVAL;
	}
	if (e->c.self == GATEWAY) {
		/* A HEAD travels as a typed request: its answer must have the body's length. */
		plain = m->type == TYPE_HTTP_REQUEST &&
			((struct http_request *)message_payload(m))->method != HTTP_HEAD;
		return client_request(e, to, m, plain ? WIRE_CLIENT : WIRE_INVOKE, false);
	}
	if (e->c.broker && !m->depth) {
		int err = server_answer(e, m, WIRE_FORWARD);

		if (!err && to != INSTANCE_NONE)
			route_done(e->c.board, to);
		return err;
	}
	return client_request(e, to, m, m->depth ? WIRE_CALL : WIRE_INVOKE, true);
}

/* ---- Coming and going ------------------------------------------------------------------------- */

/* The soft limit is often 1,024, and every connection is a descriptor. */
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

void engine_settings(FILE *f)
{
	fprintf(f, "endpoint: connections kept alive for ever\nendpoint: events per epoll_wait %d\n", EVENTS);
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
