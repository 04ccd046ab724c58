/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports and their connections: bytes in, packets out of the adapter; packets in, bytes out. Input is parsed
 * where recv has put it; only a packet that is not whole is kept, in a buffer of its connection. Output is
 * gathered for a turn of the loop and sent at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/gateway_session.h"

enum { ACCEPTS_PER_TURN = 64, READS_PER_TURN = 4, ACK_ROOM = 4096 };

#define PORTS_MARK (UINT64_C(1) << 62)
#define GENERATION_MASK 0x3fffffffu
#define SLOT_LISTEN 0x80000000u     /* in the low half of the data: a port, not a connection */
#define SWEEP_NS NS_PER_SEC

/* ---- Buffers and output ----------------------------------------------------------------------- */

static uint8_t *buffer_take(struct ports *p)
{
	void *b = p->spare;

	if (!b)
		return malloc(OUTPUT_BYTES);
	p->spare = *(void **)b;
	return b;
}

static void buffer_give(struct ports *p, uint8_t *b)
{
	if (!b)
		return;
	*(void **)(void *)b = p->spare;
	p->spare = b;
}

uint32_t pconn_room(const struct pconn *c)
{
	const uint32_t used = c->output ? c->output_at + c->output_length : 0;

	/* Acknowledgements of a whole window always fit. */
	return used + ACK_ROOM < OUTPUT_BYTES ? OUTPUT_BYTES - ACK_ROOM - used : 0;
}

void pconn_touch(struct ports *p, struct pconn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	p->dirty[p->n_dirty++] = (uint32_t)(c - p->conns);
}

bool pconn_send(struct ports *p, struct pconn *c, const struct packet *packet)
{
	ssize_t n;

	if (c->broken)
		return false;
	if (!c->output) {
		c->output = buffer_take(p);
		c->output_at = c->output_length = 0;
		c->sent_ns = p->now;
	}
	if (c->output && c->output_at && c->output_at + c->output_length > OUTPUT_BYTES / 2) {
		memmove(c->output, c->output + c->output_at, c->output_length);
		c->output_at = 0;
	}
	n = !c->output ? -ENOMEM :
	    pconn_ops(p, c)->format(&c->memo, packet, c->output + c->output_at + c->output_length,
				    OUTPUT_BYTES - c->output_at - c->output_length);
	if (n < 0) {
		c->broken = true;       /* a client that asks and does not read */
		pconn_touch(p, c);
		return false;
	}
	c->output_length += (uint32_t)n;
	pconn_touch(p, c);
	return true;
}

void pconn_refuse(struct ports *p, struct pconn *c, uint8_t reason)
{
	struct packet *out = &p->out;

	if (c->ending || c->broken)
		return;
	p->stats.refused[reason]++;
	memset(out, 0, offsetof(struct packet, filter));
	out->kind = c->connected ? PACKET_DISCONNECT : PACKET_CONNACK;
	out->reason = reason;
	pconn_send(p, c, out);
	c->ending = true;
	pconn_touch(p, c);
}

/* PUBACKs in the order of their PUBLISHes ([MQTT-4.6.0-2]). */
static void acknowledge(struct ports *p, struct pconn *c)
{
	struct packet *out = &p->out;

	while (c->first != c->last && c->window[c->first % PORTS_WINDOW].done && !c->ending) {
		const struct window_place *w = &c->window[c->first++ % PORTS_WINDOW];

		if (!w->qos)
			continue;
		memset(out, 0, offsetof(struct packet, filter));
		out->kind = PACKET_PUBACK;
		out->id = w->id;
		out->reason = w->reason;
		if (w->reason >= 0x80)
			p->stats.refused[w->reason]++;
		pconn_send(p, c, out);
	}
}

static void transmit(struct ports *p, struct pconn *c)
{
	ssize_t n;

	if (c->blocked || !c->output || c->broken)
		return;
	while (c->output_length) {
		n = send(c->fd, c->output + c->output_at, c->output_length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->blocked = errno == EAGAIN;
			c->broken |= !c->blocked;
			return;
		}
		c->sent_ns = p->now;
		c->output_at += (uint32_t)n;
		c->output_length -= (uint32_t)n;
	}
	buffer_give(p, c->output);
	c->output = NULL;
}

/* ---- Packets ---------------------------------------------------------------------------------- */

/* The topic that an alias stands for (5, §3.3.2.3.4). False: it stands for none. */
static bool resolve_alias(struct pconn *c, struct packet *in)
{
	char **alias = &c->alias[in->alias - 1];

	if (!in->topic.length) {
		if (!*alias)
			return false;
		in->topic = (struct slice){ *alias, strlen(*alias) };
		return true;
	}
	if (!*alias)
		*alias = malloc(ADAPTER_TOPIC_MAX + 1);
	if (!*alias)
		return false;
	memcpy(*alias, in->topic.at, in->topic.length);
	(*alias)[in->topic.length] = '\0';
	return true;
}

/* False: no leaf is free; the packet stays where it is. */
static bool publish(struct ports *p, struct pconn *c, struct packet *in)
{
	struct window_place *w;
	struct leaf *l;

	if (in->alias && !resolve_alias(c, in)) {
		pconn_refuse(p, c, REASON_ALIAS);
		return true;
	}
	if (c->last - c->first == PORTS_WINDOW)
		return false;
	l = leaf_take(p, in, true);
	if (!l)
		return false;
	w = &c->window[c->last % PORTS_WINDOW];
	*w = (struct window_place){ .id = in->id, .qos = in->qos };
	l->conn = (uint32_t)(c - p->conns);
	l->conn_generation = c->generation;
	l->place = c->last++;
	event_start(p, l);
	return true;
}

/* One packet. False: it cannot be taken now. */
static bool handle(struct ports *p, struct pconn *c, struct packet *in)
{
	struct packet *out = &p->out;

	if ((in->kind == PACKET_CONNECT) == c->connected) {
		pconn_refuse(p, c, REASON_PROTOCOL);
		return true;
	}
	switch (in->kind) {
	case PACKET_CONNECT:
		session_connect(p, c, in);
		return true;
	case PACKET_PUBLISH:
		return publish(p, c, in);
	case PACKET_PUBACK:
		session_acknowledged(p, c, in->id);
		return true;
	case PACKET_SUBSCRIBE:
		session_subscribe(p, c, in);
		return true;
	case PACKET_UNSUBSCRIBE:
		session_unsubscribe(p, c, in);
		return true;
	case PACKET_PING:
		/* In its turn: what came before it has been dealt with when it is answered. */
		if (c->first != c->last)
			return false;
		memset(out, 0, offsetof(struct packet, filter));
		out->kind = PACKET_PONG;
		pconn_send(p, c, out);
		return true;
	case PACKET_DISCONNECT:
		if (!in->will)
			session_forget_will(p, c);
		c->ending = c->polite = true;
		pconn_touch(p, c);
		return true;
	}
	pconn_refuse(p, c, REASON_PROTOCOL);
	return true;
}

/* Take whole packets off `length` bytes at `at`; returns how many bytes they were. */
static size_t take_packets(struct ports *p, struct pconn *c, const uint8_t *at, size_t length)
{
	size_t used = 0;

	while (used < length && !c->ending && !c->broken && !c->stalled) {
		ssize_t n = pconn_ops(p, c)->parse(&c->memo, at + used, length - used, &p->in);

		if (!n)
			break;
		if (n < 0) {
			pconn_refuse(p, c, p->in.reason ? p->in.reason : REASON_MALFORMED);
			break;
		}
		c->heard_ns = p->now;
		if (!handle(p, c, &p->in)) {
			/* By its own window it goes on as that moves, by the leaves with all others. */
			c->stalled = true;
			p->n_stalled++;
			break;
		}
		used += (size_t)n;
	}
	return used;
}

/* Keep what is left of `buf` for later. */
static void keep(struct ports *p, struct pconn *c, const uint8_t *buf, size_t used, size_t length)
{
	const size_t rest = length - used;

	if (!rest || c->ending || c->broken) {
		buffer_give(p, c->input);
		c->input = NULL;
		c->input_length = 0;
		return;
	}
	if (!c->input) {
		c->input = buffer_take(p);
		c->packet_ns = p->now;
	}
	if (!c->input) {
		c->broken = true;
		return;
	}
	if (used || c->input != buf)
		memmove(c->input, buf + used, rest);
	if (used)
		c->packet_ns = p->now;
	c->input_length = (uint32_t)rest;
}

static void receive(struct ports *p, struct pconn *c)
{
	for (int i = 0; i < READS_PER_TURN && c->readable && !c->stalled && !c->broken; i++) {
		uint8_t *buf = c->input ? c->input : p->scratch;
		const size_t had = c->input_length, room = ADAPTER_PACKET_MAX - had;
		ssize_t n = recv(c->fd, buf + had, room, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->readable = false;
			c->broken |= errno != EAGAIN;
			return;
		}
		if (!n) {
			c->broken = true;
			return;
		}
		if ((size_t)n < room && !c->hung_up)
			c->readable = false;
		if (c->ending)
			continue;               /* read for the sake of a refusal, see wind_up */
		keep(p, c, buf, take_packets(p, c, buf, had + (size_t)n), had + (size_t)n);
	}
}

/* Go on with what was kept when the client was stalled. */
static void resume(struct ports *p, struct pconn *c)
{
	c->stalled = false;
	p->n_stalled--;
	if (c->input)
		keep(p, c, c->input, take_packets(p, c, c->input, c->input_length), c->input_length);
}

/* ---- Coming and going ------------------------------------------------------------------------- */

static uint64_t data_of(const struct ports *p, const struct pconn *c)
{
	return PORTS_MARK | (uint64_t)c->generation << 32 | (uint64_t)(c - p->conns);
}

static void close_conn(struct ports *p, struct pconn *c)
{
	session_leave(p, c);
	if (c->stalled)
		p->n_stalled--;
	buffer_give(p, c->input);
	buffer_give(p, c->output);
	for (unsigned i = 0; i < ADAPTER_ALIASES; i++)
		free(c->alias[i]);
	memset(c->alias, 0, sizeof(c->alias));
	close(c->fd);
	c->fd = -1;
	c->input = c->output = NULL;
	c->generation = (c->generation + 1) & GENERATION_MASK;
	c->next = p->conns_free;
	p->conns_free = (uint32_t)(c - p->conns);
	p->port[c->port].clients--;
	p->open--;
}

static struct pconn *take_slot(struct ports *p)
{
	struct pconn *c;
	uint32_t generation;
	bool dirty, again;

	if (p->conns_free != NONE) {
		c = &p->conns[p->conns_free];
		p->conns_free = c->next;
	} else if (p->conns_used < PORTS_CONNS_MAX) {
		c = &p->conns[p->conns_used++];
	} else {
		return NULL;
	}
	generation = c->generation;
	dirty = c->dirty;
	again = c->again;
	memset(c, 0, offsetof(struct pconn, window));
	c->generation = generation;
	c->dirty = dirty;
	c->again = again;
	return c;
}

/* Read again in the next turn. */
static void queue_again(struct ports *p, struct pconn *c)
{
	if (c->again || !c->readable || c->stalled || c->broken)
		return;
	c->again = true;
	p->again[p->n_again++] = (uint32_t)(c - p->conns);
}

static void adopt(struct ports *p, unsigned port, int fd)
{
	struct pconn *c = take_slot(p);

	if (!c) {
		p->stats.crowded_out++;
		close(fd);
		return;
	}
	p->stats.accepted++;
	p->open++;
	p->port[port].clients++;
	c->fd = fd;
	c->port = (uint8_t)port;
	c->session = NONE;
	c->packet_max = UINT32_MAX;
	c->heard_ns = c->sent_ns = c->packet_ns = p->now;
	if (p->host.watch(p->host.arg, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, data_of(p, c))) {
		c->broken = true;
		pconn_touch(p, c);
	}
}

static void accept_clients(struct ports *p, unsigned port)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		const int fd = accept4(p->port[port].listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			adopt(p, port, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

void ports_ready(struct ports *p, uint64_t data, uint32_t events)
{
	const uint32_t slot = (uint32_t)data;
	struct pconn *c;

	if (slot & SLOT_LISTEN) {
		const unsigned port = slot & ~SLOT_LISTEN;

		if (port >= PORTS_MAX || !p->port[port].ops)
			return;
		if (p->port[port].ops->flags & ADAPTER_DATAGRAM)
			datagrams_receive(p, port);
		else
			accept_clients(p, port);
		return;
	}
	if (slot >= p->conns_used || p->conns[slot].fd < 0 || data_of(p, &p->conns[slot]) != data)
		return;
	c = &p->conns[slot];
	c->broken |= events & (EPOLLERR | EPOLLHUP);
	c->readable |= events & (EPOLLIN | EPOLLRDHUP);
	c->hung_up |= events & EPOLLRDHUP;
	if (events & EPOLLOUT)
		c->blocked = false;
	receive(p, c);
	queue_again(p, c);
	if (c->broken || c->output || c->ending)
		pconn_touch(p, c);
}

/* ---- Turns ------------------------------------------------------------------------------------ */

/*
 * It is over. What was said last must arrive: closing while the client still sends would make the kernel send
 * a reset, which may overtake it. So only our side is closed, and the rest read, for a while.
 */
static void wind_up(struct ports *p, struct pconn *c)
{
	if (c->polite || c->blocked) {
		c->broken = true;
		return;
	}
	if (c->lingers)
		return;
	session_leave(p, c);
	c->lingers = true;
	c->readable = true;
	c->packet_ns = p->now;
	if (c->stalled)
		p->n_stalled--;
	c->stalled = false;
	c->broken = shutdown(c->fd, SHUT_WR);
	receive(p, c);
}

/* Everything that is due to one connection. */
static void settle(struct ports *p, struct pconn *c)
{
	acknowledge(p, c);
	if (c->stalled && !c->ending && !c->broken && c->last - c->first < PORTS_WINDOW &&
	    p->events_held < p->host.leaves / 2) {
		resume(p, c);
		acknowledge(p, c);
	}
	if (!c->ending)
		session_flush(p, c);
	transmit(p, c);
	if (c->ending && !c->broken && (!c->output || c->blocked))
		wind_up(p, c);
	queue_again(p, c);
	if (c->broken)
		close_conn(p, c);
}

static void check_time(struct ports *p, struct pconn *c)
{
	const uint64_t heard = p->now - c->heard_ns;

	if (c->lingers && p->now - c->packet_ns > PORTS_LINGER_NS)
		c->broken = true;
	else if (c->lingers)
		return;
	else if (c->output && c->blocked && p->now - c->sent_ns > PORTS_STALL_NS)
		c->broken = true;
	else if (!c->connected && heard > PORTS_CONNECT_NS)
		c->broken = true;
	else if (c->input && !c->stalled && p->now - c->packet_ns > PORTS_PACKET_NS)
		pconn_refuse(p, c, REASON_KEEP_ALIVE);
	else if (c->keep_alive_s && !c->stalled && heard > c->keep_alive_s * (NS_PER_SEC * 3 / 2))
		pconn_refuse(p, c, REASON_KEEP_ALIVE);  /* [MQTT-3.1.2-22] */
	else
		return;
	p->stats.timed_out++;
	pconn_touch(p, c);
}

static void sweep(struct ports *p)
{
	if (p->now < p->next_sweep)
		return;
	p->next_sweep = p->now + SWEEP_NS;
	for (uint32_t i = 0; i < p->conns_used && p->open; i++) {
		struct pconn *c = &p->conns[i];

		if (c->fd < 0)
			continue;
		check_time(p, c);
		if (c->stalled)
			pconn_touch(p, c);
	}
	sessions_sweep(p);
	datagrams_sweep(p);
}

/* Leaves have come free: all who waited for one have a turn. */
static void unstall(struct ports *p)
{
	if (!p->wake || p->events_held >= p->host.leaves / 2)
		return;
	p->wake = false;
	for (uint32_t i = 0, n = p->n_stalled; i < p->conns_used && n; i++) {
		struct pconn *c = &p->conns[i];

		if (c->fd < 0 || !c->stalled)
			continue;
		n--;
		if (c->last - c->first < PORTS_WINDOW)
			pconn_touch(p, c);
	}
}

void ports_turn(struct ports *p)
{
	const uint32_t n = p->n_again;

	for (uint32_t i = 0; i < n; i++) {
		struct pconn *c = &p->conns[p->again[i]];

		c->again = false;
		if (c->fd < 0)
			continue;
		receive(p, c);
		queue_again(p, c);
		pconn_touch(p, c);
	}
	p->n_again -= n;
	memmove(p->again, p->again + n, p->n_again * sizeof(p->again[0]));
	events_retry(p);
	unstall(p);
	sweep(p);
	/* What is touched meanwhile (a message for another client) is served in the same turn. */
	for (uint32_t i = 0; i < p->n_dirty; i++) {
		struct pconn *c = &p->conns[p->dirty[i]];

		if (c->fd >= 0)
			settle(p, c);
		c->dirty = false;
		if (i == PORTS_CONNS_MAX) {     /* the rest in the next turn */
			memmove(p->dirty, p->dirty + i + 1, (p->n_dirty - i - 1) * sizeof(p->dirty[0]));
			p->n_dirty -= i + 1;
			return;
		}
	}
	p->n_dirty = 0;
}

int64_t ports_due(const struct ports *p)
{
	uint64_t at = UINT64_MAX;

	if (p->n_again || p->n_dirty || (p->wake && p->events_held < p->host.leaves / 2))
		return 0;
	if (p->open || p->sessions_used)
		at = p->next_sweep;
	if (p->waiting_first != NONE && p->retry_at < at)
		at = p->retry_at;
	if (at == UINT64_MAX)
		return -1;
	return at > p->now ? (int64_t)(at - p->now) : 0;
}

void ports_set_now(struct ports *p, uint64_t now_ns)
{
	p->now = now_ns;
}

void ports_hang_up(struct ports *p, unsigned port)
{
	for (uint32_t i = 0; i < p->conns_used; i++) {
		struct pconn *c = &p->conns[i];

		if (c->fd < 0 || c->port != port)
			continue;
		pconn_refuse(p, c, REASON_SHUTTING_DOWN);
		transmit(p, c);
		close_conn(p, c);
	}
}
