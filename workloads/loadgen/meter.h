/* SPDX-License-Identifier: BSD-2-Clause */
/* What the load generator counts, and when: phases, histograms, time series, Little's law. */
#ifndef PERHOP_LOADGEN_METER_H
#define PERHOP_LOADGEN_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "workloads/loadgen/loadgen.h"

enum loadgen_phase { PHASE_STARTING, PHASE_WARMUP, PHASE_MEASURING, PHASE_DONE };

struct meter {
	struct loadgen_result *result;
	uint64_t limit;             /* end after so many requests; 0: none */
	uint64_t warmup_ends_ns, ends_ns;   /* UINT64_MAX: by `limit` alone */
	enum loadgen_phase phase;
	uint64_t completed;
	uint64_t measured_from_ns, cpu_from_ns;
	uint32_t in_flight;         /* requests begun and not completed */
	uint64_t in_flight_at_ns;   /* the integral goes so far */
	uint64_t intended_sum_ns;   /* of those in flight: their ages sum to in_flight × now less this */
	uint64_t think_sum_ns, thinks;
	uint32_t users;             /* now: spawned (closed), or connections (open) */
	uint64_t step_ns, step_ends_ns;
	uint32_t step_requests, step_errors;
	struct histogram step;
};

/* A request that has ended. */
struct sample {
	uint64_t intended_ns, sent_ns, now_ns;
	unsigned chain, status;     /* status 0: no answer */
	bool ok, timed_out;
};

/* Start the run at `now`: warm-up, or the measured part at once when there is none. */
void meter_open(struct meter *m, const struct loadgen_config *config,
		struct loadgen_result *result, uint64_t now);

/* Once per loop turn: go on to the next phase, close steps of the series. */
void meter_turn(struct meter *m, uint64_t now);

/* End the measured part now, whatever is still in flight. Idempotent. */
void meter_end(struct meter *m, uint64_t now);

/* A request intended for `intended` begins now: it is written, or a connection is opened for it. */
void meter_begin(struct meter *m, uint64_t intended, uint64_t now);
void meter_complete(struct meter *m, const struct sample *s);

static inline bool meter_measuring(const struct meter *m)
{
	return m->phase == PHASE_MEASURING;
}

#endif
