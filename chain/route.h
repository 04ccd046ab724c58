/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Direct function routing (SPRIGHT §3.2.3): the table, in shared memory, that tells a function where
 * a message goes next, and the board where instances show their state and residual capacity.
 *
 * The paper's key is (topic, current function). That cannot express its own Table 4, whose Ch-1
 * leaves function 4 for 1, for 9's return, for 4 itself and for 5; so the position in the sequence
 * is part of the key. See docs/findings.md.
 */
#ifndef PERHOP_CHAIN_ROUTE_H
#define PERHOP_CHAIN_ROUTE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/message.h"

enum instance_state {
	INSTANCE_ABSENT = 0,
	INSTANCE_STARTING,
	INSTANCE_READY,
	INSTANCE_DRAINING,          /* takes no new invocations, finishes what it has */
	INSTANCE_DEAD,
};

enum {
	CONCURRENCY_DEFAULT = 32,   /* requests a function handles at a time (SPRIGHT §4.2) */
	BACKLOG_DEFAULT = 1024,     /* invocations that may wait at one instance; then 503 */
};

/* One line of the board per instance; written by its own process except where noted. */
struct instance_line {
	alignas(64) _Atomic uint32_t state;         /* enum instance_state; DEAD by the supervisor */
	_Atomic uint32_t pid;                       /* by the supervisor */
	function_id function;                       /* by the supervisor, before any child exists */
	uint16_t concurrency;
	uint32_t backlog;
	_Atomic uint32_t incarnation;               /* counts starts; by the supervisor */
	_Atomic uint32_t reclaimed;                 /* incarnation whose buffers the gateway took back */
	_Atomic uint32_t killed;                    /* DEAD, and not by its own doing: by the supervisor */
	_Atomic uint64_t ready_ns;                  /* CLOCK_MONOTONIC, when it said so */
	alignas(64) _Atomic int32_t load;           /* invocations assigned and not finished: senders add */
	alignas(64) _Atomic uint64_t handled;       /* invocations finished */
	_Atomic uint64_t failed;                    /* of these, FAIL or undeliverable */
	_Atomic uint64_t refused;                   /* bad messages dropped */
	_Atomic uint64_t busy_ns;                   /* time inside handlers, when metered */
	_Atomic uint64_t turns;                     /* event-loop turns that did work */
};

/* The link to the other node (chain/peer.h); written by this node's gateway. */
struct link_line {
	_Atomic uint32_t up;        /* connected and greeted */
	_Atomic uint64_t connections, resets;       /* so far; resets: for something unsound */
	_Atomic uint64_t out, in;   /* messages */
	_Atomic uint64_t out_bytes, in_bytes;       /* payload */
	_Atomic uint64_t landed_bytes, copied_bytes;/* of in_bytes: in place, copied once */
	_Atomic uint64_t refused;   /* messages answered 503: no buffer */
	_Atomic uint64_t lost;      /* requests answered 502 as the connection had ended */
};

struct board {
	uint32_t instances;         /* lines in use, the gateway's included */
	uint32_t functions;
	uint32_t topics;
	_Atomic uint32_t stop;      /* set by the supervisor: all leave their loops */
	_Atomic uint32_t unloaded;  /* by the gateway, a bit per deploy_config.adapter: unloaded for good */
	struct {
		_Atomic uint32_t length;
		function_id function[SEQUENCE_MAX];
	} sequence[TOPIC_MAX];
	struct {                    /* instances of each function */
		uint32_t count;
		instance_id at[INSTANCE_MAX];
	} of[FUNCTION_MAX];
	struct instance_line line[INSTANCE_MAX];
	uint32_t remote;            /* bit f: function f is on the other node */
	struct link_line link;
};

/* Is `function` on the other node? Then its messages go to the gateway of this one. */
static inline bool route_is_remote(const struct board *b, function_id function)
{
	return function < 32 && b->remote >> function & 1;
}

/*
 * Where FORWARD from `current` leads, passing over `skip` functions: the next function, or
 * FUNCTION_NONE: reply to the client.
 */
function_id route_next(const struct board *b, uint16_t topic, function_id current,
		       unsigned position, unsigned skip);

/* Replace the sequence of `topic` while requests run; in-flight ones may see either. 0 or -EINVAL. */
int route_update(struct board *b, uint16_t topic, const function_id *sequence, unsigned length);

/*
 * The ready instance of `function` with the greatest residual capacity, its load
 * raised by one. INSTANCE_NONE with *why = -EPIPE (none alive) or -EAGAIN (all at their backlog).
 */
instance_id route_pick(struct board *b, function_id function, int *why);

/* The invocation given by route_pick has ended (or was not delivered). */
void route_done(struct board *b, instance_id instance);

/*
 * `m`, which was on its way to `to`, will not arrive: the invocation that its sender announced there has
 * ended. An answer's is that of the frame that it answers, unless that frame's instance had died before.
 */
void route_lost(struct board *b, const struct message *m, instance_id to);

/* All callers that wait in the stack of `m` will not be resumed: their invocations have ended too. */
void route_unwind(struct board *b, const struct message *m);

#endif
