/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From answers to bytes. The head is written into one scratch area and sent together with the body,
 * which lies where the function wrote it; only what the socket did not take of a head is kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "chain/gateway_conn.h"

/* The Date field changes once a second: so it is written once a second (RFC 9110 §6.6.1). */
static const char *date_field(struct front *f)
{
	if (f->now >= f->date_until) {
		const time_t t = time(NULL);
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(f->date, sizeof(f->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		f->date_until = f->now + NS_PER_SEC;
	}
	return f->date;
}

static ssize_t write_head(struct front *f, const struct exchange *x)
{
	const struct answer *a = &x->answer;

	return http_write_response_head(f->head, sizeof(f->head), a->status, a->content_type,
					a->fields, date_field(f), a->body.length, x->keep_alive);
}

/* Exchange `first` is done with: the buffer goes back, the next one may be sent. */
static void finish(struct front *f, struct conn *c, struct exchange *x)
{
	f->host.answered(f->host.arg, x);
	if (x->answer.m)
		f->host.release(f->host.arg, x->answer.m);
	free(x->answer.page);
	front_unbuffer(f, c->output);
	c->output = NULL;
	c->sending = false;
	c->first++;
	c->output_ns = f->now;
	if (x->keep_alive)
		return;
	c->linger |= c->input_state != INPUT_CLOSED;        /* its body is still on the way */
	c->input_state = INPUT_CLOSED;
}

/* Keep what was not sent of the head in f->head. */
static void keep_head(struct front *f, struct conn *c, size_t sent, size_t length)
{
	c->output = front_buffer(f);
	if (!c->output) {
		c->broken = true;
		return;
	}
	memcpy(c->output, f->head + sent, length - sent);
	c->output_at = 0;
	c->output_length = (uint32_t)(length - sent);
}

/* Send exchange `first`. True when it is finished. */
static bool send_answer(struct front *f, struct conn *c, struct exchange *x)
{
	const uint64_t body = x->head_only || x->answer.status == 204 || x->answer.status == 304 ?
			      0 : x->answer.body.length;
	struct iovec iov[2] = { { 0 } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t head = 0, n;

	if (!c->sending) {
		head = write_head(f, x);
		if (head < 0) {                 /* a function changed its answer behind our back */
			conn_refuse(f, x, 502, NULL);
			return false;
		}
		c->sending = true;
		c->output_ns = f->now;
		c->body_sent = 0;
		iov[0] = (struct iovec){ f->head, (size_t)head };
	} else if (c->output) {
		iov[0] = (struct iovec){c->output + c->output_at, c->output_length - c->output_at};
	}
	iov[1] = (struct iovec){ (char *)(uintptr_t)x->answer.body.at + c->body_sent,
				 (size_t)(body - c->body_sent) };
	do
		n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		c->broken = true;
		return false;
	}
	if (n < 0)
		n = 0;
	if (n)
		c->output_ns = f->now;
	f->stats.bytes_out += (uint64_t)n;
	if ((size_t)n == iov[0].iov_len + iov[1].iov_len)
		return true;
	c->blocked = true;
	if ((size_t)n >= iov[0].iov_len) {
		c->body_sent += (uint64_t)n - iov[0].iov_len;
		front_unbuffer(f, c->output);
		c->output = NULL;
	} else if (c->output) {
		c->output_at += (uint32_t)n;
	} else {
		keep_head(f, c, (size_t)n, (size_t)head);
	}
	return false;
}

/* All earlier answers are out and the client waits for leave to send its body. */
static void send_continue(struct conn *c, struct exchange *x)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const ssize_t n = send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL);

	x->want_continue = false;
	/*
	 * A full socket at this point: the client goes on by itself (RFC 9110 §10.1.1), or times
	 * out.
	 */
	c->broken |= n >= 0 && (size_t)n < sizeof(text) - 1;
}

void conn_flush(struct front *f, struct conn *c)
{
	while (!c->broken && !c->blocked && c->first != c->next) {
		struct exchange *x = conn_exchange(c, c->first);

		if (x->state == EXCHANGE_RECEIVING && x->want_continue)
			send_continue(c, x);
		if (x->state != EXCHANGE_READY)
			return;
		if (send_answer(f, c, x))
			finish(f, c, x);
	}
}
