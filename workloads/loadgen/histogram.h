/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log-linear histogram of nanoseconds: 128 linear buckets per power of two, so a bucket is at most
 * 1/128 = 0.8 % wide. Covers 1 ns … 2^40 ns (18 minutes); larger values count in the last bucket.
 * Fixed size, no pointers: mergeable by addition, fit for shared memory. All zeroes is an empty
 * one.
 */
#ifndef PERHOP_HISTOGRAM_H
#define PERHOP_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 7,
	HISTOGRAM_MAX_BITS = 40,
	HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram {
	uint64_t count;
	uint64_t min, max;          /* exact, ns */
	double sum, sum_squares;
	uint32_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);

/* Count one value. Up to 2^32 - 1 values may fall into one bucket. */
void histogram_add(struct histogram *h, uint64_t ns);

/* Add all values of `from`: the same as if they had been counted in `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * Quantile q in 0…1, ns: the middle of the bucket that holds the value of rank ⌈q·count⌉, so off by
 * ≤ 0.4 %; the smallest and greatest are exact. 0 when empty.
 */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* Exact mean, and standard deviation of the sample (n - 1), ns; 0 when there is none. */
double histogram_mean(const struct histogram *h);
double histogram_stddev(const struct histogram *h);

/* Bounds of bucket `i`: [*lo, *hi). For writing it out. */
void histogram_bounds(size_t i, uint64_t *lo, uint64_t *hi);

#endif
