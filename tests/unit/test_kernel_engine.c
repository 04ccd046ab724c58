/* SPDX-License-Identifier: BSD-2-Clause */
/* The serving side of kernel:*'s HTTP endpoint. */
#include "tests/unit/test_kernel_bench.h"

static void a_plain_request_is_an_invocation_and_its_reply_plain_http(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b);
	struct message *m;
	struct http_request *r;
	char *text;

	(void)state;
	say(fd, "POST /deep/x?q=1 HTTP/1.1\r\nHost: h\r\nCookie: c=2\r\nContent-Length: 3\r\n\r\nabc");
	m = pump(b, 2000);
	assert_non_null(m);
	assert_int_equal(m->kind, MESSAGE_INVOKE);
	assert_int_equal(m->function, ALPHA);
	assert_int_equal(m->topic, 1);
	assert_int_equal(m->depth, 0);
	assert_int_equal(m->type, TYPE_HTTP_REQUEST);
	r = message_payload(m);
	assert_int_equal(http_request_check(r, m->length), 0);
	assert_memory_equal((char *)r + r->body.offset, "abc", 4);
	assert_memory_equal((char *)r + r->cookie.offset, "c=2", 4);
	reply_with(b, m, "done");
	text = hear(b, fd, "done");
	assert_ptr_equal(strstr(text, "HTTP/1.1 200 OK\r\n"), text);
	assert_non_null(strstr(text, "Set-Cookie: a=1\r\n"));
	assert_non_null(strstr(text, "X-Perhop-Outcome: reply\r\n"));
	close(fd);
	drop(b);
}

static void a_call_is_answered_to_whom_it_came_from(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b);
	struct message *m;
	char *text;

	(void)state;
	say(fd, "POST /call/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 1\r\nX-Perhop-Topic: 1\r\n"
		"X-Perhop-Position: 3\r\nContent-Length: 4\r\n\r\nargs");
	m = pump(b, 2000);
	assert_non_null(m);
	assert_int_equal(m->kind, MESSAGE_CALL);
	assert_int_equal(m->position, 3);
	assert_int_equal(m->depth, 1);
	assert_int_equal(m->stack[0].instance, GATEWAY);
	assert_int_equal(m->stack[0].function, FUNCTION_NONE);
	assert_memory_equal(message_payload(m), "args", 4);
	m->kind = MESSAGE_ANSWER;
	m->status = 404;
	set_bytes(m, "answer");
	assert_int_equal(engine_send(b->e, GATEWAY, m), 0);
	text = hear(b, fd, "\r\n\r\nanswer");
	assert_non_null(strstr(text, "X-Perhop-Outcome: answer\r\n"));
	assert_non_null(strstr(text, "X-Perhop-Status: 404\r\n"));
	assert_non_null(strstr(text, "X-Perhop-Type: 1\r\n"));
	close(fd);
	drop(b);
}

static void a_request_may_come_byte_by_byte_and_chunked(void **state)
{
	static const char text[] = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
	struct bench *b = make(SELF, false, 0);
	struct message *m = NULL;
	struct http_request *r;
	int fd = client(b);

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_null(m);
		assert_int_equal(send(fd, text + i, 1, 0), 1);
		m = pump(b, i == sizeof(text) - 2 ? 2000 : 0);
	}
	assert_non_null(m);
	r = message_payload(m);
	assert_int_equal(r->body.length, 3);
	assert_memory_equal((char *)r + r->body.offset, "abc", 4);
	reply_with(b, m, "done");
	hear(b, fd, "done");
	close(fd);
	drop(b);
}

static void pipelined_requests_are_served_one_after_another(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b);

	(void)state;
	say(fd, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
		"GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 1; i <= 3; i++) {
		struct message *m = pump(b, 2000);
		struct http_request *r;
		char path[] = "/0";

		assert_non_null(m);
		path[1] = (char)('0' + i);
		r = message_payload(m);
		assert_memory_equal((char *)r + r->path.offset, path, 3);
		/* The next one waits until this one is answered. */
		assert_null(pump(b, 5));
		reply_with(b, m, path);
	}
	assert_non_null(strstr(hear(b, fd, "\r\n\r\n/3"), "\r\n\r\n/2"));
	close(fd);
	drop(b);
}

static void a_bad_request_is_refused_with_its_status_and_hurts_nobody_else(void **state)
{
	static const struct {
		const char *request, *answer;
	} bad[] = {
		{ "NONSENSE\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413 " },
		{ "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 " },
		{ "POST /call/beta HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 1\r\n"
		  "X-Perhop-Topic: 0\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 " },
		{ "POST /call/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 99999999\r\n"
		  "Content-Length: 0\r\n\r\n", "HTTP/1.1 400 " },
		{ "POST /call/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 77\r\n"
		  "Content-Length: 1\r\n\r\nx", "HTTP/1.1 400 " },
		{ "POST /call/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 1\r\n"
		  "X-Perhop-Topic: 9\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 " },
		{ "POST /invoke/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 2\r\n"
		  "Content-Length: 7\r\n\r\nGET / H", "HTTP/1.1 400 " },
		{ "POST /invoke/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 1\r\n"
		  "X-Perhop-Position: -1\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 " },
	};
	struct bench *b = make(SELF, false, 0);
	int good = client(b);

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = client(b);
		char *text;

		say(fd, bad[i].request);
		text = hear(b, fd, "\n\r\n");
		if (strncmp(text, bad[i].answer, strlen(bad[i].answer)))
			fail_msg("%s -> %s", bad[i].request, text);
		close(fd);
		pump(b, 2);
	}
	say(good, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	reply_with(b, pump(b, 2000), "still here");
	assert_non_null(strstr(hear(b, good, "still here"), "still here"));
	close(good);
	drop(b);
}

static void random_bytes_leave_no_trace(void **state)
{
	struct bench *b = make(SELF, false, 0);
	static const char *const pieces[] = {
		"GET ", "POST ", "/call/alpha", " HTTP/1.1\r\n", "Host: h\r\n", "\r\n", "0\r\n",
		"X-Perhop-Type: 1\r\n", "X-Perhop-Type: 3\r\n", "Content-Length: 5\r\n", "abcde",
		"Transfer-Encoding: chunked\r\n", "X-Perhop-Topic: 1\r\n", "\x01\xff\x80", "Expect: 100-continue\r\n",
	};
	uint64_t random = 42;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		int fd = client(b), n = (int)(random_next(&random) % 12);
		struct message *m;

		while (n--)
			say(fd, pieces[random_next(&random) % (sizeof(pieces) / sizeof(pieces[0]))]);
		if (random_next(&random) & 1)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
				   sizeof(struct linger));
		if (random_next(&random) & 1)
			while ((m = pump(b, 0)))
				reply_with(b, m, "ok");
		close(fd);
		while ((m = pump(b, 0)))
			reply_with(b, m, "ok");
	}
	drop(b);
}

static void the_answer_for_a_client_that_has_gone_frees_its_buffer(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b);
	struct message *m;

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	m = pump(b, 2000);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(fd);
	assert_null(pump(b, 20));
	reply_with(b, m, "too late");
	assert_int_equal(atomic_load(&b->counters.aborted), 1);
	drop(b);
}

static void without_a_free_buffer_a_request_is_refused_with_503(void **state)
{
	struct bench *b = make(SELF, false, 0);
	struct message *held[BUFFERS];
	int fd = client(b);

	(void)state;
	for (int i = 0; i < BUFFERS; i++)
		held[i] = pool_alloc(b->pool, SELF);
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(hear(b, fd, "\n\r\n"), "HTTP/1.1 503 "));
	for (int i = 0; i < BUFFERS; i++)
		pool_free(b->pool, held[i], SELF);
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");       /* the connection is still good */
	reply_with(b, pump(b, 2000), "now");
	hear(b, fd, "now");
	close(fd);
	drop(b);
}

static void clients_above_the_limit_are_told_so(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd[CLIENTS + 1];

	(void)state;
	for (int i = 0; i <= CLIENTS; i++) {
		fd[i] = client(b);
		assert_null(pump(b, 2));
	}
	assert_non_null(strstr(hear(b, fd[CLIENTS], NULL), "HTTP/1.1 503 "));
	close(fd[0]);
	assert_null(pump(b, 5));
	close(fd[CLIENTS]);
	fd[0] = client(b);
	say(fd[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	reply_with(b, pump(b, 2000), "room again");
	assert_non_null(strstr(hear(b, fd[0], "room again"), "200 OK"));
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	drop(b);
}

static void an_unsound_reply_is_a_502_and_not_sent(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b);
	struct message *m;

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	m = pump(b, 2000);
	m->kind = MESSAGE_REPLY;
	m->type = TYPE_HTTP_RESPONSE;
	m->length = 100;
	memset(message_payload(m), 0xff, 100);
	assert_int_equal(engine_send(b->e, GATEWAY, m), 0);
	assert_non_null(strstr(hear(b, fd, "\n\r\n"), "HTTP/1.1 502 "));
	close(fd);
	drop(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_is_an_invocation_and_its_reply_plain_http),
		cmocka_unit_test(a_call_is_answered_to_whom_it_came_from),
		cmocka_unit_test(a_request_may_come_byte_by_byte_and_chunked),
		cmocka_unit_test(pipelined_requests_are_served_one_after_another),
		cmocka_unit_test(a_bad_request_is_refused_with_its_status_and_hurts_nobody_else),
		cmocka_unit_test(random_bytes_leave_no_trace),
		cmocka_unit_test(the_answer_for_a_client_that_has_gone_frees_its_buffer),
		cmocka_unit_test(without_a_free_buffer_a_request_is_refused_with_503),
		cmocka_unit_test(clients_above_the_limit_are_told_so),
		cmocka_unit_test(an_unsound_reply_is_a_502_and_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
