/* SPDX-License-Identifier: BSD-2-Clause */
/* A run as a record: one JSON object of results/schema.json. */
#ifndef PERHOP_CLI_RECORD_H
#define PERHOP_CLI_RECORD_H

#include "cli/measure.h"

/* `host` is host_json's, shared by all records of a process. New reference, NULL: out of memory. */
json_t *record_json(const struct run_request *rq, const struct run_outcome *out, json_t *host);

/* Value of the dataplane's `wait` option, or NULL when it has none. */
const char *record_wait(const struct run_request *rq);

#endif
