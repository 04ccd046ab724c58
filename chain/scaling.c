/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/autoscale.h"
#include "chain/clock.h"
#include "chain/deploy.h"
#include "chain/scaling.h"

enum {
	HISTORY_MAX = 1 << 16,      /* entries of each kind; then they are counted only */
};

#define UTILISATION 0.7             /* container-concurrency-target-percentage */
#define DRAIN_MAX_NS (60 * NS_PER_SEC)      /* beyond the request timeout: then it is ended all the same */
#define TERM_AGAIN_NS (20 * NS_PER_MS)      /* a SIGTERM just before a blocking call leaves no trace in it */
#define TERM_MAX_NS (1 * NS_PER_SEC)        /* then SIGKILL */
#define BUSY_WATCH_NS (1 * NS_PER_MS)       /* while something starts or ends */
#define IDLE_WATCH_NS (20 * NS_PER_MS)

/* ---- Options ------------------------------------------------------------------------------------ */

/* "30s", "500ms", "2m", "30": seconds, 0 … 86400. 0 or -EINVAL. */
static int parse_duration(const char *text, double *seconds)
{
	static const struct {
		const char *unit;
		double s;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "m", 60 } };
	char *end;
	double x = strtod(text, &end);

	if (end == text || !(x >= 0 && x <= 86400))
		return -EINVAL;
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].unit)) {
			*seconds = x * units[i].s;
			return 0;
		}
	return -EINVAL;
}

static int parse_times(struct scaling_config *c, const struct spec *spec,
		       const struct option_spec *options, char *why, size_t why_bytes)
{
	const struct {
		const char *key;
		double *to;
	} times[] = {
		{ "stable", &c->stable_s }, { "panic", &c->panic_s }, { "tick", &c->tick_s },
		{ "grace", &c->grace_s }, { "terminate", &c->terminate_s },
		{ "prewarm", &c->prewarm_s }, { "period", &c->period_s },
	};

	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		const char *value = spec_value(spec, options, times[i].key);

		if (value && parse_duration(value, times[i].to)) {
			snprintf(why, why_bytes, "%s: %s=%s is no time such as 30s or 500ms",
				 spec->name, times[i].key, value);
			return -EINVAL;
		}
	}
	return 0;
}

/* A number in [lo, hi]. 0 or -EINVAL. */
static int parse_number(const char *text, double lo, double hi, double *out)
{
	char *end;
	double x = strtod(text, &end);

	if (end == text || *end || !(x >= lo && x <= hi))
		return -EINVAL;
	*out = x;
	return 0;
}

int scaling_parse(struct scaling_config *c, const struct spec *spec, const struct option_spec *options,
		  char *why, size_t why_bytes)
{
	const char *mode = spec_value(spec, options, "scale");
	const char *target = spec_value(spec, options, "target");
	int err;

	*c = (struct scaling_config){ .time_scale = 1 };
	if (!mode)
		return 0;
	c->mode = !strcmp(mode, "zero") ? SCALE_ZERO : !strcmp(mode, "load") ? SCALE_LOAD : SCALE_NONE;
	c->max = (unsigned)spec_number(spec, options, "max_scale");
	c->queue = (unsigned)spec_number(spec, options, "queue");
	c->cold_delay_s = (double)spec_number(spec, options, "cold_delay_ms") / 1e3;
	err = parse_times(c, spec, options, why, why_bytes);
	if (err)
		return err;
	if (strcmp(target, "auto") && parse_number(target, 0.01, 1e6, &c->target))
		err = -EINVAL;
	if (parse_number(spec_value(spec, options, "time_scale"), 1e-4, 1e3, &c->time_scale))
		err = -EINVAL;
	if (c->stable_s <= 0 || c->tick_s <= 0 || c->panic_s > c->stable_s)
		err = -EINVAL;
	if (c->prewarm_s > 0 && c->prewarm_s >= c->period_s)
		err = -EINVAL;
	if (err)
		snprintf(why, why_bytes, "%s: scale= needs target=auto or 0.01..1000000, "
			 "time_scale=0.0001..1000, stable and tick above 0, panic up to stable, prewarm "
			 "below period", spec->name);
	return err;
}

uint64_t scaling_ns(const struct scaling_config *c, double seconds)
{
	return (uint64_t)(seconds * c->time_scale * 1e9);
}

unsigned scaling_lines(const struct scaling_config *c, const struct application *app, function_id f,
		       unsigned instances)
{
	if (app->functions[f]->single)
		return 1;
	return c->mode != SCALE_NONE && c->max > instances ? c->max : instances;
}

/* ---- State -------------------------------------------------------------------------------------- */

enum slot_state { SLOT_OFF, SLOT_DELAYED, SLOT_STARTING, SLOT_UP, SLOT_DRAINING, SLOT_ENDING };

struct slot {                       /* of an instance */
	uint8_t state;              /* enum slot_state */
	bool hurry;                 /* DRAINING: its line is needed again, do not wait */
	unsigned cold;              /* index into the history; of the start under way */
	uint64_t since;             /* ns, of the state */
	uint64_t spawned;           /* STARTING: its processes had been started */
	uint64_t last_term;         /* ENDING: last SIGTERM */
	struct cold_start start;
};

struct group {                      /* of a function's instances */
	struct autoscaler a;
	uint64_t observed_ns, area;
	uint16_t up, ready;         /* as in the last step of the history */
};

struct scaling {
	struct deployment *d;
	const struct scaling_ops *ops;      /* an empty one when the dataplane has none */
	struct scaling_config c;
	uint64_t next_tick, origin;
	struct slot slot[INSTANCE_MAX];
	struct group group[FUNCTION_MAX];
	struct scaling_history history;
};

static unsigned count_in(const struct scaling *s, function_id f, enum slot_state from, enum slot_state to)
{
	const struct board *b = s->d->board;
	unsigned n = 0;

	for (unsigned i = 0; i < b->of[f].count; i++) {
		const struct slot *slot = &s->slot[b->of[f].at[i]];

		n += slot->state >= from && slot->state <= to;
	}
	return n;
}

static void note_step(struct scaling *s, function_id f, uint64_t now)
{
	struct group *g = &s->group[f];
	const uint16_t up = (uint16_t)count_in(s, f, SLOT_STARTING, SLOT_ENDING);
	const uint16_t ready = (uint16_t)count_in(s, f, SLOT_UP, SLOT_UP);

	if (up == g->up && ready == g->ready)
		return;
	g->up = up;
	g->ready = ready;
	if (s->history.steps == HISTORY_MAX)
		s->history.dropped++;
	else
		s->history.step[s->history.steps++] = (struct scale_step){ now, f, up, ready };
}

static void enter(struct scaling *s, instance_id id, enum slot_state state, uint64_t now)
{
	s->slot[id].state = (uint8_t)state;
	s->slot[id].since = now;
	note_step(s, s->d->board->line[id].function, now);
}

/* ---- Up ----------------------------------------------------------------------------------------- */

static void begin(struct scaling *s, instance_id id, const char *cause, uint64_t now)
{
	struct slot *slot = &s->slot[id];

	slot->start = (struct cold_start){ .instance = id, .function = s->d->board->line[id].function,
					   .cause = cause, .at_ns = now };
	slot->hurry = false;
	slot->cold = s->history.colds;
	if (s->history.colds == HISTORY_MAX) {
		s->history.dropped++;
		slot->cold = HISTORY_MAX - 1;
	} else {
		s->history.cold[s->history.colds++] = slot->start;
	}
	enter(s, id, SLOT_DELAYED, now);
}

/* The real work: pod, process, sidecar. */
static int start(struct scaling *s, instance_id id, uint64_t now)
{
	struct slot *slot = &s->slot[id];
	uint64_t raised;
	int err = 0;

	slot->start.ns[COLD_DELAY] = now - slot->start.at_ns;
	if (s->ops->raise)
		err = s->ops->raise(s->d, id);
	raised = clock_now_ns();
	slot->start.ns[COLD_NETWORK] = raised - now;
	if (!err)
		err = deploy_instance_start(s->d, id);
	slot->spawned = clock_now_ns();
	slot->start.ns[COLD_SPAWN] = slot->spawned - raised;
	enter(s, id, SLOT_STARTING, slot->spawned);
	return err;
}

/* Is it there? Then requests may come. */
static int finish(struct scaling *s, instance_id id, uint64_t now)
{
	struct instance_line *line = &s->d->board->line[id];
	struct slot *slot = &s->slot[id];
	uint64_t ready;
	int err;

	if (atomic_load_explicit(&line->state, memory_order_acquire) != INSTANCE_READY)
		return now - slot->since < s->d->config.start_timeout_ms * NS_PER_MS ? 0 :
		       deploy_error(s->d, -ETIMEDOUT, "%s was not ready %u ms after its start",
				    deploy_instance_name(s->d, id), s->d->config.start_timeout_ms);
	err = s->ops->settled ? s->ops->settled(s->d, id) : 0;
	if (err == -EAGAIN && now - slot->since < s->d->config.start_timeout_ms * NS_PER_MS)
		return 0;
	if (err)
		return deploy_error(s->d, err, "what is before %s did not become ready: %s",
				    deploy_instance_name(s->d, id), strerror(-err));
	now = clock_now_ns();
	ready = atomic_load(&line->ready_ns);
	if (ready < slot->spawned)
		ready = slot->spawned;
	slot->start.ns[COLD_FUNCTION] = ready - slot->spawned;
	slot->start.ns[COLD_SIDECAR] = now > ready ? now - ready : 0;
	slot->start.done = true;
	s->history.cold[slot->cold] = slot->start;
	if (s->ops->admit)
		s->ops->admit(s->d, id, true);
	enter(s, id, SLOT_UP, now);
	return 0;
}

/* ---- Down --------------------------------------------------------------------------------------- */

static unsigned busy(const struct scaling *s, instance_id id)
{
	int32_t load;

	if (s->ops->busy)
		return s->ops->busy(s->d, id);
	load = atomic_load(&s->d->board->line[id].load);
	return load > 0 ? (unsigned)load : 0;
}

static void drain(struct scaling *s, instance_id id, uint64_t now)
{
	/* Sequentially consistent, as in route_pick: who does not see it is seen in `load`. */
	atomic_store(&s->d->board->line[id].state, INSTANCE_DRAINING);
	if (s->ops->admit)
		s->ops->admit(s->d, id, false);
	enter(s, id, SLOT_DRAINING, now);
}

static void drained(struct scaling *s, instance_id id, uint64_t now)
{
	const struct slot *slot = &s->slot[id];
	const bool late = now - slot->since > s->d->config.request_timeout_ns + DRAIN_MAX_NS;

	/* One that died meanwhile and was started again has said that it is ready. */
	if (atomic_load(&s->d->board->line[id].state) == INSTANCE_READY)
		atomic_store(&s->d->board->line[id].state, INSTANCE_DRAINING);
	if (!late && (busy(s, id) || (!slot->hurry &&
				      now - slot->since < scaling_ns(&s->c, s->c.terminate_s))))
		return;
	deploy_instance_end(s->d, id, SIGTERM);
	s->slot[id].last_term = now;
	enter(s, id, SLOT_ENDING, now);
}

static void ended(struct scaling *s, instance_id id, uint64_t now)
{
	struct instance_line *line = &s->d->board->line[id];
	struct slot *slot = &s->slot[id];

	if (!deploy_instance_ended(s->d, id)) {
		if (now - slot->last_term < TERM_AGAIN_NS)
			return;
		slot->last_term = now;
		deploy_instance_end(s->d, id, now - slot->since > TERM_MAX_NS ? SIGKILL : SIGTERM);
		return;
	}
	/* The gateway takes back what it held, so that the next one does not find it. */
	if (s->d->pool && atomic_load(&line->reclaimed) != atomic_load(&line->incarnation)) {
		deploy_wake_gateway(s->d);
		return;
	}
	atomic_store(&line->state, INSTANCE_ABSENT);
	if (s->ops->lower)
		s->ops->lower(s->d, id);
	s->history.ends++;
	enter(s, id, SLOT_OFF, now);
}

int scaling_lost(struct scaling *s, instance_id id)
{
	const uint64_t now = clock_now_ns();

	atomic_store(&s->d->board->line[id].state, INSTANCE_DRAINING);
	if (s->ops->admit)
		s->ops->admit(s->d, id, false);
	deploy_instance_end(s->d, id, SIGKILL);
	s->slot[id].last_term = now;
	enter(s, id, SLOT_ENDING, now);
	return 0;
}

/* ---- Deciding ------------------------------------------------------------------------------------ */

/* What has been asked of `f` since the last look. Returns how many requests wait for an instance. */
static unsigned observe(struct scaling *s, function_id f, uint64_t now)
{
	const struct board *b = s->d->board;
	struct group *g = &s->group[f];
	struct demand demand = { 0 };
	double requests = 0;

	if (now <= g->observed_ns)
		return 0;
	if (s->ops->demand) {
		s->ops->demand(s->d, f, now, &demand);
		requests = demand.area > g->area ? (double)(demand.area - g->area) /
						   (double)(now - g->observed_ns) : 0;
		g->area = demand.area;
	} else {
		for (unsigned i = 0; i < b->of[f].count; i++)
			requests += busy(s, b->of[f].at[i]);
	}
	autoscale_observe(&g->a, g->observed_ns, now, requests);
	g->observed_ns = now;
	return demand.waiting;
}

/* Start `n` more, of those that are off. */
static void more(struct scaling *s, function_id f, unsigned n, const char *cause, uint64_t now)
{
	const struct board *b = s->d->board;

	for (unsigned i = 0; i < b->of[f].count && n; i++)
		if (s->slot[b->of[f].at[i]].state == SLOT_OFF) {
			begin(s, b->of[f].at[i], cause, now);
			n--;
		}
	/* What is on its way out makes room sooner: the next look finds it off. */
	for (unsigned i = 0; i < b->of[f].count && n; i++)
		if (s->slot[b->of[f].at[i]].state == SLOT_DRAINING) {
			s->slot[b->of[f].at[i]].hurry = true;
			n--;
		}
}

/* Drain `n`, the least busy first. */
static void fewer(struct scaling *s, function_id f, unsigned n, uint64_t now)
{
	const struct board *b = s->d->board;

	for (; n; n--) {
		instance_id best = INSTANCE_NONE;

		for (unsigned i = 0; i < b->of[f].count; i++) {
			const instance_id id = b->of[f].at[i];

			if (s->slot[id].state == SLOT_UP &&
			    (best == INSTANCE_NONE || busy(s, id) <= busy(s, best)))
				best = id;
		}
		if (best == INSTANCE_NONE)
			return;
		drain(s, best, now);
	}
}

static void decide(struct scaling *s, function_id f, unsigned waiting, bool prewarm, uint64_t now)
{
	const unsigned there = count_in(s, f, SLOT_DELAYED, SLOT_UP);
	const unsigned ready = count_in(s, f, SLOT_UP, SLOT_UP);
	struct autoscale_decision d = autoscale_decide(&s->group[f].a, now, ready, waiting, prewarm);

	if (d.want > there)
		more(s, f, d.want - there, there ? "load" : waiting ? "request" : "prewarm", now);
	else if (d.want < there)
		fewer(s, f, there - d.want, now);
}

/* One step of each instance that is on its way somewhere. */
static int proceed(struct scaling *s, uint64_t now)
{
	int err = 0;

	for (instance_id id = 1; id < s->d->board->instances && !err; id++) {
		const struct slot *slot = &s->slot[id];

		switch (slot->state) {
		case SLOT_DELAYED:
			if (now - slot->since >= scaling_ns(&s->c, s->c.cold_delay_s))
				err = start(s, id, now);
			break;
		case SLOT_STARTING:
			err = finish(s, id, now);
			break;
		case SLOT_DRAINING:
			drained(s, id, now);
			break;
		case SLOT_ENDING:
			ended(s, id, now);
			break;
		default:
			break;
		}
		now = clock_now_ns();
	}
	return err;
}

int scaling_watch(struct scaling *s)
{
	const uint64_t now = clock_now_ns();
	const bool tick = now >= s->next_tick;
	const bool prewarm = s->c.prewarm_s > 0 &&
			     autoscale_prewarm(now, s->origin, scaling_ns(&s->c, s->c.period_s),
					       scaling_ns(&s->c, s->c.prewarm_s));

	for (function_id f = 0; f < s->d->board->functions; f++) {
		unsigned waiting = observe(s, f, now);

		if (tick || ((waiting || prewarm) && !count_in(s, f, SLOT_DELAYED, SLOT_UP)))
			decide(s, f, waiting, prewarm, now);
	}
	if (tick)
		s->next_tick = now + scaling_ns(&s->c, s->c.tick_s);
	return proceed(s, now);
}

uint64_t scaling_next_ns(const struct scaling *s)
{
	const uint64_t tick = scaling_ns(&s->c, s->c.tick_s);

	for (instance_id id = 1; id < s->d->board->instances; id++)
		if (s->slot[id].state != SLOT_OFF && s->slot[id].state != SLOT_UP &&
		    (s->slot[id].state != SLOT_DRAINING || !s->c.terminate_s))
			return BUSY_WATCH_NS;
	return tick < BUSY_WATCH_NS ? BUSY_WATCH_NS : tick < IDLE_WATCH_NS ? tick : IDLE_WATCH_NS;
}

void scaling_origin(struct scaling *s, uint64_t ns)
{
	s->origin = ns;
}

const struct scaling_history *scaling_history(const struct scaling *s)
{
	return &s->history;
}

/* ---- Coming and going ---------------------------------------------------------------------------- */

static struct autoscale_config config_of(const struct scaling *s, function_id f)
{
	const unsigned lines = s->d->board->of[f].count;
	const double limit = s->d->config.concurrency;

	return (struct autoscale_config){
		.target = s->c.target > 0 ? s->c.target : limit * UTILISATION,
		.min = s->c.mode == SCALE_ZERO ? 0 : 1,
		.max = lines < s->c.max ? lines : s->c.max,
		.stable_ns = scaling_ns(&s->c, s->c.stable_s),
		.panic_ns = scaling_ns(&s->c, s->c.panic_s),
		.grace_ns = scaling_ns(&s->c, s->c.grace_s),
		.panic_threshold = 2,
		.up_rate = 1000,
		.down_rate = 2,
	};
}

int scaling_open(struct scaling **out, struct deployment *d)
{
	static const struct scaling_ops nothing;
	struct scaling *s = calloc(1, sizeof(*s));
	const uint64_t now = clock_now_ns();

	*out = s;
	if (!s)
		return -ENOMEM;
	s->d = d;
	s->ops = d->ops->scaling ? d->ops->scaling : &nothing;
	s->c = d->config.scaling;
	s->origin = now;
	s->next_tick = now + scaling_ns(&s->c, s->c.tick_s);
	s->history.cold = calloc(HISTORY_MAX, sizeof(*s->history.cold));
	s->history.step = calloc(HISTORY_MAX, sizeof(*s->history.step));
	if (!s->history.cold || !s->history.step) {
		scaling_close(s);
		*out = NULL;
		return -ENOMEM;
	}
	for (instance_id id = 1; id < d->board->instances; id++)
		if (atomic_load(&d->board->line[id].state) == INSTANCE_READY) {
			if (s->ops->admit)
				s->ops->admit(d, id, true);
			s->slot[id] = (struct slot){ .state = SLOT_UP, .since = now };
		}
	for (function_id f = 0; f < d->board->functions; f++) {
		const struct autoscale_config c = config_of(s, f);

		autoscale_open(&s->group[f].a, &c);
		s->group[f].observed_ns = now;
		s->group[f].up = UINT16_MAX;    /* so that the first step is noted */
		note_step(s, f, now);
	}
	return 0;
}

void scaling_close(struct scaling *s)
{
	if (!s)
		return;
	free(s->history.cold);
	free(s->history.step);
	free(s);
}
