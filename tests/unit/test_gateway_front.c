/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The promises of the gateway's client side, on socket pairs: what goes in comes out as whole
 * requests, what is answered goes out in order, and no client can keep a buffer.
 */
#include <errno.h>
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

static int fake_watch(void *arg, int fd, uint32_t events, uint64_t data)
{
	struct fake *k = arg;
	struct epoll_event e = { .events = events, .data.u64 = data };

	return epoll_ctl(k->epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static bool fake_open(void *arg, struct exchange *x, const struct http_head *h, bool whole)
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

static bool fake_submit(void *arg, struct ticket t, struct exchange *x, struct message *m,
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

static void fake_release(void *arg, struct message *m)
{
	struct fake *k = arg;

	k->buffers--;
	free(m);
}

static void fake_answered(void *arg, const struct exchange *x)
{
	struct fake *k = arg;

	(void)x;
	k->answered++;
}

static int set_up(void **state)
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
static int tear_down(void **state)
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
static void spin(struct fake *k)
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

static void pass(struct fake *k, uint64_t ns)
{
	k->now += ns;
	front_set_now(k->front, k->now);
	front_turn(k->front);
	spin(k);
}


static int join(struct fake *k)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	front_adopt(k->front, pair[1]);
	return pair[0];
}

static void say_bytes(struct fake *k, int fd, const char *bytes, size_t n)
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

static void say(struct fake *k, int fd, const char *text)
{
	say_bytes(k, fd, text, strlen(text));
}

/* What has come for the client; *closed tells whether the front has closed its side. */
static const char *hear(struct fake *k, int fd, bool *closed)
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

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* Answer the i-th held request with `body` repeated `times`. */
static bool reply(struct fake *k, unsigned i, const char *body, unsigned times)
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
	a.content_type = (struct slice){ http_part(r, (size_t)n, r->content_type), r->content_type.length };
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

static void request_arrives_whole_however_it_is_cut(void **state)
{
	static const char *const requests[] = {
		GET("/x"),
		POST("Content-Length: 11\r\n", "hello world"),
		POST("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6;x\r\n world\r\n0\r\nT: x\r\n\r\n"),
	};
	struct fake *k = *state;
	bool closed;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (size_t piece = 1; piece < 20; piece += 3) {
			const size_t n = strlen(requests[i]);
			int fd = join(k);

			for (size_t at = 0; at < n; at += piece) {
				assert_int_equal(k->n_held, 0);
				say_bytes(k, fd, requests[i] + at, n - at < piece ? n - at : piece);
			}
			assert_int_equal(k->n_held, 1);
			assert_string_equal(k->held[0].text, i ? "POST /p hello world" : "GET /x ");
			assert_true(reply(k, 0, "fine", 1));
			assert_string_equal(strstr(hear(k, fd, &closed), "\r\n\r\n"), "\r\n\r\nfine");
			assert_false(closed);
			close(fd);
			spin(k);
		}
	}
	assert_int_equal(front_stats(k->front)->open, 0);
}

static void answers_leave_in_the_order_of_the_requests(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	const char *text;
	bool closed;

	say(k, fd, GET("/1") GET("/2") GET("/none") GET("/3"));
	assert_int_equal(k->n_held, 3);
	reply(k, 2, "third", 1);
	reply(k, 1, "second", 1);
	assert_string_equal(hear(k, fd, &closed), "");
	reply(k, 0, "first", 1);
	text = hear(k, fd, &closed);
	assert_true(strstr(text, "first") < strstr(text, "second"));
	assert_true(strstr(text, "second") < strstr(text, "no such chain"));
	assert_true(strstr(text, "no such chain") < strstr(text, "third"));
	assert_int_equal(count(text, "HTTP/1.1 "), 4);
	assert_false(closed);
	close(fd);
}

static void pipelining_is_bounded_and_goes_on(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	bool closed;

	for (int i = 0; i < 50; i++)
		say(k, fd, GET("/x"));
	assert_int_equal(k->n_held, FRONT_PIPELINE);
	for (int i = 0; i < 50; i++) {
		assert_true(k->n_held > 0 && k->n_held <= FRONT_PIPELINE);
		assert_true(reply(k, 0, "ok", 1));
		spin(k);
	}
	assert_int_equal(k->submitted, 50);
	assert_int_equal(count(hear(k, fd, &closed), "HTTP/1.1 200"), 50);
	assert_int_equal(front_stats(k->front)->buffers, 0);
	close(fd);
}

static void bad_requests_are_told_why_and_others_undisturbed(void **state)
{
	static const struct {
		const char *text, *status;
	} cases[] = {
		{ "nonsense\r\n\r\n", "400" },
		{ "\x16\x03\x01", "400" },
		{ "GET / HTTP/1.1\r\n\r\n", "400" },
		{ "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "501" },
		{ "GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505" },
		{ POST("Content-Length: 1\r\nContent-Length: 2\r\n", "x"), "400" },
		{ POST("Content-Length: 99999999\r\n", "x"), "413" },
		{ POST("Content-Length: 99999999\r\nExpect: 100-continue\r\n", ""), "413" },
		{ POST("Transfer-Encoding: chunked\r\n", "ffffff\r\nx"), "413" },
		{ POST("Transfer-Encoding: chunked\r\n", "zz\r\n"), "400" },
		{ POST("Expect: tea\r\nContent-Length: 1\r\n", "x"), "417" },
		/* Smuggling: what follows must not be taken for a request. */
		{ POST("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" GET("/evil")), "400" },
		{ POST("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n" GET("/evil")), "501" },
		{ POST("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n" GET("/evil")), "400" },
	};
	struct fake *k = *state;
	int other = join(k);
	const char *text;
	bool closed;

	say(k, other, GET("/other"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = join(k);

		say(k, fd, cases[i].text);
		text = hear(k, fd, &closed);
		if (strncmp(text + 9, cases[i].status, 3) || !closed ||
		    !strstr(text, "Connection: close\r\n\r\n") || count(text, "HTTP/1.1") != 1)
			fail_msg("%s, not %s, for: %s", text, cases[i].status, cases[i].text);
		assert_true(strlen(strstr(text, "\r\n\r\n")) > 10);
		assert_int_equal(k->n_held, 1);
		close(fd);
		spin(k);
	}
	assert_true(reply(k, 0, "fine", 1));
	assert_non_null(strstr(hear(k, other, &closed), "fine"));
	close(other);
	spin(k);
	assert_int_equal(front_stats(k->front)->open, 0);
}

static void oversized_heads_are_refused(void **state)
{
	static char big[HTTP_HEAD_MAX + 4096];
	struct fake *k = *state;
	bool closed;
	int fd = join(k);

	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /", 5);
	say_bytes(k, fd, big, HTTP_TARGET_MAX + 100);
	assert_int_equal(strncmp(hear(k, fd, &closed), "HTTP/1.1 414", 12), 0);
	close(fd);

	fd = join(k);
	memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
	for (size_t i = 0; i < sizeof(big); i += 1000)
		say_bytes(k, fd, big + i, sizeof(big) - i < 1000 ? sizeof(big) - i : 1000);
	assert_int_equal(strncmp(hear(k, fd, &closed), "HTTP/1.1 431", 12), 0);
	close(fd);
}

static void chunked_body_may_fill_the_limit_but_no_more(void **state)
{
	struct fake *k = *state;
	bool closed;

	for (int over = 0; over < 2; over++) {
		int fd = join(k);

		say(k, fd, POST("Transfer-Encoding: chunked\r\n", ""));
		for (int i = 0; i < 32; i++) {
			static char chunk[1024];

			memset(chunk, 'x', sizeof(chunk));
			say(k, fd, "400\r\n");
			say_bytes(k, fd, chunk, sizeof(chunk));
			say(k, fd, "\r\n");
		}
		say(k, fd, over ? "1\r\nx\r\n0\r\n\r\n" : "0\r\n\r\n");
		if (over) {
			assert_int_equal(strncmp(hear(k, fd, &closed), "HTTP/1.1 413", 12), 0);
		} else {
			assert_int_equal(k->n_held, 1);
			assert_true(reply(k, 0, "fine", 1));
			assert_int_equal(strncmp(hear(k, fd, &closed), "HTTP/1.1 200", 12), 0);
		}
		close(fd);
		spin(k);
	}
}

static void expectation_is_met_before_the_body(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	bool closed;

	say(k, fd, GET("/1") POST("Content-Length: 2\r\nExpect: 100-continue\r\n", ""));
	assert_string_equal(hear(k, fd, &closed), "");
	reply(k, 0, "first", 1);
	assert_non_null(strstr(hear(k, fd, &closed), "firstHTTP/1.1 100 Continue\r\n\r\n"));
	say(k, fd, "hi");
	assert_string_equal(k->held[0].text, "POST /p hi");
	reply(k, 0, "second", 1);
	assert_int_equal(count(hear(k, fd, &closed), "HTTP/1.1"), 1);
	close(fd);
}

static void expectation_of_a_refused_request_is_refused(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	const char *text;
	bool closed;

	say(k, fd, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	text = hear(k, fd, &closed);
	assert_int_equal(strncmp(text, "HTTP/1.1 404", 12), 0);
	assert_true(closed);
	close(fd);
}

static void refused_request_keeps_the_connection(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	const char *text;
	bool closed;

	say(k, fd, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET /evil");
	say(k, fd, " HTTP/1.1\r\n1234567890" GET("/next"));
	say(k, fd, "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	assert_int_equal(k->n_held, 1);
	assert_string_equal(k->held[0].text, "GET /next ");
	reply(k, 0, "fine", 1);
	text = hear(k, fd, &closed);
	assert_int_equal(count(text, "HTTP/1.1 404"), 2);
	assert_int_equal(count(text, "HTTP/1.1 200"), 1);
	assert_false(closed);
	close(fd);
}

static void overload_is_a_503_that_says_when_to_come_back(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	const char *text;
	bool closed;

	k->refuse_submit = true;
	say(k, fd, GET("/1"));
	k->refuse_submit = false;
	k->limit = 0;
	say(k, fd, GET("/2"));
	text = hear(k, fd, &closed);
	assert_int_equal(count(text, "HTTP/1.1 503"), 2);
	assert_int_equal(count(text, "Retry-After: 1\r\n"), 2);
	assert_false(closed);
	close(fd);
}

static void head_is_answered_without_a_body(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	const char *text;
	bool closed;

	say(k, fd, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
	reply(k, 0, "fine", 1);
	text = hear(k, fd, &closed);
	assert_non_null(strstr(text, "Content-Length: 4\r\n"));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	close(fd);
}

static void connection_closes_when_the_client_says_so(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/late"),
		"GET / HTTP/1.0\r\n\r\n",
	};
	struct fake *k = *state;
	bool closed;

	for (size_t i = 0; i < 2; i++) {
		int fd = join(k);

		say(k, fd, requests[i]);
		assert_int_equal(k->n_held, 1);
		reply(k, 0, "bye", 1);
		assert_non_null(strstr(hear(k, fd, &closed), "Connection: close\r\n\r\nbye"));
		assert_true(closed);
		close(fd);
	}
	assert_int_equal(k->submitted, 2);
	assert_int_equal(front_stats(k->front)->open, 0);
}

static void half_closed_client_gets_its_answer(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	bool closed;

	say(k, fd, GET("/x"));
	shutdown(fd, SHUT_WR);
	spin(k);
	assert_true(reply(k, 0, "fine", 1));
	assert_non_null(strstr(hear(k, fd, &closed), "fine"));
	assert_true(closed);
	close(fd);
}

static void truncated_body_is_a_400(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	bool closed;

	say(k, fd, POST("Content-Length: 10\r\n", "half"));
	shutdown(fd, SHUT_WR);
	assert_int_equal(strncmp(hear(k, fd, &closed), "HTTP/1.1 400", 12), 0);
	assert_true(closed);
	assert_int_equal(k->buffers, 0);
	close(fd);
}

static void aborted_client_leaves_nothing_behind(void **state)
{
	struct fake *k = *state;
	int fd = join(k), next;
	bool closed;

	say(k, fd, GET("/1") GET("/2") POST("Content-Length: 10\r\n", "half"));
	reply(k, 1, "second", 1);
	close(fd);
	spin(k);
	assert_int_equal(front_stats(k->front)->open, 0);
	/* The slot's next user is not given the answer of the first. */
	next = join(k);
	say(k, next, GET("/3"));
	assert_false(reply(k, 0, "stale", 1));
	assert_true(reply(k, 0, "fresh", 1));
	assert_non_null(strstr(hear(k, next, &closed), "fresh"));
	close(next);
	spin(k);
	assert_int_equal(k->buffers, 0);
}

static void answered_request_is_not_answered_again(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	struct ticket t;
	struct answer a;
	bool closed;

	say(k, fd, GET("/1"));
	t = k->held[0].ticket;
	answer_text(&a, 504, "late\n");
	assert_true(front_answer(k->front, t, &a));
	assert_false(reply(k, 0, "too late", 1));
	assert_null(strstr(hear(k, fd, &closed), "too late"));
	close(fd);
}

static void slow_clients_are_ended_and_told(void **state)
{
	struct fake *k = *state;
	int head = join(k), body = join(k), idle = join(k), waiting = join(k);
	bool closed;

	say(k, head, "GET / HTT");
	say(k, body, POST("Content-Length: 10\r\n", "x"));
	say(k, waiting, GET("/slow-function"));
	/* A byte now and then does not help. */
	for (int i = 0; i < 12; i++) {
		pass(k, NS_PER_SEC);
		say(k, head, "a");
		say(k, body, i < 3 ? "x" : "");
	}
	assert_int_equal(strncmp(hear(k, head, &closed), "HTTP/1.1 408", 12), 0);
	assert_true(closed);
	pass(k, 20 * NS_PER_SEC);
	assert_int_equal(strncmp(hear(k, body, &closed), "HTTP/1.1 408", 12), 0);
	assert_true(closed);
	pass(k, 3 * NS_PER_SEC);                /* lingering ends, too */
	assert_int_equal(front_stats(k->front)->open, 2);
	pass(k, 60 * NS_PER_SEC);
	assert_string_equal(hear(k, idle, &closed), "");
	assert_true(closed);
	assert_string_equal(hear(k, waiting, &closed), "");
	assert_false(closed);
	assert_true(reply(k, 0, "at last", 1));
	assert_non_null(strstr(hear(k, waiting, &closed), "at last"));
	close(head);
	close(body);
	close(idle);
	close(waiting);
}

static void large_answer_reaches_a_slow_reader_whole(void **state)
{
	const int small = 4096;
	struct fake *k = *state;
	const char *text;
	bool closed;
	int pair[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	front_adopt(k->front, pair[1]);
	for (int i = 0; i < 4; i++)
		say(k, pair[0], GET("/big"));
	for (int i = 0; i < 4; i++)
		assert_true(reply(k, 0, "0123456789", 5000));
	assert_true(k->buffers > 0);
	pass(k, FRONT_STALL_NS / 2);
	text = hear(k, pair[0], &closed);
	assert_int_equal(count(text, "0123456789"), 4 * 5000);
	assert_int_equal(count(text, "Content-Length: 50000\r\n"), 4);
	assert_int_equal(k->buffers, 0);

	for (int i = 0; i < 4; i++)
		say(k, pair[0], GET("/big"));
	for (int i = 0; i < 4; i++)
		reply(k, 0, "0123456789", 5000);
	pass(k, FRONT_STALL_NS + NS_PER_SEC);
	assert_int_equal(front_stats(k->front)->open, 0);
	assert_int_equal(k->buffers, 0);
	close(pair[0]);
}

static void unsound_fields_become_a_502(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	const char *text;
	struct answer a;
	bool closed;

	say(k, fd, GET("/1") GET("/2"));
	answer_text(&a, 200, "injected\n");
	a.fields = (struct slice){ "Content-Length: 0\r\n", 19 };
	assert_true(front_answer(k->front, k->held[0].ticket, &a));
	reply(k, 1, "fine", 1);
	text = hear(k, fd, &closed);
	assert_int_equal(strncmp(text, "HTTP/1.1 502", 12), 0);
	assert_int_equal(count(text, "HTTP/1.1 200"), 1);
	assert_null(strstr(text, "injected"));
	close(fd);
}

static void client_too_many_is_turned_away(void **state)
{
	struct fake *k = *state;
	int fd[33];
	bool closed;

	for (int i = 0; i < 33; i++)
		fd[i] = join(k);
	assert_int_equal(strncmp(hear(k, fd[32], &closed), "HTTP/1.1 503", 12), 0);
	assert_true(closed);
	assert_int_equal(front_stats(k->front)->crowded_out, 1);
	/* Crowded: the idle ones go early. */
	pass(k, FRONT_CROWDED_NS + NS_PER_SEC);
	assert_true(front_stats(k->front)->open < 32);
	for (int i = 0; i < 33; i++)
		close(fd[i]);
}

/* Damage a sound request in some way, send it in some pieces, leave in some manner. */
static void hostile(struct fake *k, uint64_t *random)
{
	static const char *const seeds[] = {
		GET("/x"), GET("/none/") GET("/x") GET("/y"),
		POST("Content-Length: 11\r\n", "hello world") GET("/z"),
		POST("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n") GET("/z"),
		POST("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	};
	static const char nasty[] = "\r\n\0: ;,%0159afAF\x80\xff\tZ";
	const char *seed = seeds[random_next(random) % 6];
	size_t n = strlen(seed), at = 0;
	char text[512];
	int fd = join(k);

	memcpy(text, seed, n);
	for (uint64_t i = random_next(random) % 4; i; i--)
		text[random_next(random) % n] = nasty[random_next(random) % (sizeof(nasty) - 1)];
	if (random_next(random) % 4 == 0)
		n = random_next(random) % n;
	while (at < n) {
		size_t piece = 1 + random_next(random) % n;

		piece = piece > n - at ? n - at : piece;
		say_bytes(k, fd, text + at, piece);
		at += piece;
	}
	while (k->n_held && random_next(random) % 3)
		reply(k, (unsigned)(random_next(random) % k->n_held), "ok", 1 + random_next(random) % 2000);
	if (random_next(random) % 2)
		shutdown(fd, SHUT_WR);
	spin(k);
	close(fd);
	spin(k);
	while (k->n_held)
		assert_false(reply(k, 0, "nobody listens", 1));
}

static void hostile_requests_leave_nothing_in_use(void **state)
{
	struct fake *k = *state;
	uint64_t random = 1;

	for (int i = 0; i < 20000; i++)
		hostile(k, &random);
	pass(k, 80 * NS_PER_SEC);
	assert_int_equal(front_stats(k->front)->open, 0);
	assert_int_equal(front_stats(k->front)->buffers, 0);
	assert_int_equal(k->buffers, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(request_arrives_whole_however_it_is_cut),
		TEST(answers_leave_in_the_order_of_the_requests),
		TEST(pipelining_is_bounded_and_goes_on),
		TEST(bad_requests_are_told_why_and_others_undisturbed),
		TEST(oversized_heads_are_refused),
		TEST(chunked_body_may_fill_the_limit_but_no_more),
		TEST(expectation_is_met_before_the_body),
		TEST(expectation_of_a_refused_request_is_refused),
		TEST(refused_request_keeps_the_connection),
		TEST(overload_is_a_503_that_says_when_to_come_back),
		TEST(head_is_answered_without_a_body),
		TEST(connection_closes_when_the_client_says_so),
		TEST(half_closed_client_gets_its_answer),
		TEST(truncated_body_is_a_400),
		TEST(aborted_client_leaves_nothing_behind),
		TEST(answered_request_is_not_answered_again),
		TEST(slow_clients_are_ended_and_told),
		TEST(large_answer_reaches_a_slow_reader_whole),
		TEST(unsound_fields_become_a_502),
		TEST(client_too_many_is_turned_away),
		TEST(hostile_requests_leave_nothing_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
