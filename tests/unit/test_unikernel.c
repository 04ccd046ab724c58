// SPDX-License-Identifier: BSD-2-Clause
/*
 * The unikernel's parts that run here, and functions that misbehave in real guests: what the
 * clients, the others and the supervisor see of them. Where QEMU is not installed the latter are
 * skipped.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/clock.h"
#include "chain/deploy.h"
#include "dataplanes/sure/unikernel/host.h"
#include "tests/unit/supervised.h"
#include "tests/unit/unikernel_cases.h"

enum { BUFFERS = 32 };

/* ---- The device's greeting ------------------------------------------------------------------- */

/* One message of the greeting; *fd: what came with it, or -1. */
static int64_t hear(int from, int *fd)
{
	int64_t number = 0;
	struct iovec text = {&number, sizeof(number)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = {.msg_iov = &text,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c;

	*fd = -1;
	assert_int_equal(recvmsg(from, &m, MSG_DONTWAIT), sizeof(number));
	c = CMSG_FIRSTHDR(&m);
	if (c)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return number;
}

/* ivshmem-spec: version, own number, memory, then the peers' doorbells, the own ones last. */
static void the_greeting_is_what_an_ivshmem_server_says(void **state)
{
	static const int64_t order[] = {GATEWAY, 1, 3, 2};
	struct unikernel u = {.window_fd = memfd_create("window", 0)};
	const uint64_t one = 1;
	uint64_t got;
	int from, fd;

	(void)state;
	for (int i = 0; i < 4; i++)
		u.doors[i] = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(ftruncate(u.window_fd, 4096), 0);
	from = ivshmem_greeting(&u, 2, 4);
	assert_true(from >= 0);
	assert_int_equal(hear(from, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(hear(from, &fd), 2);
	assert_int_equal(fd, -1);
	assert_int_equal(hear(from, &fd), -1);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4096);
	close(fd);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(hear(from, &fd), order[i]);
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		assert_int_equal(read(u.doors[order[i]], &got, sizeof(got)), sizeof(got));
		close(fd);
		close(u.doors[order[i]]);
	}
	close(from);
	close(u.window_fd);
}

/* ---- Guests ---------------------------------------------------------------------------------- */

static const struct application app = {.spec = {.text = "hostile", .name = "hostile"},
				       .functions = functions,
				       .n_functions = N_FUNCTIONS,
				       .chains = chains,
				       .n_chains = N_FUNCTIONS};

static void deploy(struct deployment *d, const char *options)
{
	const struct dataplane_ops *ops;
	struct probe_report report = {.ok = false};
	struct deploy_config c;
	char why[256] = "", text[256];
	struct spec spec;

	snprintf(text, sizeof(text), "sure:unikernel,memory=8,image=%s%s", HOSTILE_IMAGE, options);
	assert_int_equal(dataplane_open(&spec, &ops, text, why, sizeof(why)), 0);
	ops->probe(&spec, &report);
	if (!report.ok) {
		print_message("# skipped: %s\n", report.reason);
		skip();
	}
	deploy_defaults(&c);
	c.pool_buffers = BUFFERS;
	c.restart = true;
	c.request_timeout_ns = 5 * NS_PER_SEC;
	if (deploy_start(d, ops, &spec, &app, &c))
		fail_msg("%s", d->why);
}

/* `target` costs its own client a 502, nobody else anything, and is there again afterwards. */
static void ends_alone(struct deployment *d, const char *target)
{
	static char text[1 << 16];
	unsigned restarts = d->restarts;

	assert_int_equal(get(d, target, text, sizeof(text)), 502);
	assert_int_equal(get(d, "/good", text, sizeof(text)), 200);
	await_health(d);
	assert_int_equal(d->restarts, restarts + 1);
	assert_nothing_in_use(d);
}

static const struct gate_violation *violation(const struct deployment *d, function_id f)
{
	return sure_violation(d->priv, d->board->of[f].at[0]);
}

static void a_function_that_touches_what_it_does_not_hold_is_ended_and_reported(void **state)
{
	static char text[1 << 16];
	const struct gate_violation *v;
	struct deployment d;

	(void)state;
	deploy(&d, ",gate=mpk");
	for (int i = 0; i < 2; i++)
		ends_alone(&d, "/peek");
	v = violation(&d, PEEK);
	assert_int_equal(v->count, 2);
	assert_int_equal(v->signal, SIGSEGV);
	assert_in_range(v->key, 1, 2);
	assert_true(v->address >= UINT64_C(0x100000000));
	ends_alone(&d, "/nowhere");
	assert_int_equal(violation(&d, NOWHERE)->address, 0);
	assert_int_equal(violation(&d, NOWHERE)->key, -1);
	assert_int_equal(get(&d, "/_perhop/metrics", text, sizeof(text)), 200);
	assert_non_null(
		strstr(text, "perhop_violations_total{function=\"peek\",instance=\"2\"} 2\n"));
	assert_non_null(
		strstr(text, "perhop_violations_total{function=\"good\",instance=\"1\"} 0\n"));
	deploy_stop(&d);
}

static void a_pointer_kept_from_one_request_to_the_next_ends_the_function(void **state)
{
	static char text[1 << 16];
	struct deployment d;
	struct message *m;

	(void)state;
	deploy(&d, ",gate=mpk,sidecar=all");
	assert_int_equal(get(&d, "/keep", text, sizeof(text)), 200);
	/* Two buffers at a time, so that the next request does not get the same one. */
	m = pool_alloc(d.pool, GATEWAY);
	assert_int_equal(get(&d, "/keep", text, sizeof(text)), 502);
	await_health(&d);
	assert_int_equal(get(&d, "/keep", text, sizeof(text)), 200);
	assert_int_equal(pool_free(d.pool, m, GATEWAY), 0);
	assert_int_equal(violation(&d, KEEP)->key, 2);
	deploy_stop(&d);
}

static void a_forged_header_does_not_lead_an_answer_astray(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, ",gate=mpk,sidecar=auth+metrics");
	for (int i = 0; i < 3; i++)
		assert_int_equal(get(&d, "/scribble", text, sizeof(text)), 200);
	assert_int_equal(d.restarts, 0);
	assert_int_equal(get(&d, "/clock", text, sizeof(text)), 200);
	assert_non_null(strstr(text, "late enough"));
	assert_nothing_in_use(&d);
	deploy_stop(&d);
}

static void code_and_the_end_of_the_stack_are_guarded_without_keys_too(void **state)
{
	struct deployment d;

	(void)state;
	deploy(&d, "");
	ends_alone(&d, "/code");
	ends_alone(&d, "/fall");
	ends_alone(&d, "/nowhere");
	deploy_stop(&d);
}

static void a_guest_that_resets_or_is_killed_is_replaced(void **state)
{
	static char text[1 << 16];
	struct deployment d;

	(void)state;
	deploy(&d, "");
	ends_alone(&d, "/triple");
	assert_int_equal(kill((pid_t)d.board->line[d.board->of[GOOD].at[0]].pid, SIGKILL), 0);
	for (int i = 0; i < 500 && d.restarts < 2; i++) {
		(void)deploy_watch(&d);
		usleep(10000);
	}
	await_health(&d);
	assert_int_equal(get(&d, "/good", text, sizeof(text)), 200);
	deploy_stop(&d);
}

/*
 * The one time that is promised: within a second, of 2 so that a busy machine is not taken for a
 * bug.
 */
static void a_guest_that_hangs_is_found_out_and_replaced(void **state)
{
	struct deployment d;
	uint64_t start;

	(void)state;
	deploy(&d, "");
	start = clock_now_ns();
	ends_alone(&d, "/spin");
	assert_true(clock_now_ns() - start < 2 * NS_PER_SEC);
	/* Frozen from outside, with a request for it on its way. */
	assert_int_equal(kill((pid_t)d.board->line[d.board->of[CLOCK].at[0]].pid, SIGSTOP), 0);
	ends_alone(&d, "/clock");
	deploy_stop(&d);
}

static void a_workload_that_is_not_in_the_image_is_refused_with_the_reason(void **state)
{
	static const struct application other = {.spec = {.text = "other", .name = "other"},
						 .functions = functions,
						 .n_functions = 1,
						 .chains = chains,
						 .n_chains = 1};
	const struct dataplane_ops *ops;
	struct deploy_config c;
	struct deployment d;
	struct spec spec;
	char why[256];

	(void)state;
	deploy_defaults(&c);
	c.pool_buffers = BUFFERS;
	assert_int_equal(dataplane_open(&spec, &ops, "sure:unikernel", why, sizeof(why)), 0);
	assert_int_equal(deploy_start(&d, ops, &spec, &other, &c), -ENOTSUP);
	assert_non_null(strstr(d.why, "does not hold other"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_greeting_is_what_an_ivshmem_server_says),
		cmocka_unit_test(
			a_function_that_touches_what_it_does_not_hold_is_ended_and_reported),
		cmocka_unit_test(a_pointer_kept_from_one_request_to_the_next_ends_the_function),
		cmocka_unit_test(a_forged_header_does_not_lead_an_answer_astray),
		cmocka_unit_test(code_and_the_end_of_the_stack_are_guarded_without_keys_too),
		cmocka_unit_test(a_guest_that_resets_or_is_killed_is_replaced),
		cmocka_unit_test(a_guest_that_hangs_is_found_out_and_replaced),
		cmocka_unit_test(a_workload_that_is_not_in_the_image_is_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
