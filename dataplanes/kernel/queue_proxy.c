/* SPDX-License-Identifier: BSD-2-Clause */
/* queue-proxy's clients, its queue and its loop; see queue_proxy_conn.h for the other parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplanes/kernel/activator.h"
#include "dataplanes/kernel/queue_proxy_conn.h"

enum { EVENTS = 128, ACCEPTS = 64, METRICS_LISTENER = 0xfffe, POD_OPENED = 0xfffd, TICK_MS = 250,
       RETRY_TICK_MS = 5 };

#define HALF_REQUEST_NS (30 * NS_PER_SEC)
#define DRAIN_NS (2 * NS_PER_SEC)

/* ---- The queue -------------------------------------------------------------------------------- */

static void queue_push(struct proxy *p, struct client *c)
{
	c->state = CLIENT_QUEUED;
	c->next = NONE;
	c->prev = p->last;
	*(p->last == NONE ? &p->first : &p->client[p->last].next) = c->index;
	p->last = c->index;
	p->queued++;
}

void proxy_unqueue(struct proxy *p, struct client *c)
{
	*(c->prev == NONE ? &p->first : &p->client[c->prev].next) = c->next;
	*(c->next == NONE ? &p->last : &p->client[c->next].prev) = c->prev;
	p->queued--;
}

/* ---- Connections ------------------------------------------------------------------------------ */

/* Its request has not been answered yet. */
static bool waits(const struct client *c)
{
	return c->state == CLIENT_QUEUED || c->state == CLIENT_ACTIVE || c->state == CLIENT_PAUSED;
}

static void client_close(struct proxy *p, struct client *c)
{
	if (c->state == CLIENT_QUEUED)
		proxy_unqueue(p, c);
	if (c->state == CLIENT_ACTIVE || c->state == CLIENT_PAUSED)
		function_forget(p, c);
	if (waits(c))
		p->stats.aborted++;
	stream_close(&c->s);
	c->state = CLIENT_FREE;
	c->generation++;
	c->deadline = 0;
	c->next = p->free_client;
	p->free_client = c->index;
	p->open--;
}

static void again(struct proxy *p, struct client *c)
{
	if (c->again)
		return;
	c->again = true;
	p->again[p->again_count++] = c->index;
}

/* ---- Responses -------------------------------------------------------------------------------- */

void proxy_respond(struct proxy *p, struct client *c, const struct iovec *iov, bool keep_alive,
		   unsigned status)
{
	p->stats.by_class[status < 600 ? status / 100 : 0]++;
	c->state = CLIENT_READING;
	c->deadline = 0;
	if (stream_send(&c->s, iov, 2)) {
		client_close(p, c);
		return;
	}
	if (keep_alive) {
		if (c->s.filled || c->s.readable || c->s.ended)
			again(p, c);
		return;
	}
	/* Closing with unread bytes would reset the connection and take the response with it. */
	c->state = CLIENT_DRAINING;
	c->deadline = p->now + DRAIN_NS;
	if (!c->s.pending)
		shutdown(c->s.fd, SHUT_WR);
}

void proxy_answer(struct proxy *p, struct client *c, unsigned status, const char *text,
		  bool keep_alive)
{
	static const char plain[] = "text/plain; charset=utf-8";
	const size_t length = strlen(text);
	ssize_t n = http_write_response_head(p->head, sizeof(p->head), status,
					     (struct slice){ plain, sizeof(plain) - 1 },
					     (struct slice){ 0 },
					     status == 503 ? "Retry-After: 1\r\n" : "", length,
					     keep_alive);
	const struct iovec iov[2] = {
		{ p->head, (size_t)n },
		{ (void *)text, c->head_only ? 0 : length },
	};

	proxy_respond(p, c, iov, keep_alive, status);
}

/* ---- The clients' side ------------------------------------------------------------------------ */

static void take_request(struct proxy *p, struct client *c)
{
	const struct http_head *h = &c->s.head;
	instance_id target;

	c->deadline = 0;
	c->since = p->now;
	c->keep_alive = h->keep_alive;
	c->old = !h->minor;
	c->head_only = h->method == HTTP_HEAD;
	if (c->metrics) {
		page_request(p, c);
		return;
	}
	p->stats.requests++;
	handlers_look(p, c);
	target = p->first == NONE ? function_place(p) : INSTANCE_NONE;
	if (target != INSTANCE_NONE) {
		function_send(p, c, target);
	} else if (p->queued < p->c.queue) {
		queue_push(p, c);
		c->deadline = p->c.activator && p->c.timeout_ns ? p->now + p->c.timeout_ns : 0;
	} else {
		p->stats.rejected++;
		stream_consume(&c->s);
		proxy_answer(p, c, 503, "too many requests wait for the function\n", c->keep_alive);
	}
}

static void expect_continue(struct client *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct iovec iov = { (void *)go_on, sizeof(go_on) - 1 };

	if (c->s.part == PART_HEAD || !c->s.head.expect_continue)
		return;
	c->s.head.expect_continue = false;
	(void)!stream_send(&c->s, &iov, 1);
}

/* No whole request will come of what is here: say so, and close. */
static void refuse(struct proxy *p, struct client *c, unsigned status)
{
	c->head_only = false;
	proxy_answer(p, c, status, status == 413 ? "the body is too large\n" :
	       status == 408 ? "the request did not become whole in time\n" :
	       status == 431 ? "the request head is too long\n" : "the request is malformed\n", false);
}

static void client_read(struct proxy *p, struct client *c)
{
	int got = stream_next(&c->s);

	if (got == 1) {
		take_request(p, c);
	} else if (got < 0) {
		c->s.filled = 0;
		refuse(p, c, (unsigned)-got);
	} else if (c->s.ended) {
		if (!c->s.pending)
			client_close(p, c);
	} else {
		expect_continue(c);
		if (!stream_idle(&c->s) && !c->deadline)
			c->deadline = p->now + HALF_REQUEST_NS;
	}
}

static void client_event(struct proxy *p, struct client *c, uint32_t events)
{
	/* A waiting client's next requests stay in the socket: its buffer holds the current one. */
	const bool waiting = waits(c);
	const bool reset = events & (EPOLLHUP | EPOLLERR);
	int err = 0;

	if (!waiting || reset)
		err = stream_fill(&c->s, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else
		c->s.readable = true;
	if (!err && c->s.pending)
		err = stream_push(&c->s);
	if (err || (waiting && reset)) {
		client_close(p, c);
		return;
	}
	if (c->state == CLIENT_READING) {
		client_read(p, c);
	} else if (c->state == CLIENT_DRAINING) {
		c->s.filled = 0;
		if (c->s.ended)
			client_close(p, c);
		else if (c->s.readable)
			again(p, c);
		else if (!c->s.pending)
			shutdown(c->s.fd, SHUT_WR);
	}
}

static void accept_clients(struct proxy *p, int listener, bool metrics)
{
	static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n";

	for (int i = 0; i < ACCEPTS; i++) {
		int fd = stream_accept(listener);
		struct client *c;

		if (fd < 0)
			return;                 /* level-triggered: epoll asks again */
		if (p->free_client == NONE) {
			p->stats.rejected++;
			(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
			close(fd);
			continue;
		}
		c = &p->client[p->free_client];
		p->free_client = c->next;
		p->open++;
		stream_open(&c->s, &p->client_arena, c->index, fd, false);
		c->state = CLIENT_READING;
		c->metrics = metrics;
		if (stream_watch(p->epfd, fd, event_data(false, c->generation, c->index)))
			client_close(p, c);
	}
}

/* ---- The loop --------------------------------------------------------------------------------- */

/* No instance has come in time. */
static void give_up(struct proxy *p, struct client *c)
{
	p->stats.timeouts++;
	proxy_unqueue(p, c);
	c->state = CLIENT_READING;
	stream_consume(&c->s);
	proxy_answer(p, c, 504, "no instance of the function took the request in time\n", c->keep_alive);
}

/* Its deadline has passed. */
static void client_late(struct proxy *p, struct client *c)
{
	if (c->state == CLIENT_DRAINING)
		client_close(p, c);
	else if (c->state == CLIENT_QUEUED)
		give_up(p, c);
	else if (c->state == CLIENT_PAUSED)
		function_send_again(p, c);
	else
		refuse(p, c, 408);
}

/* Who has waited too long? Returns whether anybody has a deadline still. */
static bool sweep(struct proxy *p)
{
	bool wanted = false;

	for (unsigned i = 0; i < p->c.clients; i++) {
		struct client *c = &p->client[i];

		if (!c->deadline || c->state == CLIENT_FREE)
			continue;
		if (c->deadline <= p->now)
			client_late(p, c);
		wanted = wanted || c->deadline;
	}
	for (unsigned i = 0; i < p->uplinks; i++) {
		struct upstream *u = &p->upstream[i];

		if (!u->deadline)
			continue;
		if (u->deadline > p->now) {
			wanted = true;
			continue;
		}
		p->stats.timeouts++;
		function_late(p, u);
	}
	function_next(p);                       /* who went while PAUSED has left a place */
	return wanted || p->paused;
}

static void dispatch(struct proxy *p, const struct epoll_event *ev)
{
	const uint16_t index = ev->data.u64 & 0xffff;
	const uint16_t generation = ev->data.u64 >> 32 & 0xffff;

	if (ev->data.u64 >> 63) {
		struct upstream *u = &p->upstream[index];

		if (u->state != UPSTREAM_FREE && u->generation == generation)
			function_event(p, u, ev->events);
	} else if (index == NONE) {
		accept_clients(p, p->c.listen_fd, false);
	} else if (index == METRICS_LISTENER) {
		accept_clients(p, p->c.metrics_fd, true);
	} else if (index == POD_OPENED) {
		(void)!read(p->c.activator->wake_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
		function_next(p);
	} else if (p->client[index].state != CLIENT_FREE &&
		   p->client[index].generation == generation) {
		client_event(p, &p->client[index], ev->events);
	}
}

static int loop(struct proxy *p)
{
	struct epoll_event event[EVENTS];
	bool deadlines = false;

	for (;;) {
		unsigned more = p->again_count;
		int tick = p->paused ? RETRY_TICK_MS : TICK_MS;
		int n = epoll_wait(p->epfd, event, EVENTS, more ? 0 : deadlines ? tick : -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		p->now = clock_now_ns();
		for (int i = 0; i < n; i++)
			dispatch(p, &event[i]);
		/* Those that were there before: who comes again waits for the next turn. */
		for (unsigned i = 0; i < more; i++) {
			struct client *c = &p->client[p->again[i]];

			c->again = false;
			if (c->state != CLIENT_FREE)
				client_event(p, c, 0);
		}
		p->again_count -= more;
		memmove(p->again, p->again + more, p->again_count * sizeof(*p->again));
		deadlines = true;
		if (p->now >= p->next_sweep) {
			deadlines = sweep(p);
			p->next_sweep = p->now + (p->paused ? RETRY_TICK_MS : TICK_MS) * NS_PER_MS;
		}
		/* Last: whom the sweep gave up is not to be waited for, however long nothing else happens. */
		if (p->c.activator)
			activator_tell(p->c.activator, p->now, p->queued, p->active);
	}
}

static int listen_on(const struct proxy *p, int fd, uint16_t index)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = index };

	return epoll_ctl(p->epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int prepare(struct proxy *p)
{
	int err;

	p->uplinks = p->c.limit * (p->c.activator ? activator_pods(p->c.activator) : 1);
	p->client = calloc(p->c.clients, sizeof(*p->client));
	p->upstream = calloc(p->uplinks, sizeof(*p->upstream));
	p->again = calloc(2 * p->c.clients, sizeof(*p->again));
	if (!p->client || !p->upstream || !p->again)
		return -ENOMEM;
	for (unsigned i = p->c.clients; i--; p->free_client = (uint16_t)i) {
		p->client[i].index = (uint16_t)i;
		p->client[i].next = p->free_client;
	}
	for (unsigned i = p->uplinks; i--; p->free_upstream = (uint16_t)i) {
		p->upstream[i].index = (uint16_t)i;
		p->upstream[i].next = p->free_upstream;
		p->upstream[i].client = NONE;
	}
	err = stream_arena_make(&p->client_arena, p->c.clients, p->c.body_max);
	if (!err)
		err = stream_arena_make(&p->upstream_arena, p->uplinks, p->c.body_max);
	if (err)
		return err;
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epfd < 0)
		return -errno;
	err = listen_on(p, p->c.listen_fd, NONE);
	if (!err && p->c.metrics_fd >= 0)
		err = listen_on(p, p->c.metrics_fd, METRICS_LISTENER);
	if (!err && p->c.activator)
		err = listen_on(p, p->c.activator->wake_fd, POD_OPENED);
	return err;
}

int queue_proxy_run(const struct queue_proxy_config *config)
{
	struct proxy *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->c = *config;
	p->epfd = -1;
	p->first = p->last = p->free_client = p->free_upstream = NONE;
	for (unsigned i = 0; i < INSTANCE_MAX; i++)
		p->idle_upstream[i] = NONE;
	err = handlers_open(p);
	if (!err)
		err = prepare(p);
	if (!err)
		err = loop(p);
	if (p->epfd >= 0)
		close(p->epfd);
	stream_arena_free(&p->client_arena);
	stream_arena_free(&p->upstream_arena);
	free(p->client);
	free(p->upstream);
	free(p->seen);
	free(p->again);
	free(p);
	return err;
}
