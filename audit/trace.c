/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/trace.h"
#include "audit/trace.skel.h"

enum { EVENTS_MAX = 1 << 20, LINKS_MAX = 32 };

struct trace {
	struct trace_bpf *skeleton;
	struct bpf_link *link[LINKS_MAX];
	unsigned links;
	struct ring_buffer *ring;
	struct trace_event_list list;
	uint64_t dropped;           /* by us: more than EVENTS_MAX */
};

/* ---- Collecting ------------------------------------------------------------------------------- */

static int on_event(void *arg, void *data, size_t size)
{
	struct trace *t = arg;
	struct trace_event_list *l = &t->list;

	if (size < sizeof(struct audit_event) || l->count == EVENTS_MAX) {
		t->dropped++;
		return 0;
	}
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		struct audit_event *more = realloc(l->event, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->event = more;
		l->room = room;
	}
	memcpy(&l->event[l->count++], data, sizeof(struct audit_event));
	return 0;
}

static int attach(struct trace *t, struct bpf_program *program, const char *const *binaries)
{
	const char *name = bpf_program__name(program);
	bool user = !strcmp(bpf_program__section_name(program), "usdt");
	struct bpf_link *link;

	for (unsigned i = 0; user && binaries && binaries[i] && t->links < LINKS_MAX; i++) {
		link = bpf_program__attach_usdt(program, -1, binaries[i], "perhop",
						name + strlen("trace_"), NULL);
		if (link)
			t->link[t->links++] = link;
	}
	if (user)
		return 0;
	link = t->links < LINKS_MAX ? bpf_program__attach(program) : NULL;
	if (!link)
		return -errno;
	t->link[t->links++] = link;
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level, (void)format, (void)ap;
	return 0;
}

/* What this kernel does not have is left out: a trace without IPIs is still a trace. */
static void leave_out(struct bpf_object *object)
{
	struct bpf_program *program;

	for (program = bpf_object__next_program(object, NULL); program;
	     program = bpf_object__next_program(object, program)) {
		const char *section = bpf_program__section_name(program);

		if (!strncmp(section, "tp_btf/", 7) &&
		    libbpf_find_vmlinux_btf_id(section + 7, BPF_TRACE_RAW_TP) < 0)
			bpf_program__set_autoload(program, false);
	}
}

int trace_open(struct trace **out, struct audit *a, const char *const *binaries)
{
	struct trace *t = calloc(1, sizeof(*t));
	libbpf_print_fn_t print = libbpf_set_print(quiet);
	struct bpf_program *program;
	int err = -ENOMEM;

	if (!t)
		goto out;
	t->skeleton = trace_bpf__open();
	err = t->skeleton ? 0 : -errno;
	if (err)
		goto out;
	t->skeleton->rodata->n_components = AUDIT_COMPONENTS;
	t->skeleton->rodata->n_segments = AUDIT_SEGMENTS;
	leave_out(t->skeleton->obj);
	err = audit_share(a, t->skeleton->obj);
	if (!err)
		err = trace_bpf__load(t->skeleton);
	if (err)
		goto out;
	for (program = bpf_object__next_program(t->skeleton->obj, NULL); program;
	     program = bpf_object__next_program(t->skeleton->obj, program)) {
		if (!bpf_program__autoload(program))
			continue;
		err = attach(t, program, binaries);
		if (err)
			goto out;
	}
	t->ring = ring_buffer__new(bpf_map__fd(t->skeleton->maps.events), on_event, t, NULL);
	err = t->ring ? 0 : -errno;
out:
	libbpf_set_print(print);
	if (err)
		trace_close(t);
	else
		*out = t;
	return err;
}

int trace_collect(struct trace *t, int timeout_ms)
{
	int n = ring_buffer__poll(t->ring, timeout_ms);

	return n < 0 && n != -EINTR ? n : 0;
}

static int by_time(const void *a, const void *b)
{
	const struct audit_event *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

const struct trace_event_list *trace_events(struct trace *t)
{
	if (t->list.count)
		qsort(t->list.event, t->list.count, sizeof(t->list.event[0]), by_time);
	return &t->list;
}

uint64_t trace_lost(const struct trace *t)
{
	uint64_t lost = 0;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(t->skeleton->maps.lost), &zero, &lost))
		lost = 0;
	return lost + t->dropped;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	ring_buffer__free(t->ring);
	while (t->links)
		bpf_link__destroy(t->link[--t->links]);
	trace_bpf__destroy(t->skeleton);
	free(t->list.event);
	free(t);
}

/* ---- Writing ---------------------------------------------------------------------------------- */

/* What is open while events are walked in order of time. */
struct open_thread {
	uint32_t tid;
	unsigned component;
	uint64_t running_ns, woken_ns;      /* since; 0: not */
	unsigned segment, waker;    /* waker: its component, 0 when it is none of ours */
	uint32_t waker_tid;
};

enum { THREADS_MAX = 256, CPUS_MAX = 1024 };

struct writer {
	const struct plan *p;
	json_t *events;
	uint64_t start_ns;
	struct open_thread thread[THREADS_MAX];
	unsigned threads;
	uint64_t softirq_ns[CPUS_MAX];
	unsigned flows;
};

static double us(const struct writer *w, uint64_t at_ns)
{
	return (double)(at_ns - w->start_ns) / 1e3;
}

static json_t *arguments(const struct writer *w, unsigned segment)
{
	char text[2 * PLAN_NAME + 8];

	plan_segment_text(w->p, segment, text, sizeof(text));
	return json_pack("{s:i, s:s}", "segment",
			 segment < w->p->segments ? (int)w->p->segment[segment].number : 0, "step",
			 text);
}

static void add(struct writer *w, json_t *event)
{
	json_array_append_new(w->events, event);
}

static void span(struct writer *w, const char *name, const char *category, unsigned process,
		 uint32_t thread, uint64_t from, uint64_t to, unsigned segment)
{
	add(w, json_pack("{s:s, s:s, s:s, s:i, s:I, s:f, s:f, s:o}", "name", name, "cat", category,
			 "ph", "X", "pid", (int)process, "tid", (json_int_t)thread, "ts", us(w, from),
			 "dur", (double)(to - from) / 1e3, "args", arguments(w, segment)));
}

static void instant(struct writer *w, const char *name, const char *category,
		    const struct audit_event *e, json_int_t amount)
{
	json_t *args = arguments(w, e->segment);

	json_object_set_new(args, "amount", json_integer(amount));
	add(w, json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:f, s:o}", "name", name, "cat", category,
			 "ph", "i", "s", "t", "pid", (int)e->component, "tid", (json_int_t)e->tid,
			 "ts", us(w, e->at_ns), "args", args));
}

/* An arrow from whoever woke to who runs for it. */
static void flow(struct writer *w, const char *phase, unsigned process, uint32_t thread, uint64_t at)
{
	add(w, json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:f, s:s}", "name", "hop", "cat", "hop", "ph",
			 phase, "id", (int)w->flows, "pid", (int)process, "tid", (json_int_t)thread,
			 "ts", us(w, at), "bp", "e"));
}

static struct open_thread *thread_of(struct writer *w, const struct audit_event *e)
{
	for (unsigned i = 0; i < w->threads; i++)
		if (w->thread[i].tid == e->tid)
			return &w->thread[i];
	if (w->threads == THREADS_MAX)
		return NULL;
	w->thread[w->threads] = (struct open_thread){ .tid = e->tid, .component = e->component };
	return &w->thread[w->threads++];
}

static const char *step_name(const struct writer *w, unsigned segment, char *out, size_t room)
{
	if (segment && segment < w->p->segments)
		snprintf(out, room, "(%u)", w->p->segment[segment].number);
	else
		snprintf(out, room, "run");
	return out;
}

static void write_scheduling(struct writer *w, const struct audit_event *e)
{
	struct open_thread *t = thread_of(w, e);
	char name[32];

	if (!t)
		return;
	switch (e->kind) {
	case AUDIT_TRACE_WAKE:
		t->woken_ns = e->at_ns;
		t->waker = e->other;
		t->waker_tid = (uint32_t)e->amount;
		t->segment = e->segment;
		return;
	case AUDIT_TRACE_SWITCH_IN:
		if (t->woken_ns) {
			span(w, "queue", "queue", e->component, e->tid, t->woken_ns, e->at_ns,
			     e->segment);
			if (t->waker) {
				w->flows++;
				flow(w, "s", t->waker, t->waker_tid, t->woken_ns);
				flow(w, "f", e->component, e->tid, e->at_ns);
			}
		}
		t->woken_ns = 0;
		t->running_ns = e->at_ns;
		t->segment = e->segment;
		return;
	default:
		if (t->running_ns)
			span(w, step_name(w, t->segment, name, sizeof(name)), "cpu", e->component,
			     e->tid, t->running_ns, e->at_ns, t->segment);
		t->running_ns = 0;
		add(w, json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:f, s:o}", "name",
				 e->other ? "preempted" : "blocks", "cat", "switch", "ph", "i", "s",
				 "t", "pid", (int)e->component, "tid", (json_int_t)e->tid, "ts",
				 us(w, e->at_ns), "args", arguments(w, e->segment)));
	}
}

static void write_event(struct writer *w, const struct audit_event *e)
{
	const json_int_t low = (json_int_t)(e->amount & 0xffffffff);
	const bool http = (e->amount >> 32) == 2 || (e->amount >> 32) == 3;   /* enum payload_type */

	switch (e->kind) {
	case AUDIT_TRACE_SWITCH_IN:
	case AUDIT_TRACE_SWITCH_OUT:
	case AUDIT_TRACE_WAKE:
		write_scheduling(w, e);
		return;
	case AUDIT_TRACE_SEND:
		instant(w, "copy: send", "copy", e, low);
		return;
	case AUDIT_TRACE_RECV:
		instant(w, "copy: receive", "copy", e, low);
		return;
	case AUDIT_TRACE_COPY:
		instant(w, "copy: user space", "copy", e, low);
		return;
	case AUDIT_TRACE_ENCODE:
		instant(w, http ? "serialize HTTP" : "serialize payload", "serde", e, low);
		return;
	case AUDIT_TRACE_DECODE:
		instant(w, http ? "deserialize HTTP" : "deserialize payload", "serde", e, low);
		return;
	case AUDIT_TRACE_FRAME:
		instant(w, "stack traversal", "protocol", e, low);
		return;
	case AUDIT_TRACE_IPI:
		if (e->segment || e->component > AUDIT_CLIENT)
			instant(w, "IPI", "interrupt", e, low);
		return;
	case AUDIT_TRACE_SOFTIRQ:
		if (e->cpu < CPUS_MAX)
			w->softirq_ns[e->cpu] = e->at_ns;
		return;
	case AUDIT_TRACE_SOFTIRQ_END:
		if (e->cpu < CPUS_MAX && w->softirq_ns[e->cpu] && e->segment)
			span(w, "NET_RX", "interrupt", AUDIT_COMPONENTS, e->cpu,
			     w->softirq_ns[e->cpu], e->at_ns, e->segment);
		return;
	}
}

static void name_process(struct writer *w, unsigned id, const char *name)
{
	add(w, json_pack("{s:s, s:s, s:i, s:{s:s}}", "name", "process_name", "ph", "M", "pid", (int)id,
			 "args", "name", name));
	add(w, json_pack("{s:s, s:s, s:i, s:{s:i}}", "name", "process_sort_index", "ph", "M", "pid",
			 (int)id, "args", "sort_index", (int)id));
}

json_t *trace_json(const struct trace_event_list *events, const struct plan *p)
{
	struct writer *w = calloc(1, sizeof(*w));
	json_t *root;

	if (!w)
		return NULL;
	w->p = p;
	w->events = json_array();
	w->start_ns = events->count ? events->event[0].at_ns : 0;
	for (unsigned i = AUDIT_CLIENT; i < p->components; i++)
		name_process(w, i, p->component[i].name);
	name_process(w, AUDIT_COMPONENTS, "kernel");
	for (size_t i = 0; i < events->count; i++)
		write_event(w, &events->event[i]);
	root = json_pack("{s:s, s:o}", "displayTimeUnit", "ns", "traceEvents", w->events);
	free(w);
	return root;
}
