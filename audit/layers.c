/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/layers.h"
#include "audit/layers.skel.h"
#include "audit/layers_shared.h"

enum { NAME_BYTES = 64 };

struct symbol {
	uint64_t address;
	char name[NAME_BYTES];
};

struct layers {
	struct layers_bpf *bpf;
	struct bpf_link **link;     /* one per CPU, NULL where it is offline */
	int *event;
	int cpus;
	struct symbol *symbol;      /* sorted by address */
	size_t symbols, room;
};

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level, (void)format, (void)ap;
	return 0;
}

/* ---- Symbols ---------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* eBPF programs are among them, so it is read once the load has run. */
static int read_symbols(struct layers *l)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], name[NAME_BYTES];
	uint64_t address;
	int err = f ? 0 : -errno;

	l->symbols = 0;
	while (!err && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 " %*c %63s", &address, name) != 2 || !address)
			continue;
		if (l->symbols == l->room) {
			size_t room = l->room ? 2 * l->room : 1 << 17;
			struct symbol *more = realloc(l->symbol, room * sizeof(*more));

			if (!more) {
				err = -ENOMEM;
				break;
			}
			l->symbol = more;
			l->room = room;
		}
		l->symbol[l->symbols].address = address;
		memcpy(l->symbol[l->symbols++].name, name, sizeof(name));
	}
	if (f)
		fclose(f);
	if (!err && !l->symbols)
		err = -EPERM;           /* kernel.kptr_restrict hides them */
	if (!err)
		qsort(l->symbol, l->symbols, sizeof(*l->symbol), by_address);
	return err;
}

static const char *name_of(const struct layers *l, uint64_t address)
{
	size_t lo = 0, hi = l->symbols;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->symbol[mid].address <= address)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? l->symbol[lo - 1].name : "";
}

/* ---- Sampling --------------------------------------------------------------------------------- */

static int clock_of_cpu(int cpu)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = LAYERS_PERIOD_NS,
		.disabled = 1,
	};
	long fd = syscall(SYS_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int attach(struct layers *l)
{
	l->cpus = libbpf_num_possible_cpus();
	if (l->cpus < 0)
		return l->cpus;
	l->link = calloc((size_t)l->cpus, sizeof(*l->link));
	l->event = calloc((size_t)l->cpus, sizeof(*l->event));
	if (!l->link || !l->event)
		return -ENOMEM;
	for (int cpu = 0; cpu < l->cpus; cpu++) {
		int fd = clock_of_cpu(cpu);

		l->event[cpu] = fd;
		if (fd == -ENODEV)
			continue;       /* offline */
		if (fd < 0)
			return fd;
		l->link[cpu] = bpf_program__attach_perf_event(l->bpf->progs.sampled, fd);
		if (!l->link[cpu])
			return -errno;
		/* libbpf has switched it on. */
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	}
	l->bpf->links.frame_received = bpf_program__attach(l->bpf->progs.frame_received);
	return l->bpf->links.frame_received ? 0 : -errno;
}

int layers_open(struct layers **out, char *why, size_t why_bytes)
{
	libbpf_print_fn_t print = libbpf_set_print(quiet);
	struct layers *l = calloc(1, sizeof(*l));
	int err = l ? 0 : -ENOMEM;

	*out = NULL;
	if (!err) {
		l->bpf = layers_bpf__open_and_load();
		err = l->bpf ? attach(l) : -errno;
	}
	libbpf_set_print(print);
	if (err) {
		snprintf(why, why_bytes, "no samples of the CPU by layer: %s (needs CAP_BPF, CAP_PERFMON, "
			 "a software clock and BTF)", strerror(-err));
		layers_close(l);
		return err;
	}
	*out = l;
	return 0;
}

void layers_close(struct layers *l)
{
	if (!l)
		return;
	for (int cpu = 0; l->link && cpu < l->cpus; cpu++)
		bpf_link__destroy(l->link[cpu]);        /* and its event */
	layers_bpf__destroy(l->bpf);
	free(l->link);
	free(l->event);
	free(l->symbol);
	free(l);
}

static int switch_all(struct layers *l, unsigned long request)
{
	for (int cpu = 0; cpu < l->cpus; cpu++)
		if (l->link[cpu] && ioctl(l->event[cpu], request, 0))
			return -errno;
	return 0;
}

int layers_start(struct layers *l)
{
	return switch_all(l, PERF_EVENT_IOC_ENABLE);
}

/* ---- What was counted ------------------------------------------------------------------------- */

/* Group of a process; config->groups + 1 when it is none of the chain's. */
static unsigned group_of(const struct layers_config *c, unsigned tgid)
{
	for (unsigned i = 0; i < c->processes; i++)
		if ((unsigned)c->process[i].pid == tgid)
			return c->process[i].group;
	return c->groups + 1;
}

static void add_sample(struct layers *l, const struct layers_config *c, const struct layers_key *key,
		       uint64_t n, struct layers_result *r)
{
	const bool client = key->tgid && (pid_t)key->tgid == c->client;
	const enum layer_place place = c->node && key->netns == c->node ? PLACE_NODE :
				       c->client_node && key->netns == c->client_node ? PLACE_CLIENT :
									       PLACE_POD;
	const char *name[LAYERS_DEPTH];
	uint64_t address[LAYERS_DEPTH] = { 0 };
	unsigned depth = 0, group = group_of(c, key->tgid);
	bool softirq = false;
	enum layer layer;

	if (key->stack >= 0 &&
	    !bpf_map_lookup_elem(bpf_map__fd(l->bpf->maps.stacks), &key->stack, address))
		while (depth < LAYERS_DEPTH && address[depth]) {
			name[depth] = name_of(l, address[depth]);
			depth++;
		}
	if (key->stack == LAYERS_USER)
		layer = client ? LAYER_NONE : LAYER_USER;
	else
		layer = layers_classify(name, depth, client, place, &softirq);
	if (layer == LAYER_NONE)
		r->client += n;
	else if (softirq)
		r->samples[c->groups][layer] += n;
	else if (!key->tgid)
		r->idle += n;
	else
		r->samples[group][layer] += n;
}

int layers_stop(struct layers *l, const struct layers_config *config, struct layers_result *result)
{
	int map = bpf_map__fd(l->bpf->maps.counts), err = switch_all(l, PERF_EVENT_IOC_DISABLE);
	struct layers_key key, *before = NULL;
	uint64_t n;

	memset(result, 0, sizeof(*result));
	if (!err)
		err = read_symbols(l);
	while (!err && !bpf_map_get_next_key(map, before, &key)) {
		if (!bpf_map_lookup_elem(map, &key, &n))
			add_sample(l, config, &key, n, result);
		before = &key;
	}
	result->lost = l->bpf->bss->lost;
	return err;
}
