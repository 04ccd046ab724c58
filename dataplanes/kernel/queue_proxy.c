/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/kernel/activator.h"
#include "dataplanes/kernel/proxy_head.h"
#include "dataplanes/kernel/queue_proxy.h"
#include "dataplanes/kernel/stream.h"
#include "dataplanes/sure/sidecar/sidecar.h"

enum { EVENTS = 128, ACCEPTS = 64, NONE = 0xffff, METRICS_LISTENER = 0xfffe, POD_OPENED = 0xfffd, TICK_MS = 250,
       HEALTH_MS = 5 };

#define HALF_REQUEST_NS (30 * NS_PER_SEC)
#define DRAIN_NS (2 * NS_PER_SEC)

enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_QUEUED, CLIENT_ACTIVE, CLIENT_DRAINING };
enum upstream_state { UPSTREAM_FREE, UPSTREAM_IDLE, UPSTREAM_BUSY };

struct client {
	struct stream s;
	uint64_t deadline, since;   /* ns; since: the request was whole */
	uint16_t index, generation;
	uint16_t next, prev;        /* in the free list (next only), or the queue */
	uint16_t upstream;          /* ACTIVE: who works for it */
	uint8_t state;              /* enum client_state */
	bool metrics;               /* came in on the second port */
	bool keep_alive, old;       /* old: HTTP/1.0 */
	bool head_only;
	bool again;                 /* in the list of those with bytes that no event announces */
};

struct upstream {
	struct stream s;
	uint64_t deadline;
	uint16_t index, generation;
	uint16_t next;              /* in the free or idle list */
	uint16_t target;            /* pod; 0 but for an activator */
	uint16_t client;            /* BUSY: for whom; NONE: who has gone meanwhile */
	uint8_t state;              /* enum upstream_state */
	bool used;
};

struct stats {
	uint64_t requests, by_class[6], rejected, aborted, timeouts;
	uint64_t queue_ns, total_ns;
};

struct proxy {
	struct queue_proxy_config c;
	int epfd;
	struct client *client;      /* [c.clients] */
	struct upstream *upstream;  /* [uplinks]: a request in the function has its own connection */
	struct stream_arena client_arena, upstream_arena;
	unsigned uplinks;
	uint16_t free_client, free_upstream, idle_upstream[INSTANCE_MAX];
	uint16_t first, last;       /* the queue */
	uint16_t *again;            /* stack of clients with `again` */
	unsigned again_count, queued, active, open;
	uint64_t now, next_sweep;
	struct stats stats;
	struct sidecar handlers;
	struct sidecar_stats *seen; /* by the handlers */
	char head[HTTP_HEAD_MAX + 512];
	char page[8192];
};

static uint64_t event_data(bool is_upstream, uint16_t generation, uint16_t index)
{
	return (uint64_t)is_upstream << 63 | (uint64_t)generation << 32 | index;
}

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

static void queue_remove(struct proxy *p, struct client *c)
{
	*(c->prev == NONE ? &p->first : &p->client[c->prev].next) = c->next;
	*(c->next == NONE ? &p->last : &p->client[c->next].prev) = c->prev;
	p->queued--;
}

/* ---- Connections ------------------------------------------------------------------------------ */

static void client_close(struct proxy *p, struct client *c)
{
	if (c->state == CLIENT_QUEUED)
		queue_remove(p, c);
	if (c->state == CLIENT_ACTIVE)          /* the function goes on; its response is dropped */
		p->upstream[c->upstream].client = NONE;
	if (c->state == CLIENT_QUEUED || c->state == CLIENT_ACTIVE)
		p->stats.aborted++;
	stream_close(&c->s);
	c->state = CLIENT_FREE;
	c->generation++;
	c->deadline = 0;
	c->next = p->free_client;
	p->free_client = c->index;
	p->open--;
}

static void upstream_close(struct proxy *p, struct upstream *u)
{
	uint16_t *at = &p->idle_upstream[u->target];

	if (u->state == UPSTREAM_IDLE) {
		while (*at != u->index)
			at = &p->upstream[*at].next;
		*at = u->next;
	}
	stream_close(&u->s);
	u->state = UPSTREAM_FREE;
	u->generation++;
	u->deadline = 0;
	u->next = p->free_upstream;
	p->free_upstream = u->index;
}

static void again(struct proxy *p, struct client *c)
{
	if (c->again)
		return;
	c->again = true;
	p->again[p->again_count++] = c->index;
}

/* ---- Responses -------------------------------------------------------------------------------- */

static void respond(struct proxy *p, struct client *c, const struct iovec *iov, bool keep_alive,
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

/* An answer of our own. */
static void answer(struct proxy *p, struct client *c, unsigned status, const char *text,
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

	respond(p, c, iov, keep_alive, status);
}

/* ---- Handlers --------------------------------------------------------------------------------- */

static int parse_handlers(struct sidecar_config *c, const char *text)
{
	const uint32_t not_here = 1u << SIDECAR_AUTH | 1u << SIDECAR_RETRY;
	int err = sidecar_parse(c, strcmp(text, "all") ? text : "metrics+trace+rate+timeout+breaker+log");

	return err || c->has & not_here ? -EINVAL : 0;
}

int queue_proxy_handlers(const char *text)
{
	struct sidecar_config c;

	return parse_handlers(&c, text);
}

/* Limits as sure's options have them. */
static int open_handlers(struct proxy *p)
{
	struct sidecar_config c = { .rate = 1000000, .timeout_ns = 30 * NS_PER_SEC,
				    .breaker_failures = 5, .breaker_ns = NS_PER_SEC };

	if (parse_handlers(&c, p->c.handlers ? p->c.handlers : "none"))
		return -EINVAL;
	p->seen = aligned_alloc(64, sizeof(*p->seen));
	if (!p->seen)
		return -ENOMEM;
	memset(p->seen, 0, sizeof(*p->seen));
	sidecar_open(&p->handlers, &c, p->seen);
	return 0;
}

static struct sidecar_request seen_as(const struct client *c)
{
	return (struct sidecar_request){ .id = (uint64_t)c->generation << 16 | c->index,
					 .born_ns = c->since };
}

/* The handlers' status for `c`'s request, 0: let it in. */
static uint16_t ask_handlers(struct proxy *p, const struct client *c, const char **why)
{
	const struct sidecar_request r = seen_as(c);

	return p->handlers.config.n ? sidecar_before(&p->handlers, &r, p->now, why) : 0;
}

static void tell_handlers(struct proxy *p, const struct client *c, unsigned status)
{
	const struct sidecar_request r = seen_as(c);

	if (p->handlers.config.n)
		sidecar_after(&p->handlers, &r, c->since, p->now, (uint16_t)status);
}

/* ---- The function's side ---------------------------------------------------------------------- */

static void next_in_queue(struct proxy *p);

/* Where a request may go now, a place for it being taken there; INSTANCE_NONE: nowhere. */
static instance_id place_take(struct proxy *p)
{
	if (p->c.activator)
		return activator_pick(p->c.activator);
	return p->active < p->c.limit ? 0 : INSTANCE_NONE;
}

static void place_give(struct proxy *p, instance_id target)
{
	if (p->c.activator)
		activator_done(p->c.activator, target);
}

/* `u` has ended its request one way or another. Returns its client, or NULL. */
static struct client *upstream_done(struct proxy *p, struct upstream *u)
{
	struct client *c = u->client == NONE ? NULL : &p->client[u->client];

	p->active--;
	place_give(p, u->target);
	u->client = NONE;
	u->deadline = 0;
	if (c)
		c->state = CLIENT_READING;
	return c;
}

static void upstream_fail(struct proxy *p, struct upstream *u, unsigned status, const char *text)
{
	struct client *c = upstream_done(p, u);

	upstream_close(p, u);
	if (c) {
		tell_handlers(p, c, status);
		answer(p, c, status, text, c->keep_alive);
	}
	next_in_queue(p);
}

static void upstream_respond(struct proxy *p, struct upstream *u)
{
	struct client *c = upstream_done(p, u);
	const struct http_head *h = &u->s.head;
	ssize_t n;

	if (c) {
		struct iovec iov[2] = { { p->head, 0 }, { (void *)stream_body(&u->s), u->s.body } };

		p->stats.total_ns += p->now - c->since;
		tell_handlers(p, c, h->status);
		n = proxy_response_head(p->head, sizeof(p->head), &u->s, c->head_only,
					c->keep_alive, c->old);
		iov[0].iov_len = n < 0 ? 0 : (size_t)n;
		if (n < 0)
			answer(p, c, 502, "the function's response head is too long\n",
			       c->keep_alive);
		else
			respond(p, c, iov, c->keep_alive, h->status);
	}
	if (!h->keep_alive || u->s.ended || u->s.pending) {
		upstream_close(p, u);
	} else {
		stream_consume(&u->s);
		u->used = true;
		u->state = UPSTREAM_IDLE;
		u->next = p->idle_upstream[u->target];
		p->idle_upstream[u->target] = u->index;
		if (u->s.filled)                /* nobody asked for that */
			upstream_close(p, u);
	}
	next_in_queue(p);
}

static void upstream_event(struct proxy *p, struct upstream *u, uint32_t events)
{
	int err = stream_fill(&u->s, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)), got;

	if (!err && events & EPOLLOUT)
		err = stream_push(&u->s);
	if (u->state == UPSTREAM_IDLE) {
		if (err || u->s.ended || u->s.filled)
			upstream_close(p, u);
		return;
	}
	got = err && !u->s.filled ? 0 : stream_next(&u->s);
	if (got == 1)
		upstream_respond(p, u);
	else if (got < 0)
		upstream_fail(p, u, 502, "the function does not speak HTTP/1.1\n");
	else if (err || u->s.ended)
		upstream_fail(p, u, 502, "the connection to the function broke\n");
}

/* A connection to the function with the request in p->head and the client's buffer sent; or NULL. */
static struct upstream *upstream_send(struct proxy *p, instance_id target, const struct iovec *iov)
{
	struct upstream *u;
	int fd;

	/* An idle connection that takes no byte was closed by the function: try the next. */
	while (p->idle_upstream[target] != NONE) {
		u = &p->upstream[p->idle_upstream[target]];
		if (!stream_send(&u->s, iov, 2)) {
			p->idle_upstream[target] = u->next;
			return u;
		}
		upstream_close(p, u);
	}
	fd = stream_connect(p->c.activator ? &p->c.activator->pod[target] : &p->c.function);
	if (fd < 0 || p->free_upstream == NONE) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	u = &p->upstream[p->free_upstream];
	p->free_upstream = u->next;
	stream_open(&u->s, &p->upstream_arena, u->index, fd, true);
	u->used = false;
	u->target = target;
	u->state = UPSTREAM_BUSY;
	if (!stream_watch(p->epfd, fd, event_data(true, u->generation, u->index)) &&
	    !stream_send(&u->s, iov, 2))
		return u;
	upstream_close(p, u);
	return NULL;
}

/* To `target`, where place_take has taken a place. */
static void forward(struct proxy *p, struct client *c, instance_id target)
{
	const char *why = "";
	const uint16_t refused = ask_handlers(p, c, &why);
	const ssize_t n = proxy_request_head(p->head, sizeof(p->head), &c->s);
	const struct iovec iov[2] = {
		{ p->head, n < 0 ? 0 : (size_t)n }, { (void *)stream_body(&c->s), c->s.body },
	};
	struct upstream *u = n < 0 || refused ? NULL : upstream_send(p, target, iov);

	stream_consume(&c->s);
	if (!u)
		place_give(p, target);
	if (refused) {
		answer(p, c, refused, why, c->keep_alive);
		return;
	}
	if (!u) {
		answer(p, c, n < 0 ? 431 : 502, n < 0 ? "the request head is too long\n" :
		       "the function takes no connection\n", c->keep_alive);
		return;
	}
	p->active++;
	p->stats.queue_ns += p->now - c->since;
	c->state = CLIENT_ACTIVE;
	c->upstream = u->index;
	u->state = UPSTREAM_BUSY;
	u->client = c->index;
	u->s.no_body = c->head_only;
	u->deadline = p->c.timeout_ns ? p->now + p->c.timeout_ns : 0;
}

static void next_in_queue(struct proxy *p)
{
	instance_id target;

	while (p->first != NONE && (target = place_take(p)) != INSTANCE_NONE) {
		struct client *c = &p->client[p->first];

		queue_remove(p, c);
		c->state = CLIENT_READING;
		c->deadline = 0;
		forward(p, c, target);
	}
}

/* ---- The second port -------------------------------------------------------------------------- */

/* Does the function take connections? On its loopback that is known at once, or it is overloaded. */
static bool healthy(const struct proxy *p)
{
	struct pollfd poll_fd = { .fd = stream_connect(&p->c.function), .events = POLLOUT };
	bool ok;

	if (poll_fd.fd < 0)
		return false;
	ok = poll(&poll_fd, 1, HEALTH_MS) == 1 && !(poll_fd.revents & (POLLERR | POLLHUP));
	close(poll_fd.fd);
	return ok;
}

static void metrics_page(struct proxy *p)
{
	const struct stats *s = &p->stats;

	snprintf(p->page, sizeof(p->page),
		 "# TYPE queue_proxy_requests_total counter\n" "queue_proxy_requests_total %lu\n"
		 "# TYPE queue_proxy_responses_total counter\n"
		 "queue_proxy_responses_total{class=\"2xx\"} %lu\n"
		 "queue_proxy_responses_total{class=\"3xx\"} %lu\n"
		 "queue_proxy_responses_total{class=\"4xx\"} %lu\n"
		 "queue_proxy_responses_total{class=\"5xx\"} %lu\n"
		 "# TYPE queue_proxy_rejected_total counter\n" "queue_proxy_rejected_total %lu\n"
		 "# TYPE queue_proxy_aborted_total counter\n" "queue_proxy_aborted_total %lu\n"
		 "# TYPE queue_proxy_timeouts_total counter\n" "queue_proxy_timeouts_total %lu\n"
		 "# TYPE queue_proxy_in_flight gauge\n" "queue_proxy_in_flight %u\n"
		 "# TYPE queue_proxy_queued gauge\n" "queue_proxy_queued %u\n"
		 "# TYPE queue_proxy_connections gauge\n" "queue_proxy_connections %u\n"
		 "# TYPE queue_proxy_queue_seconds_total counter\n"
		 "queue_proxy_queue_seconds_total %.6f\n"
		 "# TYPE queue_proxy_request_seconds_total counter\n"
		 "queue_proxy_request_seconds_total %.6f\n",
		 s->requests, s->by_class[2], s->by_class[3], s->by_class[4], s->by_class[5],
		 s->rejected, s->aborted, s->timeouts, p->active, p->queued, p->open,
		 (double)s->queue_ns / NS_PER_SEC, (double)s->total_ns / NS_PER_SEC);
}

static const char *this_function(void *arg, unsigned i)
{
	(void)arg, (void)i;
	return "this";
}

static void handlers_page(struct proxy *p)
{
	const size_t at = strlen(p->page);
	FILE *f = p->handlers.config.n ? fmemopen(p->page + at, sizeof(p->page) - at, "w") : NULL;

	if (!f)
		return;
	sidecar_page(f, p->seen, 1, this_function, NULL);
	fclose(f);
	p->page[sizeof(p->page) - 1] = '\0';
}

static void metrics_request(struct proxy *p, struct client *c)
{
	const struct http_head *h = &c->s.head;
	const bool health = h->path.length == 7 && !memcmp(h->path.at, "/health", 7);
	const bool metrics = h->path.length == 8 && !memcmp(h->path.at, "/metrics", 8);
	const bool get = h->method == HTTP_GET || h->method == HTTP_HEAD;

	stream_consume(&c->s);
	if (!get || (!health && !metrics)) {
		answer(p, c, get ? 404 : 405, "there are GET /metrics and GET /health\n",
		       c->keep_alive);
	} else if (metrics) {
		metrics_page(p);
		handlers_page(p);
		answer(p, c, 200, p->page, c->keep_alive);
	} else if (healthy(p)) {
		answer(p, c, 200, "the function takes connections\n", c->keep_alive);
	} else {
		answer(p, c, 503, "the function takes no connection\n", c->keep_alive);
	}
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
		metrics_request(p, c);
		return;
	}
	p->stats.requests++;
	target = p->first == NONE ? place_take(p) : INSTANCE_NONE;
	if (target != INSTANCE_NONE) {
		forward(p, c, target);
	} else if (p->queued < p->c.queue) {
		queue_push(p, c);
		c->deadline = p->c.activator && p->c.timeout_ns ? p->now + p->c.timeout_ns : 0;
	} else {
		p->stats.rejected++;
		stream_consume(&c->s);
		answer(p, c, 503, "too many requests wait for the function\n", c->keep_alive);
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
	answer(p, c, status, status == 413 ? "the body is too large\n" :
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
	const bool waits = c->state == CLIENT_QUEUED || c->state == CLIENT_ACTIVE;
	const bool reset = events & (EPOLLHUP | EPOLLERR);
	int err = 0;

	if (!waits || reset)
		err = stream_fill(&c->s, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else
		c->s.readable = true;
	if (!err && c->s.pending)
		err = stream_push(&c->s);
	if (err || (waits && reset)) {
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
	queue_remove(p, c);
	c->state = CLIENT_READING;
	stream_consume(&c->s);
	answer(p, c, 504, "no instance of the function took the request in time\n", c->keep_alive);
}

/* Who has waited too long? Returns whether anybody has a deadline still. */
static bool sweep(struct proxy *p)
{
	bool wanted = false;

	for (unsigned i = 0; i < p->c.clients; i++) {
		struct client *c = &p->client[i];

		if (!c->deadline || c->state == CLIENT_FREE)
			continue;
		if (c->deadline > p->now)
			wanted = true;
		else if (c->state == CLIENT_DRAINING)
			client_close(p, c);
		else if (c->state == CLIENT_QUEUED)
			give_up(p, c);
		else
			refuse(p, c, 408);
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
		upstream_fail(p, u, 504, "the function did not answer in time\n");
	}
	return wanted;
}

static void dispatch(struct proxy *p, const struct epoll_event *ev)
{
	const uint16_t index = ev->data.u64 & 0xffff;
	const uint16_t generation = ev->data.u64 >> 32 & 0xffff;

	if (ev->data.u64 >> 63) {
		struct upstream *u = &p->upstream[index];

		if (u->state != UPSTREAM_FREE && u->generation == generation)
			upstream_event(p, u, ev->events);
	} else if (index == NONE) {
		accept_clients(p, p->c.listen_fd, false);
	} else if (index == METRICS_LISTENER) {
		accept_clients(p, p->c.metrics_fd, true);
	} else if (index == POD_OPENED) {
		(void)!read(p->c.activator->wake_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
		next_in_queue(p);
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
		int n = epoll_wait(p->epfd, event, EVENTS, more ? 0 : deadlines ? TICK_MS : -1);

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
		if (p->c.activator)
			activator_tell(p->c.activator, p->now, p->queued, p->active);
		deadlines = true;
		if (p->now >= p->next_sweep) {
			deadlines = sweep(p);
			p->next_sweep = p->now + TICK_MS * NS_PER_MS;
		}
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
	err = open_handlers(p);
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
