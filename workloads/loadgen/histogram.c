/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buckets, for B = HISTOGRAM_SUB_BITS and S = 1 << B:
 *
 *     index   0 … S-1    S … 2S-1    2S … 3S-1     3S … 4S-1    …
 *     value   0 … S-1    S … 2S-1    2S … 4S-1     4S … 8S-1    …
 *     width       1          1            2             4       …
 *
 * so an index is made from the position of the highest bit and the B bits below it: a shift and an
 * add, no logarithm.
 */
#include "workloads/loadgen/histogram.h"

#include <math.h>
#include <string.h>

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

#define VALUE_MAX ((UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1)

static size_t bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < SUB)
		return (size_t)ns;
	if (ns > VALUE_MAX)
		ns = VALUE_MAX;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
	return ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(ns >> shift);
}

void histogram_bounds(size_t i, uint64_t *lo, uint64_t *hi)
{
	unsigned shift;

	if (i < SUB) {
		*lo = i;
		*hi = i + 1;
		return;
	}
	shift = (unsigned)(i >> HISTOGRAM_SUB_BITS) - 1;
	*lo = (uint64_t)(SUB + (i & (SUB - 1))) << shift;
	*hi = *lo + (UINT64_C(1) << shift);
}

void histogram_init(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	if (!h->count || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->count++;
	h->sum += (double)ns;
	h->sum_squares += (double)ns * (double)ns;
	h->bucket[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (!from->count)
		return;
	if (!into->count || from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	into->count += from->count;
	into->sum += from->sum;
	into->sum_squares += from->sum_squares;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t rank, seen = 0, lo, hi, middle;

	if (!h->count)
		return 0;
	/* 0.07 × 100 is 7.000000000000001 in binary, but its rank is 7: allow for the rounding. */
	rank = q > 0 ? (uint64_t)ceil(q * (double)h->count * (1 - 1e-15)) : 1;
	if (rank <= 1)
		return h->min;
	if (rank >= h->count)
		return h->max;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen < rank)
			continue;
		histogram_bounds(i, &lo, &hi);
		middle = lo + (hi - lo) / 2;
		/* The extremes are known exactly: never report a value outside them. */
		if (middle < h->min)
			return h->min;
		return middle > h->max ? h->max : middle;
	}
	return h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? h->sum / (double)h->count : 0;
}

double histogram_stddev(const struct histogram *h)
{
	double mean, variance;

	if (h->count < 2)
		return 0;
	mean = histogram_mean(h);
	variance = (h->sum_squares - mean * h->sum) / (double)(h->count - 1);
	return variance > 0 ? sqrt(variance) : 0;       /* rounding can leave a tiny minus */
}
