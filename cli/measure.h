/* SPDX-License-Identifier: BSD-2-Clause */
/* One run: deploy, load, watch and sample, stop. What comes out becomes a record or a table row. */
#ifndef PERHOP_CLI_MEASURE_H
#define PERHOP_CLI_MEASURE_H

#include <jansson.h>

#include "cli/cpu.h"
#include "cli/layers.h"

/* What is asked. The pointers outlive the run. */
struct run_request {
	const struct dataplane_ops *ops;
	const struct spec *spec;
	const struct workload *workload;
	const struct application *app;
	struct deploy_config deploy;
	struct loadgen_config load; /* target and app are filled in by the run */
	double idle_s;              /* measure idle CPU so long before the load; 0: do not */
	bool layers;                /* sample CPU by layer: the run carries a probe */
	unsigned rep;
	const char *label;          /* NULL: none */
};

/* Up to NOTES_MAX sentences; further ones are dropped. */
enum { NOTES_MAX = 12, NOTE_BYTES = 640 };

struct notes {
	unsigned count;
	char text[NOTES_MAX][NOTE_BYTES];
};

void notes_add(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What came of it. Times are of the measured part unless they say otherwise. */
struct run_outcome {
	char run_id[20];
	struct timespec started;    /* CLOCK_REALTIME */
	char skipped[256];          /* why it did not take place; "": it did */
	struct notes invalid, marks;
	bool interrupted;           /* a signal ended it */
	bool loaded;                /* a generator ran: `generator` has results */
	struct generator generator;

	double measured_s;
	double rps, ccr_us;         /* NaN without a success */
	double ceiling_rps;         /* 0: no bound */
	double wall_s;              /* between the two CPU samples */
	struct cpu_groups groups;
	uint64_t used_ns[COMPONENT_MAX];    /* per group */
	double node_percent, generator_percent, steal_percent;      /* NaN: not measured */
	double idle_percent;        /* NaN: not measured */
	double little_n, little_x, little_r, little_ratio;
	enum { LITTLE_UNKNOWN, LITTLE_HOLDS, LITTLE_BROKEN } little;
	struct cpu_series series;
	bool has_pool;
	uint32_t pool_buffers, pool_buffer_bytes, pool_page_kib, pool_in_use_after;
	uint64_t pool_refused;
	json_t *scaling;            /* what came and went; NULL: nothing does */
	bool has_layers;
	struct layers_result layers;
	json_t *bpf_tags;           /* of the programs this deployment loaded */
};

struct progress;

/*
 * Do it. Never fails as a function: whatever goes wrong is in out->invalid or out->skipped.
 * `signals` is signals_open's; `progress` may be NULL. run_release frees the outcome.
 */
void run_measure(struct run_outcome *out, const struct run_request *rq, int signals,
		 struct progress *progress);
void run_release(struct run_outcome *out);

bool run_valid(const struct run_outcome *out);

/* The line on a terminal that says how far we are. */
struct progress {
	bool shown;                 /* stderr is a terminal */
	unsigned run, runs;         /* this one, of so many */
	char what[160];
	uint64_t last_ns;
};

void progress_say(struct progress *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void progress_clear(struct progress *p);

#endif
