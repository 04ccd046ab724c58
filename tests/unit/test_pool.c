/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "chain/pool.h"

enum { A = 1, B = 2, C = 3, BUFFERS = 8, BYTES = 4096 };

static int make(void **state)
{
	struct pool *p;
	int err = pool_create(&p, BUFFERS, BYTES, POOL_SHARED | POOL_HUGEPAGES);

	*state = p;
	return err;
}

static int drop(void **state)
{
	pool_destroy(*state);
	return 0;
}

static void a_descriptor_works_once_for_its_receiver(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A), *got;
	struct descriptor d;

	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	assert_int_equal(pool_accept(p, &d, C, &got), -EBADMSG);
	assert_int_equal(pool_accept(p, &d, B, &got), 0);
	assert_ptr_equal(got, m);
	assert_int_equal(pool_accept(p, &d, B, &got), -EBADMSG);
	assert_int_equal(pool_refused(p), 2);
}

static void who_does_not_own_a_buffer_cannot_send_or_free_it(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A);
	struct descriptor d;

	assert_int_equal(pool_describe(p, m, B, C, &d), -EPERM);
	assert_int_equal(pool_free(p, m, B), -EPERM);
	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	assert_int_equal(pool_describe(p, m, A, C, &d), -EPERM);    /* used after send */
	assert_int_equal(pool_free(p, m, A), -EPERM);
	assert_int_equal(pool_in_use(p), 1);
}

static void forged_descriptors_are_refused_whatever_they_say(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A), *got;
	struct descriptor d, f;
	uint64_t seed = 7;

	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	for (int i = 0; i < 200000; i++) {
		uint64_t x = random_next(&seed), y = random_next(&seed);

		memcpy(&f, &d, sizeof(f));
		switch (x % 5) {
		case 0: f.generation ^= 1u << (y % 32); break;
		case 1: f.offset ^= 1u << (y % 32); break;
		case 2: f.target ^= 1u << (y % 32); break;
		case 3: f.length = (uint32_t)y | BYTES << 1; break;
		default:
			f = (struct descriptor){ B, (uint32_t)y, (uint32_t)(y >> 32), (uint32_t)x };
		}
		if (!memcmp(&f, &d, sizeof(f)))
			continue;
		assert_int_equal(pool_accept(p, &f, B, &got), -EBADMSG);
	}
	assert_int_equal(pool_accept(p, &d, B, &got), 0);
}

static void an_unsound_header_is_repaired_not_believed(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A), *got;
	struct descriptor d;

	m->depth = 200;
	m->locals = 0xfffffff0;
	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	assert_int_equal(pool_accept(p, &d, B, &got), 0);
	assert_int_equal(got->depth, 0);
	assert_int_equal(got->locals, 0);
	assert_int_equal(got->function, FUNCTION_NONE);
	assert_int_equal(got->status, STATUS_INTERNAL);
	assert_int_equal(message_check(got, BYTES), 0);
}

static void an_undelivered_descriptor_can_be_taken_back(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A), *got;
	struct descriptor d;

	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	assert_int_equal(pool_undescribe(p, &d, A), 0);
	assert_int_equal(pool_accept(p, &d, B, &got), -EBADMSG);
	assert_int_equal(pool_free(p, m, A), 0);
	assert_int_equal(pool_in_use(p), 0);
}

static void count_one(void *arg, struct message *m, instance_id to)
{
	(void)m;
	assert_int_equal(to, INSTANCE_NONE);
	++*(int *)arg;
}

static void buffers_of_a_dead_instance_go_to_its_heir(void **state)
{
	struct pool *p = *state;
	struct message *held = pool_alloc(p, A), *moving = pool_alloc(p, A), *other = pool_alloc(p, A);
	struct descriptor d1, d2;
	struct message *got;
	int seen = 0;

	assert_int_equal(pool_describe(p, held, A, B, &d1), 0);
	assert_int_equal(pool_accept(p, &d1, B, &got), 0);
	assert_int_equal(pool_describe(p, moving, A, B, &d2), 0);
	assert_int_equal(pool_reclaim(p, B, false, GATEWAY, count_one, &seen), 2);
	assert_int_equal(seen, 2);
	assert_int_equal(pool_accept(p, &d2, B, &got), -EBADMSG);   /* the restarted B finds nothing */
	assert_int_equal(pool_free(p, held, GATEWAY), 0);
	assert_int_equal(pool_free(p, moving, GATEWAY), 0);
	assert_int_equal(pool_free(p, other, A), 0);
	assert_int_equal(pool_in_use(p), 0);
}

static void take_note(void *arg, struct message *m, instance_id to)
{
	instance_id *bound = arg;

	assert_non_null(m);
	bound[0]++;
	bound[bound[0]] = to;
}

/* Killed between the hand-over and the push: nobody else would ever find the buffer. */
static void what_a_killed_sender_had_handed_over_goes_to_its_heir(void **state)
{
	instance_id bound[4] = { 0, 0, 0, 0 };
	struct pool *p = *state;
	struct message *lost = pool_alloc(p, A), *taken = pool_alloc(p, A), *other = pool_alloc(p, C);
	struct descriptor d1, d2, d3;
	struct message *got;

	assert_int_equal(pool_describe(p, lost, A, B, &d1), 0);
	assert_int_equal(pool_describe(p, taken, A, B, &d2), 0);
	assert_int_equal(pool_describe(p, other, C, B, &d3), 0);
	assert_int_equal(pool_accept(p, &d2, B, &got), 0);
	/* Of one that ended in order all arrives: nothing is taken from its receivers. */
	assert_int_equal(pool_reclaim(p, A, false, GATEWAY, take_note, bound), 0);
	assert_int_equal(pool_reclaim(p, A, true, GATEWAY, take_note, bound), 1);
	assert_int_equal(bound[0], 1);
	assert_int_equal(bound[1], B);
	/* Had it been pushed after all, it is refused: one of the two has it. */
	assert_int_equal(pool_accept(p, &d1, B, &got), -EBADMSG);
	assert_int_equal(pool_free(p, lost, GATEWAY), 0);
	assert_int_equal(pool_accept(p, &d3, B, &got), 0);
	assert_int_equal(pool_free(p, taken, B), 0);
	assert_int_equal(pool_free(p, other, B), 0);
	assert_int_equal(pool_in_use(p), 0);
}

static void only_its_sender_takes_a_hand_over_back(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A), *got;
	struct descriptor d;

	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	assert_int_equal(pool_undescribe(p, &d, C), -EPERM);
	assert_int_equal(pool_accept(p, &d, B, &got), 0);
	assert_int_equal(pool_undescribe(p, &d, A), -EPERM);
	assert_int_equal(pool_free(p, m, B), 0);
}

/* A sender that is killed at any moment between two hand-overs: no buffer is ever lost. */
static void a_sender_killed_anywhere_costs_no_buffer(void **state)
{
	struct pool *p = *state;

	for (int round = 0; round < 20; round++) {
		const struct timespec t = { 0, round * 20000 };
		struct message *m[BUFFERS];
		struct descriptor d;
		int status;
		pid_t pid;

		for (int i = 0; i < BUFFERS; i++)
			assert_non_null(m[i] = pool_alloc(p, A));
		pid = fork();
		assert_true(pid >= 0);
		for (unsigned i = 0; !pid; i++)
			if (!pool_describe(p, m[i % BUFFERS], A, B, &d) && i % 7)
				pool_undescribe(p, &d, A);
		nanosleep(&t, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(pool_reclaim(p, A, true, GATEWAY, NULL, NULL), BUFFERS);
		for (int i = 0; i < BUFFERS; i++)
			assert_int_equal(pool_free(p, m[i], GATEWAY), 0);
		assert_int_equal(pool_in_use(p), 0);
	}
}

static void an_empty_pool_says_so_and_recovers(void **state)
{
	struct pool *p = *state;
	struct message *m[BUFFERS];

	for (int i = 0; i < BUFFERS; i++)
		assert_non_null(m[i] = pool_alloc(p, A));
	assert_null(pool_alloc(p, A));
	assert_int_equal(pool_free(p, m[3], A), 0);
	assert_ptr_equal(pool_alloc(p, A), m[3]);
}

static void the_pool_cannot_be_resized(void **state)
{
	struct pool *p = *state;

	assert_int_equal(ftruncate(pool_fd(p), 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(pool_fd(p), 1 << 30), -1);
	assert_int_equal(fcntl(pool_fd(p), F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
	struct pool *p;

	(void)state;
	assert_int_equal(pool_create(&p, 0, 4096, 0), -EINVAL);
	assert_int_equal(pool_create(&p, 1, 5000, 0), -EINVAL);
	assert_int_equal(pool_create(&p, 1, 2048, 0), -EINVAL);
	assert_int_equal(pool_create(&p, 1 << 20, 64 << 10, 0), -EINVAL);
}

static void *churn(void *arg)
{
	struct pool *p = arg;

	for (int i = 0; i < 200000; i++) {
		struct message *m = pool_alloc(p, A);

		if (m && pool_free(p, m, A))
			return (void *)1;
	}
	return NULL;
}

static void concurrent_owners_never_share_a_buffer(void **state)
{
	struct pool *p = *state;
	pthread_t t[4];
	void *bad;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, churn, p), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(pool_in_use(p), 0);
	assert_int_equal(pool_refused(p), 0);
}

static void a_child_sees_the_same_buffers(void **state)
{
	struct pool *p = *state;
	struct message *m = pool_alloc(p, A), *got;
	struct descriptor d;
	int status;
	pid_t pid;

	memcpy(message_payload(m), "hello", 5);
	m->length = 5;
	assert_int_equal(pool_describe(p, m, A, B, &d), 0);
	pid = fork();
	if (!pid) {
		if (pool_accept(p, &d, B, &got) || memcmp(message_payload(got), "hello", 5))
			_exit(1);
		_exit(pool_describe(p, got, B, A, &d) ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	d.target = A;
	d.generation++;
	assert_int_equal(pool_accept(p, &d, A, &got), 0);
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(a_descriptor_works_once_for_its_receiver),
		POOL_TEST(who_does_not_own_a_buffer_cannot_send_or_free_it),
		POOL_TEST(forged_descriptors_are_refused_whatever_they_say),
		POOL_TEST(an_unsound_header_is_repaired_not_believed),
		POOL_TEST(an_undelivered_descriptor_can_be_taken_back),
		POOL_TEST(buffers_of_a_dead_instance_go_to_its_heir),
		POOL_TEST(what_a_killed_sender_had_handed_over_goes_to_its_heir),
		POOL_TEST(only_its_sender_takes_a_hand_over_back),
		POOL_TEST(a_sender_killed_anywhere_costs_no_buffer),
		POOL_TEST(an_empty_pool_says_so_and_recovers),
		POOL_TEST(the_pool_cannot_be_resized),
		POOL_TEST(concurrent_owners_never_share_a_buffer),
		POOL_TEST(a_child_sees_the_same_buffers),
		cmocka_unit_test(sizes_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
