/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "audit/checks.h"
#include "audit/statistics.h"
#include "chain/clock.h"

static void test_equal_values_have_no_spread(void **state)
{
	const double value[] = { 15, 15, 15, 15, 15, 15, 15, 15 };
	struct estimate e = estimate_mean(value, 8);

	(void)state;
	assert_true(e.mean == 15 && e.lo == 15 && e.hi == 15 && e.cv == 0);
}

static void test_zero_in_every_repetition_has_no_spread(void **state)
{
	const double value[4] = { 0 };
	struct estimate e = estimate_mean(value, 4);

	(void)state;
	assert_true(e.mean == 0 && e.cv == 0);
}

static void test_one_value_is_its_own_interval(void **state)
{
	const double value[] = { 3.5 };
	struct estimate e = estimate_mean(value, 1);

	(void)state;
	assert_true(e.lo == 3.5 && e.hi == 3.5 && e.cv == 0);
}

static void test_the_interval_is_the_same_every_time_and_holds_the_mean(void **state)
{
	const double value[] = { 14.9, 15.0, 15.1, 15.0, 15.3, 14.8, 15.0, 15.05 };
	struct estimate a = estimate_mean(value, 8), b = estimate_mean(value, 8);

	(void)state;
	assert_true(a.lo == b.lo && a.hi == b.hi);
	assert_true(a.lo < a.mean && a.mean < a.hi);
	assert_true(a.lo >= 14.8 && a.hi <= 15.3);
}

/* Of samples from a known distribution, the interval holds the true mean about as often as it says. */
static void test_the_99_percent_interval_covers(void **state)
{
	uint64_t random = 7;
	unsigned covered = 0;
	double value[20];

	(void)state;
	for (unsigned trial = 0; trial < 100; trial++) {
		struct estimate e;

		for (unsigned i = 0; i < 20; i++)
			value[i] = (double)(random_next(&random) >> 11) * 0x1p-53;
		e = estimate_mean(value, 20);
		covered += e.lo <= 0.5 && 0.5 <= e.hi;
	}
	assert_true(covered >= 92);     /* the percentile bootstrap of 20 values is a little narrow */
}

static void test_the_median_is_the_middle(void **state)
{
	double odd[] = { 3, 1, 2 }, even[] = { 4, 1, 3, 2 };

	(void)state;
	assert_true(statistics_median(odd, 3) == 2);
	assert_true(statistics_median(even, 4) == 2.5);
}

static void test_two_readers_agree_within_either_tolerance(void **state)
{
	(void)state;
	assert_true(checks_agree(1000, 1004, 0.005, 0));
	assert_false(checks_agree(1000, 1010, 0.005, 0));
	assert_true(checks_agree(0, 3, 0.005, 4));
	assert_false(checks_agree(0, 5, 0.005, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_values_have_no_spread),
		cmocka_unit_test(test_zero_in_every_repetition_has_no_spread),
		cmocka_unit_test(test_one_value_is_its_own_interval),
		cmocka_unit_test(test_the_interval_is_the_same_every_time_and_holds_the_mean),
		cmocka_unit_test(test_the_99_percent_interval_covers),
		cmocka_unit_test(test_the_median_is_the_middle),
		cmocka_unit_test(test_two_readers_agree_within_either_tolerance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
