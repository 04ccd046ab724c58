/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `name[:mode][,key=value…]`: how a dataplane or a workload is named on the command line,
 * in experiment.conf and in every record, e.g. `kernel:knative,sidecar=nginx` or `echo,length=3`.
 */
#ifndef PERHOP_CHAIN_SPEC_H
#define PERHOP_CHAIN_SPEC_H

#include <stddef.h>
#include <stdint.h>

enum { SPEC_NAME_MAX = 32, SPEC_KEYS_MAX = 24, SPEC_VALUE_MAX = 96, SPEC_TEXT_MAX = 256 };

/* One option of a dataplane or workload. A table of these ends with key == NULL. */
struct option_spec {
	const char *key;
	const char *values;         /* "a|b|c" for a choice, "1..64" for a range, "TEXT" for free text */
	const char *fallback;       /* value when not given; never NULL */
	const char *help;           /* one line */
};

struct spec {
	char text[SPEC_TEXT_MAX];   /* as given */
	char name[SPEC_NAME_MAX];
	char mode[SPEC_NAME_MAX];   /* "" when not given */
	unsigned keys;
	struct {
		char key[SPEC_NAME_MAX];
		char value[SPEC_VALUE_MAX];
	} pair[SPEC_KEYS_MAX];
};

/* Parse `text`. 0, or -EINVAL with a sentence in `why`. */
int spec_parse(struct spec *s, const char *text, char *why, size_t why_bytes);

/* Check keys and values against `options` (NULL: none allowed). 0, or -EINVAL with a sentence. */
int spec_check(const struct spec *s, const struct option_spec *options, char *why, size_t why_bytes);

/* The same where a key may be of either table. */
int spec_check_both(const struct spec *s, const struct option_spec *options,
		    const struct option_spec *common, char *why, size_t why_bytes);

/* Value of `key`: as given, else the option's fallback, else NULL. */
const char *spec_value(const struct spec *s, const struct option_spec *options, const char *key);

/* The same as a whole number; spec_check has seen to its range. */
long spec_number(const struct spec *s, const struct option_spec *options, const char *key);

#endif
