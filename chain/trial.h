/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which way to wait is the best now? Found by trying. A waiting policy can reason from what it sees, but
 * not about what it cannot see: a load generator on the same CPU, a hypervisor that is slow to wake a
 * halted one, how large batches would be if nobody looked so often. What counts is how many messages come
 * through, and that can be measured: now and then another way is played for a few milliseconds, between
 * two phases of the current one, and the better of the two goes on.
 *
 *      best      best  other other best     best (or other)        best  …
 *    ─────────┬──────┬──────────┬──────┬──────────────────────┬───────
 *             └────── a trial ─────────┘   gap: doubles while nothing changes
 *
 * The order A B B A takes a linear drift of the machine out of the comparison. Ways are ordered by the CPU
 * time that they cost: a dearer one must bring at least TRIAL_GAIN more messages, a cheaper one may bring a
 * little fewer. So when the load does not depend on the way, the cheapest is played: sleeping.
 *
 * It runs on messages alone: without any it takes no time.
 */
#ifndef PERHOP_CHAIN_TRIAL_H
#define PERHOP_CHAIN_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

/* From cheap to dear. */
enum trial_way { WAY_SLEEP, WAY_LEARNED, WAY_SPIN, TRIAL_WAYS };

enum { TRIAL_PHASES = 4 };

struct trial {
	enum trial_way best, other; /* played between trials; being tried against it */
	unsigned phase;             /* 0: no trial; 1 … TRIAL_PHASES */
	uint64_t phase_ns;          /* when it began; 0 before the first message */
	uint64_t settled_ns;        /* when it was first looked at after settling; 0: not yet */
	uint64_t messages;          /* since settled_ns */
	double rate[TRIAL_PHASES];  /* messages per ns */
	double score[TRIAL_WAYS];   /* smoothed log of (its rate / the best's); 0 unknown */
	uint64_t trial_ns;          /* when the last trial began */
	uint64_t next_ns, gap_ns;   /* the next trial; distance to the one after */
	unsigned heard;             /* messages before the first trial, up to what it needs */
	double usual;               /* rate of `best` at the last trial */
	uint64_t run_ns, run_messages;      /* of the part between trials that is being watched */
};

void trial_open(struct trial *t, enum trial_way first);

/* `messages` more have come, at `now_ns` (CLOCK_MONOTONIC). Returns the way to play from now on. */
enum trial_way trial_heard(struct trial *t, uint64_t now_ns, unsigned messages);

#endif
