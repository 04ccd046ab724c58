/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue-proxy's side of the function: places in it, connections to it, and what becomes of a request
 * there. A place is held from the first attempt to the answer, whatever happens in between:
 *
 *     function_send ─> attempt ─> ACTIVE ─> response ───────────────────────────> answer
 *                        ▲           └────> connection broke, or a 502 ─────────> answer 502
 *                        │                     │ handler `retry`, harmless,
 *                        └──── PAUSED <────────┘ in time, and not too often yet
 */
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplanes/kernel/activator.h"
#include "dataplanes/kernel/proxy_head.h"
#include "dataplanes/kernel/queue_proxy_conn.h"

enum { RETRY_DOUBLINGS = 6 };

#define RETRY_PAUSE_NS (10 * NS_PER_MS)     /* before the first retry; each next one waits twice as long */

/* ---- Connections ------------------------------------------------------------------------------ */

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

/* A connection to the function with `iov` sent; or NULL. */
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
	u->target = target;
	u->state = UPSTREAM_BUSY;
	if (!stream_watch(p->epfd, fd, event_data(true, u->generation, u->index)) &&
	    !stream_send(&u->s, iov, 2))
		return u;
	upstream_close(p, u);
	return NULL;
}

/* Its request has ended one way or another. Returns its client, or NULL. */
static struct client *upstream_done(struct proxy *p, struct upstream *u)
{
	struct client *c = u->client == NONE ? NULL : &p->client[u->client];

	u->client = NONE;
	u->deadline = 0;
	return c;
}

/* The function is ready for another request on `u`, if it keeps to the protocol. */
static void upstream_keep(struct proxy *p, struct upstream *u)
{
	if (!u->s.head.keep_alive || u->s.ended || u->s.pending) {
		upstream_close(p, u);
		return;
	}
	stream_consume(&u->s);
	u->state = UPSTREAM_IDLE;
	u->next = p->idle_upstream[u->target];
	p->idle_upstream[u->target] = u->index;
	if (u->s.filled)                        /* nobody asked for that */
		upstream_close(p, u);
}

/* ---- Places ----------------------------------------------------------------------------------- */

instance_id function_place(struct proxy *p)
{
	if (p->c.activator)
		return activator_pick(p->c.activator);
	return p->active < p->c.limit ? 0 : INSTANCE_NONE;
}

static void place_give(struct proxy *p, instance_id target)
{
	p->active--;
	if (p->c.activator)
		activator_done(p->c.activator, target);
}

/* The request of `c` is over with an answer of our own. */
static void give_up(struct proxy *p, struct client *c, instance_id target, unsigned status, const char *text)
{
	place_give(p, target);
	c->state = CLIENT_READING;
	c->deadline = 0;
	stream_consume(&c->s);
	handlers_tell(p, c, status);
	proxy_answer(p, c, status, text, c->keep_alive);
}

/* ---- Trying again ----------------------------------------------------------------------------- */

/* RFC 9110, section 9.2.2: twice does what once does. */
static bool idempotent(unsigned method)
{
	return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_PUT || method == HTTP_DELETE ||
	       method == HTTP_OPTIONS;
}

/*
 * The handler `retry`: may `c`'s request be sent once more? `unseen`: the function has no byte of it, so
 * that whatever it asks for is not done twice. Then it is PAUSED.
 */
static bool retry_later(struct proxy *p, struct client *c, instance_id target, bool unseen)
{
	const unsigned doublings = c->retries < RETRY_DOUBLINGS ? c->retries : RETRY_DOUBLINGS;
	const uint64_t again = p->now + (RETRY_PAUSE_NS << doublings);

	if (c->retries >= p->handlers.config.retries || (!unseen && !idempotent(c->s.head.method)) ||
	    (p->c.timeout_ns && again >= c->begun + p->c.timeout_ns))
		return false;
	c->retries++;
	c->state = CLIENT_PAUSED;
	c->target = target;
	c->deadline = again;
	p->paused++;
	if (p->next_sweep > again)
		p->next_sweep = again;
	atomic_fetch_add_explicit(&p->seen->retried, 1, memory_order_relaxed);
	return true;
}

/* ---- Requests --------------------------------------------------------------------------------- */

static void attempt(struct proxy *p, struct client *c, instance_id target)
{
	const ssize_t n = proxy_request_head(p->head, sizeof(p->head), &c->s);
	const struct iovec iov[2] = {
		{ p->head, n < 0 ? 0 : (size_t)n }, { (void *)stream_body(&c->s), c->s.body },
	};
	struct upstream *u = n < 0 ? NULL : upstream_send(p, target, iov);

	if (n < 0) {
		give_up(p, c, target, 431, "the request head is too long\n");
		return;
	}
	if (!u) {
		if (!retry_later(p, c, target, true))
			give_up(p, c, target, 502, "the function takes no connection\n");
		return;
	}
	c->state = CLIENT_ACTIVE;
	c->deadline = 0;
	c->upstream = u->index;
	u->state = UPSTREAM_BUSY;
	u->client = c->index;
	u->length = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
	u->s.no_body = c->head_only;
	u->deadline = p->c.timeout_ns ? c->begun + p->c.timeout_ns : 0;
}

void function_send(struct proxy *p, struct client *c, instance_id target)
{
	const char *why = "";
	const uint16_t refused = handlers_ask(p, c, &why);

	p->active++;
	if (refused) {
		place_give(p, target);
		stream_consume(&c->s);
		proxy_answer(p, c, refused, why, c->keep_alive);
		return;
	}
	p->stats.queue_ns += p->now - c->since;
	c->begun = p->now;
	c->retries = 0;
	attempt(p, c, target);
}

void function_next(struct proxy *p)
{
	instance_id target;

	while (p->first != NONE && (target = function_place(p)) != INSTANCE_NONE) {
		struct client *c = &p->client[p->first];

		proxy_unqueue(p, c);
		c->state = CLIENT_READING;
		c->deadline = 0;
		function_send(p, c, target);
	}
}

void function_send_again(struct proxy *p, struct client *c)
{
	p->paused--;
	attempt(p, c, c->target);
}

void function_forget(struct proxy *p, struct client *c)
{
	if (c->state == CLIENT_ACTIVE) {
		p->upstream[c->upstream].client = NONE;
		return;
	}
	p->paused--;
	place_give(p, c->target);
	p->next_sweep = p->now;                 /* which gives the place to the next one */
}

/* ---- Responses -------------------------------------------------------------------------------- */

static void fail(struct proxy *p, struct upstream *u, unsigned status, const char *text)
{
	const bool unseen = u->s.pending == u->length && !u->s.sent;
	const instance_id target = u->target;
	struct client *c = upstream_done(p, u);

	upstream_close(p, u);
	if (!c)
		place_give(p, target);
	else if (status != 502 || !retry_later(p, c, target, unseen))
		give_up(p, c, target, status, text);
	function_next(p);
}

void function_late(struct proxy *p, struct upstream *u)
{
	fail(p, u, 504, "the function did not answer in time\n");
}

/* The function's response, whole at `u`, goes to `c`. */
static void pass_on(struct proxy *p, struct client *c, struct upstream *u)
{
	const struct http_head *h = &u->s.head;
	struct iovec iov[2] = { { p->head, 0 }, { (void *)stream_body(&u->s), u->s.body } };
	ssize_t n;

	c->state = CLIENT_READING;
	stream_consume(&c->s);
	p->stats.total_ns += p->now - c->since;
	handlers_tell(p, c, h->status);
	n = proxy_response_head(p->head, sizeof(p->head), &u->s, c->head_only, c->keep_alive, c->old);
	iov[0].iov_len = n < 0 ? 0 : (size_t)n;
	if (n < 0)
		proxy_answer(p, c, 502, "the function's response head is too long\n", c->keep_alive);
	else
		proxy_respond(p, c, iov, c->keep_alive, h->status);
}

static void respond(struct proxy *p, struct upstream *u)
{
	struct client *c = upstream_done(p, u);

	if (!c || u->s.head.status != 502 || !retry_later(p, c, u->target, false)) {
		place_give(p, u->target);
		if (c)
			pass_on(p, c, u);
	}
	upstream_keep(p, u);
	function_next(p);
}

void function_event(struct proxy *p, struct upstream *u, uint32_t events)
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
		respond(p, u);
	else if (got < 0)
		fail(p, u, 502, "the function does not speak HTTP/1.1\n");
	else if (err || u->s.ended)
		fail(p, u, 502, "the connection to the function broke\n");
}
