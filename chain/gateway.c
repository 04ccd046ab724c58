/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the clients (gateway_front.c) and the chain (runtime.c): which chain a path belongs to,
 * which request a message answers, and what a client is told when there is no answer.
 *
 * A request in the chain has a slot in a private table. Nothing that comes from shared memory is
 * followed: with a shared pool the slot is the buffer's index, which pool_accept has checked; else
 * it is part of the message's id, which the dataplane keeps at home, and the whole id must match.
 *
 *     FREE --submit--> WAITING --reply, 502--> FREE
 *                         |  timeout: the client gets 504 now
 *                         +---------> LATE --reply, its owner's death--> FREE
 *
 * A LATE slot's buffer is in quarantine: it belongs to some instance, so it cannot be used again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "chain/codec.h"
#include "chain/control.h"
#include "chain/gateway.h"
#include "chain/gateway_front.h"
#include "chain/gateway_metrics.h"
#include "chain/gateway_ports.h"
#include "chain/peer.h"
#include "chain/runtime.h"

enum {
	SLOT_BITS = 20,             /* low bits of message.id; a pool has at most so many buffers */
	FD_RESERVE = 256,           /* descriptors that are not clients' */
};

#define SLOT_NONE UINT32_MAX
#define RECLAIM_NS (100 * NS_PER_MS)        /* how often a dead instance is looked at again */

static const char own_prefix[] = "/_perhop/";

enum request_state { REQUEST_FREE, REQUEST_WAITING, REQUEST_LATE };

struct request {
	uint64_t id;
	uint64_t deadline_ns;
	struct ticket ticket;
	uint32_t older, newer;      /* WAITING ones, by deadline; `newer` chains the free ones */
	uint8_t state;              /* enum request_state */
};

struct gateway {
	struct deployment *d;
	const struct application *app;
	struct board *board;
	struct runtime *runtime;
	struct pool *pool;
	bool shared;                /* the pool is the chain's: buffers may die with an instance */
	struct front *front;
	struct ports *ports;        /* protocols other than HTTP */
	struct peer *peer;          /* the link to the other node; NULL: there is none */
	struct request *requests;
	uint32_t slots, free, oldest, newest;
	uint64_t next_id;
	uint64_t next_reclaim;
	size_t prefix[TOPIC_MAX];   /* lengths of the chains' paths */
	struct gateway_metrics metrics;
};

/* ---- Slots ---------------------------------------------------------------------------------- */

static uint32_t slot_take(struct gateway *g, const struct message *m)
{
	uint32_t slot;

	if (g->shared) {
		slot = pool_index(g->pool, m);
		return slot < g->slots && g->requests[slot].state == REQUEST_FREE ? slot
										  : SLOT_NONE;
	}
	slot = g->free;
	if (slot != SLOT_NONE)
		g->free = g->requests[slot].newer;
	return slot;
}

/* No longer waiting: neither a reply nor the clock will answer its client. */
static void slot_unlink(struct gateway *g, uint32_t slot)
{
	struct request *q = &g->requests[slot];

	if (q->older != SLOT_NONE)
		g->requests[q->older].newer = q->newer;
	else
		g->oldest = q->newer;
	if (q->newer != SLOT_NONE)
		g->requests[q->newer].older = q->older;
	else
		g->newest = q->older;
}

static void slot_link(struct gateway *g, uint32_t slot)
{
	struct request *q = &g->requests[slot];

	q->state = REQUEST_WAITING;
	q->newer = SLOT_NONE;
	q->older = g->newest;
	if (g->newest != SLOT_NONE)
		g->requests[g->newest].newer = slot;
	else
		g->oldest = slot;
	g->newest = slot;
	g->metrics.in_flight++;
}

static void slot_free(struct gateway *g, uint32_t slot)
{
	struct request *q = &g->requests[slot];

	q->state = REQUEST_FREE;
	q->id = 0;
	if (!g->shared) {
		q->newer = g->free;
		g->free = slot;
	}
}

/*
 * The request that `m` answers, its slot freed. False: there is none, or its client has 504
 * already.
 */
static bool slot_claim(struct gateway *g, const struct message *m, struct ticket *ticket)
{
	const uint64_t id = m->id;
	const uint32_t slot = g->shared ? pool_index(g->pool, m) :
					  (uint32_t)id & ((1u << SLOT_BITS) - 1);
	struct request *q;
	bool waiting;

	if (slot >= g->slots || g->requests[slot].state == REQUEST_FREE ||
	    (!g->shared && g->requests[slot].id != id)) {
		g->metrics.stray++;
		return false;
	}
	q = &g->requests[slot];
	waiting = q->state == REQUEST_WAITING;
	*ticket = q->ticket;
	if (waiting)
		slot_unlink(g, slot);
	else
		g->metrics.late++;
	slot_free(g, slot);
	g->metrics.in_flight--;
	return waiting;
}

/* ---- Requests ------------------------------------------------------------------------------- */

static bool refuse(struct gateway *g, struct answer *a, enum gateway_refusal why, unsigned status,
		   const char *text)
{
	g->metrics.refused[why]++;
	answer_text(a, status, text);
	return false;
}

/* The chain whose path is the longest prefix of `path`, by whole segments; TOPIC_MAX: none. */
static unsigned find_chain(const struct gateway *g, struct slice path)
{
	unsigned best = TOPIC_MAX;
	size_t longest = 0;

	for (unsigned i = 0; i < g->app->n_chains; i++) {
		const size_t n = g->prefix[i];
		const char *prefix = g->app->chains[i].path;

		if (n > path.length || (best != TOPIC_MAX && n <= longest) ||
		    memcmp(prefix, path.at, n))
			continue;
		if (n < path.length && n && prefix[n - 1] != '/' && path.at[n] != '/')
			continue;
		best = i;
		longest = n;
	}
	return best;
}

static bool is(struct slice path, const char *text)
{
	return path.length == strlen(text) && !memcmp(path.at, text, path.length);
}

static void own_page(struct gateway *g, struct answer *a, const struct http_head *h)
{
	static const char prometheus[] = "text/plain; version=0.0.4; charset=utf-8";
	bool ready = true, metrics = is(h->path, "/_perhop/metrics");
	size_t length;
	char *page;

	if (!metrics && !is(h->path, "/_perhop/health")) {
		answer_text(a, 404, "the gateway has /_perhop/metrics and /_perhop/health\n");
		return;
	}
	if (h->method != HTTP_GET && h->method != HTTP_HEAD) {
		answer_text(a, 405, "this page is for GET\n");
		return;
	}
	page = metrics ? metrics_page(&g->metrics, g->d, front_stats(g->front), g->ports, g->pool, &length) :
			 health_page(g->d, &ready, &length);
	if (!page) {
		answer_text(a, 500, "out of memory\n");
		return;
	}
	answer_text(a, ready ? 200 : 503, "");
	if (metrics)
		a->content_type = (struct slice){ prometheus, sizeof(prometheus) - 1 };
	a->body = (struct slice){ page, length };
	a->page = page;
}

static bool on_open(void *arg, struct exchange *x, const struct http_head *h, bool whole)
{
	struct gateway *g = arg;
	unsigned topic;

	if (h->path.length >= sizeof(own_prefix) - 1 &&
	    !memcmp(h->path.at, own_prefix, sizeof(own_prefix) - 1)) {
		own_page(g, &x->answer, h);
		return false;
	}
	topic = find_chain(g, h->path);
	if (topic == TOPIC_MAX)
		return refuse(g, &x->answer, REFUSED_NO_CHAIN, 404, "no chain has this path\n");
	x->topic = (uint16_t)topic;
	x->started_ns = clock_now_ns();
	/*
	 * Bodies on their way may hold half of the pool: slow senders must not shut out the rest.
	 */
	if (!whole && pool_in_use(g->pool) >= pool_buffers(g->pool) / 2)
		return refuse(g, &x->answer, REFUSED_POOL, 503, "too many requests are arriving\n");
	x->m = pool_alloc(g->pool, GATEWAY);
	if (!x->m)
		return refuse(g, &x->answer, REFUSED_POOL, 503, "all buffers are in use\n");
	return true;
}

/* Where the chain begins; its sequence may have been replaced since the start. */
static function_id head_function(const struct gateway *g, unsigned topic)
{
	if (topic < g->board->topics &&
	    atomic_load_explicit(&g->board->sequence[topic].length, memory_order_acquire))
		return g->board->sequence[topic].function[0];
	return g->app->chains[topic].sequence[0];
}

/*
 * Send `length` bytes of request in `m` to the head of chain `topic`; `t` says whose answer it is. On
 * error `m` stays the caller's: -ENOBUFS (no slot), else runtime_dispatch's.
 */
static int enter_chain(struct gateway *g, struct ticket t, unsigned topic, struct message *m,
		       uint32_t length)
{
	const uint32_t slot = slot_take(g, m);
	struct request *q;
	int err;

	if (slot == SLOT_NONE)
		return -ENOBUFS;
	q = &g->requests[slot];
	q->id = ++g->next_id << SLOT_BITS | slot;
	q->ticket = t;
	q->deadline_ns = runtime_now(g->runtime) + g->d->config.request_timeout_ns;
	m->id = q->id;
	m->kind = MESSAGE_INVOKE;
	m->type = TYPE_HTTP_REQUEST;
	m->status = STATUS_OK;
	m->topic = (uint16_t)topic;
	m->length = length;
	m->function = head_function(g, topic);
	err = runtime_dispatch(g->runtime, m);
	if (err)
		slot_free(g, slot);
	else
		slot_link(g, slot);
	return err;
}

static bool on_submit(void *arg, struct ticket t, struct exchange *x, struct message *m,
		      uint32_t length)
{
	struct gateway *g = arg;

	switch (enter_chain(g, t, x->topic, m, length)) {
	case 0:
		return true;
	case -ENOBUFS:
		return refuse(g, &x->answer, REFUSED_POOL, 503,
			      "too many requests are in the chain\n");
	case -EAGAIN:
		return refuse(g, &x->answer, REFUSED_BACKLOG, 503,
			      "the function's queue is full\n");
	case -EPIPE:
		return refuse(g, &x->answer, REFUSED_DEAD, 502,
			      "no instance of the function is alive\n");
	case -EMSGSIZE:
		return refuse(g, &x->answer, REFUSED_INTERNAL, 500,
			      "the request cannot be encoded\n");
	}
	return refuse(g, &x->answer, REFUSED_INTERNAL, 500, "the request could not be sent\n");
}

/* An event of another protocol, as the request that functions know. */
static int on_event(void *arg, struct ticket t, unsigned chain, const struct http_head *h,
		    struct slice body)
{
	struct gateway *g = arg;
	struct message *m = pool_alloc(g->pool, GATEWAY);
	ssize_t n;
	int err;

	if (!m)
		return -EAGAIN;
	n = http_request_build(message_payload(m), pool_buffer_bytes(g->pool) - sizeof(*m), h, body.at,
			       body.length);
	err = n < 0 ? (int)n : enter_chain(g, t, chain, m, (uint32_t)n);
	if (err)
		pool_free(g->pool, m, GATEWAY);
	return err == -ENOBUFS ? -EAGAIN : err;
}

static unsigned on_find(void *arg, struct slice path)
{
	return find_chain(arg, path);
}

static void on_release(void *arg, struct message *m)
{
	struct gateway *g = arg;

	pool_free(g->pool, m, GATEWAY);
}

static void on_answered(void *arg, const struct exchange *x)
{
	struct gateway *g = arg;

	if (x->topic < TOPIC_MAX)
		metrics_answered(&g->metrics, x->topic, x->answer.status,
				 clock_now_ns() - x->started_ns);
}

static int on_watch(void *arg, int fd, uint32_t events, uint64_t data)
{
	struct gateway *g = arg;

	return runtime_watch(g->runtime, fd, events, (void *)(uintptr_t)data, true);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static bool slice_of(struct slice *s, const void *base, size_t length, struct http_part part)
{
	s->at = http_part(base, length, part);
	s->length = part.length;
	return s->at;
}

/*
 * The answer in `m`, which a function wrote: sound, or false. The header is checked and used as one
 * copy, so that a function that writes on after its reply cannot change what was checked; the
 * head's text is checked once more as it is copied to the client.
 */
static bool read_answer(const struct gateway *g, struct message *m, struct answer *a)
{
	const uint32_t room = pool_buffer_bytes(g->pool) - (uint32_t)sizeof(*m);
	const uint32_t length = *(volatile uint32_t *)&m->length;
	const uint16_t status = *(volatile uint16_t *)&m->status;
	const void *payload = message_payload(m);
	struct http_response r;

	if (length > room)
		return false;
	switch (*(volatile uint16_t *)&m->type) {
	case TYPE_HTTP_RESPONSE:
		if (http_response_check(payload, length))
			return false;
		memcpy(&r, payload, sizeof(r));
		*a = (struct answer){ .status = r.status };
		return r.status >= 200 && r.status <= 599 &&
		       slice_of(&a->content_type, payload, length, r.content_type) &&
		       slice_of(&a->fields, payload, length, r.fields) &&
		       slice_of(&a->body, payload, length, r.body);
	case TYPE_REASON:
		answer_text(a, status >= 400 && status <= 599 ? status : STATUS_INTERNAL, "");
		a->body = (struct slice){ payload, length };
		return true;
	case TYPE_BYTES:
		answer_text(a, status >= 200 && status <= 599 ? status : STATUS_OK, "");
		a->content_type = (struct slice){ "application/octet-stream", 24 };
		a->body = (struct slice){ payload, length };
		return true;
	}
	return false;
}

static void set_now(struct gateway *g)
{
	const uint64_t now = runtime_now(g->runtime);

	front_set_now(g->front, now);
	ports_set_now(g->ports, now);
}

/* To whoever asked. False: the answer's memory is still ours. */
static bool give(struct gateway *g, struct ticket t, const struct answer *a)
{
	if (t.conn != TICKET_PORTS)
		return front_answer(g->front, t, a);
	ports_answer(g->ports, t, a);
	return false;
}

/* The answer to the request that waits in `home` is in `m`, the same buffer or another one. */
static void answer_from(struct gateway *g, struct message *home, struct message *m)
{
	struct ticket t;
	struct answer a;
	const bool waits = slot_claim(g, home, &t);

	set_now(g);
	if (home != m)
		pool_free(g->pool, home, GATEWAY);
	if (!waits) {
		pool_free(g->pool, m, GATEWAY);
		return;
	}
	if (read_answer(g, m, &a)) {
		a.m = m;
	} else {
		refuse(g, &a, REFUSED_ANSWER, 502, "the function's answer is unsound\n");
		pool_free(g->pool, m, GATEWAY);
	}
	if (!give(g, t, &a)) {
		g->metrics.late += t.conn != TICKET_PORTS;
		if (a.m)
			pool_free(g->pool, a.m, GATEWAY);
	}
}

static void on_reply(void *arg, struct message *m)
{
	struct gateway *g = arg;

	if (g->peer && peer_imported(g->peer, m))
		peer_return(g->peer, m, true);
	else
		answer_from(g, m, m);
}

/* The other node's answer to the client of the request in `home`; whoever called will not be resumed. */
static void on_reply_abroad(void *arg, struct message *home, struct message *m)
{
	struct gateway *g = arg;

	route_unwind(g->board, home);
	answer_from(g, home, m);
}

static int on_abroad(void *arg, struct message *m)
{
	struct gateway *g = arg;

	return peer_abroad(g->peer, m);
}

static void on_answer_abroad(void *arg, struct message *m)
{
	struct gateway *g = arg;

	if (peer_imported(g->peer, m)) {
		peer_return(g->peer, m, false);
		return;
	}
	runtime_reason(m, STATUS_INTERNAL, "an answer to nobody");
	runtime_answer(g->runtime, m, true);
}

/* ---- What does not come back ---------------------------------------------------------------- */

static void on_reclaimed(void *arg, struct message *m, instance_id to)
{
	struct gateway *g = arg;
	struct ticket t;
	struct answer a;

	route_lost(g->board, m, to);
	if (g->peer && peer_imported(g->peer, m)) {
		route_unwind(g->board, m);
		runtime_reason(m, STATUS_BAD_GATEWAY, "the function's instance died");
		peer_return(g->peer, m, true);
		return;
	}
	if (slot_claim(g, m, &t)) {
		refuse(g, &a, REFUSED_DEAD, 502, "the function's instance died\n");
		give(g, t, &a);
	}
	route_unwind(g->board, m);
	pool_free(g->pool, m, GATEWAY);
}

/*
 * Take back what dead instances held. The supervisor restarts one only after `reclaimed` says so.
 * As long as it stays dead it is looked at again: a message may have been on its way to it.
 */
static void reclaim_dead(struct gateway *g)
{
	const uint64_t now = runtime_now(g->runtime);
	const bool again = now >= g->next_reclaim;
	struct board *b = g->board;

	if (again)
		g->next_reclaim = now + RECLAIM_NS;
	for (instance_id i = 1; i < b->instances && i < INSTANCE_MAX; i++) {
		struct instance_line *l = &b->line[i];
		uint32_t incarnation;

		if (atomic_load_explicit(&l->state, memory_order_acquire) != INSTANCE_DEAD)
			continue;
		incarnation = atomic_load_explicit(&l->incarnation, memory_order_relaxed);
		if (!again &&
		    atomic_load_explicit(&l->reclaimed, memory_order_relaxed) == incarnation)
			continue;
		if (g->shared)
			pool_reclaim(g->pool, i, atomic_load(&l->killed), GATEWAY, on_reclaimed, g);
		atomic_store_explicit(&l->reclaimed, incarnation, memory_order_release);
	}
}

static void expire(struct gateway *g)
{
	const uint64_t now = runtime_now(g->runtime);
	struct answer a;

	if (!g->d->config.request_timeout_ns)
		return;
	while (g->oldest != SLOT_NONE && g->requests[g->oldest].deadline_ns <= now) {
		const uint32_t slot = g->oldest;

		slot_unlink(g, slot);
		g->requests[slot].state = REQUEST_LATE;
		refuse(g, &a, REFUSED_TIMEOUT, 504, "the chain did not answer in time\n");
		give(g, g->requests[slot].ticket, &a);
	}
}

/* Adapters are loaded and unloaded on request; the supervisor must let go of the sockets, too. */
static void obey_control(struct gateway *g)
{
	struct deployment *d = g->d;

	control_serve(d->control_fd, g->ports);
	for (unsigned i = 0; i < d->config.adapters; i++)
		if (!ports_has(g->ports, d->adapter[i].name))
			atomic_fetch_or_explicit(&d->board->unloaded, 1u << i, memory_order_relaxed);
}

/* ---- The loop's guest ----------------------------------------------------------------------- */

static void on_ready(void *arg, void *data, uint32_t events)
{
	struct gateway *g = arg;

	set_now(g);
	if (g->peer && peer_ready(g->peer, data, events))
		return;
	if (data == g)
		front_accept(g->front, g->d->listen_fd);
	else if (ports_owns((uint64_t)(uintptr_t)data))
		ports_ready(g->ports, (uint64_t)(uintptr_t)data, events);
	else if (data == &g->d->control_fd)
		obey_control(g);
	else
		front_ready(g->front, (uint64_t)(uintptr_t)data, events);
}

static void on_turn(void *arg)
{
	struct gateway *g = arg;

	set_now(g);
	if (g->peer)
		peer_turn(g->peer);
	reclaim_dead(g);
	expire(g);
	front_turn(g->front);
	ports_turn(g->ports);
	if (g->peer)
		peer_flush(g->peer);
}

static bool on_pending(void *arg)
{
	struct gateway *g = arg;

	return peer_pending(g->peer);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int64_t on_due(void *arg)
{
	const struct gateway *g = arg;
	const uint64_t now = runtime_now(g->runtime);
	int64_t due = sooner(front_due(g->front), ports_due(g->ports));

	if (g->metrics.in_flight && g->shared)
		due = sooner(due, (int64_t)RECLAIM_NS);
	if (g->oldest != SLOT_NONE && g->d->config.request_timeout_ns) {
		const uint64_t at = g->requests[g->oldest].deadline_ns;

		due = sooner(due, at > now ? (int64_t)(at - now) : 0);
	}
	return g->peer ? sooner(due, peer_due(g->peer)) : due;
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* Raise the limit of descriptors as far as needed; returns how many clients it allows. */
static uint32_t allow_clients(void)
{
	const rlim_t want = FRONT_CONNS_MAX + FD_RESERVE;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 512;
	if (r.rlim_cur < want) {
		struct rlimit raised = { want, r.rlim_max < want ? want : r.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised)) { /* not privileged: to the hard limit */
			raised = (struct rlimit){ r.rlim_max, r.rlim_max };
			(void)!setrlimit(RLIMIT_NOFILE, &raised);
		}
		if (getrlimit(RLIMIT_NOFILE, &r))
			return 512;
	}
	if (r.rlim_cur >= want)
		return FRONT_CONNS_MAX;
	return r.rlim_cur > 2 * FD_RESERVE ? (uint32_t)r.rlim_cur - FD_RESERVE :
					     (uint32_t)r.rlim_cur / 2;
}

static int create(struct gateway *g)
{
	const uint32_t bytes = pool_buffer_bytes(g->pool);
	const struct front_host host = {
		.arg = g,
		.room = bytes - (uint32_t)sizeof(struct message),
		.body_max = bytes > 2 * HTTP_BODY_DEFAULT ? bytes - HTTP_BODY_DEFAULT :
							    HTTP_BODY_DEFAULT,
		.watch = on_watch,
		.open = on_open,
		.submit = on_submit,
		.release = on_release,
		.answered = on_answered,
	};
	const struct ports_host ports_host = {
		.arg = g,
		.app = g->app,
		.leaves = pool_buffers(g->pool),
		.retry_ns = g->d->config.request_timeout_ns,
		.watch = on_watch,
		.find = on_find,
		.submit = on_event,
	};
	int err;

	g->slots = pool_buffers(g->pool);
	g->requests = calloc(g->slots, sizeof(g->requests[0]));
	if (!g->requests)
		return -ENOMEM;
	g->oldest = g->newest = SLOT_NONE;
	g->free = g->shared ? SLOT_NONE : 0;
	for (uint32_t i = 0; i < g->slots; i++)
		g->requests[i].newer = i + 1 < g->slots ? i + 1 : SLOT_NONE;
	for (unsigned i = 0; i < g->app->n_chains; i++)
		g->prefix[i] = strlen(g->app->chains[i].path);
	err = front_create(&g->front, &host, allow_clients());
	return err ? err : ports_create(&g->ports, &ports_host);
}

/* What the deployment begins with; more can be loaded while it runs (chain/control.h). */
static int load_adapters(struct gateway *g)
{
	struct deployment *d = g->d;
	char why[256];
	int err = 0;

	for (unsigned i = 0; i < d->config.adapters && !err; i++) {
		if (d->adapter[i].so_fd < 0)    /* unloaded, by an earlier gateway of this deployment */
			continue;
		err = ports_load(g->ports, d->adapter[i].so_fd, d->adapter[i].listen_fd, why, sizeof(why));
		if (err)
			deploy_error(d, err, "adapter %s: %s", d->config.adapter[i].name, why);
	}
	if (!err && d->control_fd >= 0)
		err = runtime_watch(g->runtime, d->control_fd, EPOLLIN, &d->control_fd, true);
	return err;
}

static void listen_to(struct gateway *g)
{
	const int one = 1;

	/* Inherited by every accepted socket: answers are whole, Nagle would only delay them. */
	setsockopt(g->d->listen_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/*
	 * Hand connections over when the request is there (a silent client's after 1 s or so). With
	 * a connection per request it saves 4 of 23 µs: no wake-up and no registration before the
	 * bytes.
	 */
	setsockopt(g->d->listen_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one));
}

/* What an earlier gateway of this deployment held when it died. Its clients are gone. */
static void free_leftover(void *arg, struct message *m, instance_id to)
{
	struct gateway *g = arg;

	route_lost(g->board, m, to);
	route_unwind(g->board, m);
	pool_free(g->pool, m, GATEWAY);
}

int gateway_main(struct deployment *d)
{
	struct gateway *g = calloc(1, sizeof(*g));
	const struct runtime_guest guest = {
		.arg = g, .reply = on_reply, .ready = on_ready, .turn = on_turn, .due = on_due,
		.abroad = d->node ? on_abroad : NULL, .answer = d->node ? on_answer_abroad : NULL,
		.pending = d->node ? on_pending : NULL,
	};
	int err;

	if (!g)
		return -ENOMEM;
	g->d = d;
	g->app = d->app;
	g->board = d->board;
	g->shared = d->pool;
	err = runtime_open(&g->runtime, d, GATEWAY, &guest);
	if (err)
		goto out;
	g->pool = runtime_endpoint(g->runtime)->pool;
	if (g->shared)
		pool_reclaim(g->pool, GATEWAY, true, GATEWAY, free_leftover, g);
	err = create(g);
	if (err)
		goto out;
	if (d->node) {
		const struct peer_host host = { g, d, g->runtime, g->pool, on_reply_abroad };

		err = peer_open(&g->peer, &host);
		if (err)
			goto out;
	}
	listen_to(g);
	err = runtime_watch(g->runtime, d->listen_fd, EPOLLIN, g, true);
	if (!err)
		err = load_adapters(g);
	if (err)
		goto out;
	atomic_store_explicit(&d->board->line[GATEWAY].state, INSTANCE_READY, memory_order_release);
	err = runtime_loop(g->runtime);
out:
	ports_destroy(g->ports);
	front_destroy(g->front);
	peer_close(g->peer);
	runtime_close(g->runtime);
	free(g->requests);
	free(g);
	return err;
}
