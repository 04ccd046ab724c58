/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/counters.h"
#include "chain/process.h"
#include "cli/cli.h"
#include "cli/layers.h"

void run_layers_begin(struct layers *l)
{
	if (l)
		layers_start(l);
}

static void add_process(struct layers_config *c, pid_t pid, unsigned group)
{
	if (c->processes == LAYERS_PIDS)
		return;
	c->process[c->processes].pid = pid;
	c->process[c->processes++].group = group;
}

/* Workers do a foreign program's work. */
static void add_children(struct layers_config *c, pid_t pid, unsigned group)
{
	pid_t child[PROCESS_WORKERS];
	const unsigned n = process_children(pid, child, PROCESS_WORKERS);

	for (unsigned i = 0; i < n; i++)
		add_process(c, child[i], group);
}

static uint32_t inode_of(int fd)
{
	struct stat s;

	return fd < 0 || fstat(fd, &s) ? 0 : (uint32_t)s.st_ino;
}

int run_layers_end(struct layers *l, const struct deployment *d, const struct cpu_groups *groups,
		   const struct generator *g, struct layers_result *result)
{
	struct layers_config *c = l ? calloc(1, sizeof(*c)) : NULL;
	int err;

	if (!c)
		return l ? -ENOMEM : 0;
	c->groups = groups->count < LAYERS_GROUPS ? groups->count : LAYERS_GROUPS - 1;
	c->client = g->pid;
	/* A frame that TC has passed into a pod was received in the node, yet it is the pod's from there. */
	c->node = d->network.accel ? 0 : inode_of(d->network.node);
	c->client_node = inode_of(d->network.client);
	for (unsigned i = 0; i < deploy_components(d); i++)
		if (deploy_component(d, i)->pid && groups->of[i] < c->groups) {
			add_process(c, deploy_component(d, i)->pid, groups->of[i]);
			add_children(c, deploy_component(d, i)->pid, groups->of[i]);
		}
	err = layers_stop(l, c, result);
	free(c);
	return err;
}

/* {layer: µs per request} of one row; NULL when there is nothing in it. */
static json_t *row_json(const uint64_t *samples, double us_per_sample)
{
	json_t *row = json_object();
	uint64_t sum = 0;

	for (unsigned i = 0; i < LAYER_COUNT; i++) {
		sum += samples[i];
		json_object_set_new(row, layer_name((enum layer)i),
				    json_amount((double)samples[i] * us_per_sample));
	}
	if (sum)
		return row;
	json_decref(row);
	return NULL;
}

json_t *run_layers_json(const struct layers_result *r, const struct cpu_groups *groups, uint64_t requests)
{
	const double us = requests ? LAYERS_PERIOD_NS / 1e3 / (double)requests : 0;
	json_t *by = json_object(), *row;
	uint64_t total[LAYER_COUNT] = { 0 }, samples = 0, other = 0;

	for (unsigned g = 0; g <= groups->count && g <= LAYERS_GROUPS; g++) {
		for (unsigned i = 0; i < LAYER_COUNT; i++) {
			total[i] += r->samples[g][i];
			samples += r->samples[g][i];
		}
		row = row_json(r->samples[g], us);
		if (row)
			json_object_set_new(by, g < groups->count ? groups->name[g] : "softirq", row);
	}
	for (unsigned i = 0; i < LAYER_COUNT; i++)
		other += r->samples[groups->count + 1][i];
	row = row_json(total, us);
	return json_pack("{s:i, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "period_ns", (int)LAYERS_PERIOD_NS,
			 "samples", (json_int_t)samples, "lost", (json_int_t)r->lost, "cycles_hz",
			 json_amount(tsc_hz()), "client_us", json_amount((double)r->client * us), "other_us",
			 json_amount((double)other * us), "us", row ? row : json_object(), "by", by);
}
