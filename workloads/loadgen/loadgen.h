/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load generator: its own process, over the client's real protocol. Closed loop (N users with
 * think time) and open loop (constant or Poisson arrivals); every request has an *intended* start,
 * so that latency is free of coordinated omission.
 *
 *   service time   from the moment the request was written to the last byte of the answer
 *   response time  from the intended start: includes the wait in the generator, connecting, and a
 *                  request sent again because its kept-alive connection was being closed
 *
 * The intended start is when the arrival was due (open loop), when the think timer was due
 * (closed), or the end of the user's previous request (closed, no think time). The user model must
 * not write a Connection field: the generator adds `Connection: close` when !keep_alive.
 */
#ifndef PERHOP_LOADGEN_H
#define PERHOP_LOADGEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/workload.h"
#include "workloads/loadgen/histogram.h"

enum arrivals { ARRIVALS_CLOSED, ARRIVALS_CONSTANT, ARRIVALS_POISSON };

enum { LOADGEN_SERIES_MAX = 4096 };

struct loadgen_config {
	struct sockaddr_in target;
	const struct application *app;
	enum arrivals arrivals;
	unsigned users;             /* closed: concurrent users; open: connections at most */
	unsigned spawn_per_sec;     /* closed: users started per second; 0: all at once */
	double rate;                /* open: requests per second */
	unsigned think_lo_ms, think_hi_ms;  /* closed: uniform; 0:0 none */
	uint64_t warmup_ns, duration_ns;    /* measured part after the warm-up; 0: by `requests` */
	uint64_t requests;          /* end after so many measured, or by duration; 0: no limit */
	uint64_t timeout_ns;        /* per request; then it is an error and the connection closes */
	bool keep_alive;            /* false: a new connection per request */
	uint64_t seed;
	bool digest;                /* SHA-256 over all answers, for verify; 1 user, in order */
};

/*
 * Results, in memory shared with the parent (660 KiB). `phase` and `completed` may be read while
 * it runs, all else once loadgen_run has returned. Everything counts the measured part only,
 * except where it says otherwise; a request belongs to the part in which it *completes* (answer,
 * error or timeout).
 */
struct loadgen_result {
	_Atomic uint32_t phase;     /* 0 starting, 1 warm-up, 2 measuring, 3 measured (may drain) */
	_Atomic uint64_t completed; /* requests so far, warm-up included: for progress */
	int error;                  /* 0 or -errno: the generator itself failed */
	char why[256];
	uint64_t measured_ns;       /* wall time of the measured part */
	uint64_t requests;          /* completed in the measured part, errors included */
	uint64_t errors;            /* of these: not 2xx/3xx, refused by user_model.response, I/O */
	uint64_t errors_by_status[6];       /* [0] transport, [1] 1xx … [5] 5xx */
	uint64_t timeouts;          /* of [0] */
	char first_error[128];      /* what the first of [0] was, warm-up included; or "" */
	uint64_t missed;            /* open loop: intended sends never made */
	uint64_t late;              /* begun > 1 ms after the intended start */
	uint64_t unfinished;        /* in flight when the measured part ended: in no other count */
	uint64_t repeated;          /* sent again, as the kept-alive connection was closed */
	uint64_t connects, bytes_in, bytes_out;
	uint64_t in_flight_ns;      /* integral of requests in flight: N of N = X·R, × time */
	uint64_t residence_ns;      /* sum of response times, errors included: X·R, × time… */
	uint64_t earlier_ns;        /* …of it, spent before the measured part began */
	uint64_t unfinished_ns;     /* spent by those in flight at its end: not in residence_ns */
	double think_mean_ms;       /* as drawn */
	uint64_t cpu_ns;            /* the generator's own */
	struct histogram service, response;         /* ns, successes only */
	struct histogram chain_service[TOPIC_MAX];  /* per chain, response times in ns */
	uint64_t chain_errors[TOPIC_MAX];
	uint32_t series_step_ms;    /* one point of the series; 100 ms or more */
	uint32_t series_points;
	struct {                    /* response times, successes only; users: spawned so far */
		uint32_t requests, errors, p50_us, p99_us, users;
	} series[LOADGEN_SERIES_MAX];       /* from the start of the run, warm-up included */
	unsigned char sha256[32];   /* of all answers, when digest: see digest.h */
};
_Static_assert(sizeof(struct loadgen_result) < 1 << 20, "fits a small shared mapping");

/*
 * Run in this process until done; `stop` (shared, may be NULL) ends it early, within 20 ms. Ends
 * at warm-up + duration, or after `requests`, plus at most the timeout of what is then in flight.
 * The process's limit of open files is raised to what the users need. Results are complete when it
 * returns 0; -errno with result->why otherwise (-EINVAL: an unsound config; -ENOMEM). Errors of
 * the server are results, not errors of the generator.
 */
int loadgen_run(const struct loadgen_config *config, struct loadgen_result *result,
		const _Atomic uint32_t *stop);

/*
 * Highest rate that can be offered, requests per second: closed loop users / mean think time, 0
 * for no bound; open loop the rate. A closed loop that reaches it measures the think time, not the
 * server.
 */
double loadgen_offered_ceiling(const struct loadgen_config *config);

#endif
