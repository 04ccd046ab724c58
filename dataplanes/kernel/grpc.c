/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "dataplanes/kernel/grpc_conn.h"

#define ACCEPT_AGAIN_NS NS_PER_MS           /* when there were more, or no descriptor was free */

/* ---- Calls ------------------------------------------------------------------------------------ */

struct rpc *rpc_take(struct grpc *g, struct h2_conn *c, enum rpc_state state)
{
	uint16_t *list = c->server ? &g->free_server : &g->free_client;
	struct rpc *r;

	if (*list == H2_NONE)
		return NULL;
	r = &g->rpc[*list];
	*list = r->next;
	r->c = c;
	r->m = NULL;
	r->method = NULL;
	r->deadline = r->sent = 0;
	r->status = STATUS_OK;
	r->refusal = 0;
	r->state = (uint8_t)state;
	r->server = c->server;
	r->ended = r->relay = r->retried = r->tell_status = false;
	r->picked = INSTANCE_NONE;
	r->reader = (struct grpc_reader){ 0 };
	r->tx_bytes = r->tx_sent = 0;
	grpc_head_init(&r->head, g->c.app);
	c->streams++;
	return r;
}

static void rpc_free(struct grpc *g, struct rpc *r)
{
	uint16_t *list = r->server ? &g->free_server : &g->free_client;

	r->state = RPC_FREE;
	r->next = *list;
	*list = r->index;
}

void rpc_release(struct grpc *g, struct rpc *r)
{
	if (r->m)
		pool_free(g->pool, r->m, g->c.self);
	r->m = NULL;
	r->deadline = 0;
	r->generation++;
	r->state = RPC_ENDING;
	r->c->streams--;
	r->c = NULL;
	if (!g->gathering) {
		rpc_free(g, r);
		return;
	}
	/* The sendmsg that is being put together may still take its `tx`. */
	r->next = g->closed;
	g->closed = r->index;
}

static void free_closed(struct grpc *g)
{
	while (g->closed != H2_NONE) {
		struct rpc *r = &g->rpc[g->closed];

		g->closed = r->next;
		rpc_free(g, r);
	}
}

void grpc_ready(struct grpc *g, struct message *m)
{
	g->ready[(g->ready_head + g->ready_count++) % g->n_rpcs] = m;
}

/* ---- Time ------------------------------------------------------------------------------------- */

void grpc_arm(struct grpc *g, uint64_t at)
{
	const struct itimerspec t = { .it_value = { (time_t)(at / NS_PER_SEC),
						    (long)(at % NS_PER_SEC) } };

	if (g->armed && g->armed <= at)
		return;
	g->armed = at;
	timerfd_settime(g->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

void rpc_deadline(struct grpc *g, struct rpc *r, uint64_t at)
{
	r->deadline = at;
	if (at)
		grpc_arm(g, at);
}

static void accept_all(struct grpc *g)
{
	g->accept_again = false;
	if (g->listen_fd >= 0)
		grpc_accept(g, g->listen_fd);
	if (g->door_fd >= 0)
		grpc_accept(g, g->door_fd);
	if (g->accept_again)
		grpc_arm(g, g->now + ACCEPT_AGAIN_NS);
}

/*
 * The earliest deadline has come: end what is due, find the next. Calls are as a rule answered before
 * it, and their timer is not taken back: with deadlines of 30 s this runs every 30 s.
 */
static void tick(struct grpc *g)
{
	uint64_t next = UINT64_MAX;

	(void)!read(g->timer_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
	g->armed = 0;
	if (g->accept_again)
		accept_all(g);
	for (unsigned i = 0; i < H2_SERVERS; i++) {
		struct h2_conn *c = &g->conn[i];

		if (c->fd >= 0 && c->deadline && c->deadline <= g->now)
			h2_close(g, c);
		else if (c->fd >= 0 && c->deadline && c->deadline < next)
			next = c->deadline;
	}
	for (unsigned i = 0; i < g->n_rpcs; i++) {
		struct rpc *r = &g->rpc[i];

		if (!r->deadline)
			continue;
		if (r->deadline > g->now) {
			next = r->deadline < next ? r->deadline : next;
			continue;
		}
		r->deadline = 0;
		if (r->server)
			server_expired(g, r);
		else
			client_expired(g, r);
	}
	if (next != UINT64_MAX)
		grpc_arm(g, next);
}

/* ---- The loop --------------------------------------------------------------------------------- */

static void event(struct grpc *g, const struct epoll_event *ev)
{
	const uint32_t index = ev->data.u64 & 0xffff;

	if (index == H2_LISTENER || index == H2_DOOR) {
		accept_all(g);
	} else if (index == H2_TIMER) {
		tick(g);
	} else {
		struct h2_conn *c = &g->conn[index];

		if (c->fd >= 0 && c->generation == ev->data.u64 >> 32)
			h2_event(g, c, ev->events);
	}
}

static int wait_for_events(struct grpc *g, int64_t ns)
{
	const struct timespec t = { ns / (int64_t)NS_PER_SEC, ns % (int64_t)NS_PER_SEC };
	struct epoll_event events[H2_EVENTS];
	int n;

	if (ns <= 0)
		n = epoll_wait(g->epfd, events, H2_EVENTS, ns ? -1 : 0);
	else
		n = epoll_pwait2(g->epfd, events, H2_EVENTS, &t, NULL);
	if (n < 0 && errno == ENOSYS)           /* before 5.11: milliseconds will have to do */
		n = epoll_wait(g->epfd, events, H2_EVENTS,
			       (int)((ns + 999999) / (int64_t)NS_PER_MS));
	if (n < 0)
		return -errno;
	g->now = clock_now_ns();
	for (int i = 0; i < n; i++)
		event(g, &events[i]);
	return 0;
}

static int hand_over(struct grpc *g, struct message **batch, int max)
{
	int n = 0;

	for (; n < max && g->ready_count; n++, g->ready_count--) {
		batch[n] = g->ready[g->ready_head];
		g->ready_head = (g->ready_head + 1) % g->n_rpcs;
	}
	return n;
}

/* Connections that had more to read than their turn allowed. */
static void read_on(struct grpc *g)
{
	for (unsigned n = g->n_again; n; n--) {
		struct h2_conn *c = &g->conn[g->again[0]];

		g->n_again--;
		memmove(g->again, g->again + 1, g->n_again * sizeof(g->again[0]));
		c->again = false;
		if (c->fd >= 0)
			h2_event(g, c, 0);
	}
}

int grpc_recv(struct grpc *g, struct message **batch, int max, int64_t timeout_ns)
{
	int err;

	read_on(g);
	/* What is ready goes first; else nobody waits with answers unsent (see grpc_flush). */
	err = wait_for_events(g, g->ready_count || g->n_again || g->n_dirty ? 0 : timeout_ns);
	if (err && !g->ready_count)
		return err;
	return hand_over(g, batch, max);
}

bool grpc_pending(const struct grpc *g)
{
	return g->ready_count || g->n_again || g->n_dirty;
}

int grpc_flush(struct grpc *g)
{
	/* A connection that breaks may move its calls to another, which is then flushed as well. */
	while (g->n_dirty) {
		struct h2_conn *c = &g->conn[g->dirty[--g->n_dirty]];

		c->dirty = false;
		if (c->fd >= 0)
			h2_flush(g, c);
		free_closed(g);
	}
	return 0;
}

int grpc_fd(const struct grpc *g)
{
	return g->epfd;
}

int grpc_send(struct grpc *g, instance_id to, struct message *m)
{
	/* A client's request, which has woken the gateway: the last look at the clock may be long ago. */
	if (g->c.self == GATEWAY)
		g->now = clock_now_ns();
	switch (m->kind) {
	case MESSAGE_REPLY:
		return server_respond(g, m, true);
	case MESSAGE_ANSWER:
		return to == GATEWAY ? server_respond(g, m, false) : -EPIPE;
	case MESSAGE_CALL:
		return client_call(g, to, m, false);
	case MESSAGE_INVOKE:
		return client_call(g, to, m, g->c.self != GATEWAY);
	default:
		return -EINVAL;
	}
}

/* ---- Coming and going ------------------------------------------------------------------------- */

static void raise_descriptor_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static void link_free(struct grpc *g, unsigned from, unsigned n, uint16_t *list)
{
	*list = H2_NONE;
	for (unsigned i = from + n; i-- > from;) {
		char *in = g->arena.base + (size_t)i * 2 * g->arena.room;

		g->rpc[i].index = (uint16_t)i;
		g->rpc[i].rx = (uint8_t *)in;
		g->rpc[i].tx = (uint8_t *)in + g->arena.room;
		g->rpc[i].server = i < g->c.servers;
		g->rpc[i].next = *list;
		*list = (uint16_t)i;
	}
}

static int listen_here(struct grpc *g)
{
	const struct sockaddr_in *at = g->c.listen;
	int one = 1, err = 0;

	if (at) {
		g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (g->listen_fd < 0 ||
		    setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		    bind(g->listen_fd, (const struct sockaddr *)at, sizeof(*at)) ||
		    listen(g->listen_fd, LISTEN_BACKLOG))
			return -errno;
		err = stream_watch(g->epfd, g->listen_fd, H2_LISTENER);
	}
	if (!err && g->door_fd >= 0)
		err = stream_watch(g->epfd, g->door_fd, H2_DOOR);
	return err;
}

static int name_paths(struct grpc *g)
{
	const unsigned n = g->c.app->n_functions;

	g->call_path = calloc(n, sizeof(*g->call_path));
	g->invoke_path = calloc(n, sizeof(*g->invoke_path));
	if (!g->call_path || !g->invoke_path)
		return -ENOMEM;
	for (unsigned f = 0; f < n; f++) {
		const char *name = g->c.app->functions[f]->name;

		snprintf(g->call_path[f], sizeof(*g->call_path), "/perhop.Call/%s", name);
		snprintf(g->invoke_path[f], sizeof(*g->invoke_path), "/perhop.Invoke/%s", name);
	}
	return 0;
}

static int make_memory(struct grpc *g)
{
	const size_t outs = (size_t)(H2_SERVERS + H2_CLIENTS) * H2_OUT_BYTES;
	int err = stream_arena_make(&g->arena, g->n_rpcs, g->c.body_max);

	if (err)
		return err;
	g->room = g->arena.room;
	link_free(g, 0, g->c.servers, &g->free_server);
	link_free(g, g->c.servers, g->c.clients, &g->free_client);
	/* Touched only where a socket did not take all that there was. */
	g->outs = mmap(NULL, outs, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	if (g->outs == MAP_FAILED) {
		g->outs = NULL;
		return -errno;
	}
	for (unsigned i = 0; i < H2_SERVERS + H2_CLIENTS; i++) {
		g->conn[i].index = (uint16_t)i;
		g->conn[i].fd = -1;
		g->conn[i].out = g->outs + (size_t)i * H2_OUT_BYTES;
	}
	return 0;
}

int grpc_open(struct grpc **out, const struct engine_config *config, int door_fd, struct pool *pool)
{
	struct grpc *g = calloc(1, sizeof(*g));
	int err = -ENOMEM;

	if (!g)
		return err;
	*out = g;
	g->c = *config;
	g->pool = pool;
	g->n_rpcs = config->servers + config->clients;
	g->epfd = g->listen_fd = g->timer_fd = -1;
	g->door_fd = door_fd;
	g->closed = H2_NONE;
	g->now = clock_now_ns();
	grpc_memory_open(&g->memory);
	g->rpc = calloc(g->n_rpcs, sizeof(*g->rpc));
	g->ready = calloc(g->n_rpcs, sizeof(struct message *));
	g->conn = calloc(H2_SERVERS + H2_CLIENTS, sizeof(*g->conn));
	if (!g->rpc || !g->ready || !g->conn)
		goto out;
	err = make_memory(g);
	if (!err)
		err = name_paths(g);
	if (!err)
		err = h2_setup(g);
	if (err)
		goto out;
	raise_descriptor_limit();
	g->epfd = epoll_create1(EPOLL_CLOEXEC);
	g->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (g->epfd < 0 || g->timer_fd < 0) {
		err = -errno;
		goto out;
	}
	err = stream_watch(g->epfd, g->timer_fd, H2_TIMER);
	if (!err)
		err = listen_here(g);
out:
	if (err) {
		grpc_close(g);
		*out = NULL;
	}
	return err;
}

void grpc_settings(FILE *f)
{
	fprintf(f, "endpoint: connections taken %d, made %d\nendpoint: HTTP/2 stream window %d bytes\nendpoint: HTTP/2 connection window %d bytes\n"
		"endpoint: HTTP/2 streams at once %d\nendpoint: HPACK table %d bytes\n"
		"endpoint: events per epoll_wait %d\nendpoint: recv up to %d bytes\nendpoint: sendmsg up to %d bytes\n",
		H2_SERVERS, H2_CLIENTS, H2_STREAM_WINDOW, H2_CONN_WINDOW, H2_STREAMS, H2_TABLE_BYTES, H2_EVENTS, H2_INPUT_BYTES, H2_OUT_BYTES);
}

void grpc_close(struct grpc *g)
{
	if (!g)
		return;
	for (unsigned i = 0; g->conn && i < H2_SERVERS + H2_CLIENTS; i++) {
		nghttp2_session_del(g->conn[i].h2);
		if (g->conn[i].h2)
			close(g->conn[i].fd);
	}
	for (unsigned i = 0; g->rpc && i < g->n_rpcs; i++)
		if (g->rpc[i].m)
			pool_free(g->pool, g->rpc[i].m, g->c.self);
	while (g->ready_count) {
		pool_free(g->pool, g->ready[g->ready_head], g->c.self);
		g->ready_head = (g->ready_head + 1) % g->n_rpcs;
		g->ready_count--;
	}
	for (int *fd = (int[]){ g->listen_fd, g->timer_fd, g->epfd, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	nghttp2_session_callbacks_del(g->callbacks);
	grpc_memory_close(&g->memory);
	stream_arena_free(&g->arena);
	if (g->outs)
		munmap(g->outs, (size_t)(H2_SERVERS + H2_CLIENTS) * H2_OUT_BYTES);
	free(g->call_path);
	free(g->invoke_path);
	free(g->conn);
	free(g->ready);
	free(g->rpc);
	free(g);
}
