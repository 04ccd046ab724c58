/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: their coming, their turn, their time and their end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/gateway_conn.h"

enum { ACCEPTS_PER_TURN = 64 };

#define SLOT_NONE UINT32_MAX
#define GENERATION_MASK 0x7fffffffu
#define DATA_MARK (UINT64_C(1) << 63)       /* no pointer of a process looks like this */
#define SWEEP_NS NS_PER_SEC

/* ---- Buffers -------------------------------------------------------------------------------- */

char *front_buffer(struct front *f)
{
	void *b = f->spare;

	if (b)
		f->spare = *(void **)b;
	else
		b = malloc(FRONT_INPUT_BYTES);
	f->stats.buffers += !!b;
	return b;
}

void front_unbuffer(struct front *f, char *buffer)
{
	if (!buffer)
		return;
	*(void **)(void *)buffer = f->spare;
	f->spare = buffer;
	f->stats.buffers--;
}

/* ---- Exchanges ------------------------------------------------------------------------------ */

static const char *status_text(unsigned status)
{
	switch (status) {
	case 400: return "the request is malformed\n";
	case 408: return "the request took too long to arrive\n";
	case 413: return "the body is too large\n";
	case 414: return "the request target is too long\n";
	case 417: return "this expectation cannot be met\n";
	case 431: return "the header fields are too large or too many\n";
	case 501: return "this method or transfer coding is not supported\n";
	case 502: return "the function's answer is unsound\n";
	case 505: return "this version of HTTP is not supported\n";
	}
	return "the request was refused\n";
}

void answer_text(struct answer *a, unsigned status, const char *text)
{
	static const char type[] = "text/plain; charset=utf-8", retry[] = "Retry-After: 1\r\n";

	*a = (struct answer){
		.status = status,
		.content_type = { type, sizeof(type) - 1 },
		.fields = { retry, status == 503 ? sizeof(retry) - 1 : 0 },
		.body = { text, strlen(text) },
	};
}

struct exchange *conn_begin(struct conn *c)
{
	struct exchange *x = conn_exchange(c, c->next++);

	memset(x, 0, sizeof(*x));
	x->topic = TOPIC_MAX;
	return x;
}

void conn_ready(struct front *f, struct exchange *x)
{
	if (x->m)
		f->host.release(f->host.arg, x->m);
	x->m = NULL;
	x->state = EXCHANGE_READY;
}

void conn_refuse(struct front *f, struct exchange *x, unsigned status, const char *text)
{
	if (x->state == EXCHANGE_READY && x->answer.m)
		f->host.release(f->host.arg, x->answer.m);
	answer_text(&x->answer, status, text ? text : status_text(status));
	if (status < sizeof(f->stats.refused) / sizeof(f->stats.refused[0]))
		f->stats.refused[status]++;
	conn_ready(f, x);
}

/* ---- The end of a connection ---------------------------------------------------------------- */

static void conn_close(struct front *f, struct conn *c)
{
	if (c->first != c->next)
		f->stats.aborted++;
	for (; c->first != c->next; c->first++) {
		struct exchange *x = conn_exchange(c, c->first);

		/* A WAITING one has nothing here; its answer will find the ticket stale. */
		if (x->m)
			f->host.release(f->host.arg, x->m);
		if (x->state == EXCHANGE_READY && x->answer.m)
			f->host.release(f->host.arg, x->answer.m);
		if (x->state == EXCHANGE_READY)
			free(x->answer.page);
	}
	front_unbuffer(f, c->input);
	front_unbuffer(f, c->output);
	close(c->fd);
	c->fd = -1;
	c->generation = (c->generation + 1) & GENERATION_MASK;
	c->next_free = f->free;
	f->free = (uint32_t)(c - f->conns);
	f->stats.open--;
}

static uint64_t conn_data(const struct front *f, const struct conn *c)
{
	return DATA_MARK | (uint64_t)c->generation << 32 | (uint64_t)(c - f->conns);
}

/* All answers are out and no request will follow. */
static void wind_up(struct front *f, struct conn *c)
{
	/*
	 * Closing while the client still sends would make the kernel send a reset, which may
	 * overtake the refusal. So only our side is closed, and the rest read, for a while (RFC
	 * 9112 §9.6).
	 */
	if (c->linger && !c->draining && !shutdown(c->fd, SHUT_WR)) {
		c->draining = true;
		c->readable = true;
		c->input_ns = f->now;
		conn_receive(f, c);
		return;
	}
	c->broken |= !c->draining;
}

/* After anything has happened to a connection: send, go on, watch, or close. */
static void settle(struct front *f, struct conn *c)
{
	conn_flush(f, c);
	while (c->stalled && !conn_full(c) && !c->broken) {
		conn_resume(f, c);
		conn_flush(f, c);
	}
	if (!c->broken && c->input_state == INPUT_CLOSED && c->first == c->next)
		wind_up(f, c);
	/*
	 * A client that asked for one answer on a new connection and gets it at once never enters
	 * the epoll set. Registration reports what is ready by then, so no edge is lost.
	 */
	if (!c->broken && !c->watched &&
	    (c->input_state != INPUT_CLOSED || c->blocked || c->draining)) {
		c->watched = true;
		c->broken = f->host.watch(f->host.arg, c->fd,
					  EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
					  conn_data(f, c)) < 0;
	}
	if (c->broken) {
		conn_close(f, c);
		return;
	}
	if (conn_reads(c) && !c->queued) {
		c->queued = true;
		f->again[f->n_again++] = (uint32_t)(c - f->conns);
	}
}

/* ---- Coming --------------------------------------------------------------------------------- */

static struct conn *take_slot(struct front *f)
{
	struct conn *c;

	if (f->free != SLOT_NONE) {
		c = &f->conns[f->free];
		f->free = c->next_free;
	} else if (f->used < f->size) {
		c = &f->conns[f->used++];
	} else {
		return NULL;
	}
	/* Ring entries are set up as they are used. */
	{
		const uint32_t generation = c->generation;
		const bool queued = c->queued;

		memset(c, 0, offsetof(struct conn, ring));
		c->generation = generation;
		c->queued = queued;
	}
	return c;
}

static void turn_away(struct front *f, int fd)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Retry-After: 1\r\nContent-Length: 21\r\nConnection: close\r\n\r\n"
		"too many connections\n";
	char drop[4096];

	f->stats.crowded_out++;
	(void)!recv(fd, drop, sizeof(drop), MSG_DONTWAIT);
	(void)!send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	close(fd);
}

void front_adopt(struct front *f, int fd)
{
	struct conn *c = take_slot(f);

	if (!c) {
		turn_away(f, fd);
		return;
	}
	f->stats.accepted++;
	f->stats.open++;
	c->fd = fd;
	c->readable = true;
	c->input_ns = c->output_ns = f->now;
	conn_receive(f, c);
	settle(f, c);
}

/* No descriptor is left for a client that waits: give it one for the time of a refusal. */
static bool make_room(struct front *f, int listen_fd)
{
	int fd;

	if (f->reserve_fd < 0)
		return false;
	close(f->reserve_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		turn_away(f, fd);
	f->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

void front_accept(struct front *f, int listen_fd)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		const int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			front_adopt(f, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			if (make_room(f, listen_fd))
				continue;
		} else if (errno == ECONNABORTED || errno == EINTR) {
			continue;
		}
		return;
	}
}

/* ---- Turns ---------------------------------------------------------------------------------- */

void front_ready(struct front *f, uint64_t data, uint32_t events)
{
	const uint32_t slot = (uint32_t)data;
	struct conn *c;

	if (slot >= f->used)
		return;
	c = &f->conns[slot];
	if (c->fd < 0 || conn_data(f, c) != data)
		return;
	if (events & (EPOLLERR | EPOLLHUP))
		c->broken = true;
	if (events & EPOLLOUT)
		c->blocked = false;
	if (events & (EPOLLIN | EPOLLRDHUP))
		c->readable = true;
	if (events & EPOLLRDHUP)
		c->hung_up = true;
	conn_receive(f, c);
	settle(f, c);
}

bool front_answer(struct front *f, struct ticket t, const struct answer *a)
{
	struct conn *c;
	struct exchange *x;

	if (t.conn >= f->used)
		return false;
	c = &f->conns[t.conn];
	x = conn_exchange(c, t.sequence);
	if (c->fd < 0 || c->generation != t.generation ||
	    t.sequence - c->first >= c->next - c->first || x->state != EXCHANGE_WAITING)
		return false;
	x->answer = *a;
	x->state = EXCHANGE_READY;
	settle(f, c);
	return true;
}

/* A request that does not arrive: say so, and read no more. */
static void expire(struct front *f, struct conn *c)
{
	struct exchange *x = c->input_state == INPUT_HEAD ? conn_begin(c) :
							    conn_exchange(c, c->next - 1);

	x->keep_alive = false;
	c->input_state = INPUT_CLOSED;
	c->linger = true;
	c->body = NULL;
	conn_drop_input(f, c);
	if (x->state == EXCHANGE_RECEIVING)
		conn_refuse(f, x, 408, NULL);
}

/* Has this client taken too long? Then act on it. */
static void check_time(struct front *f, struct conn *c)
{
	const uint64_t in = f->now - c->input_ns, out = f->now - c->output_ns;
	const uint64_t idle = f->stats.open > f->size / 10 * 9 ? FRONT_CROWDED_NS : FRONT_IDLE_NS;

	if (c->draining) {
		c->broken = in > FRONT_LINGER_NS;
	} else if (c->blocked && c->sending) {
		c->broken = out > FRONT_STALL_NS;
		f->stats.timed_out_write += c->broken;
	} else if (c->input_state == INPUT_LENGTH || c->input_state == INPUT_CHUNKS) {
		if (in > FRONT_BODY_NS) {
			f->stats.timed_out_body++;
			expire(f, c);
		}
	} else if (c->input_state == INPUT_HEAD && c->input_length && !c->stalled) {
		if (in > FRONT_HEAD_NS) {
			f->stats.timed_out_head++;
			expire(f, c);
		}
	} else if (c->first == c->next) {
		c->broken = out > idle;
		f->stats.timed_out_idle += c->broken;
	} else {
		return;
	}
	settle(f, c);
}

void front_turn(struct front *f)
{
	const uint32_t n = f->n_again;

	/* Slots that are queued meanwhile come behind these and have the next turn. */
	for (uint32_t i = 0; i < n; i++) {
		struct conn *c = &f->conns[f->again[i]];

		c->queued = false;
		if (c->fd < 0)
			continue;
		conn_receive(f, c);
		settle(f, c);
	}
	f->n_again -= n;
	memmove(f->again, f->again + n, f->n_again * sizeof(f->again[0]));
	if (f->now < f->next_sweep)
		return;
	f->next_sweep = f->now + SWEEP_NS;
	for (uint32_t i = 0; i < f->used && f->stats.open; i++)
		if (f->conns[i].fd >= 0)
			check_time(f, &f->conns[i]);
}

int64_t front_due(const struct front *f)
{
	if (f->n_again)
		return 0;
	if (!f->stats.open)
		return -1;
	return f->next_sweep > f->now ? (int64_t)(f->next_sweep - f->now) : 0;
}

void front_set_now(struct front *f, uint64_t now_ns)
{
	f->now = now_ns;
}

const struct front_stats *front_stats(const struct front *f)
{
	return &f->stats;
}

/* ---- Life ----------------------------------------------------------------------------------- */

int front_create(struct front **out, const struct front_host *host, uint32_t conns)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->host = *host;
	f->size = conns < FRONT_CONNS_MAX ? conns : FRONT_CONNS_MAX;
	f->free = SLOT_NONE;
	/* A slot's pages are touched when it is first used: what is never needed costs nothing. */
	f->conns = mmap(NULL, f->size * sizeof(f->conns[0]), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	f->again = calloc(2 * (size_t)f->size + 1, sizeof(f->again[0]));
	f->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (f->conns == MAP_FAILED || !f->again) {
		front_destroy(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void front_destroy(struct front *f)
{
	if (!f)
		return;
	if (f->conns && f->conns != MAP_FAILED) {
		for (uint32_t i = 0; i < f->used; i++)
			if (f->conns[i].fd >= 0)
				conn_close(f, &f->conns[i]);
		munmap(f->conns, f->size * sizeof(f->conns[0]));
	}
	while (f->spare) {
		void *next = *(void **)f->spare;

		free(f->spare);
		f->spare = next;
	}
	if (f->reserve_fd >= 0)
		close(f->reserve_fd);
	free(f->again);
	free(f);
}
