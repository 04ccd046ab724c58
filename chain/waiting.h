/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a receiver waits, the same for every dataplane with shared memory:
 *
 *     block      sleep in the kernel; a sender rings a bell
 *     spin       never sleep, poll
 *     yield      never sleep, poll, and offer the CPU between two polls
 *     adaptive   poll as long as that is likely to be cheaper than sleeping, then sleep
 *
 * Bells. A receiver that is about to sleep raises a flag and looks once more; a sender makes its
 * messages visible and then looks at the flag. With a full fence between the two steps of either, at
 * least one of them sees the other (Dekker):
 *
 *      receiver                         sender
 *      nap is odd                       push … push        one turn's messages
 *      -- fence --                      -- fence --
 *      rings empty? sleep : go on       nap odd? ring      at most one bell, none when it is awake
 *
 * A sender rings first and takes the flag down afterwards, so that one that is killed in between leaves
 * the flag up, and the next one rings. It takes down only the nap that it saw: the receiver may be up
 * and down again by then. An endpoint that also watches file descriptors sleeps in epoll: its bell is
 * an eventfd.
 *
 * Adaptive. Waiting is the ski-rental problem: spinning costs by the nanosecond, a sleep costs one
 * price, C, whatever its length. Who spins for at most C and then sleeps pays at most twice what
 * hindsight would (Karlin et al., SODA 1990), and knowing the distribution of waits the best limit
 * can be computed: the T in [0, C] that minimises E[min(wait, T)] + C · P(wait > T). Each receiver keeps
 * that distribution of its own recent waits (a decaying histogram) and measures C: a bell carries the
 * time it was rung, so a sleeper knows how long its wake took. So a receiver whose messages come far
 * apart does not spin at all, and none spins longer than C.
 *
 * Where more endpoints are awake than there are CPUs, a spinner holds up the one it waits for. It gives
 * way instead (sched_yield), as long as that is seen to help.
 *
 * What a receiver cannot see from its own waits is how the chain as a whole would fare if all of them slept,
 * or all spun. That is tried: the gateway, where all requests end, now and then has everyone wait in
 * another way for a few milliseconds, and the way that brings most requests home goes on (trial.h).
 */
#ifndef PERHOP_CHAIN_WAITING_H
#define PERHOP_CHAIN_WAITING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "chain/message.h"
#include "chain/spec.h"
#include "chain/trial.h"

enum waiting { WAITING_BLOCK, WAITING_SPIN, WAITING_YIELD, WAITING_ADAPTIVE };

/* A row of a dataplane's option table. `fallback` is one of the words. */
#define WAITING_OPTION(fallback) \
	{ "wait", "block|spin|yield|adaptive", fallback, "how receivers wait" }

/* "block", "spin"… into *out. 0 or -EINVAL. */
int waiting_parse(const char *text, enum waiting *out);
const char *waiting_name(enum waiting mode);

/* DP_POLLING when a receiver in this mode burns CPU while nothing comes, else 0. */
uint32_t waiting_flags(enum waiting mode);

/* The `wait` of a spec, which spec_check has seen. */
enum waiting waiting_of(const struct spec *spec, const struct option_spec *options);

/* ---- Bells: one per endpoint, shared ---------------------------------------------------------- */

enum { WAITING_CROWDS = 64 };

struct bell {
	alignas(64) _Atomic uint32_t nap;           /* odd while its endpoint sleeps; new for every sleep */
	_Atomic uint32_t strokes;                   /* futex word: changed before every wake */
	_Atomic uint32_t crowd;                     /* whom it shares its CPUs with */
	_Atomic uint64_t rung_ns;                   /* when it was last rung, CLOCK_MONOTONIC */
};

struct hall_shared {
	struct bell bell[INSTANCE_MAX];
	alignas(64) _Atomic uint32_t way;           /* enum trial_way: how adaptive endpoints wait now */
	alignas(64) _Atomic uint64_t rung;          /* bells rung so far, by anyone */
	struct {
		alignas(64) _Atomic uint64_t awake; /* one bit per endpoint that runs or was woken */
	} crowd[WAITING_CROWDS];    /* endpoints with the same CPU affinity; named by the first CPU */
};

/* The bells of a deployment: mapped and opened by the parent, inherited by all. */
struct hall {
	struct hall_shared *shared;
	int gateway_fd;             /* eventfd: the gateway's bell */
	const int *doors;           /* INSTANCE_MAX: where to write to ring endpoints that sleep outside this
				     * kernel, in virtual machines; NULL: all sleep on their futex */
};

/* 0 or -errno; hall_close undoes it, also after a failure. */
int hall_open(struct hall *h);
void hall_close(struct hall *h);

/*
 * Wake those of `targets` (bit i: endpoint i) that sleep. Their messages must be in place. Costs a fence
 * and one load per target when all are awake.
 */
void hall_ring(struct hall *h, uint64_t targets);

/* ---- A receiver's waiting, private to its process --------------------------------------------- */

enum { WAITING_BUCKETS = 12 };

struct waiter {
	struct hall *hall;
	struct bell *bell;
	_Atomic uint64_t *awake;    /* of its crowd */
	uint64_t self_bit;
	enum waiting mode;
	unsigned cpus;              /* that its crowd may run on */
	bool asleep;
	uint32_t nap;               /* what the bell's nap is while it is awake: even */
	uint32_t strokes;           /* of its bell, when it lay down */
	/* This wait. */
	uint64_t idle_ns;           /* since when; 0: none */
	uint64_t seen_ns;           /* last look at the clock while spinning */
	unsigned polls, yields;
	unsigned clock_polls;       /* polls between two looks at the clock */
	/* What it has learned. */
	uint64_t wake_ns;           /* C: mean cost of a sleep, as measured */
	uint64_t limit_ns;          /* T: how long to spin */
	uint32_t bucket[WAITING_BUCKETS], samples;  /* recent waits by length */
	unsigned stolen;            /* waits to come without spinning: somebody took the CPU */
	int yield_score;            /* waits that giving way has ended, less those it has not */
	unsigned yield_rest, yield_pause;           /* waits to come without it; the next such rest */
	bool conducts;              /* the gateway's: it decides how all wait */
	struct trial trial;
};

/* Start waiting as endpoint `self`, with the CPU affinity that the process has now. */
void waiter_open(struct waiter *w, struct hall *h, instance_id self, enum waiting mode);
void waiter_close(struct waiter *w);

/* What the next two do when there is something to do, which is never so for one that only spins. */
void waiter_ended(struct waiter *w);
void waiter_conduct(struct waiter *w, unsigned messages);

/* There is work: the wait, if there was one, is over. */
static inline void waiter_busy(struct waiter *w)
{
	if (w->idle_ns)
		waiter_ended(w);
}

/* The same: `messages` came. */
static inline void waiter_heard(struct waiter *w, unsigned messages)
{
	waiter_busy(w);
	if (w->conducts)
		waiter_conduct(w, messages);
}

/*
 * On a dataplane whose messages wake the receiver by themselves (sockets): messages are about to go to
 * `targets` (bit i: endpoint i). The sleepers among them will know how long their wake took.
 */
void waiter_sent(struct waiter *w, uint64_t targets);

/*
 * One step of a wait, after a poll that found nothing: pause or give way, and return true: poll again;
 * or false: sleep.
 */
bool waiter_step(struct waiter *w);

/*
 * Wait until ready(arg) or `timeout_ns` (-1: none) has passed, sleeping on the futex. 0; -EINTR: a
 * signal. May return early; the caller polls in any case.
 */
int waiter_wait(struct waiter *w, bool (*ready)(void *arg), void *arg, int64_t timeout_ns);

/*
 * For an endpoint that sleeps in epoll with its eventfd: true when it must not sleep now, be it that
 * something is ready or that the mode wants to poll on. After false, waiter_disarm follows the sleep.
 */
bool waiter_arm(struct waiter *w, bool (*ready)(void *arg), void *arg);
void waiter_disarm(struct waiter *w);

/*
 * recv of descriptors on a socket whose senders call waiter_sent, waiting as the mode says. Bytes, or -EAGAIN: timeout,
 * or a polling mode's turn is over; -EINTR, -errno; 0: the peer is gone.
 */
ssize_t waiter_recv(struct waiter *w, int fd, void *buffer, size_t room, int64_t timeout_ns);

/* waiter_arm for an endpoint that sleeps in epoll on such a socket. */
bool waiter_arm_socket(struct waiter *w);

#endif
