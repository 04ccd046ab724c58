/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack=kernel: the kernel's TCP between two gateways, made as cheap as sockets are.
 *
 *   send      one sendmsg per loop turn for all messages of it; the kernel copies once
 *   receive   one recv into a posted buffer, placed so that the payload of a message that comes alone
 *             lies in the arena: the kernel copies once, nobody else. What came behind it in the same
 *             recv is copied once more, into a buffer of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/dataplane.h"
#include "chain/netns.h"
#include "chain/node.h"
#include "chain/peer_wire.h"
#include "chain/pool.h"

enum { RECVS = 16, SCRATCH_BYTES = 64 << 10 };

/* Of peer_config.watch. A connection and one that knocks have FIRST and SECOND, or the other way round. */
enum { LISTENER, FIRST, SECOND };

struct peer_tcp {
	struct peer_config c;
	int listener, fd;           /* -1: none */
	unsigned slot;              /* of fd */
	int knocking;               /* accepted while there is a connection, and has not said HELLO; -1: none */
	uint64_t knocked_ns;        /* since when */
	bool connected, readable, writable;
	bool closing;               /* no more comes: the kernel will not say so again */
	uint64_t retry_ns;
	struct message *posted;     /* what the next recv goes into */
	unsigned char scratch[SCRATCH_BYTES];       /* … when there is no buffer */
};

static void drop(struct peer_tcp *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->connected = p->readable = p->writable = p->closing = false;
}

static void fail(struct peer_tcp *p, const char *why)
{
	const bool was = p->connected;

	drop(p);
	if (was)
		p->c.events->down(p->c.arg, why);
}

/* A connection dies of silence: in a cut link the kernel itself would try for a quarter of an hour. */
static void tune(int fd)
{
	const int one = 1, timeout_ms = (int)(NODE_SILENCE_NS / NS_PER_MS);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static int watch(struct peer_tcp *p, unsigned slot, int fd)
{
	tune(fd);
	return p->c.watch(p->c.arg, slot, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static int adopt(struct peer_tcp *p, int fd)
{
	p->fd = fd;
	return watch(p, p->slot, fd);
}

static unsigned other_slot(const struct peer_tcp *p)
{
	return p->slot == FIRST ? SECOND : FIRST;
}

static void connected(struct peer_tcp *p)
{
	p->connected = p->writable = p->readable = true;
	p->c.events->up(p->c.arg);
}

static void try_connect(struct peer_tcp *p)
{
	const struct sockaddr_in *to = &p->c.node->peer;
	int fd = netns_socket(p->c.node->netns, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS) {
		close(fd);
		return;
	}
	if (adopt(p, fd))
		drop(p);
}

static void knock(struct peer_tcp *p, int fd)
{
	if (p->knocking >= 0)
		close(p->knocking);
	p->knocking = fd;
}

/* A newer connection than the one there is: the other node's gateway was started again, or somebody else is there. */
static void accept_one(struct peer_tcp *p)
{
	int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (p->connected) {
		knock(p, fd);
		p->knocked_ns = clock_now_ns();
		if (watch(p, other_slot(p), fd))
			knock(p, -1);
		return;
	}
	if (adopt(p, fd))
		drop(p);
	else
		connected(p);
}

static void hear_knocking(struct peer_tcp *p, uint32_t events)
{
	const int fd = p->knocking;
	unsigned char hello[PEER_HEADER_BYTES];
	const ssize_t n = recv(fd, hello, sizeof(hello), MSG_PEEK | MSG_DONTWAIT);
	const bool more = !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));

	if ((n < 0 && (errno == EAGAIN || errno == EINTR)) || (n > 0 && n < (ssize_t)sizeof(hello) && more))
		return;
	if (n < 0 || !peer_is_hello(hello, (size_t)n, p->c.node->fingerprint)) {
		knock(p, -1);
		return;
	}
	p->knocking = -1;
	fail(p, "the other node has connected anew");
	p->fd = fd;
	p->slot = other_slot(p);
	p->closing = !more;
	connected(p);
}

static void finish_connect(struct peer_tcp *p)
{
	int err = 0;
	socklen_t length = sizeof(err);

	if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &length) || err)
		drop(p);
	else
		connected(p);
}

static void tcp_ready(void *priv, int fd, uint32_t events)
{
	struct peer_tcp *p = priv;

	if (fd == p->listener) {
		accept_one(p);
		return;
	}
	if (fd == p->knocking) {
		hear_knocking(p, events);
		return;
	}
	if (fd != p->fd)
		return;
	if (!p->connected) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			finish_connect(p);
		return;
	}
	p->closing |= (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
	p->readable |= (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
	p->writable |= (events & EPOLLOUT) != 0;
}

/* One recv. False: there is no more. */
static bool receive(struct peer_tcp *p)
{
	unsigned char *at = p->scratch;
	size_t room = sizeof(p->scratch);
	bool taken;
	ssize_t n;
	int err;

	if (!p->posted)
		p->posted = pool_post(p->c.pool, GATEWAY);
	if (p->posted) {
		at = (unsigned char *)message_payload(p->posted) - PEER_HEADER_BYTES;
		room = pool_buffer_bytes(p->c.pool) - sizeof(*p->posted) + PEER_HEADER_BYTES;
	}
	n = recv(p->fd, at, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->readable = errno == EINTR;
		return false;
	}
	if (n <= 0) {
		fail(p, n ? strerror(errno) : "the other node has closed the connection");
		return false;
	}
	/* Less than there is room for: all that there was, but for an end. The next bytes make a new edge. */
	p->readable = (size_t)n == room || p->closing;
	err = p->c.events->received(p->c.arg, at, (size_t)n, p->posted, &taken);
	if (taken)
		p->posted = NULL;
	if (err)
		fail(p, "the other node sent something unsound");
	return !err && p->readable;
}

static void tcp_turn(void *priv, uint64_t now_ns)
{
	struct peer_tcp *p = priv;

	if (p->fd < 0 && p->listener < 0 && now_ns >= p->retry_ns) {
		p->retry_ns = now_ns + PEER_RETRY_NS;
		try_connect(p);
	}
	if (p->knocking >= 0 && now_ns >= p->knocked_ns + NODE_SILENCE_NS)
		knock(p, -1);
	/* Not connected within the time that a connection may be silent: try afresh. */
	if (p->fd >= 0 && !p->connected && now_ns >= p->retry_ns + NODE_SILENCE_NS)
		drop(p);
	for (unsigned i = 0; i < RECVS && p->connected && p->readable; i++)
		if (!receive(p))
			break;
}

static int64_t tcp_due(void *priv, uint64_t now_ns)
{
	const struct peer_tcp *p = priv;
	const uint64_t knock = p->knocked_ns + NODE_SILENCE_NS, at = p->knocking >= 0 ? knock : p->retry_ns;

	if (p->connected && p->readable)
		return 0;
	if (p->knocking < 0 && (p->connected || p->listener >= 0))
		return -1;
	if (p->knocking < 0 && p->fd >= 0)
		return (int64_t)PEER_RETRY_NS;
	return at > now_ns ? (int64_t)(at - now_ns) : 0;
}

static ssize_t tcp_send(void *priv, const struct iovec *iov, unsigned n)
{
	struct peer_tcp *p = priv;
	struct msghdr h = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t sent;

	if (!p->connected)
		return -EPIPE;
	if (!p->writable)
		return 0;
	sent = sendmsg(p->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->writable = errno == EINTR;
		return 0;
	}
	if (sent < 0)
		return -errno;
	p->c.events->sent(p->c.arg, (size_t)sent);
	return sent;
}

static void tcp_flush(void *priv)
{
	(void)priv;
}

static void tcp_reset(void *priv)
{
	const struct linger now = { .l_onoff = 1 };
	struct peer_tcp *p = priv;

	if (p->fd >= 0)
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	drop(p);
}

static void tcp_close(void *priv)
{
	struct peer_tcp *p = priv;

	if (!p)
		return;
	drop(p);
	knock(p, -1);
	if (p->listener >= 0)
		close(p->listener);
	if (p->posted)
		pool_unpost(p->c.pool, p->posted, GATEWAY);
	free(p);
}

static int tcp_open(void **priv, const struct peer_config *c, char *why, size_t why_bytes)
{
	struct peer_tcp *p = calloc(1, sizeof(*p));
	char text[INET_ADDRSTRLEN];
	int err = 0;

	*priv = p;
	if (!p)
		return -ENOMEM;
	p->c = *c;
	p->fd = p->listener = p->knocking = -1;
	p->slot = FIRST;
	if (!c->node->listens)
		return 0;
	p->listener = netns_listen(c->node->netns, &c->node->peer, 4);
	if (p->listener < 0)
		err = p->listener;
	else
		err = c->watch(c->arg, LISTENER, p->listener, EPOLLIN);
	if (err) {
		inet_ntop(AF_INET, &c->node->peer.sin_addr, text, sizeof(text));
		snprintf(why, why_bytes, "cannot listen for the other node on %s:%u: %s", text,
			 ntohs(c->node->peer.sin_port), strerror(-err));
	}
	return err;
}

static void tcp_settings(FILE *f)
{
	fprintf(f, "link: TCP_NODELAY\nlink: TCP_USER_TIMEOUT %u ms\nlink: up to %d recv a turn\n",
		(unsigned)(NODE_SILENCE_NS / NS_PER_MS), RECVS);
}

static void tcp_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = true;
}

const struct peer_stack peer_tcp = {
	.name = "kernel",
	.probe = tcp_probe,
	.open = tcp_open,
	.close = tcp_close,
	.write = tcp_send,
	.flush = tcp_flush,
	.ready = tcp_ready,
	.turn = tcp_turn,
	.due = tcp_due,
	.reset = tcp_reset,
	.settings = tcp_settings,
};
