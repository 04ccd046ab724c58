/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs as a table for people. Latencies and CPU are in microseconds. */
#ifndef PERHOP_CLI_TABLE_H
#define PERHOP_CLI_TABLE_H

#include "cli/measure.h"

struct table_row {
	unsigned cell;              /* rows of one cell are repetitions */
	char dataplane[SPEC_TEXT_MAX], load[24];
	double rps, ccr_us, service_p50, service_p99, response_p50, response_p99;
	bool valid;
};

struct table {
	unsigned rows, room;
	struct table_row *row;
};

/* Above the first row. */
void table_head(const struct run_request *rq);

/* Print a run, and keep what the medians need. */
void table_add(struct table *t, unsigned cell, const struct run_request *rq,
	       const struct run_outcome *out);

/* Medians over the valid repetitions of each cell; nothing when no cell has two. */
void table_medians(const struct table *t);

void table_free(struct table *t);

#endif
