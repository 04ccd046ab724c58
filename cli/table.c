/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/parse.h"
#include "cli/table.h"

enum { TOP_COMPONENTS = 3 };

static double quantile_us(const struct histogram *h, double q)
{
	return h->count ? (double)histogram_quantile(h, q) / 1e3 : NAN;
}

static void load_label(const struct loadgen_config *c, char *out, size_t room)
{
	if (c->arrivals == ARRIVALS_CLOSED)
		snprintf(out, room, "c=%u", c->users);
	else
		snprintf(out, room, "%.6g/s", c->rate);
}

void table_head(const struct run_request *rq)
{
	const struct loadgen_config *c = &rq->load;
	char label[2 * SPEC_NAME_MAX + 2];

	spec_label(&rq->app->spec, rq->workload->modes, label, sizeof(label));
	printf("%s, %s", label, c->arrivals == ARRIVALS_CLOSED ? "closed loop" :
	       c->arrivals == ARRIVALS_POISSON ? "open loop, Poisson" : "open loop, constant");
	if (c->think_hi_ms)
		printf(", think %u to %u ms", c->think_lo_ms, c->think_hi_ms);
	printf(", %s, service %s", c->keep_alive ? "keep-alive" : "a connection per request",
	       choice_name(service_choices, (int)rq->deploy.service));
	if (rq->deploy.service != SERVICE_NONE)
		printf(" x %g", rq->deploy.service_scale);
	printf(", warm-up %g s, ", (double)c->warmup_ns / 1e9);
	if (c->requests)
		printf("%" PRIu64 " requests\n", c->requests);
	else
		printf("%g s\n", (double)c->duration_ns / 1e9);
	printf("\n%-24s %10s %3s %9s %9s | %8s %8s | %8s %8s | %8s %6s %7s\n", "", "", "", "",
	       "offered", "service", "us", "response", "us", "CCR us", "node", "");
	printf("%-24s %10s %3s %9s %9s | %8s %8s | %8s %8s | %8s %6s %7s\n", "dataplane", "load",
	       "rep", "RPS", "ceiling", "p50", "p99", "p50", "p99", "/request", "CPU %", "errors");
}

/* "gateway 20.1, frontend 12.3, cart 3.30 of 35.7" */
static void print_components(const struct run_outcome *out, double good)
{
	bool shown[COMPONENT_MAX] = { false };
	char text[16];
	unsigned i, n, best;

	printf("    CPU us/request: ");
	for (n = 0; n < TOP_COMPONENTS && n < out->groups.count; n++) {
		for (best = COMPONENT_MAX, i = 0; i < out->groups.count; i++)
			if (!shown[i] && (best == COMPONENT_MAX ||
					  out->used_ns[i] > out->used_ns[best]))
				best = i;
		shown[best] = true;
		printf("%s%s %s", n ? ", " : "", out->groups.name[best],
		       amount_text((double)out->used_ns[best] / 1e3 / good, text));
	}
	if (out->groups.count > TOP_COMPONENTS)
		printf(", %u more", out->groups.count - TOP_COMPONENTS);
	if (isfinite(out->idle_percent))
		printf("; idle: %.3f %% of a core", out->idle_percent);
	putchar('\n');
}

static void print_notes(const struct run_outcome *out)
{
	unsigned i;

	for (i = 0; i < out->invalid.count; i++)
		printf("    INVALID: %s\n", out->invalid.text[i]);
	for (i = 0; i < out->marks.count; i++)
		printf("    note: %s\n", out->marks.text[i]);
}

void table_add(struct table *t, unsigned cell, const struct run_request *rq,
	       const struct run_outcome *out)
{
	struct table_row row = { .cell = cell, .valid = run_valid(out), .rps = out->rps,
				 .ccr_us = out->ccr_us };
	const struct loadgen_result *r = out->loaded ? &out->generator.shared->result : NULL;
	char a[16], b[16], c[16], d[16], e[16], f[16], g[16], h[16];

	snprintf(row.dataplane, sizeof(row.dataplane), "%s", rq->spec->text);
	load_label(&rq->load, row.load, sizeof(row.load));
	row.service_p50 = r ? quantile_us(&r->service, 0.5) : NAN;
	row.service_p99 = r ? quantile_us(&r->service, 0.99) : NAN;
	row.response_p50 = r ? quantile_us(&r->response, 0.5) : NAN;
	row.response_p99 = r ? quantile_us(&r->response, 0.99) : NAN;
	if (out->skipped[0]) {
		printf("%-24s %10s %3u skipped: %s\n", row.dataplane, row.load, rq->rep,
		       out->skipped);
		return;
	}
	printf("%-24s %10s %3u %9s %9s | %8s %8s | %8s %8s | %8s %6s %7" PRIu64 "\n", row.dataplane,
	       row.load, rq->rep, amount_text(out->rps, a),
	       amount_text(out->ceiling_rps > 0 ? out->ceiling_rps : NAN, b),
	       amount_text(row.service_p50, c), amount_text(row.service_p99, d), amount_text(row.response_p50, e),
	       amount_text(row.response_p99, f), amount_text(out->ccr_us, g), amount_text(out->node_percent, h),
	       r ? r->errors : 0);
	if (isfinite(out->ccr_us))
		print_components(out, (double)(r->requests - r->errors));
	print_notes(out);
	if (t->rows == t->room) {
		unsigned room = t->room ? 2 * t->room : 64;
		struct table_row *more = realloc(t->row, room * sizeof(*more));

		if (!more)
			return;
		t->row = more;
		t->room = room;
	}
	t->row[t->rows++] = row;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median of the double at `offset` of all valid rows of `cell`; *n says over how many. */
static double median(const struct table *t, unsigned cell, size_t offset, unsigned *n)
{
	double *values = malloc((t->rows + 1) * sizeof(*values)), result = NAN;
	unsigned i;

	*n = 0;
	if (!values)
		return NAN;
	for (i = 0; i < t->rows; i++)
		if (t->row[i].cell == cell && t->row[i].valid)
			values[(*n)++] = *(const double *)((const char *)&t->row[i] + offset);
	qsort(values, *n, sizeof(*values), compare);
	if (*n)
		result = (values[(*n - 1) / 2] + values[*n / 2]) / 2;
	free(values);
	return result;
}

void table_medians(const struct table *t)
{
	static const size_t columns[] = {
		offsetof(struct table_row, rps), offsetof(struct table_row, service_p50),
		offsetof(struct table_row, service_p99), offsetof(struct table_row, response_p50),
		offsetof(struct table_row, response_p99), offsetof(struct table_row, ccr_us),
	};
	unsigned i, j, n;
	char v[6][16];
	bool head = false, seen;

	for (i = 0; i < t->rows; i++) {
		for (seen = false, j = 0; j < i; j++)
			seen |= t->row[j].cell == t->row[i].cell;
		if (seen)
			continue;
		for (j = 0; j < 6; j++)
			amount_text(median(t, t->row[i].cell, columns[j], &n), v[j]);
		if (n < 2)
			continue;
		if (!head)
			printf("\nmedians over repetitions\n");
		head = true;
		printf("%-24s %10s %3u %9s %9s | %8s %8s | %8s %8s | %8s\n", t->row[i].dataplane,
		       t->row[i].load, n, v[0], "", v[1], v[2], v[3], v[4], v[5]);
	}
}

void table_free(struct table *t)
{
	free(t->row);
	t->row = NULL;
}
