/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP endpoint of kernel:*, between a test that plays the runtime and peers on raw sockets. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/http.h"
#include "dataplanes/kernel/engine.h"

enum { ALPHA = 0, BETA = 1, SELF = 1, OTHER = 2, BUFFERS = 8, BYTES = 16384, CLIENTS = 4 };

static const struct function alpha = { .name = "alpha" }, beta = { .name = "beta" };
static const struct function *const functions[] = { &alpha, &beta };
static const function_id sequence[] = { ALPHA, BETA };
static const struct chain chains[] = {
	{ .name = "all", .path = "/", .sequence = sequence, .length = 2 },
	{ .name = "deep", .path = "/deep", .sequence = sequence, .length = 1 },
};
static const struct application app = {
	.functions = functions, .n_functions = 2, .chains = chains, .n_chains = 2,
};

struct bench {
	struct board board;
	struct engine_counters counters;
	struct pool *pool;
	struct engine *e;
	struct sockaddr_in serve, target[INSTANCE_MAX];
	int reserved, peer;         /* peer: listens where OTHER is reached */
};

static int listener(struct sockaddr_in *at, bool listening)
{
	socklen_t length = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &length), 0);
	if (listening)
		assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static struct bench *make(instance_id self, bool broker, uint64_t timeout_ns)
{
	struct bench *b = NULL;
	struct engine_config c = {
		.app = &app, .self = self, .servers = CLIENTS, .clients = CLIENTS,
		.body_max = BYTES, .timeout_ns = timeout_ns,
	};

	assert_int_equal(posix_memalign((void **)&b, 64, sizeof(*b)), 0);
	memset(b, 0, sizeof(*b));
	b->board.instances = 3;
	b->board.functions = b->board.topics = 2;
	b->board.line[SELF].function = ALPHA;
	b->board.line[OTHER].function = BETA;
	b->reserved = listener(&b->serve, false);
	b->peer = listener(&b->target[OTHER], true);
	assert_int_equal(pool_create(&b->pool, BUFFERS, BYTES, 0), 0);
	c.board = &b->board;
	c.listen = self == GATEWAY ? NULL : &b->serve;
	c.servers = self == GATEWAY ? 0 : CLIENTS;
	c.target = b->target;
	c.broker = broker ? &b->target[OTHER] : NULL;
	c.counters = &b->counters;
	assert_int_equal(engine_open(&b->e, &c, b->pool), 0);
	return b;
}

/* Nothing may be left in the pool, whatever a test has done. */
static void drop(struct bench *b)
{
	assert_int_equal(pool_in_use(b->pool), 0);
	engine_close(b->e);
	pool_destroy(b->pool);
	close(b->reserved);
	close(b->peer);
	free(b);
}

/* Let the engine work for `ms`, or until it hands a message over. */
static struct message *pump(struct bench *b, int ms)
{
	const uint64_t end = clock_now_ns() + (uint64_t)ms * NS_PER_MS;
	struct message *m;
	int n;

	do {
		n = engine_recv(b->e, &m, 1, NS_PER_MS);
		assert_true(n >= 0);
		if (n)
			return m;
	} while (clock_now_ns() < end);
	return NULL;
}

static int client(const struct bench *b)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&b->serve, sizeof(b->serve)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What the engine sends on `fd`, up to `until` or the end of the stream. */
static char *hear(struct bench *b, int fd, const char *until)
{
	static char text[65536];
	size_t n = 0;
	ssize_t got;

	text[0] = '\0';
	for (int i = 0; i < 2000 && !(until && strstr(text, until)); i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		assert_null(pump(b, 0));
		if (poll(&p, 1, 1) != 1)
			continue;
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = '\0';
	}
	return text;
}

static int accepted(const struct bench *b)
{
	struct pollfd p = { .fd = b->peer, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 2000), 1);
	return accept(b->peer, NULL, NULL);
}

static void set_bytes(struct message *m, const char *text)
{
	m->type = TYPE_BYTES;
	m->length = (uint32_t)strlen(text);
	memcpy(message_payload(m), text, m->length);
}

static void reply_with(struct bench *b, struct message *m, const char *text)
{
	struct http_writer w;

	m->kind = MESSAGE_REPLY;
	m->depth = 0;
	m->type = TYPE_HTTP_RESPONSE;
	http_begin(&w, message_payload(m), message_room(m), 200, "text/plain");
	http_field(&w, "Set-Cookie", "%s", "a=1");
	http_text(&w, text);
	m->length = (uint32_t)http_end(&w);
	assert_int_equal(engine_send(b->e, GATEWAY, m), 0);
}

/* A message of a function here that calls beta, with its frame on the stack. */
static struct message *calling(struct bench *b, const char *arguments)
{
	struct message *m = pool_alloc(b->pool, SELF);

	assert_non_null(m);
	m->kind = MESSAGE_CALL;
	m->function = BETA;
	m->topic = 1;
	m->position = 3;
	m->stack[m->depth++] = (struct frame){ .function = ALPHA, .instance = SELF, .step = 7 };
	set_bytes(m, arguments);
	return m;
}

/* ---- Server ----------------------------------------------------------------------------------- */

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

/* ---- Client ----------------------------------------------------------------------------------- */

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
	char before[BYTES], again[BYTES], *text;
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
		 "X-Perhop-Topic: 0\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
	say(fd, again);
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
		cmocka_unit_test(an_answered_call_resumes_with_its_frames),
		cmocka_unit_test(a_callee_that_breaks_off_or_babbles_is_a_502_to_its_caller),
		cmocka_unit_test(a_proxys_own_503_reaches_the_caller_as_such),
		cmocka_unit_test(a_callee_that_replies_ends_its_callers_too),
		cmocka_unit_test(silence_is_a_504),
		cmocka_unit_test(calls_above_the_limit_get_eagain_and_stay_the_callers),
		cmocka_unit_test(an_idle_connection_to_another_function_makes_room),
		cmocka_unit_test(a_callee_that_is_not_there_is_epipe_or_a_502),
		cmocka_unit_test(a_forward_is_relayed_to_who_asked),
		cmocka_unit_test(a_forward_whose_next_function_dies_is_a_502_to_who_asked),
		cmocka_unit_test(with_a_broker_a_forward_is_an_answer_to_it),
		cmocka_unit_test(a_client_request_travels_on_and_back_unchanged),
		cmocka_unit_test(the_gateways_reply_keeps_its_token),
		cmocka_unit_test(a_get_that_meets_a_closing_connection_is_sent_once_more),
		cmocka_unit_test(a_post_that_meets_a_closing_connection_is_never_sent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
