/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/median.h"

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct median median_of(const double *values, unsigned n)
{
	struct median m = { NAN, NAN, NAN };
	double sorted[MEDIAN_VALUES_MAX], p, below = 0;
	unsigned k = 0;

	if (!n || n > MEDIAN_VALUES_MAX)
		return m;
	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), by_size);
	m.value = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
	p = exp2(-(double)n);
	while (below + p <= 0.025) {
		below += p;
		p = p * (n - k) / (k + 1);
		k++;
	}
	if (k) {
		m.low = sorted[k - 1];
		m.high = sorted[n - k];
	}
	return m;
}

json_t *median_json(struct median m)
{
	return json_pack("{s:o,s:o,s:o}", "median", json_amount(m.value), "low", json_amount(m.low),
			 "high", json_amount(m.high));
}
