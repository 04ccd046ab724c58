/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "dataplanes/kernel/nginx_conf.h"
#include "dataplanes/sure/sidecar/sidecar.h"

static const char nginx_text[] =
#include "dataplanes/kernel/nginx.conf.h"
;
static const char ingress_text[] =
#include "dataplanes/kernel/ingress.conf.h"
;
static const char broker_text[] =
#include "dataplanes/kernel/broker.conf.h"
;
static const char sidecar_text[] =
#include "dataplanes/kernel/sidecar.conf.h"
;
static const char sidecar_grpc_text[] =
#include "dataplanes/kernel/sidecar-grpc.conf.h"
;
static const char broker_lua[] =
#include "dataplanes/kernel/broker.lua.h"
;
/* Of the broker's upstreams, as ingress.conf and sidecar.conf have it. */
static const char upstream_text[] =
	"\t\tkeepalive 512;\n"
	"\t\tkeepalive_requests 1000000000;\n"
	"\t\tkeepalive_timeout 1h;\n";

const char *nginx_broker_lua(void)
{
	return broker_lua;
}

static void put_address(FILE *f, struct sockaddr_in a)
{
	char text[INET_ADDRSTRLEN];

	fprintf(f, "%s:%u", inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)), ntohs(a.sin_port));
}

static const char *name_of(const struct nginx_conf *c, unsigned f)
{
	return c->app->functions[f]->name;
}

/* One upstream per function, one server in it per instance. */
static void put_upstreams(FILE *out, const struct nginx_conf *c)
{
	for (unsigned f = 0; f < c->app->n_functions; f++) {
		fprintf(out, "\tupstream fn_%s {\n\t\tleast_conn;\n", name_of(c, f));
		if (c->front) {
			fprintf(out, "\t\tserver ");
			put_address(out, c->front[f]);
			fprintf(out, " max_fails=0;\n");
		}
		for (unsigned i = 0; !c->front && i < c->board->of[f].count; i++) {
			fprintf(out, "\t\tserver ");
			put_address(out, c->target[c->board->of[f].at[i]]);
			fprintf(out, " max_fails=1 fail_timeout=1s;\n");
		}
		fprintf(out, "%s\t}\n", upstream_text);
	}
}

/*
 * The hops that broker.lua makes. `head` gives a chain's first function exactly the client's request;
 * `next` gives the others the payload that came back, without the client's headers.
 */
static void put_hops(FILE *out, const struct nginx_conf *c)
{
	for (unsigned f = 0; f < c->app->n_functions; f++) {
		const char *name = name_of(c, f);

		fprintf(out,
			"\t\tlocation = /_perhop/head/%s {\n"
			"\t\t\tinternal;\n"
			"\t\t\tproxy_pass http://fn_%s$request_uri;\n"
			"\t\t\tproxy_set_header Connection \"\";\n"
			"\t\t\tproxy_set_header Host $http_host;\n"
			"\t\t\tproxy_set_header X-Perhop-Topic $perhop_topic;\n"
			"\t\t\tproxy_set_header X-Perhop-Type \"\";\n"
			"\t\t\tproxy_set_header X-Perhop-Position \"\";\n"
			"\t\t\tproxy_set_header X-Perhop-Token $perhop_token;\n"
			"\t\t}\n", name, name);
		fprintf(out,
			"\t\tlocation = /_perhop/next/%s {\n"
			"\t\t\tinternal;\n"
			"\t\t\tproxy_pass http://fn_%s/invoke/%s;\n"
			"\t\t\tproxy_pass_request_headers off;\n"
			"\t\t\tproxy_set_header Connection \"\";\n"
			"\t\t\tproxy_set_header X-Perhop-Type $perhop_type;\n"
			"\t\t\tproxy_set_header X-Perhop-Topic $perhop_topic;\n"
			"\t\t\tproxy_set_header X-Perhop-Position $perhop_position;\n"
			"\t\t\tproxy_set_header X-Perhop-Token $perhop_token;\n"
			"\t\t}\n", name, name, name);
	}
}

static void put_calls(FILE *out, const struct nginx_conf *c)
{
	for (unsigned f = 0; f < c->app->n_functions; f++)
		fprintf(out, "\t\tlocation = /call/%s {\n\t\t\tproxy_pass http://fn_%s;\n\t\t}\n",
			name_of(c, f), name_of(c, f));
}

static void put_modules(FILE *out, const struct nginx_conf *c)
{
	if (c->role == NGINX_BROKER)
		fprintf(out, "load_module %s/ndk_http_module.so;\n"
			     "load_module %s/ngx_http_lua_module.so;\n", c->modules, c->modules);
}

static void fill(FILE *out, const char *text, const struct nginx_conf *c);

static void put_role(FILE *out, const struct nginx_conf *c)
{
	static const char *const text[] = {
		[NGINX_INGRESS] = ingress_text,
		[NGINX_BROKER] = broker_text,
		[NGINX_SIDECAR] = sidecar_text,
	};

	fill(out, c->role == NGINX_SIDECAR && c->grpc ? sidecar_grpc_text : text[c->role], c);
}

/*
 * One worker needs no master. But an nginx without one dies on the first inherited socket (1.22:
 * ngx_event_process_init removes the event of a predecessor that there is not), hence the ingress.
 */
static void put_master(FILE *out, const struct nginx_conf *c)
{
	fputs(c->workers > 1 || c->role == NGINX_INGRESS ? "on" : "off", out);
}

static void put_workers(FILE *out, const struct nginx_conf *c)
{
	fprintf(out, "%u", c->workers);
}

/* Several workers have a socket each: the kernel shares connections out, and no worker wakes for another's. */
static void put_reuseport(FILE *out, const struct nginx_conf *c)
{
	fputs(c->workers > 1 ? " reuseport" : "", out);
}

static void put_dir(FILE *out, const struct nginx_conf *c)
{
	fputs(c->dir, out);
}

static void put_body_max(FILE *out, const struct nginx_conf *c)
{
	fprintf(out, "%u", c->body_max);
}

static void put_timeout(FILE *out, const struct nginx_conf *c)
{
	fprintf(out, "%llums", (unsigned long long)(c->timeout_ns ? c->timeout_ns / NS_PER_MS :
						    86400000));
}

static void put_listen(FILE *out, const struct nginx_conf *c)
{
	put_address(out, c->listen);
}

static void put_listen_calls(FILE *out, const struct nginx_conf *c)
{
	put_address(out, c->listen_calls);
}

static void put_listen_health(FILE *out, const struct nginx_conf *c)
{
	put_address(out, c->listen_health);
}

static void put_upstream(FILE *out, const struct nginx_conf *c)
{
	put_address(out, c->upstream);
}

static const struct {
	const char *name;
	void (*put)(FILE *out, const struct nginx_conf *c);
} places[] = {
	{ "BODY_MAX", put_body_max },
	{ "BROKER", put_upstream },
	{ "CALLS", put_calls },
	{ "DIR", put_dir },
	{ "FUNCTION", put_upstream },
	{ "HEALTH", put_listen_health },
	{ "HOPS", put_hops },
	{ "LISTEN", put_listen },
	{ "LISTEN_CALLS", put_listen_calls },
	{ "MASTER", put_master },
	{ "MODULES", put_modules },
	{ "REUSEPORT", put_reuseport },
	{ "ROLE", put_role },
	{ "TIMEOUT", put_timeout },
	{ "UPSTREAMS", put_upstreams },
	{ "WORKERS", put_workers },
};

/* Copy `text`, with each @NAME@ of the table above filled in; any other @ stands for itself. */
static void fill(FILE *out, const char *text, const struct nginx_conf *c)
{
	const char *at;

	while ((at = strchr(text, '@'))) {
		const char *end = strchr(at + 1, '@');
		size_t i, n = end ? (size_t)(end - at - 1) : 0;

		for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			if (strlen(places[i].name) == n && !memcmp(places[i].name, at + 1, n))
				break;
		if (i == sizeof(places) / sizeof(places[0])) {
			fwrite(text, 1, (size_t)(at + 1 - text), out);
			text = at + 1;
			continue;
		}
		fwrite(text, 1, (size_t)(at - text), out);
		places[i].put(out, c);
		text = end + 1;
	}
	fputs(text, out);
}

char *nginx_conf_render(const struct nginx_conf *c)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	fill(out, nginx_text, c);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* A Lua string; whatever is not plainly printable as \ddd. */
static void put_lua_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		if (*s < ' ' || *s > '~' || *s == '"' || *s == '\\')
			fprintf(out, "\\%03u", (unsigned char)*s);
		else
			fputc(*s, out);
	}
	fputc('"', out);
}

static void put_route(FILE *out, const struct application *app, unsigned topic)
{
	const struct chain *chain = &app->chains[topic];

	fprintf(out, "\t{ topic = \"%u\", path = ", topic);
	put_lua_string(out, chain->path);
	fprintf(out, ", head = \"/_perhop/head/%s\",\n\t  next = { [0] = ",
		app->functions[chain->sequence[0]]->name);
	for (unsigned i = 0; i < chain->length; i++)
		fprintf(out, "%s\"/_perhop/next/%s\"", i ? ", " : "",
			app->functions[chain->sequence[i]]->name);
	fprintf(out, " } },\n");
}

char *nginx_routes_render(const struct application *app, const uint8_t *key)
{
	bool done[TOPIC_MAX] = { false };
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	fprintf(out, "-- [path] = topic, and where positions 0, 1, 2, … are invoked (head: position 0, by HTTP).\n"
		     "return {\n");
	for (unsigned n = 0; n < app->n_chains; n++) {
		unsigned best = 0;

		while (done[best])
			best++;
		for (unsigned t = best + 1; t < app->n_chains; t++)
			if (!done[t] && strlen(app->chains[t].path) > strlen(app->chains[best].path))
				best = t;
		done[best] = true;
		put_route(out, app, best);
	}
	if (key) {
		fprintf(out, "\tkey = \"");
		for (unsigned i = 0; i < SIDECAR_KEY_BYTES; i++)
			fprintf(out, "\\%03u", key[i]);
		fprintf(out, "\",\n");
	}
	fprintf(out, "}\n");
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/*
 * The directives of a template that tune something, comments left out: no paths, nothing of a request's. @NAME@ stays: it is the
 * deployment's, or an option's.
 */
static void put_fixed(FILE *out, const char *who, const char *text)
{
	while (*text) {
		const char *at = text + strspn(text, "\t "), *end = strchr(text, '\n');
		size_t n;

		if (!end)
			end = text + strlen(text);
		text = *end ? end + 1 : end;
		for (n = 0; at + n < end && at[n] != '#'; n++)
			;
		while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
			n--;
		if (n && at[n - 1] == ';' && !memmem(at, n, "@DIR@", 5) && !memchr(at, '$', n) && !memchr(at, '{', n) &&
		    strncmp(at, "return", 6))
			fprintf(out, "%s: %.*s\n", who, (int)n - 1, at);
	}
}

void nginx_settings(FILE *out, bool broker, bool sidecar, bool grpc)
{
	put_fixed(out, "nginx", nginx_text);
	if (broker) {
		put_fixed(out, "ingress", ingress_text);
		put_fixed(out, "broker", broker_text);
		put_fixed(out, "broker's upstreams", upstream_text);
	}
	if (sidecar)
		put_fixed(out, "sidecar", grpc ? sidecar_grpc_text : sidecar_text);
}
