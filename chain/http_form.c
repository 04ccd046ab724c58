/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields of forms, queries and cookies, straight out of the client's bytes. */
#include "chain/http.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Next decoded character of application/x-www-form-urlencoded, or -1: a bad escape, or a NUL. */
static int decode(const char **p, const char *end)
{
	int high, low;

	if (**p == '+') {
		(*p)++;
		return ' ';
	}
	if (**p != '%') {
		const int c = (unsigned char)*(*p)++;

		return c ? c : -1;
	}
	if (end - *p < 3)
		return -1;
	high = hex((*p)[1]);
	low = hex((*p)[2]);
	*p += 3;
	return high < 0 || low < 0 || (!high && !low) ? -1 : high << 4 | low;
}

/* Do the bytes from `p` to `end`, decoded, spell `name`? */
static bool spells(const char *p, const char *end, const char *name)
{
	while (p < end && *name)
		if (decode(&p, end) != (unsigned char)*name++)
			return false;
	return p == end && !*name;
}

ssize_t http_form_value(const char *text, size_t length, const char *name, char *out, size_t room)
{
	const char *at = text, *end = text + length;

	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));
		const char *equals, *value;
		size_t n = 0;

		if (!stop)
			stop = end;
		equals = memchr(at, '=', (size_t)(stop - at));
		if (!spells(at, equals ? equals : stop, name)) {
			at = stop < end ? stop + 1 : end;
			continue;
		}
		for (value = equals ? equals + 1 : stop; value < stop; n++) {
			const int c = decode(&value, stop);

			if (c < 0)
				return -EBADMSG;
			if (n + 1 >= room)
				return -EMSGSIZE;
			out[n] = (char)c;
		}
		if (!room)
			return -EMSGSIZE;
		out[n] = '\0';
		return (ssize_t)n;
	}
	return -ENOENT;
}

ssize_t http_cookie_value(const char *text, size_t length, const char *name, char *out, size_t room)
{
	const char *at = text, *end = text + length;
	const size_t name_length = strlen(name);

	while (at < end) {
		const char *stop = memchr(at, ';', (size_t)(end - at));
		const char *next;
		size_t n;

		if (!stop)
			stop = end;
		next = stop < end ? stop + 1 : end;
		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		if ((size_t)(stop - at) <= name_length || at[name_length] != '=' ||
		    memcmp(at, name, name_length)) {
			at = next;
			continue;
		}
		at += name_length + 1;
		if (stop - at >= 2 && *at == '"' && stop[-1] == '"') {
			at++;
			stop--;
		}
		n = (size_t)(stop - at);
		if (memchr(at, '\0', n))
			return -EBADMSG;
		if (n >= room)
			return -EMSGSIZE;
		memcpy(out, at, n);
		out[n] = '\0';
		return (ssize_t)n;
	}
	return -ENOENT;
}
