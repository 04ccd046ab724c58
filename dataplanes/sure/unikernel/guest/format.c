/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snprintf: %d %i %u %x %X %c %s %p %%, with flags 0 and -, width, precision and length. No
 * floating point.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplanes/sure/unikernel/guest/guest.h"

struct out {
	char *at;
	size_t room, n; /* n: bytes that it takes, written or not */
};

struct directive {
	bool left, zero;
	int width, precision; /* -1: none */
	int longs; /* -2 for hh … 2 for ll, j, z, t */
};

static void put(struct out *o, char c)
{
	if (o->n + 1 < o->room)
		o->at[o->n] = c;
	o->n++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_text(struct out *o, const struct directive *d, const char *s, size_t n)
{
	int gap = d->width - (int)n;

	if (!d->left)
		pad(o, ' ', gap);
	for (size_t i = 0; i < n; i++)
		put(o, s[i]);
	if (d->left)
		pad(o, ' ', gap);
}

static void put_number(struct out *o, const struct directive *d, uint64_t v, unsigned base,
		       bool negative, bool capital)
{
	const char *digits = capital ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24];
	int n = 0, zeros;

	for (; v || (!n && d->precision != 0); v /= base)
		text[n++] = digits[v % base];
	zeros = d->precision >= 0     ? d->precision - n
		: d->zero && !d->left ? d->width - n - negative
				      : 0;
	zeros = zeros > 0 ? zeros : 0;
	if (!d->left)
		pad(o, ' ', d->width - n - zeros - negative);
	if (negative)
		put(o, '-');
	pad(o, '0', zeros);
	for (int i = n; i-- > 0;)
		put(o, text[i]);
	if (d->left)
		pad(o, ' ', d->width - n - zeros - negative);
}

static int take_int(const char **f)
{
	int v = 0;

	while (**f >= '0' && **f <= '9')
		v = v * 10 + *(*f)++ - '0';
	return v;
}

/* What comes between '%' and the letter. */
static struct directive parse(const char **f, va_list *ap)
{
	struct directive d = {.precision = -1};

	for (; **f == '-' || **f == '0'; (*f)++) {
		d.left |= **f == '-';
		d.zero |= **f == '0';
	}
	if (**f == '*') {
		d.width = va_arg(*ap, int);
		(*f)++;
	} else {
		d.width = take_int(f);
	}
	if (**f == '.') {
		(*f)++;
		if (**f == '*') {
			d.precision = va_arg(*ap, int);
			(*f)++;
		} else {
			d.precision = take_int(f);
		}
	}
	for (;; (*f)++) {
		if (**f == 'l')
			d.longs++;
		else if (**f == 'h')
			d.longs--;
		else if (**f == 'z' || **f == 'j' || **f == 't')
			d.longs = 2;
		else
			return d;
	}
}

static void put_signed(struct out *o, const struct directive *d, int64_t v)
{
	put_number(o, d, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, false);
}

static void put_argument(struct out *o, const struct directive *d, char letter, va_list *ap)
{
	const char *s;
	char c;

	switch (letter) {
	case 'd':
	case 'i': put_signed(o, d, d->longs > 0 ? va_arg(*ap, int64_t) : va_arg(*ap, int)); return;
	case 'u':
	case 'x':
	case 'X':
		put_number(o, d, d->longs > 0 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned),
			   letter == 'u' ? 10 : 16, false, letter == 'X');
		return;
	case 'p':
		put(o, '0');
		put(o, 'x');
		put_number(o, d, va_arg(*ap, uint64_t), 16, false, false);
		return;
	case 's':
		s = va_arg(*ap, const char *);
		s = s ? s : "(null)";
		put_text(o, d, s, d->precision < 0 ? strlen(s) : strnlen(s, (size_t)d->precision));
		return;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_text(o, d, &c, 1);
		return;
	default: put(o, letter);
	}
}

int vsnprintf(char *restrict to, size_t room, const char *restrict format, va_list args)
{
	struct out o = {.at = to, .room = room};
	const char *f = format;
	va_list ap;

	va_copy(ap, args);
	while (*f) {
		struct directive d;

		if (*f != '%') {
			put(&o, *f++);
			continue;
		}
		f++;
		d = parse(&f, &ap);
		if (*f)
			put_argument(&o, &d, *f++, &ap);
	}
	va_end(ap);
	if (room)
		to[o.n < room ? o.n : room - 1] = '\0';
	return (int)o.n;
}

int snprintf(char *restrict to, size_t room, const char *restrict format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(to, room, format, ap);
	va_end(ap);
	return n;
}

/* Fortified callers have checked their sizes when they were compiled. */
int __snprintf_chk(char *restrict to, size_t room, int flag, size_t size,
		   const char *restrict format, ...);
int __vsnprintf_chk(char *restrict to, size_t room, int flag, size_t size,
		    const char *restrict format, va_list args);

int __snprintf_chk(char *restrict to, size_t room, int flag, size_t size,
		   const char *restrict format, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, format);
	n = vsnprintf(to, room < size ? room : size, format, ap);
	va_end(ap);
	return n;
}

int __vsnprintf_chk(char *restrict to, size_t room, int flag, size_t size,
		    const char *restrict format, va_list args)
{
	(void)flag;
	return vsnprintf(to, room < size ? room : size, format, args);
}
