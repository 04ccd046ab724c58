/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "chain/autoscale.h"

static uint64_t bucket_ns(const struct autoscaler *a)
{
	uint64_t ns = a->c.stable_ns / AUTOSCALE_BUCKETS;

	return ns ? ns : 1;
}

void autoscale_open(struct autoscaler *a, const struct autoscale_config *c)
{
	*a = (struct autoscaler){ .c = *c };
}

/* Make `number` the newest bucket: those in between were not observed, and hold nothing. */
static void advance(struct autoscaler *a, uint64_t number)
{
	uint64_t steps = number > a->newest ? number - a->newest : 0;

	if (steps > AUTOSCALE_BUCKETS)
		steps = AUTOSCALE_BUCKETS;
	for (uint64_t i = 0; i < steps; i++)
		a->bucket[(number - i) % AUTOSCALE_BUCKETS] = 0;
	if (number > a->newest)
		a->newest = number;
}

void autoscale_observe(struct autoscaler *a, uint64_t from_ns, uint64_t to_ns, double requests)
{
	const uint64_t length = bucket_ns(a);

	if (!a->first_ns)
		a->first_ns = from_ns;
	/* What lies further back than the window is not seen any more. */
	if (to_ns > from_ns && to_ns - from_ns > AUTOSCALE_BUCKETS * length)
		from_ns = to_ns - AUTOSCALE_BUCKETS * length;
	while (from_ns < to_ns) {
		const uint64_t number = from_ns / length, end = (number + 1) * length;
		const uint64_t until = end < to_ns ? end : to_ns;

		advance(a, number);
		a->bucket[number % AUTOSCALE_BUCKETS] += requests * (double)(until - from_ns);
		from_ns = until;
	}
}

/*
 * Average over the last `window_ns`, in whole buckets, the current one as far as it goes; over less when
 * observation began later (Knative averages over what it has).
 */
static double average(const struct autoscaler *a, uint64_t now_ns, uint64_t window_ns)
{
	const uint64_t length = bucket_ns(a);
	uint64_t n = (window_ns + length / 2) / length, oldest, begin;
	double sum = 0;

	n = n < 1 ? 1 : n > AUTOSCALE_BUCKETS ? AUTOSCALE_BUCKETS : n;
	oldest = now_ns > n * length ? (now_ns - n * length + length - 1) / length : 0;
	for (uint64_t number = oldest; number <= a->newest; number++)
		if (number + AUTOSCALE_BUCKETS > a->newest)
			sum += a->bucket[number % AUTOSCALE_BUCKETS];
	begin = oldest * length > a->first_ns ? oldest * length : a->first_ns;
	return now_ns > begin ? sum / (double)(now_ns - begin) : 0;
}

static double between(double lo, double x, double hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

/* Begin, prolong or end a panic. */
static void judge_panic(struct autoscaler *a, uint64_t now_ns, bool over)
{
	if (over) {
		a->panic_ns = now_ns;
	} else if (a->panic_ns && now_ns - a->panic_ns > a->c.stable_ns) {
		a->panic_ns = 0;
		a->panic_most = 0;
	}
}

/* The last instance goes when nothing has been there for a stable window, and then for the grace period. */
static bool may_be_zero(struct autoscaler *a, uint64_t now_ns, double stable, unsigned at_least)
{
	if (stable > 0 || at_least) {
		a->idle_ns = 0;
		return false;
	}
	if (!a->idle_ns)
		a->idle_ns = now_ns;
	return now_ns - a->idle_ns >= a->c.grace_ns;
}

struct autoscale_decision autoscale_decide(struct autoscaler *a, uint64_t now_ns, unsigned ready,
					   unsigned waiting, unsigned at_least)
{
	const struct autoscale_config *c = &a->c;
	const double base = ready ? ready : 1;
	const double most = ceil(c->up_rate * base), least = floor(base / c->down_rate);
	struct autoscale_decision d = {
		.stable = average(a, now_ns, c->stable_ns),
		.recent = average(a, now_ns, c->panic_ns),
	};
	const double stable = ceil(d.stable / c->target), recent = ceil(d.recent / c->target);
	double want = between(least, stable, most);
	bool zero;

	judge_panic(a, now_ns, recent / base >= c->panic_threshold);
	d.panic = a->panic_ns;
	if (d.panic) {
		/* Of the two averages the larger; and no way down before it is over. */
		want = fmax(want, between(least, recent, most));
		if (want > a->panic_most)
			a->panic_most = (unsigned)want;
		want = a->panic_most;
	}
	zero = may_be_zero(a, now_ns, d.stable, at_least);
	if (want < 1 && (!zero || waiting) && (ready || waiting))
		want = 1;
	d.want = (unsigned)between(c->min, fmax(want, at_least), c->max);
	return d;
}

bool autoscale_prewarm(uint64_t now_ns, uint64_t origin_ns, uint64_t period_ns, uint64_t ahead_ns)
{
	uint64_t at;

	if (!period_ns || now_ns < origin_ns)
		return false;
	at = (now_ns - origin_ns) % period_ns;
	return ahead_ns >= period_ns || at >= period_ns - ahead_ns;
}
