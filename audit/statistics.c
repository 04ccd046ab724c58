/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "audit/statistics.h"
#include "chain/clock.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double statistics_median(double *value, unsigned n)
{
	qsort(value, n, sizeof(*value), by_value);
	return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

struct estimate estimate_mean(const double *value, unsigned n)
{
	double mean[BOOTSTRAP_RESAMPLES], sum = 0, squares = 0;
	uint64_t random = 1;
	struct estimate e;

	for (unsigned i = 0; i < n; i++)
		sum += value[i];
	e.mean = sum / n;
	for (unsigned i = 0; i < n; i++)
		squares += (value[i] - e.mean) * (value[i] - e.mean);
	e.cv = 0;
	if (n > 1 && squares > 0)
		e.cv = fabs(e.mean) > 0 ? sqrt(squares / (n - 1)) / fabs(e.mean) : INFINITY;
	e.lo = e.hi = e.mean;
	if (squares <= 0)
		return e;
	for (unsigned b = 0; b < BOOTSTRAP_RESAMPLES; b++) {
		double total = 0;

		for (unsigned i = 0; i < n; i++)
			total += value[random_next(&random) % n];
		mean[b] = total / n;
	}
	qsort(mean, BOOTSTRAP_RESAMPLES, sizeof(mean[0]), by_value);
	e.lo = mean[BOOTSTRAP_RESAMPLES / 200];
	e.hi = mean[BOOTSTRAP_RESAMPLES - 1 - BOOTSTRAP_RESAMPLES / 200];
	return e;
}
