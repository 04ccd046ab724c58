/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client of the gateway, byte by byte: whatever it sends, requests are sound, every answer is a
 * whole response, and all is given back when it leaves.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "chain/gateway_front.h"
#include "tests/fuzz/fuzz.h"

enum { BUFFER = 16 << 10, HELD_MAX = 32 };

struct bench {
	struct front *front;
	uint64_t data;              /* of the one connection's events */
	unsigned buffers, n_held;
	struct {
		struct ticket ticket;
		struct message *m;
	} held[HELD_MAX];
};

static int on_watch(void *arg, int fd, uint32_t events, uint64_t data)
{
	(void)fd;
	(void)events;
	((struct bench *)arg)->data = data;
	return 0;
}

static bool on_open(void *arg, struct exchange *x, const struct http_head *h, bool whole)
{
	struct bench *b = arg;

	(void)whole;
	if (h->path.length % 3 == 2) {
		answer_text(&x->answer, 404, "no\n");
		return false;
	}
	x->m = aligned_alloc(64, BUFFER);
	b->buffers++;
	return x->m;
}

static bool on_submit(void *arg, struct ticket t, struct exchange *x, struct message *m,
		      uint32_t length)
{
	struct bench *b = arg;

	PROMISE(http_request_check(message_payload(m), length) == 0);
	if (b->n_held == HELD_MAX || length % 7 == 0) {
		answer_text(&x->answer, 503, "busy\n");
		return false;
	}
	b->held[b->n_held].ticket = t;
	b->held[b->n_held++].m = m;
	return true;
}

static void on_release(void *arg, struct message *m)
{
	((struct bench *)arg)->buffers--;
	free(m);
}

static void on_answered(void *arg, const struct exchange *x)
{
	(void)arg;
	PROMISE(x->answer.status >= 200 && x->answer.status < 600);
}

/* Answer one request, oldest or newest. */
static void answer(struct bench *b, bool oldest)
{
	const unsigned i = oldest ? 0 : b->n_held - 1;
	struct message *m = b->held[i].m;
	struct ticket t = b->held[i].ticket;
	struct answer a;

	b->held[i] = b->held[--b->n_held];
	answer_text(&a, 200, "fine\n");
	a.m = m;
	if (!front_answer(b->front, t, &a))
		on_release(b, m);
}

/* What the client got is a sequence of whole responses; of the last one there may be a part. */
static void check_answers(const char *text, size_t n)
{
	struct http_head h;

	while (n) {
		const int rc = http_parse_response(&h, text, n);
		size_t all;

		PROMISE(rc >= 0);
		if (rc == 0)
			return;
		/*
		 * The bodies above have a NUL nowhere and no "HTTP": find a HEAD's missing body so.
		 */
		all = (size_t)rc + (h.status >= 200 ? (size_t)h.content_length : 0);
		if (n > (size_t)rc &&
		    !strncmp(text + rc, "HTTP/1.1 ", n - (size_t)rc < 9 ? n - (size_t)rc : 9))
			all = (size_t)rc;
		if (all > n)
			return;
		text += all;
		n -= all;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char heard[256 << 10];
	struct bench b = { 0 };
	const struct front_host host = {
		.arg = &b, .room = BUFFER - sizeof(struct message), .body_max = 4096,
		.watch = on_watch, .open = on_open, .submit = on_submit, .release = on_release,
		.answered = on_answered,
	};
	uint64_t now = NS_PER_SEC;
	int pair[2];
	ssize_t n;

	if (front_create(&b.front, &host, 1))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
		goto out;
	front_set_now(b.front, now);
	front_adopt(b.front, pair[1]);
	/* Pieces and answers come in an order that the bytes themselves determine. */
	for (size_t at = 0; at < size;) {
		size_t piece = 1 + (data[at] * 7u + at) % 97;

		if (piece > size - at)
			piece = size - at;
		n = send(pair[0], data + at, piece, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		at += (size_t)n;
		front_ready(b.front, b.data, 1 /* EPOLLIN */);
		front_turn(b.front);
		if (b.n_held && data[at - 1] % 3 == 0)
			answer(&b, data[at - 1] & 1);
	}
	if (size % 2)
		shutdown(pair[0], SHUT_WR);
	while (b.n_held)
		answer(&b, true);
	front_ready(b.front, b.data, 1);
	front_turn(b.front);
	while (b.n_held)
		answer(&b, true);
	n = recv(pair[0], heard, sizeof(heard), 0);
	if (n > 0)
		check_answers(heard, (size_t)n);
	close(pair[0]);
	for (int i = 0; i < 3; i++) {           /* slow ones are ended */
		front_set_now(b.front, now += FRONT_IDLE_NS + NS_PER_SEC);
		front_turn(b.front);
	}
	PROMISE(front_stats(b.front)->open == 0);
	PROMISE(front_stats(b.front)->buffers == 0);
out:
	front_destroy(b.front);
	PROMISE(b.buffers == 0);
	return 0;
}
