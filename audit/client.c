/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/client.h"
#include "chain/clock.h"
#include "chain/http.h"

enum {
	REQUEST_MAX = 64 << 10,
	ANSWER_MAX = 1 << 20,       /* head and body of one answer; more is an error */
	SAMPLES_MAX = 1 << 16,      /* latencies kept per batch and thread */
	ANSWER_TIMEOUT_S = 10,
};

struct command {
	uint32_t requests, think_us;
};

struct reply {
	int error;
	struct client_result result;
};

struct client {
	pid_t pid;
	int command, reply;         /* pipes: ours to write, ours to read */
};

/* One user. */
struct user {
	const struct client_config *config;
	void *state;                /* the user model's */
	uint64_t random;
	int fd;
	char *out, *in;
	uint64_t *sample;
	unsigned samples;
	/* the batch in hand */
	unsigned requests, think_us;
	uint64_t errors, connects;
	int error;
	/* all batches */
	char *first;                /* the first request, to compare the others with */
	size_t first_length;
	bool varies;
};

/* ---- One request ------------------------------------------------------------------------------ */

static int user_connect(struct user *u)
{
	struct timeval limit = { .tv_sec = ANSWER_TIMEOUT_S };
	int one = 1;

	u->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (u->fd < 0)
		return -errno;
	setsockopt(u->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(u->fd, (const struct sockaddr *)&u->config->target, sizeof(u->config->target))) {
		int err = -errno;

		close(u->fd);
		u->fd = -1;
		return err;
	}
	u->connects++;
	return 0;
}

static void user_disconnect(struct user *u)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

static int make_request(struct user *u, size_t *length)
{
	const struct client_config *c = u->config;
	struct user_request rq = { .app = c->app, .out = u->out, .room = REQUEST_MAX };
	int n;

	if (c->app) {
		n = c->app->users->next(u->state, &u->random, &rq);
		*length = rq.length;
		return n;
	}
	n = snprintf(u->out, REQUEST_MAX, "GET %s HTTP/1.1\r\nHost: perhop\r\n\r\n", c->path);
	*length = (size_t)n;
	return n < REQUEST_MAX ? 0 : -EMSGSIZE;
}

static int send_all(int fd, const char *at, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		at += sent;
		n -= (size_t)sent;
	}
	return 0;
}

/* Has the whole answer come? 1 yes, 0 no, or -EBADMSG. The body is not looked into when chunked. */
static int is_whole(struct user *u, size_t have, struct http_head *head, size_t *body)
{
	struct http_chunks chunks = { 0 };
	size_t used, made;
	int n = http_parse_response(head, u->in, have);

	if (n <= 0)
		return n ? -EBADMSG : 0;
	if (!head->chunked) {
		*body = head->has_length ? head->content_length : 0;
		return have - head->head_bytes >= *body;
	}
	/* Decode a copy from the start each time: answers are small and the client's CPU is not ours. */
	n = http_dechunk(&chunks, u->in + head->head_bytes, have - head->head_bytes,
			 u->in + ANSWER_MAX, &used, &made, ANSWER_MAX);
	*body = made;
	return n < 0 ? -EBADMSG : n;
}

static int receive(struct user *u, bool *ok, bool *keep)
{
	const struct client_config *c = u->config;
	struct http_head head;
	size_t have = 0, body = 0;
	int whole = 0;

	while (!whole) {
		ssize_t n = recv(u->fd, u->in + have, ANSWER_MAX - have, 0);

		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		have += (size_t)n;
		whole = is_whole(u, have, &head, &body);
		if (!whole && have == ANSWER_MAX)
			whole = -EMSGSIZE;
	}
	if (whole < 0)
		return whole;
	*keep = head.keep_alive && !c->new_connection;
	*ok = head.status >= 200 && head.status < 400;
	if (c->app && c->app->users->response)
		c->app->users->response(u->state, u->in, head.head_bytes,
					head.chunked ? u->in + ANSWER_MAX : u->in + head.head_bytes,
					body, head.status, ok);
	return 0;
}

/* One request and its answer. 0 or -errno; *ok tells whether the answer was a success. */
static int exchange(struct user *u, bool *ok)
{
	bool keep = false;
	size_t length;
	int err = make_request(u, &length);

	*ok = false;
	if (!err && !u->first_length) {
		memcpy(u->first, u->out, length);
		u->first_length = length;
	} else if (!err && !u->varies) {
		u->varies = length != u->first_length || memcmp(u->first, u->out, length);
	}
	if (!err && u->fd < 0)
		err = user_connect(u);
	if (!err)
		err = send_all(u->fd, u->out, length);
	if (!err)
		err = receive(u, ok, &keep);
	if (err || !keep)
		user_disconnect(u);
	return err;
}

/* ---- The process ------------------------------------------------------------------------------ */

static void *user_run(void *arg)
{
	struct user *u = arg;
	bool ok;

	u->samples = 0;
	u->errors = u->connects = 0;
	u->error = 0;
	for (unsigned i = 0; i < u->requests; i++) {
		uint64_t start = clock_now_ns();
		int err = exchange(u, &ok);

		if (u->samples < SAMPLES_MAX)
			u->sample[u->samples++] = clock_now_ns() - start;
		u->errors += !ok;
		if (err && !u->error)
			u->error = err;
		if (err == -ECONNREFUSED)
			break;
		if (u->think_us) {
			struct timespec t = { .tv_sec = u->think_us / 1000000,
					      .tv_nsec = (long)(u->think_us % 1000000) * 1000 };

			nanosleep(&t, NULL);
		}
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void collect(struct user *user, unsigned threads, struct reply *r)
{
	unsigned n = 0;
	uint64_t *all;

	r->result.uniform = true;
	for (unsigned i = 0; i < threads; i++) {
		n += user[i].samples;
		r->result.requests += user[i].requests;
		r->result.errors += user[i].errors;
		r->result.uniform &= !user[i].varies;
		r->result.connects += user[i].connects;
		if (user[i].error && !r->error)
			r->error = user[i].error;
	}
	all = n ? malloc(n * sizeof(*all)) : NULL;
	if (!all)
		return;
	n = 0;
	for (unsigned i = 0; i < threads; i++) {
		memcpy(all + n, user[i].sample, user[i].samples * sizeof(*all));
		n += user[i].samples;
	}
	qsort(all, n, sizeof(*all), by_value);
	r->result.p50_ns = all[n / 2];
	r->result.p99_ns = all[n * 99 / 100];
	free(all);
}

static void run_batch(struct user *user, unsigned threads, const struct command *c, struct reply *r)
{
	pthread_t thread[CLIENT_THREADS_MAX];
	uint64_t start = clock_now_ns();
	unsigned started = 0;

	for (unsigned i = 0; i < threads; i++) {
		user[i].requests = c->requests / threads + (i < c->requests % threads);
		user[i].think_us = c->think_us;
	}
	if (threads == 1) {
		user_run(user);
	} else {
		while (started < threads &&
		       !pthread_create(&thread[started], NULL, user_run, &user[started]))
			started++;
		for (unsigned i = 0; i < started; i++)
			pthread_join(thread[i], NULL);
		if (started < threads)
			r->error = -EAGAIN;
	}
	r->result.elapsed_ns = clock_now_ns() - start;
	collect(user, threads, r);
}

static int users_make(struct user *user, const struct client_config *c)
{
	for (unsigned i = 0; i < c->threads; i++) {
		size_t bytes = c->app ? c->app->users->user_bytes : 0;

		user[i] = (struct user){
			.config = c,
			.random = c->seed * UINT64_C(0x9e3779b97f4a7c15) + i,
			.fd = -1,
			.state = calloc(1, bytes ? bytes : 1),
			.out = malloc(REQUEST_MAX),
			.first = malloc(REQUEST_MAX),
			.in = malloc(2 * (size_t)ANSWER_MAX),
			.sample = malloc(SAMPLES_MAX * sizeof(uint64_t)),
		};
		if (!user[i].state || !user[i].out || !user[i].first || !user[i].in || !user[i].sample)
			return -ENOMEM;
	}
	return 0;
}

/* The child's whole life; its memory goes with it. */
static void client_main(const struct client_config *config, int command, int reply)
{
	struct user *user = calloc(config->threads, sizeof(*user));
	struct command c;
	cpu_set_t set;

	prctl(PR_SET_NAME, "audit-client");
	signal(SIGINT, SIG_IGN);        /* the parent ends us */
	if (config->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)config->cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (!user || users_make(user, config) ||
	    (config->netns >= 0 && setns(config->netns, CLONE_NEWNET)))
		_exit(1);
	while (read(command, &c, sizeof(c)) == sizeof(c)) {
		struct reply r = { 0 };

		run_batch(user, config->threads, &c, &r);
		if (write(reply, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

/* ---- The parent's side ------------------------------------------------------------------------ */

int client_start(struct client **out, const struct client_config *config)
{
	int command[2], reply[2], err;
	struct client *c;
	pid_t parent = getpid();

	if (!config->threads || config->threads > CLIENT_THREADS_MAX)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	if (pipe2(command, O_CLOEXEC)) {
		err = -errno;
		goto out_free;
	}
	if (pipe2(reply, O_CLOEXEC)) {
		err = -errno;
		goto out_command;
	}
	c->pid = fork();
	if (c->pid < 0) {
		err = -errno;
		goto out_reply;
	}
	if (!c->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(command[1]);
		close(reply[0]);
		client_main(config, command[0], reply[1]);
	}
	close(command[0]);
	close(reply[1]);
	c->command = command[1];
	c->reply = reply[0];
	*out = c;
	return 0;
out_reply:
	close(reply[0]);
	close(reply[1]);
out_command:
	close(command[0]);
	close(command[1]);
out_free:
	free(c);
	return err;
}

int client_go(struct client *c, unsigned requests, unsigned think_us)
{
	struct command command = { requests, think_us };

	return write(c->command, &command, sizeof(command)) == sizeof(command) ? 0 : -EIO;
}

int client_poll(struct client *c, int timeout_ms, struct client_result *result)
{
	struct pollfd p = { .fd = c->reply, .events = POLLIN };
	struct reply r;
	int n = poll(&p, 1, timeout_ms);

	if (n < 0)
		return -errno;
	if (!n)
		return 0;
	if (read(c->reply, &r, sizeof(r)) != sizeof(r))
		return -EIO;
	*result = r.result;
	return r.error ? r.error : 1;
}

int client_run(struct client *c, unsigned requests, unsigned think_us, struct client_result *result)
{
	int err = client_go(c, requests, think_us);

	while (!err) {
		err = client_poll(c, -1, result);
		if (err == -EINTR)
			err = 0;
	}
	return err < 0 ? err : 0;
}

pid_t client_pid(const struct client *c)
{
	return c->pid;
}

void client_end(struct client *c)
{
	if (!c)
		return;
	close(c->command);
	close(c->reply);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	free(c);
}
