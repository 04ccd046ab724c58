/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every key of the schema is always set; null says "not measured". Three cases:
 *
 *     skipped           what was asked, and nulls
 *     failed to start   the same with zero counts, valid = false
 *     ran               everything; valid or not
 */
#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chain/clock.h"
#include "chain/netfilter.h"
#include "chain/network.h"
#include "cli/cli.h"
#include "cli/parse.h"
#include "cli/record.h"

enum { SCHEMA_VERSION = 2 };    /* 2: settings */

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

const char *record_wait(const struct run_request *rq)
{
	if (!option_find(rq->ops->options, "wait"))
		return NULL;
	return spec_value(rq->spec, rq->ops->options, "wait");
}

static json_t *load_json(const struct loadgen_config *c, const struct run_outcome *out)
{
	static const char *const model[] = {
		[ARRIVALS_CLOSED] = "closed",
		[ARRIVALS_CONSTANT] = "constant",
		[ARRIVALS_POISSON] = "poisson",
	};
	bool closed = c->arrivals == ARRIVALS_CLOSED;
	json_t *load = json_object();

	set(load, "model", json_string(model[c->arrivals]));
	set(load, "users", count(c->users));
	set(load, "rate", closed ? json_null() : json_amount(c->rate));
	set(load, "think_ms",
	    closed ? json_pack("[i, i]", (int)c->think_lo_ms, (int)c->think_hi_ms) : json_null());
	set(load, "think_mean_ms", closed && out->loaded ?
		json_amount(out->generator.shared->result.think_mean_ms) : json_null());
	set(load, "keep_alive", json_boolean(c->keep_alive));
	set(load, "spawn_per_sec", closed ? count(c->spawn_per_sec) : json_null());
	set(load, "warmup_s", json_amount((double)c->warmup_ns / 1e9));
	set(load, "duration_s", c->requests ? json_null() :
		json_amount((double)c->duration_ns / 1e9));
	set(load, "requests", c->requests ? count(c->requests) : json_null());
	set(load, "timeout_s", c->timeout_ns ? json_amount((double)c->timeout_ns / 1e9) :
		json_null());
	return load;
}

/* The way from the client: options that all dataplanes take (chain/network.h). */
static json_t *network_json(const struct spec *spec)
{
	const long rules = spec_number(spec, network_options, "iptables-rules");

	return json_pack("{s:s, s:s, s:s, s:i, s:o}", "client", spec_value(spec, network_options, "client"),
			 "gateway", spec_value(spec, network_options, "gateway"), "accel",
			 spec_value(spec, network_options, "accel"), "iptables_rules", (int)rules,
			 "iptables", json_text(rules ? netfilter_kind() : NULL));
}

/* What was asked, without rep and seed: equal for the repetitions of one cell. */
static json_t *asked_json(const struct run_request *rq, const struct run_outcome *out)
{
	const struct workload *w = rq->workload;
	const struct deploy_config *d = &rq->deploy;
	json_t *r = json_object();
	char label[2 * SPEC_NAME_MAX + 2], map[FUNCTION_MAX * (SPEC_NAME_MAX + 3)];

	spec_label(rq->spec, rq->ops->modes, label, sizeof(label));
	set(r, "dataplane", json_string(label));
	set(r, "dataplane_options", spec_json(rq->spec, rq->ops->options));
	/* Who really was where, defaults included. */
	if (node_map(rq->spec, rq->ops->options, rq->app, map, sizeof(map)))
		set(json_object_get(r, "dataplane_options"), "place", json_string(map));
	spec_label(&rq->app->spec, w->modes, label, sizeof(label));
	set(r, "workload", json_string(label));
	set(r, "workload_options", spec_json(&rq->app->spec, w->options));
	set(r, "load", load_json(&rq->load, out));
	set(r, "concurrency", count(rq->load.users));
	set(r, "rep", count(rq->rep));
	set(r, "seed", count(rq->load.seed));
	set(r, "service", json_pack("{s:s, s:f}", "mode",
				    choice_name(service_choices, (int)d->service), "scale",
				    d->service_scale));
	set(r, "wait", json_text(record_wait(rq)));
	set(r, "placement", json_string(choice_name(placement_choices, (int)d->placement)));
	set(r, "placed", json_string(choice_name(placement_choices,
						 (int)deploy_placement(d, dataplane_flags(rq->ops,
											  rq->spec)))));
	set(r, "network", network_json(rq->spec));
	set(r, "instances", count(d->instances));
	set(r, "concurrency_limit", count(d->concurrency));
	return r;
}

static json_t *hash_json(const json_t *asked, uint32_t buffer_bytes)
{
	json_t *cell = json_deep_copy(asked);
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[33] = "";
	unsigned n = 0, i;
	char *text;

	json_object_del(cell, "rep");
	json_object_del(cell, "seed");
	/* Drawn, not asked. */
	json_object_del(json_object_get(cell, "load"), "think_mean_ms");
	/* Asked, and in the record with what is said of the pool. */
	if (buffer_bytes != MESSAGE_BUFFER_DEFAULT)
		set(cell, "buffer_bytes", count(buffer_bytes));
	text = json_dumps(cell, JSON_SORT_KEYS | JSON_COMPACT);
	json_decref(cell);
	if (!text || !EVP_Digest(text, strlen(text), digest, &n, EVP_sha256(), NULL)) {
		free(text);
		return json_null();
	}
	free(text);
	for (i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return json_string(hex);
}

/* us; all null when nothing was measured. */
static json_t *distribution(const struct histogram *h)
{
	static const struct {
		const char *key;
		double q;
	} quantiles[] = {
		{ "p50", 0.5 }, { "p90", 0.9 }, { "p95", 0.95 }, { "p99", 0.99 }, { "p999", 0.999 },
	};
	bool any = h && h->count;
	json_t *d = json_object();
	size_t i;

	set(d, "mean", any ? json_amount(histogram_mean(h) / 1e3) : NULL);
	for (i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		set(d, quantiles[i].key,
		    any ? json_amount((double)histogram_quantile(h, quantiles[i].q) / 1e3) : NULL);
	set(d, "max", any ? json_amount((double)h->max / 1e3) : NULL);
	set(d, "min", any ? json_amount((double)h->min / 1e3) : NULL);
	set(d, "stddev", any ? json_amount(histogram_stddev(h) / 1e3) : NULL);
	return d;
}

static json_t *buckets(const struct histogram *h)
{
	json_t *list = json_array();
	uint64_t lo, hi;
	size_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (!h->bucket[i])
			continue;
		histogram_bounds(i, &lo, &hi);
		json_array_append_new(list, json_pack("[I, I, I]", (json_int_t)lo, (json_int_t)hi,
						      (json_int_t)h->bucket[i]));
	}
	return list;
}

static json_t *errors_json(const struct loadgen_result *r)
{
	static const char *const keys[] = { "transport", "1xx", "2xx", "3xx", "4xx", "5xx" };
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < 6; i++)
		set(object, keys[i], count(r ? r->errors_by_status[i] : 0));
	return object;
}

static json_t *chains_json(const struct run_request *rq, const struct run_outcome *out)
{
	const struct loadgen_result *r = out->loaded ? &out->generator.shared->result : NULL;
	json_t *object = json_object();
	unsigned i;

	for (i = 0; r && i < rq->app->n_chains && i < TOPIC_MAX; i++) {
		const struct histogram *h = &r->chain_service[i];
		bool any = h->count > 0;

		if (!any && !r->chain_errors[i])
			continue;
		set(object, rq->app->chains[i].name,
		    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "requests",
			      count(h->count + r->chain_errors[i]), "errors",
			      count(r->chain_errors[i]), "rps",
			      out->measured_s > 0 ? json_amount((double)h->count / out->measured_s)
						  : json_null(),
			      "mean_us", any ? json_amount(histogram_mean(h) / 1e3) : json_null(),
			      "p50_us",
			      any ? json_amount((double)histogram_quantile(h, .5) / 1e3)
				  : json_null(),
			      "p95_us",
			      any ? json_amount((double)histogram_quantile(h, .95) / 1e3)
				  : json_null(),
			      "p99_us",
			      any ? json_amount((double)histogram_quantile(h, .99) / 1e3)
				  : json_null()));
	}
	return object;
}

static json_t *histogram_json(const struct run_request *rq, const struct loadgen_result *r)
{
	json_t *object = json_object(), *chains = json_object();
	unsigned i;

	set(object, "unit", json_string("ns"));
	set(object, "service", buckets(&r->service));
	set(object, "response", buckets(&r->response));
	for (i = 0; i < rq->app->n_chains && i < TOPIC_MAX; i++)
		if (r->chain_service[i].count)
			set(chains, rq->app->chains[i].name, buckets(&r->chain_service[i]));
	set(object, "chains", chains);
	return object;
}

static json_t *series_json(const struct loadgen_result *r)
{
	json_t *points = json_array();
	uint32_t i;

	if (!r->series_step_ms) {
		json_decref(points);
		return json_null();
	}
	for (i = 0; i < r->series_points && i < LOADGEN_SERIES_MAX; i++) {
		bool any = r->series[i].requests > r->series[i].errors;

		json_array_append_new(points,
			json_pack("[o, o, o, o, o]", count(r->series[i].requests),
				  count(r->series[i].errors),
				  any ? json_real(r->series[i].p50_us) : json_null(),
				  any ? json_real(r->series[i].p99_us) : json_null(),
				  count(r->series[i].users)));
	}
	return json_pack("{s:i, s:o}", "step_ms", (int)r->series_step_ms, "points", points);
}

static json_t *cpu_series_json(const struct run_outcome *out)
{
	const struct cpu_series *s = &out->series;
	json_t *components = json_object(), *row;
	unsigned g, i;

	for (g = 0; g < s->groups; g++) {
		row = json_array();
		for (i = 0; i < s->points; i++)
			json_array_append_new(row, json_amount(
				(double)s->percent[(size_t)i * s->groups + g]));
		set(components, out->groups.name[g], row);
	}
	return json_pack("{s:i, s:o}", "step_ms", (int)s->step_ms, "components", components);
}

static json_t *pool_json(const struct run_outcome *out)
{
	if (!out->has_pool)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "buffers", count(out->pool_buffers),
			 "buffer_bytes", count(out->pool_buffer_bytes), "page_kib",
			 count(out->pool_page_kib), "in_use_after", count(out->pool_in_use_after),
			 "refused", count(out->pool_refused));
}

/* Per component: CPU over `per` (requests: us each; wall time: percent of a core). */
static json_t *components_json(const struct run_outcome *out, double per)
{
	json_t *object = json_object();
	unsigned i;

	for (i = 0; i < out->groups.count; i++)
		set(object, out->groups.name[i], per > 0 ?
			json_amount((double)out->used_ns[i] / per) : json_null());
	return object;
}

static json_t *little_json(const struct run_outcome *out)
{
	if (!isfinite(out->little_ratio) || out->little_ratio <= 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "n", json_amount(out->little_n), "x",
			 json_amount(out->little_x), "r", json_amount(out->little_r), "ratio",
			 json_amount(out->little_ratio), "valid",
			 out->little == LITTLE_UNKNOWN ? json_null() :
			 json_boolean(out->little == LITTLE_HOLDS));
}

static json_t *sentences(const struct notes *notes)
{
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < notes->count; i++)
		json_array_append_new(list, json_text(notes->text[i]));
	return list;
}

static json_t *time_json(const struct timespec *t)
{
	char text[40], whole[24];
	struct tm tm;

	gmtime_r(&t->tv_sec, &tm);
	strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03ldZ", whole, t->tv_nsec / 1000000);
	return json_string(text);
}

/* Keys that a skipped run has as null, in the schema's order. */
static const char *const measured_keys[] = {
	"measured_s",
	"requests",
	"errors",
	"errors_by_class",
	"rps",
	"offered_ceiling_rps",
	"missed",
	"late",
	"connects",
	"bytes_in",
	"bytes_out",
	"latency_us",
	"response_us",
	"inverse_rps_us",
	"little",
	"ccr_us",
	"cpu_us",
	"cpu_percent",
	"node_cpu_percent",
	"generator_cpu_percent",
	"steal_percent",
	"idle_cpu_percent",
	"chains",
	"histogram",
	"series",
	"cpu_series",
	"pool",
	"scaling",
};

static void set_measured(json_t *o, const struct run_request *rq, const struct run_outcome *out)
{
	const struct loadgen_result *r = out->loaded ? &out->generator.shared->result : NULL;
	uint64_t good = r && r->requests > r->errors ? r->requests - r->errors : 0;

	set(o, "measured_s", json_amount(out->measured_s));
	set(o, "requests", count(r ? r->requests : 0));
	set(o, "errors", count(r ? r->errors : 0));
	set(o, "errors_by_class", errors_json(r));
	set(o, "rps", json_amount(out->rps));
	set(o, "offered_ceiling_rps", out->ceiling_rps > 0 ? json_amount(out->ceiling_rps) : NULL);
	set(o, "latency_us", distribution(r ? &r->service : NULL));
	set(o, "response_us", distribution(r ? &r->response : NULL));
	set(o, "inverse_rps_us", out->rps > 0 ? json_amount(1e6 / out->rps) : NULL);
	set(o, "little", little_json(out));
	set(o, "ccr_us", json_amount(out->ccr_us));
	set(o, "cpu_us", components_json(out, (double)good * 1e3));
	set(o, "cpu_percent", components_json(out, out->wall_s * 1e9 / 100));
	set(o, "node_cpu_percent", json_amount(out->node_percent));
	set(o, "generator_cpu_percent", json_amount(out->generator_percent));
	set(o, "steal_percent", json_amount(out->steal_percent));
	set(o, "idle_cpu_percent", json_amount(out->idle_percent));
	set(o, "chains", chains_json(rq, out));
	set(o, "pool", pool_json(out));
	set(o, "scaling", out->scaling ? json_incref(out->scaling) : NULL);
	if (!r)
		return;
	set(o, "missed", count(r->missed));
	set(o, "late", count(r->late));
	set(o, "connects", count(r->connects));
	set(o, "bytes_in", count(r->bytes_in));
	set(o, "bytes_out", count(r->bytes_out));
	set(o, "histogram", histogram_json(rq, r));
	set(o, "series", series_json(r));
	set(o, "cpu_series", cpu_series_json(out));
}

/* What the dataplane and the way between nodes have set for good, a string each; null: they do not say. */
static json_t *settings_json(const struct run_request *rq)
{
	const struct peer_stack *link = node_stack(rq->ops, rq->spec);
	char *text = NULL, *line, *rest;
	json_t *list;
	size_t bytes;
	FILE *f;

	if ((!rq->ops->settings && !link) || !(f = open_memstream(&text, &bytes)))
		return json_null();
	if (rq->ops->settings)
		rq->ops->settings(rq->spec, f);
	if (link)
		link->settings(f);
	fclose(f);
	list = json_array();
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (*line)
			json_array_append_new(list, json_text(line));
	free(text);
	return list;
}

json_t *record_json(const struct run_request *rq, const struct run_outcome *out, json_t *host)
{
	json_t *o = json_object(), *asked = asked_json(rq, out), *h;
	size_t i;

	set(o, "schema_version", count(SCHEMA_VERSION));
	set(o, "kind", json_string("run"));
	set(o, "run_id", json_string(out->run_id));
	set(o, "label", json_text(rq->label));
	set(o, "time", time_json(&out->started));
	json_object_update(o, asked);
	for (i = 0; i < sizeof(measured_keys) / sizeof(measured_keys[0]); i++)
		set(o, measured_keys[i], json_null());
	if (!out->skipped[0])
		set_measured(o, rq, out);
	set(o, "valid", json_boolean(run_valid(out)));
	set(o, "invalid_reasons", sentences(&out->invalid));
	set(o, "skipped", out->skipped[0] ? json_text(out->skipped) : json_null());
	set(o, "marks", sentences(&out->marks));
	set(o, "layers", out->has_layers ?
		run_layers_json(&out->layers, &out->groups, out->generator.shared->result.requests) : NULL);
	set(o, "settings", settings_json(rq));
	set(o, "promises", json_text(rq->ops->promises ? rq->ops->promises(rq->spec) : NULL));
	h = json_copy(host);
	set(h, "bpf_tags", out->bpf_tags ? json_incref(out->bpf_tags) : json_object());
	set(h, "config_hash", hash_json(asked, rq->deploy.buffer_bytes));
	set(o, "host", h);
	json_decref(asked);
	return o;
}
