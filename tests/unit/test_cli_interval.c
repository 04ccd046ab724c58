/* SPDX-License-Identifier: BSD-2-Clause */
/* The promises of an interval that is printed while runs come in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/interval.h"

/* Of any table of Student's t, two-sided 99 %. */
static void quantiles_are_those_of_the_table(void **state)
{
	static const struct {
		double freedom, t;
	} table[] = { { 1, 63.6567 }, { 2, 9.9248 }, { 3, 5.8409 }, { 4, 4.6041 }, { 8, 3.3554 },
		      { 30, 2.7500 }, { 1000, 2.5808 }, { 1e6, 2.5758 } };

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_true(fabs(t_quantile_99(table[i].freedom) - table[i].t) < 1e-4);
}

static void a_ratio_is_that_of_the_means_and_inside_its_interval(void **state)
{
	const double a[] = { 30, 31, 29, 30 }, b[] = { 10, 10.5, 9.5, 10 };
	struct ratio r = ratio_of_means(a, 4, b, 4), turned = ratio_of_means(b, 4, a, 4);

	(void)state;
	assert_true(fabs(r.value - 3) < 1e-12);
	assert_true(r.low < 3 && 3 < r.high && r.low > 2);
	assert_true(fabs(turned.low - 1 / r.high) < 1e-12 && fabs(turned.high - 1 / r.low) < 1e-12);
}

static void few_values_have_no_interval_and_none_no_ratio(void **state)
{
	const double a[] = { 2, 2 }, b[] = { 1, 1, 1 }, zero[] = { 0, 0, 0 };

	(void)state;
	assert_true(ratio_of_means(a, 2, b, 3).value == 2);
	assert_true(isnan(ratio_of_means(a, 2, b, 3).low));
	assert_true(isnan(ratio_of_means(a, 0, b, 3).value));
	assert_true(isnan(ratio_of_means(a, 2, zero, 3).value));
}

static void values_without_noise_have_an_interval_of_no_width(void **state)
{
	const double a[] = { 4, 4, 4 }, b[] = { 2, 2, 2 };
	struct ratio r = ratio_of_means(a, 3, b, 3);

	(void)state;
	assert_true(r.low == 2 && r.high == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_those_of_the_table),
		cmocka_unit_test(a_ratio_is_that_of_the_means_and_inside_its_interval),
		cmocka_unit_test(few_values_have_no_interval_and_none_no_ratio),
		cmocka_unit_test(values_without_noise_have_an_interval_of_no_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
