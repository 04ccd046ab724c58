/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/scaling.h"

static const char *const mode_names[] = {
	[SCALE_NONE] = "none",
	[SCALE_LOAD] = "load",
	[SCALE_ZERO] = "zero",
};

/* Since the start of the load, s; below 0: before it. */
static json_t *since(uint64_t at_ns, uint64_t start_ns)
{
	return json_real((double)(int64_t)(at_ns - start_ns) / 1e9);
}

/* Times as they were in effect, time_scale applied. */
static json_t *config_json(const struct scaling_config *c)
{
	const double k = c->time_scale;

	return json_pack("{s:s, s:i, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "mode",
			 mode_names[c->mode], "max_scale", (int)c->max, "target",
			 c->target > 0 ? json_real(c->target) : json_null(), "time_scale", k, "stable_s",
			 c->stable_s * k, "panic_s", c->panic_s * k, "tick_s", c->tick_s * k, "grace_s",
			 c->grace_s * k, "terminate_s", c->terminate_s * k, "prewarm_s", c->prewarm_s * k,
			 "period_s", c->period_s * k, "cold_delay_s", c->cold_delay_s * k, "queue",
			 (int)c->queue);
}

static json_t *instances_json(const struct deployment *d, const struct scaling_history *h,
			      uint64_t start_ns)
{
	json_t *all = json_object();

	for (function_id f = 0; f < d->board->functions; f++) {
		json_t *steps = json_array();

		for (unsigned i = 0; i < h->steps; i++)
			if (h->step[i].function == f)
				json_array_append_new(steps,
						      json_pack("[o, i, i]",
								since(h->step[i].at_ns, start_ns),
								(int)h->step[i].up,
								(int)h->step[i].ready));
		json_object_set_new(all, d->app->functions[f]->name, steps);
	}
	return all;
}

static json_t *cold_json(const struct deployment *d, const struct cold_start *c, uint64_t start_ns)
{
	static const char *const phases[COLD_PHASES] = {
		[COLD_DELAY] = "model_delay", [COLD_NETWORK] = "network", [COLD_SPAWN] = "spawn",
		[COLD_FUNCTION] = "function", [COLD_SIDECAR] = "sidecar",
	};
	json_t *ms = json_object();
	uint64_t sum = 0;

	for (unsigned i = 0; i < COLD_PHASES; i++) {
		sum += c->ns[i];
		json_object_set_new(ms, phases[i], c->done ? json_real((double)c->ns[i] / 1e6) :
							     json_null());
	}
	json_object_set_new(ms, "total", c->done ? json_real((double)sum / 1e6) : json_null());
	return json_pack("{s:s, s:i, s:s, s:o, s:o}", "function", d->app->functions[c->function]->name,
			 "instance", (int)c->instance, "cause", c->cause, "at_s",
			 since(c->at_ns, start_ns), "ms", ms);
}

json_t *scaling_json(const struct deployment *d, uint64_t start_ns)
{
	const struct scaling_history *h = scaling_history(d->scaling);
	json_t *colds = json_array(), *o;

	for (unsigned i = 0; i < h->colds; i++)
		json_array_append_new(colds, cold_json(d, &h->cold[i], start_ns));
	o = json_pack("{s:o, s:o, s:o, s:I, s:I}", "config", config_json(&d->config.scaling), "instances",
		      instances_json(d, h, start_ns), "cold_starts", colds, "ends",
		      (json_int_t)h->ends, "dropped", (json_int_t)h->dropped);
	json_object_set_new(o, "model", d->config.scaling.cold_delay_s > 0 ?
			    json_string("cold_delay: image pull and runtime creation are a wait, not work") :
			    json_null());
	return o;
}
