/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Users and their connections: the generator's inside, shared by loadgen.c (when) and client.c
 * (how).
 *
 *     waiting --due--> busy: connect? -> send -> receive -> complete --think--> waiting
 *                        \_________ error, timeout: close, back off _______________/
 *
 * A connection is registered with epoll once, edge-triggered, for as long as it lives; a request
 * on a connection that is up costs one send, one recv and its share of one epoll_wait.
 */
#ifndef PERHOP_LOADGEN_CLIENT_H
#define PERHOP_LOADGEN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "workloads/loadgen/answer.h"
#include "workloads/loadgen/digest.h"
#include "workloads/loadgen/meter.h"
#include "workloads/loadgen/timers.h"

enum {
	RECEIVE_BYTES = 64 << 10,   /* the buffer that all connections share */
	REQUEST_BYTES = 64 << 10,   /* one request, at most */
	LINGER_MAX = 1024,          /* answered connections waiting for the server's FIN */
	SOURCE_USERS = 8192,        /* users with one source address, on loopback */
};

#define NOBODY UINT32_MAX

struct conn {
	struct answer answer;
	uint64_t linger_until_ns;
	uint32_t generation;        /* tells its events from those of the slot's earlier ones */
	uint32_t user;              /* or NOBODY: lingering or free */
	uint32_t before, after;     /* in its list: lingering, resting, or free (`after`) */
	int fd;
	bool registered, watches_output;
	bool reused;                /* has carried an answer before */
};

struct user {
	char *request;              /* kept until answered: it may go in parts, or twice */
	uint64_t random, think_random;      /* the model's stream, and ours for think times */
	uint64_t intended_ns, sent_ns, deadline_ns;
	uint64_t first_ns, due_ns;  /* user_request.due_ns and what it counts from; 0: none */
	uint32_t conn;              /* or NOBODY */
	uint32_t request_bytes, request_room, sent;
	uint32_t hello_bytes;       /* MQTT: of these, only for a new connection */
	uint32_t before, after;     /* in the list of deadlines */
	uint16_t chain;
	uint8_t failures;           /* transport errors in a row */
	bool spawned, busy, head, repeatable, repeated, more;
};

struct list {
	uint32_t first, last, count;
};

/* Open loop: intended starts, drawn one ahead. What is due and not yet sent needs no memory. */
struct arrivals_clock {
	uint64_t random, start_ns, next_ns;
	double at_ns, period_ns;    /* from the start; mean distance */
};

struct loadgen {
	const struct loadgen_config *config;
	const struct user_model *model;
	struct meter meter;
	int error;                  /* the generator itself failed; result->why says how */
	int epoll_fd;
	uint64_t issue_left;        /* requests that may still begin */
	struct user *users;
	unsigned char *states;      /* config->users × model->user_bytes */
	struct conn *conns;
	uint32_t n_conns, open_conns, free_conn;
	struct list deadlines;      /* of busy users: in order, as all have the same timeout */
	struct list lingering;      /* connections: answered, never used again, not yet closed */
	struct list resting;        /* connections kept alive for a user without a request */
	struct timers timers;
	uint32_t *idle, n_idle;     /* open loop: users without a request, last in first out */
	struct arrivals_clock arrivals;
	struct answer_store store;
	struct digest *digest;
	char *receive, *out;        /* RECEIVE_BYTES, REQUEST_BYTES */
};

/* Allocate config->users users and n_conns connections. 0 or -ENOMEM. client_close in any case. */
int client_open(struct loadgen *g);
void client_close(struct loadgen *g);

/* User `i` makes its next request, intended for `intended`, or stays idle if none may be issued. */
void client_begin(struct loadgen *g, uint32_t i, uint64_t intended, uint64_t now);

/* May requests still begin? Not a moment after the measured part, or they would be in no count. */
static inline bool client_may_begin(const struct loadgen *g)
{
	return g->issue_left && g->meter.phase != PHASE_DONE;
}

/* epoll reports on a connection. */
void client_ready(struct loadgen *g, uint64_t data, uint32_t events);

/* End requests and lingering connections whose time is up. */
void client_expire(struct loadgen *g, uint64_t now);

/* When client_expire has something to do; UINT64_MAX: nothing. */
uint64_t client_next_expiry(const struct loadgen *g);

/* In loadgen.c: user `i` has ended a request (`failures` says how); when does it make the next? */
void loadgen_next(struct loadgen *g, uint32_t i, uint64_t now);

/* The generator itself fails: end the run with `error` and a sentence. */
void loadgen_fail(struct loadgen *g, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
