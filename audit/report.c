/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "audit/report.h"
#include "audit/statistics.h"

/* Counts are whole numbers per request; what is closer than this is the same number. */
#define SAME 0.105

enum { LABEL_WIDTH = 33, CELL_WIDTH = 8 };

static struct estimate estimate_segment(const struct session *s, enum quantity q, unsigned segment)
{
	double value[SESSION_REPS_MAX];

	for (unsigned r = 0; r < s->reps; r++)
		value[r] = session_segment(s, r, q, segment);
	return estimate_mean(value, s->reps);
}

static struct estimate estimate_column(const struct session *s, enum quantity q, enum column c)
{
	double value[SESSION_REPS_MAX];

	for (unsigned r = 0; r < s->reps; r++)
		value[r] = session_column(s, r, q, c);
	return estimate_mean(value, s->reps);
}

/* Mean of one metric per request over repetitions; `component` or `segment` -1: all of them. */
static double metric_mean(const struct session *s, enum audit_metric m, int component, int segment,
			  bool sum)
{
	double total = 0;

	for (unsigned r = 0; r < s->reps; r++)
		for (unsigned c = 0; c < s->components; c++)
			for (unsigned g = 0; g < s->segments; g++)
				if ((component < 0 || (unsigned)component == c) &&
				    (segment < 0 || (unsigned)segment == g))
					total += sum ? session_sum(s, r, m, c, g) :
						       session_n(s, r, m, c, g);
	return total / s->reps;
}

static double metric_column(const struct session *s, enum audit_metric m, unsigned segment, enum column c)
{
	double total = 0;

	if (segment)
		return metric_mean(s, m, -1, (int)segment, false);
	for (unsigned g = 0; g < s->segments; g++)
		if (column_has(c, g ? (int)s->plan->segment[g].class : -1))
			total += metric_mean(s, m, -1, (int)g, false);
	return total;
}

/* ---- Why it differs --------------------------------------------------------------------------- */

/* The pipeline's own steps against the published ones; true when that explains it. */
static bool why_pipeline(const struct session *s, const struct report_subject *subject,
			 unsigned segment, enum column c, char *out, size_t room)
{
	bool ingress = s->plan->hub != s->plan->entry;

	if (ingress || subject->table != PUBLISHED_TABLE2)
		return false;
	if (segment && s->plan->segment[segment].class != SEGMENT_EXTERNAL)
		return false;
	if (!segment && c == COLUMN_WITHIN)
		return false;
	snprintf(out, room, "the gateway is the ingress here: there is no separate ingress, hence no step 2");
	return true;
}

/* Serializations: the published ones are of HTTP; a payload codec's come on top. True when explained. */
static bool why_serde(const struct session *s, enum quantity q, unsigned segment, enum column c,
		      double gap, char *out, size_t room)
{
	bool first = segment ? s->plan->segment[segment].number == 1 : c == COLUMN_EXTERNAL;
	const double payload = metric_column(s, q == QUANTITY_SERIALIZATIONS ? M_ENCODE_PAYLOAD :
				       M_DECODE_PAYLOAD, segment, c);

	if (first) {
		snprintf(out, room, "at 1 the paper counts the client's serialization, though clients "
			 "are excluded; what happens there is the ingress parsing it");
		return true;
	}
	if (payload > SAME && segment && fabs(gap - payload) <= SAME) {
		snprintf(out, room, "besides HTTP, the payload itself is protobuf here");
		return true;
	}
	if (segment)
		return false;
	snprintf(out, room, "the sum of the differences above");
	return true;
}

/* Does any segment of a column differ from the published one? */
static bool segments_differ(const struct session *s, const struct report_subject *subject,
			    enum quantity q, enum column c)
{
	for (unsigned g = 1; g < s->segments; g++) {
		double paper = published(subject->table, q, s->plan->segment[g].number, 0);

		if (column_has(c, (int)s->plan->segment[g].class) && !isnan(paper) &&
		    fabs(estimate_segment(s, q, g).mean - paper) > SAME)
			return true;
	}
	return false;
}

void report_why(const struct session *s, const struct report_subject *subject, enum quantity q,
		unsigned segment, enum column c, char *out, size_t room)
{
	unsigned number = segment ? s->plan->segment[segment].number : 0;
	double paper = published(subject->table, q, number, c), gap, user;
	struct estimate e = segment ? estimate_segment(s, q, segment) : estimate_column(s, q, c);

	out[0] = '\0';
	gap = e.mean - paper;
	if (isnan(paper))
		return;
	if (fabs(gap) <= SAME) {
		if (!segment && segments_differ(s, subject, q, c))
			snprintf(out, room, "the sum agrees, but the segments in it do not");
		return;
	}
	user = metric_column(s, M_COPY_USER, segment, c);
	if (q == QUANTITY_INTERRUPTS)
		snprintf(out, room, "the paper does not say what it counts; here it is NET_RX runs, one of "
			 "which may take several frames, and IPIs");
	else if (q == QUANTITY_COPIES && user > SAME && fabs(gap - user) <= SAME)
		snprintf(out, room, "copies in user space, which the paper does not count");
	else if (q >= QUANTITY_SERIALIZATIONS && segment &&
		 why_serde(s, q, segment, c, gap, out, room))
		return;
	else if (why_pipeline(s, subject, segment, c, out, room))
		return;
	else if (q >= QUANTITY_SERIALIZATIONS && why_serde(s, q, segment, c, gap, out, room))
		return;
	else if (q == QUANTITY_SWITCHES && s->mode != MODE_ISOLATED)
		snprintf(out, room, "mode %s: the published minimum is that of isolated",
			 audit_mode_name(s->mode));
	else if (q == QUANTITY_PROTOCOL && subject->accelerated)
		snprintf(out, room, "frames are redirected past the node's stack: one traversal a hop, not two");
	else if (q == QUANTITY_PROTOCOL && subject->forwarded)
		snprintf(out, room, "the ingress is in a pod, which the node forwards to: one traversal more");
	else
		snprintf(out, room, "measured; no reason known");
}

/* ---- Text ------------------------------------------------------------------------------------- */

/* The columns of the printed table: segments in order, totals after their class. */
struct layout {
	unsigned cells;
	struct {
		unsigned segment;   /* 0: a column */
		enum column column;
		char head[16];
	} cell[AUDIT_SEGMENTS + COLUMNS];
};

static void layout_add(struct layout *l, unsigned segment, enum column c, const char *head)
{
	l->cell[l->cells].segment = segment;
	l->cell[l->cells].column = c;
	snprintf(l->cell[l->cells].head, sizeof(l->cell[0].head), "%s", head);
	l->cells++;
}

/* The segment of calls that no step explains is only shown where there are any. */
static bool is_empty(const struct session *s, unsigned segment)
{
	if (s->plan->segment[segment].from)
		return false;
	for (unsigned q = 0; q < QUANTITIES; q++)
		for (unsigned rep = 0; rep < s->reps; rep++)
			if (session_segment(s, rep, q, segment) > 0)
				return false;
	return true;
}

static void layout_make(struct layout *l, const struct session *s)
{
	const struct plan *p = s->plan;
	static const struct {
		enum segment_class class;
		enum column column;
		const char *head;
	} parts[] = {
		{ SEGMENT_EXTERNAL, COLUMN_EXTERNAL, "extern" },
		{ SEGMENT_WITHIN, COLUMN_WITHIN, "within" },
	};
	char head[16];

	l->cells = 0;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned g = 1; g < p->segments; g++)
			if (p->segment[g].class == parts[i].class && !is_empty(s, g)) {
				snprintf(head, sizeof(head), "(%u)", p->segment[g].number);
				layout_add(l, g, 0, head);
			}
		layout_add(l, 0, parts[i].column, parts[i].head);
	}
	layout_add(l, 0, COLUMN_TOTAL, "TOTAL");
	for (unsigned g = 1; g < p->segments; g++)
		if (p->segment[g].class >= SEGMENT_RETURN_CHAIN) {
			snprintf(head, sizeof(head), "(%u)", p->segment[g].number);
			layout_add(l, g, 0, head);
		}
	layout_add(l, 0, COLUMN_SLIDE_TOTAL, "slides");
	layout_add(l, 0, COLUMN_ROUND_TRIP, "all");
}

static void print_number(FILE *out, double x)
{
	if (isnan(x))
		fprintf(out, "%*s", CELL_WIDTH, "-");
	else if (fabs(x - round(x)) < 0.0005)
		fprintf(out, "%*.0f", CELL_WIDTH, fabs(x));
	else
		fprintf(out, "%*.2f", CELL_WIDTH, x);
}

/* What a quantity is made of, where that says more than the sum. */
static const struct {
	enum quantity quantity;
	const char *title;
	uint64_t metrics;
} parts_of[] = {
	{ QUANTITY_COPIES, "    in user space", UINT64_C(1) << M_COPY_USER },
	{ QUANTITY_INTERRUPTS, "    NET_RX runs", UINT64_C(1) << M_SOFTIRQ_NET_RX },
	{ QUANTITY_INTERRUPTS, "    IPIs", UINT64_C(1) << M_IPI_SENT },
	{ QUANTITY_SERIALIZATIONS, "    of payload (protobuf)", UINT64_C(1) << M_ENCODE_PAYLOAD },
	{ QUANTITY_DESERIALIZATIONS, "    of payload (protobuf)", UINT64_C(1) << M_DECODE_PAYLOAD },
};

/* A part of a quantity in a cell. */
static double part_mean(const struct session *s, unsigned part, unsigned segment, enum column c)
{
	double total = 0;

	for (unsigned g = 0; g < s->segments; g++) {
		if (segment ? g != segment : !column_has(c, g ? (int)s->plan->segment[g].class : -1))
			continue;
		for (unsigned m = 0; m < M_COUNT; m++)
			for (unsigned id = 0; id < s->components; id++)
				if (parts_of[part].metrics >> m & 1 &&
				    quantity_has(parts_of[part].quantity, m, id, g))
					total += metric_mean(s, m, (int)id, (int)g, false);
	}
	return total;
}

static void print_parts(FILE *out, const struct session *s, const struct layout *l, enum quantity q)
{
	for (unsigned i = 0; i < sizeof(parts_of) / sizeof(parts_of[0]); i++) {
		if (parts_of[i].quantity != q || part_mean(s, i, 0, COLUMN_ROUND_TRIP) < 0.005)
			continue;
		fprintf(out, "%-*s", LABEL_WIDTH, parts_of[i].title);
		for (unsigned k = 0; k < l->cells; k++)
			print_number(out, part_mean(s, i, l->cell[k].segment, l->cell[k].column));
		fputc('\n', out);
	}
}

static void print_published(FILE *out, const struct session *s, const struct layout *l,
			    enum published_table table, enum quantity q)
{
	fprintf(out, "%-*s", LABEL_WIDTH, "    published");
	for (unsigned i = 0; i < l->cells; i++) {
		unsigned g = l->cell[i].segment;

		print_number(out, published(table, q, g ? s->plan->segment[g].number : 0,
					    l->cell[i].column));
	}
	fputc('\n', out);
}

/* The table: measured, what it is made of, published. The interval and CV are of the total. */
static void print_table(FILE *out, const struct session *s, const struct report_subject *subject)
{
	struct layout l;

	layout_make(&l, s);
	fprintf(out, "%-*s", LABEL_WIDTH, "per request");
	for (unsigned i = 0; i < l.cells; i++)
		fprintf(out, "%*s", CELL_WIDTH, l.cell[i].head);
	fprintf(out, "   99 %% interval and CV of TOTAL\n");
	for (unsigned q = 0; q < QUANTITIES; q++) {
		struct estimate total = estimate_column(s, q, COLUMN_TOTAL);

		fprintf(out, "%-*s", LABEL_WIDTH, quantity_title(q));
		for (unsigned i = 0; i < l.cells; i++)
			print_number(out, l.cell[i].segment ?
				     estimate_segment(s, q, l.cell[i].segment).mean :
				     estimate_column(s, q, l.cell[i].column).mean);
		fprintf(out, "   [%.2f, %.2f] %.1f %%\n", total.lo, total.hi, 100 * total.cv);
		print_parts(out, s, &l, q);
		if (subject->table != PUBLISHED_NONE)
			print_published(out, s, &l, subject->table, q);
	}
}

/* Every reason once, with the cells that it is for. */
static void print_reasons(FILE *out, const struct session *s, const struct report_subject *subject)
{
	struct layout l;
	char why[AUDIT_SEGMENTS + COLUMNS][256];
	bool any = false;

	if (subject->table == PUBLISHED_NONE)
		return;
	layout_make(&l, s);
	for (unsigned q = 0; q < QUANTITIES; q++) {
		for (unsigned i = 0; i < l.cells; i++)
			report_why(s, subject, q, l.cell[i].segment, l.cell[i].column, why[i],
				   sizeof(why[i]));
		for (unsigned i = 0; i < l.cells; i++) {
			if (!why[i][0])
				continue;
			fprintf(out, "%s  %s", any ? "" : "\nWhere it differs from the paper:\n",
				quantity_key(q));
			any = true;
			fprintf(out, " %s", l.cell[i].head);
			for (unsigned k = i + 1; k < l.cells; k++)
				if (!strcmp(why[k], why[i])) {
					fprintf(out, " %s", l.cell[k].head);
					why[k][0] = '\0';
				}
			fprintf(out, ": %s\n", why[i]);
		}
	}
}

static void print_detail(FILE *out, const struct session *s)
{
	static const struct {
		const char *head;
		int metric;         /* -1: see `second` */
		bool sum;
		double scale;
	} columns[] = {
		{ "send", M_COPY_SEND, false, 1 }, { "recv", M_COPY_RECV, false, 1 },
		{ "user", M_COPY_USER, false, 1 }, { "out B", M_COPY_SEND, true, 1 },
		{ "in B", M_COPY_RECV, true, 1 }, { "desc out", M_COPY_DESCRIPTOR_SEND, false, 1 },
		{ "desc in", M_COPY_DESCRIPTOR_RECV, false, 1 },
		{ "volunt.", M_SWITCH_OUT_VOLUNTARY, false, 1 },
		{ "preempt.", M_SWITCH_OUT_INVOLUNTARY, false, 1 }, { "woken", M_WAKEUP, false, 1 },
		{ "IPI", M_IPI_SENT, false, 1 }, { "NET_RX", M_SOFTIRQ_NET_RX, false, 1 },
		{ "CPU us", M_CPU_TIME, true, 1e-3 },
	};
	enum { N = sizeof(columns) / sizeof(columns[0]) };

	fprintf(out, "\n%-24s", "per request, by component");
	for (unsigned i = 0; i < N; i++)
		fprintf(out, "%9s", columns[i].head);
	fputc('\n', out);
	for (unsigned c = 0; c < s->components; c++) {
		fprintf(out, "%-24.24s ", s->plan->component[c].name);
		for (unsigned i = 0; i < N; i++)
			fprintf(out, "%9.2f", columns[i].scale *
				metric_mean(s, (enum audit_metric)columns[i].metric, (int)c, -1,
					    columns[i].sum));
		fputc('\n', out);
	}
	fprintf(out, "sched_switch events with a component on either side: %.2f per request\n",
		metric_mean(s, M_SWITCH_EVENTS_OURS, -1, -1, false));
	fprintf(out, "frames: %.2f with payload, %.2f SYN/FIN/RST, %.2f bare ACKs, queued to a device "
		"%.2f, taken by TCP %.2f\n", metric_mean(s, M_STACK_DATA, -1, -1, false),
		metric_mean(s, M_STACK_CONTROL, -1, -1, false),
		metric_mean(s, M_STACK_ACK, -1, -1, false),
		metric_mean(s, M_STACK_OUT, -1, -1, false), metric_mean(s, M_STACK_TCP, -1, -1, false));
	fprintf(out, "NET_RX softirq: %.1f us per request\n",
		metric_mean(s, M_SOFTIRQ_TIME, -1, -1, true) / 1e3);
}

static void print_probes(FILE *out, const struct session *s)
{
	const struct hook_state *h;
	unsigned n;

	if (!s->audit) {
		fprintf(out, "\nNo probes: %s\nWhat /proc and perf can say:\n", s->no_probes);
		for (unsigned c = AUDIT_CLIENT + 1; c < s->components; c++)
			fprintf(out, "  %-24s %8.2f voluntary and %.2f involuntary switches per request\n",
				s->plan->component[c].name,
				(double)s->proc.voluntary[c] / (double)s->requests,
				(double)s->proc.involuntary[c] / (double)s->requests);
		fprintf(out, "  %-24s %8.2f NET_RX runs and %.2f IPIs per request (idle not taken off)\n",
			"whole machine", (double)s->proc.net_rx / (double)s->requests,
			(double)s->proc.ipis / (double)s->requests);
		return;
	}
	h = audit_hooks(s->audit, &n);
	fprintf(out, "\nProbes: tiers up to %s", audit_tier_name(audit_tier(s->audit)));
	for (unsigned i = 0; i < n; i++)
		if (!h[i].attached && !h[i].served && h[i].hook->without)
			fprintf(out, "\n  not seen: %s (%s: %s)", h[i].hook->without, h[i].hook->target,
				h[i].reason);
	fputc('\n', out);
}

void report_text(FILE *out, const struct session *s, const struct report_subject *subject, bool detail)
{
	static const char *const verdicts[] = { "pass", "FAIL", "skipped" };
	char text[2 * PLAN_NAME + 8];

	fprintf(out, "%s, %s, %s, concurrency %u, think %u us: %u repetitions of %u requests\n\n",
		subject->dataplane, subject->workload, audit_mode_name(s->mode),
		s->config->client.threads, s->config->think_us, s->reps, s->config->requests);
	for (unsigned g = 1; g < s->segments; g++) {
		plan_segment_text(s->plan, g, text, sizeof(text));
		fprintf(out, "  (%u) %s%s", s->plan->segment[g].number, text,
			g % 3 && g + 1 < s->segments ? ";" : "\n");
	}
	if (s->audit) {
		fputc('\n', out);
		print_table(out, s, subject);
		print_reasons(out, s, subject);
		if (detail)
			print_detail(out, s);
	}
	print_probes(out, s);
	fprintf(out, "\nChecks:\n");
	for (unsigned i = 0; i < s->checks; i++)
		fprintf(out, "  %-22s %-7s %s\n", s->check[i].name, verdicts[s->check[i].verdict],
			s->check[i].text);
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static json_t *cell_json(const struct session *s, const struct report_subject *subject,
			 enum quantity q, unsigned segment, enum column c)
{
	struct estimate e = segment ? estimate_segment(s, q, segment) : estimate_column(s, q, c);
	double paper = published(subject->table, q, segment ? s->plan->segment[segment].number : 0, c);
	char why[256];

	report_why(s, subject, q, segment, c, why, sizeof(why));
	return json_pack("{s:o, s:[o,o], s:o, s:o, s:o, s:s}", "mean", number(e.mean), "ci99",
			 number(e.lo), number(e.hi), "cv", number(e.cv), "published", number(paper),
			 "verdict", isnan(paper) ? json_null() :
			 json_string(why[0] ? "differs" : "reproduced"),
			 "why", why);
}

static json_t *counts_json(const struct session *s, const struct report_subject *subject)
{
	json_t *counts = json_object();

	for (unsigned q = 0; q < QUANTITIES; q++) {
		json_t *quantity = json_object(), *segments = json_object();

		for (unsigned g = 1; g < s->segments; g++) {
			char key[16];

			snprintf(key, sizeof(key), "%u", s->plan->segment[g].number);
			json_object_set_new(segments, key, cell_json(s, subject, q, g, 0));
		}
		json_object_set_new(quantity, "segments", segments);
		for (unsigned c = 0; c < COLUMNS; c++)
			json_object_set_new(quantity, column_key(c), cell_json(s, subject, q, 0, c));
		json_object_set_new(counts, quantity_key(q), quantity);
	}
	return counts;
}

static json_t *segments_json(const struct session *s)
{
	json_t *list = json_array();
	char text[2 * PLAN_NAME + 8];

	for (unsigned g = 1; g < s->segments; g++) {
		plan_segment_text(s->plan, g, text, sizeof(text));
		json_array_append_new(list, json_pack("{s:i, s:s, s:s}", "number",
						      (int)s->plan->segment[g].number, "class",
						      segment_class_name(s->plan->segment[g].class),
						      "step", text));
	}
	return list;
}

/* Every metric of every component, per request: events, and bytes or ns beside them. */
static json_t *components_json(const struct session *s)
{
	json_t *all = json_object();

	for (unsigned c = 0; c < s->components; c++) {
		json_t *one = json_object();

		for (unsigned m = 0; m < M_COUNT; m++) {
			double n = metric_mean(s, m, (int)c, -1, false);
			double sum = metric_mean(s, m, (int)c, -1, true);

			if (n != 0 || sum != 0)
				json_object_set_new(one, metric_name(m),
						    json_pack("{s:o, s:o}", "n", number(n), "amount",
							      number(sum)));
		}
		json_object_set_new(all, s->plan->component[c].name, one);
	}
	return all;
}

/*
 * Every metric of every component and segment that is not 0 in some repetition: one number per request
 * for each repetition. Segment 0: not attributed. What a gate compares.
 */
static json_t *cells_json(const struct session *s)
{
	json_t *list = json_array();

	for (unsigned m = 0; m < M_COUNT; m++)
		for (unsigned c = 0; c < s->components; c++)
			for (unsigned g = 0; g < s->segments; g++) {
				json_t *values = json_array();
				bool any = false;

				for (unsigned r = 0; r < s->reps; r++) {
					any |= session_n(s, r, m, c, g) != 0;
					json_array_append_new(values, number(session_n(s, r, m, c, g)));
				}
				if (any)
					json_array_append_new(list, json_pack(
						"{s:s, s:s, s:i, s:O}", "metric", metric_name(m),
						"component", s->plan->component[c].name, "segment",
						g ? (int)s->plan->segment[g].number : 0, "n", values));
				json_decref(values);
			}
	return list;
}

static json_t *hooks_json(const struct session *s)
{
	json_t *list = json_array();
	const struct hook_state *h;
	unsigned n;

	if (!s->audit)
		return list;
	h = audit_hooks(s->audit, &n);
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "probe",
						      h[i].probe->name, "serves", h[i].hook->serves,
						      "target", h[i].hook->target, "tier",
						      audit_tier_name(h[i].hook->tier), "attached",
						      (int)h[i].attached, "reason", h[i].reason));
	return list;
}

static json_t *checks_json(const struct session *s)
{
	static const char *const verdicts[] = { "pass", "fail", "skipped" };
	json_t *list = json_array();

	for (unsigned i = 0; i < s->checks; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", s->check[i].name,
						      "verdict", verdicts[s->check[i].verdict], "text",
						      s->check[i].text));
	return list;
}

static json_t *perf_json(const struct session *s)
{
	json_t *all = json_object();

	for (unsigned k = 0; s->has_perf && k < PERF_COUNTERS; k++) {
		json_t *one;

		if (!s->perf_has[k]) {
			json_object_set_new(all, perf_name(k), json_pack("{s:n, s:s}", "per_request",
									 "why", s->perf_why[k]));
			continue;
		}
		one = json_object();
		for (unsigned c = AUDIT_CLIENT + 1; c < s->components; c++)
			json_object_set_new(one, s->plan->component[c].name,
					    number((double)s->perf.value[k][c] / (double)s->requests));
		json_object_set_new(all, perf_name(k), json_pack("{s:o}", "per_request", one));
	}
	return all;
}

static json_t *perturbation_json(const struct session *s)
{
	double per = (double)s->requests;

	if (!s->audit)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "events_per_request",
			 number(session_events(s)),
			 "rps_without", s->rps_off > 0 ? number(s->rps_off) : json_null(),
			 "rps_with", s->rps_on > 0 ? number(s->rps_on) : json_null(),
			 "p50_us_without", s->rps_off > 0 ? number(s->p50_off_us) : json_null(),
			 "p50_us_with", s->rps_on > 0 ? number(s->p50_on_us) : json_null(),
			 "program_runs_per_request", number(s->cost_runs / per),
			 "program_ns_per_request", number(s->cost_ns / per));
}

/* CPU time as cycles: counted where the machine can, else by the TSC's rate, and it says which. */
static json_t *cycles_json(const struct session *s)
{
	bool counted = s->has_perf && s->perf_has[PERF_CYCLES];
	double total = 0;

	for (unsigned c = AUDIT_CLIENT + 1; c < s->components; c++)
		total += counted ? (double)s->perf.value[PERF_CYCLES][c] :
				   (double)s->proc.cpu_ns[c] / 1e9 * s->cycles_hz;
	return json_pack("{s:o, s:s}", "per_request", number(total / (double)s->requests), "source",
			 counted ? "hardware counter" : "CPU time x TSC rate");
}

json_t *report_json(const struct session *s, const struct report_subject *subject)
{
	json_t *counts = s->audit ? counts_json(s, subject) : json_null();
	json_t *root = json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:o, s:s, s:o, s:o}",
		"schema_version", 1, "kind", "audit", "dataplane", subject->dataplane, "workload",
		subject->workload, "mode", audit_mode_name(s->mode), "concurrency",
		(int)s->config->client.threads, "think_us", (int)s->config->think_us,
		"requests_per_repetition", (int)s->config->requests, "repetitions", (int)s->reps,
		"errors", (json_int_t)s->errors, "connects", (json_int_t)s->connects, "tier",
		s->audit ? json_string(audit_tier_name(audit_tier(s->audit))) : json_null(),
		"no_probes", s->no_probes, "segments", segments_json(s), "counts", counts);

	if (!root)
		return NULL;
	json_object_set_new(root, "components", s->audit ? components_json(s) : json_object());
	json_object_set_new(root, "cells", s->audit ? cells_json(s) : json_array());
	json_object_set_new(root, "hooks", hooks_json(s));
	json_object_set_new(root, "checks", checks_json(s));
	json_object_set_new(root, "perf", perf_json(s));
	json_object_set_new(root, "cycles", cycles_json(s));
	json_object_set_new(root, "perturbation", perturbation_json(s));
	return root;
}
