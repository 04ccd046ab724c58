/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of kernel:*'s HTTP endpoint share: the endpoint between a test that plays the runtime
 * and peers on raw sockets.
 */
#ifndef PERHOP_TEST_KERNEL_BENCH_H
#define PERHOP_TEST_KERNEL_BENCH_H

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

static inline struct bench *make(instance_id self, bool broker, uint64_t timeout_ns)
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
static inline void drop(struct bench *b)
{
	assert_int_equal(pool_in_use(b->pool), 0);
	engine_close(b->e);
	pool_destroy(b->pool);
	close(b->reserved);
	close(b->peer);
	free(b);
}

/* Let the engine work for `ms`, or until it hands a message over. */
static inline struct message *pump(struct bench *b, int ms)
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

static inline int client(const struct bench *b)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&b->serve, sizeof(b->serve)), 0);
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What the engine sends on `fd`, up to `until` or the end of the stream. */
static inline char *hear(struct bench *b, int fd, const char *until)
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

static inline int accepted(const struct bench *b)
{
	struct pollfd p = { .fd = b->peer, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 2000), 1);
	return accept(b->peer, NULL, NULL);
}

static inline void set_bytes(struct message *m, const char *text)
{
	m->type = TYPE_BYTES;
	m->length = (uint32_t)strlen(text);
	memcpy(message_payload(m), text, m->length);
}

static inline void reply_with(struct bench *b, struct message *m, const char *text)
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
static inline struct message *calling(struct bench *b, const char *arguments)
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

#endif
