/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the words of a command line to values. Every function returns 0 or -EINVAL, with a sentence
 * in `why` that says what was wrong and what is allowed.
 */
#ifndef PERHOP_CLI_PARSE_H
#define PERHOP_CLI_PARSE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/dataplane.h"

enum { SPECS_MAX = 16, POINTS_MAX = 32, WHY_MAX = 512 };

struct why {
	char text[WHY_MAX];
};

int why_set(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

int parse_count(const char *text, uint64_t lo, uint64_t hi, uint64_t *out, struct why *why);
int parse_number(const char *text, double lo, double hi, double *out, struct why *why);

/* "1,8,32": up to POINTS_MAX numbers lo…hi. */
int parse_numbers(const char *text, double lo, double hi, double *out, unsigned *count,
		  struct why *why);

/* A word of a table that ends with name == NULL. */
struct choice {
	const char *name;
	int value;
};
int parse_choice(const char *text, const struct choice *choices, int *out, struct why *why);
const char *choice_name(const struct choice *choices, int value);

/* Think time: "none", "model" (*model is set), "MS" or "LO:HI", in ms. */
int parse_think(const char *text, unsigned *lo_ms, unsigned *hi_ms, bool *model, struct why *why);

/* "ADDR:PORT", ":PORT" (127.0.0.1) or "ADDR" (any free port); IPv4. */
int parse_address(const char *text, struct sockaddr_in *out, struct why *why);

/* The dataplanes that a command is about. */
struct dataplane_list {
	unsigned count;
	struct {
		struct spec spec;
		const struct dataplane_ops *ops;
	} at[SPECS_MAX];
};

/*
 * Add the dataplanes of `text` to the list. A comma separates both options and dataplanes: a part
 * with '=' is an option of the dataplane before it, any other part starts a new one:
 *
 *     kernel:knative,sidecar=nginx,skmsg,wait=block
 *     `------- one dataplane -----' `--- another --'
 */
int parse_dataplanes(const char *text, struct dataplane_list *list, struct why *why);

/* Set option `key` of `spec` unless the user gave it there. -ENOENT: it has no such option. */
int spec_default(struct spec *spec, const struct option_spec *options, const char *key,
		 const char *value, struct why *why);

extern const struct choice service_choices[], placement_choices[], arrivals_choices[];

#endif
