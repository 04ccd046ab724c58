/* SPDX-License-Identifier: BSD-2-Clause */
/* Medians of a few repetitions, with an interval that assumes nothing about the noise. */
#ifndef PERHOP_CLI_MEDIAN_H
#define PERHOP_CLI_MEDIAN_H

#include <jansson.h>

enum { MEDIAN_VALUES_MAX = 99 };

struct median {
	double value, low, high;    /* NaN: not to be had */
};

/*
 * Median of `n` ≤ MEDIAN_VALUES_MAX values and the narrowest pair of order statistics around it that
 * covers the true median with at least 95 %: ranks k and n+1-k where P(Bin(n, ½) < k) ≤ 2.5 %. Needs
 * n ≥ 6; below that low and high are NaN.
 */
struct median median_of(const double *values, unsigned n);

/* {"median", "low", "high"}, null where not to be had. New reference. */
json_t *median_json(struct median m);

#endif
