/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TCP connection that carries HTTP/1.1 messages one after another: its buffers, and where in them
 * the current message is. The function server, its clients and queue-proxy are built on it.
 *
 *     in:   | head | body ......... | next message's bytes (pipelined) |      free      |
 *           0      head.head_bytes  +body             raw           filled            room
 *
 * Sockets are watched edge-triggered for everything from the start, so that a connection costs one
 * epoll_ctl in its life; `readable` remembers an edge that was not used up.
 */
#ifndef PERHOP_KERNEL_STREAM_H
#define PERHOP_KERNEL_STREAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "chain/http.h"

/* Where the current message's body is; PART_HEAD: its head is not whole yet. */
enum stream_part { PART_HEAD, PART_LENGTH, PART_CHUNKS, PART_UNTIL_END, PART_WHOLE };

struct stream {
	int fd;                     /* -1: not open */
	uint32_t room;              /* bytes of `in` and of `out` */
	char *in, *out;
	uint32_t filled;            /* bytes received into `in` */
	uint32_t raw;               /* of these, bytes that belong to the current message so far */
	uint32_t body;              /* bytes of its body so far, chunk framing removed */
	uint32_t sent, pending;     /* of `out`: what is left to send lies in between */
	uint8_t part;               /* enum stream_part */
	bool response;              /* messages read here are responses */
	bool no_body;               /* the next response answers a HEAD: its length is not followed */
	bool readable;              /* the socket may hold more bytes */
	bool ended;                 /* the peer sends no more */
	struct http_chunks chunks;
	struct http_head head;      /* of the current message, valid once its head is whole */
};

/* Buffers for many streams, reserved at once and touched only as they fill. */
struct stream_arena {
	char *base;
	size_t bytes;
	uint32_t room;
};

/* For `streams` streams with messages of up to `body_max` bytes after the head. 0 or -errno. */
int stream_arena_make(struct stream_arena *a, unsigned streams, uint32_t body_max);
void stream_arena_free(struct stream_arena *a);

/* Give stream `index` its buffers and the connected, or connecting, `fd`. */
void stream_open(struct stream *s, const struct stream_arena *a, unsigned index, int fd,
		 bool response);

/* Close the socket; the buffers stay. Idempotent. */
void stream_close(struct stream *s);

/* Watch `fd` edge-triggered for all that can happen; `data` comes back with events. 0 or -errno. */
int stream_watch(int epfd, int fd, uint64_t data);

/* A connecting, non-blocking socket without Nagle's delay: fd or -errno. */
int stream_connect(const struct sockaddr_in *to);

/* A connection of the listening socket `fd`, likewise; -EAGAIN when there is none. */
int stream_accept(int fd);

/*
 * Read what the socket has (normally one recv). `hangup`: epoll has reported the peer's end, so read
 * until it. 0, or -errno: the connection is broken. A full buffer is no error: `readable` stays set.
 */
int stream_fill(struct stream *s, bool hangup);

/*
 * Is the current message whole? 1: yes, at s->head and stream_body; 0: more bytes are needed (or
 * never come: see `ended`); minus an HTTP status: refuse it. Interim (1xx) responses are skipped.
 */
int stream_next(struct stream *s);

static inline const char *stream_body(const struct stream *s)
{
	return s->in + s->head.head_bytes;
}

/* The current message is done with: move on to the next one. Slices of the head end here. */
void stream_consume(struct stream *s);

/* Is nothing of a message here? Then the peer may close without harm. */
static inline bool stream_idle(const struct stream *s)
{
	return !s->filled;
}

/*
 * Send `iov` (at most `room` bytes): at once as far as the socket takes it, the rest is copied and
 * goes with stream_push. 0; -EPIPE, -ECONNRESET…: broken; -ENOBUFS: too much.
 */
int stream_send(struct stream *s, const struct iovec *iov, int n);

/* The socket takes bytes again. 0, or -errno: broken. */
int stream_push(struct stream *s);

#endif
