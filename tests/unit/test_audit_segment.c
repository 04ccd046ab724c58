/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments are numbered as published, whatever the chain looks like; attribution's user-space half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/discover.h"
#include "audit/quantity.h"

static unsigned next_port;

static unsigned component(struct plan *p, const char *name, enum component_kind kind)
{
	int id = plan_add(p, name, kind);

	assert_true(id > AUDIT_CLIENT);
	return (unsigned)id;
}

/* A link at a port of its own. */
static void link_to(struct plan *p, unsigned client, unsigned server)
{
	struct audit_link_key key = { .addr = { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) },
				      .netns = 1, .port = (__u16)(8000 + next_port++) };

	assert_int_equal(plan_add_link(p, &key, client, server), 0);
}

static struct plan *fresh(void)
{
	static struct plan p;

	plan_init(&p);
	return &p;
}

static unsigned number_of(const struct plan *p, unsigned client, unsigned server, unsigned way)
{
	for (unsigned i = 0; i < p->links; i++)
		if (p->link[i].client == client && p->link[i].server == server)
			return p->segment[p->link[i].segment[way]].number;
	fail();
	return 0;
}

static enum segment_class class_of(const struct plan *p, unsigned number)
{
	unsigned i = plan_segment_number(p, number);

	assert_int_not_equal(i, 0);
	return p->segment[i].class;
}

static void test_knative_is_numbered_as_in_table_1_sidecars_belong_to_functions(void **state)
{
	struct plan *p = fresh();
	unsigned in, broker, s1, f1, s2, f2;

	(void)state;
	f1 = component(p, "f1", COMPONENT_FUNCTION);
	s1 = component(p, "f1/sidecar", COMPONENT_SIDECAR);
	f2 = component(p, "f2", COMPONENT_FUNCTION);
	s2 = component(p, "f2/sidecar", COMPONENT_SIDECAR);
	broker = component(p, "broker", COMPONENT_BROKER);
	in = component(p, "ingress", COMPONENT_INGRESS);
	link_to(p, s2, f2);
	link_to(p, broker, s2);
	link_to(p, broker, s1);
	link_to(p, s1, f1);
	link_to(p, in, broker);
	link_to(p, AUDIT_CLIENT, in);
	assert_int_equal(plan_segments(p), 0);
	assert_int_equal(p->segments, 9);
	assert_int_equal(p->hub, broker);
	assert_int_equal(number_of(p, AUDIT_CLIENT, in, 0), 1);
	assert_int_equal(number_of(p, in, broker, 0), 2);
	assert_int_equal(number_of(p, broker, s1, 0), 3);
	assert_int_equal(number_of(p, s1, f1, 0), 3);
	assert_int_equal(number_of(p, s1, f1, 1), 4);
	assert_int_equal(number_of(p, broker, s1, 1), 4);
	assert_int_equal(number_of(p, broker, s2, 0), 5);
	assert_int_equal(number_of(p, s2, f2, 1), 6);
	assert_int_equal(number_of(p, in, broker, 1), 7);
	assert_int_equal(number_of(p, AUDIT_CLIENT, in, 1), 8);
	assert_int_equal(class_of(p, 2), SEGMENT_EXTERNAL);
	assert_int_equal(class_of(p, 3), SEGMENT_WITHIN);
	assert_int_equal(class_of(p, 5), SEGMENT_WITHIN);
	assert_int_equal(class_of(p, 6), SEGMENT_RETURN_CHAIN);
	assert_int_equal(class_of(p, 7), SEGMENT_RETURN_EXTERNAL);
}

static void test_a_straight_line_has_ingress_and_broker_before_its_chain(void **state)
{
	struct plan *p = fresh();
	unsigned a = component(p, "a", COMPONENT_FUNCTION), b = component(p, "b", COMPONENT_FUNCTION);
	unsigned c = component(p, "c", COMPONENT_FUNCTION);

	(void)state;
	link_to(p, AUDIT_CLIENT, a);
	link_to(p, a, b);
	link_to(p, b, c);
	assert_int_equal(plan_segments(p), 0);
	assert_int_equal(p->hub, b);
	assert_int_equal(p->segments, 7);
	assert_int_equal(class_of(p, 2), SEGMENT_EXTERNAL);
	assert_int_equal(class_of(p, 3), SEGMENT_WITHIN);
	assert_int_equal(class_of(p, 4), SEGMENT_RETURN_CHAIN);
	assert_int_equal(class_of(p, 5), SEGMENT_RETURN_EXTERNAL);
}

static void test_behind_a_gateway_the_chain_begins_at_3(void **state)
{
	struct plan *p = fresh();
	unsigned g = component(p, "gateway", COMPONENT_GATEWAY);
	unsigned a = component(p, "a", COMPONENT_FUNCTION), b = component(p, "b", COMPONENT_FUNCTION);

	(void)state;
	link_to(p, AUDIT_CLIENT, g);
	link_to(p, g, a);
	link_to(p, a, b);
	assert_int_equal(plan_segments(p), 0);
	assert_int_equal(p->hub, g);
	assert_int_equal(plan_segment_number(p, 2), 0);
	assert_int_equal(number_of(p, g, a, 0), 3);
	assert_int_equal(number_of(p, a, b, 0), 4);
	assert_int_equal(class_of(p, 5), SEGMENT_RETURN_CHAIN);
}

static void test_descriptors_are_numbered_as_in_table_2(void **state)
{
	struct plan *p = fresh();
	unsigned g = component(p, "gateway", COMPONENT_GATEWAY);
	unsigned a = component(p, "f1", COMPONENT_FUNCTION), b = component(p, "f2", COMPONENT_FUNCTION);
	const unsigned path[] = { g, a, b };

	(void)state;
	link_to(p, AUDIT_CLIENT, g);
	assert_int_equal(plan_sequence(p, path, 3), 0);
	assert_int_equal(p->segment[p->pair[g][a]].number, 3);
	assert_int_equal(p->segment[p->pair[a][b]].number, 4);
	assert_int_equal(class_of(p, 4), SEGMENT_WITHIN);
	assert_int_equal(p->segment[p->pair[b][g]].number, 5);
	assert_int_equal(class_of(p, 5), SEGMENT_RETURN_CHAIN);
	assert_int_equal(number_of(p, AUDIT_CLIENT, g, 1), 6);
}

static void test_a_function_visited_twice_keeps_the_number_of_the_first_time(void **state)
{
	struct plan *p = fresh();
	unsigned g = component(p, "gateway", COMPONENT_GATEWAY);
	unsigned a = component(p, "a", COMPONENT_FUNCTION), b = component(p, "b", COMPONENT_FUNCTION);
	const unsigned path[] = { g, a, b, a, b };

	(void)state;
	link_to(p, AUDIT_CLIENT, g);
	assert_int_equal(plan_sequence(p, path, 5), 0);
	assert_int_equal(p->segment[p->pair[a][b]].number, 4);
	assert_int_equal(p->segment[p->pair[b][a]].number, 5);
}

static void test_the_way_to_another_node_is_a_segment_each_way(void **state)
{
	struct plan *p = fresh();
	unsigned g = component(p, "gateway", COMPONENT_GATEWAY);
	unsigned a = component(p, "a", COMPONENT_FUNCTION);
	unsigned beyond = component(p, "gateway@b", COMPONENT_GATEWAY);
	unsigned b = component(p, "b", COMPONENT_FUNCTION);
	const unsigned called[] = { g, a }, led[] = { g, a, g, beyond, b, beyond };

	(void)state;
	link_to(p, AUDIT_CLIENT, g);
	link_to(p, g, beyond);
	p->beyond = beyond;
	assert_int_equal(plan_sequence(p, called, 2), 0);
	assert_int_equal(number_of(p, g, beyond, 0), 4);
	assert_int_equal(number_of(p, g, beyond, 1), 5);
	assert_int_equal(p->segment[p->pair[beyond][b]].number, 6);
	assert_int_equal(class_of(p, 5), SEGMENT_WITHIN);
	assert_int_equal(plan_sequence(p, led, 6), 0);
	assert_int_equal(number_of(p, g, beyond, 0), 5);
	assert_int_equal(p->segment[p->pair[beyond][b]].number, 6);
	assert_int_equal(number_of(p, g, beyond, 1), 8);
	assert_int_equal(class_of(p, 8), SEGMENT_RETURN_CHAIN);
}

static void test_a_chain_without_clients_is_none(void **state)
{
	struct plan *p = fresh();
	const unsigned path[] = { 0, 1 };

	(void)state;
	link_to(p, component(p, "a", COMPONENT_FUNCTION), component(p, "b", COMPONENT_FUNCTION));
	assert_int_equal(plan_segments(p), -ENOENT);
	assert_int_equal(plan_sequence(p, path, 2), -EINVAL);
}

static void test_loops_and_too_many_segments_end_well(void **state)
{
	struct plan *p = fresh();
	unsigned id[50];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		id[i] = component(p, name, COMPONENT_FUNCTION);
	}
	link_to(p, AUDIT_CLIENT, id[0]);
	for (unsigned i = 0; i < 50; i++)
		link_to(p, id[i], id[(i + 1) % 50]);
	assert_int_equal(plan_segments(p), 0);
	assert_true(p->segments <= AUDIT_SEGMENTS);
}

static void test_published_columns_add_up_as_printed(void **state)
{
	(void)state;
	for (unsigned t = PUBLISHED_TABLE1; t <= PUBLISHED_TABLE2; t++)
		for (unsigned q = 0; q < QUANTITIES; q++) {
			double sum = 0;

			for (unsigned n = 1; n <= 5; n++)
				if (published(t, q, n, 0) >= 0)
					sum += published(t, q, n, 0);
			assert_true(sum == published(t, q, 0, COLUMN_TOTAL));
			assert_true(published(t, q, 0, COLUMN_EXTERNAL) +
				    published(t, q, 0, COLUMN_WITHIN) == sum);
		}
}

static void test_the_client_is_left_out_but_its_frames_are_not(void **state)
{
	(void)state;
	assert_false(quantity_has(QUANTITY_COPIES, M_COPY_SEND, AUDIT_CLIENT, 1));
	assert_false(quantity_has(QUANTITY_SWITCHES, M_SWITCH_IN_WOKEN, AUDIT_CLIENT, 1));
	assert_true(quantity_has(QUANTITY_INTERRUPTS, M_SOFTIRQ_NET_RX, AUDIT_CLIENT, 1));
	assert_false(quantity_has(QUANTITY_INTERRUPTS, M_SOFTIRQ_NET_RX, AUDIT_NOBODY, 0));
	assert_false(quantity_has(QUANTITY_COPIES, M_COPY_DESCRIPTOR_SEND, 5, 3));
}

/* ---- Discovery, on sockets of our own --------------------------------------------------------- */

static void test_a_link_is_found_from_the_sockets_of_two_processes(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), ready[2], fd;
	struct discover_options o = { 0 };
	socklen_t length = sizeof(at);
	struct plan *p = fresh();
	unsigned server;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		fd = accept(listener, NULL, NULL);
		(void)!write(ready[1], "r", 1);
		(void)!read(fd, &byte, 1);
		_exit(0);
	}
	close(listener);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	server = component(p, "server", COMPONENT_FUNCTION);
	assert_int_equal(plan_add_pid(p, server, pid), 0);
	assert_int_equal(plan_add_pid(p, AUDIT_CLIENT, getpid()), 0);
	o.entry_port = ntohs(at.sin_port);
	assert_int_equal(discover_sample(p, &o), 1);
	assert_int_equal(discover_sample(p, &o), 0);
	assert_int_equal(p->link[0].client, AUDIT_CLIENT);
	assert_int_equal(p->link[0].server, server);
	assert_int_equal(p->link[0].key.port, ntohs(at.sin_port));
	assert_int_not_equal(p->link[0].key.netns, 0);
	close(fd);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_knative_is_numbered_as_in_table_1_sidecars_belong_to_functions),
		cmocka_unit_test(test_a_straight_line_has_ingress_and_broker_before_its_chain),
		cmocka_unit_test(test_behind_a_gateway_the_chain_begins_at_3),
		cmocka_unit_test(test_descriptors_are_numbered_as_in_table_2),
		cmocka_unit_test(test_a_function_visited_twice_keeps_the_number_of_the_first_time),
		cmocka_unit_test(test_the_way_to_another_node_is_a_segment_each_way),
		cmocka_unit_test(test_a_chain_without_clients_is_none),
		cmocka_unit_test(test_loops_and_too_many_segments_end_well),
		cmocka_unit_test(test_published_columns_add_up_as_printed),
		cmocka_unit_test(test_the_client_is_left_out_but_its_frames_are_not),
		cmocka_unit_test(test_a_link_is_found_from_the_sockets_of_two_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
