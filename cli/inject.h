/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests without clients: in the gateway's place and process, a number of messages is kept in flight
 * through a chain of functions that do nothing. What is left to measure is the dataplane.
 */
#ifndef PERHOP_CLI_INJECT_H
#define PERHOP_CLI_INJECT_H

#include <stdatomic.h>
#include <stdint.h>

#include "chain/deploy.h"

enum { INJECT_LENGTH_MAX = 8, INJECT_BYTES_MAX = 64 << 10 };

/* Shared by the injector and whoever started it. The first three are set before deploy_start. */
struct injection {
	unsigned in_flight;         /* messages, 1 … pool buffers */
	uint64_t gap_ns;            /* 0: the next one as soon as one is back; else one each gap_ns */
	uint32_t bytes;             /* payload written for each request, ≤ INJECT_BYTES_MAX */
	_Atomic uint64_t completed; /* answers that came back as they should */
	_Atomic uint64_t failed;    /* all other answers, and requests that nobody took */
};

/* deploy_config.front; `arg` is a struct injection. */
int inject_main(struct deployment *d, void *arg);

/* An application of `length` functions in a row, 1 … INJECT_LENGTH_MAX. Static: never freed. */
struct application inject_application(unsigned length);

#endif
