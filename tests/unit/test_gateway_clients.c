/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients that misbehave: whatever they send, however slowly, and whenever they leave, they are
 * told why if they listen, others are undisturbed, and nothing stays in use.
 */
#include "tests/unit/fake_gateway.h"

static void bad_requests_are_told_why_and_others_undisturbed(void **state)
{
	static const struct {
		const char *text, *status;
	} cases[] = {
		{"nonsense\r\n\r\n", "400"},
		{"\x16\x03\x01", "400"},
		{"GET / HTTP/1.1\r\n\r\n", "400"},
		{"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
		{"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505"},
		{POST("Content-Length: 1\r\nContent-Length: 2\r\n", "x"), "400"},
		{POST("Content-Length: 99999999\r\n", "x"), "413"},
		{POST("Content-Length: 99999999\r\nExpect: 100-continue\r\n", ""), "413"},
		{POST("Transfer-Encoding: chunked\r\n", "ffffff\r\nx"), "413"},
		{POST("Transfer-Encoding: chunked\r\n", "zz\r\n"), "400"},
		{POST("Expect: tea\r\nContent-Length: 1\r\n", "x"), "417"},
		/* Smuggling: what follows must not be taken for a request. */
		{POST("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		      "0\r\n\r\n" GET("/evil")),
		 "400"},
		{POST("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n" GET("/evil")), "501"},
		{POST("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n" GET("/evil")),
		 "400"},
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

static void time_of_a_head_begins_with_its_first_byte(void **state)
{
	struct fake *k = *state;
	int fd = join(k);
	bool closed;

	say(k, fd, GET("/1"));
	reply(k, 0, "fine", 1);
	hear(k, fd, &closed);
	pass(k, FRONT_HEAD_NS * 3);
	say(k, fd, "GET /2 HTTP/1.1\r\n");
	pass(k, FRONT_HEAD_NS - NS_PER_SEC);
	assert_string_equal(hear(k, fd, &closed), "");
	say(k, fd, "Host: a\r\n\r\n");
	assert_int_equal(k->n_held, 1);
	reply(k, 0, "fine", 1);
	assert_non_null(strstr(hear(k, fd, &closed), "fine"));
	close(fd);
}

/* Over TCP, where closing with unread bytes resets the connection and may take the answer along. */
static void refusal_reaches_a_client_that_goes_on_sending(void **state)
{
	static const char head[] = POST("Content-Length: 99999999\r\n", "");
	static char body[256 << 10];
	struct fake *k = *state;
	int fd = join_tcp(k);
	char text[512];
	ssize_t n;

	memset(body, 'x', sizeof(body));
	memcpy(body, head, sizeof(head) - 1);
	assert_true(send(fd, body, sizeof(body), MSG_NOSIGNAL) > FRONT_INPUT_BYTES * 2);
	spin(k);
	n = recv(fd, text, sizeof(text), 0);
	assert_true(n > 12);
	assert_int_equal(strncmp(text, "HTTP/1.1 413", 12), 0);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);      /* an end, not a reset */
	say_bytes(k, fd, body, sizeof(body));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
	pass(k, 2 * FRONT_LINGER_NS);
	assert_int_equal(front_stats(k->front)->open, 0);
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
		reply(k, (unsigned)(random_next(random) % k->n_held), "ok",
		      1 + random_next(random) % 2000);
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
	const struct CMUnitTest tests[] = {
		TEST(bad_requests_are_told_why_and_others_undisturbed),
		TEST(oversized_heads_are_refused),
		TEST(truncated_body_is_a_400),
		TEST(aborted_client_leaves_nothing_behind),
		TEST(time_of_a_head_begins_with_its_first_byte),
		TEST(refusal_reaches_a_client_that_goes_on_sending),
		TEST(slow_clients_are_ended_and_told),
		TEST(client_too_many_is_turned_away),
		TEST(hostile_requests_leave_nothing_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
