/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a workload's author writes: functions, once, for every dataplane.
 *
 * A function never sees how its messages travel. It gets an invocation, reads the payload, and says
 * what is to happen next:
 *
 *     FORWARD  the next function of this topic's sequence (DFR), or the client after the last one;
 *              a branch passes over inv->skip functions
 *     CALL     ask another function, and be resumed at `step` with its answer in the payload
 *     RETURN   answer the caller (the same as REPLY when there is none)
 *     REPLY    answer the client
 *     FAIL     give the client an error with inv->status and a reason in the payload
 *
 * A function must not block; service times are the runtime's business (a run parameter).
 */
#ifndef PERHOP_CHAIN_FUNCTION_H
#define PERHOP_CHAIN_FUNCTION_H

#include <stdint.h>

#include "chain/message.h"

enum outcome { FORWARD, CALL, RETURN, REPLY, FAIL };

struct invocation {
	struct message *message;    /* for the helpers below; a function uses the fields here */
	void *payload;              /* input or answer; 64-byte aligned; `room` bytes may be written */
	uint32_t length;            /* payload bytes: set it with the outcome */
	uint32_t room;
	uint16_t type;              /* payload type: set it with the outcome */
	uint16_t status;            /* of the answer just received; set it with RETURN, REPLY, FAIL */
	uint16_t step;              /* 0 on entry, else what the last CALL asked for */
	uint16_t topic;
	uint16_t skip;              /* 0; with FORWARD: functions of the sequence to pass over */
	function_id callee;         /* set by invocation_call */
	void *locals;               /* function.locals bytes, zero on entry, kept across CALLs */
	void *state;                /* this instance's, made by function.start */
	const void *config;         /* function.config */
	uint64_t seed;              /* of the run: all that is random comes from it */
};

struct function {
	const char *name;           /* [a-z0-9-]: also its process, pod and metric label */
	uint64_t service_ns;        /* published CPU service time; 0: none */
	uint32_t locals;            /* bytes, < 32 KiB */
	uint32_t state_bytes;       /* instance state, zeroed; then `start` is called */
	int single;                 /* keeps state that requests share: one instance only */
	int (*start)(void *state, uint64_t seed);   /* optional; 0 or -errno; seed: its own */
	void (*stop)(void *state);                  /* optional */
	enum outcome (*handle)(struct invocation *inv);
	const void *config;         /* the workload's settings for it, read-only; may be NULL */
};

/* A piece of user code to be run: what the runtime passes to it and gets back. */
struct user_call {
	const struct function *fn;
	enum { USER_START, USER_HANDLE, USER_STOP } what;
	int result;                 /* of start: 0 or -errno; of handle: enum outcome */
	struct invocation inv;      /* start and stop: only `state` and `seed` */
};

/* Run it here and now. */
void user_call_run(struct user_call *c);

/* `return invocation_call(inv, FN, STEP, TYPE, LENGTH)`: the arguments are in the payload already. */
static inline enum outcome invocation_call(struct invocation *inv, function_id callee,
					   uint16_t step, uint16_t type, uint32_t length)
{
	inv->callee = callee;
	inv->step = step;
	inv->type = type;
	inv->length = length;
	return CALL;
}

/* `return invocation_return(inv, STATUS, TYPE, LENGTH)`: the answer is in the payload already. */
static inline enum outcome invocation_return(struct invocation *inv, uint16_t status,
					     uint16_t type, uint32_t length)
{
	inv->status = status;
	inv->type = type;
	inv->length = length;
	return RETURN;
}

/* `return invocation_fail(inv, STATUS, "why")`: copies the reason into the payload. */
enum outcome invocation_fail(struct invocation *inv, uint16_t status, const char *reason);

#endif
