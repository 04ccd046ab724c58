/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit's own client. The load generator cannot be used: a count per request is only exact when
 * the window opens before the first request and closes after the last answer, so this client sends
 * exactly as many as it is told, when it is told, over connections that stay open in between.
 */
#ifndef PERHOP_AUDIT_CLIENT_H
#define PERHOP_AUDIT_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "chain/workload.h"

enum { CLIENT_THREADS_MAX = 64 };

struct client_config {
	struct sockaddr_in target;
	const struct application *app;      /* its user model makes the requests… */
	const char *path;                   /* …or, when NULL, GET this */
	unsigned threads;                   /* concurrent users, each with its connection */
	bool new_connection;                /* for every request */
	uint64_t seed;
	int cpu;                            /* run there; -1: anywhere */
	int netns;                          /* in this network namespace; -1: the caller's */
};

/* One batch of requests. */
struct client_result {
	uint64_t requests, errors;
	uint64_t elapsed_ns;        /* from the first request to the last answer */
	uint64_t p50_ns, p99_ns;    /* from send to the last byte of the answer */
	uint64_t connects;
	bool uniform;               /* every request so far was the same, byte by byte */
};

struct client;

/* Fork it. It connects with its first batch. 0 or -errno. */
int client_start(struct client **out, const struct client_config *config);

/*
 * Do `requests` in all, split over the threads, with `think_us` after each answer. Blocks. 0; -EIO when
 * the client has died; -ECONNREFUSED or the like when it could not connect.
 */
int client_run(struct client *c, unsigned requests, unsigned think_us, struct client_result *result);

/* The two halves of client_run, for doing something meanwhile. client_poll: 1 done, 0 not yet. */
int client_go(struct client *c, unsigned requests, unsigned think_us);
int client_poll(struct client *c, int timeout_ms, struct client_result *result);

pid_t client_pid(const struct client *c);
void client_end(struct client *c);

#endif
