/* SPDX-License-Identifier: BSD-2-Clause */
/* An audit as a table for people, and as a JSON record (results/audit-schema.json). */
#ifndef PERHOP_AUDIT_REPORT_H
#define PERHOP_AUDIT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "audit/session.h"

/* What was audited, in words. */
struct report_subject {
	const char *dataplane;      /* spec, or "external" */
	const char *workload;       /* spec or URL */
	enum published_table table; /* what the papers have to say about it */
	bool shared_pool;           /* payload stays in shared memory within the chain */
	bool forwarded;             /* the node forwards to the ingress: a stack traversal more at 1 */
	bool accelerated;           /* frames are redirected past the node's stack: fewer traversals */
};

/* The table, the checks and the notes. `detail`: also each component. */
void report_text(FILE *out, const struct session *s, const struct report_subject *subject,
		 bool detail);

/* New reference; the caller adds `host` and `pool`. NULL: out of memory. */
json_t *report_json(const struct session *s, const struct report_subject *subject);

/*
 * Why a measured cell differs from the published one, in one line; "" when it does not. `segment` 0: the
 * column.
 */
void report_why(const struct session *s, const struct report_subject *subject, enum quantity q,
		unsigned segment, enum column c, char *out, size_t room);

#endif
