/* SPDX-License-Identifier: BSD-2-Clause */
/* Money in units and nanos: exact sums and products, and the currency service's conversion. */
#include <errno.h>
#include <math.h>

#include "workloads/boutique/boutique.h"

enum { NANOS = 1000000000 };

bool money_valid(const struct money *m)
{
	if (m->nanos <= -NANOS || m->nanos >= NANOS)
		return false;
	return m->nanos == 0 || m->units == 0 || (m->nanos < 0) == (m->units < 0);
}

/* An amount in nanos; 94 bits at most, so that sums and products by 32 bits fit. */
static __int128 to_nanos(const struct money *m)
{
	return (__int128)m->units * NANOS + m->nanos;
}

static int from_nanos(__int128 total, const char *currency, struct money *out)
{
	__int128 units = total / NANOS;

	if (units > INT64_MAX || units < INT64_MIN)
		return -EOVERFLOW;
	memmove(out->currency, currency, CODE_BYTES);
	out->units = (int64_t)units;
	out->nanos = (int32_t)(total % NANOS);
	return 0;
}

int money_sum(const struct money *a, const struct money *b, struct money *out)
{
	if (!money_valid(a) || !money_valid(b) || memcmp(a->currency, b->currency, CODE_BYTES))
		return -EINVAL;
	return from_nanos(to_nanos(a) + to_nanos(b), a->currency, out);
}

int money_multiply(const struct money *m, uint32_t n, struct money *out)
{
	if (!money_valid(m))
		return -EINVAL;
	return from_nanos(to_nanos(m) * n, m->currency, out);
}

size_t number_format(char *out, uint64_t value)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	for (size_t i = 0; i < n; i++)
		out[i] = digits[n - 1 - i];
	return n;
}

/* The public application's symbols, in UTF-8; any other currency gets a dollar sign there. Ours
 * gets its code: "CHF 12.50" cannot be misread. */
static size_t symbol(char *out, const char *code)
{
	static const struct {
		char code[CODE_BYTES], symbol[4];
		uint8_t length;
	} symbols[] = {
		{ "USD", "$", 1 }, { "CAD", "$", 1 }, { "EUR", "\u20ac", 3 },
		{ "JPY", "\u00a5", 2 }, { "GBP", "\u00a3", 2 }, { "TRY", "\u20ba", 3 },
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		if (!memcmp(symbols[i].code, code, CODE_BYTES)) {
			memcpy(out, symbols[i].symbol, 4);
			return symbols[i].length;
		}
	}
	memcpy(out, code, 3);
	out[3] = ' ';
	return 4;
}

size_t money_format(char *out, const struct money *m)
{
	bool negative = m->units < 0 || m->nanos < 0;
	uint64_t units = m->units < 0 ? -(uint64_t)m->units : (uint64_t)m->units;
	unsigned cents = (unsigned)(m->nanos < 0 ? -m->nanos : m->nanos) / 10000000;
	size_t n = 0;

	if (negative)
		out[n++] = '-';
	n += symbol(out + n, m->currency);
	n += number_format(out + n, units);
	out[n++] = '.';
	out[n++] = (char)('0' + cents / 10 % 10);
	out[n++] = (char)('0' + cents % 10);
	return n;
}

/* Move the fraction of the units to the nanos, and whole units of nanos back. */
static void carry(double *units, double *nanos)
{
	double whole = floor(*units);

	*nanos += (*units - whole) * NANOS;
	*units = whole + floor(*nanos / NANOS);
	*nanos -= floor(*nanos / NANOS) * NANOS;
}

int money_convert(const struct money *m, double from_rate, double to_rate, struct money *out)
{
	double units = (double)m->units / from_rate, nanos = m->nanos / from_rate;

	if (!money_valid(m) || m->units < 0 || m->nanos < 0)
		return -EINVAL;
	carry(&units, &nanos);                  /* euros */
	nanos = floor(nanos + 0.5);
	units *= to_rate;
	nanos *= to_rate;
	carry(&units, &nanos);
	if (!(units < 9.2e18))
		return -EOVERFLOW;
	out->units = (int64_t)units;
	out->nanos = (int32_t)nanos;
	if (out->nanos >= NANOS)                /* rounded up to a whole unit by the subtraction */
		out->nanos = NANOS - 1;
	return 0;
}
