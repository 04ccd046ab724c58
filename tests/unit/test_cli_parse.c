/* SPDX-License-Identifier: BSD-2-Clause */
/* The promises of the command line: words become the right values, or a sentence says why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>

#include <cmocka.h>

#include "cli/parse.h"

static void whole_numbers_are_taken_and_nothing_else_is(void **state)
{
	static const char *const bad[] = { "", " 5", "-1", "+5", "5x", "0x5", "1.5", "11",
					   "99999999999999999999", "five" };
	struct why why;
	uint64_t n = 0;

	(void)state;
	assert_int_equal(parse_count("10", 1, 10, &n, &why), 0);
	assert_int_equal(n, 10);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse_count(bad[i], 1, 10, &n, &why), -EINVAL);
		assert_non_null(strstr(why.text, "from 1 to 10"));
	}
}

static void numbers_are_finite_and_in_range(void **state)
{
	static const char *const bad[] = { "", "nan", "inf", "-0.1", "1.01", "1e999", "0.5s" };
	struct why why;
	double x = 0;

	(void)state;
	assert_int_equal(parse_number("0.25", 0, 1, &x, &why), 0);
	assert_true(x == 0.25);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_number(bad[i], 0, 1, &x, &why), -EINVAL);
}

static void a_list_keeps_its_order_and_its_limit(void **state)
{
	char many[3 * POINTS_MAX + 2] = "1";
	double x[POINTS_MAX];
	struct why why;
	unsigned n;

	(void)state;
	assert_int_equal(parse_numbers("32,1,8", 1, 100, x, &n, &why), 0);
	assert_int_equal(n, 3);
	assert_true(x[0] == 32 && x[1] == 1 && x[2] == 8);
	assert_int_equal(parse_numbers("1,,2", 1, 100, x, &n, &why), -EINVAL);
	assert_int_equal(parse_numbers("1,", 1, 100, x, &n, &why), -EINVAL);
	assert_int_equal(parse_numbers("", 1, 100, x, &n, &why), -EINVAL);
	for (unsigned i = 0; i < POINTS_MAX; i++)
		strcat(many, ",1");
	assert_int_equal(parse_numbers(many, 1, 100, x, &n, &why), -EINVAL);
}

static void an_unknown_word_is_answered_with_those_there_are(void **state)
{
	struct why why;
	int value = -1;

	(void)state;
	assert_int_equal(parse_choice("spin", service_choices, &value, &why), 0);
	assert_string_equal(choice_name(service_choices, value), "spin");
	assert_int_equal(parse_choice("nap", service_choices, &value, &why), -EINVAL);
	assert_non_null(strstr(why.text, "none, sleep, spin"));
	assert_null(choice_name(service_choices, 99));
}

static void think_times_are_one_number_a_range_the_models_or_none(void **state)
{
	static const char *const bad[] = { "",      ":",  "5:",  ":5",    "5:1",
					   "1:2:3", "-1", "1.5", "often", "99999999" };
	unsigned lo, hi;
	struct why why;
	bool model;

	(void)state;
	assert_int_equal(parse_think("1000:10000", &lo, &hi, &model, &why), 0);
	assert_true(lo == 1000 && hi == 10000 && !model);
	assert_int_equal(parse_think("5", &lo, &hi, &model, &why), 0);
	assert_true(lo == 5 && hi == 5 && !model);
	assert_int_equal(parse_think("none", &lo, &hi, &model, &why), 0);
	assert_true(!lo && !hi && !model);
	assert_int_equal(parse_think("model", &lo, &hi, &model, &why), 0);
	assert_true(model);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_think(bad[i], &lo, &hi, &model, &why), -EINVAL);
}

static void addresses_default_to_the_loopback_and_any_port(void **state)
{
	static const char *const bad[] = {
		"localhost:80", "127.0.0.1:",      "127.0.0.1:65536",      "1.2.3:5",
		"::1",          "127.0.0.1:80:80", "127.0.0.1.127.0.0.1:5"
	};
	struct sockaddr_in a;
	struct why why;

	(void)state;
	assert_int_equal(parse_address("0.0.0.0:8080", &a, &why), 0);
	assert_true(a.sin_addr.s_addr == 0 && ntohs(a.sin_port) == 8080);
	assert_int_equal(parse_address(":8080", &a, &why), 0);
	assert_true(ntohl(a.sin_addr.s_addr) == INADDR_LOOPBACK && ntohs(a.sin_port) == 8080);
	assert_int_equal(parse_address("127.0.0.2", &a, &why), 0);
	assert_true(a.sin_port == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_address(bad[i], &a, &why), -EINVAL);
}

static void a_comma_separates_options_and_dataplanes(void **state)
{
	struct dataplane_list list = { 0 };
	struct why why;

	(void)state;
	assert_int_equal(parse_dataplanes("kernel:knative,sidecar=nginx,workers=2,null,kernel:http",
					  &list, &why), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.at[0].spec.text, "kernel:knative,sidecar=nginx,workers=2");
	assert_string_equal(list.at[1].spec.text, "null");
	assert_string_equal(list.at[2].spec.mode, "http");
	assert_int_equal(parse_dataplanes("skmsg", &list, &why), 0);
	assert_int_equal(list.count, 4);
}

static void a_bad_list_of_dataplanes_says_what_is_wrong(void **state)
{
	static const char *const bad[] = {
		"",     ",",        "null,", ",null",       "null,,skmsg",
		"warp", "null,a=b", "a=b",   "kernel:warp", "kernel,sidecar=lemon"
	};
	char longest[2 * SPEC_TEXT_MAX];
	struct dataplane_list list = { 0 };
	struct why why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why.text[0] = '\0';
		assert_int_equal(parse_dataplanes(bad[i], &list, &why), -EINVAL);
		assert_true(strlen(why.text) > 10);
	}
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(parse_dataplanes(longest, &list, &why), -EINVAL);
	memset(&list, 0, sizeof(list));
	for (unsigned i = 0; i < SPECS_MAX; i++)
		assert_int_equal(parse_dataplanes("null", &list, &why), 0);
	assert_int_equal(parse_dataplanes("null", &list, &why), -EINVAL);
}

static void a_common_option_yields_to_a_dataplanes_own(void **state)
{
	struct dataplane_list list = { 0 };
	struct why why;

	(void)state;
	assert_int_equal(parse_dataplanes("kernel,workers=3,kernel,null", &list, &why), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(spec_default(&list.at[i].spec, list.at[i].ops->options, "workers",
					      "2", &why), 0);
	assert_string_equal(spec_value(&list.at[0].spec, list.at[0].ops->options, "workers"), "3");
	assert_string_equal(spec_value(&list.at[1].spec, list.at[1].ops->options, "workers"), "2");
	assert_int_equal(
		spec_default(&list.at[2].spec, list.at[2].ops->options, "workers", "2", &why),
		-ENOENT);
	assert_int_equal(parse_dataplanes("kernel", &list, &why), 0);
	assert_int_equal(spec_default(&list.at[3].spec, list.at[3].ops->options, "workers", "99",
				      &why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers_are_taken_and_nothing_else_is),
		cmocka_unit_test(numbers_are_finite_and_in_range),
		cmocka_unit_test(a_list_keeps_its_order_and_its_limit),
		cmocka_unit_test(an_unknown_word_is_answered_with_those_there_are),
		cmocka_unit_test(think_times_are_one_number_a_range_the_models_or_none),
		cmocka_unit_test(addresses_default_to_the_loopback_and_any_port),
		cmocka_unit_test(a_comma_separates_options_and_dataplanes),
		cmocka_unit_test(a_bad_list_of_dataplanes_says_what_is_wrong),
		cmocka_unit_test(a_common_option_yields_to_a_dataplanes_own),
	};

	return cmocka_run_group_tests_name("cli_parse", tests, NULL, NULL);
}
