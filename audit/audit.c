/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How hooks are chosen: a kernel says that it has a tracepoint or a function in its BTF, but whether it
 * lets us attach only shows when we do. So every hook is tried: tiers T0 to T2 together with their
 * probe's object, T3 (which many kernels refuse) each in a throw-away object first.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/copies.h"
#include "audit/cycles.h"
#include "audit/interrupts.h"
#include "audit/protocol.h"
#include "audit/segment.skel.h"
#include "audit/serde.h"
#include "audit/switches.h"
#include "audit/syscalls.h"

/* Attached in this order: who sets a tag comes before who reads it at the same tracepoint. */
static const struct probe *const probes[AUDIT_PROBES] = {
	&probe_copies, &probe_serde, &probe_interrupts, &probe_protocol, &probe_switches, &probe_cycles,
	&probe_syscalls,
};

static const char *const shared_maps[] = {
	"window", "cells", "components", "links", "namespaces", "pairs", "tasks", "cpus",
	NULL,
};

struct loaded {
	void *skeleton;
	struct bpf_object *object;
};

struct audit {
	struct segment_bpf *segment;
	struct loaded probe[AUDIT_PROBES];
	struct hook_state hook[AUDIT_HOOKS];
	struct bpf_link *link[AUDIT_HOOKS][AUDIT_BINARIES];
	unsigned hooks;
	struct btf *btf;
	char binary[AUDIT_BINARIES][256];
	unsigned binaries;
	struct probe_knobs knobs;
	struct audit_cell *percpu;  /* one value of `cells`: a cell per CPU */
	int cpus;
	unsigned components, segments;      /* of the plan: what audit_read looks at */
};

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level, (void)format, (void)ap;
	return 0;
}

/* ---- What is missing -------------------------------------------------------------------------- */

static unsigned long long read_capabilities(void)
{
	unsigned long long mask = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &mask) == 1)
			break;
	if (f)
		fclose(f);
	return mask;
}

void audit_missing(char *out, size_t room)
{
	/* include/uapi/linux/capability.h */
	enum { NET_ADMIN = 12, SYS_PTRACE = 19, SYS_ADMIN = 21, PERFMON = 38, BPF = 39 };
	unsigned long long have = read_capabilities();
	size_t at = 0;

	out[0] = '\0';
	if (!(have >> SYS_ADMIN & 1)) {
		if (!(have >> BPF & 1))
			at += (size_t)snprintf(out + at, room - at, "CAP_BPF (to load eBPF programs), ");
		if (!(have >> PERFMON & 1))
			at += (size_t)snprintf(out + at, room - at,
					       "CAP_PERFMON (to attach them to tracepoints), ");
	}
	if (!(have >> SYS_PTRACE & 1))
		at += (size_t)snprintf(out + at, room - at,
				       "CAP_SYS_PTRACE (to see other users' sockets), ");
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		at += (size_t)snprintf(out + at, room - at,
				       "/sys/kernel/btf/vmlinux (a kernel with CONFIG_DEBUG_INFO_BTF), ");
	if (at >= 2)
		out[at - 2] = '\0';
}

/* ---- Loading ---------------------------------------------------------------------------------- */

int audit_map(const struct audit *a, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(a->segment->obj, name);

	return fd < 0 ? -ENOENT : fd;
}

int audit_share(const struct audit *a, struct bpf_object *object)
{
	for (unsigned i = 0; shared_maps[i]; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, shared_maps[i]);
		int err = map ? bpf_map__reuse_fd(map, audit_map(a, shared_maps[i])) : 0;

		if (err)
			return err;
	}
	return 0;
}

static bool exists(const struct audit *a, const struct hook *h)
{
	char name[128];

	if (h->tier == TIER_USER)
		return true;
	if (h->tier == TIER_TRAMPOLINE)
		return btf__find_by_name_kind(a->btf, h->target, BTF_KIND_FUNC) > 0;
	snprintf(name, sizeof(name), "btf_trace_%s", h->target);
	return btf__find_by_name_kind(a->btf, name, BTF_KIND_TYPEDEF) > 0;
}

static void refuse(struct hook_state *s, const char *what, int err)
{
	s->attached = false;
	if (err == -EPERM && s->hook->tier == TIER_TRAMPOLINE)
		snprintf(s->reason, sizeof(s->reason), "%s refused: the kernel allows no trampolines",
			 what);
	else
		snprintf(s->reason, sizeof(s->reason), "%s refused: %s", what, strerror(-err));
}

/* Load and attach this hook alone, then throw it away. 0 or -errno with the reason noted. */
static int try_alone(const struct audit *a, struct hook_state *s)
{
	struct bpf_object *object;
	struct bpf_program *program;
	struct bpf_link *link = NULL;
	void *skeleton = s->probe->open(&a->knobs, &object);
	const char *what = "loading";
	int err;

	if (!skeleton)
		return -errno;
	for (program = bpf_object__next_program(object, NULL); program;
	     program = bpf_object__next_program(object, program))
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program),
							   s->hook->program));
	err = audit_share(a, object);
	if (!err)
		err = bpf_object__load(object);
	if (!err && s->hook->tier != TIER_USER) {
		what = "attaching";
		program = bpf_object__find_program_by_name(object, s->hook->program);
		link = bpf_program__attach(program);
		err = link ? 0 : -errno;
	}
	bpf_link__destroy(link);
	s->probe->destroy(skeleton);
	if (err)
		refuse(s, what, err);
	return err;
}

/* Is a hook that serves the same thing, and comes first, in use? */
static bool is_served(const struct audit *a, const struct hook_state *s)
{
	for (const struct hook_state *o = a->hook; o < s; o++)
		if (o->probe == s->probe && o->attached && !strcmp(o->hook->serves, s->hook->serves))
			return true;
	return false;
}

/* Decide about all hooks of a probe. `each`: try every one alone, since together they did not load. */
static void choose(struct audit *a, const struct probe *probe, bool each)
{
	for (struct hook_state *s = a->hook; s < a->hook + a->hooks; s++) {
		if (s->probe != probe)
			continue;
		s->attached = s->served = false;
		if (is_served(a, s)) {
			s->served = true;
			snprintf(s->reason, sizeof(s->reason), "not needed");
		} else if (!exists(a, s->hook)) {
			snprintf(s->reason, sizeof(s->reason), "this kernel has no %s", s->hook->target);
		} else if (s->hook->tier == TIER_USER && !a->binaries) {
			snprintf(s->reason, sizeof(s->reason), "no program with our USDT points");
		} else if ((!each && s->hook->tier != TIER_TRAMPOLINE) || !try_alone(a, s)) {
			s->attached = true;
			s->reason[0] = '\0';
		}
	}
}

static int load_chosen(struct audit *a, unsigned i)
{
	struct loaded *l = &a->probe[i];
	struct bpf_program *program;
	int err;

	l->skeleton = probes[i]->open(&a->knobs, &l->object);
	if (!l->skeleton)
		return -errno;
	for (program = bpf_object__next_program(l->object, NULL); program;
	     program = bpf_object__next_program(l->object, program)) {
		bool wanted = false;

		for (unsigned h = 0; h < a->hooks; h++)
			wanted |= a->hook[h].probe == probes[i] && a->hook[h].attached &&
				  !strcmp(a->hook[h].hook->program, bpf_program__name(program));
		bpf_program__set_autoload(program, wanted);
	}
	err = audit_share(a, l->object);
	if (!err)
		err = bpf_object__load(l->object);
	if (err) {
		probes[i]->destroy(l->skeleton);
		l->skeleton = NULL;
	}
	return err;
}

static int load_probe(struct audit *a, unsigned i)
{
	int err;

	choose(a, probes[i], false);
	err = load_chosen(a, i);
	if (err) {
		choose(a, probes[i], true);
		err = load_chosen(a, i);
	}
	return err;
}

static int load_segment(struct audit *a)
{
	a->segment = segment_bpf__open();
	if (!a->segment)
		return -errno;
	bpf_map__set_max_entries(a->segment->maps.cells,
				 M_COUNT * a->knobs.components * a->knobs.segments);
	return segment_bpf__load(a->segment);
}

int audit_open(struct audit **out, const char *const *binaries, char *why, size_t why_bytes)
{
	struct audit *a = calloc(1, sizeof(*a));
	libbpf_print_fn_t print;
	char missing[400];
	int err = -ENOMEM;

	if (!a)
		return err;
	a->knobs = (struct probe_knobs){ AUDIT_COMPONENTS, AUDIT_SEGMENTS };
	for (unsigned i = 0; binaries && binaries[i] && i < AUDIT_BINARIES; i++)
		snprintf(a->binary[a->binaries++], sizeof(a->binary[0]), "%s", binaries[i]);
	for (unsigned i = 0; i < AUDIT_PROBES; i++)
		for (const struct hook *h = probes[i]->hooks; h->program; h++)
			a->hook[a->hooks++] = (struct hook_state){ .probe = probes[i], .hook = h };
	print = libbpf_set_print(quiet);
	a->cpus = libbpf_num_possible_cpus();
	a->btf = btf__load_vmlinux_btf();
	err = a->cpus < 0 ? a->cpus : a->btf ? 0 : -errno;
	if (!err) {
		a->percpu = calloc((size_t)a->cpus, sizeof(*a->percpu));
		err = a->percpu ? load_segment(a) : -ENOMEM;
	}
	for (unsigned i = 0; !err && i < AUDIT_PROBES; i++)
		err = load_probe(a, i);
	libbpf_set_print(print);
	if (!err) {
		*out = a;
		return 0;
	}
	audit_missing(missing, sizeof(missing));
	snprintf(why, why_bytes, "the eBPF probes cannot be loaded: %s%s%s", strerror(-err),
		 missing[0] ? "; missing: " : "", missing);
	audit_close(a);
	return err;
}

/* ---- Attaching -------------------------------------------------------------------------------- */

static int attach_user(struct audit *a, unsigned h, struct bpf_program *program)
{
	int err = -ENOENT;

	for (unsigned i = 0; i < a->binaries; i++) {
		a->link[h][i] = bpf_program__attach_usdt(program, -1, a->binary[i], "perhop",
							 a->hook[h].hook->target, NULL);
		if (a->link[h][i])
			err = 0;
		else if (err)
			err = -errno;
	}
	return err;
}

static void note_program(struct hook_state *s, const struct bpf_program *program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (!bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		s->id = info.id;
}

int audit_attach(struct audit *a)
{
	libbpf_print_fn_t print = libbpf_set_print(quiet);
	int err, first = 0;

	for (unsigned i = 0; i < AUDIT_PROBES; i++)
		for (unsigned h = 0; h < a->hooks; h++) {
			struct hook_state *s = &a->hook[h];
			struct bpf_program *program;

			if (s->probe != probes[i] || !s->attached || a->link[h][0])
				continue;
			program = bpf_object__find_program_by_name(a->probe[i].object,
								   s->hook->program);
			if (s->hook->tier == TIER_USER) {
				err = attach_user(a, h, program);
			} else {
				a->link[h][0] = bpf_program__attach(program);
				err = a->link[h][0] ? 0 : -errno;
			}
			if (!err)
				note_program(s, program);
			else if (err == -ENOENT && s->hook->tier == TIER_USER)
				refuse(s, "attaching", err), snprintf(s->reason, sizeof(s->reason),
					"no such USDT point in the programs of the chain");
			else
				refuse(s, "attaching", err);
			if (err && s->hook->tier == TIER_TRACEPOINT && !first)
				first = err;
		}
	libbpf_set_print(print);
	return first;
}

void audit_detach(struct audit *a)
{
	for (unsigned h = 0; h < AUDIT_HOOKS; h++)
		for (unsigned i = 0; i < AUDIT_BINARIES; i++) {
			bpf_link__destroy(a->link[h][i]);
			a->link[h][i] = NULL;
		}
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	audit_detach(a);
	for (unsigned i = 0; i < AUDIT_PROBES; i++)
		if (a->probe[i].skeleton)
			probes[i]->destroy(a->probe[i].skeleton);
	segment_bpf__destroy(a->segment);
	btf__free(a->btf);
	free(a->percpu);
	free(a);
}

/* ---- The plan --------------------------------------------------------------------------------- */

static int clear(int map, size_t key_bytes)
{
	unsigned char key[64];

	if (key_bytes > sizeof(key))
		return -EINVAL;
	while (!bpf_map_get_next_key(map, NULL, key))
		if (bpf_map_delete_elem(map, key))
			return -errno;
	return 0;
}

static int plan_components(const struct audit *a, const struct plan *p)
{
	int map = audit_map(a, "components"), err = clear(map, sizeof(uint32_t));

	for (unsigned i = AUDIT_CLIENT; !err && i < p->components; i++)
		for (unsigned k = 0; !err && k < p->component[i].pids; k++) {
			uint32_t pid = (uint32_t)p->component[i].pid[k];
			struct audit_component value = {
				.id = (__u8)i,
				.flags = p->component[i].usdt ? AUDIT_COMPONENT_USDT : 0,
				.beyond = (__u8)(!p->beyond ? 0 : i == p->entry ? p->beyond :
						 i == p->beyond ? p->entry : 0),
			};

			if (bpf_map_update_elem(map, &pid, &value, BPF_ANY))
				err = -errno;
		}
	return err;
}

static int plan_namespaces(const struct audit *a, const struct plan *p)
{
	int map = audit_map(a, "namespaces"), err = clear(map, sizeof(uint32_t));
	uint32_t one = 1;

	for (unsigned i = 0; !err && i < p->namespaces; i++)
		if (bpf_map_update_elem(map, &p->namespace[i], &one, BPF_ANY))
			err = -errno;
	return err;
}

int audit_plan(struct audit *a, const struct plan *p)
{
	int map = audit_map(a, "links"), pairs = audit_map(a, "pairs");
	int err = plan_components(a, p);

	a->components = p->components;
	a->segments = p->segments;
	if (!err)
		err = clear(map, sizeof(struct audit_link_key));
	if (!err)
		err = plan_namespaces(a, p);
	for (unsigned i = 0; !err && i < p->links; i++) {
		const struct plan_link *l = &p->link[i];
		struct audit_link value = {
			.segment = { (__u8)l->segment[0], (__u8)l->segment[1] },
			.server = (__u8)l->server,
		};

		/* A server with several clients: the first by the plan's order names the segment. */
		if (l->segment[0] && bpf_map_update_elem(map, &l->key, &value, BPF_NOEXIST) &&
		    errno != EEXIST)
			err = -errno;
	}
	for (uint32_t i = 0; !err && i < AUDIT_COMPONENTS * AUDIT_COMPONENTS; i++) {
		uint32_t segment = p->pair[i / AUDIT_COMPONENTS][i % AUDIT_COMPONENTS];

		if (bpf_map_update_elem(pairs, &i, &segment, BPF_ANY))
			err = -errno;
	}
	return err;
}

/* ---- Counting --------------------------------------------------------------------------------- */

static int set_window(const struct audit *a, bool open, bool learning)
{
	struct audit_window value = { .open = open, .learning = learning };
	uint32_t zero = 0;

	return bpf_map_update_elem(audit_map(a, "window"), &zero, &value, BPF_ANY) ? -errno : 0;
}

int audit_start(struct audit *a)
{
	return set_window(a, true, false);
}

int audit_learn(struct audit *a)
{
	return set_window(a, true, true);
}

int audit_learnt(struct audit *a, int (*each)(void *arg, const struct audit_seen *seen), void *arg)
{
	struct audit_seen key;
	int map = -ENOENT, err = 0;

	for (unsigned i = 0; i < AUDIT_PROBES; i++)
		if (probes[i] == &probe_copies)
			map = bpf_object__find_map_fd_by_name(a->probe[i].object, "seen");
	if (map < 0)
		return -ENOENT;
	while (!err && !bpf_map_get_next_key(map, NULL, &key)) {
		bpf_map_delete_elem(map, &key);
		err = each(arg, &key);
	}
	return err;
}

int audit_stop(struct audit *a)
{
	return set_window(a, false, false);
}

int audit_read(const struct audit *a, struct audit_counts *counts)
{
	int map = audit_map(a, "cells");

	memset(counts, 0, sizeof(*counts));
	for (unsigned m = 0; m < M_COUNT; m++)
		for (unsigned c = 0; c < a->components; c++)
			for (unsigned s = 0; s < a->segments; s++) {
				uint32_t key = (m * AUDIT_COMPONENTS + c) * AUDIT_SEGMENTS + s;
				struct audit_cell *sum = &counts->cell[m][c][s];

				if (bpf_map_lookup_elem(map, &key, a->percpu))
					return -errno;
				for (int cpu = 0; cpu < a->cpus; cpu++) {
					sum->n += a->percpu[cpu].n;
					sum->sum += a->percpu[cpu].sum;
				}
			}
	return 0;
}

int audit_stats(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

int audit_cost(const struct audit *a, struct audit_cost *cost)
{
	*cost = (struct audit_cost){ 0 };
	for (unsigned i = 0; i < AUDIT_PROBES; i++) {
		struct bpf_program *program;

		for (program = bpf_object__next_program(a->probe[i].object, NULL); program;
		     program = bpf_object__next_program(a->probe[i].object, program)) {
			struct bpf_prog_info info = { 0 };
			uint32_t size = sizeof(info);

			if (bpf_program__fd(program) < 0)
				continue;
			if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
				return -errno;
			cost->runs += info.run_cnt;
			cost->ns += info.run_time_ns;
		}
	}
	return 0;
}

const struct hook_state *audit_hooks(const struct audit *a, unsigned *count)
{
	*count = a->hooks;
	return a->hook;
}

enum probe_tier audit_tier(const struct audit *a)
{
	enum probe_tier tier = TIER_TRACEPOINT;

	for (unsigned h = 0; h < a->hooks; h++)
		if (a->hook[h].attached && a->hook[h].hook->tier > tier)
			tier = a->hook[h].hook->tier;
	return tier;
}

const char *audit_tier_name(enum probe_tier tier)
{
	static const char *const names[] = { "T0", "T1", "T2", "T3" };

	return names[tier];
}
