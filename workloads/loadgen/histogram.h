/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log-linear histogram of nanoseconds: 128 linear buckets per power of two, so a bucket is at most
 * 1/128 = 0.8 % wide. Covers 1 ns … 2^40 ns (18 minutes); larger values count in the last bucket.
 * Fixed size, no pointers: mergeable by addition, fit for shared memory.
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
void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* Quantile q in 0…1, ns: the smallest bucket middle with rank ≥ q·count; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);
double histogram_mean(const struct histogram *h);
double histogram_stddev(const struct histogram *h);

/* Bounds of bucket `i`: [*lo, *hi). For writing it out. */
void histogram_bounds(size_t i, uint64_t *lo, uint64_t *hi);

#endif
