/* SPDX-License-Identifier: BSD-2-Clause */
/* The histogram against exact sorts, over distributions that latencies take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "workloads/loadgen/histogram.h"

enum { SAMPLES = 50000 };

static double uniform(uint64_t *random)
{
	return ((double)(random_next(random) >> 11) + 1) / 9007199254740993.0;  /* (0, 1] */
}

/* Constant, uniform, exponential, log-normal, Pareto, bimodal, tiny, over 40 powers of two. */
enum { DISTRIBUTIONS = 8 };

static uint64_t sample(unsigned distribution, uint64_t *random)
{
	double u = uniform(random), v = uniform(random);

	switch (distribution) {
	case 0:
		return 123457;
	case 1:
		return (uint64_t)(u * 1e6);
	case 2:
		return (uint64_t)(-log(u) * 5e5);
	case 3:
		return (uint64_t)exp(12 + 1.5 * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
	case 4:
		return (uint64_t)fmin(1e4 / pow(u, 1 / 1.1), 1e12);
	case 5:
		return (uint64_t)(v < 0.98 ? 4e4 + u * 1e4 : 2e8 + u * 1e7);
	case 6:
		return (uint64_t)(u * 200);
	default:
		return (uint64_t)exp2(40 * u * 0.999);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct histogram *empty(void)
{
	struct histogram *h = malloc(sizeof(*h));

	assert_non_null(h);
	histogram_init(h);
	return h;
}

static void every_quantile_is_within_one_percent_of_the_exact_sort(void **state)
{
	static const double q[] = { 0, 0.001, 0.01, 0.07, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99,
				    0.999, 0.9999, 1 };
	uint64_t *values = malloc(SAMPLES * sizeof(*values));
	struct histogram *h = empty();
	uint64_t random = 1;

	(void)state;
	assert_non_null(values);
	for (unsigned d = 0; d < DISTRIBUTIONS; d++) {
		for (unsigned n = 1; n <= SAMPLES; n = n * 7 + 1) {
			double sum = 0, squares = 0, mean;

			histogram_init(h);
			for (unsigned i = 0; i < n; i++) {
				values[i] = sample(d, &random);
				histogram_add(h, values[i]);
				sum += (double)values[i];
			}
			mean = sum / n;
			for (unsigned i = 0; i < n; i++)
				squares += ((double)values[i] - mean) * ((double)values[i] - mean);
			qsort(values, n, sizeof(*values), compare);
			for (size_t i = 0; i < sizeof(q) / sizeof(*q); i++) {
				double rank = ceil(q[i] * n - 1e-9);
				uint64_t exact = values[rank < 1 ? 0 : (size_t)rank - 1];
				uint64_t got = histogram_quantile(h, q[i]);

				assert_true(fabs((double)got - (double)exact) <=
					    0.01 * (double)exact);
			}
			assert_int_equal(h->count, n);
			assert_int_equal(h->min, values[0]);
			assert_int_equal(h->max, values[n - 1]);
			assert_true(fabs(histogram_mean(h) - mean) <= 1e-9 * mean);
			if (n > 1)
				assert_true(fabs(histogram_stddev(h) - sqrt(squares / (n - 1))) <=
					    1e-5 * mean);
		}
	}
	free(values);
	free(h);
}

static void buckets_tile_the_range_without_gap_and_are_under_one_percent_wide(void **state)
{
	uint64_t lo, hi, expected = 0;

	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		histogram_bounds(i, &lo, &hi);
		assert_int_equal(lo, expected);
		assert_true(hi > lo);
		assert_true(hi - lo == 1 || (double)(hi - lo) <= 0.01 * (double)lo);
		expected = hi;
	}
	assert_true(expected == UINT64_C(1) << HISTOGRAM_MAX_BITS);
}

static void a_value_counts_in_the_bucket_whose_bounds_hold_it(void **state)
{
	struct histogram *h = empty();
	uint64_t lo, hi;

	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		histogram_bounds(i, &lo, &hi);
		histogram_add(h, lo);
		histogram_add(h, hi - 1);
		assert_int_equal(h->bucket[i], 2);
	}
	free(h);
}

static void merging_in_any_order_and_grouping_equals_counting_in_one(void **state)
{
	struct histogram *part[3], *all = empty(), *left = empty(), *right = empty();
	uint64_t random = 7;

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		part[p] = empty();
		for (unsigned i = 0; i < 10000; i++) {
			uint64_t v = sample(p + 2, &random);

			histogram_add(part[p], v);
			histogram_add(all, v);
		}
	}
	histogram_merge(left, part[0]);         /* (0 + 1) + 2 */
	histogram_merge(left, part[1]);
	histogram_merge(left, part[2]);
	histogram_merge(right, part[2]);        /* 2 + (1 + 0), into a copy of an empty one */
	histogram_merge(part[1], part[0]);
	histogram_merge(right, part[1]);
	for (unsigned p = 0; p < 2; p++) {
		const struct histogram *h = p ? right : left;

		assert_int_equal(h->count, all->count);
		assert_int_equal(h->min, all->min);
		assert_int_equal(h->max, all->max);
		assert_memory_equal(h->bucket, all->bucket, sizeof(all->bucket));
		assert_true(h->sum == all->sum);        /* whole numbers below 2^53 add exactly */
		assert_true(fabs(h->sum_squares - all->sum_squares) <= 1e-12 * all->sum_squares);
	}
	for (unsigned p = 0; p < 3; p++)
		free(part[p]);
	free(all);
	free(left);
	free(right);
}

static void an_empty_histogram_reports_zeroes_and_merges_as_nothing(void **state)
{
	struct histogram *h = empty(), *other = empty();

	(void)state;
	assert_int_equal(histogram_quantile(h, 0), 0);
	assert_int_equal(histogram_quantile(h, 0.99), 0);
	assert_true(histogram_mean(h) == 0 && histogram_stddev(h) == 0);
	histogram_add(other, 42);
	histogram_merge(other, h);
	assert_int_equal(other->min, 42);
	histogram_merge(h, other);
	assert_int_equal(h->min, 42);
	assert_int_equal(h->max, 42);
	assert_int_equal(histogram_quantile(h, 0.5), 42);
	assert_true(histogram_stddev(h) == 0);
	free(h);
	free(other);
}

static void extremes_are_counted_and_kept_exactly(void **state)
{
	struct histogram *h = empty();

	(void)state;
	histogram_add(h, 0);
	histogram_add(h, 1);
	histogram_add(h, (UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1);
	histogram_add(h, UINT64_C(1) << HISTOGRAM_MAX_BITS);
	histogram_add(h, UINT64_MAX);
	assert_int_equal(h->bucket[0], 1);
	assert_int_equal(h->bucket[1], 1);
	assert_int_equal(h->bucket[HISTOGRAM_BUCKETS - 1], 3);
	assert_int_equal(histogram_quantile(h, 0), 0);
	assert_true(histogram_quantile(h, 1) == UINT64_MAX);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_quantile_is_within_one_percent_of_the_exact_sort),
		cmocka_unit_test(buckets_tile_the_range_without_gap_and_are_under_one_percent_wide),
		cmocka_unit_test(a_value_counts_in_the_bucket_whose_bounds_hold_it),
		cmocka_unit_test(merging_in_any_order_and_grouping_equals_counting_in_one),
		cmocka_unit_test(an_empty_histogram_reports_zeroes_and_merges_as_nothing),
		cmocka_unit_test(extremes_are_counted_and_kept_exactly),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
