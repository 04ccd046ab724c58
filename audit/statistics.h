/* SPDX-License-Identifier: BSD-2-Clause */
/* The few statistics of an audit: repetitions of one count. */
#ifndef PERHOP_AUDIT_STATISTICS_H
#define PERHOP_AUDIT_STATISTICS_H

enum { BOOTSTRAP_RESAMPLES = 4000 };

struct estimate {
	double mean;
	double lo, hi;              /* 99 % interval of the mean: percentile bootstrap */
	double cv;                  /* sample standard deviation / mean; 0 when both are 0 */
};

/*
 * The mean of `n` ≥ 1 values with its interval. The same values give the same interval: the resampling
 * has a fixed seed. With n = 1 the interval is the value and cv is 0.
 */
struct estimate estimate_mean(const double *value, unsigned n);

double statistics_median(double *value, unsigned n);        /* sorts `value`; n ≥ 1 */

#endif
