/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway: terminates HTTP/1.1, writes each request once into a pool buffer, sends it to the
 * head function of its chain, and answers from the buffer that comes back. Every client error is
 * answered with a 4xx and a reason; overload with 503, a dead instance with 502, silence with 504.
 *
 *     GET /_perhop/metrics    the deployment's L7 metrics as Prometheus text
 *     GET /_perhop/health     200 when every instance is ready, else 503 and which ones are not
 *
 * Paths of its own begin with /_perhop/ because a workload may have a /metrics.
 */
#ifndef PERHOP_CHAIN_GATEWAY_H
#define PERHOP_CHAIN_GATEWAY_H

#include "chain/deploy.h"

/* The gateway's whole life in its process, until board->stop. 0 or -errno. */
int gateway_main(struct deployment *d);

#endif
