/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The activator: where requests wait while a function has no pod. Its arithmetic with a clock of the test's; and
 * a whole one, in a process of its own, whose clients, pods and supervisor the test plays.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/kernel/activator.h"
#include "dataplanes/kernel/queue_proxy.h"

enum { LIMIT = 2, QUEUE = 3, CLIENTS = 16, BODY = 4096, PATIENCE_MS = 10000, PODS = 2, FN = 1 };

static const instance_id pod_id[PODS] = { 2, 5 };

struct bench {
	struct activator a;
	struct activator_shared *shared;
	struct board board;
	struct sockaddr_in pod[INSTANCE_MAX], at;
	int listener[PODS];         /* in the pods' places */
	pid_t pid;
};

static int listener(struct sockaddr_in *at)
{
	socklen_t length = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &length), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static int make(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->shared = mmap(NULL, sizeof(*b->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(b->shared, MAP_FAILED);
	b->board.functions = FN + 1;
	b->board.of[FN].count = PODS;
	for (int i = 0; i < PODS; i++) {
		b->board.of[FN].at[i] = pod_id[i];
		b->listener[i] = listener(&b->pod[pod_id[i]]);
	}
	b->a = (struct activator){ .shared = b->shared, .board = &b->board, .pod = b->pod, .function = FN,
				   .limit = LIMIT, .wake_fd = eventfd(0, EFD_NONBLOCK),
				   .poke_fd = eventfd(0, EFD_NONBLOCK) };
	*state = b;
	return 0;
}

static int drop(void **state)
{
	struct bench *b = *state;
	int status, err = b->pid && waitpid(b->pid, &status, WNOHANG);      /* it must not have ended */

	if (b->pid) {
		kill(b->pid, SIGKILL);
		waitpid(b->pid, NULL, 0);
	}
	for (int i = 0; i < PODS; i++)
		close(b->listener[i]);
	close(b->a.wake_fd);
	close(b->a.poke_fd);
	munmap(b->shared, sizeof(*b->shared));
	free(b);
	return err;
}

static int start_with(void **state, uint64_t timeout_ns)
{
	struct bench *b;
	struct queue_proxy_config c = { .metrics_fd = -1, .clients = CLIENTS, .limit = LIMIT, .queue = QUEUE,
					.body_max = BODY, .timeout_ns = timeout_ns };

	make(state);
	b = *state;
	c.listen_fd = listener(&b->at);
	c.activator = &b->a;
	b->pid = fork();
	if (!b->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < PODS; i++)
			close(b->listener[i]);
		_exit(-queue_proxy_run(&c));
	}
	close(c.listen_fd);
	return 0;
}

static int start(void **state)
{
	return start_with(state, 0);
}

static int start_impatient(void **state)
{
	return start_with(state, 10 * NS_PER_MS);
}

/* As the supervisor does. */
static void admit(struct bench *b, int pod, bool open)
{
	atomic_store(&b->shared->pod[pod_id[pod]].open, open);
	if (open)
		assert_int_equal(write(b->a.wake_fd, &(uint64_t){ 1 }, 8), 8);
}

static unsigned busy(const struct bench *b, int pod)
{
	return atomic_load(&b->shared->pod[pod_id[pod]].busy);
}

static struct demand demand_at(struct bench *b, uint64_t now)
{
	struct demand d;

	activator_demand(b->shared, FN, now, &d);
	return d;
}

/* ---- Arithmetic ------------------------------------------------------------------------------- */

static void the_open_pod_with_the_fewest_requests_gets_the_next(void **state)
{
	struct bench *b = *state;

	assert_int_equal(activator_pick(&b->a), INSTANCE_NONE);
	admit(b, 1, true);
	assert_int_equal(activator_pick(&b->a), pod_id[1]);
	admit(b, 0, true);
	assert_int_equal(activator_pick(&b->a), pod_id[0]);
	activator_pick(&b->a);
	activator_pick(&b->a);
	assert_int_equal(busy(b, 0), LIMIT);
	assert_int_equal(busy(b, 1), LIMIT);
	assert_int_equal(activator_pick(&b->a), INSTANCE_NONE);     /* as much as they may have */
	activator_done(&b->a, pod_id[1]);
	assert_int_equal(activator_pick(&b->a), pod_id[1]);
	admit(b, 0, false);                 /* draining: what is there ends, nothing comes */
	activator_done(&b->a, pod_id[0]);
	assert_int_equal(activator_pick(&b->a), INSTANCE_NONE);
	assert_int_equal(busy(b, 0), LIMIT - 1);
}

static void demand_is_what_was_there_times_how_long(void **state)
{
	struct bench *b = *state;
	const uint64_t t = 7 * NS_PER_SEC;

	assert_int_equal(demand_at(b, t).area, 0);
	activator_tell(&b->a, t, 0, 0);
	activator_tell(&b->a, t + 1000, 2, 1);
	assert_int_equal(demand_at(b, t + 1000).area, 0);
	assert_int_equal(demand_at(b, t + 1000).waiting, 2);
	assert_int_equal(demand_at(b, t + 1500).area, 3 * 500);
	activator_tell(&b->a, t + 2000, 2, 1);              /* no news: nothing is counted twice */
	activator_tell(&b->a, t + 3000, 0, 1);
	assert_int_equal(demand_at(b, t + 3000).area, 3 * 2000);
	assert_int_equal(demand_at(b, t + 4000).area, 3 * 2000 + 1000);
	assert_int_equal(demand_at(b, t + 4000).waiting, 0);
	activator_tell(&b->a, t + 5000, 0, 0);
	assert_int_equal(demand_at(b, t + 9000).area, 3 * 2000 + 2000);
	assert_int_equal(demand_at(b, t).area, 3 * 2000 + 2000);    /* a clock that is behind counts nothing */
}

/* A pod is asked for when somebody waits and none is open; not for who waits for a busy one. */
static void the_supervisor_is_poked_only_when_nothing_is_open(void **state)
{
	struct bench *b = *state;
	uint64_t pokes;

	activator_tell(&b->a, 1, 1, 0);
	assert_int_equal(read(b->a.poke_fd, &pokes, 8), 8);
	admit(b, 0, true);
	activator_tell(&b->a, 2, 2, LIMIT);
	assert_int_equal(read(b->a.poke_fd, &pokes, 8), -1);
	admit(b, 0, false);
	activator_tell(&b->a, 3, 0, LIMIT);
	assert_int_equal(read(b->a.poke_fd, &pokes, 8), -1);
}

/* A writer killed between its two marks: the reader gives up, and the numbers that are there do. */
static void a_writer_killed_midway_holds_nobody_up(void **state)
{
	struct bench *b = *state;

	activator_tell(&b->a, 1000, 1, 0);
	atomic_fetch_add(&b->shared->function[FN].sequence, 1);
	assert_int_equal(demand_at(b, 3000).area, 2000);
	assert_int_equal(demand_at(b, 3000).waiting, 1);
}

/* ---- The process ------------------------------------------------------------------------------ */

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int ask(const struct bench *b, int n)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[128];

	assert_int_equal(connect(fd, (const struct sockaddr *)&b->at, sizeof(b->at)), 0);
	snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", n);
	say(fd, text);
	return fd;
}

static bool ready(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* What comes on `fd` up to `until`. */
static char *hear(int fd, const char *until)
{
	static char text[8192];
	size_t n = 0;
	ssize_t got = 1;

	text[0] = '\0';
	while (!strstr(text, until) && got > 0 && ready(fd, PATIENCE_MS)) {
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		n += got > 0 ? (size_t)got : 0;
		text[n] = '\0';
	}
	return text;
}

/* The pod's next connection, and which request came on it. */
static int take(struct bench *b, int pod, int *n)
{
	int fd;

	assert_true(ready(b->listener[pod], PATIENCE_MS));
	fd = accept(b->listener[pod], NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(sscanf(hear(fd, "\r\n\r\n"), "GET /%d ", n), 1);
	return fd;
}

static void serve(int fd)
{
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void until_waiting(struct bench *b, unsigned n)
{
	for (int ms = 0; ms < PATIENCE_MS && demand_at(b, 0).waiting != n; ms++)
		poll(NULL, 0, 1);
	assert_int_equal(demand_at(b, 0).waiting, n);
}

static void requests_wait_for_a_pod_in_their_order_and_none_is_lost(void **state)
{
	struct bench *b = *state;
	int c[QUEUE + 1], fd, n;

	for (int i = 0; i < QUEUE; i++) {
		c[i] = ask(b, i);
		until_waiting(b, (unsigned)i + 1);
	}
	assert_true(ready(b->a.poke_fd, PATIENCE_MS));
	c[QUEUE] = ask(b, QUEUE);           /* the queue is full */
	assert_non_null(strstr(hear(c[QUEUE], "\r\n\r\n"), "HTTP/1.1 503 "));
	/* A pod for LIMIT of them; the next in line goes there as one ends. */
	admit(b, 0, true);
	fd = take(b, 0, &n);
	assert_int_equal(n, 0);
	close(take(b, 0, &n));              /* a pod that dies with its request: 502, and its place is free */
	assert_int_equal(n, 1);
	assert_non_null(strstr(hear(c[1], "\r\n\r\n"), "HTTP/1.1 502 "));
	close(c[1]);
	c[1] = take(b, 0, &n);
	assert_int_equal(n, 2);
	until_waiting(b, 0);
	serve(fd);
	assert_non_null(strstr(hear(c[0], "ok"), "HTTP/1.1 200 "));
	serve(c[1]);
	assert_non_null(strstr(hear(c[2], "ok"), "HTTP/1.1 200 "));
	/* The connection that had found the queue full is as good as any. */
	admit(b, 0, false);
	admit(b, 1, true);
	say(c[QUEUE], "GET /9 HTTP/1.1\r\nHost: h\r\n\r\n");
	close(c[1]);
	c[1] = take(b, 1, &n);
	assert_int_equal(n, 9);
	assert_int_equal(busy(b, 1), 1);
	serve(c[1]);
	assert_non_null(strstr(hear(c[QUEUE], "ok"), "HTTP/1.1 200 "));
	for (int ms = 0; ms < PATIENCE_MS && busy(b, 0) + busy(b, 1); ms++)
		poll(NULL, 0, 1);
	assert_int_equal(busy(b, 0) + busy(b, 1), 0);
	close(fd);
	for (int i = 0; i <= QUEUE; i++)
		close(c[i]);
}

static void who_waits_too_long_gets_a_504_and_the_next_is_served(void **state)
{
	struct bench *b = *state;
	int c = ask(b, 1), fd, n;

	assert_non_null(strstr(hear(c, "\r\n\r\n"), "HTTP/1.1 504 "));
	until_waiting(b, 0);
	close(c);
	admit(b, 0, true);
	c = ask(b, 2);
	fd = take(b, 0, &n);                /* and a pod that does not answer is given up, too */
	assert_int_equal(n, 2);
	assert_non_null(strstr(hear(c, "\r\n\r\n"), "HTTP/1.1 504 "));
	close(c);
	close(fd);
	for (int ms = 0; ms < PATIENCE_MS && busy(b, 0); ms++)
		poll(NULL, 0, 1);
	assert_int_equal(busy(b, 0), 0);
}

static void who_goes_while_waiting_is_no_longer_waited_for(void **state)
{
	struct bench *b = *state;
	int c = ask(b, 1);

	until_waiting(b, 1);
	setsockopt(c, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(c);
	until_waiting(b, 0);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_open_pod_with_the_fewest_requests_gets_the_next, make),
		TEST(demand_is_what_was_there_times_how_long, make),
		TEST(the_supervisor_is_poked_only_when_nothing_is_open, make),
		TEST(a_writer_killed_midway_holds_nobody_up, make),
		TEST(requests_wait_for_a_pod_in_their_order_and_none_is_lost, start),
		TEST(who_waits_too_long_gets_a_504_and_the_next_is_served, start_impatient),
		TEST(who_goes_while_waiting_is_no_longer_waited_for, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
