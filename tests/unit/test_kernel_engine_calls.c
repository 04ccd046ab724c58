/* SPDX-License-Identifier: BSD-2-Clause */
/* The calling side of kernel:*'s HTTP endpoint: calls, forwards, and what the gateway sends on. */
#include "tests/unit/test_kernel_bench.h"

static void an_answered_call_resumes_with_its_frames(void **state)
{
	struct bench *b = make(SELF, false, 0);
	struct message *m = calling(b, "arguments");
	char *text;
	int fd;

	(void)state;
	assert_int_equal(engine_send(b->e, OTHER, m), 0);
	fd = accepted(b);
	text = hear(b, fd, "arguments");
	assert_ptr_equal(strstr(text, "POST /call/beta HTTP/1.1\r\n"), text);
	assert_non_null(strstr(text, "X-Perhop-Topic: 1\r\n"));
	assert_non_null(strstr(text, "X-Perhop-Position: 3\r\n"));
	say(fd, "HTTP/1.1 200 OK\r\nX-Perhop-Outcome: answer\r\nX-Perhop-Status: 201\r\n"
		"X-Perhop-Type: 1\r\nContent-Length: 2\r\n\r\nhi");
	m = pump(b, 2000);
	assert_non_null(m);
	assert_int_equal(m->kind, MESSAGE_ANSWER);
	assert_int_equal(m->function, ALPHA);
	assert_int_equal(m->depth, 1);
	assert_int_equal(m->stack[0].step, 7);
	assert_int_equal(m->status, 201);
	assert_int_equal(m->length, 2);
	/* The next call takes the same connection. */
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	assert_int_equal(engine_send(b->e, OTHER, calling(b, "again")), 0);
	assert_non_null(strstr(hear(b, fd, "again"), "POST /call/beta"));
	assert_int_equal(atomic_load(&b->counters.connects), 1);
	close(fd);
	assert_int_equal(pool_free(b->pool, pump(b, 2000), SELF), 0);
	drop(b);
}

/* What comes of a call when its callee says `answer` and closes. */
static struct message *call_answered_by(struct bench *b, const char *answer)
{
	int fd;

	assert_int_equal(engine_send(b->e, OTHER, calling(b, "arguments")), 0);
	fd = accepted(b);
	hear(b, fd, "arguments");
	say(fd, answer);
	close(fd);
	return pump(b, 2000);
}

static void a_callee_that_breaks_off_or_babbles_is_a_502_to_its_caller(void **state)
{
	static const char *const answers[] = {
		"",
		"HTTP/1.1 200 OK\r\nX-Perh",
		"HTTP/1.1 200 OK\r\nX-Perhop-Outcome: answer\r\nX-Perhop-Type: 1\r\n"
			"X-Perhop-Status: 200\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nX-Perhop-Outcome: answer\r\nX-Perhop-Type: 1\r\n"
			"Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Perhop-Outcome: answer\r\nX-Perhop-Type: 77\r\n"
			"X-Perhop-Status: 200\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Perhop-Outcome: forward\r\nContent-Length: 0\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n",
	};
	struct bench *b = make(SELF, false, 0);

	(void)state;
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct message *m = call_answered_by(b, answers[i]);

		assert_non_null(m);
		assert_int_equal(m->kind, MESSAGE_ANSWER);
		assert_int_equal(m->status, STATUS_BAD_GATEWAY);
		assert_int_equal(m->type, TYPE_REASON);
		assert_int_equal(m->depth, 1);
		assert_int_equal(pool_free(b->pool, m, SELF), 0);
	}
	drop(b);
}

static void a_proxys_own_503_reaches_the_caller_as_such(void **state)
{
	struct bench *b = make(SELF, false, 0);
	struct message *m = call_answered_by(b, "HTTP/1.1 503 Service Unavailable\r\n"
						"Content-Length: 2\r\n\r\nno");

	(void)state;
	assert_int_equal(m->status, 503);
	assert_int_equal(m->type, TYPE_REASON);
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	drop(b);
}

static void a_callee_that_replies_ends_its_callers_too(void **state)
{
	struct bench *b = make(SELF, false, 0);
	struct message *m = call_answered_by(b, "HTTP/1.1 303 See Other\r\nLocation: /cart\r\n"
		"X-Perhop-Outcome: reply\r\nX-Perhop-Type: 3\r\nContent-Length: 0\r\n\r\n");
	struct http_response *r = message_payload(m);

	(void)state;
	assert_int_equal(m->kind, MESSAGE_REPLY);
	assert_int_equal(http_response_check(r, m->length), 0);
	assert_int_equal(r->status, 303);
	assert_memory_equal((char *)r + r->fields.offset, "Location: /cart\r\n", 18);
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	drop(b);
}

static void silence_is_a_504(void **state)
{
	struct bench *b = make(SELF, false, 10 * NS_PER_MS);
	struct message *m;
	int fd;

	(void)state;
	assert_int_equal(engine_send(b->e, OTHER, calling(b, "arguments")), 0);
	fd = accepted(b);
	m = pump(b, 3000);
	assert_non_null(m);
	assert_int_equal(m->status, STATUS_GATEWAY_TIMEOUT);
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	close(fd);
	drop(b);
}

static void calls_above_the_limit_get_eagain_and_stay_the_callers(void **state)
{
	struct bench *b = make(SELF, false, 0);
	struct message *m;

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(engine_send(b->e, OTHER, calling(b, "x")), 0);
	m = calling(b, "one too many");
	assert_int_equal(engine_send(b->e, OTHER, m), -EAGAIN);
	assert_memory_equal(message_payload(m), "one too many", 12);
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	assert_int_equal(pool_in_use(b->pool), CLIENTS);
	close(b->peer);
	b->peer = -1;
	for (int i = 0; i < CLIENTS; i++) {
		m = pump(b, 2000);
		assert_non_null(m);
		assert_int_equal(m->status, STATUS_BAD_GATEWAY);
		assert_int_equal(pool_free(b->pool, m, SELF), 0);
	}
	drop(b);
}

static void an_idle_connection_to_another_function_makes_room(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int other = listener(&b->target[2 * OTHER], true), fd[CLIENTS];
	struct message *m;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_equal(engine_send(b->e, OTHER, calling(b, "x")), 0);
		fd[i] = accepted(b);
	}
	for (int i = 0; i < CLIENTS; i++) {
		say(fd[i], "HTTP/1.1 200 OK\r\nX-Perhop-Outcome: answer\r\nX-Perhop-Status: 200\r\n"
			   "X-Perhop-Type: 0\r\nContent-Length: 0\r\n\r\n");
		m = pump(b, 2000);
		assert_int_equal(m->status, 200);
		assert_int_equal(pool_free(b->pool, m, SELF), 0);
	}
	m = calling(b, "x");
	assert_int_equal(engine_send(b->e, 2 * OTHER, m), 0);
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	close(other);
	m = pump(b, 2000);
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	drop(b);
}

static void a_callee_that_is_not_there_is_epipe_or_a_502(void **state)
{
	struct bench *b = make(SELF, false, 0);
	struct message *m = calling(b, "x");
	int err;

	(void)state;
	close(b->peer);
	b->peer = -1;
	err = engine_send(b->e, OTHER, m);
	if (!err) {
		m = pump(b, 2000);
		assert_non_null(m);
		assert_int_equal(m->status, STATUS_BAD_GATEWAY);
	} else {
		assert_int_equal(err, -EPIPE);
	}
	assert_int_equal(pool_free(b->pool, m, SELF), 0);
	drop(b);
}

/* ---- Forwarding ------------------------------------------------------------------------------- */

static void a_forward_is_relayed_to_who_asked(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b), next;
	struct message *m;
	char *text;

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	m = pump(b, 2000);
	m->function = BETA;
	m->position = 1;
	set_bytes(m, "passed on");
	assert_int_equal(engine_send(b->e, OTHER, m), 0);
	next = accepted(b);
	assert_non_null(strstr(hear(b, next, "passed on"), "POST /invoke/beta HTTP/1.1\r\n"));
	say(next, "HTTP/1.1 200 OK\r\nX-Perhop-Outcome: reply\r\nX-Perhop-Type: 3\r\n"
		  "Content-Type: text/html\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 4\r\n\r\npage");
	text = hear(b, fd, "page");
	assert_non_null(strstr(text, "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"));
	assert_non_null(strstr(text, "Content-Type: text/html\r\n"));
	assert_non_null(strstr(text, "\r\n\r\npage"));
	close(next);
	close(fd);
	pump(b, 5);
	drop(b);
}

static void a_forward_whose_next_function_dies_is_a_502_to_who_asked(void **state)
{
	struct bench *b = make(SELF, false, 0);
	int fd = client(b), next;
	struct message *m;

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	m = pump(b, 2000);
	m->function = BETA;
	assert_int_equal(engine_send(b->e, OTHER, m), 0);
	next = accepted(b);
	hear(b, next, "\r\n\r\n");
	close(next);
	assert_non_null(strstr(hear(b, fd, "\n\r\n"), "HTTP/1.1 502 "));
	close(fd);
	drop(b);
}

static void with_a_broker_a_forward_is_an_answer_to_it(void **state)
{
	struct bench *b = make(SELF, true, 0);
	int fd = client(b);
	struct message *m;
	char *text;

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	m = pump(b, 2000);
	m->function = BETA;
	m->position = 1;
	set_bytes(m, "passed on");
	assert_int_equal(engine_send(b->e, OTHER, m), 0);
	text = hear(b, fd, "passed on");
	assert_non_null(strstr(text, "X-Perhop-Outcome: forward\r\n"));
	assert_non_null(strstr(text, "X-Perhop-Type: 1\r\n"));
	assert_non_null(strstr(text, "X-Perhop-Position: 1\r\n"));
	close(fd);
	drop(b);
}

static void a_client_request_travels_on_and_back_unchanged(void **state)
{
	static const char request[] = "POST /a%20b?x=1&y=%2F HTTP/1.1\r\nHost: shop:80\r\nCookie: s=1; t=2\r\n"
				      "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody";
	struct bench *b = make(SELF, true, 0);
	int fd = client(b);
	struct message *m;
	char before[BYTES], again[1024], *text;
	uint32_t length;

	(void)state;
	say(fd, request);
	m = pump(b, 2000);
	length = m->length;
	memcpy(before, message_payload(m), length);
	m->function = BETA;
	m->position = 1;
	assert_int_equal(engine_send(b->e, OTHER, m), 0);
	text = hear(b, fd, "\r\n\r\nbody");
	text = strstr(text, "\r\n\r\n") + 4;
	snprintf(again, sizeof(again), "POST /invoke/alpha HTTP/1.1\r\nHost: h\r\nX-Perhop-Type: 2\r\n"
		 "X-Perhop-Topic: 0\r\nContent-Length: %zu\r\n\r\n", strlen(text));
	say(fd, again);
	say(fd, text);
	m = pump(b, 2000);
	assert_non_null(m);
	assert_int_equal(m->type, TYPE_HTTP_REQUEST);
	assert_int_equal(m->length, length);
	assert_memory_equal(message_payload(m), before, length);
	reply_with(b, m, "end");
	hear(b, fd, "end");
	close(fd);
	drop(b);
}

/* ---- The gateway's side ----------------------------------------------------------------------- */

static struct message *from_gateway(struct bench *b, enum http_method method)
{
	struct http_head h = { .method = method, .path = { "/p", 2 }, .host = { "h", 1 } };
	struct message *m = pool_alloc(b->pool, GATEWAY);

	m->kind = MESSAGE_INVOKE;
	m->function = BETA;
	m->token = 12345;
	m->type = TYPE_HTTP_REQUEST;
	m->length = (uint32_t)http_request_build(message_payload(m), message_room(m), &h, "", 0);
	return m;
}

static const char page[] = "HTTP/1.1 200 OK\r\nX-Perhop-Outcome: reply\r\nX-Perhop-Type: 3\r\n"
			   "Content-Length: 2\r\n\r\nok";

static void the_gateways_reply_keeps_its_token(void **state)
{
	struct bench *b = make(GATEWAY, false, 0);
	struct message *m;
	int fd;

	(void)state;
	assert_int_equal(engine_send(b->e, OTHER, from_gateway(b, HTTP_GET)), 0);
	fd = accepted(b);
	assert_non_null(strstr(hear(b, fd, "\r\n\r\n"), "GET /p HTTP/1.1\r\n"));
	say(fd, page);
	m = pump(b, 2000);
	assert_int_equal(m->kind, MESSAGE_REPLY);
	assert_int_equal(m->token, 12345);
	assert_int_equal(m->type, TYPE_HTTP_RESPONSE);
	pool_free(b->pool, m, GATEWAY);
	close(fd);
	pump(b, 5);
	drop(b);
}

/* A first exchange makes the connection a kept-alive one; the second finds it closed, silently. */
static struct message *closed_under_a_request(struct bench *b, enum http_method method, int *second)
{
	int fd;

	assert_int_equal(engine_send(b->e, OTHER, from_gateway(b, HTTP_GET)), 0);
	fd = accepted(b);
	hear(b, fd, "\r\n\r\n");
	say(fd, page);
	pool_free(b->pool, pump(b, 2000), GATEWAY);
	assert_int_equal(engine_send(b->e, OTHER, from_gateway(b, method)), 0);
	hear(b, fd, "\r\n\r\n");
	close(fd);
	*second = -1;
	if (method == HTTP_GET) {
		pump(b, 20);
		*second = accepted(b);
		hear(b, *second, "\r\n\r\n");
		say(*second, page);
	}
	return pump(b, 2000);
}

static void a_get_that_meets_a_closing_connection_is_sent_once_more(void **state)
{
	struct bench *b = make(GATEWAY, false, 0);
	struct message *m;
	int fd;

	(void)state;
	m = closed_under_a_request(b, HTTP_GET, &fd);
	assert_non_null(m);
	assert_int_equal(m->type, TYPE_HTTP_RESPONSE);
	assert_int_equal(atomic_load(&b->counters.retried), 1);
	pool_free(b->pool, m, GATEWAY);
	close(fd);
	pump(b, 5);
	drop(b);
}

static void a_post_that_meets_a_closing_connection_is_never_sent_twice(void **state)
{
	struct bench *b = make(GATEWAY, false, 0);
	struct message *m;
	int fd;

	(void)state;
	m = closed_under_a_request(b, HTTP_POST, &fd);
	assert_non_null(m);
	assert_int_equal(m->type, TYPE_REASON);
	assert_int_equal(m->status, STATUS_BAD_GATEWAY);
	assert_int_equal(atomic_load(&b->counters.retried), 0);
	pool_free(b->pool, m, GATEWAY);
	drop(b);
}

static void a_token_travels_with_its_request_and_what_comes_of_it(void **state)
{
	static const char token[] = "X-Perhop-Token: 8000000000000007"
				    "0102030405060708090a0b0c0d0e0f10\r\n";
	struct bench *b = make(SELF, false, 0);
	int c = client(b), fd;
	struct message *m;
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nX-Perhop-Topic: 0\r\n%s\r\n", token);
	say(c, text);
	m = pump(b, 2000);
	assert_non_null(m);
	assert_true(m->id == UINT64_C(0x8000000000000007));
	assert_int_equal(m->tag[15], 0x10);
	set_bytes(m, "forwarded");
	m->function = BETA;
	assert_int_equal(engine_send(b->e, OTHER, m), 0);
	fd = accepted(b);
	assert_non_null(strstr(hear(b, fd, "forwarded"), token));
	close(fd);
	assert_null(pump(b, 20));
	hear(b, c, "\r\n\r\n");
	close(c);
	/* Nobody has signed this one. */
	assert_int_equal(engine_send(b->e, OTHER, calling(b, "arguments")), 0);
	fd = accepted(b);
	assert_null(strstr(hear(b, fd, "arguments"), "X-Perhop-Token"));
	close(fd);
	assert_int_equal(pool_free(b->pool, pump(b, 2000), SELF), 0);
	drop(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answered_call_resumes_with_its_frames),
		cmocka_unit_test(a_callee_that_breaks_off_or_babbles_is_a_502_to_its_caller),
		cmocka_unit_test(a_proxys_own_503_reaches_the_caller_as_such),
		cmocka_unit_test(a_callee_that_replies_ends_its_callers_too),
		cmocka_unit_test(silence_is_a_504),
		cmocka_unit_test(calls_above_the_limit_get_eagain_and_stay_the_callers),
		cmocka_unit_test(an_idle_connection_to_another_function_makes_room),
		cmocka_unit_test(a_callee_that_is_not_there_is_epipe_or_a_502),
		cmocka_unit_test(a_forward_is_relayed_to_who_asked),
		cmocka_unit_test(a_token_travels_with_its_request_and_what_comes_of_it),
		cmocka_unit_test(a_forward_whose_next_function_dies_is_a_502_to_who_asked),
		cmocka_unit_test(with_a_broker_a_forward_is_an_answer_to_it),
		cmocka_unit_test(a_client_request_travels_on_and_back_unchanged),
		cmocka_unit_test(the_gateways_reply_keeps_its_token),
		cmocka_unit_test(a_get_that_meets_a_closing_connection_is_sent_once_more),
		cmocka_unit_test(a_post_that_meets_a_closing_connection_is_never_sent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
