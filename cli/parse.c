/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/deploy.h"
#include "chain/network.h"
#include "cli/cli.h"
#include "cli/parse.h"
#include "workloads/loadgen/loadgen.h"

const struct choice service_choices[] = {
	{ "none", SERVICE_NONE }, { "sleep", SERVICE_SLEEP }, { "spin", SERVICE_SPIN }, { NULL, 0 },
};

const struct choice placement_choices[] = {
	{ "auto", PLACE_AUTO },
	{ "free", PLACE_FREE },
	{ "same-core", PLACE_SAME_CORE },
	{ "cross-core", PLACE_CROSS_CORE },
	{ NULL, 0 },
};

const struct choice arrivals_choices[] = {
	{ "poisson", ARRIVALS_POISSON }, { "constant", ARRIVALS_CONSTANT }, { NULL, 0 },
};

int why_set(struct why *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why->text, sizeof(why->text), format, ap);
	va_end(ap);
	return -EINVAL;
}

int parse_count(const char *text, uint64_t lo, uint64_t hi, uint64_t *out, struct why *why)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	/* strtoull takes "-1" and " 1"; we do not. */
	if (!isdigit((unsigned char)text[0]) || *end || errno || value < lo || value > hi)
		return why_set(why, "'%s' is not a whole number from %llu to %llu", text,
			       (unsigned long long)lo, (unsigned long long)hi);
	*out = value;
	return 0;
}

int parse_number(const char *text, double lo, double hi, double *out, struct why *why)
{
	double value;
	char *end;

	value = strtod(text, &end);
	/* Written so that NaN fails too. */
	if (end == text || *end || !(value >= lo && value <= hi))
		return why_set(why, "'%s' is not a number from %g to %g", text, lo, hi);
	*out = value;
	return 0;
}

int parse_numbers(const char *text, double lo, double hi, double *out, unsigned *count,
		  struct why *why)
{
	char part[32];
	size_t n;
	int error;

	*count = 0;
	for (;;) {
		n = strcspn(text, ",");
		if (n >= sizeof(part))
			return why_set(why, "'%.40s' is not a number from %g to %g", text, lo, hi);
		memcpy(part, text, n);
		part[n] = '\0';
		if (*count == POINTS_MAX)
			return why_set(why, "more than %d values in a list", POINTS_MAX);
		error = parse_number(part, lo, hi, &out[*count], why);
		if (error)
			return error;
		++*count;
		if (!text[n])
			return 0;
		text += n + 1;
	}
}

int parse_choice(const char *text, const struct choice *choices, int *out, struct why *why)
{
	char allowed[128] = "";
	const struct choice *c;

	for (c = choices; c->name; c++) {
		if (!strcmp(c->name, text)) {
			*out = c->value;
			return 0;
		}
		snprintf(allowed + strlen(allowed), sizeof(allowed) - strlen(allowed), "%s%s",
			 allowed[0] ? ", " : "", c->name);
	}
	return why_set(why, "'%s' is not one of %s", text, allowed);
}

const char *choice_name(const struct choice *choices, int value)
{
	for (; choices->name; choices++)
		if (choices->value == value)
			return choices->name;
	return NULL;
}

int parse_think(const char *text, unsigned *lo_ms, unsigned *hi_ms, bool *model, struct why *why)
{
	const char *colon = strchr(text, ':');
	uint64_t lo, hi;
	char left[16];
	struct why ignored;

	*model = !strcmp(text, "model");
	*lo_ms = *hi_ms = 0;
	if (*model || !strcmp(text, "none"))
		return 0;
	snprintf(left, sizeof(left), "%.*s", colon ? (int)(colon - text) : 15, text);
	if (parse_count(left, 0, 3600000, &lo, &ignored) ||
	    parse_count(colon ? colon + 1 : left, 0, 3600000, &hi, &ignored) || lo > hi)
		return why_set(why, "'%s' is not a think time: 'none', 'model', milliseconds "
			       "(1000), or a range of them (1000:10000)", text);
	*lo_ms = (unsigned)lo;
	*hi_ms = (unsigned)hi;
	return 0;
}

int parse_address(const char *text, struct sockaddr_in *out, struct why *why)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	char host[INET_ADDRSTRLEN] = "127.0.0.1";
	uint64_t port = 0;
	struct why ignored;

	if (n >= sizeof(host))
		goto bad;
	if (n) {
		memcpy(host, text, n);
		host[n] = '\0';
	}
	memset(out, 0, sizeof(*out));
	out->sin_family = AF_INET;
	if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
		goto bad;
	if (colon && parse_count(colon + 1, 0, 65535, &port, &ignored))
		goto bad;
	out->sin_port = htons((uint16_t)port);
	return 0;
bad:
	return why_set(why, "'%s' is not an IPv4 address and port such as 127.0.0.1:8080 or :8080",
		       text);
}

static int add_dataplane(const char *text, struct dataplane_list *list, struct why *why)
{
	if (list->count == SPECS_MAX)
		return why_set(why, "more than %d dataplanes", SPECS_MAX);
	if (dataplane_open(&list->at[list->count].spec, &list->at[list->count].ops, text, why->text,
			   sizeof(why->text)))
		return -EINVAL;
	list->count++;
	return 0;
}

int parse_dataplanes(const char *text, struct dataplane_list *list, struct why *why)
{
	char one[SPEC_TEXT_MAX] = "";
	size_t used = 0, n;
	const char *p = text;
	int error;

	for (;;) {
		n = strcspn(p, ",");
		if (used && !memchr(p, '=', n)) {
			error = add_dataplane(one, list, why);
			if (error)
				return error;
			used = 0;
		}
		if (used + n + 2 > sizeof(one))
			return why_set(why,
				       "'%.40s…' is longer than a dataplane's name and options "
				       "may be (%d bytes)",
				       text, SPEC_TEXT_MAX - 1);
		if (used)
			one[used++] = ',';
		memcpy(one + used, p, n);
		used += n;
		one[used] = '\0';
		if (!n)
			return why_set(why,
				       "'%s': there is nothing between two commas, or at an end",
				       text);
		if (!p[n])
			return add_dataplane(one, list, why);
		p += n + 1;
	}
}

int spec_default(struct spec *spec, const struct option_spec *options, const char *key,
		 const char *value, struct why *why)
{
	unsigned i;

	if (!option_find(options, key))
		return -ENOENT;
	for (i = 0; i < spec->keys; i++)
		if (!strcmp(spec->pair[i].key, key))
			return 0;
	if (spec->keys == SPEC_KEYS_MAX)
		return why_set(why, "%s: more than %d options", spec->name, SPEC_KEYS_MAX);
	snprintf(spec->pair[spec->keys].key, sizeof(spec->pair[0].key), "%s", key);
	snprintf(spec->pair[spec->keys].value, sizeof(spec->pair[0].value), "%s", value);
	spec->keys++;
	return spec_check_both(spec, options, network_options, why->text, sizeof(why->text)) ? -EINVAL : 0;
}
