/* SPDX-License-Identifier: BSD-2-Clause */
/* What is read of processes: their CPU time, their children. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/process.h"

static void children_are_found_up_to_the_room_there_is(void **state)
{
	pid_t child[3], found[3] = { 0 };

	(void)state;
	assert_int_equal(process_children(getpid(), found, 3), 0);
	for (int i = 0; i < 3; i++) {
		child[i] = fork();
		if (!child[i])
			for (;;)
				pause();
	}
	assert_int_equal(process_children(getpid(), found, 3), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(found[i], child[i]);
	assert_int_equal(process_children(getpid(), found, 2), 2);
	for (int i = 0; i < 3; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
	assert_int_equal(process_children(getpid(), found, 3), 0);
}

static void cpu_time_grows_and_of_nobody_is_none(void **state)
{
	const uint64_t before = process_cpu_ns(getpid());
	pid_t gone = fork();

	(void)state;
	if (!gone)
		_exit(0);
	waitpid(gone, NULL, 0);
	assert_true(before > 0);
	assert_true(process_cpu_ns(getpid()) > before);
	assert_int_equal(process_cpu_ns(gone), 0);
	assert_int_equal(process_children(gone, &gone, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_are_found_up_to_the_room_there_is),
		cmocka_unit_test(cpu_time_grows_and_of_nobody_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
