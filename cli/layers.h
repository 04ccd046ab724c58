/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop run --layers`: CPU by layer (audit/layers.h) of a run's measured part. */
#ifndef PERHOP_CLI_LAYERS_H
#define PERHOP_CLI_LAYERS_H

#include "audit/layers.h"
#include "cli/cpu.h"

/* Samples from the beginning of the measured part to its end; `l` may be NULL: nothing happens. */
void run_layers_begin(struct layers *l);
int run_layers_end(struct layers *l, const struct deployment *d, const struct cpu_groups *groups,
		   const struct generator *g, struct layers_result *result);

/* The record's `layers`, in µs per request. New reference. */
json_t *run_layers_json(const struct layers_result *r, const struct cpu_groups *groups, uint64_t requests);

#endif
