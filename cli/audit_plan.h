/* SPDX-License-Identifier: BSD-2-Clause */
/* From a deployment, or from processes that run already, to what the audit looks at. */
#ifndef PERHOP_CLI_AUDIT_PLAN_H
#define PERHOP_CLI_AUDIT_PLAN_H

#include "audit/session.h"

/* A chain that perhop did not start, as named on the command line. */
struct external {
	const char *pids;           /* "name=pid,…" or NULL */
	const char *cgroup;         /* or NULL */
	uint16_t port;
	const char *path;           /* what the client GETs */
};

/* The components of a deployment; and, where descriptors are handed on, their order. */
void plan_of_deployment(struct plan *p, struct session_config *config, const struct deployment *d);

/* Which published table is about such a deployment. */
enum published_table published_for(const struct deployment *d);

/* 0, or -errno with a sentence in `why`. */
int plan_of_external(struct plan *p, struct session_config *config, const struct external *e, char *why,
		     size_t why_bytes);

#endif
