/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/dataplane.h"
#include "chain/pool.h"
#include "chain/waiting.h"

enum {
	TURN_POLLS = 256,           /* empty polls after which the event loop gets a turn */
	ARM_POLLS = 16,             /* the same between two looks at the epoll set: about 1 µs */
	CLOCK_POLLS = 8,            /* empty polls between two looks at the clock */
	BUCKET_SHIFT = 8,           /* bucket 0: waits below 256 ns; each next one twice as long */
	DECAY_SAMPLES = 64,         /* waits after which the older ones count half */
	SOLVE_SAMPLES = 8,          /* waits between two computations of the limit */
	WAKE_FIRST_NS = 5000,       /* C before the first measured wake */
	WAKE_MAX_NS = 100000,       /* a wake that took longer found the CPU taken: not its price */
	STOLEN_NS = 50000,          /* a hole in a spin: somebody else had the CPU */
	STOLEN_WAITS = 32,          /* waits without spinning after that */
	YIELDS = 16,                /* times to give way in one wait */
	YIELD_ALONE_NS = 700,       /* a yield shorter than that found nobody who wanted the CPU */
	YIELD_HOG_NS = 200000,      /* one longer than that went to somebody who does not give back */
	YIELD_SCORE = 8,            /* fruitless yields, less fruitful ones, before a rest … */
	YIELD_REST = 64,            /* … of so many waits, twice as many each time, up to … */
	YIELD_REST_MAX = 4096,
	SPIN_WAKES = 8,             /* WAY_SPIN spins for up to so many C */
};

static const char *const names[] = { "block", "spin", "yield", "adaptive" };

int waiting_parse(const char *text, enum waiting *out)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]))
			continue;
		*out = (enum waiting)i;
		return 0;
	}
	return -EINVAL;
}

const char *waiting_name(enum waiting mode)
{
	return names[mode];
}

uint32_t waiting_flags(enum waiting mode)
{
	return mode == WAITING_SPIN || mode == WAITING_YIELD ? DP_POLLING : 0;
}

enum waiting waiting_of(const struct spec *spec, const struct option_spec *options)
{
	enum waiting mode = WAITING_BLOCK;

	(void)waiting_parse(spec_value(spec, options, "wait"), &mode);
	return mode;
}

/* ---- Bells ------------------------------------------------------------------------------------ */

int hall_open(struct hall *h)
{
	h->gateway_fd = -1;
	h->doors = NULL;
	h->shared = mmap(NULL, sizeof(*h->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (h->shared == MAP_FAILED) {
		h->shared = NULL;
		return -errno;
	}
	atomic_store(&h->shared->way, WAY_LEARNED);     /* stays where there is no gateway */
	h->gateway_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return h->gateway_fd < 0 ? -errno : 0;
}

void hall_close(struct hall *h)
{
	if (h->shared)
		munmap(h->shared, sizeof(*h->shared));
	if (h->gateway_fd >= 0)
		close(h->gateway_fd);
	h->shared = NULL;
	h->gateway_fd = -1;
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/*
 * `target` is about to be woken. From here on it counts as awake: a sender on the same CPU that spun now
 * would keep it from running.
 */
static void note_wake(struct hall *h, unsigned target)
{
	struct bell *bell = &h->shared->bell[target];
	uint32_t crowd = atomic_load_explicit(&bell->crowd, memory_order_relaxed) % WAITING_CROWDS;

	atomic_store_explicit(&bell->rung_ns, clock_now_ns(), memory_order_relaxed);
	atomic_fetch_or_explicit(&h->shared->crowd[crowd].awake, UINT64_C(1) << target,
				 memory_order_relaxed);
	atomic_fetch_add_explicit(&h->shared->rung, 1, memory_order_relaxed);
}

static void ring_one(struct hall *h, unsigned target)
{
	struct bell *bell = &h->shared->bell[target];
	uint32_t nap = atomic_load_explicit(&bell->nap, memory_order_relaxed);

	if (!(nap & 1))
		return;
	note_wake(h, target);
	atomic_fetch_add_explicit(&bell->strokes, 1, memory_order_release);
	if (target == GATEWAY || h->doors)
		(void)!write(target == GATEWAY ? h->gateway_fd : h->doors[target], &(uint64_t){ 1 },
			     sizeof(uint64_t));
	else
		futex(&bell->strokes, FUTEX_WAKE, 1, NULL);
	atomic_compare_exchange_strong_explicit(&bell->nap, &nap, nap + 1, memory_order_relaxed,
						memory_order_relaxed);
}

void hall_ring(struct hall *h, uint64_t targets)
{
	if (!targets)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	for (; targets; targets &= targets - 1)
		ring_one(h, (unsigned)__builtin_ctzll(targets));
}

/* ---- Learning --------------------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
	unsigned b = ns >> BUCKET_SHIFT ? 64 - (unsigned)__builtin_clzll(ns >> BUCKET_SHIFT) : 0;

	return b < WAITING_BUCKETS ? b : WAITING_BUCKETS - 1;
}

/* Upper edge of a bucket, ns. */
static uint64_t edge(unsigned bucket)
{
	return UINT64_C(1) << (BUCKET_SHIFT + bucket);
}

/*
 * The T that costs least over the recent waits: those up to T cost their own length (3/4 of the upper
 * edge of their bucket), the others T and a sleep. T = 0, never to spin, costs a sleep each.
 */
static void solve(struct waiter *w)
{
	uint64_t total = 0, spun = 0, best;
	uint32_t short_ones = 0;

	for (unsigned b = 0; b < WAITING_BUCKETS; b++)
		total += w->bucket[b];
	best = total * w->wake_ns;
	w->limit_ns = 0;
	for (unsigned b = 0; b < WAITING_BUCKETS - 1 && edge(b) <= w->wake_ns; b++) {
		uint64_t cost;

		spun += w->bucket[b] * (edge(b) * 3 / 4);
		short_ones += w->bucket[b];
		cost = spun + (total - short_ones) * (edge(b) + w->wake_ns);
		if (cost < best) {
			best = cost;
			w->limit_ns = edge(b);
		}
	}
}

/* Giving way is kept up as long as it ends waits as often as not. */
static void score_yields(struct waiter *w, bool hit)
{
	w->yield_score += hit ? 1 : -1;
	if (w->yield_score >= YIELD_SCORE) {
		w->yield_score = YIELD_SCORE;
		w->yield_pause = YIELD_REST;
	}
	if (w->yield_score >= -YIELD_SCORE)
		return;
	w->yield_score = 0;
	w->yield_rest = w->yield_pause;
	if (w->yield_pause < YIELD_REST_MAX)
		w->yield_pause *= 2;
}

/* A wait of `ns` is over. */
static void learn(struct waiter *w, uint64_t ns, bool slept)
{
	w->bucket[bucket_of(ns)]++;
	if (++w->samples % SOLVE_SAMPLES == 0)
		solve(w);
	if (w->samples % DECAY_SAMPLES == 0)
		for (unsigned b = 0; b < WAITING_BUCKETS; b++)
			w->bucket[b] /= 2;
	if (w->stolen)
		w->stolen--;
	if (w->yield_rest)
		w->yield_rest--;
	if (w->yields)
		score_yields(w, !slept);
}

void waiter_ended(struct waiter *w)
{
	learn(w, clock_now_ns() - w->idle_ns, false);
	w->idle_ns = 0;
}

void waiter_conduct(struct waiter *w, unsigned messages)
{
	enum trial_way way = trial_heard(&w->trial, clock_now_ns(), messages);

	if (way != atomic_load_explicit(&w->hall->shared->way, memory_order_relaxed))
		atomic_store_explicit(&w->hall->shared->way, way, memory_order_relaxed);
}

static enum trial_way way_of(const struct waiter *w)
{
	return (enum trial_way)atomic_load_explicit(&w->hall->shared->way, memory_order_relaxed);
}

void waiter_sent(struct waiter *w, uint64_t targets)
{
	if (w->mode != WAITING_ADAPTIVE)
		return;
	waiter_busy(w);
	for (; targets; targets &= targets - 1) {
		unsigned target = (unsigned)__builtin_ctzll(targets);
		struct bell *bell = &w->hall->shared->bell[target];
		uint32_t nap = atomic_load_explicit(&bell->nap, memory_order_relaxed);

		if (!(nap & 1) ||
		    !atomic_compare_exchange_strong_explicit(&bell->nap, &nap, nap + 1,
							     memory_order_relaxed,
							     memory_order_relaxed))
			continue;
		note_wake(w->hall, target);
		atomic_fetch_add_explicit(&bell->strokes, 1, memory_order_relaxed);
	}
}

/* ---- Sleeping --------------------------------------------------------------------------------- */

static void lie_down(struct waiter *w)
{
	if (w->mode == WAITING_ADAPTIVE)
		atomic_fetch_and_explicit(w->awake, ~w->self_bit, memory_order_relaxed);
	w->asleep = true;
	w->strokes = atomic_load_explicit(&w->bell->strokes, memory_order_relaxed);
	atomic_store_explicit(&w->bell->nap, w->nap | 1, memory_order_relaxed);
	w->nap = (w->nap | 1) + 1;
	atomic_thread_fence(memory_order_seq_cst);
}

static void get_up(struct waiter *w)
{
	bool rung = atomic_load_explicit(&w->bell->strokes, memory_order_acquire) != w->strokes;
	uint64_t now, at;

	w->asleep = false;
	atomic_store_explicit(&w->bell->nap, w->nap, memory_order_relaxed);
	if (w->mode != WAITING_ADAPTIVE)
		return;
	atomic_fetch_or_explicit(w->awake, w->self_bit, memory_order_relaxed);
	if (!w->idle_ns)
		return;
	now = clock_now_ns();
	at = rung ? atomic_load_explicit(&w->bell->rung_ns, memory_order_relaxed) : 0;
	if (at > w->idle_ns && at < now) {
		uint64_t took = now - at < WAKE_MAX_NS ? now - at : WAKE_MAX_NS;

		w->wake_ns = (7 * w->wake_ns + took) / 8;
		if (w->limit_ns > w->wake_ns)
			solve(w);
	} else {
		at = now - w->idle_ns > w->wake_ns ? now - w->wake_ns : w->idle_ns;
	}
	learn(w, at - w->idle_ns, true);
	w->idle_ns = 0;
}

static bool crowded(const struct waiter *w)
{
	return (unsigned)__builtin_popcountll(atomic_load_explicit(w->awake, memory_order_relaxed)) >
	       w->cpus;
}

static void begin(struct waiter *w)
{
	w->idle_ns = w->seen_ns = clock_now_ns();
	w->polls = w->yields = 0;
}

/* Offer the CPU to those who share it; false: that does not help, sleep. */
static bool give_way(struct waiter *w)
{
	uint64_t before, took;

	if (w->yield_rest || w->yields >= YIELDS)
		return false;
	w->yields++;
	before = clock_now_ns();
	sched_yield();
	took = clock_now_ns() - before;
	w->seen_ns = before + took;
	if (took < YIELD_ALONE_NS)
		w->yields += YIELDS / 2;        /* nobody there: once more, then sleep */
	if (took > YIELD_HOG_NS)
		w->yield_rest = YIELD_REST;
	return true;
}

/* waiter_step of an adaptive one. */
static bool learned_step(struct waiter *w)
{
	enum trial_way way;
	uint64_t now, limit;

	if (!w->idle_ns)
		begin(w);
	way = way_of(w);
	if (way == WAY_SLEEP)
		return false;
	w->polls++;
	if (w->stolen || crowded(w))
		return give_way(w);
	limit = way == WAY_SPIN ? SPIN_WAKES * w->wake_ns : w->limit_ns;
	if (!limit)
		return false;
	__builtin_ia32_pause();
	if (w->polls % w->clock_polls)
		return true;
	now = clock_now_ns();
	if (now - w->seen_ns > STOLEN_NS)
		w->stolen = STOLEN_WAITS;
	w->seen_ns = now;
	return now - w->idle_ns < limit;
}

static inline bool step(struct waiter *w)
{
	switch (w->mode) {
	case WAITING_BLOCK:
		return false;
	case WAITING_SPIN:
		__builtin_ia32_pause();
		return true;
	case WAITING_YIELD:
		sched_yield();
		return true;
	default:
		return learned_step(w);
	}
}

bool waiter_step(struct waiter *w)
{
	return step(w);
}

/* ---- The ways to wait ------------------------------------------------------------------------- */

static int sleep_on_futex(struct waiter *w, bool (*ready)(void *arg), void *arg, int64_t timeout_ns)
{
	struct timespec t = { timeout_ns / (int64_t)NS_PER_SEC, timeout_ns % (int64_t)NS_PER_SEC };
	int err = 0;

	lie_down(w);
	if (!ready(arg) && futex(&w->bell->strokes, FUTEX_WAIT, w->strokes,
				   timeout_ns < 0 ? NULL : &t))
		err = errno == EINTR ? -EINTR : 0;
	get_up(w);
	return err;
}

int waiter_wait(struct waiter *w, bool (*ready)(void *arg), void *arg, int64_t timeout_ns)
{
	uint64_t end = timeout_ns < 0 ? 0 : clock_now_ns() + (uint64_t)timeout_ns, now;
	int64_t left = -1;

	for (unsigned polls = 0; !ready(arg); polls++) {
		bool again = step(w);

		if (timeout_ns >= 0) {
			now = clock_now_ns();
			if (now >= end)
				return 0;
			left = (int64_t)(end - now);
		}
		if (!again)
			return sleep_on_futex(w, ready, arg, left);
		if (polls == TURN_POLLS)
			return 0;
	}
	return 0;
}

bool waiter_arm(struct waiter *w, bool (*ready)(void *arg), void *arg)
{
	for (unsigned polls = 0; polls < ARM_POLLS; polls++) {
		if (ready(arg))
			return true;
		if (waiter_step(w))
			continue;
		lie_down(w);
		if (!ready(arg))
			return false;
		get_up(w);
		return true;
	}
	return true;
}

void waiter_disarm(struct waiter *w)
{
	if (w->asleep)
		get_up(w);
}

static ssize_t recv_now(int fd, void *buffer, size_t room, int flags)
{
	ssize_t n = recv(fd, buffer, room, flags);

	return n < 0 ? -errno : n;
}

static void heard_bytes(struct waiter *w, ssize_t n)
{
	waiter_heard(w, n > 0 ? (unsigned)((size_t)n / sizeof(struct descriptor)) : 0);
}

static ssize_t sleep_on_socket(struct waiter *w, int fd, void *buffer, size_t room, int64_t timeout_ns)
{
	struct timespec t = { timeout_ns / (int64_t)NS_PER_SEC, timeout_ns % (int64_t)NS_PER_SEC };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (w->mode == WAITING_ADAPTIVE)
		lie_down(w);
	if (timeout_ns < 0)
		n = recv_now(fd, buffer, room, 0);      /* the wait and the transfer in one call */
	else if (ppoll(&p, 1, &t, NULL) < 0)
		n = -errno;
	else
		n = recv_now(fd, buffer, room, MSG_DONTWAIT);
	waiter_disarm(w);
	heard_bytes(w, n);
	return n;
}

/*
 * Would the next wait sleep at once? Then a poll of its own is a system call for nothing: a blocking
 * recv takes what is there just as well.
 */
static bool sleeps_at_once(struct waiter *w)
{
	if (w->mode == WAITING_BLOCK)
		return true;
	if (w->mode != WAITING_ADAPTIVE || w->idle_ns)
		return false;
	switch (way_of(w)) {
	case WAY_SLEEP:
		break;
	case WAY_LEARNED:
		if (w->limit_ns || (!w->yield_rest && crowded(w)))
			return false;
		break;
	default:
		return false;
	}
	begin(w);
	return true;
}

ssize_t waiter_recv(struct waiter *w, int fd, void *buffer, size_t room, int64_t timeout_ns)
{
	uint64_t end = timeout_ns <= 0 ? 0 : clock_now_ns() + (uint64_t)timeout_ns, now;
	int64_t left = timeout_ns;
	ssize_t n;

	w->clock_polls = 1;                     /* each poll is a system call */
	if (timeout_ns && sleeps_at_once(w))
		return sleep_on_socket(w, fd, buffer, room, timeout_ns);
	for (unsigned polls = 0; polls < TURN_POLLS; polls++) {
		n = recv_now(fd, buffer, room, MSG_DONTWAIT);
		if (n != -EAGAIN) {
			heard_bytes(w, n);
			return n;
		}
		if (!timeout_ns)
			break;
		if (timeout_ns > 0) {
			now = clock_now_ns();
			if (now >= end)
				break;
			left = (int64_t)(end - now);
		}
		if (!waiter_step(w))
			return sleep_on_socket(w, fd, buffer, room, left);
	}
	return -EAGAIN;
}

bool waiter_arm_socket(struct waiter *w)
{
	if (waiter_step(w))
		return true;
	if (w->mode == WAITING_ADAPTIVE)
		lie_down(w);
	return false;
}

/* ---- Coming and going ------------------------------------------------------------------------- */

void waiter_open(struct waiter *w, struct hall *h, instance_id self, enum waiting mode)
{
	cpu_set_t may;
	unsigned first = 0;

	CPU_ZERO(&may);
	if (sched_getaffinity(0, sizeof(may), &may) || !CPU_COUNT(&may))
		CPU_SET(0, &may);
	while (!CPU_ISSET(first, &may))
		first++;
	*w = (struct waiter){
		.hall = h,
		.bell = &h->shared->bell[self],
		.awake = &h->shared->crowd[first % WAITING_CROWDS].awake,
		.self_bit = UINT64_C(1) << self,
		.mode = mode,
		.cpus = (unsigned)CPU_COUNT(&may),
		.clock_polls = CLOCK_POLLS,
		.wake_ns = WAKE_FIRST_NS,
		.yield_pause = YIELD_REST,
		.conducts = mode == WAITING_ADAPTIVE && self == GATEWAY,
	};
	trial_open(&w->trial, WAY_SLEEP);
	if (w->conducts)
		atomic_store(&h->shared->way, WAY_SLEEP);
	atomic_store(&w->bell->crowd, first % WAITING_CROWDS);
	/* A predecessor may have been killed in its sleep: no sender's view of that counts any more. */
	w->nap = (atomic_load(&w->bell->nap) | 1) + 1;
	atomic_store(&w->bell->nap, w->nap);
	atomic_fetch_or(w->awake, w->self_bit);
}

void waiter_close(struct waiter *w)
{
	if (w->awake)
		atomic_fetch_and(w->awake, ~w->self_bit);
}
