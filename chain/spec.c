/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/spec.h"

static bool is_name(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' && s[i] != '_')
			return false;
	return n > 0;
}

/* Copy the part of `text` before any of `ends` as a name; returns its length, 0 when unsound. */
static size_t take_name(char *out, const char *text, const char *ends)
{
	size_t n = strcspn(text, ends);

	if (!is_name(text, n) || n >= SPEC_NAME_MAX)
		return 0;
	memcpy(out, text, n);
	out[n] = '\0';
	return n;
}

int spec_parse(struct spec *s, const char *text, char *why, size_t why_bytes)
{
	const char *at = text;
	size_t n;

	memset(s, 0, sizeof(*s));
	if (strlen(text) >= sizeof(s->text)) {
		snprintf(why, why_bytes, "a spec of more than %zu characters", sizeof(s->text) - 1);
		return -EINVAL;
	}
	strcpy(s->text, text);
	n = take_name(s->name, at, ":,");
	if (!n) {
		snprintf(why, why_bytes, "'%s' is not name[:mode][,key=value...]", text);
		return -EINVAL;
	}
	at += n;
	if (*at == ':') {
		n = take_name(s->mode, ++at, ",");
		if (!n) {
			snprintf(why, why_bytes, "'%s': no mode after the colon", text);
			return -EINVAL;
		}
		at += n;
	}
	while (*at == ',') {
		size_t value;

		if (s->keys == SPEC_KEYS_MAX) {
			snprintf(why, why_bytes, "'%s': more than %d options", text, SPEC_KEYS_MAX);
			return -EINVAL;
		}
		n = take_name(s->pair[s->keys].key, ++at, "=,");
		value = n && at[n] == '=' ? strcspn(at + n + 1, ",") : SPEC_VALUE_MAX;
		if (!n || !value || value >= SPEC_VALUE_MAX) {
			snprintf(why, why_bytes, "'%s': expected key=value at '%.40s'", text, at);
			return -EINVAL;
		}
		memcpy(s->pair[s->keys++].value, at + n + 1, value);
		at += n + 1 + value;
	}
	return 0;
}

/* Is `value` one of the alternatives "a|b|c"? */
static bool in_choice(const char *values, const char *value)
{
	size_t n = strlen(value);

	for (const char *at = values; at; at = strchr(at, '|')) {
		at += *at == '|';
		if (!strncmp(at, value, n) && (at[n] == '|' || !at[n]))
			return true;
	}
	return false;
}

/* Does `values` allow `value`: "TEXT", "LO..HI", or a choice. */
static bool allowed(const char *values, const char *value)
{
	const char *dots = strstr(values, "..");
	char *end;
	long v;

	if (!strcmp(values, "TEXT"))
		return true;
	if (!dots)
		return in_choice(values, value);
	errno = 0;
	v = strtol(value, &end, 10);
	return !errno && end != value && !*end && v >= atol(values) && v <= atol(dots + 2);
}

static const struct option_spec *find_option(const struct option_spec *options, const char *key)
{
	for (; options && options->key; options++)
		if (!strcmp(options->key, key))
			return options;
	return NULL;
}

int spec_check_both(const struct spec *s, const struct option_spec *options,
		    const struct option_spec *common, char *why, size_t why_bytes)
{
	for (unsigned i = 0; i < s->keys; i++) {
		const struct option_spec *o = find_option(options, s->pair[i].key);

		if (!o)
			o = find_option(common, s->pair[i].key);
		if (!o) {
			int n = snprintf(why, why_bytes, "%s has no option '%s'; it has", s->name,
					 s->pair[i].key);

			for (o = options; o && o->key && n > 0 && (size_t)n < why_bytes; o++)
				n += snprintf(why + n, why_bytes - (size_t)n, " %s=%s", o->key, o->values);
			if ((!options || !options->key) && n > 0 && (size_t)n < why_bytes)
				snprintf(why + n, why_bytes - (size_t)n, " none");
			return -EINVAL;
		}
		if (!allowed(o->values, s->pair[i].value)) {
			snprintf(why, why_bytes, "%s: %s=%s is not one of %s", s->name, o->key,
				 s->pair[i].value, o->values);
			return -EINVAL;
		}
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(s->pair[i].key, s->pair[j].key)) {
				snprintf(why, why_bytes, "%s: %s is given twice", s->name, o->key);
				return -EINVAL;
			}
	}
	return 0;
}

int spec_check(const struct spec *s, const struct option_spec *options, char *why, size_t why_bytes)
{
	return spec_check_both(s, options, NULL, why, why_bytes);
}

const char *spec_value(const struct spec *s, const struct option_spec *options, const char *key)
{
	const struct option_spec *o;

	for (unsigned i = 0; i < s->keys; i++)
		if (!strcmp(s->pair[i].key, key))
			return s->pair[i].value;
	o = find_option(options, key);
	return o ? o->fallback : NULL;
}

long spec_number(const struct spec *s, const struct option_spec *options, const char *key)
{
	const char *value = spec_value(s, options, key);

	return value ? strtol(value, NULL, 10) : 0;
}
