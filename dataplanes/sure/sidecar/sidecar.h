/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library sidecar (SURE, design 4): what a sidecar container does for a function, as a sequence of
 * handlers that are called before and after it.
 *
 *     message ──► metrics ► auth ► rate ► timeout ► breaker ──► function ──► … the same, after ──► hop
 *                              └── may refuse: 401, 429, 504, 503
 *
 * Which handlers, and in which order, is an option: `sidecar=metrics+auth+rate`. A handler that is not
 * listed costs nothing. State is private to the instance; what others may see (counts, the last spans
 * and access log entries) is in `struct sidecar_stats`, in shared memory. No handler makes a system
 * call or allocates.
 */
#ifndef PERHOP_DATAPLANES_SURE_SIDECAR_H
#define PERHOP_DATAPLANES_SURE_SIDECAR_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include <openssl/sha.h>

enum sidecar_handler {
	SIDECAR_METRICS,            /* counts, exponentially weighted mean of the latency */
	SIDECAR_TRACE,              /* a span per invocation */
	SIDECAR_AUTH,               /* HMAC-SHA256 token, given by the gateway: else 401 */
	SIDECAR_RATE,               /* at most so many invocations per second: else 429 */
	SIDECAR_TIMEOUT,            /* a request that is too old is not begun: 504 */
	SIDECAR_RETRY,              /* a hop that finds the receiver full is tried again */
	SIDECAR_BREAKER,            /* after failures in a row none is let in for a while: 503 */
	SIDECAR_LOG,                /* an access log entry per invocation */
	SIDECAR_HANDLERS,
};

enum { SIDECAR_KEY_BYTES = 32, SIDECAR_TAG_BYTES = 16, SIDECAR_ENTRIES = 256 };

/* What all instances of a deployment have in common. */
struct sidecar_config {
	unsigned n;
	uint8_t order[SIDECAR_HANDLERS];    /* enum sidecar_handler */
	uint32_t has;                       /* bit per handler */
	uint32_t rate;                      /* invocations per second and instance, ≥ 1 */
	uint64_t timeout_ns;
	uint32_t retries;
	uint32_t breaker_failures;          /* in a row */
	uint64_t breaker_ns;                /* how long it stays open */
	uint8_t key[SIDECAR_KEY_BYTES];     /* of the tokens; random per deployment */
};

/* One span, or one line of the access log. */
struct sidecar_entry {
	uint64_t id, begin_ns, ns;          /* CLOCK_MONOTONIC */
	uint16_t topic, function, status;
	uint8_t depth, position;            /* place in the call graph, or in the sequence */
};

/* The last entries; `next` counts all there were. */
struct sidecar_ring {
	_Atomic uint64_t next;
	struct sidecar_entry at[SIDECAR_ENTRIES];
};

/* Shared memory, one per instance, written by that instance. */
struct sidecar_stats {
	alignas(64) _Atomic uint64_t invocations;
	_Atomic uint64_t failed;            /* answered with ≥ 500 */
	_Atomic uint64_t ns;                /* sum of latencies */
	_Atomic uint64_t ewma_ns;           /* weight 1/16 */
	_Atomic uint64_t refused[SIDECAR_HANDLERS];
	_Atomic uint64_t retried, late;
	_Atomic uint32_t breaker_open;
	struct sidecar_ring spans, log;
};

/* What a handler sees of an invocation. */
struct sidecar_request {
	uint64_t id, born_ns;
	const uint8_t *tag;
	uint16_t topic, function;
	uint8_t depth, position;
};

/* An instance's sidecar. */
struct sidecar {
	struct sidecar_config config;
	struct sidecar_stats *stats;
	SHA256_CTX inner, outer;            /* HMAC states after the key */
	uint64_t rate_ns, rate_burst_ns, rate_at_ns;        /* GCRA: interval, tolerance, arrival time */
	uint64_t open_until_ns;
	uint32_t failures;                  /* in a row */
};

/*
 * "none", "all" or handlers joined by '+', in the order in which they are to be called, into c->order
 * and c->has. 0, or -EINVAL: not a handler, or twice.
 */
int sidecar_parse(struct sidecar_config *c, const char *text);

/* `stats`: zeroed shared memory. The rest of *s need not be initialised. */
void sidecar_open(struct sidecar *s, const struct sidecar_config *c, struct sidecar_stats *stats);

/* The token of a request, for the gateway to sign and the sidecar to verify. */
void sidecar_tag(const struct sidecar *s, uint64_t id, uint16_t topic,
		 uint8_t tag[SIDECAR_TAG_BYTES]);

/*
 * Before an invocation; `now` is CLOCK_MONOTONIC. 0: let it in. Else the HTTP status to answer with,
 * and a sentence in *why; sidecar_after is not to be called then.
 */
uint16_t sidecar_before(struct sidecar *s, const struct sidecar_request *r, uint64_t now,
			const char **why);

/* After it, with the status that it ended with. */
void sidecar_after(struct sidecar *s, const struct sidecar_request *r, uint64_t begin, uint64_t now,
		   uint16_t status);

/* The handler's name, as in `sidecar=`. */
const char *sidecar_name(enum sidecar_handler h);

/* Prometheus text, one series per column; `label` gives {…} of instance i of n. */
void sidecar_page(FILE *f, const struct sidecar_stats *stats, unsigned n,
		  const char *(*function)(void *arg, unsigned i), void *arg);

/* The last spans and access log entries, one JSON object per line. */
void sidecar_dump(FILE *f, const struct sidecar_stats *stats, const char *function, unsigned instance);

#endif
