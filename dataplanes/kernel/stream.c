/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/probe.h"
#include "dataplanes/kernel/stream.h"

/* ---- Memory and sockets ----------------------------------------------------------------------- */

int stream_arena_make(struct stream_arena *a, unsigned streams, uint32_t body_max)
{
	a->room = (HTTP_HEAD_MAX + body_max + 4095) & ~4095u;
	a->bytes = (size_t)streams * 2 * a->room;
	a->base = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->base == MAP_FAILED) {
		a->base = NULL;
		return -errno;
	}
	/* Most streams touch a page or two of each buffer; huge pages would make that 2 MiB. */
	madvise(a->base, a->bytes, MADV_NOHUGEPAGE);
	return 0;
}

void stream_arena_free(struct stream_arena *a)
{
	if (a->base)
		munmap(a->base, a->bytes);
	a->base = NULL;
}

void stream_open(struct stream *s, const struct stream_arena *a, unsigned index, int fd,
		 bool response)
{
	char *in = a->base + (size_t)index * 2 * a->room;

	*s = (struct stream){
		.fd = fd, .room = a->room, .in = in, .out = in + a->room, .response = response,
	};
}

void stream_close(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->filled = s->raw = s->body = s->sent = s->pending = 0;
}

int stream_watch(int epfd, int fd, uint64_t data)
{
	struct epoll_event e = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = data,
	};

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static void no_delay(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

int stream_connect(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	no_delay(fd);
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int stream_accept(int listener)
{
	int fd;

	do
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	if (fd < 0)
		return -errno;
	no_delay(fd);
	return fd;
}

/* ---- Receiving -------------------------------------------------------------------------------- */

int stream_fill(struct stream *s, bool hangup)
{
	while (!s->ended && s->filled < s->room) {
		uint32_t free = s->room - s->filled;
		ssize_t n = recv(s->fd, s->in + s->filled, free, 0);

		if (n > 0) {
			s->filled += (uint32_t)n;
			s->readable = true;
			/* A short read has emptied the socket: the next bytes make a new edge. */
			if ((uint32_t)n < free && !hangup) {
				s->readable = false;
				return 0;
			}
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		s->readable = false;
		if (!n)
			s->ended = true;
		else if (errno != EAGAIN)
			return -errno;
		return 0;
	}
	return 0;
}

/* The head is whole: how does its body end? Minus a status when it cannot be held. */
static int begin_body(struct stream *s)
{
	const struct http_head *h = &s->head;

	s->raw = (uint32_t)h->head_bytes;
	s->body = 0;
	if (s->no_body) {
		s->part = PART_WHOLE;
	} else if (h->chunked) {
		s->chunks = (struct http_chunks){ 0 };
		s->part = PART_CHUNKS;
	} else if (h->has_length || !s->response) {
		if (h->has_length && h->content_length > s->room - h->head_bytes)
			return -413;
		s->part = PART_LENGTH;
	} else {
		s->part = PART_UNTIL_END;
	}
	return 0;
}

static int read_head(struct stream *s)
{
	int n;

	/* `raw` counts the bytes the parser has seen: without a new line end it cannot get further. */
	if (s->filled == s->raw || !memchr(s->in + s->raw, '\n', s->filled - s->raw)) {
		s->raw = s->filled;
		return s->filled > HTTP_HEAD_MAX ? -431 : 0;
	}
	n = s->response ? http_parse_response(&s->head, s->in, s->filled) :
			  http_parse_request(&s->head, s->in, s->filled);
	if (!n)
		s->raw = s->filled;
	if (n <= 0)
		return n;
	n = begin_body(s);
	return n ? n : 1;
}

static int read_chunks(struct stream *s)
{
	char *end = s->in + s->head.head_bytes + s->body;
	size_t used, made;
	int err;

	err = http_dechunk(&s->chunks, s->in + s->raw, s->filled - s->raw, end, &used, &made,
			   s->room - s->head.head_bytes);
	if (err < 0)
		return err;
	s->raw += (uint32_t)used;
	s->body += (uint32_t)made;
	if (err)
		return 1;
	/* All has been decoded: the framing's bytes are free again. */
	s->raw = s->filled = (uint32_t)s->head.head_bytes + s->body;
	return 0;
}

static int read_body(struct stream *s)
{
	uint32_t have = s->filled - (uint32_t)s->head.head_bytes;

	switch (s->part) {
	case PART_CHUNKS:
		return read_chunks(s);
	case PART_LENGTH:
		if (s->head.has_length && have < s->head.content_length)
			return 0;
		s->body = s->head.has_length ? (uint32_t)s->head.content_length : 0;
		s->raw += s->body;
		return 1;
	case PART_UNTIL_END:
		if (!s->ended)
			return s->filled == s->room ? -413 : 0;
		s->body = have;
		s->raw += have;
		return 1;
	default:
		return 1;
	}
}

int stream_next(struct stream *s)
{
	int got;

	for (;;) {
		if (s->part == PART_HEAD) {
			got = read_head(s);
			if (got <= 0)
				return got;
		}
		if (s->part != PART_WHOLE) {
			got = read_body(s);
			if (got <= 0)
				return got;
			s->part = PART_WHOLE;
		}
		if (!s->response || s->head.status >= 200)
			return 1;
		stream_consume(s);
	}
}

void stream_consume(struct stream *s)
{
	uint32_t left = s->filled - s->raw;

	if (left)
		memmove(s->in, s->in + s->raw, left);
	s->filled = left;
	s->raw = s->body = 0;
	s->part = PART_HEAD;
}

/* ---- Sending ---------------------------------------------------------------------------------- */

/* Keep what `iov` has after its first `skip` bytes until the socket takes it. */
static int keep(struct stream *s, const struct iovec *iov, int n, size_t skip)
{
	for (int i = 0; i < n; i++) {
		size_t length = iov[i].iov_len;

		if (skip >= length) {
			skip -= length;
			continue;
		}
		length -= skip;
		if (length > s->room - s->pending)
			return -ENOBUFS;
		memcpy(s->out + s->pending, (const char *)iov[i].iov_base + skip, length);
		s->pending += (uint32_t)length;
		PERHOP_COPY(length);
		skip = 0;
	}
	return 0;
}

int stream_send(struct stream *s, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t sent = 0;

	if (!s->pending) {
		do
			sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
		/* ENOTCONN: still connecting; EPOLLOUT will tell. */
		if (sent < 0 && errno != EAGAIN && errno != ENOTCONN)
			return -errno;
		if (sent < 0)
			sent = 0;
	}
	return keep(s, iov, n, (size_t)sent);
}

int stream_push(struct stream *s)
{
	while (s->sent < s->pending) {
		ssize_t n = send(s->fd, s->out + s->sent, s->pending - s->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOTCONN ? 0 : -errno;
		s->sent += (uint32_t)n;
	}
	s->sent = s->pending = 0;
	return 0;
}
