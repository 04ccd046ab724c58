/* SPDX-License-Identifier: BSD-2-Clause */
/* One line of `perhop doctor`. Adding a check: a function and a row in doctor_checks.c. */
#ifndef PERHOP_CLI_DOCTOR_H
#define PERHOP_CLI_DOCTOR_H

#include <stddef.h>

enum health {
	HEALTH_OK,
	HEALTH_WARN,                /* works, but figures suffer or an optional part is absent */
	HEALTH_MISSING,             /* a backend or `make check` needs it */
};

struct finding {
	enum health health;
	char found[320];            /* what there is */
	char means[320];            /* what follows from it; "" when ok */
	char fix[320];              /* how to change it; "" when nothing can be done or is needed */
};

struct check {
	const char *name;
	void (*run)(struct finding *f);
};

extern const struct check doctor_checks[];
extern const size_t doctor_checks_count;

#endif
