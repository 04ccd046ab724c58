/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/2 connections: bytes to libnghttp2 and from it, and what it calls back.
 *
 *     recv ──> input ──> nghttp2_session_mem_recv ──> callbacks ──> server.c, client.c
 *
 *     nghttp2_session_mem_send ──> frames ┐
 *                    tx of each call ─────┴──> one sendmsg per connection and turn
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/probe.h"
#include "dataplanes/kernel/grpc_conn.h"

/* ---- Sending ----------------------------------------------------------------------------------- */

static struct rpc *rpc_of(nghttp2_session *h2, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(h2, stream);
}

static void add_part(struct h2_gather *p, const void *at, size_t n)
{
	struct iovec *last = p->parts ? &p->part[p->parts - 1] : NULL;

	p->bytes += n;
	if (last && (char *)last->iov_base + last->iov_len == at)
		last->iov_len += n;
	else
		p->part[p->parts++] = (struct iovec){ (void *)(uintptr_t)at, n };
}

static void add_frame(struct h2_gather *p, const uint8_t *bytes, size_t n)
{
	memcpy(p->frames + p->used, bytes, n);
	add_part(p, p->frames + p->used, n);
	p->used += (uint32_t)n;
}

/* Is there room for one more frame, with a part of a message? */
static bool has_room(const struct h2_gather *p)
{
	return sizeof(p->frames) - p->used >= H2_FRAME_ROOM && p->parts + 2 <= H2_PARTS &&
	       p->bytes + H2_FRAME_ROOM <= H2_OUT_BYTES;
}

static ssize_t read_message(nghttp2_session *h2, int32_t stream, uint8_t *buffer, size_t length,
			    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct rpc *r = source->ptr;
	const uint32_t left = r->tx_bytes - r->tx_sent;

	(void)arg;
	(void)h2;
	(void)stream;
	(void)buffer;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (left > length)
		return (ssize_t)length;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (r->server && !r->refusal) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (server_trailers(r))
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return left;
}

nghttp2_data_provider h2_message(struct rpc *r)
{
	return (nghttp2_data_provider){ .source.ptr = r, .read_callback = read_message };
}

static int send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t length,
		     nghttp2_data_source *source, void *arg)
{
	struct grpc *g = ((struct h2_conn *)arg)->g;
	struct rpc *r = source->ptr;

	(void)h2;
	(void)frame;
	if (!has_room(&g->gather)) {
		g->gather.full = true;
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	add_frame(&g->gather, head, 9);
	if (length)
		add_part(&g->gather, r->tx + r->tx_sent, length);
	r->tx_sent += (uint32_t)length;
	return 0;
}

/* Have libnghttp2 write frames until it has no more or there is no more room. 0 or -EPROTO. */
static int gather(struct grpc *g, struct h2_conn *c)
{
	struct h2_gather *p = &g->gather;
	const uint8_t *bytes;
	ssize_t n;

	p->number++;
	p->bytes = 0;
	p->used = 0;
	p->parts = 0;
	p->full = false;
	while (has_room(p)) {
		n = nghttp2_session_mem_send(c->h2, &bytes);
		if (n <= 0)
			return n ? -EPROTO : 0;
		add_frame(p, bytes, (size_t)n);
	}
	p->full = true;
	return 0;
}

/* Keep what the socket did not take after `sent` bytes. */
static void keep(struct h2_conn *c, const struct h2_gather *p, size_t sent)
{
	c->out_at = c->out_bytes = 0;
	for (int i = 0; i < p->parts; i++) {
		const struct iovec *v = &p->part[i];

		if (sent >= v->iov_len) {
			sent -= v->iov_len;
			continue;
		}
		memcpy(c->out + c->out_bytes, (char *)v->iov_base + sent, v->iov_len - sent);
		PERHOP_COPY(v->iov_len - sent);
		c->out_bytes += (uint32_t)(v->iov_len - sent);
		sent = 0;
	}
}

/* 0, or -errno: nothing of it was taken, and the connection is broken. */
static int send_parts(struct h2_conn *c, struct h2_gather *p)
{
	const struct msghdr msg = { .msg_iov = p->part, .msg_iovlen = (size_t)p->parts };
	ssize_t sent;

	do
		sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	/* ENOTCONN: still connecting; EPOLLOUT will tell. */
	if (sent < 0 && errno != EAGAIN && errno != ENOTCONN)
		return -errno;
	if ((size_t)(sent < 0 ? 0 : sent) < p->bytes)
		keep(c, p, sent < 0 ? 0 : (size_t)sent);
	return 0;
}

/* The socket takes bytes again: what was kept goes first. 0 or -errno. */
static int push(struct h2_conn *c)
{
	while (c->out_bytes) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOTCONN ? 0 : -errno;
		c->out_at += (uint32_t)n;
		c->out_bytes -= (uint32_t)n;
	}
	return 0;
}

/* Calls whose HEADERS went into the sendmsg that failed have not left this machine. */
static void unsend(struct grpc *g, const struct h2_conn *c)
{
	for (unsigned i = 0; i < g->n_rpcs; i++)
		if (g->rpc[i].c == c && g->rpc[i].sent == g->gather.number)
			g->rpc[i].sent = 0;
}

void h2_flush(struct grpc *g, struct h2_conn *c)
{
	bool more = true;
	int err = 0;

	while (more && !err && !c->broken && !c->out_bytes) {
		g->gathering = true;
		err = gather(g, c);
		g->gathering = false;
		more = g->gather.full;
		if (err || !g->gather.bytes)
			break;
		err = send_parts(c, &g->gather);
		if (err)
			unsend(g, c);
	}
	if (err || c->broken || (!c->out_bytes && !nghttp2_session_want_read(c->h2) &&
				 !nghttp2_session_want_write(c->h2)))
		h2_close(g, c);
}

void h2_touch(struct grpc *g, struct h2_conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	g->dirty[g->n_dirty++] = c->index;
}

/* ---- Callbacks --------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct h2_conn *c = arg;
	struct grpc *g = c->g;
	struct rpc *r;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	r = rpc_take(g, c, RPC_READING);
	if (!r) {
		/* Nothing was looked at: the client may send it again. */
		grpc_count(&g->c.counters->refused);
		return nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
						 NGHTTP2_REFUSED_STREAM) ?
			       NGHTTP2_ERR_CALLBACK_FAILURE : 0;
	}
	r->stream = frame->hd.stream_id;
	nghttp2_session_set_stream_user_data(h2, r->stream, r);
	rpc_deadline(g, r, g->now + (g->c.timeout_ns ? g->c.timeout_ns : HALF_CALL_NS));
	return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
		     void *arg)
{
	struct rpc *r = rpc_of(h2, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	/* A client's trailers say nothing: its call was judged by its head. */
	if (r && (!r->server || frame->headers.cat == NGHTTP2_HCAT_REQUEST))
		grpc_head_field(&r->head, (struct slice){ (const char *)name, name_length },
				(struct slice){ (const char *)value, value_length });
	return 0;
}

/* A stream reset costs us more than the client: so many, and the connection ends. */
static void on_reset(struct grpc *g, struct h2_conn *c)
{
	const uint64_t earned = (g->now - c->resets_at) * H2_RESETS_PER_SEC / NS_PER_SEC;

	if (earned) {
		c->resets_at = g->now;
		c->resets = earned + (uint64_t)c->resets > H2_RESETS_BURST ? H2_RESETS_BURST :
									   c->resets + (int32_t)earned;
	}
	if (c->resets-- > 0)
		return;
	c->resets = 0;
	nghttp2_session_terminate_session(c->h2, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void on_goaway(struct grpc *g, struct h2_conn *c)
{
	c->leaving = true;
	if (!c->server && g->peer[c->target] == c)
		g->peer[c->target] = NULL;
}

static void on_headers(struct grpc *g, struct rpc *r, const nghttp2_frame *frame)
{
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		PERHOP_DECODE(TYPE_HTTP_REQUEST, frame->hd.length);
		server_head(g, r);
	} else if (!r->server) {
		/* The answer's head; with the stream's end in it, it is the trailers too. */
		if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
			PERHOP_DECODE(TYPE_HTTP_RESPONSE, frame->hd.length);
		client_head_whole(g, r);
	}
}

static int on_frame_recv(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct h2_conn *c = arg;
	struct grpc *g = c->g;
	struct rpc *r;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		r = rpc_of(h2, frame->hd.stream_id);
		if (!r)
			return 0;
		if (frame->hd.type == NGHTTP2_HEADERS)
			on_headers(g, r, frame);
		if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || r->ended)
			return 0;
		r->ended = true;
		if (r->server)
			server_ended(g, r);
		else
			client_ended(g, r);
		return 0;
	case NGHTTP2_SETTINGS:
		c->deadline = 0;
		return 0;
	case NGHTTP2_RST_STREAM:
		if (c->server)
			on_reset(g, c);
		return 0;
	case NGHTTP2_GOAWAY:
		on_goaway(g, c);
		return 0;
	default:
		return 0;
	}
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *in, size_t n,
		   void *arg)
{
	struct grpc *g = ((struct h2_conn *)arg)->g;
	struct rpc *r = rpc_of(h2, stream);

	if (!r)
		return 0;
	if (r->server)
		server_data(g, r, in, n, flags & NGHTTP2_FLAG_END_STREAM);
	else
		client_data(g, r, in, n);
	return 0;
}

/* Errors that a client has us reset its stream for, not what an endpoint in order says by a reset. */
static bool is_clients_fault(uint32_t error)
{
	return error != NGHTTP2_NO_ERROR && error != NGHTTP2_REFUSED_STREAM && error != NGHTTP2_CANCEL;
}

static int on_frame_send(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct h2_conn *c = arg;
	struct grpc *g = c->g;
	struct rpc *r;

	if (frame->hd.type == NGHTTP2_RST_STREAM && c->server && is_clients_fault(frame->rst_stream.error_code))
		on_reset(g, c);
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	r = rpc_of(h2, frame->hd.stream_id);
	if (!r)
		return 0;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST || frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
		PERHOP_ENCODE(r->server ? TYPE_HTTP_RESPONSE : TYPE_HTTP_REQUEST, frame->hd.length);
	r->sent = g->gather.number;
	/* An answer before the request's end: have the client stop (RFC 9113 §8.1). */
	if (r->server && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && !r->ended)
		nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, r->stream, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t error, void *arg)
{
	struct grpc *g = ((struct h2_conn *)arg)->g;
	struct rpc *r = rpc_of(h2, stream);

	if (!r)
		return 0;
	if (r->server)
		server_closed(g, r);
	else
		client_closed(g, r, error, !r->sent || error == NGHTTP2_REFUSED_STREAM);
	return 0;
}

int h2_setup(struct grpc *g)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	g->callbacks = cb;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
	return 0;
}

/* ---- Connections ------------------------------------------------------------------------------- */

/* A free slot; when there is none, that of the client who has been silent longest and waits for nothing. */
static struct h2_conn *free_slot(struct grpc *g, bool server)
{
	const unsigned from = server ? 0 : H2_SERVERS, n = server ? H2_SERVERS : H2_CLIENTS;
	struct h2_conn *idle = NULL;

	for (unsigned i = from; i < from + n; i++) {
		struct h2_conn *c = &g->conn[i];

		if (c->fd < 0)
			return c;
		if (!c->streams && (!idle || c->active < idle->active))
			idle = c;
	}
	if (!idle)
		return NULL;
	/* It is told (GOAWAY), so that its next call goes to a new connection. */
	nghttp2_session_terminate_session(idle->h2, NGHTTP2_NO_ERROR);
	h2_flush(g, idle);
	if (idle->fd >= 0)
		h2_close(g, idle);
	return idle;
}

static int begin_session(struct grpc *g, struct h2_conn *c)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, H2_TABLE_BYTES },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_FIELDS_MAX },
		/* The last one is a server's or a client's. */
		c->server ? (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
						      g->c.servers < H2_STREAMS ? g->c.servers : H2_STREAMS } :
			    (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};
	int err;

	err = c->server ? nghttp2_session_server_new3(&c->h2, g->callbacks, c, NULL,
						      &g->memory.mem) :
			  nghttp2_session_client_new3(&c->h2, g->callbacks, c, NULL,
						      &g->memory.mem);
	if (err) {
		c->h2 = NULL;
		return -ENOMEM;
	}
	if (nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, settings,
				    sizeof(settings) / sizeof(settings[0])) ||
	    nghttp2_session_set_local_window_size(c->h2, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW))
		return -ENOMEM;
	return 0;
}

int h2_open(struct grpc *g, struct h2_conn **out, int fd, bool server)
{
	struct h2_conn *c = free_slot(g, server);
	const uint16_t generation = c ? c->generation : 0;
	int err = -EAGAIN;

	*out = NULL;
	if (!c) {
		close(fd);
		return err;
	}
	*c = (struct h2_conn){
		.g = g, .fd = fd, .index = c->index, .generation = generation, .server = server,
		.out = c->out, .dirty = c->dirty, .again = c->again, .active = g->now,
		.resets = H2_RESETS_BURST, .resets_at = g->now,
	};
	err = begin_session(g, c);
	if (!err)
		err = stream_watch(g->epfd, fd, (uint64_t)generation << 32 | c->index);
	if (err) {
		h2_close(g, c);
		return err;
	}
	if (server) {
		c->deadline = g->now + PREFACE_NS;
		grpc_arm(g, c->deadline);
	}
	h2_touch(g, c);
	*out = c;
	return 0;
}

void h2_close(struct grpc *g, struct h2_conn *c)
{
	if (!c->server && g->peer[c->target] == c)
		g->peer[c->target] = NULL;
	nghttp2_session_del(c->h2);     /* calls nothing back */
	c->h2 = NULL;
	close(c->fd);
	c->fd = -1;
	c->generation++;
	c->deadline = 0;
	c->out_bytes = 0;
	for (unsigned i = 0; c->streams && i < g->n_rpcs; i++) {
		struct rpc *r = &g->rpc[i];

		if (r->c != c)
			continue;
		if (r->server)
			server_closed(g, r);
		else
			client_closed(g, r, NGHTTP2_CONNECT_ERROR, !r->sent);
	}
}

/* Bytes from the socket to libnghttp2. 0, or -errno: the connection has ended. */
static int read_some(struct grpc *g, struct h2_conn *c, bool hangup)
{
	for (int i = 0; i < H2_READS; i++) {
		ssize_t n = recv(c->fd, g->input, sizeof(g->input), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !n ? -EPIPE : errno == EAGAIN ? 0 : -errno;
		if (nghttp2_session_mem_recv(c->h2, (const uint8_t *)g->input, (size_t)n) < 0)
			return -EPROTO;
		c->active = g->now;
		/* A short read has emptied the socket: the next bytes make a new edge. */
		if ((size_t)n < sizeof(g->input) && !hangup)
			return 0;
	}
	if (!c->again) {
		c->again = true;
		g->again[g->n_again++] = c->index;
	}
	return 0;
}

void h2_event(struct grpc *g, struct h2_conn *c, uint32_t events)
{
	int err = read_some(g, c, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));

	if (!err && c->out_bytes)
		err = push(c);
	if (err || c->broken)
		h2_close(g, c);
	else if (nghttp2_session_want_write(c->h2) || !nghttp2_session_want_read(c->h2))
		h2_touch(g, c);
}
