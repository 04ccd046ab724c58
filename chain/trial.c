/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "chain/clock.h"
#include "chain/trial.h"

enum {
	SETTLE_NS = 300 * 1000,     /* of a phase, not counted: who sleeps must wake first */
	PHASE_NS = 2500 * 1000,     /* counted: more than a time slice of a contended CPU would be too dear */
	PHASE_MAX_NS = 50 * 1000 * 1000,
	PHASE_MESSAGES = 32,        /* fewer tell nothing; at low rates a phase is longer */
	FIRST_NS = 5 * 1000 * 1000, /* before the first trial: time to learn … */
	FIRST_MESSAGES = 64,        /* … from so many messages */
	LONG_NS = 20 * 1000 * 1000, /* a trial that takes longer, for want of messages, … */
	LONG_GAPS = 100,            /* … is followed by a gap of so many times its length */
	GAP_NS = 20 * 1000 * 1000,
	GAP_MAX_NS = 2000 * 1000 * 1000,
	WATCH_NS = 20 * 1000 * 1000,        /* how long a rate between trials is averaged */
};

#define TRIAL_GAIN 1.07     /* a dearer way must be so much better … */
#define TRIAL_LOSS 0.96     /* … a cheaper one may be so much worse */
#define HOPELESS 0.25       /* a trial ends at once when the other way is worse than that */
#define WEIGHT 0.5          /* of the newest trial in a score */
#define SHIFT 1.5           /* a rate that has changed by that factor is another load */

void trial_open(struct trial *t, enum trial_way first)
{
	*t = (struct trial){ .best = first, .other = first, .gap_ns = GAP_NS };
}

static enum trial_way playing(const struct trial *t)
{
	return t->phase == 2 || t->phase == 3 ? t->other : t->best;
}

static void begin_phase(struct trial *t, unsigned phase, uint64_t now_ns)
{
	t->phase = phase;
	t->phase_ns = now_ns;
	t->settled_ns = t->messages = 0;
}

/* The ways take turns: each is tried against the best, the best never against itself. */
static void begin_trial(struct trial *t, uint64_t now_ns)
{
	do
		t->other = (enum trial_way)((t->other + 1) % TRIAL_WAYS);
	while (t->other == t->best);
	t->trial_ns = now_ns;
	begin_phase(t, 1, now_ns);
}

static void end_trial(struct trial *t, uint64_t now_ns, double ratio)
{
	double *score = &t->score[t->other];

	*score = *score != 0 ? (1 - WEIGHT) * *score + WEIGHT * log(ratio) : log(ratio);
	begin_phase(t, 0, now_ns);
	t->run_ns = 0;
	if (*score > log(t->other > t->best ? TRIAL_GAIN : TRIAL_LOSS)) {
		t->best = t->other;
		for (unsigned i = 0; i < TRIAL_WAYS; i++)
			t->score[i] = 0;
		t->gap_ns = GAP_NS;
	} else if (t->gap_ns < GAP_MAX_NS) {
		t->gap_ns *= 2;
	}
	t->next_ns = now_ns + t->gap_ns;
	/* What a dear way costs at a low load must not be seen: little is sent, so little pays for it. */
	if (now_ns - t->trial_ns > LONG_NS && t->gap_ns < LONG_GAPS * (now_ns - t->trial_ns))
		t->next_ns = now_ns + LONG_GAPS * (now_ns - t->trial_ns);
}

/* Between trials: another load calls for one soon. */
static void watch(struct trial *t, uint64_t now_ns, unsigned messages)
{
	double rate;

	if (!t->run_ns) {
		t->run_ns = now_ns;
		t->run_messages = 0;
		return;
	}
	t->run_messages += messages;
	if (now_ns - t->run_ns < WATCH_NS || t->run_messages < PHASE_MESSAGES)
		return;
	rate = (double)t->run_messages / (double)(now_ns - t->run_ns);
	t->run_ns = now_ns;
	t->run_messages = 0;
	if (!(t->usual > 0) || (rate < t->usual * SHIFT && t->usual < rate * SHIFT))
		return;
	t->usual = rate;
	t->gap_ns = GAP_NS;
	if (t->next_ns > now_ns + GAP_NS)
		t->next_ns = now_ns + GAP_NS;
}

/* A phase of a trial goes on; returns whether it is over, with its rate. */
static bool measure(struct trial *t, uint64_t now_ns, unsigned messages)
{
	if (!t->settled_ns) {
		if (now_ns - t->phase_ns >= SETTLE_NS)
			t->settled_ns = now_ns;
		return false;
	}
	t->messages += messages;
	if (now_ns - t->settled_ns < PHASE_NS)
		return false;
	if (t->messages < PHASE_MESSAGES && now_ns - t->settled_ns < PHASE_MAX_NS)
		return false;
	t->rate[t->phase - 1] = (double)t->messages / (double)(now_ns - t->settled_ns);
	return true;
}

enum trial_way trial_heard(struct trial *t, uint64_t now_ns, unsigned messages)
{
	if (!t->phase_ns) {
		begin_phase(t, 0, now_ns);
		t->next_ns = now_ns + FIRST_NS;
	}
	if (!t->phase) {
		if (t->heard < FIRST_MESSAGES)
			t->heard += messages;
		if (now_ns >= t->next_ns && t->heard >= FIRST_MESSAGES)
			begin_trial(t, now_ns);
		else
			watch(t, now_ns, messages);
		return playing(t);
	}
	if (!measure(t, now_ns, messages))
		return playing(t);
	if (t->phase == 1)
		t->usual = t->rate[0];
	if (t->phase == 2 && t->rate[1] < HOPELESS * t->rate[0])
		end_trial(t, now_ns, t->rate[1] / t->rate[0]);
	else if (t->phase == TRIAL_PHASES)
		end_trial(t, now_ns, (t->rate[1] + t->rate[2]) / (t->rate[0] + t->rate[3]));
	else
		begin_phase(t, t->phase + 1, now_ns);
	return playing(t);
}
