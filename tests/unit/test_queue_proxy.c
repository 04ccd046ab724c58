/* SPDX-License-Identifier: BSD-2-Clause */
/* queue-proxy in a process of its own; the test plays its clients and its function. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/kernel/queue_proxy.h"
#include "dataplanes/kernel/token.h"
#include "dataplanes/sure/sidecar/sidecar.h"

enum { LIMIT = 2, QUEUE = 3, CLIENTS = 16, BODY = 4096, PATIENCE_MS = 10000, CALM_MS = 20 };

struct bench {
	pid_t pid;
	int function;               /* listens in the function's place */
	int holder;                 /* keeps its port while it does not */
	struct sockaddr_in at, metrics, function_at;
};

/* At `at`, or at a free port when it has none, which is filled in. */
static int bound(struct sockaddr_in *at)
{
	socklen_t length = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	at->sin_family = AF_INET;
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &length), 0);
	return fd;
}

static int listener(struct sockaddr_in *at)
{
	int fd = bound(at);

	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static int start_with(void **state, uint64_t timeout_ns, const struct sidecar_config *handlers)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct queue_proxy_config c = {
		.clients = CLIENTS, .limit = LIMIT, .queue = QUEUE, .body_max = BODY,
		.timeout_ns = timeout_ns, .handlers = handlers,
	};

	b->holder = bound(&b->function_at);
	b->function = listener(&b->function_at);
	c.listen_fd = listener(&b->at);
	c.metrics_fd = listener(&b->metrics);
	c.function = b->function_at;
	b->pid = fork();
	if (!b->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(b->function);
		close(b->holder);
		_exit(-queue_proxy_run(&c));
	}
	close(c.listen_fd);
	close(c.metrics_fd);
	*state = b;
	return 0;
}

static int start(void **state)
{
	return start_with(state, 0, NULL);
}

static int start_impatient(void **state)
{
	return start_with(state, 10 * NS_PER_MS, NULL);
}

static const uint8_t key[SIDECAR_KEY_BYTES] = "the deployment's own key";

static int start_handlers(void **state, const char *text, unsigned retries, uint64_t timeout_ns)
{
	struct sidecar_config c;

	assert_int_equal(sidecar_parse(&c, text), 0);
	c.rate = 1000000;
	c.timeout_ns = 30 * NS_PER_SEC;
	c.retries = retries;
	c.breaker_failures = 1000;
	c.breaker_ns = NS_PER_SEC;
	memcpy(c.key, key, sizeof(key));
	return start_with(state, timeout_ns, &c);
}

static int start_guarded(void **state)
{
	return start_handlers(state, "metrics+auth", 0, 0);
}

/* It tries again for longer than any test lasts. */
static int start_stubborn(void **state)
{
	return start_handlers(state, "metrics+retry", 100, 0);
}

static int start_twice(void **state)
{
	return start_handlers(state, "all", 2, 0);
}

static int start_stubborn_for_a_while(void **state)
{
	return start_handlers(state, "retry", 100, 35 * NS_PER_MS);
}

/* It must still be running, whatever a test has done to it. */
static int stop(void **state)
{
	struct bench *b = *state;
	int status, err = waitpid(b->pid, &status, WNOHANG) != 0;

	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	if (b->function >= 0)
		close(b->function);
	close(b->holder);
	free(b);
	return err;
}

static int client_of(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)at, sizeof(*at)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int ask(const struct bench *b, const char *path)
{
	char text[128];
	int fd = client_of(&b->at);

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	say(fd, text);
	return fd;
}

static void reset(int fd)
{
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(fd);
}

static int ready(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms);
}

/* What comes on `fd` up to `until`, or to the end. */
static char *hear(int fd, const char *until)
{
	static char text[65536];
	size_t n = 0;
	ssize_t got = 1;

	text[0] = '\0';
	while (!(until && strstr(text, until)) && ready(fd, PATIENCE_MS) == 1 && got > 0) {
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		n += got > 0 ? (size_t)got : 0;
		text[n] = '\0';
	}
	return text;
}

/* The function's next connection; -1: none comes. */
static int taken(const struct bench *b, int ms)
{
	return ready(b->function, ms) == 1 ? accept(b->function, NULL, NULL) : -1;
}

static void serve(int fd, const char *body)
{
	char text[256];

	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	say(fd, text);
}

/* Asked again while those who have gone still take all places: then it is a 503. */
static double metric(const struct bench *b, const char *name)
{
	static const char asks[] = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	char line[96], *at = NULL;

	snprintf(line, sizeof(line), "\n%s ", name);
	for (int ms = 0; ms < PATIENCE_MS && !at; ms += 10) {
		int fd = client_of(&b->metrics);

		(void)!send(fd, asks, sizeof(asks) - 1, MSG_NOSIGNAL);
		at = strstr(hear(fd, NULL), line);
		close(fd);
		if (!at)
			poll(NULL, 0, 10);
	}
	assert_non_null(at);
	return atof(at + strlen(line));
}

/* It was closed, and listens again where it did. */
static void function_returns(struct bench *b)
{
	b->function = listener(&b->function_at);
}

static double handler_metric(const struct bench *b, const char *name)
{
	char full[96];

	snprintf(full, sizeof(full), "perhop_sidecar_%s", name);
	return metric(b, full);
}

/* ---- The limit and the queue ------------------------------------------------------------------ */

static void requests_above_the_limit_wait_in_order(void **state)
{
	struct bench *b = *state;
	int c[4], f[LIMIT];
	char *text;

	for (int i = 0; i < 4; i++) {
		char path[] = "/0";

		path[1] = (char)('0' + i);
		c[i] = ask(b, path);
		ready(c[i], CALM_MS);
	}
	for (int i = 0; i < LIMIT; i++) {
		f[i] = taken(b, PATIENCE_MS);
		assert_true(f[i] >= 0);
		hear(f[i], "\r\n\r\n");
	}
	assert_int_equal(taken(b, CALM_MS), -1);
	assert_int_equal(metric(b, "queue_proxy_in_flight"), LIMIT);
	assert_int_equal(metric(b, "queue_proxy_queued"), 2);
	/* The function's connection that becomes free is used for who waits longest. */
	serve(f[0], "first");
	text = hear(f[0], "\r\n\r\n");
	assert_ptr_equal(strstr(text, "GET /2 HTTP/1.1\r\n"), text);
	serve(f[0], "third");
	text = hear(f[0], "\r\n\r\n");
	assert_ptr_equal(strstr(text, "GET /3 HTTP/1.1\r\n"), text);
	assert_non_null(strstr(hear(c[2], "third"), "200 OK"));
	for (int i = 0; i < 4; i++)
		close(c[i]);
	close(f[0]);
	close(f[1]);
}

static void a_full_queue_is_a_503_and_the_connection_stays_good(void **state)
{
	struct bench *b = *state;
	int c[LIMIT + QUEUE + 1], f[LIMIT];
	char *text;

	for (int i = 0; i < LIMIT + QUEUE; i++)
		c[i] = ask(b, "/");
	for (int i = 0; i < LIMIT; i++)
		f[i] = taken(b, PATIENCE_MS);
	ready(c[0], CALM_MS);
	c[LIMIT + QUEUE] = ask(b, "/");
	text = hear(c[LIMIT + QUEUE], "\n\r\n");
	assert_ptr_equal(strstr(text, "HTTP/1.1 503 "), text);
	assert_null(strstr(text, "Connection: close"));
	assert_int_equal(metric(b, "queue_proxy_rejected_total"), 1);
	for (int i = 0; i < LIMIT + QUEUE; i++) {
		hear(f[0], "\r\n\r\n");
		if (i < LIMIT + QUEUE - 1)
			serve(f[0], "ok");
	}
	say(c[LIMIT + QUEUE], "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
	serve(f[0], "ok");
	serve(f[1], "ok");
	hear(f[1], "/again");
	for (int i = 0; i <= LIMIT + QUEUE; i++)
		close(c[i]);
	close(f[0]);
	close(f[1]);
}

static void who_goes_while_waiting_leaves_the_queue(void **state)
{
	struct bench *b = *state;
	int c[LIMIT], gone, last, f[LIMIT];
	char *text;

	for (int i = 0; i < LIMIT; i++) {
		c[i] = ask(b, "/");
		f[i] = taken(b, PATIENCE_MS);
		hear(f[i], "\r\n\r\n");
	}
	gone = ask(b, "/gone");
	ready(gone, CALM_MS);
	last = ask(b, "/last");
	ready(last, CALM_MS);
	reset(gone);
	ready(last, CALM_MS);
	assert_int_equal(metric(b, "queue_proxy_queued"), 1);
	assert_int_equal(metric(b, "queue_proxy_aborted_total"), 1);
	serve(f[0], "ok");
	text = hear(f[0], "\r\n\r\n");
	assert_ptr_equal(strstr(text, "GET /last "), text);
	for (int i = 0; i < LIMIT; i++) {
		close(c[i]);
		close(f[i]);
	}
	close(last);
}

static void who_goes_while_being_served_keeps_its_slot_until_the_function_is_done(void **state)
{
	struct bench *b = *state;
	int c[LIMIT], f[LIMIT], next;

	for (int i = 0; i < LIMIT; i++) {
		c[i] = ask(b, "/");
		f[i] = taken(b, PATIENCE_MS);
		hear(f[i], "\r\n\r\n");
	}
	reset(c[0]);
	next = ask(b, "/next");
	assert_int_equal(ready(f[0], CALM_MS), 0);      /* the function still works for c[0] */
	serve(f[0], "for nobody");
	assert_non_null(strstr(hear(f[0], "\r\n\r\n"), "GET /next "));
	serve(f[0], "ok");
	assert_non_null(strstr(hear(next, "ok"), "200"));
	close(c[1]);
	close(next);
	close(f[0]);
	close(f[1]);
}

/* ---- What passes ------------------------------------------------------------------------------ */

static void a_request_is_passed_on_only_when_it_is_whole(void **state)
{
	struct bench *b = *state;
	int c = client_of(&b->at), f;
	char *text;

	say(c, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, x-drop\r\n"
	       "X-Drop: 1\r\nX-Keep: 2\r\n\r\n3\r\nab");
	assert_int_equal(taken(b, CALM_MS), -1);
	say(c, "c\r\n0\r\n\r\n");
	f = taken(b, PATIENCE_MS);
	assert_true(f >= 0);
	text = hear(f, "\r\n\r\nabc");
	assert_ptr_equal(strstr(text, "POST /x HTTP/1.1\r\n"), text);
	assert_non_null(strstr(text, "Content-Length: 3\r\n"));
	assert_non_null(strstr(text, "X-Keep: 2\r\n"));
	assert_null(strstr(text, "X-Drop"));
	assert_null(strstr(text, "chunked"));
	/* So is a response. */
	say(f, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nan");
	assert_int_equal(ready(c, CALM_MS), 0);
	say(f, "sw");
	assert_non_null(strstr(hear(c, "answ"), "Content-Length: 4\r\n"));
	close(c);
	close(f);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct bench *b = *state;
	int c = client_of(&b->at), f;
	char *text;

	say(c, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
	       "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	f = taken(b, PATIENCE_MS);
	for (int i = 1; i <= 3; i++) {
		char path[32], body[] = "body0";

		body[4] = (char)('0' + i);
		snprintf(path, sizeof(path), "GET /%d ", i);
		assert_non_null(strstr(hear(f, "\r\n\r\n"), path));
		serve(f, body);
	}
	text = hear(c, NULL);
	assert_true(strstr(text, "body1") < strstr(text, "body2"));
	assert_true(strstr(text, "body2") < strstr(text, "body3"));
	close(c);
	close(f);
}

static void a_head_gets_the_length_and_no_body(void **state)
{
	struct bench *b = *state;
	int c = client_of(&b->at), f;

	say(c, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
	f = taken(b, PATIENCE_MS);
	hear(f, "\r\n\r\n");
	say(f, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
	assert_non_null(strstr(hear(c, "\n\r\n"), "Content-Length: 1234\r\n"));
	say(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	hear(f, "\r\n\r\n");
	serve(f, "body");
	assert_non_null(strstr(hear(c, "body"), "Content-Length: 4\r\n"));
	close(c);
	close(f);
}

/* ---- What goes wrong -------------------------------------------------------------------------- */

static void a_function_that_breaks_off_is_a_502(void **state)
{
	static const char *const answers[] = { "", "HTTP/1.1 200 OK\r\nContent-Len",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "nonsense\r\n\r\n" };
	struct bench *b = *state;

	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		int c = ask(b, "/"), f = taken(b, PATIENCE_MS);

		hear(f, "\r\n\r\n");
		say(f, answers[i]);
		close(f);
		assert_non_null(strstr(hear(c, "\n\r\n"), "HTTP/1.1 502 "));
		close(c);
	}
	assert_int_equal(metric(b, "queue_proxy_in_flight"), 0);
}

static void a_function_that_is_not_there_is_a_502_and_unhealthy(void **state)
{
	struct bench *b = *state;
	int c = client_of(&b->metrics);

	say(c, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(hear(c, "\n\r\n"), "HTTP/1.1 200 "));
	close(b->function);
	b->function = -1;
	say(c, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(hear(c, "\n\r\n"), "HTTP/1.1 503 "));
	close(c);
	c = ask(b, "/");
	assert_non_null(strstr(hear(c, "\n\r\n"), "HTTP/1.1 502 "));
	close(c);
}

static void a_function_that_is_silent_is_a_504(void **state)
{
	struct bench *b = *state;
	int c = ask(b, "/"), f = taken(b, PATIENCE_MS);

	assert_non_null(strstr(hear(c, "\n\r\n"), "HTTP/1.1 504 "));
	assert_int_equal(metric(b, "queue_proxy_timeouts_total"), 1);
	assert_int_equal(metric(b, "queue_proxy_in_flight"), 0);
	close(c);
	close(f);
}

static void bad_requests_are_refused_here(void **state)
{
	static const char *const bad[][2] = {
		{ "NONSENSE\r\n\r\n", "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 413 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		  "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "HTTP/1.1 400 " },
	};
	struct bench *b = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int c = client_of(&b->at);
		char *text;

		say(c, bad[i][0]);
		text = hear(c, NULL);
		assert_ptr_equal(strstr(text, bad[i][1]), text);
		close(c);
	}
	assert_int_equal(taken(b, CALM_MS), -1);
}

static void connections_above_the_limit_are_told_so(void **state)
{
	struct bench *b = *state;
	int c[CLIENTS + 1];

	for (int i = 0; i <= CLIENTS; i++)
		c[i] = client_of(&b->at);
	assert_non_null(strstr(hear(c[CLIENTS], NULL), "HTTP/1.1 503 "));
	for (int i = 0; i <= CLIENTS; i++)
		close(c[i]);
}

static void random_clients_leave_nothing_in_flight(void **state)
{
	static const char *const pieces[] = {
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST /p HTTP/1.1\r\nHost: h\r\n", "\r\n", "3\r\nabc\r\n",
		"Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n",
		"HEAD / HTTP/1.0\r\n\r\n", "Expect: 100-continue\r\n", "\x01\xff",
	};
	struct bench *b = *state;
	uint64_t random = 7;
	pid_t function = fork();

	if (!function) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		for (;;) {                      /* answers something, once per connection */
			int f = taken(b, -1);
			char text[4096];

			if (recv(f, text, sizeof(text), 0) > 0 && random_next(&random) % 4)
				(void)!send(f, "HTTP/1.1 204 No Content\r\n\r\n", 27, MSG_NOSIGNAL);
			close(f);
		}
	}
	for (int i = 0; i < 1500; i++) {
		int c = client_of(&b->at), n = (int)(random_next(&random) % 8);

		while (n--) {
			const char *piece = pieces[random_next(&random) % 10];

			(void)!send(c, piece, strlen(piece), MSG_NOSIGNAL);
		}
		if (random_next(&random) & 1)
			ready(c, 1);
		if (random_next(&random) & 1)
			reset(c);
		else
			close(c);
	}
	for (int i = 0; i < 200 && metric(b, "queue_proxy_connections") > 1; i++)
		usleep(10000);
	assert_int_equal(metric(b, "queue_proxy_in_flight"), 0);
	assert_int_equal(metric(b, "queue_proxy_queued"), 0);
	assert_int_equal(metric(b, "queue_proxy_connections"), 1);     /* the one that asks */
	kill(function, SIGKILL);
	waitpid(function, NULL, 0);
}

/* ---- Handlers --------------------------------------------------------------------------------- */

/* Ask for `topic` with the token of `id`, `signed_topic` and the key `k`. */
static int ask_signed(const struct bench *b, const uint8_t *k, uint64_t id, unsigned signed_topic, unsigned topic)
{
	struct sidecar_config c = { 0 };
	uint8_t tag[SIDECAR_TAG_BYTES];
	char token[TOKEN_TEXT + 1], text[256];
	struct sidecar signer;
	int fd = client_of(&b->at);

	memcpy(c.key, k, sizeof(c.key));
	sidecar_open(&signer, &c, NULL);
	sidecar_tag(&signer, id, (uint16_t)signed_topic, tag);
	token_write(token, id, tag);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nX-Perhop-Topic: %u\r\nX-Perhop-Token: %s\r\n\r\n",
		 topic, token);
	say(fd, text);
	return fd;
}

static void refused(int fd)
{
	char *text = hear(fd, "token");

	assert_ptr_equal(strstr(text, "HTTP/1.1 401 "), text);
	assert_null(strstr(text, "Connection: close"));
	close(fd);
}

static void only_what_the_entry_has_signed_reaches_the_function(void **state)
{
	static const uint8_t other_key[SIDECAR_KEY_BYTES] = "another deployment's key";
	struct bench *b = *state;
	int c, f;

	refused(ask(b, "/"));
	refused(ask_signed(b, other_key, 7, 3, 3));
	refused(ask_signed(b, key, 7, 3, 4));
	c = client_of(&b->at);
	say(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Perhop-Topic: 3\r\nX-Perhop-Token: 0123\r\n\r\n");
	refused(c);
	assert_int_equal(taken(b, CALM_MS), -1);
	c = ask_signed(b, key, UINT64_C(0xfedcba9876543210), 3, 3);
	f = taken(b, PATIENCE_MS);
	/* It goes with the request, for the function to pass on. */
	assert_non_null(strstr(hear(f, "\r\n\r\n"), "X-Perhop-Token: fedcba9876543210"));
	serve(f, "welcome");
	assert_non_null(strstr(hear(c, "welcome"), "200 OK"));
	assert_int_equal(handler_metric(b, "refused_total{function=\"this\",instance=\"1\",handler=\"auth\"}"), 4);
	assert_int_equal(metric(b, "queue_proxy_in_flight"), 0);
	close(c);
	close(f);
}

static void a_token_is_read_as_it_was_written_or_not_at_all(void **state)
{
	uint8_t tag[TOKEN_TAG] = { 0, 1, 0x7f, 0x80, 0xff, 5 }, got[TOKEN_TAG];
	char text[TOKEN_TEXT + 1];
	uint64_t id = 1;

	(void)state;
	token_write(text, UINT64_C(0x8000000000000001), tag);
	assert_true(token_read((struct slice){ text, TOKEN_TEXT }, &id, got));
	assert_true(id == UINT64_C(0x8000000000000001));
	assert_memory_equal(got, tag, sizeof(tag));
	for (unsigned i = 0; i < TOKEN_TEXT; i++) {
		const char was = text[i];

		assert_false(token_read((struct slice){ text, i }, &id, got));
		text[i] = 'g';
		assert_false(token_read((struct slice){ text, TOKEN_TEXT }, &id, got));
		text[i] = was;
	}
}

#define RETRIED "retried_total{function=\"this\",instance=\"1\"}"

static void a_get_is_sent_again_when_its_connection_breaks_or_a_502_comes(void **state)
{
	struct bench *b = *state;
	int c = ask(b, "/once"), f = taken(b, PATIENCE_MS);

	hear(f, "\r\n\r\n");
	close(f);
	f = taken(b, PATIENCE_MS);
	assert_non_null(strstr(hear(f, "\r\n\r\n"), "GET /once "));
	say(f, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
	assert_non_null(strstr(hear(f, "\r\n\r\n"), "GET /once "));
	serve(f, "at last");
	assert_non_null(strstr(hear(c, "at last"), "200 OK"));
	assert_int_equal(handler_metric(b, RETRIED), 2);
	/* The connection is good for the next one. */
	say(c, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(hear(f, "\r\n\r\n"), "GET /next "));
	serve(f, "next");
	hear(c, "next");
	assert_int_equal(metric(b, "queue_proxy_in_flight"), 0);
	close(c);
	close(f);
}

static void a_post_that_the_function_may_have_seen_is_not_sent_again(void **state)
{
	struct bench *b = *state;
	int c = client_of(&b->at), f;

	say(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
	f = taken(b, PATIENCE_MS);
	hear(f, "hi");
	close(f);
	assert_non_null(strstr(hear(c, "broke"), "HTTP/1.1 502 "));
	assert_int_equal(taken(b, CALM_MS), -1);
	assert_int_equal(handler_metric(b, RETRIED), 0);
	close(c);
}

static void a_post_that_met_no_function_is_sent_when_there_is_one(void **state)
{
	struct bench *b = *state;
	int c = client_of(&b->at), f;

	close(b->function);
	say(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	while (!handler_metric(b, RETRIED))
		usleep(1000);
	function_returns(b);
	f = taken(b, PATIENCE_MS);
	assert_non_null(strstr(hear(f, "hello"), "POST / "));
	serve(f, "welcome");
	assert_non_null(strstr(hear(c, "welcome"), "200 OK"));
	close(c);
	close(f);
}

static void it_tries_so_often_and_says_so(void **state)
{
	struct bench *b = *state;
	int c = ask_signed(b, key, 1, 0, 0);

	for (int i = 0; i < 3; i++) {
		int f = taken(b, PATIENCE_MS);

		hear(f, "\r\n\r\n");
		close(f);
	}
	assert_non_null(strstr(hear(c, "broke"), "HTTP/1.1 502 "));
	assert_int_equal(taken(b, CALM_MS), -1);
	assert_int_equal(handler_metric(b, RETRIED), 2);
	/* One request for the other handlers, and a failed one. */
	assert_int_equal(handler_metric(b, "failed_total{function=\"this\",instance=\"1\"}"), 1);
	close(c);
}

static void it_tries_no_longer_than_the_function_has_time(void **state)
{
	struct bench *b = *state;
	int c;

	close(b->function);
	b->function = -1;
	c = ask(b, "/");
	/* 504 when the machine was so slow that the time ended within an attempt. */
	assert_non_null(strstr(hear(c, "\n\r\n"), "HTTP/1.1 50"));
	assert_in_range(handler_metric(b, RETRIED), 0, 2);      /* 10 ms and 20 ms later, of 35 */
	close(c);
}

static void who_goes_before_a_retry_leaves_its_place(void **state)
{
	struct bench *b = *state;
	int c[LIMIT + 1], f;

	close(b->function);
	for (int i = 0; i < LIMIT; i++)
		c[i] = ask(b, "/");
	while (handler_metric(b, RETRIED) < LIMIT)
		usleep(1000);
	assert_int_equal(metric(b, "queue_proxy_in_flight"), LIMIT);
	c[LIMIT] = ask(b, "/waits");
	while (!metric(b, "queue_proxy_queued"))
		usleep(1000);
	for (int i = 0; i < LIMIT; i++)
		reset(c[i]);
	function_returns(b);
	do {                                    /* who went may have been sent once more before */
		f = taken(b, PATIENCE_MS);
		assert_true(f >= 0);
		if (strstr(hear(f, "\r\n\r\n"), "GET /waits "))
			break;
		close(f);
	} while (true);
	serve(f, "here");
	assert_non_null(strstr(hear(c[LIMIT], "here"), "200 OK"));
	for (int i = 0; i < 200 && metric(b, "queue_proxy_in_flight") > 0; i++)
		usleep(10000);
	assert_int_equal(metric(b, "queue_proxy_in_flight"), 0);
	close(c[LIMIT]);
	close(f);
}

#define TEST_OF(name, begin) cmocka_unit_test_setup_teardown(name, begin, stop)
#define TEST(name) TEST_OF(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_above_the_limit_wait_in_order),
		TEST(a_full_queue_is_a_503_and_the_connection_stays_good),
		TEST(who_goes_while_waiting_leaves_the_queue),
		TEST(who_goes_while_being_served_keeps_its_slot_until_the_function_is_done),
		TEST(a_request_is_passed_on_only_when_it_is_whole),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(a_head_gets_the_length_and_no_body),
		TEST(a_function_that_breaks_off_is_a_502),
		TEST(a_function_that_is_not_there_is_a_502_and_unhealthy),
		cmocka_unit_test_setup_teardown(a_function_that_is_silent_is_a_504, start_impatient,
						stop),
		TEST(bad_requests_are_refused_here),
		TEST(connections_above_the_limit_are_told_so),
		TEST(random_clients_leave_nothing_in_flight),
		cmocka_unit_test(a_token_is_read_as_it_was_written_or_not_at_all),
		TEST_OF(only_what_the_entry_has_signed_reaches_the_function, start_guarded),
		TEST_OF(a_get_is_sent_again_when_its_connection_breaks_or_a_502_comes, start_stubborn),
		TEST_OF(a_post_that_the_function_may_have_seen_is_not_sent_again, start_stubborn),
		TEST_OF(a_post_that_met_no_function_is_sent_when_there_is_one, start_stubborn),
		TEST_OF(it_tries_so_often_and_says_so, start_twice),
		TEST_OF(it_tries_no_longer_than_the_function_has_time, start_stubborn_for_a_while),
		TEST_OF(who_goes_before_a_retry_leaves_its_place, start_stubborn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
