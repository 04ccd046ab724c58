/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workload `echo`: up to eight functions in a row that pass some bytes on and look at every one
 * of them. What is left of a chain when the application is taken away; with length=2 the "gateway
 * and two functions" of the SPRIGHT paper's Fig 5.
 *
 *   sequence   gateway → f1 → f2 → … → gateway                  (FORWARD)
 *   call       gateway → f1 → f2 → … → f2 → f1 → gateway        (CALL, RETURN)
 *
 * The payload leaves room before its bytes for the head of the response that they become, so that
 * they lie still from the first function to the gateway:
 *
 *   0          sizeof(struct echo)      ECHO_AT
 *   | hops, digest … |      free        | bytes … | NUL |
 *   | http_response, type, fields       | body … (the same bytes)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "chain/function.h"
#include "chain/http.h"
#include "chain/workload.h"
#include "workloads/arena.h"
#include "workloads/echo/echo.h"
#include "workloads/echo/echo.pb-c.h"

enum { STEP_ANSWER = 1 };

struct echo_config {
	unsigned index, length;     /* which function of how many */
	unsigned size;              /* bytes when the client brings none */
	unsigned body;              /* bytes that users post; 0: they GET */
	unsigned large, percent;    /* …of which so many percent post `large` instead */
	bool call;
};

struct echo_app {
	struct echo_config config[ECHO_LENGTH_MAX];
	struct function function[ECHO_LENGTH_MAX];
	const struct function *functions[ECHO_LENGTH_MAX];
	function_id sequence[ECHO_LENGTH_MAX];
	struct chain chain;
};

static const char *bytes_of(const struct echo *e)
{
	return (const char *)e + ECHO_AT;
}

int echo_check(const struct echo *e, size_t length)
{
	return length < ECHO_AT + 1 || e->length != length - ECHO_AT - 1 ? -EBADMSG : 0;
}

/* Sum of the bytes as 64-bit words: touches them all at the speed of memory. */
static uint64_t sum_words(const char *at, size_t n)
{
	uint64_t sum = 0, word;

	for (; n >= sizeof(word); at += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, at, n);
	return sum + word;
}

static void touch(struct echo *e)
{
	e->hops++;
	e->digest = (e->digest ^ (sum_words(bytes_of(e), e->length) + e->hops)) *
		    UINT64_C(0x100000001b3);
}

/* Printable, and different on each line, so that a misplaced byte shows. */
static void fill(char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = i % 64 == 63 ? '\n' : (char)('!' + (i + i / 64) % 90);
}

/* The client's request becomes the payload: its body, or bytes of our own. */
static int begin(struct invocation *inv, const struct echo_config *c)
{
	const struct http_request *rq = inv->payload;
	struct echo *e = inv->payload;
	uint32_t n = c->size, from = 0;

	if (http_request_check(rq, inv->length))
		return -EBADMSG;
	if (rq->method == HTTP_POST) {
		n = rq->body.length;
		from = rq->body.offset;
	}
	if (inv->room < ECHO_AT + 1 || n > inv->room - ECHO_AT - 1)
		return -EMSGSIZE;
	if (from)
		memmove((char *)e + ECHO_AT, (const char *)e + from, n);
	else
		memcpy((char *)e + ECHO_AT, inv->state, n);
	((char *)e)[ECHO_AT + n] = '\0';
	*e = (struct echo){ .length = n };
	inv->length = ECHO_AT + n + 1;
	inv->type = TYPE_ECHO;
	return 0;
}

/* A response around the bytes where they are. */
static enum outcome reply(struct invocation *inv, const struct echo_config *c)
{
	static const char hex[] = "0123456789abcdef";
	struct {
		struct http_response head;
		char type[11];
		char fields[44];
	} r = {
		.head = {
			.status = STATUS_OK,
			.content_type = { sizeof(r.head), sizeof(r.type) - 1 },
			.body = { ECHO_AT, 0 },
		},
		.type = "text/plain",
		.fields = "X-Echo-Hops: 0\r\nX-Echo: 0123456789abcdef\r\n",
	};
	const struct echo *e = inv->payload;

	_Static_assert(sizeof(r) <= ECHO_AT, "the head fits before the bytes");
	if (e->hops != c->length)
		return invocation_fail(inv, STATUS_INTERNAL, "echo: it took a wrong turn");
	r.head.fields = (struct http_part){ offsetof(typeof(r), fields), strlen(r.fields) };
	r.head.body.length = e->length;
	r.fields[13] = (char)('0' + e->hops);
	for (unsigned i = 0; i < 16; i++)
		r.fields[24 + i] = hex[e->digest >> (60 - 4 * i) & 15];
	memcpy(inv->payload, &r, sizeof(r));
	inv->status = STATUS_OK;
	inv->type = TYPE_HTTP_RESPONSE;
	return REPLY;
}

static enum outcome handle(struct invocation *inv)
{
	const struct echo_config *c = inv->config;
	int error = 0;

	if (inv->step == STEP_ANSWER) {
		if (inv->type != TYPE_ECHO || echo_check(inv->payload, inv->length))
			return invocation_fail(inv,
					       inv->status < 400 ? STATUS_INTERNAL : inv->status,
					       "echo: the next function has failed");
		if (c->index)
			return invocation_return(inv, STATUS_OK, TYPE_ECHO, inv->length);
		return reply(inv, c);
	}
	if (inv->type == TYPE_HTTP_REQUEST)
		error = begin(inv, c);
	else if (inv->type != TYPE_ECHO)
		error = -EBADMSG;
	if (!error)
		error = echo_check(inv->payload, inv->length);
	if (error)
		return invocation_fail(inv, error == -EMSGSIZE ? 413 : STATUS_BAD_REQUEST,
				       "echo: unsound request");
	touch(inv->payload);
	if (c->index + 1 < c->length)
		return c->call ? invocation_call(inv, (function_id)(c->index + 1), STEP_ANSWER,
						 TYPE_ECHO, inv->length)
			       : FORWARD;
	return c->call && c->index ? invocation_return(inv, STATUS_OK, TYPE_ECHO, inv->length)
				   : reply(inv, c);
}

static int start(void *state, uint64_t seed)
{
	(void)seed;
	fill(state, ECHO_SIZE_MAX);
	return 0;
}

/* ---- Codec ---------------------------------------------------------------------------------- */

static ssize_t encode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	const struct echo *e = in;
	Perhop__Echo message = PERHOP__ECHO__INIT;

	if (type != TYPE_ECHO || echo_check(e, length))
		return -EINVAL;
	message.hops = e->hops;
	message.digest = e->digest;
	message.payload.data = (uint8_t *)(uintptr_t)bytes_of(e);
	message.payload.len = e->length;
	if (perhop__echo__get_packed_size(&message) > room)
		return -EMSGSIZE;
	return (ssize_t)perhop__echo__pack(&message, out);
}

static ssize_t decode(uint16_t type, const void *in, size_t length, void *out, size_t room)
{
	_Alignas(16) unsigned char tree[ECHO_TREE_BYTES];
	struct arena arena = { .bytes = tree, .size = sizeof(tree) };
	ProtobufCAllocator allocator = arena_allocator(&arena);
	Perhop__Echo *message;
	struct echo *e = out;
	size_t n;

	if (type != TYPE_ECHO)
		return -EINVAL;
	message = perhop__echo__unpack(&allocator, length, in);
	if (!message)
		return -EBADMSG;
	n = message->payload.len;
	if (room < ECHO_AT + 1 || n > room - ECHO_AT - 1)
		return -EMSGSIZE;
	*e = (struct echo){ .hops = message->hops, .length = (uint32_t)n,
			    .digest = message->digest };
	if (n)
		memcpy((char *)out + ECHO_AT, message->payload.data, n);
	((char *)out)[ECHO_AT + n] = '\0';
	return (ssize_t)(ECHO_AT + n + 1);
}

static const struct codec echo_codec = { .encode = encode, .decode = decode };

/* ---- Users ---------------------------------------------------------------------------------- */

static int next_get(void *user, uint64_t *random, struct user_request *rq)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: echo\r\n\r\n";

	(void)user;
	(void)random;
	if (rq->room < sizeof(text))
		return -EMSGSIZE;
	memcpy(rq->out, text, sizeof(text) - 1);
	rq->length = sizeof(text) - 1;
	return 0;
}

static int next_post(void *user, uint64_t *random, struct user_request *rq)
{
	const struct echo_app *app;
	unsigned body;
	int n;

	(void)user;
	if (!rq->app)
		return -EINVAL;
	app = rq->app->private;
	body = app->config[0].body;
	if (app->config[0].percent && random_next(random) % 100 < app->config[0].percent)
		body = app->config[0].large;
	n = snprintf(rq->out, rq->room, "POST / HTTP/1.1\r\nHost: echo\r\nContent-Type: "
		     "application/octet-stream\r\nContent-Length: %u\r\n\r\n", body);
	if (n < 0 || (size_t)n + body > rq->room)
		return -EMSGSIZE;
	fill(rq->out + n, body);
	rq->length = (size_t)n + body;
	return 0;
}

static void response(void *user, const char *head, size_t head_length, const char *body,
		     size_t body_length, unsigned status, bool *ok)
{
	(void)user;
	(void)head;
	(void)head_length;
	*ok = status == 200 && (!body_length || body[0] == '!');
}

static const struct user_model getters = {.user_bytes = 1, .next = next_get, .response = response};
static const struct user_model posters = { .user_bytes = 1, .next = next_post,
					   .response = response };

/* ---- The workload --------------------------------------------------------------------------- */

static const struct option_spec options[] = {
	{ "length", "1..8", "2", "functions in a row" },
	{ "size", "0..65536", "256", "bytes that travel when the client brings none; a buffer holds them and 600 more" },
	{ "body", "0..16384", "0", "bytes that users POST; 0: they GET" },
	{ "large", "0..16384", "10240", "bytes that some of those who POST send instead" },
	{ "large-percent", "0..100", "0", "how many of them: body=100,large-percent=2 is Fig 2 of SPRIGHT" },
	{ 0 },
};

static int configure(struct application *app, char *why, size_t why_bytes)
{
	static const char *const names[ECHO_LENGTH_MAX] = { "f1", "f2", "f3", "f4",
							    "f5", "f6", "f7", "f8" };
	unsigned length = (unsigned)spec_number(&app->spec, options, "length");
	struct echo_app *e = calloc(1, sizeof(*e));

	if (!e) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < length; i++) {
		e->config[i] = (struct echo_config){
			.index = i, .length = length,
			.size = (unsigned)spec_number(&app->spec, options, "size"),
			.body = (unsigned)spec_number(&app->spec, options, "body"),
			.large = (unsigned)spec_number(&app->spec, options, "large"),
			.percent = (unsigned)spec_number(&app->spec, options, "large-percent"),
			.call = !strcmp(app->spec.mode, "call"),
		};
		e->function[i] = (struct function){
			.name = names[i], .handle = handle, .config = &e->config[i],
			.state_bytes = i ? 0 : ECHO_SIZE_MAX, .start = i ? NULL : start,
		};
		e->functions[i] = &e->function[i];
		e->sequence[i] = (function_id)i;
	}
	e->chain = (struct chain){ .name = "echo", .path = "/", .sequence = e->sequence,
				   .length = e->config[0].call ? 1 : length };
	app->functions = e->functions;
	app->n_functions = length;
	app->chains = &e->chain;
	app->n_chains = 1;
	app->codec = &echo_codec;
	app->users = e->config[0].body || e->config[0].percent ? &posters : &getters;
	app->private = e;
	return 0;
}

static void release(struct application *app)
{
	free(app->private);
	app->private = NULL;
}

const struct workload workload_echo = {
	.name = "echo",
	.summary = "functions in a row that pass bytes on: what a hop costs, and nothing else",
	.modes = "sequence|call",
	.options = options,
	.configure = configure,
	.release = release,
};
