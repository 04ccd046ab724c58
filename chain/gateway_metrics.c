/* SPDX-License-Identifier: BSD-2-Clause */
/* Prometheus text exposition format 0.0.4. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chain/gateway_metrics.h"

static const char *const refusal_names[REFUSED_REASONS] = {
	[REFUSED_NO_CHAIN] = "no_chain", [REFUSED_POOL] = "pool",
	[REFUSED_BACKLOG] = "backlog",   [REFUSED_DEAD] = "dead_instance",
	[REFUSED_TIMEOUT] = "timeout",   [REFUSED_ANSWER] = "unsound_answer",
	[REFUSED_INTERNAL] = "internal",
};

static const char *const state_names[] = { "absent", "starting", "ready", "draining", "dead" };

void metrics_answered(struct gateway_metrics *g, uint16_t topic, unsigned status, uint64_t ns)
{
	struct chain_metrics *c = &g->chain[topic];
	const int top = 63 - __builtin_clzll(ns | 1);
	int i = top + 1 - METRIC_BUCKET_FIRST;  /* bucket i holds values < 2^(FIRST + i) */

	i = i < 0 ? 0 : i >= METRIC_BUCKETS ? METRIC_BUCKETS - 1 : i;
	c->bucket[i]++;
	c->by_class[status / 100 < 6 ? status / 100 : 5]++;
	c->count++;
	c->sum_ns += ns;
}

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(FILE *f, const char *name, const char *type, const char *help, uint64_t value)
{
	head(f, name, type, help);
	fprintf(f, "%s %" PRIu64 "\n", name, value);
}

static void chains(FILE *f, const struct gateway_metrics *g, const struct application *app)
{
	head(f, "perhop_requests_total", "counter", "Answered requests by chain and status class.");
	for (unsigned t = 0; t < app->n_chains && t < TOPIC_MAX; t++)
		for (int class = 2; class < 6; class++)
			fprintf(f,
				"perhop_requests_total{chain=\"%s\",class=\"%dxx\"} %" PRIu64 "\n",
				app->chains[t].name, class, g->chain[t].by_class[class]);
	head(f, "perhop_request_seconds", "histogram",
	     "From a request's whole head to the last byte of its answer.");
	for (unsigned t = 0; t < app->n_chains && t < TOPIC_MAX; t++) {
		const struct chain_metrics *c = &g->chain[t];
		const char *name = app->chains[t].name;
		uint64_t below = 0;

		for (int i = 0; i < METRIC_BUCKETS - 1; i++) {
			below += c->bucket[i];
			fprintf(f,
				"perhop_request_seconds_bucket{chain=\"%s\",le=\"%.9g\"} %" PRIu64
				"\n",
				name, (double)(UINT64_C(1) << (METRIC_BUCKET_FIRST + i)) / 1e9,
				below);
		}
		fprintf(f, "perhop_request_seconds_bucket{chain=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
			"perhop_request_seconds_sum{chain=\"%s\"} %.9f\n"
			"perhop_request_seconds_count{chain=\"%s\"} %" PRIu64 "\n",
			name, c->count, name, (double)c->sum_ns / 1e9, name, c->count);
	}
}

static void clients(FILE *f, const struct front_stats *s)
{
	single(f, "perhop_connections", "gauge", "Open client connections.", s->open);
	single(f, "perhop_connections_accepted_total", "counter", "Accepted connections.",
	       s->accepted);
	single(f, "perhop_connections_refused_total", "counter", "Refused as one too many.",
	       s->crowded_out);
	single(f, "perhop_connections_aborted_total", "counter",
	       "Ended by the client, or by a timeout, with requests unanswered.", s->aborted);
	single(f, "perhop_received_bytes_total", "counter", "From clients.", s->bytes_in);
	single(f, "perhop_sent_bytes_total", "counter", "To clients.", s->bytes_out);
	head(f, "perhop_timeouts_total", "counter", "Clients that took too long, by what.");
	fprintf(f, "perhop_timeouts_total{what=\"head\"} %" PRIu64 "\n"
		"perhop_timeouts_total{what=\"body\"} %" PRIu64 "\n"
		"perhop_timeouts_total{what=\"idle\"} %" PRIu64 "\n"
		"perhop_timeouts_total{what=\"write\"} %" PRIu64 "\n",
		s->timed_out_head, s->timed_out_body, s->timed_out_idle, s->timed_out_write);
	head(f, "perhop_bad_requests_total", "counter",
	     "Requests refused as they were read, by status.");
	for (unsigned i = 0; i < sizeof(s->refused) / sizeof(s->refused[0]); i++)
		if (s->refused[i])
			fprintf(f, "perhop_bad_requests_total{status=\"%u\"} %" PRIu64 "\n", i,
				s->refused[i]);
}

static uint64_t get(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void instances(FILE *f, const struct deployment *d)
{
	const struct board *b = d->board;
	const struct {
		const char *name, *type, *help;
	} columns[] = {
		{ "perhop_instance_ready", "gauge", "1 when the instance is ready." },
		{ "perhop_instance_load", "gauge", "Invocations assigned and not finished." },
		{ "perhop_instance_handled_total", "counter", "Invocations finished." },
		{ "perhop_instance_failed_total", "counter", "Of these, failed." },
		{ "perhop_instance_refused_total", "counter", "Unsound messages dropped." },
	};

	for (unsigned k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
		head(f, columns[k].name, columns[k].type, columns[k].help);
		for (instance_id i = 1; i < b->instances && i < INSTANCE_MAX; i++) {
			const struct instance_line *l = &b->line[i];
			const int64_t values[] = {
				atomic_load_explicit(&l->state, memory_order_relaxed) ==
					INSTANCE_READY,
				atomic_load_explicit(&l->load, memory_order_relaxed),
				(int64_t)get(&l->handled),
				(int64_t)get(&l->failed),
				(int64_t)get(&l->refused),
			};

			fprintf(f, "%s{function=\"%s\",instance=\"%u\"} %" PRId64 "\n",
				columns[k].name, deploy_instance_name(d, i), i, values[k]);
		}
	}
}

/* The link to the other node. */
static void link_page(FILE *f, const struct link_line *l)
{
	single(f, "perhop_link_up", "gauge", "1 while the other node is connected.",
	       atomic_load_explicit(&l->up, memory_order_relaxed));
	single(f, "perhop_link_connections_total", "counter", "Connections made.", get(&l->connections));
	single(f, "perhop_link_resets_total", "counter", "Of these, ended for something unsound.", get(&l->resets));
	single(f, "perhop_link_messages_out_total", "counter", "Messages to the other node.", get(&l->out));
	single(f, "perhop_link_messages_in_total", "counter", "Messages from it.", get(&l->in));
	single(f, "perhop_link_bytes_out_total", "counter", "Their payload.", get(&l->out_bytes));
	single(f, "perhop_link_bytes_in_total", "counter", "Their payload.", get(&l->in_bytes));
	single(f, "perhop_link_bytes_landed_total", "counter", "Received in place.", get(&l->landed_bytes));
	single(f, "perhop_link_bytes_copied_total", "counter", "Copied by the gateway.", get(&l->copied_bytes));
	single(f, "perhop_link_refused_total", "counter", "Messages for which there was no buffer.", get(&l->refused));
	single(f, "perhop_link_lost_total", "counter", "Requests answered 502 as a connection ended.", get(&l->lost));
}

char *metrics_page(const struct gateway_metrics *g, const struct deployment *d,
		   const struct front_stats *front, const struct ports *ports,
		   const struct pool *pool, size_t *length)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, length);

	if (!f)
		return NULL;
	chains(f, g, d->app);
	head(f, "perhop_refused_total", "counter",
	     "Requests that a chain did not answer, by reason.");
	for (int i = 0; i < REFUSED_REASONS; i++)
		fprintf(f, "perhop_refused_total{reason=\"%s\"} %" PRIu64 "\n", refusal_names[i],
			g->refused[i]);
	single(f, "perhop_in_flight", "gauge", "Requests in the chain.", g->in_flight);
	single(f, "perhop_late_answers_total", "counter",
	       "Answers whose client had gone or given up.", g->late);
	single(f, "perhop_stray_answers_total", "counter", "Answers to no known request.",
	       g->stray);
	clients(f, front);
	ports_page(ports, f);
	single(f, "perhop_pool_buffers", "gauge", "Buffers of the pool.", pool_buffers(pool));
	single(f, "perhop_pool_buffers_in_use", "gauge", "Of these, in use.", pool_in_use(pool));
	single(f, "perhop_pool_refused_total", "counter", "Bad descriptors and frees.",
	       pool_refused(pool));
	instances(f, d);
	if (d->node)
		link_page(f, &d->board->link);
	if (d->ops->page)
		d->ops->page(d, f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

char *health_page(const struct deployment *d, bool *ready, size_t *length)
{
	const struct board *b = d->board;
	char *text = NULL;
	FILE *f = open_memstream(&text, length);

	if (!f)
		return NULL;
	*ready = true;
	for (instance_id i = 1; i < b->instances && i < INSTANCE_MAX; i++) {
		const uint32_t state =
			atomic_load_explicit(&b->line[i].state, memory_order_relaxed);

		/* None that is meant to be there is ABSENT or DRAINING: instances come and go (scale=). */
		if (state == INSTANCE_READY || state == INSTANCE_DRAINING ||
		    (state == INSTANCE_ABSENT && d->scaling))
			continue;
		*ready = false;
		fprintf(f, "%s (instance %u) is %s\n", deploy_instance_name(d, i), i,
			state <= INSTANCE_DEAD ? state_names[state] : "in an unknown state");
	}
	if (*ready)
		fprintf(f, "ready\n");
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
