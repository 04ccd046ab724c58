/* SPDX-License-Identifier: BSD-2-Clause */
/* Character classes of RFC 9110 and 9112, and case-blind comparison; for http_*.c only. */
#ifndef PERHOP_CHAIN_HTTP_CHARS_H
#define PERHOP_CHAIN_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CHAR_TOKEN = 1,             /* tchar: methods, field names */
	CHAR_TARGET = 2,            /* request target: visible ASCII but '#' */
	CHAR_VALUE = 4,             /* field value: visible, obs-text, SP, HTAB */
	CHAR_HOST = 8,              /* uri-host, port */
};

extern const uint8_t http_class[256];

static inline bool http_is(char c, unsigned classes)
{
	return http_class[(uint8_t)c] & classes;
}

/* `name` consists of tchars; `lower` of small letters and '-'. */
static inline bool http_name_is(const char *name, const char *lower, size_t n)
{
	unsigned differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned)((name[i] | 0x20) ^ lower[i]);
	return !differ;
}

/* First byte from `p` that cannot be in a field value, or `end`. */
const char *http_value_end(const char *p, const char *end);

/* Are these `n` bytes whole "Name: value\r\n" lines, none of them about the connection? */
bool http_fields_sound(const char *at, size_t n);

#endif
