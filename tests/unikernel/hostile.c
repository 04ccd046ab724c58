/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of guest/workloads.c: the image that test_unikernel starts. */
#include "tests/unit/unikernel_cases.h"

static int configure(struct application *app, char *why, size_t why_bytes)
{
	(void)why;
	(void)why_bytes;
	app->functions = functions;
	app->n_functions = N_FUNCTIONS;
	app->chains = chains;
	app->n_chains = N_FUNCTIONS;
	return 0;
}

static const struct workload workload_hostile = {
	.name = "hostile", .modes = "", .configure = configure};

const struct workload *const workloads[] = {&workload_hostile, NULL};
