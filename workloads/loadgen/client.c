/* SPDX-License-Identifier: BSD-2-Clause */
#include "workloads/loadgen/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "workloads/loadgen/mqtt.h"

/* How long an answered connection waits for the server's FIN before it is closed from here. */
static const uint64_t LINGER_NS = NS_PER_SEC;

static const char CLOSE_FIELD[] = "\r\nConnection: close";

/* ---- Lists: users by deadline; connections that linger, or rest ------------------------------ */

#define LIST_APPEND(list, array, i)                                                                \
	do {                                                                                       \
		(array)[i].before = (list)->last;                                                  \
		(array)[i].after = NOBODY;                                                         \
		if ((list)->last != NOBODY)                                                        \
			(array)[(list)->last].after = (i);                                         \
		else                                                                               \
			(list)->first = (i);                                                       \
		(list)->last = (i);                                                                \
		(list)->count++;                                                                   \
	} while (0)

#define LIST_REMOVE(list, array, i)                                                                \
	do {                                                                                       \
		if ((array)[i].before != NOBODY)                                                   \
			(array)[(array)[i].before].after = (array)[i].after;                       \
		else                                                                               \
			(list)->first = (array)[i].after;                                          \
		if ((array)[i].after != NOBODY)                                                    \
			(array)[(array)[i].after].before = (array)[i].before;                      \
		else                                                                               \
			(list)->last = (array)[i].before;                                          \
		(list)->count--;                                                                   \
	} while (0)

/* ---- Connections ----------------------------------------------------------------------------- */

static int conn_watch(struct loadgen *g, struct conn *c, bool output)
{
	struct epoll_event e = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (output ? EPOLLOUT : 0),
		.data.u64 = (uint64_t)c->generation << 32 | (uint32_t)(c - g->conns),
	};

	if (c->registered && c->watches_output >= output)
		return 0;
	if (epoll_ctl(g->epoll_fd, c->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) < 0)
		return -errno;
	c->registered = true;
	c->watches_output = output;
	return 0;
}

static void conn_free(struct loadgen *g, struct conn *c)
{
	answer_end(&c->answer, &g->store);
	close(c->fd);
	c->fd = -1;
	c->generation++;
	c->user = NOBODY;
	c->after = g->free_conn;
	g->free_conn = (uint32_t)(c - g->conns);
	g->open_conns--;
}

static void conn_unlinger(struct loadgen *g, struct conn *c)
{
	uint32_t i = (uint32_t)(c - g->conns);

	LIST_REMOVE(&g->lingering, g->conns, i);
	conn_free(g, c);
}

/*
 * An answered connection that is not used again. The server was told to close; whoever closes first
 * keeps the port pair for a minute (TIME_WAIT), and the client has only 28,000 ports: so let the
 * server, and meanwhile go on with the next connection.
 */
static void conn_retire(struct loadgen *g, struct conn *c, bool peer_closed, uint64_t now)
{
	uint32_t i = (uint32_t)(c - g->conns);

	if (peer_closed) {
		conn_free(g, c);
		return;
	}
	if (g->lingering.count == LINGER_MAX)
		conn_unlinger(g, &g->conns[g->lingering.first]);
	answer_end(&c->answer, &g->store);
	c->user = NOBODY;
	c->linger_until_ns = now + LINGER_NS;
	LIST_APPEND(&g->lingering, g->conns, i);
}

/* The user's connection is no more. */
static void drop_conn(struct loadgen *g, struct user *u)
{
	if (u->conn == NOBODY)
		return;
	if (!u->busy)
		LIST_REMOVE(&g->resting, g->conns, u->conn);
	conn_free(g, &g->conns[u->conn]);
	u->conn = NOBODY;
}

/* Close the connection that will be missed least. False when all have a request under way. */
static bool evict(struct loadgen *g)
{
	if (g->lingering.count)
		conn_unlinger(g, &g->conns[g->lingering.first]);
	else if (g->resting.count)
		drop_conn(g, &g->users[g->conns[g->resting.first].user]);
	else
		return false;
	return true;
}

/*
 * A socket; when the limit of open files does not allow one per user, some user who is thinking
 * loses the connection he keeps alive, as with any client that bounds its pool. -EMFILE: nobody
 * is.
 */
static int new_socket(struct loadgen *g)
{
	for (;;) {
		int fd;

		if (g->open_conns == g->n_conns && !evict(g))
			return -EMFILE;
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd >= 0)
			return fd;
		if (errno != EMFILE || !evict(g))
			return -errno;
	}
}

/*
 * One address has 28,000 ports for connections to one server, and finding a free one takes the
 * kernel long when most are taken. On loopback there are more addresses: a new one for every
 * SOURCE_USERS.
 */
static int spread_source(const struct loadgen *g, int fd, uint32_t i)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int one = 1;

	if (i < SOURCE_USERS || ntohl(g->config->target.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
		return 0;
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / SOURCE_USERS);
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return -errno;
	return 0;
}

/* Start connecting for user `i`. 0 or -errno. */
static int conn_open(struct loadgen *g, uint32_t i)
{
	const struct sockaddr_in *to = &g->config->target;
	struct conn *c;
	int r, one = 1;
	int fd = new_socket(g);

	if (fd < 0)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	r = spread_source(g, fd, i);
	if (!r && connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r) {
		close(fd);
		return r;
	}
	if (meter_measuring(&g->meter))
		g->meter.result->connects++;
	c = &g->conns[g->free_conn];
	g->users[i].conn = g->free_conn;
	g->free_conn = c->after;
	g->open_conns++;
	c->fd = fd;
	c->user = i;
	c->registered = c->watches_output = c->reused = false;
	return 0;
}

/* ---- A request's end ------------------------------------------------------------------------- */

static void finish(struct loadgen *g, uint32_t i, struct sample *s)
{
	struct user *u = &g->users[i];

	s->intended_ns = u->intended_ns;
	s->sent_ns = u->sent_ns;
	s->chain = u->chain;
	LIST_REMOVE(&g->deadlines, g->users, i);
	u->busy = false;
	meter_complete(&g->meter, s);
	loadgen_next(g, i, s->now_ns);
}

static const char *explain(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return "no complete answer in time";
	case -EBADMSG:
		return "the answer is not sound HTTP/1.1, or MQTT";
	case -EMSGSIZE:
		return "the answer's head or body is over the limit";
	case -ECONNRESET:
		return "the connection was closed before the answer was complete";
	case -EADDRNOTAVAIL:
		return "no free local port for another connection";
	case -EMFILE:
		return "no file left for another connection: see ulimit -Hn";
	}
	return strerror(-error);
}

/* No answer, or none that can be understood. */
static void fail(struct loadgen *g, uint32_t i, int error, uint64_t now)
{
	struct loadgen_result *r = g->meter.result;
	struct user *u = &g->users[i];
	struct sample s = { .now_ns = now, .timed_out = error == -ETIMEDOUT };

	if (!r->first_error[0])
		snprintf(r->first_error, sizeof(r->first_error), "%s", explain(error));
	drop_conn(g, u);
	if (u->failures < UINT8_MAX)
		u->failures++;
	if (g->digest && digest_failure(g->digest) && !g->error)
		loadgen_fail(g, -EIO, "SHA-256 failed");
	finish(g, i, &s);
}

static void answered(struct loadgen *g, uint32_t i, bool reusable, bool peer_closed, uint64_t now)
{
	struct user *u = &g->users[i];
	struct conn *c = &g->conns[u->conn];
	struct answer *a = &c->answer;
	struct sample s = {
		.now_ns = now, .status = a->status, .ok = a->status >= 200 && a->status < 400,
	};

	if (g->model->response)
		g->model->response(g->states + i * g->model->user_bytes, a->head, a->head_length,
				   a->body, a->body_length, a->status, &s.ok);
	if (g->digest &&
	    digest_answer(g->digest, a->head, a->head_length, a->body, a->body_length))
		loadgen_fail(g, -EIO, "SHA-256 failed");
	if (reusable) {
		answer_end(a, &g->store);
		c->reused = true;
		LIST_APPEND(&g->resting, g->conns, u->conn);
	} else {
		u->conn = NOBODY;
		conn_retire(g, c, peer_closed, now);
	}
	u->failures = 0;
	finish(g, i, &s);
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Send what is left of the user's request. 0 (also when the socket takes no more now) or -errno. */
static int push(struct loadgen *g, struct user *u)
{
	struct conn *c = &g->conns[u->conn];
	ssize_t n;

	if (u->sent <= u->hello_bytes)
		u->sent_ns = clock_now_ns();
	do
		n = send(c->fd, u->request + u->sent, u->request_bytes - u->sent, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return -errno;
	if (n > 0) {
		u->sent += (uint32_t)n;
		if (meter_measuring(&g->meter))
			g->meter.result->bytes_out += (uint64_t)n;
	}
	return conn_watch(g, c, u->sent < u->request_bytes);
}

/* Send the user's request from its start, on a new connection if there is none. 0 or -errno. */
static int transmit(struct loadgen *g, uint32_t i)
{
	struct user *u = &g->users[i];
	const bool fresh = u->conn == NOBODY;
	int r;

	u->sent = fresh ? 0 : u->hello_bytes;
	if (fresh) {
		u->sent_ns = clock_now_ns();
		r = conn_open(g, i);
		if (r)
			return r;
	}
	if (g->model->protocol)
		mqtt_begin(&g->conns[u->conn].answer, g->model->protocol, g->model->qos, fresh, g->digest);
	else
		answer_begin(&g->conns[u->conn].answer, g->model->response || g->digest, u->head);
	/* On loopback a connection is often up at once: try, before asking epoll to tell. */
	return push(g, u);
}

/*
 * The connection broke. A server may close a connection that was kept alive just when a request is
 * under way (RFC 9112 §9.3.1): if nothing of an answer came, ask once more on a new one.
 */
static void broken(struct loadgen *g, uint32_t i, int error, uint64_t now)
{
	struct user *u = &g->users[i];
	const struct conn *c = u->conn == NOBODY ? NULL : &g->conns[u->conn];

	if (c && c->reused && !c->answer.started && u->repeatable && !u->repeated) {
		u->repeated = true;
		if (meter_measuring(&g->meter))
			g->meter.result->repeated++;
		drop_conn(g, u);
		error = transmit(g, i);
		if (!error)
			return;
	}
	fail(g, i, error, now);
}

/* Room for `bytes` of the user's request. 0 or -ENOMEM. */
static int reserve(struct user *u, size_t bytes)
{
	char *grown;

	if (bytes <= u->request_room)
		return 0;
	grown = realloc(u->request, bytes);
	if (!grown)
		return -ENOMEM;
	u->request = grown;
	u->request_room = (uint32_t)bytes;
	return 0;
}

/* An event as MQTT packets, a new connection's first. 0 or -errno. */
static int compose_event(const struct loadgen *g, uint32_t i, const struct user_request *rq)
{
	const struct user_model *m = g->model;
	const size_t room = rq->length + sizeof(rq->topic) + 256;
	const struct slice type = { rq->type, rq->type ? strlen(rq->type) : 0 };
	struct user *u = &g->users[i];
	unsigned char *out;
	char id[48];
	ssize_t n;

	if (reserve(u, room))
		return -ENOMEM;
	out = (unsigned char *)u->request;
	snprintf(id, sizeof(id), "load-%llx-%u", (unsigned long long)g->config->seed, i);
	n = mqtt_hello(out, room, m->protocol, id, g->digest ? m->answers : NULL);
	if (n < 0)
		return (int)n;
	u->hello_bytes = (uint32_t)n;
	n = mqtt_event(out + n, room - (size_t)n, m->protocol, m->qos, rq->topic, type,
		       (struct slice){ rq->out, rq->length });
	if (n < 0)
		return (int)n;
	u->request_bytes = u->hello_bytes + (uint32_t)n;
	u->head = false;
	u->repeatable = m->qos;         /* at least once: not acknowledged, it is published again */
	return 0;
}

/* A request of HTTP, which does not keep the connection unless the run does. 0 or -errno. */
static int compose_http(const struct loadgen *g, uint32_t i, const struct user_request *rq)
{
	const size_t close_bytes = g->config->keep_alive ? 0 : sizeof(CLOSE_FIELD) - 1;
	const char *end = memmem(rq->out, rq->length, "\r\n\r\n", 4);
	struct user *u = &g->users[i];
	size_t at;

	if (!end)
		return -EINVAL;
	if (reserve(u, rq->length + close_bytes))
		return -ENOMEM;
	at = (size_t)(end - rq->out);
	memcpy(u->request, rq->out, at);
	memcpy(u->request + at, CLOSE_FIELD, close_bytes);
	memcpy(u->request + at + close_bytes, end, rq->length - at);
	u->request_bytes = (uint32_t)(rq->length + close_bytes);
	u->head = !memcmp(rq->out, "HEAD", 4);
	u->repeatable = u->head || !memcmp(rq->out, "GET ", 4);
	return 0;
}

/* Have the model write the next request and keep a copy with the user. 0 or -errno (fatal). */
static int compose(struct loadgen *g, uint32_t i)
{
	struct user *u = &g->users[i];
	struct user_request rq = { .out = g->out, .room = REQUEST_BYTES - sizeof(CLOSE_FIELD),
				   .app = g->config->app };
	int r;

	r = g->model->next(g->states + i * g->model->user_bytes, &u->random, &rq);
	if (r)
		return r;
	if (rq.length > rq.room || rq.chain >= g->config->app->n_chains)
		return -EINVAL;
	r = g->model->protocol ? compose_event(g, i, &rq) : compose_http(g, i, &rq);
	u->chain = (uint16_t)rq.chain;
	u->more = rq.more;
	u->due_ns = g->config->think_hi_ms ? rq.due_ns : 0;
	return r;
}

void client_begin(struct loadgen *g, uint32_t i, uint64_t intended, uint64_t now)
{
	struct user *u = &g->users[i];
	int r;

	if (!client_may_begin(g))
		return;
	if (!u->first_ns)
		u->first_ns = intended;
	r = compose(g, i);
	if (r) {
		loadgen_fail(g, r, "the user model could not write a request: %s", strerror(-r));
		return;
	}
	if (g->issue_left != UINT64_MAX)
		g->issue_left--;
	if (!u->spawned) {
		u->spawned = true;
		g->meter.users++;
	}
	if (u->conn != NOBODY)
		LIST_REMOVE(&g->resting, g->conns, u->conn);
	u->busy = true;
	u->repeated = false;
	u->intended_ns = intended;
	u->deadline_ns = now + g->config->timeout_ns;
	LIST_APPEND(&g->deadlines, g->users, i);
	meter_begin(&g->meter, intended, now);
	r = transmit(g, i);
	if (r)
		broken(g, i, r, now);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void receive(struct loadgen *g, uint32_t i, uint32_t events)
{
	struct user *u = &g->users[i];
	struct conn *c = &g->conns[u->conn];
	bool closing = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

	for (;;) {
		ssize_t n = recv(c->fd, g->receive, RECEIVE_BYTES, 0);
		size_t used = 0;
		uint64_t now;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		now = clock_now_ns();
		if (n < 0) {
			broken(g, i, -errno, now);
			return;
		}
		if (meter_measuring(&g->meter))
			g->meter.result->bytes_in += (uint64_t)n;
		if (n && g->model->protocol)
			r = mqtt_feed(&c->answer, &g->store, g->receive, (size_t)n, &used);
		else if (n)
			r = answer_feed(&c->answer, &g->store, g->receive, (size_t)n, &used);
		else
			r = g->model->protocol ? -ECONNRESET : answer_eof(&c->answer);
		if (r < 0) {
			broken(g, i, r, now);
			return;
		}
		if (r) {
			/* Surplus bytes belong to no request: nothing after them can be trusted. */
			bool reusable = g->config->keep_alive && c->answer.keep_alive && !closing &&
					used == (size_t)n && u->sent == u->request_bytes;

			answered(g, i, reusable, closing || !n || used < (size_t)n, now);
			return;
		}
		/* A short read has emptied the socket: the next bytes raise a new edge. */
		if (n < RECEIVE_BYTES && !closing)
			return;
	}
}

void client_ready(struct loadgen *g, uint64_t data, uint32_t events)
{
	uint32_t input = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	struct conn *c = &g->conns[(uint32_t)data];
	struct user *u;
	int r;

	if (c->generation != data >> 32)
		return;             /* closed earlier in this batch of events */
	if (c->user == NOBODY) {
		if (input)
			conn_unlinger(g, c);
		return;
	}
	u = &g->users[c->user];
	if (!u->busy) {
		if (input)          /* the server closed, or said something nobody asked for */
			drop_conn(g, u);
		return;
	}
	if ((events & EPOLLOUT) && u->sent < u->request_bytes && !(events & EPOLLERR)) {
		r = push(g, u);
		if (r) {
			broken(g, c->user, r, clock_now_ns());
			return;
		}
	}
	if (input)
		receive(g, c->user, events);
}

/* ---- Time, beginning and end ----------------------------------------------------------------- */

uint64_t client_next_expiry(const struct loadgen *g)
{
	uint64_t next = UINT64_MAX;

	if (g->deadlines.first != NOBODY)
		next = g->users[g->deadlines.first].deadline_ns;
	if (g->lingering.first != NOBODY && g->conns[g->lingering.first].linger_until_ns < next)
		next = g->conns[g->lingering.first].linger_until_ns;
	return next;
}

void client_expire(struct loadgen *g, uint64_t now)
{
	while (g->deadlines.first != NOBODY && g->users[g->deadlines.first].deadline_ns <= now)
		fail(g, g->deadlines.first, -ETIMEDOUT, now);
	while (g->lingering.first != NOBODY &&
	       g->conns[g->lingering.first].linger_until_ns <= now)
		conn_unlinger(g, &g->conns[g->lingering.first]);
}

int client_open(struct loadgen *g)
{
	const struct loadgen_config *c = g->config;
	uint64_t seed = c->seed;

	g->deadlines = g->lingering = g->resting = (struct list){ NOBODY, NOBODY, 0 };
	g->conns = calloc(g->n_conns, sizeof(*g->conns));
	g->users = calloc(c->users, sizeof(*g->users));
	g->states = calloc(c->users, g->model->user_bytes ? g->model->user_bytes : 1);
	g->receive = malloc(RECEIVE_BYTES);
	g->out = malloc(REQUEST_BYTES);
	if (!g->conns || !g->users || !g->states || !g->receive || !g->out)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->n_conns; i++) {
		g->conns[i].fd = -1;
		g->conns[i].user = NOBODY;
		g->conns[i].after = i + 1 < g->n_conns ? i + 1 : NOBODY;
	}
	for (uint32_t i = 0; i < c->users; i++) {
		g->users[i].conn = NOBODY;
		g->users[i].random = random_next(&seed);
		g->users[i].think_random = random_next(&seed);
	}
	g->arrivals.random = random_next(&seed);
	return 0;
}

void client_close(struct loadgen *g)
{
	for (uint32_t i = 0; g->conns && i < g->n_conns; i++)
		if (g->conns[i].fd >= 0)
			conn_free(g, &g->conns[i]);
	for (uint32_t i = 0; g->users && i < g->config->users; i++)
		free(g->users[i].request);
	answer_store_free(&g->store);
	free(g->conns);
	free(g->users);
	free(g->states);
	free(g->receive);
	free(g->out);
}
