/* SPDX-License-Identifier: BSD-2-Clause */
/* echo: what comes back is what was sent, whatever the way. */
#include <stdio.h>

#include "chain/clock.h"
#include "tests/unit/chain_driver.h"
#include "workloads/echo/echo.h"

static void with(const char *spec, void (*f)(struct driver *plain, struct driver *coded))
{
	const struct workload *found;
	struct application app;
	struct driver plain, coded;
	char why[256];

	assert_int_equal(application_open(&app, &found, spec, why, sizeof(why)), 0);
	driver_open(&plain, &app, 1, false);
	driver_open(&coded, &app, 1, true);
	f(&plain, &coded);
	driver_close(&plain);
	driver_close(&coded);
	found->release(&app);
}

static void both(struct driver *plain, struct driver *coded, const char *text, size_t n)
{
	driver_request(plain, text, n);
	driver_request(coded, text, n);
	assert_int_equal(plain->status, 200);
	assert_int_equal(coded->status, 200);
	assert_int_equal(plain->body_length, coded->body_length);
	assert_memory_equal(plain->body, coded->body, plain->body_length);
	assert_string_equal(plain->fields, coded->fields);
}

static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static void get_and_count(struct driver *plain, struct driver *coded)
{
	char hops[24];

	both(plain, coded, get, sizeof(get) - 1);
	snprintf(hops, sizeof(hops), "X-Echo-Hops: %u\r\n", plain->app->n_functions);
	assert_non_null(strstr(plain->fields, hops));
	assert_int_equal(plain->logged, plain->app->n_functions);
}

static void any_length_in_both_modes_visits_every_function(void **state)
{
	char spec[64];

	(void)state;
	for (unsigned length = 1; length <= 8; length++) {
		snprintf(spec, sizeof(spec), "echo,length=%u", length);
		with(spec, get_and_count);
		snprintf(spec, sizeof(spec), "echo:call,length=%u,size=100", length);
		with(spec, get_and_count);
	}
}

static void nothing_comes_back(struct driver *plain, struct driver *coded)
{
	both(plain, coded, get, sizeof(get) - 1);
	assert_int_equal(plain->body_length, 0);
}

static void much_comes_back(struct driver *plain, struct driver *coded)
{
	both(plain, coded, get, sizeof(get) - 1);
	assert_int_equal(plain->body_length, 16384);
}

static void the_answer_has_the_size_that_was_asked_for(void **state)
{
	(void)state;
	with("echo,size=0", nothing_comes_back);
	with("echo,size=16384", much_comes_back);
}

static void post_all_bytes(struct driver *plain, struct driver *coded)
{
	char text[40000];
	int n;

	for (unsigned size = 0; size < 32768; size = size * 3 + 1) {
		n = snprintf(text, sizeof(text),
			     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n", size);
		for (unsigned i = 0; i < size; i++)
			text[(unsigned)n + i] = (char)(i * 7);
		both(plain, coded, text, (size_t)n + size);
		assert_int_equal(plain->body_length, size);
		assert_memory_equal(plain->body, text + n, size);
	}
}

static void a_posted_body_comes_back_as_it_was(void **state)
{
	(void)state;
	with("echo,length=3", post_all_bytes);
	with("echo:call,length=3", post_all_bytes);
}

static void post_as_users(struct driver *plain, struct driver *coded)
{
	struct user_request rq = { .app = plain->app };
	uint64_t random = 1;
	char out[20000], user[8] = { 0 };
	bool ok = false;

	rq.out = out;
	rq.room = sizeof(out);
	assert_int_equal(plain->app->users->next(user, &random, &rq), 0);
	both(plain, coded, out, rq.length);
	assert_int_equal(plain->body_length, 5000);
	plain->app->users->response(user, "", 0, plain->body, plain->body_length, 200, &ok);
	assert_true(ok);
	rq.room = 100;
	assert_int_equal(plain->app->users->next(user, &random, &rq), -EMSGSIZE);
}

static void users_post_what_they_are_told_to(void **state)
{
	(void)state;
	with("echo,body=5000", post_as_users);
}

static void post_a_mix(struct driver *plain, struct driver *coded)
{
	struct user_request rq = { .app = plain->app };
	unsigned large = 0, small = 0;
	uint64_t random = 7;
	char out[20000], user[8] = { 0 };

	rq.out = out;
	rq.room = sizeof(out);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(plain->app->users->next(user, &random, &rq), 0);
		large += rq.length > 10240;
		small += rq.length > 100 && rq.length < 300;
		if (i % 100 == 0)
			both(plain, coded, out, rq.length);
	}
	assert_int_equal(large + small, 5000);
	/* 2 % of 5,000 are 100 ± 10. */
	assert_in_range(large, 60, 140);
}

static void some_of_the_users_post_more(void **state)
{
	(void)state;
	with("echo,body=100,large=10240,large-percent=2", post_a_mix);
}

static void change_one_byte(struct driver *plain, struct driver *coded)
{
	char a[128], b[128], text[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

	both(plain, coded, text, sizeof(text) - 1);
	snprintf(a, sizeof(a), "%s", plain->fields);
	text[sizeof(text) - 2] = 'd';
	both(plain, coded, text, sizeof(text) - 1);
	snprintf(b, sizeof(b), "%s", plain->fields);
	assert_string_not_equal(a, b);
}

static void the_digest_depends_on_every_byte(void **state)
{
	(void)state;
	with("echo", change_one_byte);
}

static void fuzz_codec(struct driver *plain, struct driver *coded)
{
	const struct codec *c = plain->app->codec;
	static _Alignas(64) unsigned char out[65536];
	unsigned char wire[512], garbage[512];
	uint64_t random = 3;
	struct echo *e = (struct echo *)out;
	ssize_t n;

	(void)coded;
	memset(out, 0, sizeof(out));
	*e = (struct echo){ .hops = 2, .length = 100, .digest = 9 };
	n = c->encode(TYPE_ECHO, out, ECHO_AT + 101, wire, sizeof(wire));
	assert_true(n > 100);
	assert_int_equal(c->encode(TYPE_ECHO, out, ECHO_AT + 101, wire, 50), -EMSGSIZE);
	assert_int_equal(c->encode(TYPE_ECHO, out, ECHO_AT + 100, wire, sizeof(wire)), -EINVAL);
	assert_int_equal(c->decode(TYPE_ECHO, wire, (size_t)n, out, 128), -EMSGSIZE);
	for (unsigned i = 0; i < 200000; i++) {
		size_t length = random_next(&random) % (unsigned)(n + 1);
		unsigned flips = (unsigned)(random_next(&random) % 4);
		ssize_t made;

		memcpy(garbage, wire, sizeof(garbage));
		while (flips--)
			garbage[random_next(&random) % (unsigned)n] = (unsigned char)random;
		made = c->decode(TYPE_ECHO, garbage, length, out, 4096);
		if (made >= 0)
			assert_int_equal(echo_check((struct echo *)out, (size_t)made), 0);
	}
}

static void garbage_decodes_to_something_sound_or_not_at_all(void **state)
{
	(void)state;
	with("echo", fuzz_codec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_length_in_both_modes_visits_every_function),
		cmocka_unit_test(the_answer_has_the_size_that_was_asked_for),
		cmocka_unit_test(a_posted_body_comes_back_as_it_was),
		cmocka_unit_test(users_post_what_they_are_told_to),
		cmocka_unit_test(some_of_the_users_post_more),
		cmocka_unit_test(the_digest_depends_on_every_byte),
		cmocka_unit_test(garbage_decodes_to_something_sound_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
