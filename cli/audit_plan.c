/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/discover.h"
#include "chain/node.h"
#include "cli/audit_plan.h"

/* Of a pair: the node that function `f` is on. */
static const struct deployment *node_of_function(const struct deployment *d, function_id f)
{
	return d->node && d->node->other && !node_has(d->node, f) ? d->node->other : d;
}

/* The component that runs `function`: its first instance. AUDIT_NOBODY when there is none. */
static unsigned component_of_function(const struct plan *p, const struct deployment *d, function_id f)
{
	d = node_of_function(d, f);
	for (unsigned i = 0; i < d->components; i++) {
		const struct component *c = &d->component[i];

		if (c->kind == COMPONENT_FUNCTION && c->pid && c->instance < INSTANCE_MAX &&
		    d->board->line[c->instance].function == f)
			return plan_find_pid(p, c->pid);
	}
	return AUDIT_NOBODY;
}

static unsigned component_of_gateway(const struct plan *p, const struct deployment *d)
{
	for (unsigned i = 0; i < d->components; i++)
		if (d->component[i].kind == COMPONENT_GATEWAY && d->component[i].pid)
			return plan_find_pid(p, d->component[i].pid);
	return AUDIT_NOBODY;
}

static void path_add(struct session_config *config, unsigned component)
{
	if (component && config->path_length < SESSION_PATH_MAX)
		config->path[config->path_length++] = component;
}

/* From the gateway through the chain; from node to node it goes by both gateways. */
static void path_of_chain(const struct plan *p, struct session_config *config, const struct deployment *d)
{
	const struct chain *chain = &d->app->chains[0];
	const struct deployment *at = d;

	path_add(config, component_of_gateway(p, d));
	for (unsigned i = 0; i < chain->length; i++) {
		const struct deployment *next = node_of_function(d, chain->sequence[i]);

		if (next != at && i)
			path_add(config, component_of_gateway(p, at));
		if (next != at)
			path_add(config, component_of_gateway(p, next));
		at = next;
		path_add(config, component_of_function(p, d, chain->sequence[i]));
	}
	if (at != d)
		path_add(config, p->beyond);
}

void plan_of_deployment(struct plan *p, struct session_config *config, const struct deployment *d)
{
	plan_init(p);
	config->polls = d->flags & DP_POLLING;
	for (unsigned i = 0; i < deploy_components(d); i++) {
		const struct component *c = deploy_component(d, i);
		int id;

		if (!c->pid || c->kind == COMPONENT_INIT)
			continue;
		id = plan_add(p, c->name, c->kind);
		if (id >= 0)
			plan_add_pid(p, (unsigned)id, c->pid);
	}
	discover_children(p);
	if (!(d->flags & DP_SHARED_POOL) || d->flags & DP_ONE_PROCESS)
		return;
	if (d->node && d->node->other)
		p->beyond = component_of_gateway(p, d->node->other);
	if (component_of_gateway(p, d))
		path_of_chain(p, config, d);
}

enum published_table published_for(const struct deployment *d)
{
	if (strcmp(d->app->spec.name, "echo") || d->app->chains[0].length != 2)
		return PUBLISHED_NONE;
	if (!strcmp(d->spec.name, "kernel") && !strcmp(d->spec.mode, "knative"))
		return PUBLISHED_TABLE1;
	return strcmp(d->spec.name, "skmsg") ? PUBLISHED_NONE : PUBLISHED_TABLE2;
}

/* ---- Processes that run already --------------------------------------------------------------- */

/* "name=pid" or just "pid". Several pids of one name are one component. */
static int add_named(struct plan *p, char *text, char *why, size_t why_bytes)
{
	char *equals = strchr(text, '='), *end;
	long pid;
	int id;

	pid = strtol(equals ? equals + 1 : text, &end, 10);
	if (*end || pid <= 0 || pid > INT32_MAX || end == (equals ? equals + 1 : text)) {
		snprintf(why, why_bytes, "--pid: '%s' is not NAME=PID", text);
		return -EINVAL;
	}
	if (!equals) {
		id = discover_process(p, (pid_t)pid);
	} else {
		size_t n;

		*equals = '\0';
		n = strlen(text);
		id = plan_add(p, text, n > 8 && !strcmp(text + n - 8, "/sidecar") ?
			      COMPONENT_SIDECAR : COMPONENT_FUNCTION);
		if (id >= 0 && plan_add_pid(p, (unsigned)id, (pid_t)pid) == -EEXIST)
			id = -EEXIST;
	}
	if (id < 0)
		snprintf(why, why_bytes, "--pid: %ld: %s", pid, strerror(-id));
	return id < 0 ? id : 0;
}

static int add_all_named(struct plan *p, const char *list, char *why, size_t why_bytes)
{
	char *copy = strdup(list), *rest = copy, *one;
	int err = copy ? 0 : -ENOMEM;

	while (!err && (one = strsep(&rest, ",")))
		err = add_named(p, one, why, why_bytes);
	free(copy);
	return err;
}

int plan_of_external(struct plan *p, struct session_config *config, const struct external *e, char *why,
		     size_t why_bytes)
{
	int err = 0;

	plan_init(p);
	if (e->pids)
		err = add_all_named(p, e->pids, why, why_bytes);
	if (!err && e->cgroup) {
		err = discover_cgroup(p, e->cgroup);
		if (err < 0)
			snprintf(why, why_bytes, "--cgroup %s: %s", e->cgroup, strerror(-err));
	}
	if (err >= 0 && !e->pids && !e->cgroup) {
		err = discover_listener(p, e->port);
		if (err < 0)
			snprintf(why, why_bytes, "--port %u: %s", e->port, err == -ENOENT ?
				 "nobody listens there" : strerror(-err));
		config->discover.expand = true;
	}
	if (err < 0)
		return err;
	discover_children(p);
	config->discover.entry_port = e->port;
	config->client.target = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(e->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	return 0;
}
