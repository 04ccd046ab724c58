/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gateway for tests of its client side: it takes requests and answers them when the test says so.
 * The test plays the clients, and turns the loop.
 */
#ifndef PERHOP_TESTS_UNIT_FAKE_GATEWAY_H
#define PERHOP_TESTS_UNIT_FAKE_GATEWAY_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/gateway_front.h"

enum { BUFFER = 64 << 10, HELD_MAX = 64, WATCHED_MAX = 64 };

/* Stands for the gateway: remembers requests until the test answers them. */
struct fake {
	struct front *front;
	int epfd;
	unsigned buffers;           /* handed out and not released */
	unsigned limit;             /* of buffers */
	unsigned submitted, answered;
	bool refuse_submit;
	struct held {
		struct ticket ticket;
		struct message *m;
		char text[128];     /* method, path, body */
	} held[HELD_MAX];
	unsigned n_held;
	uint64_t now;
};

static inline int fake_watch(void *arg, int fd, uint32_t events, uint64_t data)
{
	struct fake *k = arg;
	struct epoll_event e = { .events = events, .data.u64 = data };

	return epoll_ctl(k->epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static inline bool fake_open(void *arg, struct exchange *x, const struct http_head *h, bool whole)
{
	struct fake *k = arg;

	(void)whole;
	if (h->path.length >= 5 && !memcmp(h->path.at, "/none", 5)) {
		answer_text(&x->answer, 404, "no such chain\n");
		return false;
	}
	if (k->buffers == k->limit) {
		answer_text(&x->answer, 503, "no buffer\n");
		return false;
	}
	x->m = aligned_alloc(64, BUFFER);
	x->topic = 0;
	assert_non_null(x->m);
	k->buffers++;
	return true;
}

static inline bool fake_submit(void *arg, struct ticket t, struct exchange *x, struct message *m,
			uint32_t length)
{
	struct http_request *r = message_payload(m);
	struct fake *k = arg;
	struct held *held = &k->held[k->n_held];

	assert_int_equal(http_request_check(r, length), 0);
	k->submitted++;
	if (k->refuse_submit || k->n_held == HELD_MAX) {
		answer_text(&x->answer, 503, "backlog\n");
		return false;
	}
	held->ticket = t;
	held->m = m;
	snprintf(held->text, sizeof(held->text), "%s %s %.60s", http_method_name(r->method),
		 http_part(r, length, r->path), http_part(r, length, r->body));
	k->n_held++;
	return true;
}

static inline void fake_release(void *arg, struct message *m)
{
	struct fake *k = arg;

	k->buffers--;
	free(m);
}

static inline void fake_answered(void *arg, const struct exchange *x)
{
	struct fake *k = arg;

	(void)x;
	k->answered++;
}

static inline int set_up(void **state)
{
	struct fake *k = calloc(1, sizeof(*k));
	const struct front_host host = {
		.arg = k, .room = BUFFER - sizeof(struct message), .body_max = 32 << 10,
		.watch = fake_watch, .open = fake_open, .submit = fake_submit,
		.release = fake_release, .answered = fake_answered,
	};

	k->epfd = epoll_create1(0);
	k->limit = HELD_MAX;
	k->now = NS_PER_SEC;
	assert_int_equal(front_create(&k->front, &host, 32), 0);
	front_set_now(k->front, k->now);
	*state = k;
	return 0;
}

/* The promise of every test: when all is over, nothing is held. */
static inline int tear_down(void **state)
{
	struct fake *k = *state;

	for (unsigned i = 0; i < k->n_held; i++)
		fake_release(k, k->held[i].m);
	front_destroy(k->front);
	assert_int_equal(k->buffers, 0);
	close(k->epfd);
	free(k);
	return 0;
}

/* Turn the loop until nothing happens any more. */
static inline void spin(struct fake *k)
{
	struct epoll_event events[16];
	int n;

	do {
		n = epoll_wait(k->epfd, events, 16, 0);
		for (int i = 0; i < n; i++)
			front_ready(k->front, events[i].data.u64, events[i].events);
		front_turn(k->front);
	} while (n > 0 || front_due(k->front) == 0);
}

static inline void pass(struct fake *k, uint64_t ns)
{
	k->now += ns;
	front_set_now(k->front, k->now);
	front_turn(k->front);
	spin(k);
}


static inline int join(struct fake *k)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	front_adopt(k->front, pair[1]);
	return pair[0];
}

static inline int join_tcp(struct fake *k)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &length), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, length), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	front_accept(k->front, listener);
	close(listener);
	return fd;
}

static inline void say_bytes(struct fake *k, int fd, const char *bytes, size_t n)
{
	while (n) {
		const ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EPIPE)
			break;                  /* the front has closed: it has heard enough */
		if (sent < 0)
			assert_int_equal(errno, EAGAIN);
		bytes += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
		spin(k);
	}
	spin(k);
}

static inline void say(struct fake *k, int fd, const char *text)
{
	say_bytes(k, fd, text, strlen(text));
}

/* What has come for the client; *closed tells whether the front has closed its side. */
static inline const char *hear(struct fake *k, int fd, bool *closed)
{
	static char text[1 << 20];
	size_t n = 0;
	ssize_t got;

	for (;;) {
		spin(k);
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	*closed = got == 0 || errno == ECONNRESET;
	text[n] = '\0';
	return text;
}

static inline unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Answer the i-th held request with `body` repeated `times`. */
static inline bool reply(struct fake *k, unsigned i, const char *body, unsigned times)
{
	struct held held = k->held[i];
	struct http_response *r = message_payload(held.m);
	struct http_writer w;
	struct answer a = { .status = 200, .m = held.m };
	ssize_t n;

	http_begin(&w, r, BUFFER - sizeof(struct message), 200, "text/plain");
	http_field(&w, "X-Test", "yes");
	while (times--)
		http_text(&w, body);
	n = http_end(&w);
	assert_true(n > 0);
	a.content_type =
		(struct slice){http_part(r, (size_t)n, r->content_type), r->content_type.length};
	a.fields = (struct slice){ http_part(r, (size_t)n, r->fields), r->fields.length };
	a.body = (struct slice){ http_part(r, (size_t)n, r->body), r->body.length };
	memmove(&k->held[i], &k->held[i + 1], (--k->n_held - i) * sizeof(k->held[0]));
	if (front_answer(k->front, held.ticket, &a))
		return true;
	fake_release(k, held.m);
	return false;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(fields, body) "POST /p HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
