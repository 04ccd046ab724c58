// SPDX-License-Identifier: BSD-2-Clause
/* Hostile functions in a real deployment: what the clients, the others and the supervisor see of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/deploy.h"
#include "chain/http.h"
#include "tests/unit/supervised.h"

enum { GOOD, PEEK, KEEP, SCRIBBLE, SPIN, FAILING, N_FUNCTIONS };
enum { BUFFERS = 32 };

static enum outcome answer(struct invocation *inv, const char *text)
{
	inv->length = (uint32_t)strlen(text);
	memcpy(inv->payload, text, inv->length);
	inv->type = TYPE_BYTES;
	inv->status = 200;
	return REPLY;
}

static enum outcome good(struct invocation *inv)
{
	return answer(inv, "good");
}

/* Reads what is next to its buffer, on either side: one of them is inside the pool. */
static enum outcome peek(struct invocation *inv)
{
	volatile const char *m = (const char *)inv->message;
	const size_t bytes = sizeof(struct message) + inv->message->capacity;

	return answer(inv, m[bytes] + m[-1] ? "saw something" : "saw nothing");
}

struct kept {
	volatile char *payload;
};

/* Touches, at every request, the payload of the one before. */
static enum outcome keep(struct invocation *inv)
{
	struct kept *k = inv->state;
	char first = k->payload ? *k->payload : 0;

	k->payload = inv->payload;
	return answer(inv, first ? "saw the old one" : "kept it");
}

/* Writes all over the header, as if to have the answer go elsewhere. */
static enum outcome scribble(struct invocation *inv)
{
	memset(inv->message, 0xff, sizeof(*inv->message));
	return answer(inv, "good");
}

static enum outcome spin(struct invocation *inv)
{
	volatile bool forever = true;

	while (forever)
		;
	return answer(inv, "it has returned");
}

static enum outcome failing(struct invocation *inv)
{
	return invocation_fail(inv, 500, "it fails");
}

static const struct function f_good = { .name = "good", .handle = good };
static const struct function f_peek = { .name = "peek", .handle = peek };
static const struct function f_keep = { .name = "keep", .handle = keep,
					.state_bytes = sizeof(struct kept) };
static const struct function f_scribble = { .name = "scribble", .handle = scribble };
static const struct function f_spin = { .name = "spin", .handle = spin };
static const struct function f_failing = { .name = "failing", .handle = failing };
static const struct function *const functions[] = { &f_good, &f_peek, &f_keep, &f_scribble, &f_spin,
						    &f_failing };
static const function_id ids[] = { GOOD, PEEK, KEEP, SCRIBBLE, SPIN, FAILING };
static const struct chain chains[] = {
	{ "good", "/good", &ids[GOOD], 1, NULL }, { "peek", "/peek", &ids[PEEK], 1, NULL },
	{ "keep", "/keep", &ids[KEEP], 1, NULL }, { "scribble", "/scribble", &ids[SCRIBBLE], 1, NULL },
	{ "spin", "/spin", &ids[SPIN], 1, NULL }, { "failing", "/failing", &ids[FAILING], 1, NULL },
};
static const struct application app = { .functions = functions, .n_functions = N_FUNCTIONS,
					.chains = chains, .n_chains = N_FUNCTIONS };

static void deploy(struct deployment *d, const char *text)
{
	const struct dataplane_ops *ops;
	struct deploy_config c;
	char why[256] = "";
	struct spec spec;

	assert_int_equal(dataplane_open(&spec, &ops, text, why, sizeof(why)), 0);
	deploy_defaults(&c);
	c.pool_buffers = BUFFERS;
	c.restart = true;
	c.request_timeout_ns = NS_PER_SEC;
	if (deploy_start(d, ops, &spec, &app, &c))
		fail_msg("%s", d->why);
}

static void a_function_that_touches_what_it_does_not_hold_is_ended_alone(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, "sure:process,gate=mprotect");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(&d, "/peek", text, sizeof(text)), 502);
		assert_int_equal(get(&d, "/good", text, sizeof(text)), 200);
		await_health(&d);
	}
	assert_int_equal(d.restarts, 3);
	assert_int_equal(get(&d, "/_perhop/metrics", text, sizeof(text)), 200);
	assert_non_null(strstr(text, "perhop_violations_total{function=\"peek\",instance=\"2\"} 3\n"));
	assert_non_null(strstr(text, "perhop_violations_total{function=\"good\",instance=\"1\"} 0\n"));
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void a_pointer_kept_from_one_request_to_the_next_ends_the_function(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, "sure:process,gate=mprotect,sidecar=all");
	assert_int_equal(get(&d, "/keep", text, sizeof(text)), 200);
	/* Two buffers at a time, so that the next request does not get the same one. */
	struct message *m = pool_alloc(d.pool, GATEWAY);

	assert_int_equal(get(&d, "/keep", text, sizeof(text)), 502);
	await_health(&d);
	assert_int_equal(get(&d, "/keep", text, sizeof(text)), 200);
	assert_int_equal(pool_free(d.pool, m, GATEWAY), 0);
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void a_forged_header_does_not_lead_an_answer_astray(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, "sure:process,gate=mprotect,sidecar=auth+metrics");
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(&d, "/scribble", text, sizeof(text)), 200);
	assert_int_equal(d.restarts, 0);
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void a_function_that_never_returns_holds_up_only_itself(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, "sure:process,gate=mprotect");
	assert_int_equal(get(&d, "/spin", text, sizeof(text)), 504);
	for (int i = 0; i < 5; i++)
		assert_int_equal(get(&d, "/good", text, sizeof(text)), 200);
	deploy_stop(&d);
}

static void without_a_gate_nothing_is_promised_about_reach(void **state)
{
	const struct dataplane_ops *ops = dataplane_find("sure");
	struct spec spec;
	char why[256];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dataplane_open(&spec, &ops, i ? "sure,gate=model" : "sure", why,
						sizeof(why)), 0);
		assert_memory_equal(ops->promises(&spec), "nothing about reach", 19);
	}
	assert_int_equal(dataplane_open(&spec, &ops, "sure,gate=mprotect", why, sizeof(why)), 0);
	assert_null(strstr(ops->promises(&spec), "nothing"));
}

static void the_breaker_opens_in_front_of_a_function_that_fails(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, "sure:process,sidecar=breaker+metrics,breaker_failures=3,breaker_ms=3600000");
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(&d, "/failing", text, sizeof(text)), 500);
	assert_int_equal(get(&d, "/failing", text, sizeof(text)), 503);
	assert_int_equal(get(&d, "/good", text, sizeof(text)), 200);
	assert_int_equal(get(&d, "/_perhop/metrics", text, sizeof(text)), 200);
	assert_non_null(strstr(text, "perhop_sidecar_refused_total{function=\"failing\",instance=\"6\","
				     "handler=\"breaker\"} 1\n"));
	assert_non_null(strstr(text, "perhop_sidecar_breaker_open{function=\"failing\","
				     "instance=\"6\"} 1\n"));
	deploy_stop(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_that_touches_what_it_does_not_hold_is_ended_alone),
		cmocka_unit_test(a_pointer_kept_from_one_request_to_the_next_ends_the_function),
		cmocka_unit_test(a_forged_header_does_not_lead_an_answer_astray),
		cmocka_unit_test(a_function_that_never_returns_holds_up_only_itself),
		cmocka_unit_test(without_a_gate_nothing_is_promised_about_reach),
		cmocka_unit_test(the_breaker_opens_in_front_of_a_function_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
