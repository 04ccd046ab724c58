/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "cli/interval.h"

enum { FRACTION_STEPS = 300, BISECTIONS = 200 };

/* Continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f, term, change;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	f = d;
	for (int m = 1; m <= FRACTION_STEPS; m++) {
		for (int odd = 0; odd < 2; odd++) {
			term = odd ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)) :
				     m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
			d = 1 + term * d;
			d = 1 / (fabs(d) < tiny ? tiny : d);
			c = 1 + term / c;
			c = fabs(c) < tiny ? tiny : c;
			change = c * d;
			f *= change;
		}
		if (fabs(change - 1) < 1e-14)
			break;
	}
	return f;
}

/* Regularized incomplete beta function I_x(a, b), 0 <= x <= 1. */
static double beta_share(double a, double b, double x)
{
	double front;

	if (x <= 0 || x >= 1)
		return x > 0;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double t_quantile_99(double freedom)
{
	double low = 0, high = 1e9, t = 0;

	/* P(|T| > t) = I_{v/(v+t^2)}(v/2, 1/2) falls in t. */
	for (int i = 0; i < BISECTIONS && high - low > 1e-12 * high; i++) {
		t = (low + high) / 2;
		if (beta_share(freedom / 2, 0.5, freedom / (freedom + t * t)) > 0.01)
			low = t;
		else
			high = t;
	}
	return t;
}

static double mean(const double *v, unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += v[i];
	return sum / n;
}

/* Squared relative standard error of the mean; n >= 2. */
static double relative_error2(const double *v, unsigned n, double m)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += (v[i] - m) * (v[i] - m);
	return sum / (n - 1) / n / (m * m);
}

struct ratio ratio_of_means(const double *a, unsigned na, const double *b, unsigned nb)
{
	struct ratio r = { NAN, NAN, NAN };
	double x, y, va, vb, half;

	if (!na || !nb)
		return r;
	x = mean(a, na);
	y = mean(b, nb);
	if (!(x > 0) || !(y > 0))
		return r;
	r.value = x / y;
	if (na < INTERVAL_LEAST || nb < INTERVAL_LEAST)
		return r;
	va = relative_error2(a, na, x);
	vb = relative_error2(b, nb, y);
	half = 0;
	if (va + vb > 0)
		half = sqrt(va + vb) * t_quantile_99((va + vb) * (va + vb) /
						     (va * va / (na - 1) + vb * vb / (nb - 1)));
	r.low = r.value * exp(-half);
	r.high = r.value * exp(half);
	return r;
}
