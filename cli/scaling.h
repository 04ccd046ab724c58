/* SPDX-License-Identifier: BSD-2-Clause */
/* What came and went during a run, as the record's `scaling`. */
#ifndef PERHOP_CLI_SCALING_H
#define PERHOP_CLI_SCALING_H

#include <jansson.h>

#include "chain/deploy.h"

/* Of a deployment that scales; times count from `start_ns` (CLOCK_MONOTONIC). New reference. */
json_t *scaling_json(const struct deployment *d, uint64_t start_ns);

#endif
