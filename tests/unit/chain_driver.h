/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A miniature of the runtime for tests of workloads: interprets the outcomes of an application's
 * functions over one message buffer, in this process and without any dataplane. With `coded`, every
 * hop is encoded and decoded as a copying dataplane does, and what was in the buffer before is
 * overwritten, so that a function that relies on it shows.
 */
#ifndef PERHOP_CHAIN_DRIVER_H
#define PERHOP_CHAIN_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chain/codec.h"
#include "chain/function.h"
#include "chain/http.h"
#include "chain/workload.h"

enum { DRIVER_BUFFER = MESSAGE_BUFFER_DEFAULT, DRIVER_LOG = 128 };

struct driver {
	const struct application *app;
	bool coded;
	uint64_t seed;
	void *state[FUNCTION_MAX];
	struct message *m;
	unsigned char *wire;
	unsigned hops;              /* of the last request */
	function_id log[DRIVER_LOG];        /* functions invoked or resumed by CALL and FORWARD */
	unsigned logged;
	/* Of the last response: */
	unsigned status;
	const char *body, *fields;  /* with their NUL; in the message */
	size_t body_length, length;
};

static inline void driver_open(struct driver *d, const struct application *app, uint64_t seed,
			       bool coded)
{
	*d = (struct driver){ .app = app, .coded = coded, .seed = seed };
	d->m = aligned_alloc(64, DRIVER_BUFFER);
	d->wire = malloc(DRIVER_BUFFER);
	assert_non_null(d->m);
	assert_non_null(d->wire);
	for (unsigned i = 0; i < app->n_functions; i++) {
		const struct function *f = app->functions[i];

		if (f->state_bytes)
			d->state[i] = calloc(1, f->state_bytes);
		if (f->start)
			assert_int_equal(f->start(d->state[i], seed), 0);
	}
}

static inline void driver_close(struct driver *d)
{
	for (unsigned i = 0; i < d->app->n_functions; i++) {
		if (d->app->functions[i]->stop)
			d->app->functions[i]->stop(d->state[i]);
		free(d->state[i]);
	}
	free(d->m);
	free(d->wire);
}

/* One hop of the payload. HTTP has no codec: a dataplane carries it as it is. */
static inline void driver_hop(struct driver *d)
{
	struct message *m = d->m;
	uint16_t type = m->type;
	ssize_t n;

	if (type == TYPE_HTTP_REQUEST || type == TYPE_HTTP_RESPONSE)
		type = TYPE_BYTES;

	d->hops++;
	if (!d->coded)
		return;
	n = codec_encode(d->app->codec, type, message_payload(m), m->length, d->wire,
			 DRIVER_BUFFER);
	assert_true(n >= 0);
	memset(message_payload(m), 0xa5, message_room(m));
	n = codec_decode(d->app->codec, type, d->wire, (size_t)n, message_payload(m),
			 message_room(m));
	assert_true(n >= 0);
	m->length = (uint32_t)n;
}

static inline uint32_t driver_locals(const struct driver *d, function_id f)
{
	return (d->app->functions[f]->locals + 63) & ~63u;
}

/* Run the function of the message from `step`; its outcome is in the message. */
static inline enum outcome driver_run(struct driver *d, uint16_t step, struct invocation *inv)
{
	struct message *m = d->m;
	enum outcome outcome;

	*inv = (struct invocation){
		.message = m, .payload = message_payload(m), .length = m->length,
		.room = message_room(m), .type = m->type, .status = m->status, .step = step,
		.topic = m->topic, .locals = message_locals(m), .state = d->state[m->function],
		.config = d->app->functions[m->function]->config, .seed = d->seed,
	};
	outcome = d->app->functions[m->function]->handle(inv);
	assert_true(inv->length <= inv->room);
	m->length = inv->length;
	m->type = inv->type;
	m->status = inv->status;
	return outcome;
}

static inline void driver_enter(struct driver *d, function_id f)
{
	assert_true(f < d->app->n_functions);
	d->m->function = f;
	d->m->locals += driver_locals(d, f);
	memset(message_locals(d->m), 0, driver_locals(d, f));
	if (d->logged < DRIVER_LOG)
		d->log[d->logged++] = f;
}

static inline void driver_interpret(struct driver *d)
{
	const struct chain *chain = &d->app->chains[d->m->topic];
	struct message *m = d->m;
	struct invocation inv;
	uint16_t step = 0;

	driver_enter(d, chain->sequence[0]);
	for (;;) {
		enum outcome outcome = driver_run(d, step, &inv);

		if (outcome == CALL) {
			assert_true(m->depth < MESSAGE_DEPTH_MAX);
			m->stack[m->depth++] = (struct frame){ .function = m->function,
							       .step = inv.step };
			driver_hop(d);
			driver_enter(d, inv.callee);
			m->status = STATUS_OK;
			step = 0;
			continue;
		}
		m->locals -= driver_locals(d, m->function);
		if (outcome == RETURN && m->depth) {
			struct frame f = m->stack[--m->depth];

			driver_hop(d);
			m->function = f.function;
			step = f.step;
			continue;
		}
		if (outcome == FORWARD && m->position + 1u + inv.skip < chain->length) {
			driver_hop(d);
			m->position += 1 + inv.skip;
			driver_enter(d, chain->sequence[m->position]);
			step = 0;
			continue;
		}
		driver_hop(d);
		return;
	}
}

/* The chain that the gateway would choose. */
static inline unsigned driver_topic(const struct application *app, struct slice path)
{
	unsigned best = app->n_chains;

	for (unsigned i = 0; i < app->n_chains; i++) {
		size_t n = strlen(app->chains[i].path);

		if (n <= path.length && !memcmp(path.at, app->chains[i].path, n) &&
		    (best == app->n_chains || n > strlen(app->chains[best].path)))
			best = i;
	}
	return best;
}

/* Send the HTTP request `text`; what comes back is in *d. */
static inline void driver_request(struct driver *d, const char *text, size_t length)
{
	const struct http_response *r = message_payload(d->m);
	struct http_head head;
	ssize_t n;
	int bytes;

	message_init(d->m, DRIVER_BUFFER);
	bytes = http_parse_request(&head, text, length);
	assert_true(bytes > 0);
	n = http_request_build(message_payload(d->m), message_room(d->m), &head, text + bytes,
			       length - (size_t)bytes);
	assert_true(n > 0);
	d->m->length = (uint32_t)n;
	d->m->type = TYPE_HTTP_REQUEST;
	d->m->topic = (uint16_t)driver_topic(d->app, head.path);
	assert_true(d->m->topic < d->app->n_chains);
	d->hops = d->logged = 0;
	driver_hop(d);
	driver_interpret(d);
	assert_int_equal(d->m->depth && d->m->type != TYPE_REASON, 0);
	d->status = d->m->status;
	d->length = d->m->length;
	d->body = d->fields = "";
	d->body_length = 0;
	if (d->m->type != TYPE_HTTP_RESPONSE)
		return;
	assert_int_equal(http_response_check(r, d->m->length), 0);
	d->status = r->status;
	d->body = (const char *)r + r->body.offset;
	d->body_length = r->body.length;
	d->fields = (const char *)r + r->fields.offset;
}

#endif
