/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events of one or a few requests, and the trace file made of them: Chrome's JSON, which Perfetto
 * (ui.perfetto.dev) and chrome://tracing open. A process of the trace is a component, with its threads;
 * one more, `kernel`, has a track per CPU for the softirqs.
 */
#ifndef PERHOP_AUDIT_TRACE_H
#define PERHOP_AUDIT_TRACE_H

#include <jansson.h>

#include "audit/audit.h"

struct trace_event_list {
	struct audit_event *event;
	size_t count, room;
};

struct trace;

/* Load and attach beside the counting probes of `a`, which must be attached. 0 or -errno. */
int trace_open(struct trace **out, struct audit *a, const char *const *binaries);

/* Take what has happened since, waiting up to `timeout_ms` for more. 0 or -errno. */
int trace_collect(struct trace *t, int timeout_ms);

/* In order of time; owned by the trace. */
const struct trace_event_list *trace_events(struct trace *t);

uint64_t trace_lost(const struct trace *t);         /* events that found no room */
void trace_close(struct trace *t);

/* The trace file. New reference, NULL: out of memory. */
json_t *trace_json(const struct trace_event_list *events, const struct plan *p);

#endif
