/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/dataplane.h"
#include "chain/ring.h"
#include "chain/waiting.h"

enum { ENDPOINTS = 4, CAPACITY = 16, ROUNDS = 20000 };

/* Endpoint 0 is the gateway. A ring from everyone to everyone. */
struct fixture {
	struct hall hall;
	unsigned char *rings;
	size_t ring_bytes;
};

struct port {
	struct fixture *f;
	unsigned self;
	struct waiter w;
	struct ring_sender out[ENDPOINTS];
	struct ring_receiver in[ENDPOINTS];
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ring_bytes = ring_bytes(CAPACITY);
	f->rings = mmap(NULL, ENDPOINTS * ENDPOINTS * f->ring_bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*state = f;
	return hall_open(&f->hall);
}

static int drop(void **state)
{
	struct fixture *f = *state;

	hall_close(&f->hall);
	munmap(f->rings, ENDPOINTS * ENDPOINTS * f->ring_bytes);
	free(f);
	return 0;
}

static struct ring *ring_of(struct fixture *f, unsigned from, unsigned to)
{
	return (struct ring *)(f->rings + (from * ENDPOINTS + to) * f->ring_bytes);
}

static void open_port(struct port *p, struct fixture *f, unsigned self, enum waiting mode)
{
	p->f = f;
	p->self = self;
	waiter_open(&p->w, &f->hall, (instance_id)self, mode);
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		ring_sender_open(&p->out[i], ring_of(f, self, i), CAPACITY);
		ring_receiver_open(&p->in[i], ring_of(f, i, self), CAPACITY);
	}
}

static bool ready(void *arg)
{
	const struct port *p = arg;

	for (unsigned i = 0; i < ENDPOINTS; i++)
		if (ring_ready(&p->in[i]))
			return true;
	return false;
}

static uint32_t take(struct port *p, struct descriptor *d, uint32_t max)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < ENDPOINTS; i++)
		n += ring_pop(&p->in[i], d + n, max - n, (instance_id)p->self);
	if (n)
		waiter_busy(&p->w);
	return n;
}

static void put(struct port *p, unsigned to, uint32_t value)
{
	struct descriptor d = { .generation = value };

	while (ring_push(&p->out[to], &d, 1))
		sched_yield();
	waiter_busy(&p->w);
	hall_ring(&p->f->hall, UINT64_C(1) << to);
}

/* One message, however long it takes; a lost wake-up ends the test by its alarm. */
static uint32_t get(struct port *p)
{
	struct descriptor d;

	while (!take(p, &d, 1))
		waiter_wait(&p->w, ready, p, -1);
	if (p->w.mode == WAITING_ADAPTIVE && p->w.limit_ns > p->w.wake_ns)
		_exit(3);
	return d.generation;
}

/* Endpoint 2 sends back what it gets, now and then late, so that its peer is found in every state. */
static pid_t start_echo(struct fixture *f, enum waiting mode)
{
	pid_t pid = fork();
	uint64_t random = 9;
	struct port p;

	if (pid)
		return pid;
	open_port(&p, f, 2, mode);
	for (uint32_t value = 1; value;) {
		value = get(&p);
		if (random_next(&random) % 64 == 0)
			clock_spin(random_next(&random) % 50000);
		put(&p, 1, value);
	}
	_exit(0);
}

static void ping_pong(struct fixture *f, enum waiting mode)
{
	pid_t pid = start_echo(f, mode);
	uint64_t random = 4;
	struct port p;
	int status;

	open_port(&p, f, 1, mode);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		if (random_next(&random) % 64 == 0)
			clock_spin(random_next(&random) % 50000);
		put(&p, 2, i == ROUNDS ? 0 : i);
		assert_int_equal(get(&p), i == ROUNDS ? 0 : i);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	waiter_close(&p.w);
}

static void no_wake_is_lost_when_receivers_block(void **state)
{
	ping_pong(*state, WAITING_BLOCK);
}

static void no_wake_is_lost_when_receivers_yield(void **state)
{
	ping_pong(*state, WAITING_YIELD);
}

static void no_wake_is_lost_when_receivers_adapt(void **state)
{
	ping_pong(*state, WAITING_ADAPTIVE);
}

/* Two senders race with each other and with the receiver's going to sleep. */
static void many_to_one(struct fixture *f, enum waiting mode)
{
	uint32_t next[ENDPOINTS] = { 0 }, total = 0;
	struct descriptor d[CAPACITY];
	pid_t pid[ENDPOINTS];
	struct port p;

	for (unsigned s = 2; s < ENDPOINTS; s++) {
		pid[s] = fork();
		if (pid[s])
			continue;
		open_port(&p, f, s, mode);
		for (uint32_t i = 0; i < ROUNDS; i++) {
			put(&p, 1, s << 24 | i);
			if (i % 128 == 0)
				usleep(50);
		}
		_exit(0);
	}
	open_port(&p, f, 1, mode);
	while (total < 2 * ROUNDS) {
		uint32_t n = take(&p, d, CAPACITY);

		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(d[i].generation & 0xffffff, next[d[i].generation >> 24]++);
		total += n;
		if (!n)
			waiter_wait(&p.w, ready, &p, -1);
	}
	for (unsigned s = 2; s < ENDPOINTS; s++)
		waitpid(pid[s], NULL, 0);
	waiter_close(&p.w);
}

static void no_wake_is_lost_between_senders(void **state)
{
	many_to_one(*state, WAITING_BLOCK);
	many_to_one(*state, WAITING_ADAPTIVE);
}

/* The gateway's way: its bell is an eventfd in an edge-triggered epoll set. */
static void watch(struct fixture *f, enum waiting mode)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	struct descriptor d[CAPACITY];
	uint32_t next = 0, n;
	struct port p;
	pid_t pid;

	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, f->hall.gateway_fd, &e), 0);
	pid = fork();
	if (!pid) {
		open_port(&p, f, 1, mode);
		for (uint32_t i = 0; i < ROUNDS; i++) {
			put(&p, GATEWAY, i);
			if (i % 64 == 0)
				usleep(20);
		}
		_exit(0);
	}
	open_port(&p, f, GATEWAY, mode);
	while (next < ROUNDS) {
		bool stay = waiter_arm(&p.w, ready, &p);

		assert_true(epoll_wait(epfd, &e, 1, stay ? 0 : -1) >= 0);
		waiter_disarm(&p.w);
		n = take(&p, d, CAPACITY);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(d[i].generation, next++);
	}
	waitpid(pid, NULL, 0);
	waiter_close(&p.w);
	close(epfd);
}

static void no_bell_is_lost_on_an_endpoint_that_sleeps_in_epoll(void **state)
{
	watch(*state, WAITING_BLOCK);
	watch(*state, WAITING_ADAPTIVE);
	watch(*state, WAITING_YIELD);
}

/* A sender dies anywhere, ringing included; whoever sends next must still wake the receiver. */
static void a_sender_killed_while_it_rings_leaves_a_bell_that_works(void **state)
{
	struct fixture *f = *state;
	uint64_t random = 6;
	struct port p;
	pid_t echo = fork();

	if (!echo) {
		open_port(&p, f, 2, WAITING_BLOCK);
		for (;;) {
			uint32_t value = get(&p);

			if (value)
				put(&p, 1, value);
		}
	}
	open_port(&p, f, 1, WAITING_BLOCK);
	for (uint32_t round = 1; round <= 500; round++) {
		uint64_t end = clock_now_ns() + random_next(&random) % 300000;
		pid_t pid = fork();

		if (!pid) {
			open_port(&p, f, 3, WAITING_BLOCK);
			for (;;) {
				put(&p, 2, 0);
				usleep(1);
			}
		}
		while (clock_now_ns() < end)
			;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		put(&p, 2, round);
		assert_int_equal(get(&p), round);
	}
	kill(echo, SIGKILL);
	waitpid(echo, NULL, 0);
}

static void an_awake_receiver_is_not_rung(void **state)
{
	struct fixture *f = *state;
	struct port p, q;
	uint64_t rung;

	open_port(&p, f, 1, WAITING_BLOCK);
	open_port(&q, f, 2, WAITING_BLOCK);
	rung = atomic_load(&f->hall.shared->rung);
	for (uint32_t i = 0; i < CAPACITY; i++)
		put(&p, 2, i);
	assert_int_equal(atomic_load(&f->hall.shared->rung), rung);
}

static void many_messages_to_a_sleeper_ring_once(void **state)
{
	struct fixture *f = *state;
	struct port p;

	open_port(&p, f, 1, WAITING_BLOCK);
	atomic_store(&f->hall.shared->bell[2].nap, 7);
	for (uint32_t i = 0; i < CAPACITY; i++)
		put(&p, 2, i);
	assert_int_equal(atomic_load(&f->hall.shared->rung), 1);
}

static void an_adaptive_receiver_sleeps_when_nothing_comes(void **state)
{
	struct fixture *f = *state;
	struct port p;
	int steps = 0;

	open_port(&p, f, 1, WAITING_ADAPTIVE);
	while (waiter_step(&p.w))
		assert_true(++steps < 1000000);
	assert_int_equal(waiter_wait(&p.w, ready, &p, (int64_t)NS_PER_MS), 0);
}

static void a_timeout_ends_a_wait_in_every_mode(void **state)
{
	for (enum waiting mode = WAITING_BLOCK; mode <= WAITING_ADAPTIVE; mode++) {
		struct port p;
		uint64_t end = clock_now_ns() + 2 * NS_PER_MS;

		open_port(&p, *state, 1, mode);
		while (clock_now_ns() < end)    /* may return early, not never */
			assert_int_equal(waiter_wait(&p.w, ready, &p, (int64_t)NS_PER_MS), 0);
		waiter_close(&p.w);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void a_signal_ends_a_wait(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct port p;
		int err = 0;

		sigaction(SIGUSR1, &action, NULL);
		open_port(&p, *state, 1, WAITING_ADAPTIVE);
		while (err != -EINTR)
			err = waiter_wait(&p.w, ready, &p, -1);
		_exit(0);
	}
	do {
		usleep(1000);
		kill(pid, SIGUSR1);
	} while (!waitpid(pid, &status, WNOHANG));
	/* Before its handler is in place the signal ends it: also an end of the wait. */
	assert_true(WIFSIGNALED(status) || !WEXITSTATUS(status));
}

static void a_socket_gives_its_bytes_in_every_mode(void **state)
{
	struct fixture *f = *state;

	for (enum waiting mode = WAITING_BLOCK; mode <= WAITING_ADAPTIVE; mode++) {
		struct waiter to, from;
		char byte = 'x', got = 0;
		int pair[2];
		ssize_t n;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		waiter_open(&to, &f->hall, 1, mode);
		waiter_open(&from, &f->hall, 2, mode);
		assert_int_equal(waiter_recv(&to, pair[1], &got, 1, 0), -EAGAIN);
		assert_int_equal(waiter_recv(&to, pair[1], &got, 1, 1000), -EAGAIN);
		waiter_sent(&from, UINT64_C(1) << 1);
		assert_int_equal(send(pair[0], &byte, 1, 0), 1);
		do
			n = waiter_recv(&to, pair[1], &got, 1, -1);
		while (n == -EAGAIN);
		assert_int_equal(n, 1);
		assert_int_equal(got, 'x');
		close(pair[0]);
		assert_int_equal(waiter_recv(&to, pair[1], &got, 1, -1), 0);
		close(pair[1]);
		waiter_close(&to);
		waiter_close(&from);
	}
}

static void every_mode_has_a_name_and_the_name_its_mode(void **state)
{
	enum waiting back;

	(void)state;
	for (enum waiting mode = WAITING_BLOCK; mode <= WAITING_ADAPTIVE; mode++) {
		assert_int_equal(waiting_parse(waiting_name(mode), &back), 0);
		assert_int_equal(back, mode);
	}
	assert_int_equal(waiting_parse("sleep", &back), -EINVAL);
	assert_int_equal(waiting_flags(WAITING_SPIN), DP_POLLING);
	assert_int_equal(waiting_flags(WAITING_ADAPTIVE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(no_wake_is_lost_when_receivers_block),
		TEST(no_wake_is_lost_when_receivers_yield),
		TEST(no_wake_is_lost_when_receivers_adapt),
		TEST(no_wake_is_lost_between_senders),
		TEST(no_bell_is_lost_on_an_endpoint_that_sleeps_in_epoll),
		TEST(a_sender_killed_while_it_rings_leaves_a_bell_that_works),
		TEST(an_awake_receiver_is_not_rung),
		TEST(many_messages_to_a_sleeper_ring_once),
		TEST(an_adaptive_receiver_sleeps_when_nothing_comes),
		TEST(a_timeout_ends_a_wait_in_every_mode),
		TEST(a_signal_ends_a_wait),
		TEST(a_socket_gives_its_bytes_in_every_mode),
		TEST(every_mode_has_a_name_and_the_name_its_mode),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
