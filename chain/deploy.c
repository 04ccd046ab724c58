/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is whose child:
 *
 *   perhop (supervisor) ──┬── init      PID 1 of the deployment's PID namespace; dies with the supervisor
 *                         ├── gateway          ┐
 *                         ├── instance 1 … n   ├ in that namespace: the kernel ends them with init
 *                         └── nginx …          ┘
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/deploy.h"
#include "chain/deploy_adapters.h"
#include "chain/gateway.h"
#include "chain/netns.h"
#include "chain/process.h"
#include "chain/runtime.h"

enum {
	STOP_GRACE_MS = 1000,       /* between SIGTERM and SIGKILL */
	RECLAIM_GRACE_MS = 1000,    /* for the gateway to take a dead instance's buffers back */
	LISTEN_BACKLOG = 4096,
};

#define WATCH_NS (20 * NS_PER_MS)           /* how often the components are looked after */

void deploy_defaults(struct deploy_config *c)
{
	*c = (struct deploy_config){
		.listen = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		.service = SERVICE_NONE,
		.service_scale = 1,
		.instances = 1,
		.concurrency = CONCURRENCY_DEFAULT,
		.backlog = BACKLOG_DEFAULT,
		.pool_buffers = 1024,
		.buffer_bytes = MESSAGE_BUFFER_DEFAULT,
		.request_timeout_ns = 30 * NS_PER_SEC,
		.seed = 1,
		.start_timeout_ms = 10000,
	};
}

int deploy_error(struct deployment *d, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(d->why, sizeof(d->why), format, ap);
	va_end(ap);
	return error;
}

const char *deploy_instance_name(const struct deployment *d, instance_id id)
{
	if (id == GATEWAY || id >= d->board->instances)
		return "gateway";
	return d->app->functions[d->board->line[id].function]->name;
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- The PID namespace ------------------------------------------------------------------------ */

/* PID 1: reaps orphans until the supervisor is gone. */
static _Noreturn void init_main(int lifeline)
{
	struct pollfd p = { .fd = lifeline, .events = POLLIN };

	prctl(PR_SET_NAME, "perhop-init");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	_exit(0);               /* the write end is closed: the supervisor ended before prctl */
}

static int open_pid_namespace(struct deployment *d)
{
	struct component *c;
	int lifeline[2];
	pid_t pid;

	d->home_pidns_fd = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
	if (d->home_pidns_fd < 0 || unshare(CLONE_NEWPID))
		return 0;               /* no privilege: every child carries PR_SET_PDEATHSIG itself */
	if (pipe2(lifeline, O_CLOEXEC))
		return deploy_error(d, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		close(lifeline[1]);
		init_main(lifeline[0]);
	}
	close(lifeline[0]);
	d->lifeline_fd = lifeline[1];
	if (pid < 0)
		return deploy_error(d, -errno, "fork: %s", strerror(errno));
	c = &d->component[d->components++];
	*c = (struct component){ .kind = COMPONENT_INIT, .instance = INSTANCE_NONE, .pid = pid };
	strcpy(c->name, d->config.pair ? "init@b" : "init");
	d->pidns_fd = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
	if (d->pidns_fd < 0 || setns(d->home_pidns_fd, CLONE_NEWPID))
		return deploy_error(d, -errno, "PID namespace: %s", strerror(errno));
	return 0;
}

/* ---- Children --------------------------------------------------------------------------------- */

enum placement deploy_placement(const struct deploy_config *config, uint32_t flags)
{
	if (config->placement != PLACE_AUTO)
		return config->placement;
	return flags & DP_SHARED_POOL && config->service != SERVICE_SPIN && config->instances == 1 &&
	       config->scaling.mode == SCALE_NONE ? PLACE_SAME_CORE : PLACE_FREE;
}

/* The first core differs from one supervisor to the next, so that two runs need not share one. */
static void place(const struct deployment *d, instance_id id, pid_t supervisor)
{
	enum placement placement = deploy_placement(&d->config, d->flags);
	cpu_set_t may, set;
	int n, want, cpu;

	if (placement == PLACE_FREE || sched_getaffinity(0, sizeof(may), &may))
		return;
	n = CPU_COUNT(&may);
	want = (supervisor + (placement == PLACE_SAME_CORE || id == INSTANCE_NONE ? 0 : id)) % n;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &may) && !want--)
			break;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In the child: nothing of the supervisor's terminal, signals or life outlives it. */
static void settle(struct deployment *d, const char *name, instance_id id, pid_t supervisor)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (d->pidns_fd < 0 && getppid() != supervisor)
		_exit(1);
	if (d->lifeline_fd >= 0)
		close(d->lifeline_fd);
	if (d->pidns_fd >= 0)
		close(d->pidns_fd);
	if (d->home_pidns_fd >= 0)
		close(d->home_pidns_fd);
	if (id != GATEWAY)
		deploy_close_adapters(d);
	place(d, id, supervisor);
}

static struct component *find_component(struct deployment *d, const char *name)
{
	for (unsigned i = 0; i < d->components; i++)
		if (!strcmp(d->component[i].name, name))
			return &d->component[i];
	return NULL;
}

static struct component *add_component(struct deployment *d, const char *name,
				       enum component_kind kind, instance_id instance)
{
	struct component *c = &d->component[d->components++];

	*c = (struct component){ .kind = kind, .instance = instance };
	snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

pid_t deploy_fork(struct deployment *d, const char *name, enum component_kind kind,
		  instance_id instance)
{
	struct component *c = find_component(d, name);
	pid_t supervisor = getpid(), pid;

	if (!c && d->components == COMPONENT_MAX)
		return deploy_error(d, -ENOSPC, "more than %d processes", COMPONENT_MAX);
	if (d->pidns_fd >= 0 && setns(d->pidns_fd, CLONE_NEWPID))
		return deploy_error(d, -errno, "PID namespace: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		settle(d, name, instance, supervisor);
		return 0;
	}
	if (pid < 0)
		deploy_error(d, -errno, "cannot fork %s: %s", name, strerror(errno));
	if (d->pidns_fd >= 0 && setns(d->home_pidns_fd, CLONE_NEWPID))
		return deploy_error(d, -errno, "PID namespace: %s", strerror(errno));
	if (pid < 0)
		return -EAGAIN;
	if (!c)
		c = add_component(d, name, kind, instance);
	c->leaving = false;
	c->pid = pid;
	return pid;
}

pid_t deploy_exec(struct deployment *d, const char *name, enum component_kind kind,
		  instance_id instance, char *const argv[], int (*before)(void *arg), void *arg)
{
	pid_t pid = deploy_fork(d, name, kind, instance);

	if (pid)
		return pid;
	if (!before || !before(arg))
		execvp(argv[0], argv);
	fprintf(stderr, "perhop: %s: cannot start %s: %s\n", name, argv[0], strerror(errno));
	_exit(127);
}

static void component_name(const struct deployment *d, instance_id id, char *out, size_t bytes)
{
	const struct instance_line *line = &d->board->line[id];
	unsigned nth = 0;

	if (id == GATEWAY) {
		snprintf(out, bytes, "gateway%s", d->node && d->node->name == 'b' ? "@b" : "");
		return;
	}
	while (d->board->of[line->function].at[nth] != id)
		nth++;
	if (nth)
		snprintf(out, bytes, "%s-%u", deploy_instance_name(d, id), nth + 1);
	else
		snprintf(out, bytes, "%s", deploy_instance_name(d, id));
}

/* An instance's whole life in its process. */
static int instance_main(struct deployment *d, instance_id id)
{
	struct runtime *r;
	int err;

	close_fd(&d->listen_fd);        /* the clients' and the gateway's: nothing for a function */
	close_fd(&d->wake_fd);
	err = runtime_open(&r, d, id, NULL);
	if (err)
		return err;
	atomic_store(&d->board->line[id].ready_ns, clock_now_ns());
	atomic_store_explicit(&d->board->line[id].state, INSTANCE_READY, memory_order_release);
	err = runtime_loop(r);
	runtime_close(r);
	return err;
}

static int front_main(struct deployment *d)
{
	return d->config.front ? d->config.front(d, d->config.front_arg) : gateway_main(d);
}

int deploy_instance_start(struct deployment *d, instance_id id)
{
	struct instance_line *line = &d->board->line[id];
	char name[SPEC_NAME_MAX];
	pid_t pid;
	int err;

	component_name(d, id, name, sizeof(name));
	atomic_store(&line->load, 0);
	atomic_fetch_add(&line->incarnation, 1);
	atomic_store(&line->state, INSTANCE_STARTING);
	pid = deploy_fork(d, name, id == GATEWAY ? COMPONENT_GATEWAY : COMPONENT_FUNCTION, id);
	if (pid < 0)
		return pid;
	if (!pid) {
		err = d->ops->enter ? d->ops->enter(d, id) : 0;
		if (!err)
			err = id == GATEWAY ? front_main(d) :
			      d->ops->live  ? d->ops->live(d, id, instance_main) :
					      instance_main(d, id);
		if (err)
			fprintf(stderr, "perhop: %s: %s%s%s\n", name, strerror(-err),
				*d->why ? ": " : "", d->why);
		_exit(err ? 1 : 0);
	}
	atomic_store(&line->pid, (uint32_t)pid);
	return d->ops->started ? d->ops->started(d, id) : 0;
}

/* ---- Watching --------------------------------------------------------------------------------- */

static uint64_t rusage_ns(const struct rusage *ru)
{
	return (uint64_t)(ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * NS_PER_SEC +
	       (uint64_t)(ru->ru_utime.tv_usec + ru->ru_stime.tv_usec) * NS_PER_US;
}

/* Has component `c` ended? Then its CPU time and status are kept. */
static bool reap(struct deployment *d, struct component *c, int options)
{
	struct rusage ru;
	pid_t pid;

	if (!c->pid)
		return false;
	do
		pid = wait4(c->pid, &c->status, options, &ru);
	while (pid < 0 && errno == EINTR);
	if (pid != c->pid)
		return false;
	c->gone_cpu_ns += rusage_ns(&ru);
	c->pid = 0;
	if (c->instance != INSTANCE_NONE &&
	    (c->kind == COMPONENT_FUNCTION || c->kind == COMPONENT_GATEWAY)) {
		atomic_store(&d->board->line[c->instance].killed,
			     !WIFEXITED(c->status) || WEXITSTATUS(c->status));
		atomic_store(&d->board->line[c->instance].state, INSTANCE_DEAD);
	}
	return true;
}

static int say_ended(struct deployment *d, const struct component *c)
{
	if (WIFSIGNALED(c->status))
		return deploy_error(d, -ECHILD, "%s was ended by signal %d (%s)", c->name,
				    WTERMSIG(c->status), strsignal(WTERMSIG(c->status)));
	return deploy_error(d, -ECHILD, "%s exited with status %d", c->name,
			    WEXITSTATUS(c->status));
}

void deploy_wake_gateway(struct deployment *d)
{
	(void)!write(d->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/*
 * Start a dead instance again once the gateway has taken its buffers back: those it held are answered
 * with 502, and the new one must not find them.
 */
static int restart(struct deployment *d, struct component *c)
{
	struct instance_line *line = &d->board->line[c->instance];

	if (c->instance != GATEWAY && d->pool)
		for (int ms = 0; ms < RECLAIM_GRACE_MS; ms++) {
			if (atomic_load(&line->reclaimed) == atomic_load(&line->incarnation))
				break;
			deploy_wake_gateway(d);
			sleep_ms(1);
		}
	return deploy_instance_start(d, c->instance);
}

void deploy_instance_end(struct deployment *d, instance_id id, int sig)
{
	for (unsigned i = 0; i < d->components; i++) {
		struct component *c = &d->component[i];

		if (c->instance != id || !c->pid)
			continue;
		c->leaving = true;
		kill(c->pid, sig);
	}
}

bool deploy_instance_ended(const struct deployment *d, instance_id id)
{
	for (unsigned i = 0; i < d->components; i++)
		if (d->component[i].instance == id && d->component[i].pid)
			return false;
	return true;
}

static uint64_t own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Scale. What it costs the supervisor is Knative's autoscaler's and kubelet's work: it is counted. */
static int scale(struct deployment *d)
{
	const uint64_t begin = own_cpu_ns();
	struct component *c;
	int err;

	(void)!read(d->scaling_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
	err = scaling_watch(d->scaling);
	c = find_component(d, "autoscaler");
	if (c)
		c->gone_cpu_ns += own_cpu_ns() - begin;
	return err;
}

uint64_t deploy_watch_ns(const struct deployment *d)
{
	return d->scaling ? scaling_next_ns(d->scaling) : WATCH_NS;
}

/* Does an instance no longer work, though its process is there? Then that is ended. */
static bool hangs(struct deployment *d, const struct component *c)
{
	return d->ops->watch && c->pid && c->kind == COMPONENT_FUNCTION &&
	       d->ops->watch(d, c->instance) && !kill(c->pid, SIGKILL);
}

int deploy_watch(struct deployment *d)
{
	int err = 0, ended;

	deploy_close_unloaded(d);
	for (unsigned i = 0; i < d->components; i++) {
		struct component *c = &d->component[i];

		if ((!reap(d, c, WNOHANG) && !(hangs(d, c) && reap(d, c, 0))) || c->leaving)
			continue;
		ended = say_ended(d, c);
		if (d->config.restart &&
		    (c->kind == COMPONENT_FUNCTION || c->kind == COMPONENT_GATEWAY)) {
			d->restarts++;
			ended = restart(d, c);
		} else if (d->config.restart && d->scaling && c->kind == COMPONENT_SIDECAR) {
			d->restarts++;
			ended = scaling_lost(d->scaling, c->instance);
		} else {
			deploy_wake_gateway(d);
		}
		if (!err)
			err = ended;
	}
	if (d->node && d->node->other) {
		struct deployment *other = d->node->other;
		const unsigned restarts = other->restarts;

		ended = deploy_watch(other);
		if (ended || other->restarts != restarts)
			deploy_error(d, ended, "%.500s", other->why);
		d->restarts += other->restarts - restarts;
		err = err ? err : ended;
	}
	return err || !d->scaling ? err : scale(d);
}

unsigned deploy_components(const struct deployment *d)
{
	return d->components + (d->node && d->node->other ? d->node->other->components : 0);
}

const struct component *deploy_component(const struct deployment *d, unsigned i)
{
	return i < d->components ? &d->component[i] : &d->node->other->component[i - d->components];
}

/* A foreign program may do its work in children of its own, as nginx does in its workers. */
static uint64_t children_cpu_ns(pid_t pid)
{
	pid_t child[PROCESS_WORKERS];
	const unsigned n = process_children(pid, child, PROCESS_WORKERS);
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += process_cpu_ns(child[i]);
	return sum;
}

uint64_t deploy_cpu_ns(const struct deployment *d, unsigned i)
{
	const struct component *c = deploy_component(d, i);
	uint64_t ns = c->gone_cpu_ns;

	if (!c->pid)
		return ns;
	ns += process_cpu_ns(c->pid);
	if (c->kind == COMPONENT_INGRESS || c->kind == COMPONENT_BROKER ||
	    c->kind == COMPONENT_SIDECAR)
		ns += children_cpu_ns(c->pid);
	return ns;
}

/* ---- Start ------------------------------------------------------------------------------------ */

static int open_listener(struct deployment *d)
{
	socklen_t length = sizeof(d->address);
	char text[INET_ADDRSTRLEN];
	int one = 1;

	if (d->network.client_node)
		d->config.listen.sin_addr = network_listen_address(&d->network);
	d->listen_fd = netns_socket(network_listen_netns(&d->network), AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (d->listen_fd < 0)
		return deploy_error(d, d->listen_fd, "cannot make a socket: %s", strerror(-d->listen_fd));
	if (setsockopt(d->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(d->listen_fd, (struct sockaddr *)&d->config.listen, sizeof(d->config.listen)) ||
	    listen(d->listen_fd, LISTEN_BACKLOG) ||
	    getsockname(d->listen_fd, (struct sockaddr *)&d->address, &length)) {
		inet_ntop(AF_INET, &d->config.listen.sin_addr, text, sizeof(text));
		return deploy_error(d, -errno, "cannot listen on %s:%u: %s", text,
				    ntohs(d->config.listen.sin_port), strerror(errno));
	}
	return 0;
}

static int add_instance(struct board *b, const struct deploy_config *c, function_id f)
{
	instance_id id = (instance_id)b->instances;

	if (id == INSTANCE_MAX)
		return -ENOSPC;
	b->instances++;
	b->line[id].function = f;
	b->line[id].concurrency = (uint16_t)c->concurrency;
	b->line[id].backlog = c->backlog;
	b->of[f].at[b->of[f].count++] = id;
	return 0;
}

static int make_board(struct deployment *d)
{
	const struct application *app = d->app;
	struct board *b;
	int err = 0;

	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED)
		return deploy_error(d, -errno, "cannot map the board: %s", strerror(errno));
	d->board = b;
	b->instances = 1;
	b->functions = app->n_functions;
	b->topics = app->n_chains;
	b->line[GATEWAY].function = FUNCTION_NONE;
	for (unsigned f = 0; f < app->n_functions; f++) {
		unsigned want = d->flags & DP_ONE_PROCESS ? 1 :
				scaling_lines(&d->config.scaling, app, (function_id)f,
					      d->config.instances);

		if (!node_has(d->node, f)) {
			b->remote |= 1u << f;
			continue;
		}
		for (unsigned i = 0; i < want && !err; i++)
			err = add_instance(b, &d->config, (function_id)f);
	}
	if (err)
		return deploy_error(d, err, "more than %d instances", INSTANCE_MAX - 1);
	for (unsigned t = 0; t < app->n_chains && !err; t++)
		err = route_update(b, (uint16_t)t, app->chains[t].sequence, app->chains[t].length);
	return err ? deploy_error(d, err, "%s has an unsound chain", app->spec.name) : 0;
}

bool deploy_begins(const struct deployment *d, instance_id id)
{
	const struct board *b = d->board;

	if (id == GATEWAY)
		return true;
	for (unsigned i = 0; i < d->config.instances && i < b->of[b->line[id].function].count; i++)
		if (b->of[b->line[id].function].at[i] == id)
			return true;
	return false;
}

/*
 * Wait until instances `id` … `last` are ready. A child that ends, or a timeout, ends the start.
 */
static int barrier(struct deployment *d, instance_id id, instance_id last)
{
	uint64_t end = clock_now_ns() + d->config.start_timeout_ms * NS_PER_MS;

	while (id <= last) {
		if (atomic_load(&d->board->line[id].state) == INSTANCE_READY ||
		    !deploy_begins(d, id)) {
			id++;
			continue;
		}
		if (deploy_watch(d))
			return -ECHILD;
		if (clock_now_ns() > end)
			return deploy_error(d, -ETIMEDOUT, "%s was not ready after %u ms",
					    deploy_instance_name(d, id), d->config.start_timeout_ms);
		sleep_ms(1);
	}
	return 0;
}

/* The gateway comes last: a client that is early waits in the listener's backlog, not for a 502. */
static int start_all(struct deployment *d)
{
	instance_id last = (instance_id)(d->board->instances - 1);
	int err = 0;

	if (!(d->flags & DP_ONE_PROCESS)) {
		for (instance_id id = 1; id <= last && !err; id++)
			err = deploy_begins(d, id) ? deploy_instance_start(d, id) : 0;
		if (!err)
			err = barrier(d, 1, last);
	}
	if (!err && !(d->flags & DP_OWN_INGRESS)) {
		err = deploy_instance_start(d, GATEWAY);
		if (!err)
			err = barrier(d, GATEWAY, GATEWAY);
	}
	if (!err && d->ops->opened)
		err = d->ops->opened(d);
	return err;
}

/* Once all that begins is there. */
static int start_scaling(struct deployment *d)
{
	if (d->config.scaling.mode == SCALE_NONE || d->flags & DP_ONE_PROCESS)
		return 0;
	if (d->components == COMPONENT_MAX)
		return deploy_error(d, -ENOSPC, "more than %d processes", COMPONENT_MAX);
	add_component(d, "autoscaler", COMPONENT_AUTOSCALER, INSTANCE_NONE);
	return scaling_open(&d->scaling, d);
}

int deploy_start(struct deployment *d, const struct dataplane_ops *ops, const struct spec *spec,
		 const struct application *app, const struct deploy_config *config)
{
	bool restart_wanted = config->restart;
	int err;

	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->spec = *spec;
	d->app = app;
	d->config = *config;
	d->config.restart = false;      /* who dies before the barrier opens is a failed start */
	d->flags = dataplane_flags(ops, spec);
	network_init(&d->network);
	d->listen_fd = d->wake_fd = d->scaling_fd = -1;
	d->lifeline_fd = d->pidns_fd = d->home_pidns_fd = -1;
	deploy_no_adapters(d);
	err = scaling_parse(&d->config.scaling, spec, ops->options, d->why, sizeof(d->why));
	if (err)
		goto out;
	err = app->prepare && !config->pair ? app->prepare(app, d->why, sizeof(d->why)) : 0;
	if (!err)
		err = node_open(d);
	if (!err)
		err = make_board(d);
	if (!err && !config->pair)
		err = network_make(&d->network, spec, d->why, sizeof(d->why));
	if (!err)
		err = open_listener(d);
	if (err)
		goto out;
	d->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->scaling_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = d->wake_fd < 0 || d->scaling_fd < 0 ? deploy_error(d, -errno, "eventfd: %s", strerror(errno)) : 0;
	if (!err && d->flags & DP_SHARED_POOL) {
		err = pool_create(&d->pool, config->pool_buffers, config->buffer_bytes,
				  POOL_SHARED | (d->flags & DP_SMALL_PAGES ? 0 : POOL_HUGEPAGES) |
					  (d->flags & DP_ZEROED ? POOL_ZERO : 0));
		if (err)
			deploy_error(d, err, "cannot make a pool of %u × %u bytes: %s",
				     config->pool_buffers, config->buffer_bytes, strerror(-err));
	}
	if (!err)
		err = open_pid_namespace(d);
	if (!err)
		err = deploy_open_adapters(d); /* after init was forked, which would hold their sockets */
	if (!err) {
		d->set_up = true;
		err = ops->setup ? ops->setup(d) : 0;
	}
	if (!err)
		err = node_start_other(d);
	if (!err)
		err = start_all(d);
	if (!err)
		err = node_wait(d);
	if (!err)
		err = start_scaling(d);
	d->config.restart = restart_wanted;
	if (d->node && d->node->other)
		d->node->other->config.restart = restart_wanted;
out:
	if (err) {
		if (!*d->why)
			deploy_error(d, err, "%s: %s", spec->text, strerror(-err));
		deploy_stop(d);
	}
	return err;
}

/* ---- Stop ------------------------------------------------------------------------------------- */

static bool any_alive(struct deployment *d)
{
	bool alive = false;

	for (unsigned i = 0; i < d->components; i++) {
		struct component *c = &d->component[i];

		reap(d, c, WNOHANG);
		alive |= c->pid && c->kind != COMPONENT_INIT;
	}
	return alive;
}

/* Init ends by SIGKILL only: another node's processes may hold its lifeline, too. */
static void signal_all(struct deployment *d, int sig)
{
	for (unsigned i = 0; i < d->components; i++)
		if (d->component[i].pid && (d->component[i].kind != COMPONENT_INIT || sig == SIGKILL))
			kill(d->component[i].pid, sig);
}

void deploy_stop(struct deployment *d)
{
	scaling_close(d->scaling);
	d->scaling = NULL;
	if (d->board) {
		atomic_store(&d->board->stop, 1);
		deploy_wake_gateway(d);
	}
	/* Repeated: a SIGTERM just before a blocking call leaves no trace in it. */
	for (int ms = 0; ms < STOP_GRACE_MS && any_alive(d); ms += 5) {
		if (ms % 50 == 0)
			signal_all(d, SIGTERM);
		sleep_ms(5);
	}
	signal_all(d, SIGKILL);
	if (d->lifeline_fd >= 0)
		close(d->lifeline_fd);          /* init ends, and the kernel ends what is left */
	/* Init is the first of them and comes last: it cannot end before the others are reaped. */
	for (unsigned i = d->components; i-- > 0;)
		reap(d, &d->component[i], 0);
	if (d->set_up && d->ops->teardown)
		d->ops->teardown(d);
	network_drop(&d->network);
	node_close(d);
	pool_destroy(d->pool);
	if (d->board)
		munmap(d->board, sizeof(*d->board));
	deploy_close_adapters(d);
	close_fd(&d->listen_fd);
	close_fd(&d->wake_fd);
	close_fd(&d->scaling_fd);
	close_fd(&d->pidns_fd);
	close_fd(&d->home_pidns_fd);
	d->pool = NULL;
	d->board = NULL;
	d->set_up = false;
	d->lifeline_fd = -1;
}
