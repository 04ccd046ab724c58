/* SPDX-License-Identifier: BSD-2-Clause */
/* `perhop serve`: a deployment that stays up, dead instances restarted, until told to end. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/cli.h"
#include "cli/parse.h"
#include "chain/deploy.h"


enum { OPT_LISTEN = 256, OPT_TIMEOUT, OPT_SERVICE, OPT_SCALE, OPT_INSTANCES, OPT_PLACEMENT,
       OPT_LIMIT, OPT_BACKLOG, OPT_ANSWER, OPT_JSON, OPT_ADAPTER };

struct serve_arguments {
	struct dataplane_list dataplanes;
	const char *workload_text;
	struct deploy_config config;
	double timeout_s;           /* 0: until a signal */
	bool json;
};

static const struct argp_option options[] = {
	{ "dataplane", 'd', "SPEC", 0, "Dataplane, name[:mode][,key=value...]", 0 },
	{ "workload", 'w', "WORKLOAD", 0, "Workload, name[:mode][,key=value...]", 0 },
	{ "listen", OPT_LISTEN, "ADDR:PORT", 0,
	  "Where clients connect (127.0.0.1 and a free port, "
	  "which is printed)",
	  0 },
	{ "adapter", OPT_ADAPTER, "NAME[=ADDR:PORT]", 0,
	  "Serve another protocol too: mqtt, coap, or a file (127.0.0.1 and a free port, which is "
	  "printed); may be given several times",
	  0 },
	{ "service", OPT_SERVICE, "none|sleep|spin", 0,
	  "How functions spend their service time "
	  "(none)",
	  0 },
	{ "service-scale", OPT_SCALE, "X", 0, "Factor on the published service times (1)", 0 },
	{ "instances", OPT_INSTANCES, "N", 0, "Instances of each function (1)", 0 },
	{ "placement", OPT_PLACEMENT, "auto|free|same-core|cross-core", 0,
	  "Which cores instances run on (auto: one core for a chain with a shared pool, "
	  "unless service=spin or --instances)",
	  0 },
	{ "limit", OPT_LIMIT, "N", 0, "Requests an instance handles at a time (32)", 0 },
	{ "backlog", OPT_BACKLOG, "N", 0, "Requests that may wait at an instance; further ones get 503 (1024)", 0 },
	{ "answer-timeout", OPT_ANSWER, "SEC", 0, "A client waits so long for its answer, then gets 504 (30)", 0 },
	{ "timeout", OPT_TIMEOUT, "SEC", 0, "End after so long", 0 },
	{ "json", OPT_JSON, NULL, 0, "URL and components as one JSON object", 0 },
	{ 0 },
};

/* "mqtt" or "mqtt=127.0.0.1:1883"; the text is the command line's own, and may be cut. */
static int add_adapter(struct deploy_config *c, char *text, struct why *why)
{
	char *at = strrchr(text, '=');
	unsigned i = c->adapters;

	if (i == DEPLOY_ADAPTERS)
		return why_set(why, "at most %d adapters", DEPLOY_ADAPTERS);
	c->adapter[i].listen = (struct sockaddr_in){ .sin_family = AF_INET,
						     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (at && parse_address(at + 1, &c->adapter[i].listen, why))
		return -EINVAL;
	if (at)
		*at = '\0';
	c->adapter[i].name = text;
	c->adapters++;
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct serve_arguments *a = state->input;
	double seconds = 0;
	struct why why;
	uint64_t n;
	int choice;

	switch (key) {
	case 'd':
		if (parse_dataplanes(arg, &a->dataplanes, &why))
			argp_error(state, "-d: %s", why.text);
		if (a->dataplanes.count > 1)
			argp_error(state, "-d: serve runs one dataplane at a time");
		return 0;
	case 'w':
		a->workload_text = arg;
		return 0;
	case OPT_LISTEN:
		if (parse_address(arg, &a->config.listen, &why))
			argp_error(state, "--listen: %s", why.text);
		return 0;
	case OPT_ADAPTER:
		if (add_adapter(&a->config, arg, &why))
			argp_error(state, "--adapter: %s", why.text);
		return 0;
	case OPT_SERVICE:
		if (parse_choice(arg, service_choices, &choice, &why))
			argp_error(state, "--service: %s", why.text);
		else
			a->config.service = (enum service_mode)choice;
		return 0;
	case OPT_SCALE:
		if (parse_number(arg, 0, 1e6, &a->config.service_scale, &why))
			argp_error(state, "--service-scale: %s", why.text);
		return 0;
	case OPT_INSTANCES:
		if (parse_count(arg, 1, INSTANCE_MAX - 1, &n, &why))
			argp_error(state, "--instances: %s", why.text);
		else
			a->config.instances = (unsigned)n;
		return 0;
	case OPT_PLACEMENT:
		if (parse_choice(arg, placement_choices, &choice, &why))
			argp_error(state, "--placement: %s", why.text);
		else
			a->config.placement = (enum placement)choice;
		return 0;
	case OPT_LIMIT:
		if (parse_count(arg, 1, 65535, &n, &why))
			argp_error(state, "--limit: %s", why.text);
		else
			a->config.concurrency = (unsigned)n;
		return 0;
	case OPT_BACKLOG:
		if (parse_count(arg, 0, 1 << 20, &n, &why))
			argp_error(state, "--backlog: %s", why.text);
		else
			a->config.backlog = (uint32_t)n;
		return 0;
	case OPT_ANSWER:
		if (parse_number(arg, 0.01, 3600, &seconds, &why))
			argp_error(state, "--answer-timeout: %s", why.text);
		else
			a->config.request_timeout_ns = (uint64_t)(seconds * 1e9);
		return 0;
	case OPT_TIMEOUT:
		if (parse_number(arg, 0.01, 1e9, &a->timeout_s, &why))
			argp_error(state, "--timeout: %s", why.text);
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state,
			   "'%s' is not expected here; the dataplane follows -d, the workload -w",
			   arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->dataplanes.count || !a->workload_text)
			argp_error(state, "%s is missing; `perhop list` shows what there is",
				   a->dataplanes.count ? "-w WORKLOAD" : "-d DATAPLANE");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Keep a workload up on a dataplane until interrupted; instances that die are "
	       "started "
	       "again.\v"
	       "Examples:\n"
	       "  perhop serve -d skmsg -w boutique --listen 127.0.0.1:8080\n"
	       "  perhop serve -d kernel:knative,sidecar=nginx -w boutique --timeout 60\n"
	       "  perhop serve -d skmsg -w motion --adapter mqtt=:1883 --adapter coap=:5683\n"
	       "  perhop serve -d null -w echo --json\n\n"
	       "Exit codes: 0 ended as told (SIGINT, SIGTERM or --timeout), 1 a component ended "
	       "and "
	       "could not be started again, 2 wrong usage or cannot run here.",
};

/* "hipstershop.CartService hipstershop.…": the services whose methods `f` has, into `out`. */
static void services_of(const struct application *app, function_id f, char *out, size_t room)
{
	size_t used = 0, known = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < app->n_methods; i++) {
		const char *service = app->methods[i].path + 1;
		const size_t n = strcspn(service, "/");

		/* The methods of a service are listed one after another. */
		if (app->methods[i].function != f || (n == known && !memcmp(out + used - n, service, n)) ||
		    used + n + 2 > room)
			continue;
		used += (size_t)snprintf(out + used, room - used, "%s%.*s", used ? " " : "", (int)n, service);
		known = n;
	}
}

/* Where clients can call functions past the gateway, if the dataplane has such a place. */
static json_t *print_doors(const struct deployment *d, bool json)
{
	char host[INET_ADDRSTRLEN], services[512];
	json_t *list = json_array();
	struct sockaddr_in at;

	for (instance_id id = 1; d->ops->address && id < d->board->instances; id++) {
		if (d->ops->address(d, id, &at))
			continue;
		inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host));
		services_of(d->app, d->board->line[id].function, services, sizeof(services));
		if (!json)
			printf("  call %s:%-7u %s%s%s\n", host, ntohs(at.sin_port),
			       deploy_instance_name(d, id), *services ? "  " : "", services);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:i, s:s}", "function",
						deploy_instance_name(d, id), "address", host, "port",
						(int)ntohs(at.sin_port), "services", services));
	}
	return list;
}

static void print_deployment(const struct deployment *d, bool json)
{
	char host[INET_ADDRSTRLEN], url[64];
	json_t *components = json_array(), *chains = json_array(), *adapters = json_object(), *doors;
	unsigned i;

	inet_ntop(AF_INET, &d->address.sin_addr, host, sizeof(host));
	snprintf(url, sizeof(url), "http://%s:%u", host, ntohs(d->address.sin_port));
	if (!json)
		printf("%s on %s: %s/\n", d->app->spec.text, d->spec.text, url);
	for (i = 0; i < d->app->n_chains; i++) {
		if (!json)
			printf("  chain %-16s %s%s\n", d->app->chains[i].name, url,
			       d->app->chains[i].path);
		json_array_append_new(chains,
				      json_pack("{s:s, s:s}", "name", d->app->chains[i].name,
						"path", d->app->chains[i].path));
	}
	for (i = 0; i < d->config.adapters; i++) {
		char at[64];

		inet_ntop(AF_INET, &d->adapter[i].address.sin_addr, host, sizeof(host));
		snprintf(at, sizeof(at), "%s:%u", host, ntohs(d->adapter[i].address.sin_port));
		if (!json)
			printf("  adapter %-14s %s\n", d->config.adapter[i].name, at);
		json_object_set_new(adapters, d->config.adapter[i].name, json_string(at));
	}
	inet_ntop(AF_INET, &d->address.sin_addr, host, sizeof(host));
	for (i = 0; i < deploy_components(d); i++) {
		if (!json)
			printf("  pid %-18d %s\n", deploy_component(d, i)->pid, deploy_component(d, i)->name);
		json_array_append_new(components,
				      json_pack("{s:s, s:i}", "name", deploy_component(d, i)->name, "pid",
						(int)deploy_component(d, i)->pid));
	}
	doors = print_doors(d, json);
	if (json)
		json_line(json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "dataplane",
				    d->spec.text, "workload", d->app->spec.text, "url", url,
				    "address", host, "port", (int)ntohs(d->address.sin_port),
				    "supervisor", (int)getpid(), "chains", chains, "adapters", adapters,
				    "components", components, "calls", doors));
	if (!json) {
		json_decref(doors);
		json_decref(components);
		json_decref(chains);
		json_decref(adapters);
	}
	fflush(stdout);
}

/* Until a signal or the time is up. */
static int stay(struct deployment *d, double timeout_s, int signals)
{
	uint64_t end = timeout_s > 0 ? clock_now_ns() + (uint64_t)(timeout_s * 1e9) : UINT64_MAX;
	unsigned restarts = 0;

	while (clock_now_ns() < end) {
		if (signals_wait_or(signals, d->scaling_fd, deploy_watch_ns(d)))
			return STATUS_DONE;
		if (deploy_watch(d)) {
			fprintf(stderr, "perhop serve: %s\n", d->why);
			return STATUS_FAILED;
		}
		if (d->restarts != restarts)
			fprintf(stderr, "perhop serve: %s; it was started again\n", d->why);
		restarts = d->restarts;
	}
	return STATUS_DONE;
}

static int serve(struct serve_arguments *a, const struct application *app)
{
	struct probe_report report = { .ok = true };
	const struct dataplane_ops *ops = a->dataplanes.at[0].ops;
	const struct spec *spec = &a->dataplanes.at[0].spec;
	struct deployment *d;
	int signals, status;

	dataplane_probe(ops, spec, &report);
	if (report.ok && !strcmp(spec_value(spec, network_options, "client"), "node")) {
		report.ok = false;
		snprintf(report.reason, sizeof(report.reason),
			 "with client=node nobody else could reach it; that is for run, verify and audit");
	}
	if (!report.ok) {
		fprintf(stderr, "perhop serve: %s cannot run here: %s\n", spec->text,
			report.reason);
		return STATUS_CANNOT;
	}
	signals = signals_open();
	d = calloc(1, sizeof(*d));
	if (signals < 0 || !d) {
		fprintf(stderr, "perhop serve: %s\n", strerror(signals < 0 ? -signals : ENOMEM));
		free(d);
		return STATUS_CANNOT;
	}
	if (deploy_start(d, ops, spec, app, &a->config)) {
		fprintf(stderr, "perhop serve: the deployment did not start: %s\n", d->why);
		status = STATUS_CANNOT;
	} else {
		print_deployment(d, a->json);
		status = stay(d, a->timeout_s, signals);
		deploy_stop(d);
	}
	free(d);
	close(signals);
	return status;
}

int serve_main(int argc, char **argv)
{
	struct serve_arguments a = { 0 };
	const struct workload *workload;
	struct application app = { 0 };
	struct why why;
	int status;

	deploy_defaults(&a.config);
	a.config.restart = a.config.control = true;
	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return STATUS_CANNOT;
	if (application_open(&app, &workload, a.workload_text, why.text, sizeof(why.text))) {
		fprintf(stderr, "perhop serve: -w: %s\n", why.text);
		return STATUS_CANNOT;
	}
	status = serve(&a, &app);
	if (workload->release)
		workload->release(&app);
	return status;
}
