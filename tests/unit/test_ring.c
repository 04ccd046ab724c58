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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/ring.h"

enum { CAPACITY = 8, SELF = 5, GUARD = 4096 };

/* A ring between two inaccessible pages' worth of canaries. */
struct fixture {
	unsigned char *map;
	size_t bytes;
	struct ring *ring;
	struct ring_sender s;
	struct ring_receiver v;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->bytes = 2 * GUARD + ((ring_bytes(CAPACITY) + GUARD - 1) & ~(size_t)(GUARD - 1));
	f->map = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f->ring = (struct ring *)(f->map + GUARD);
	mprotect(f->map, GUARD, PROT_NONE);
	mprotect(f->map + f->bytes - GUARD, GUARD, PROT_NONE);
	*state = f;
	return ring_sender_open(&f->s, f->ring, CAPACITY) |
	       ring_receiver_open(&f->v, f->ring, CAPACITY);
}

static int drop(void **state)
{
	struct fixture *f = *state;

	munmap(f->map, f->bytes);
	free(f);
	return 0;
}

static struct descriptor nth(uint32_t n)
{
	return (struct descriptor){ .target = 77, .generation = n, .offset = n * 4096,
				    .length = n ^ 0x55 };
}

static void assert_nth(const struct descriptor *d, uint32_t n)
{
	assert_int_equal(d->target, SELF);
	assert_int_equal(d->generation, n);
	assert_int_equal(d->offset, n * 4096);
	assert_int_equal(d->length, n ^ 0x55);
}

static void descriptors_arrive_whole_and_in_order_however_often_the_ring_wraps(void **state)
{
	struct fixture *f = *state;
	struct descriptor in[CAPACITY], out[CAPACITY];
	uint32_t sent = 0, seen = 0;
	uint64_t random = 1;

	while (seen < 10000) {
		uint32_t n = (uint32_t)(random_next(&random) % (CAPACITY + 1)), got;

		for (uint32_t i = 0; i < n; i++)
			in[i] = nth(sent + i);
		if (!ring_push(&f->s, in, n))
			sent += n;
		got = ring_pop(&f->v, out, (uint32_t)(random_next(&random) % CAPACITY) + 1, SELF);
		for (uint32_t i = 0; i < got; i++)
			assert_nth(&out[i], seen++);
	}
}

static void a_full_ring_refuses_and_takes_again_as_soon_as_there_is_room(void **state)
{
	struct fixture *f = *state;
	struct descriptor d = nth(0), out;

	for (int lap = 0; lap < 3; lap++) {
		for (int i = 0; i < CAPACITY; i++)
			assert_int_equal(ring_push(&f->s, &d, 1), 0);
		assert_int_equal(ring_room(&f->s), 0);
		assert_int_equal(ring_push(&f->s, &d, 1), -EAGAIN);
		assert_int_equal(ring_pop(&f->v, &out, 1, SELF), 1);
		assert_int_equal(ring_push(&f->s, &d, 1), 0);
		for (int i = 0; i < CAPACITY; i++)
			assert_int_equal(ring_pop(&f->v, &out, 1, SELF), 1);
		assert_false(ring_ready(&f->v));
		assert_int_equal(ring_pop(&f->v, &out, 1, SELF), 0);
	}
}

static void a_batch_goes_in_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct descriptor d[CAPACITY + 1] = { 0 }, out[CAPACITY];

	assert_int_equal(ring_push(&f->s, d, CAPACITY + 1), -EAGAIN);
	assert_false(ring_ready(&f->v));
	assert_int_equal(ring_push(&f->s, d, CAPACITY - 1), 0);
	assert_int_equal(ring_push(&f->s, d, 2), -EAGAIN);
	assert_int_equal(ring_pop(&f->v, out, CAPACITY, SELF), CAPACITY - 1);
}

static void push_numbers_may_pass_2_to_the_32(void **state)
{
	struct fixture *f = *state;
	struct descriptor d, out;

	atomic_store(&f->ring->tail, UINT32_MAX - 2 * CAPACITY);
	atomic_store(&f->ring->head, UINT32_MAX - 2 * CAPACITY);
	ring_sender_open(&f->s, f->ring, CAPACITY);
	ring_receiver_open(&f->v, f->ring, CAPACITY);
	for (uint32_t i = 0; i < 5 * CAPACITY; i++) {
		d = nth(i);
		assert_int_equal(ring_push(&f->s, &d, 1), 0);
		assert_int_equal(ring_pop(&f->v, &out, 1, SELF), 1);
		assert_nth(&out, i);
		assert_int_equal(ring_pop(&f->v, &out, 1, SELF), 0);
	}
}

static void only_powers_of_two_are_capacities(void **state)
{
	struct fixture *f = *state;
	const uint32_t wrong[] = { 0, 3, 12, RING_CAPACITY_MAX * 2u, UINT32_MAX };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(ring_sender_open(&f->s, f->ring, wrong[i]), -EINVAL);
		assert_int_equal(ring_receiver_open(&f->v, f->ring, wrong[i]), -EINVAL);
	}
}

/* The guard pages turn any access outside into a crash. */
static void whatever_a_peer_scribbles_nobody_leaves_the_ring_or_hangs(void **state)
{
	struct fixture *f = *state;
	struct descriptor d[CAPACITY], out[CAPACITY];
	uint64_t random = 7;

	for (int i = 0; i < 200000; i++) {
		uint32_t *word = (uint32_t *)f->ring +
				 random_next(&random) % (ring_bytes(CAPACITY) / sizeof(uint32_t));
		uint32_t near = random_next(&random) % 2 ? f->s.tail : f->v.head;

		*word = random_next(&random) % 2 ? near + (uint32_t)(random_next(&random) % 20) - 10 :
						   (uint32_t)random_next(&random);
		memset(d, 0, sizeof(d));
		ring_push(&f->s, d, (uint32_t)(random_next(&random) % (CAPACITY + 1)));
		assert_in_range(ring_pop(&f->v, out, CAPACITY, SELF), 0, CAPACITY);
		if (random_next(&random) % 16 == 0)
			ring_sender_open(&f->s, f->ring, CAPACITY);
		if (random_next(&random) % 16 == 0)
			ring_receiver_open(&f->v, f->ring, CAPACITY);
	}
}

static void a_head_from_the_future_leaves_no_room(void **state)
{
	struct fixture *f = *state;
	struct descriptor d[CAPACITY] = { 0 };

	assert_int_equal(ring_push(&f->s, d, CAPACITY), 0);
	atomic_store(&f->ring->head, 100000);
	assert_int_equal(ring_push(&f->s, d, 1), -EAGAIN);
	atomic_store(&f->ring->head, (uint32_t)-100000);
	assert_int_equal(ring_push(&f->s, d, 1), -EAGAIN);
	atomic_store(&f->ring->head, 1);
	assert_int_equal(ring_push(&f->s, d, 1), 0);
}

static pid_t start_sender(struct fixture *f, uint32_t until)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	ring_sender_open(&f->s, f->ring, CAPACITY);
	while (f->s.tail < until) {
		struct descriptor d = nth(f->s.tail);

		if (ring_push(&f->s, &d, 1))
			sched_yield();
	}
	_exit(0);
}

static void between_processes_nothing_is_lost_torn_or_doubled(void **state)
{
	struct fixture *f = *state;
	struct descriptor out[CAPACITY];
	const uint32_t total = 300000;
	pid_t pid = start_sender(f, total);
	uint32_t seen = 0;
	int status;

	while (seen < total) {
		uint32_t got = ring_pop(&f->v, out, CAPACITY, SELF);

		if (!got)
			sched_yield();
		for (uint32_t i = 0; i < got; i++)
			assert_nth(&out[i], seen++);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void a_sender_killed_in_the_middle_of_a_push_leaves_no_hole(void **state)
{
	struct fixture *f = *state;
	struct descriptor out[CAPACITY];
	uint32_t seen = 0, got;
	uint64_t random = 3;

	for (int round = 0; round < 300; round++) {
		uint64_t end = clock_now_ns() + random_next(&random) % 200000;
		pid_t pid = start_sender(f, UINT32_MAX);

		do {
			got = ring_pop(&f->v, out, CAPACITY, SELF);
			for (uint32_t i = 0; i < got; i++)
				assert_nth(&out[i], seen++);
		} while (clock_now_ns() < end || !got);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void a_receiver_that_starts_again_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	struct descriptor d, out[CAPACITY];

	for (uint32_t i = 0; i < 6; i++) {
		d = nth(i);
		assert_int_equal(ring_push(&f->s, &d, 1), 0);
	}
	assert_int_equal(ring_pop(&f->v, out, 2, SELF), 2);
	assert_int_equal(ring_receiver_open(&f->v, f->ring, CAPACITY), 0);
	assert_int_equal(ring_pop(&f->v, out, CAPACITY, SELF), 4);
	assert_nth(&out[0], 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(descriptors_arrive_whole_and_in_order_however_often_the_ring_wraps),
		TEST(a_full_ring_refuses_and_takes_again_as_soon_as_there_is_room),
		TEST(a_batch_goes_in_whole_or_not_at_all),
		TEST(push_numbers_may_pass_2_to_the_32),
		TEST(only_powers_of_two_are_capacities),
		TEST(whatever_a_peer_scribbles_nobody_leaves_the_ring_or_hangs),
		TEST(a_head_from_the_future_leaves_no_room),
		TEST(between_processes_nothing_is_lost_torn_or_doubled),
		TEST(a_sender_killed_in_the_middle_of_a_push_leaves_no_hole),
		TEST(a_receiver_that_starts_again_goes_on_where_it_was),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
