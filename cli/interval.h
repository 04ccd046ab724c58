/* SPDX-License-Identifier: BSD-2-Clause */
/* The ratio of two means with its interval, for tables that are printed while runs come in. */
#ifndef PERHOP_CLI_INTERVAL_H
#define PERHOP_CLI_INTERVAL_H

struct ratio {
	double value;               /* mean(a) / mean(b); NaN: not to be had */
	double low, high;           /* 99 % interval; NaN below INTERVAL_LEAST values on a side */
};

enum { INTERVAL_LEAST = 3 };        /* at 2 the 99 % t quantile is 64, which says nothing */

/*
 * Welch's t on the log of the ratio of means, with delta-method standard errors: ratio_interval of
 * scripts/stats.py for fewer than five values, to which tests/python holds it. From five on that one
 * adds a studentized bootstrap; the records say the last word, not this line.
 * NaN when a side is empty or a mean is not positive.
 */
struct ratio ratio_of_means(const double *a, unsigned na, const double *b, unsigned nb);

/* t with P(|T| <= t) = 0.99 for `freedom` > 0 degrees of freedom (not necessarily whole). */
double t_quantile_99(double freedom);

#endif
