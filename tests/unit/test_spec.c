/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "chain/spec.h"

static const struct option_spec options[] = {
	{ "sidecar", "none|nginx|queue-proxy", "nginx", "what stands before a function" },
	{ "workers", "1..8", "1", "nginx workers" },
	{ "tag", "TEXT", "", "anything" },
	{ NULL },
};

static char why[256];

static void names_modes_and_options_are_told_apart(void **state)
{
	struct spec s;

	(void)state;
	assert_int_equal(spec_parse(&s, "kernel:knative,sidecar=none,workers=3", why, sizeof(why)), 0);
	assert_string_equal(s.name, "kernel");
	assert_string_equal(s.mode, "knative");
	assert_int_equal(spec_check(&s, options, why, sizeof(why)), 0);
	assert_string_equal(spec_value(&s, options, "sidecar"), "none");
	assert_int_equal(spec_number(&s, options, "workers"), 3);
	assert_int_equal(spec_parse(&s, "null", why, sizeof(why)), 0);
	assert_string_equal(s.mode, "");
	assert_string_equal(spec_value(&s, options, "sidecar"), "nginx");
}

static void what_is_not_a_spec_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"", ":", "a:", "a:,b=1", "a,", "a,b", "a,b=", "a,=1", "a b", "a,b=1,", "a/b", "a:b:c",
	};
	struct spec s;
	char text[600];
	int n = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		assert_int_equal(spec_parse(&s, bad[i], why, sizeof(why)), -EINVAL);
		assert_true(why[0]);
	}
	strcpy(text, "a");
	for (unsigned i = 0; i <= SPEC_KEYS_MAX; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",k%u=1", i);
	assert_int_equal(spec_parse(&s, text, why, sizeof(why)), -EINVAL);
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(spec_parse(&s, text, why, sizeof(why)), -EINVAL);
}

static void options_that_do_not_exist_or_do_not_fit_are_refused(void **state)
{
	static const char *const bad[] = {
		"k,colour=red", "k,sidecar=envoyy", "k,sidecar=ngin", "k,workers=0", "k,workers=9",
		"k,workers=1x", "k,workers=99999999999999999999", "k,workers=1,workers=2",
	};
	struct spec s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(spec_parse(&s, bad[i], why, sizeof(why)), 0);
		assert_int_equal(spec_check(&s, options, why, sizeof(why)), -EINVAL);
	}
	assert_int_equal(spec_parse(&s, "k,sidecar=queue-proxy,tag=x/y", why, sizeof(why)), 0);
	assert_int_equal(spec_check(&s, options, why, sizeof(why)), 0);
	assert_int_equal(spec_check(&s, NULL, why, sizeof(why)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_modes_and_options_are_told_apart),
		cmocka_unit_test(what_is_not_a_spec_is_refused_with_a_reason),
		cmocka_unit_test(options_that_do_not_exist_or_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
