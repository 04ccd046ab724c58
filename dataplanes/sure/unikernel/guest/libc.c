/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strings, numbers, sorting: of the C library, what functions and chain/ call. As the standard
 * says.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "dataplanes/sure/unikernel/guest/guest.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

typedef uint64_t word __attribute__((may_alias, aligned(1)));

/* By words: an emulated CPU takes as long for a byte as for eight. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *a = to;
	const unsigned char *b = from;

	for (; n >= sizeof(word); n -= sizeof(word), a += sizeof(word), b += sizeof(word))
		*(word *)a = *(const word *)b;
	while (n--)
		*a++ = *b++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *a = to;
	const unsigned char *b = from;

	if (a <= b || a >= b + n)
		return memcpy(to, from, n);
	for (; n >= sizeof(word); n -= sizeof(word))
		*(word *)(a + n - sizeof(word)) = *(const word *)(b + n - sizeof(word));
	while (n--)
		a[n] = b[n];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	uint64_t fill = UINT64_C(0x0101010101010101) * (unsigned char)c;
	unsigned char *a = to;

	for (; n >= sizeof(word); n -= sizeof(word), a += sizeof(word))
		*(word *)a = fill;
	while (n--)
		*a++ = (unsigned char)c;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

void *memchr(const void *at, int c, size_t n)
{
	const unsigned char *x = at;

	for (size_t i = 0; i < n; i++)
		if (x[i] == (unsigned char)c)
			return (void *)(uintptr_t)(x + i);
	return NULL;
}

void *memmem(const void *at, size_t n, const void *what, size_t m)
{
	for (size_t i = 0; m <= n && i <= n - m; i++)
		if (!memcmp((const char *)at + i, what, m))
			return (char *)(uintptr_t)at + i;
	return NULL;
}

/* ---- Strings --------------------------------------------------------------------------------- */

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--)
		a++, b++;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

static int fold(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : (unsigned char)c;
}

int strncasecmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && fold(*a) == fold(*b); n--)
		a++, b++;
	return n ? fold(*a) - fold(*b) : 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do
		if (*s == (char)c)
			last = s;
	while (*s++);
	return (char *)(uintptr_t)last;
}

size_t strspn(const char *s, const char *set)
{
	size_t n = 0;

	while (s[n] && strchr(set, s[n]))
		n++;
	return n;
}

size_t strcspn(const char *s, const char *set)
{
	size_t n = 0;

	while (s[n] && !strchr(set, s[n]))
		n++;
	return n;
}

char *strpbrk(const char *s, const char *set)
{
	s += strcspn(s, set);
	return *s ? (char *)(uintptr_t)s : NULL;
}

char *strstr(const char *s, const char *what)
{
	return memmem(s, strlen(s), what, strlen(what));
}

char *strcpy(char *restrict to, const char *restrict from)
{
	return memcpy(to, from, strlen(from) + 1);
}

char *strncpy(char *restrict to, const char *restrict from, size_t n)
{
	size_t length = strnlen(from, n);

	memcpy(to, from, length);
	memset(to + length, 0, n - length);
	return to;
}

char *__strncpy_chk(char *restrict to, const char *restrict from, size_t n, size_t room);

char *__strncpy_chk(char *restrict to, const char *restrict from, size_t n, size_t room)
{
	return strncpy(to, from, n < room ? n : room);
}

char *strerror(int error)
{
	return error == ENOMEM   ? (char *)"Cannot allocate memory"
	       : error == ENOENT ? (char *)"No such file or directory"
				 : (char *)"error in a unikernel";
}

/* ---- Characters: glibc's tables, as its <ctype.h> reads them --------------------------------- */

static unsigned short classes[384];
static int32_t lower[384];

static unsigned short class_of(int c)
{
	bool up = c >= 'A' && c <= 'Z', low = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
	bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	bool space = c == ' ' || (c >= '\t' && c <= '\r'), graph = c > ' ' && c < 127;

	return (unsigned short)((up ? _ISupper : 0) | (low ? _ISlower : 0) |
				(up || low ? _ISalpha : 0) | (digit ? _ISdigit : 0) |
				(hex ? _ISxdigit : 0) | (space ? _ISspace : 0) |
				(graph || c == ' ' ? _ISprint : 0) | (graph ? _ISgraph : 0) |
				(c == ' ' || c == '\t' ? _ISblank : 0) |
				(c < 32 || c == 127 ? _IScntrl : 0) |
				(graph && !up && !low && !digit ? _ISpunct : 0) |
				(up || low || digit ? _ISalnum : 0));
}

static void fill_classes(void)
{
	for (int c = 0; c < 256; c++) {
		classes[128 + c] = c < 128 ? class_of(c) : 0;
		lower[128 + c] = c >= 'A' && c <= 'Z' ? c + 32 : c;
	}
}

const unsigned short **__ctype_b_loc(void)
{
	static const unsigned short *at;

	if (!at) {
		fill_classes();
		at = classes + 128;
	}
	return &at;
}

const int32_t **__ctype_tolower_loc(void)
{
	static const int32_t *at;

	if (!at) {
		fill_classes();
		at = lower + 128;
	}
	return &at;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static unsigned digit_of(char c)
{
	return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
	       : c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10
	       : c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A') + 10
				      : 99;
}

/* Magnitude and sign; saturates with ERANGE. */
static unsigned long long number(const char *s, char **end, unsigned base, bool *negative)
{
	const char *at = s + strspn(s, " \t\n\v\f\r"), *first;
	unsigned long long v = 0;
	bool over = false;

	*negative = *at == '-';
	if (*at == '-' || *at == '+')
		at++;
	if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | 32) == 'x' &&
	    digit_of(at[2]) < 16) {
		at += 2;
		base = 16;
	}
	if (!base)
		base = *at == '0' ? 8 : 10;
	for (first = at; digit_of(*at) < base; at++)
		over |= __builtin_mul_overflow(v, base, &v) ||
			__builtin_add_overflow(v, digit_of(*at), &v);
	if (end)
		*end = (char *)(uintptr_t)(at == first ? s : at);
	if (over)
		errno = ERANGE;
	return over ? ~0ull : v;
}

unsigned long long strtoull(const char *restrict s, char **restrict end, int base)
{
	bool negative;
	unsigned long long v = number(s, end, (unsigned)base, &negative);

	return negative ? -v : v;
}

long long strtoll(const char *restrict s, char **restrict end, int base)
{
	bool negative;
	unsigned long long v = number(s, end, (unsigned)base, &negative);
	unsigned long long limit = (1ull << 63) - !negative;

	if (v > limit) {
		errno = ERANGE;
		v = limit;
	}
	return (long long)(negative ? -v : v);
}

long strtol(const char *restrict s, char **restrict end, int base)
{
	return strtoll(s, end, base);
}

/* For JSON's reals, which functions read past: not rounded to the last bit. */
double strtod(const char *restrict s, char **restrict end)
{
	bool negative = *s == '-', minus;
	double v = 0, scale = 1;
	const char *at = s + (*s == '-' || *s == '+');
	int exponent;

	for (; digit_of(*at) < 10; at++)
		v = v * 10 + digit_of(*at);
	if (*at == '.')
		for (at++; digit_of(*at) < 10; at++) {
			v = v * 10 + digit_of(*at);
			scale *= 10;
		}
	v /= scale;
	if ((*at | 32) == 'e') {
		char *after;

		exponent = (int)number(at + 1, &after, 10, &minus);
		at = after;
		for (exponent = exponent > 400 ? 400 : exponent; exponent > 0; exponent--)
			v = minus ? v / 10 : v * 10;
	}
	if (end)
		*end = (char *)(uintptr_t)at;
	return negative ? -v : v;
}

/* By the x87: 2^(y log2 x), for x > 0. */
double pow(double x, double y)
{
	long double r;

	__asm__("fyl2x\n\t"
		"fld %%st(0)\n\t"
		"frndint\n\t"
		"fxch\n\t"
		"fsub %%st(1), %%st\n\t"
		"f2xm1\n\t"
		"fld1\n\t"
		"faddp\n\t"
		"fscale\n\t"
		"fstp %%st(1)"
		: "=t"(r)
		: "0"((long double)x), "u"((long double)y)
		: "st(1)", "st(7)");
	return (double)r;
}

double log(double x)
{
	long double r;

	__asm__("fldln2\n\t"
		"fxch\n\t"
		"fyl2x"
		: "=t"(r)
		: "0"((long double)x)
		: "st(7)");
	return (double)r;
}

/* ---- Sorting: a heap, in place --------------------------------------------------------------- */

static void swap(char *a, char *b, size_t bytes)
{
	while (bytes--) {
		char c = a[bytes];

		a[bytes] = b[bytes];
		b[bytes] = c;
	}
}

static void sink(char *at, size_t i, size_t n, size_t bytes,
		 int (*compare)(const void *, const void *))
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && compare(at + child * bytes, at + (child + 1) * bytes) < 0)
			child++;
		if (compare(at + i * bytes, at + child * bytes) >= 0)
			return;
		swap(at + i * bytes, at + child * bytes, bytes);
	}
}

void qsort(void *at, size_t n, size_t bytes, int (*compare)(const void *, const void *))
{
	for (size_t i = n / 2; i-- > 0;)
		sink(at, i, n, bytes, compare);
	for (size_t i = n; i-- > 1;) {
		swap(at, (char *)at + i * bytes, bytes);
		sink(at, 0, i, bytes, compare);
	}
}

/* ---- Calendar -------------------------------------------------------------------------------- */

/* Days to a date of the Gregorian calendar, years that begin in March: leap days come last. */
struct tm *gmtime_r(const time_t *restrict time, struct tm *restrict t)
{
	int64_t days = *time / 86400, rest = *time % 86400, era, of_era, year, day, month;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	days += 719468; /* 1970-01-01 less 0000-03-01 */
	era = (days >= 0 ? days : days - 146096) / 146097;
	of_era = days - era * 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	day = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * day + 2) / 153;
	*t = (struct tm){
		.tm_sec = (int)(rest % 60),
		.tm_min = (int)(rest / 60 % 60),
		.tm_hour = (int)(rest / 3600),
		.tm_mday = (int)(day - (153 * month + 2) / 5 + 1),
		.tm_mon = (int)(month < 10 ? month + 2 : month - 10),
		.tm_year = (int)(year + era * 400 + (month >= 10) - 1900),
	};
	return t;
}
