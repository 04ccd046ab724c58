/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gateway counts, and how it is shown. */
#ifndef PERHOP_CHAIN_GATEWAY_METRICS_H
#define PERHOP_CHAIN_GATEWAY_METRICS_H

#include "chain/deploy.h"
#include "chain/gateway_front.h"
#include "chain/gateway_ports.h"

/* Latency buckets: 2^10 ns (1 µs) … 2^35 ns (34 s), one per power of two; the last is +Inf. */
enum { METRIC_BUCKET_FIRST = 10, METRIC_BUCKETS = 27 };

/* Why a request with a sound head did not reach a function, or its answer not the client. */
enum gateway_refusal {
	REFUSED_NO_CHAIN,           /* 404 */
	REFUSED_POOL,               /* 503: no buffer left, or too many held by slow uploads */
	REFUSED_BACKLOG,            /* 503: the head function's instances take no more */
	REFUSED_DEAD,               /* 502: no instance alive, or it died with the request */
	REFUSED_TIMEOUT,            /* 504 */
	REFUSED_ANSWER,             /* 502: the answer was unsound */
	REFUSED_INTERNAL,           /* 500: it could not be sent */
	REFUSED_REASONS,
};

struct chain_metrics {
	uint64_t by_class[6];       /* answers by status / 100 */
	uint64_t bucket[METRIC_BUCKETS];    /* latency: head complete → last byte to the kernel */
	uint64_t count, sum_ns;
};

struct gateway_metrics {
	struct chain_metrics chain[TOPIC_MAX];
	uint64_t refused[REFUSED_REASONS];
	uint64_t late;              /* answers that came after their client had gone or given up */
	uint64_t stray;             /* answers to no request of ours: freed */
	uint32_t in_flight;         /* requests in the chain now, late ones included */
};

void metrics_answered(struct gateway_metrics *g, uint16_t topic, unsigned status, uint64_t ns);

/*
 * The metrics as Prometheus text, in malloc'd memory of *length bytes that the caller frees; NULL
 * when out of memory. `pool` is where the gateway's messages come from.
 */
char *metrics_page(const struct gateway_metrics *g, const struct deployment *d,
		   const struct front_stats *front, const struct ports *ports,
		   const struct pool *pool, size_t *length);

/* Which instances are not ready, as text; *ready says whether all are. Memory as above. */
char *health_page(const struct deployment *d, bool *ready, size_t *length);

#endif
