/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The promises of the gateway's client side, on socket pairs: what goes in comes out as whole
 * requests, what is answered goes out in order and whole. test_gateway_clients.c has the clients
 * that misbehave.
 */
#include "tests/unit/fake_gateway.h"

static void request_arrives_whole_however_it_is_cut(void **state)
{
	static const char *const requests[] = {
		GET("/x"),
		POST("Content-Length: 11\r\n", "hello world"),
		POST("Transfer-Encoding: chunked\r\n",
		     "5\r\nhello\r\n6;x\r\n world\r\n0\r\nT: x\r\n\r\n"),
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
			assert_string_equal(strstr(hear(k, fd, &closed), "\r\n\r\n"),
					    "\r\n\r\nfine");
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

	say(k, fd,
	    "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
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
	say(k, fd,
	    "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
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

/* Also while an earlier answer keeps it from leaving: its buffer would be released twice. */
static void waiting_answer_is_not_replaced(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	struct ticket t;
	struct answer a;
	const char *text;
	bool closed;

	say(k, fd, GET("/1") GET("/2"));
	t = k->held[1].ticket;
	assert_true(reply(k, 1, "second", 1));
	answer_text(&a, 504, "late\n");
	assert_false(front_answer(k->front, t, &a));
	reply(k, 0, "first", 1);
	text = hear(k, fd, &closed);
	assert_non_null(strstr(text, "second"));
	assert_null(strstr(text, "late"));
	close(fd);
}

/* One edge reports both the request and the end, and the first recv is short. */
static void end_that_comes_with_the_request_is_seen(void **state)
{
	struct fake *k = *state;
	int fd = join_tcp(k);
	bool closed;

	assert_true(send(fd, GET("/x"), strlen(GET("/x")), MSG_NOSIGNAL) > 0);
	shutdown(fd, SHUT_WR);
	spin(k);
	assert_true(reply(k, 0, "fine", 1));
	assert_non_null(strstr(hear(k, fd, &closed), "fine"));
	assert_true(closed);
	assert_int_equal(front_stats(k->front)->open, 0);
	close(fd);
}

static void long_head_reaches_a_slow_reader_whole(void **state)
{
	static char field[HTTP_RESPONSE_HEAD_MAX];
	const int small = 1;
	struct fake *k = *state;
	struct answer a;
	const char *text;
	bool closed;
	int pair[2];

	memset(field, 'f', sizeof(field));
	memcpy(field, "X: ", 3);
	memcpy(field + sizeof(field) - 2, "\r\n", 2);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	front_adopt(k->front, pair[1]);
	for (int i = 0; i < 8; i++)
		say(k, pair[0], GET("/long"));
	for (int i = 0; i < 8; i++) {
		answer_text(&a, 200, "body\n");
		a.fields = (struct slice){ field, sizeof(field) };
		assert_true(front_answer(k->front, k->held[i].ticket, &a));
	}
	assert_int_equal(front_stats(k->front)->buffers, 1);
	text = hear(k, pair[0], &closed);
	assert_int_equal(count(text, "HTTP/1.1 200 OK\r\n"), 8);
	assert_int_equal(count(text, "fffff\r\nDate: "), 8);
	assert_int_equal(count(text, "keep-alive\r\n\r\nbody\n"), 8);
	assert_int_equal(front_stats(k->front)->buffers, 0);
	close(pair[0]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(request_arrives_whole_however_it_is_cut),
		TEST(answers_leave_in_the_order_of_the_requests),
		TEST(pipelining_is_bounded_and_goes_on),
		TEST(chunked_body_may_fill_the_limit_but_no_more),
		TEST(expectation_is_met_before_the_body),
		TEST(expectation_of_a_refused_request_is_refused),
		TEST(refused_request_keeps_the_connection),
		TEST(overload_is_a_503_that_says_when_to_come_back),
		TEST(head_is_answered_without_a_body),
		TEST(connection_closes_when_the_client_says_so),
		TEST(half_closed_client_gets_its_answer),
		TEST(answered_request_is_not_answered_again),
		TEST(waiting_answer_is_not_replaced),
		TEST(end_that_comes_with_the_request_is_seen),
		TEST(long_head_reaches_a_slow_reader_whole),
		TEST(large_answer_reaches_a_slow_reader_whole),
		TEST(unsound_fields_become_a_502),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
