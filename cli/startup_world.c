/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "chain/clock.h"
#include "chain/codec.h"
#include "chain/http.h"
#include "chain/process.h"
#include "cli/startup.h"

enum {
	BUFFERS = 64,
	LOOK_NS = 50 * 1000,                /* between two looks for answers: the error of a measurement */
};

static const char request[] = "GET / HTTP/1.1\r\nHost: startup\r\n\r\n";

/* A board for n instances of the workload's first function. */
static int make_board(struct startup_world *w)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		return -errno;
	w->d.board = b;
	b->instances = w->n + 1;
	b->functions = b->topics = 1;
	b->line[GATEWAY].function = FUNCTION_NONE;
	for (instance_id id = 1; id <= w->n; id++) {
		b->line[id].concurrency = CONCURRENCY_DEFAULT;
		b->line[id].backlog = BACKLOG_DEFAULT;
		b->of[0].at[b->of[0].count++] = id;
	}
	return route_update(b, 0, w->app.chains[0].sequence, w->app.chains[0].length);
}

int world_open(struct startup_world *w, unsigned n, const char *kernel)
{
	struct deployment *d = &w->d;
	int err;

	memset(w, 0, sizeof(*w));
	w->n = n;
	w->kernel = kernel;
	w->function_fd = w->initrd_fd = w->zygote_in = w->lifeline = -1;
	d->wake_fd = d->listen_fd = d->lifeline_fd = d->pidns_fd = d->home_pidns_fd = -1;
	err = application_open(&w->app, &w->workload, "echo,length=1", d->why, sizeof(d->why));
	if (!err)
		err = dataplane_open(&d->spec, &d->ops, "sure:unikernel,wait=block,memory=8,slots=64",
				     d->why, sizeof(d->why));
	if (err)
		return err;
	w->open = true;
	deploy_defaults(&d->config);
	d->config.pool_buffers = BUFFERS;
	d->app = &w->app;
	d->flags = dataplane_flags(d->ops, &d->spec);
	err = make_board(w);
	if (!err)
		err = pool_create(&d->pool, BUFFERS, d->config.buffer_bytes, POOL_SHARED);
	if (err)
		return deploy_error(d, err, "cannot make board and pool: %s", strerror(-err));
	err = d->ops->setup(d);
	if (err)
		return err;
	w->ep = (struct endpoint){ .deployment = d, .self = GATEWAY, .pool = d->pool, .poll_fd = -1 };
	err = d->ops->attach(&w->ep);
	w->attached = !err;
	return err ? deploy_error(d, err, "cannot attach: %s", strerror(-err)) : 0;
}

void world_close(struct startup_world *w)
{
	struct deployment *d = &w->d;

	if (!w->open)
		return;
	for (instance_id id = 1; id <= w->n; id++)
		if (w->pid[id] > 0)
			kill(w->pid[id], SIGKILL);
	for (instance_id id = 1; id <= w->n; id++)
		if (w->pid[id] > 0)
			waitpid(w->pid[id], NULL, 0);
	if (w->attached)
		d->ops->detach(&w->ep);
	d->ops->teardown(d);
	pool_destroy(d->pool);
	if (d->board)
		munmap(d->board, sizeof(*d->board));
	if (w->workload->release)
		w->workload->release(&w->app);
	w->open = false;
}

int world_ask(struct startup_world *w, instance_id id)
{
	struct message *m = pool_alloc(w->d.pool, GATEWAY);
	struct http_head head;
	ssize_t n;
	int err;

	if (!m)
		return -ENOMEM;
	if (http_parse_request(&head, request, strlen(request)) <= 0)
		return -EINVAL;
	n = http_request_build(message_payload(m), message_room(m), &head, "", 0);
	if (n < 0)
		return (int)n;
	m->id = id;
	m->length = (uint32_t)n;
	m->type = TYPE_HTTP_REQUEST;
	m->function = 0;
	m->kind = MESSAGE_INVOKE;
	atomic_fetch_add(&w->d.board->line[id].load, 1);
	err = w->d.ops->send(&w->ep, id, m);
	if (!err)
		err = w->d.ops->flush(&w->ep);
	return err;
}

static int take_answer(struct startup_world *w, struct message *m)
{
	instance_id id = (instance_id)m->id;
	bool good = m->kind == MESSAGE_REPLY && m->type == TYPE_HTTP_RESPONSE && m->status == STATUS_OK;

	pool_free(w->d.pool, m, GATEWAY);
	if (!good || !id || id > w->n || w->answer_ns[id])
		return deploy_error(&w->d, -EBADMSG, "an answer is not what the function gives");
	w->answer_ns[id] = clock_now_ns();
	w->answer_tsc[id] = __rdtsc();
	return 0;
}

/* Has one of them ended already? What a runtime prints says why. */
static int look_for_the_dead(struct startup_world *w)
{
	for (instance_id id = 1; id <= w->n; id++) {
		int status;

		if (w->pid[id] <= 0 || w->answer_ns[id] || waitpid(w->pid[id], &status, WNOHANG) <= 0)
			continue;
		w->pid[id] = 0;
		return deploy_error(&w->d, -ECHILD, "an instance ended before it answered (status 0x%x)",
				    (unsigned)status);
	}
	return 0;
}

int world_await(struct startup_world *w, uint64_t timeout_ns)
{
	const struct timespec look = { 0, LOOK_NS };
	uint64_t end = clock_now_ns() + timeout_ns;
	unsigned answered = 0;
	int err = 0;

	while (answered < w->n && !err) {
		struct message *batch[STARTUP_MAX];
		int n = w->d.ops->recv(&w->ep, batch, STARTUP_MAX);

		if (n < 0)
			return deploy_error(&w->d, n, "cannot receive: %s", strerror(-n));
		for (int i = 0; i < n && !err; i++)
			err = take_answer(w, batch[i]);
		answered += (unsigned)n;
		if (!n && !err)
			err = look_for_the_dead(w);
		if (!n && !err && clock_now_ns() > end)
			err = deploy_error(&w->d, -ETIMEDOUT, "no answer within %.0f s",
					   (double)timeout_ns / 1e9);
		if (!n)
			nanosleep(&look, NULL);
	}
	return err;
}

/* ---- Memory ----------------------------------------------------------------------------------- */

/* Each thread has its own: runc's is not the first one. */
pid_t first_child(pid_t pid)
{
	pid_t child;

	return process_children(pid, &child, 1) ? child : 0;
}

/* `line` is "Key:   123 kB"; adds to *sum if it is of that key. */
static void add_kib(const char *line, const char *key, double *sum)
{
	size_t n = strlen(key);

	if (!strncmp(line, key, n))
		*sum += strtod(line + n, NULL);
}

bool world_memory(const struct startup_world *w, instance_id id, struct startup_memory *m)
{
	pid_t pid = w->pid[id];
	char path[64], line[512];
	bool ram = false;
	double guest = 0;
	FILE *f;

	*m = (struct startup_memory){ .guest = NAN };
	if (w->zygote > 0)
		pid = (pid_t)atomic_load(&w->d.board->line[id].pid);
	if (!pid && w->zygote > 0)
		pid = first_child(w->zygote);           /* a guest does not know it */
	else if (w->container)
		pid = first_child(pid);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (line[0] < 'A' || line[0] > 'Z') {
			ram = strstr(line, "/memfd:memory-backend-memfd");
			if (ram)
				m->guest = 0;
			continue;
		}
		add_kib(line, "Rss:", &m->rss);
		add_kib(line, "Pss:", &m->pss);
		add_kib(line, "Shared_Clean:", &m->shared);
		add_kib(line, "Shared_Dirty:", &m->shared);
		if (ram)
			add_kib(line, "Rss:", &guest);
	}
	fclose(f);
	if (!isnan(m->guest))
		m->guest = guest;
	return m->rss > 0;
}
