/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel:knative, kernel:http and kernel:grpc: functions as HTTP/1.1 or gRPC servers, hops through the
 * kernel's TCP/IP. This file puts the parts together: pods (pods.c), nginx and queue-proxy beside the
 * functions, and an endpoint in each of perhop's own processes, for HTTP (engine.c) or gRPC (grpc.c).
 *
 *   knative   client ─> ingress (nginx) ─> broker (nginx, Lua) ⇄ [sidecar ─> function] per hop
 *   http      client ─> perhop's gateway ─> function ─> function …
 *   grpc      likewise, by gRPC; functions can be called from outside as well
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "dataplanes/kernel/grpc.h"
#include "dataplanes/kernel/kernel.h"
#include "chain/netns.h"
#include "dataplanes/kernel/nginx.h"
#include "dataplanes/kernel/queue_proxy.h"

enum {
	CONNS_MAX = 16384,          /* of each kind in one process */
	QUEUE_PROXY_QUEUE = BACKLOG_DEFAULT,
};

const struct option_spec kernel_options[] = {
	{ "pods", "netns|host", "netns", "a network namespace per pod, or ports on the loopback" },
	{ "sidecar", "auto|nginx|queue-proxy|none", "auto",
	  "proxy before each function; auto: nginx for knative, none for http and grpc" },
	{ "handlers", "TEXT", "none",
	  "of queue-proxy: none, all, or in this order metrics+trace+auth+rate+timeout+retry+breaker+log" },
	{ "workers", "1..8", "1", "processes of each nginx" },
	{ "expose", "yes|no", "yes",
	  "of grpc: each function is served on a port of the host's loopback, too (perhop serve lists them)" },
	SCALING_OPTIONS("none|load|zero"),
	SCALING_ZERO_OPTIONS,
	NODE_PLACE_OPTIONS,
	{ NULL },
};

/* A mode is what lies between the client and the functions. */
struct mode {
	const char *name;
	bool broker;                /* nginx ingress and broker; else perhop's gateway */
	bool grpc;                  /* hops by gRPC; else HTTP/1.1 */
	const char *sidecar;        /* what `auto` means */
};

static const struct mode modes[] = {
	{ "knative", true, false, "nginx" },
	{ "http", false, false, "none" },
	{ "grpc", false, true, "none" },
};

static const struct mode *mode_of(const struct spec *spec)
{
	for (unsigned i = 1; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(spec->mode, modes[i].name))
			return &modes[i];
	return &modes[0];
}

static const char *value(const struct spec *spec, const char *key)
{
	return spec_value(spec, kernel_options, key);
}

static bool own_netns(const struct spec *spec)
{
	return !strcmp(value(spec, "pods"), "netns");
}

static enum sidecar_kind sidecar_of(const struct spec *spec)
{
	const char *s = value(spec, "sidecar");

	if (!strcmp(s, "auto"))
		s = mode_of(spec)->sidecar;
	return !strcmp(s, "nginx") ? SIDECAR_NGINX :
	       !strcmp(s, "queue-proxy") ? SIDECAR_QUEUE_PROXY : SIDECAR_NONE;
}

static uint32_t kernel_flags(const struct spec *spec)
{
	return (mode_of(spec)->broker ? DP_OWN_INGRESS : 0) |
	       (strcmp(value(spec, "scale"), "none") ? DP_PICKS : 0) |
	       (own_netns(spec) ? DP_NEEDS_ROOT : 0);
}

/* ---- Probe ------------------------------------------------------------------------------------ */

static bool may_make_namespaces(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	const uint32_t need = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN;

	return !syscall(SYS_capget, &head, data) && (data[0].effective & need) == need;
}

static void kernel_probe(const struct spec *spec, struct probe_report *r)
{
	const bool broker = mode_of(spec)->broker, nginx = sidecar_of(spec) == SIDECAR_NGINX;
	struct sidecar_config handlers;
	const char *why = NULL;

	if (sidecar_parse(&handlers, value(spec, "handlers")) ||
	    (handlers.n && sidecar_of(spec) != SIDECAR_QUEUE_PROXY))
		why = "handlers= needs sidecar=queue-proxy, and names joined by '+', each once: metrics, trace, auth, "
		      "rate, timeout, retry, breaker, log";
	else if (mode_of(spec)->grpc && sidecar_of(spec) == SIDECAR_QUEUE_PROXY)
		why = "queue-proxy speaks HTTP/1.1; before gRPC there can be sidecar=nginx";
	else if (strcmp(value(spec, "scale"), "none") && !broker)
		why = "scale= needs the activator of kernel:knative";
	else if (!own_netns(spec) && (broker || sidecar_of(spec) != SIDECAR_NONE))
		why = "ingress, broker and sidecars need pods=netns (kernel:http and kernel:grpc with pods=host run "
		      "without)";
	else if (node_wanted(spec, kernel_options) && !own_netns(spec))
		why = "nodes=2 needs pods=netns: what is on the host's loopback is on no node";
	else if (node_wanted(spec, kernel_options) &&
		 strcmp(spec_value(spec, network_options, "accel"), "none"))
		why = "accel= takes frames past one node's stack: not with nodes=2";
	else if (own_netns(spec) && !may_make_namespaces())
		why = "network namespaces need root (CAP_SYS_ADMIN, CAP_NET_ADMIN); "
		      "kernel:http and kernel:grpc with pods=host run without";
	else if ((broker || nginx) && !nginx_program())
		why = "nginx is not installed (Debian: nginx-light)";
	else if (broker && !nginx_lua_modules())
		why = "nginx's Lua module is not installed (Debian: libnginx-mod-http-lua)";
	r->ok = !why;
	snprintf(r->reason, sizeof(r->reason), "%s", why ? why : "");
}

/* ---- Parent: what endpoints share ------------------------------------------------------------- */

/* Limits as sure's options have them by default. */
static int configure_handlers(struct kernel *k, const struct spec *spec)
{
	struct sidecar_config *c = &k->handlers;
	int err = sidecar_parse(c, value(spec, "handlers"));

	c->rate = 1000000;
	c->timeout_ns = 30 * NS_PER_SEC;
	c->retries = c->has & 1u << SIDECAR_RETRY ? 3 : 0;
	c->breaker_failures = 5;
	c->breaker_ns = NS_PER_SEC;
	if (!err && getrandom(c->key, sizeof(c->key), 0) != sizeof(c->key))
		err = -EIO;
	sidecar_open(&k->signer, c, NULL);
	return err;
}

static bool signs(const struct kernel *k)
{
	return k->handlers.has & 1u << SIDECAR_AUTH;
}

static int kernel_setup(struct deployment *d)
{
	struct kernel *k = calloc(1, sizeof(*k));
	struct probe_report report;
	int err;

	if (!k)
		return -ENOMEM;
	d->priv = k;
	pods_init(k);
	kernel_probe(&d->spec, &report);
	if (!report.ok)
		return deploy_error(d, -ENOTSUP, "%s", report.reason);
	k->broker = mode_of(&d->spec)->broker;
	k->grpc = mode_of(&d->spec)->grpc;
	k->expose = k->grpc && !strcmp(value(&d->spec, "expose"), "yes");
	k->own_netns = own_netns(&d->spec);
	k->sidecar = sidecar_of(&d->spec);
	k->workers = (unsigned)spec_number(&d->spec, kernel_options, "workers");
	err = configure_handlers(k, &d->spec);
	if (err)
		return deploy_error(d, err, "handlers=%s is not sound", value(&d->spec, "handlers"));
	k->counters = mmap(NULL, INSTANCE_MAX * sizeof(*k->counters), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->counters == MAP_FAILED) {
		k->counters = NULL;
		return -errno;
	}
	/* Non-blocking: when nobody reads, nginx's words are lost, but nginx does not hang on them. */
	if (pipe2(k->log, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	err = pods_make(d, k);
	return err || d->config.scaling.mode == SCALE_NONE ? err : lifecycle_setup(d, k);
}

static void kernel_teardown(struct deployment *d)
{
	struct kernel *k = d->priv;

	if (!k)
		return;
	lifecycle_drop(k);
	pods_drop(k);
	for (unsigned i = 0; i < 2; i++)
		if (k->log[i] >= 0)
			close(k->log[i]);
	if (k->counters)
		munmap(k->counters, INSTANCE_MAX * sizeof(*k->counters));
	free(k);
	d->priv = NULL;
}

/* ---- Parent: sidecars, broker, ingress -------------------------------------------------------- */

static struct nginx_launch launch_of(const struct deployment *d, enum nginx_role role,
				     const char *name, instance_id id, const struct pod *p)
{
	static const enum component_kind kinds[] = {
		[NGINX_INGRESS] = COMPONENT_INGRESS,
		[NGINX_BROKER] = COMPONENT_BROKER,
		[NGINX_SIDECAR] = COMPONENT_SIDECAR,
	};
	const struct kernel *k = d->priv;

	return (struct nginx_launch){
		.name = name,
		.kind = kinds[role],
		.instance = id,
		.netns = p->netns,
		.listen_fd = -1,
		.log_fd = k->log[1],
		.conf = {
			.role = role,
			.grpc = k->grpc,
			.dir = "/run",
			.modules = nginx_lua_modules(),
			.workers = k->workers,
			.body_max = d->config.buffer_bytes,
			.timeout_ns = d->config.request_timeout_ns,
			.listen = p->at,
			.upstream = p->serve,
			.app = d->app,
			.board = d->board,
			.target = k->target,
			.front = k->activators ? k->front : NULL,
			.key = signs(k) ? k->handlers.key : NULL,
		},
	};
}

/* queue-proxy's whole life, in its own process. */
static _Noreturn void run_queue_proxy(const struct deployment *d, const struct pod *p, int listen_fd,
				      int metrics_fd)
{
	const struct queue_proxy_config c = {
		.listen_fd = listen_fd,
		.metrics_fd = metrics_fd,
		.function = p->serve,
		.clients = d->config.pool_buffers < CONNS_MAX ? d->config.pool_buffers : CONNS_MAX,
		.limit = d->config.concurrency,
		.queue = QUEUE_PROXY_QUEUE,
		.body_max = d->config.buffer_bytes,
		.timeout_ns = d->config.request_timeout_ns,
		.handlers = &((const struct kernel *)d->priv)->handlers,
	};
	int err = setns(p->netns, CLONE_NEWNET) ? -errno : queue_proxy_run(&c);

	fprintf(stderr, "perhop: queue-proxy: %s\n", strerror(-err));
	_exit(1);
}

static int start_queue_proxy(struct deployment *d, const char *name, instance_id id)
{
	const struct pod *p = &((struct kernel *)d->priv)->pod[id];
	struct sockaddr_in metrics = p->at;
	int fd, metrics_fd;
	pid_t pid;

	metrics.sin_port = htons(PORT_METRICS);
	fd = netns_listen(p->netns, &p->at, LISTEN_BACKLOG);
	metrics_fd = netns_listen(p->netns, &metrics, LISTEN_BACKLOG);
	if (fd < 0 || metrics_fd < 0)
		pid = deploy_error(d, fd < 0 ? fd : metrics_fd, "%s cannot listen", name);
	else
		pid = deploy_fork(d, name, COMPONENT_SIDECAR, id);
	if (!pid)
		run_queue_proxy(d, p, fd, metrics_fd);
	if (fd >= 0)
		close(fd);
	if (metrics_fd >= 0)
		close(metrics_fd);
	return pid < 0 ? pid : 0;
}

/* Where an nginx in `p` says that it is ready: a port that speaks HTTP/2 does not speak HTTP/1.1. */
static struct sockaddr_in health_of(const struct kernel *k, const struct pod *p)
{
	struct sockaddr_in at = p->at;

	if (k->grpc)
		at.sin_port = htons(PORT_METRICS);
	return at;
}

/* The name under which deploy lists instance `id`. */
static const char *component_of(const struct deployment *d, instance_id id)
{
	for (unsigned i = 0; i < d->components; i++)
		if (d->component[i].kind == COMPONENT_FUNCTION && d->component[i].instance == id)
			return d->component[i].name;
	return deploy_instance_name(d, id);
}

/* An instance was started, or started again: its sidecar stays. */
static int kernel_started(struct deployment *d, instance_id id)
{
	struct kernel *k = d->priv;
	struct nginx_launch l;
	char name[64];

	if (id == GATEWAY || k->sidecar == SIDECAR_NONE || k->pod[id].sidecar)
		return 0;
	snprintf(name, sizeof(name), "%s/sidecar", component_of(d, id));
	k->pod[id].sidecar = true;
	if (k->sidecar == SIDECAR_QUEUE_PROXY)
		return start_queue_proxy(d, name, id);
	l = launch_of(d, NGINX_SIDECAR, name, id, &k->pod[id]);
	l.conf.listen_health = health_of(k, &k->pod[id]);
	return nginx_start(d, &l);
}

static int start_broker(struct deployment *d)
{
	const struct kernel *k = d->priv;
	struct nginx_launch l = launch_of(d, NGINX_BROKER, "broker", INSTANCE_NONE,
					  &k->pod[POD_BROKER]);

	l.conf.listen_calls = k->calls;
	return nginx_start(d, &l);
}

/*
 * The ingress serves the socket that perhop has bound in the caller's namespace, so that clients
 * connect to the host; what it connects to, it reaches from its own pod.
 */
static int start_ingress(struct deployment *d)
{
	const struct kernel *k = d->priv;
	struct nginx_launch l = launch_of(d, NGINX_INGRESS, "ingress", INSTANCE_NONE,
					  &k->pod[POD_INGRESS]);

	l.listen_fd = d->listen_fd;
	l.conf.listen = d->address;
	l.conf.upstream = k->pod[POD_BROKER].at;
	return nginx_start(d, &l);
}

static int wait_for(struct deployment *d, const char *name, const struct pod *p)
{
	const struct kernel *k = d->priv;
	const struct sockaddr_in at = health_of(k, p);

	return nginx_wait(d, name, p->netns, &at, k->log[0]);
}

static int kernel_opened(struct deployment *d)
{
	const struct kernel *k = d->priv;
	struct sockaddr_in door = d->address;
	int err = k->activators ? lifecycle_start(d) : 0;

	if (!err && k->broker)
		err = start_broker(d);

	/* queue-proxy needs no waiting: it listened before it was forked. */
	for (instance_id id = 1; id < d->board->instances && !err; id++)
		if (k->sidecar == SIDECAR_NGINX && deploy_begins(d, id))
			err = wait_for(d, component_of(d, id), &k->pod[id]);
	if (err || !k->broker)
		return err;
	err = wait_for(d, "the broker", &k->pod[POD_BROKER]);
	/* Last: clients may be waiting at its socket already. */
	if (!err)
		err = start_ingress(d);
	if (door.sin_addr.s_addr == htonl(INADDR_ANY))
		door.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return err ? err : nginx_wait(d, "the ingress", d->network.client, &door, k->log[0]);
}

/* ---- Child ------------------------------------------------------------------------------------ */

static int kernel_enter(struct deployment *d, instance_id id)
{
	struct kernel *k = d->priv;
	int netns = k->pod[id].netns;

	/* A function passes tokens on; it makes none. */
	if (id != GATEWAY) {
		OPENSSL_cleanse(k->handlers.key, sizeof(k->handlers.key));
		OPENSSL_cleanse(&k->signer, sizeof(k->signer));
	}
	/* While still on the host. On the host the pod's own address is the door. */
	if (netns >= 0 && k->pod[id].door.sin_port) {
		k->door_fd = netns_listen(-1, &k->pod[id].door, LISTEN_BACKLOG);
		if (k->door_fd < 0)
			return deploy_error(d, k->door_fd, "cannot listen on the host's loopback: %s",
					    strerror(-k->door_fd));
	}
	if (netns >= 0 && setns(netns, CLONE_NEWNET))
		return deploy_error(d, -errno, "cannot enter the pod's namespace: %s",
				    strerror(errno));
	return 0;
}

static int kernel_attach(struct endpoint *ep)
{
	struct deployment *d = ep->deployment;
	const struct kernel *k = d->priv;
	const unsigned conns = d->config.pool_buffers < CONNS_MAX ? d->config.pool_buffers :
								   CONNS_MAX;
	const struct engine_config c = {
		.app = d->app,
		.board = d->board,
		.self = ep->self,
		.listen = ep->self == GATEWAY ? NULL : &k->pod[ep->self].serve,
		.target = k->target,
		.broker = k->broker ? &k->calls : NULL,
		.servers = ep->self == GATEWAY ? 0 : conns,
		.clients = conns,
		.body_max = d->config.buffer_bytes,
		.timeout_ns = d->config.request_timeout_ns,
		.counters = &k->counters[ep->self],
	};
	struct engine *e;
	struct grpc *g;
	int err;

	/* A pool of its own: what copies has nothing to share. */
	err = pool_create(&ep->pool, d->config.pool_buffers, d->config.buffer_bytes, 0);
	if (err)
		return deploy_error(d, err, "cannot make a pool: %s", strerror(-err));
	err = k->grpc ? grpc_open(&g, &c, k->door_fd, ep->pool) : engine_open(&e, &c, ep->pool);
	if (err)
		return deploy_error(d, err, "cannot open the %s endpoint: %s",
				    k->grpc ? "gRPC" : "HTTP", strerror(-err));
	ep->priv = k->grpc ? (void *)g : (void *)e;
	ep->poll_fd = k->grpc ? grpc_fd(g) : engine_fd(e);
	return 0;
}

static bool speaks_grpc(const struct endpoint *ep)
{
	return ((const struct kernel *)ep->deployment->priv)->grpc;
}

static void kernel_detach(struct endpoint *ep)
{
	if (speaks_grpc(ep))
		grpc_close(ep->priv);
	else
		engine_close(ep->priv);
	pool_destroy(ep->pool);
	ep->priv = NULL;
	ep->pool = NULL;
}

static int kernel_send(struct endpoint *ep, instance_id to, struct message *m)
{
	const struct kernel *k = ep->deployment->priv;

	if (ep->self == GATEWAY && signs(k))
		sidecar_tag(&k->signer, m->id, m->topic, m->tag);
	return speaks_grpc(ep) ? grpc_send(ep->priv, to, m) : engine_send(ep->priv, to, m);
}

/* HTTP/1.1 has been sent already: each message on a connection of its own. */
static int kernel_flush(struct endpoint *ep)
{
	return speaks_grpc(ep) ? grpc_flush(ep->priv) : 0;
}

static int kernel_recv_wait(struct endpoint *ep, struct message **batch, int max, int64_t timeout_ns)
{
	return speaks_grpc(ep) ? grpc_recv(ep->priv, batch, max, timeout_ns) :
				 engine_recv(ep->priv, batch, max, timeout_ns);
}

static int kernel_recv(struct endpoint *ep, struct message **batch, int max)
{
	return kernel_recv_wait(ep, batch, max, 0);
}

static bool kernel_arm(struct endpoint *ep)
{
	return speaks_grpc(ep) ? grpc_pending(ep->priv) : engine_pending(ep->priv);
}

static int kernel_address(const struct deployment *d, instance_id id, struct sockaddr_in *at)
{
	const struct kernel *k = d->priv;

	if (id == GATEWAY || !k->pod[id].door.sin_port)
		return -ENOENT;
	*at = k->pod[id].door;
	return 0;
}

static void kernel_page(const struct deployment *d, FILE *f)
{
	static const struct { const char *name; size_t at; } series[] = {
		{ "requests", offsetof(struct engine_counters, requests) },
		{ "calls", offsetof(struct engine_counters, calls) },
		{ "connects", offsetof(struct engine_counters, connects) },
		{ "accepts", offsetof(struct engine_counters, accepts) },
		{ "refused", offsetof(struct engine_counters, refused) },
		{ "broken", offsetof(struct engine_counters, broken) },
		{ "timeouts", offsetof(struct engine_counters, timeouts) },
		{ "retried", offsetof(struct engine_counters, retried) },
		{ "aborted", offsetof(struct engine_counters, aborted) },
	};
	const struct kernel *k = d->priv;

	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
		fprintf(f, "# TYPE perhop_engine_%s_total counter\n", series[i].name);
		for (instance_id id = 0; id < d->board->instances; id++) {
			const char *counters = (const char *)&k->counters[id];

			if (id == GATEWAY && k->broker)
				continue;
			fprintf(f, "perhop_engine_%s_total{function=\"%s\",instance=\"%u\"} %llu\n", series[i].name,
				deploy_instance_name(d, id), id, (unsigned long long)
				atomic_load((_Atomic uint64_t *)(uintptr_t)(counters + series[i].at)));
		}
	}
}

static void kernel_settings(const struct spec *spec, FILE *f)
{
	const struct mode *m = mode_of(spec);
	const bool nginx = sidecar_of(spec) == SIDECAR_NGINX;

	fprintf(f, "endpoint: TCP_NODELAY\nendpoint: listen backlog %d\nendpoint: %s taken and made, as many as buffers, at most "
		"%d each\n", LISTEN_BACKLOG, m->grpc ? "calls" : "connections", CONNS_MAX);
	if (sidecar_of(spec) == SIDECAR_QUEUE_PROXY)
		fprintf(f, "queue-proxy: requests that may wait %d\n", QUEUE_PROXY_QUEUE);
	if (m->grpc)
		grpc_settings(f);
	else
		engine_settings(f);
	if (m->broker || nginx)
		nginx_settings(f, m->broker, nginx, m->grpc);
}

const struct dataplane_ops dataplane_kernel = {
	.version = DATAPLANE_VERSION,
	.name = "kernel",
	.summary = "the kernel's TCP/IP: Knative's pipeline, or function to function by HTTP/1.1 or gRPC",
	.modes = "knative|http|grpc",
	.flags = DP_NEEDS_ROOT | DP_OWN_INGRESS,
	.flags_of = kernel_flags,
	.options = kernel_options,
	.probe = kernel_probe,
	.setup = kernel_setup,
	.started = kernel_started,
	.opened = kernel_opened,
	.enter = kernel_enter,
	.attach = kernel_attach,
	.send = kernel_send,
	.flush = kernel_flush,
	.recv = kernel_recv,
	.recv_wait = kernel_recv_wait,
	.arm = kernel_arm,
	.detach = kernel_detach,
	.teardown = kernel_teardown,
	.address = kernel_address,
	.scaling = &kernel_scaling,
	.page = kernel_page,
	.settings = kernel_settings,
};
