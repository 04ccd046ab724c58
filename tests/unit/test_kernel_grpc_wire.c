/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What gRPC adds to HTTP/2, as its documents say it: PROTOCOL-HTTP2.md (grpc-timeout, grpc-message,
 * messages, fields) and statuscodes.md.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chain/clock.h"
#include "dataplanes/kernel/grpc_wire.h"

enum { ALPHA, BETA };

static const struct function alpha = { .name = "alpha" }, beta = { .name = "beta" };
static const struct function *const functions[] = { &alpha, &beta };
static const struct service_method methods[] = { { "/shop.Cart/Get", BETA, 16, 17 } };
static const struct application app = { .functions = functions, .n_functions = 2,
					.methods = methods, .n_methods = 1 };

static uint64_t parsed(const char *text)
{
	return grpc_timeout_parse(text, strlen(text));
}

static void a_timeout_is_digits_and_a_unit(void **state)
{
	(void)state;
	assert_int_equal(parsed("1n"), 1);
	assert_int_equal(parsed("20u"), 20000);
	assert_int_equal(parsed("300m"), 300 * NS_PER_MS);
	assert_int_equal(parsed("4S"), 4 * NS_PER_SEC);
	assert_int_equal(parsed("5M"), 300 * NS_PER_SEC);
	assert_int_equal(parsed("6H"), 6 * 3600 * NS_PER_SEC);
	assert_int_equal(parsed("007S"), 7 * NS_PER_SEC);
	assert_int_equal(parsed("99999999n"), 99999999);
}

static void a_timeout_of_nothing_has_passed_and_is_not_none(void **state)
{
	(void)state;
	assert_int_equal(parsed("0n"), 1);
	assert_int_equal(parsed("0H"), 1);
	assert_int_equal(parsed("00000000S"), 1);
}

static void a_timeout_is_never_more_than_a_day(void **state)
{
	const uint64_t day = 24 * 3600 * NS_PER_SEC;

	(void)state;
	assert_int_equal(parsed("24H"), day);
	assert_int_equal(parsed("25H"), day);
	/* 99,999,999 hours would not fit in 64 bits of ns. */
	assert_int_equal(parsed("99999999H"), day);
	assert_int_equal(parsed("99999999M"), day);
	assert_int_equal(parsed("99999999S"), day);
}

static void what_is_no_timeout_is_told_apart(void **state)
{
	static const char *const bad[] = { "", "1", "S", "1s", "1h", "soon", "-1S", "+1S", " 1S", "1 S", "1S ",
					   "1.5S", "0x1S", "1SS", "123456789S", "1\xff" };

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parsed(bad[i]), 0);
	assert_int_equal(grpc_timeout_parse("1\0S", 3), 0);
	/* Only `length` bytes are its. */
	assert_int_equal(grpc_timeout_parse("12S", 2), 0);
	assert_int_equal(grpc_timeout_parse("1S2", 2), NS_PER_SEC);
}

static void a_timeout_is_written_in_eight_digits_and_never_shorter_than_it_is(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0n" }, { 1, "1n" }, { 99999999, "99999999n" }, { 100000000, "100000u" },
		{ 100000001, "100001u" }, { 30 * NS_PER_SEC, "30000000u" }, { 100 * NS_PER_SEC, "100000m" },
		{ 99999999 * NS_PER_SEC, "99999999S" },
		{ UINT64_MAX, "5124096H" },
	};
	char text[GRPC_TIMEOUT_TEXT];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		grpc_timeout_format(cases[i].ns, text);
		assert_string_equal(text, cases[i].text);
	}
	for (uint64_t ns = 1; ns < 24 * 3600 * NS_PER_SEC; ns = ns * 3 + 1) {
		grpc_timeout_format(ns, text);
		assert_true(strlen(text) < GRPC_TIMEOUT_TEXT);
		assert_true(parsed(text) >= ns);
		assert_true(parsed(text) <= ns + ns / 100000 + 1);
	}
}

static void http_statuses_have_their_grpc_status(void **state)
{
	static const struct {
		unsigned http;
		enum grpc_status status;
	} cases[] = {
		{ 200, GRPC_OK }, { 201, GRPC_OK }, { 303, GRPC_OK },
		{ 400, GRPC_INVALID_ARGUMENT }, { 401, GRPC_UNAUTHENTICATED }, { 403, GRPC_PERMISSION_DENIED },
		{ 404, GRPC_NOT_FOUND }, { 408, GRPC_DEADLINE_EXCEEDED }, { 409, GRPC_ABORTED },
		{ 413, GRPC_RESOURCE_EXHAUSTED }, { 422, GRPC_FAILED_PRECONDITION },
		{ 429, GRPC_RESOURCE_EXHAUSTED }, { 499, GRPC_CANCELLED }, { 500, GRPC_INTERNAL },
		{ 501, GRPC_UNIMPLEMENTED }, { 502, GRPC_UNAVAILABLE }, { 503, GRPC_UNAVAILABLE },
		{ 504, GRPC_DEADLINE_EXCEEDED }, { 505, GRPC_INTERNAL }, { 599, GRPC_INTERNAL },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(grpc_of_http(cases[i].http), cases[i].status);
}

static void grpc_statuses_have_their_http_status(void **state)
{
	(void)state;
	assert_int_equal(grpc_to_http(GRPC_OK), 200);
	assert_int_equal(grpc_to_http(GRPC_CANCELLED), 499);
	assert_int_equal(grpc_to_http(GRPC_DEADLINE_EXCEEDED), 504);
	assert_int_equal(grpc_to_http(GRPC_RESOURCE_EXHAUSTED), 429);
	assert_int_equal(grpc_to_http(GRPC_UNAVAILABLE), 503);
	assert_int_equal(grpc_to_http(GRPC_UNAUTHENTICATED), 401);
	/* Numbers that gRPC has not given out are as UNKNOWN. */
	assert_int_equal(grpc_to_http(GRPC_STATUSES), 500);
	assert_int_equal(grpc_to_http(99999), 500);
	/* Nothing but OK is a success, and success and failure survive the way there and back. */
	for (unsigned s = 1; s < GRPC_STATUSES; s++) {
		assert_true(grpc_to_http(s) >= 400 && grpc_to_http(s) <= 599);
		assert_int_not_equal(grpc_of_http(grpc_to_http(s)), GRPC_OK);
	}
}

static void a_reason_is_percent_encoded_and_back(void **state)
{
	static const char reason[] = "100 % of caf\xc3\xa9s\n";
	char coded[64], plain[64];
	size_t n;

	(void)state;
	n = grpc_percent_encode(reason, strlen(reason), coded, sizeof(coded));
	assert_int_equal(n, strlen("100 %25 of caf%C3%A9s%0A"));
	assert_memory_equal(coded, "100 %25 of caf%C3%A9s%0A", n);
	n = grpc_percent_decode(coded, n, plain, sizeof(plain));
	assert_int_equal(n, strlen(reason));
	assert_memory_equal(plain, reason, n);
	/* No escape is cut in two; what is no escape stands for itself. */
	assert_int_equal(grpc_percent_encode("a%%", 3, coded, 6), 4);
	assert_int_equal(grpc_percent_encode("ab", 2, coded, 1), 1);
	n = grpc_percent_decode("%zz%4%41%", 9, plain, sizeof(plain));
	assert_int_equal(n, 7);
	assert_memory_equal(plain, "%zz%4A%", n);
	assert_int_equal(grpc_percent_decode("abc", 3, plain, 2), 2);
}

static void a_message_is_read_however_it_is_cut(void **state)
{
	uint8_t in[GRPC_PREFIX + 4] = { 0, 0, 0, 0, 4, 'a', 'b', 'c', 'd' }, out[sizeof(in)];

	(void)state;
	for (size_t step = 1; step <= sizeof(in); step++) {
		struct grpc_reader r = { 0 };

		for (size_t at = 0; at < sizeof(in); at += step) {
			assert_false(r.whole);
			assert_int_equal(grpc_read(&r, in + at, sizeof(in) - at < step ? sizeof(in) - at : step, out,
						   sizeof(out)), 0);
		}
		assert_true(r.whole);
		assert_int_equal(r.length, 4);
		assert_memory_equal(out + GRPC_PREFIX, "abcd", 4);
		assert_int_equal(grpc_read(&r, in, 1, out, sizeof(out)), -EEXIST);
	}
}

static void a_message_that_cannot_be_is_refused_at_its_prefix(void **state)
{
	static const struct {
		uint8_t prefix[GRPC_PREFIX];
		int err;
	} cases[] = {
		{ { 0, 0, 0, 0, 4 }, 0 }, { { 0, 0, 0, 0, 5 }, -EMSGSIZE },
		{ { 0, 0xff, 0xff, 0xff, 0xff }, -EMSGSIZE }, { { 1, 0, 0, 0, 1 }, -ENOTSUP },
		{ { 2, 0, 0, 0, 1 }, -EPROTO }, { { 0xff, 0, 0, 0, 0 }, -EPROTO },
	};
	uint8_t out[GRPC_PREFIX + 4];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct grpc_reader r = { 0 };

		assert_int_equal(grpc_read(&r, cases[i].prefix, GRPC_PREFIX, out, sizeof(out)), cases[i].err);
		assert_false(r.whole);
	}
	/* A message of no bytes is one. */
	{
		struct grpc_reader r = { 0 };

		assert_int_equal(grpc_read(&r, (uint8_t[GRPC_PREFIX]){ 0 }, GRPC_PREFIX, out, sizeof(out)), 0);
		assert_true(r.whole);
	}
}

static bool field(struct grpc_head *h, const char *name, const char *value)
{
	return grpc_head_field(h, (struct slice){ name, strlen(name) }, (struct slice){ value, strlen(value) });
}

/* What one field alone makes of a head. */
static struct grpc_head head_of(const char *name, const char *value)
{
	struct grpc_head h;

	grpc_head_init(&h, &app);
	assert_true(field(&h, name, value));
	return h;
}

static void content_types_of_grpc_are_known(void **state)
{
	static const char *const good[] = { "application/grpc", "application/grpc+proto", "application/grpc;x=y",
					    "application/grpc+proto;charset=utf-8" };
	static const char *const bad[] = { "", "application/grp", "application/grpc+json", "application/grpc-web",
					   "application/grpcx", "application/json", "text/plain" };

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(head_of("content-type", good[i]).grpc);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(head_of("content-type", bad[i]).grpc);
}

static void a_path_names_a_method_or_a_function(void **state)
{
	(void)state;
	assert_ptr_equal(head_of(":path", "/shop.Cart/Get").method, &methods[0]);
	assert_int_equal(head_of(":path", "/shop.Cart/Get").function, BETA);
	assert_int_equal(head_of(":path", "/perhop.Call/alpha").function, ALPHA);
	assert_false(head_of(":path", "/perhop.Call/alpha").invoke);
	assert_int_equal(head_of(":path", "/perhop.Invoke/beta").function, BETA);
	assert_true(head_of(":path", "/perhop.Invoke/beta").invoke);
	for (const char *const *bad = (const char *const[]){ "", "/", "/shop.Cart/get", "/shop.Cart/Get/",
	     "/perhop.Call/", "/perhop.Call/gamma", "/perhop.Call/alph", "perhop.Call/alpha", NULL }; *bad; bad++)
		assert_int_equal(head_of(":path", *bad).function, FUNCTION_NONE);
}

static void numbers_that_cannot_be_read_make_a_head_a_bad_one(void **state)
{
	(void)state;
	assert_int_equal(head_of("perhop-type", "17").type, 17);
	assert_int_equal(head_of("perhop-type", "65535").type, 65535);
	assert_int_equal(head_of("grpc-status", "14").grpc_status, GRPC_UNAVAILABLE);
	assert_int_equal(head_of(":status", "200").http_status, 200);
	assert_int_equal(head_of("grpc-timeout", "1S").timeout_ns, NS_PER_SEC);
	assert_false(head_of("grpc-timeout", "1S").bad);
	for (const char *const *bad = (const char *const[]){ "", "-1", "1x", " 1", "65536", "99999999999999999999",
	     NULL }; *bad; bad++) {
		assert_true(head_of("perhop-type", *bad).bad);
		assert_int_equal(head_of("perhop-type", *bad).type, -1);
		assert_true(head_of("perhop-topic", *bad).bad);
		assert_true(head_of("grpc-timeout", *bad).bad);
	}
	assert_true(head_of(":status", "600").bad);
	/* Fields of nobody here are nobody's fault. */
	assert_false(head_of("grpc-trace-bin", "\x01\xff").bad);
	assert_false(head_of("", "").bad);
}

static void a_header_list_has_a_limit(void **state)
{
	struct grpc_head h;
	unsigned taken = 0;

	(void)state;
	grpc_head_init(&h, &app);
	/* 4 + 12 + 32 bytes each, as RFC 9113 counts. */
	while (field(&h, "name", "twelve bytes"))
		taken++;
	assert_int_equal(taken, GRPC_FIELDS_MAX / 48);
	assert_int_equal(h.bytes, GRPC_FIELDS_MAX);
	assert_false(field(&h, "a", ""));
}

static void a_reason_of_any_length_fits_where_it_goes(void **state)
{
	char reason[8] = "", text[256];
	struct grpc_head h;

	(void)state;
	grpc_head_init(&h, &app);
	h.reason = reason;
	h.reason_room = sizeof(reason);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_true(field(&h, "grpc-message", text));
	assert_int_equal(h.reason_length, sizeof(reason));
	h.reason = NULL;                /* a call that is over */
	h.reason_length = 0;
	assert_true(field(&h, "grpc-message", text));
	assert_int_equal(h.reason_length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timeout_is_digits_and_a_unit),
		cmocka_unit_test(a_timeout_of_nothing_has_passed_and_is_not_none),
		cmocka_unit_test(a_timeout_is_never_more_than_a_day),
		cmocka_unit_test(what_is_no_timeout_is_told_apart),
		cmocka_unit_test(a_timeout_is_written_in_eight_digits_and_never_shorter_than_it_is),
		cmocka_unit_test(http_statuses_have_their_grpc_status),
		cmocka_unit_test(grpc_statuses_have_their_http_status),
		cmocka_unit_test(a_reason_is_percent_encoded_and_back),
		cmocka_unit_test(a_message_is_read_however_it_is_cut),
		cmocka_unit_test(a_message_that_cannot_be_is_refused_at_its_prefix),
		cmocka_unit_test(content_types_of_grpc_are_known),
		cmocka_unit_test(a_path_names_a_method_or_a_function),
		cmocka_unit_test(numbers_that_cannot_be_read_make_a_head_a_bad_one),
		cmocka_unit_test(a_header_list_has_a_limit),
		cmocka_unit_test(a_reason_of_any_length_fits_where_it_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
