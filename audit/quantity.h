/* SPDX-License-Identifier: BSD-2-Clause */
/* The six quantities of the papers' tables, as sums of what the probes count; and what was published. */
#ifndef PERHOP_AUDIT_QUANTITY_H
#define PERHOP_AUDIT_QUANTITY_H

#include <stdbool.h>

#include "audit/segment.h"

enum quantity {
	QUANTITY_COPIES,
	QUANTITY_SWITCHES,
	QUANTITY_INTERRUPTS,
	QUANTITY_PROTOCOL,
	QUANTITY_SERIALIZATIONS,
	QUANTITY_DESERIALIZATIONS,
	QUANTITIES,
};

/* Columns of a table beyond the segments. */
enum column {
	COLUMN_EXTERNAL,
	COLUMN_WITHIN,
	COLUMN_TOTAL,               /* external + within: the paper's total */
	COLUMN_SLIDE_TOTAL,         /* and the answer's way back to the hub: the slides' total */
	COLUMN_ROUND_TRIP,          /* everything until the client has its answer, attributed or not */
	COLUMNS,
};

enum published_table { PUBLISHED_NONE, PUBLISHED_TABLE1, PUBLISHED_TABLE2 };

const char *quantity_key(enum quantity q);          /* in JSON: "context_switches" */
const char *quantity_title(enum quantity q);        /* in tables: "# of context switches" */
const char *column_key(enum column c);

/*
 * Does `metric` of `component` in `segment` (0: not attributed) count in `q`? The client's own are left
 * out, as in the papers; and so is what neither a component nor a frame of the chain has to do with.
 */
bool quantity_has(enum quantity q, enum audit_metric metric, unsigned component, unsigned segment);

/* Does a segment of this class count in the column? Segment 0 (not attributed): class -1. */
bool column_has(enum column c, int class);

/* A published value: of segment `number` (1…5), or of a column when number is 0. NaN: there is none. */
double published(enum published_table t, enum quantity q, unsigned number, enum column c);

const char *metric_name(enum audit_metric m);

#endif
