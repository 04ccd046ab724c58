/* SPDX-License-Identifier: BSD-2-Clause */
/* The texts that the nginxes of kernel:knative run on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplanes/kernel/nginx_conf.h"
#include "dataplanes/sure/sidecar/sidecar.h"

static const struct function front = { .name = "front" }, back = { .name = "back-end" };
static const struct function *const functions[] = { &front, &back };
static const function_id one[] = { 0 }, three[] = { 0, 1, 0 };
static const struct chain chains[] = {
	{ .name = "all", .path = "/", .sequence = one, .length = 1 },
	{ .name = "long", .path = "/a/long\"path\\\n", .sequence = three, .length = 3 },
	{ .name = "a", .path = "/a", .sequence = three, .length = 2 },
};
static const struct application app = {
	.functions = functions, .n_functions = 2, .chains = chains, .n_chains = 3,
};

static struct sockaddr_in at(unsigned last, unsigned port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(10u << 24 | 77u << 16 | last),
		.sin_port = htons((uint16_t)port),
	};
}

static char *render(enum nginx_role role, unsigned workers)
{
	static struct board board;
	static struct sockaddr_in target[INSTANCE_MAX];
	const struct nginx_conf c = {
		.role = role, .dir = "/run", .modules = "/modules", .workers = workers,
		.body_max = 65536, .timeout_ns = 1500000000, .listen = at(66, 8080),
		.listen_calls = at(66, 8081), .upstream = at(7, 8080), .app = &app,
		.board = &board, .target = target,
	};
	char *text;

	board.of[0].count = 1;
	board.of[0].at[0] = 1;
	board.of[1].count = 2;
	board.of[1].at[0] = 2;
	board.of[1].at[1] = 3;
	for (unsigned i = 1; i <= 3; i++)
		target[i] = at(2 + i, 8080);
	text = nginx_conf_render(&c);
	assert_non_null(text);
	return text;
}

static bool has(const char *text, const char *what)
{
	return strstr(text, what) != NULL;
}

static void every_place_of_every_template_is_filled_in(void **state)
{
	(void)state;
	for (enum nginx_role role = NGINX_INGRESS; role <= NGINX_SIDECAR; role++) {
		char *text = render(role, 1);
		int depth = 0;

		/* What is left of @NAME@ is the one that the comment at the top explains. */
		assert_true(has(text, "@NAME@"));
		assert_null(strchr(strstr(text, "@NAME@") + 6, '@'));
		for (const char *p = text; *p; p++) {
			depth += (*p == '{') - (*p == '}');
			assert_true(depth >= 0);
		}
		assert_int_equal(depth, 0);
		free(text);
	}
}

static void the_longest_path_is_tried_first(void **state)
{
	char *text = nginx_routes_render(&app, NULL), *deep, *a, *all;

	(void)state;
	assert_non_null(text);
	deep = strstr(text, "path = \"/a/long");
	a = strstr(text, "path = \"/a\"");
	all = strstr(text, "path = \"/\"");
	assert_true(deep && a && all && deep < a && a < all);
	free(text);
}

static void a_route_names_the_function_at_each_position(void **state)
{
	char *text = nginx_routes_render(&app, NULL);

	(void)state;
	assert_true(has(text, "topic = \"2\", path = \"/a\", head = \"/_perhop/head/front\",\n"
			      "\t  next = { [0] = \"/_perhop/next/front\", \"/_perhop/next/back-end\" }"));
	free(text);
}

static void the_broker_has_a_key_only_when_it_is_to_sign(void **state)
{
	const uint8_t key[SIDECAR_KEY_BYTES] = { '"', '\\', 0, 10, 255 };
	char *without = nginx_routes_render(&app, NULL), *with = nginx_routes_render(&app, key);

	(void)state;
	assert_false(has(without, "key"));
	assert_true(has(with, "\tkey = \"\\034\\092\\000\\010\\255\\000"));
	free(without);
	free(with);
}

static void a_path_cannot_break_out_of_its_lua_string(void **state)
{
	char *text = nginx_routes_render(&app, NULL);

	(void)state;
	assert_true(has(text, "path = \"/a/long\\034path\\092\\010\","));
	free(text);
}

static void the_broker_balances_over_all_instances(void **state)
{
	char *text = render(NGINX_BROKER, 1);

	(void)state;
	assert_true(has(text, "upstream fn_back-end {\n\t\tleast_conn;\n"
			      "\t\tserver 10.77.0.4:8080 max_fails=1 fail_timeout=1s;\n"
			      "\t\tserver 10.77.0.5:8080 max_fails=1 fail_timeout=1s;\n"));
	assert_true(has(text, "load_module /modules/ngx_http_lua_module.so;"));
	assert_true(has(text, "listen 10.77.0.66:8081 "));
	free(text);
}

/* What clients send must not pass for the dataplane's own. */
static void a_clients_perhop_fields_do_not_reach_a_function(void **state)
{
	char *text = render(NGINX_BROKER, 1), *head = strstr(text, "location = /_perhop/head/front {");

	(void)state;
	assert_non_null(head);
	*strchr(head, '}') = '\0';
	assert_true(has(head, "X-Perhop-Type \"\";"));
	assert_true(has(head, "X-Perhop-Position \"\";"));
	assert_true(has(head, "X-Perhop-Topic $perhop_topic;"));
	assert_true(has(head, "internal;"));
	free(text);
}

static void only_what_needs_a_master_process_has_one(void **state)
{
	char *sidecar = render(NGINX_SIDECAR, 1), *many = render(NGINX_SIDECAR, 4),
	     *ingress = render(NGINX_INGRESS, 1);

	(void)state;
	assert_true(has(sidecar, "master_process off;"));
	assert_true(has(many, "master_process on;"));
	assert_true(has(many, "worker_processes 4;"));
	assert_true(has(ingress, "master_process on;"));
	free(sidecar);
	free(many);
	free(ingress);
}

static void the_record_gets_what_every_deployment_has(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	(void)state;
	assert_non_null(f);
	nginx_settings(f, true, true, false);
	fclose(f);
	assert_non_null(strstr(text, "nginx: keepalive_timeout 1h\n"));
	assert_non_null(strstr(text, "ingress: keepalive 512\n"));
	assert_non_null(strstr(text, "broker's upstreams: keepalive 512\n"));
	assert_non_null(strstr(text, "sidecar: keepalive 512\n"));
	assert_non_null(strstr(text, "ingress: listen @LISTEN@ backlog=4096\n"));
	assert_non_null(strstr(text, "nginx: client_max_body_size @BODY_MAX@\n"));
	assert_null(strstr(text, "@DIR@"));
	assert_null(strpbrk(text, "${;#"));
	assert_null(strstr(text, "grpc"));
	free(text);
}

static void several_workers_have_a_socket_each(void **state)
{
	static const enum nginx_role roles[] = { NGINX_BROKER, NGINX_SIDECAR };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char *alone = render(roles[i], 1), *shared = render(roles[i], 2);

		assert_false(has(alone, "reuseport"));
		assert_true(has(shared, "listen 10.77.0.66:8080 backlog=4096 reuseport;"));
		free(alone);
		free(shared);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place_of_every_template_is_filled_in),
		cmocka_unit_test(the_longest_path_is_tried_first),
		cmocka_unit_test(a_route_names_the_function_at_each_position),
		cmocka_unit_test(the_broker_has_a_key_only_when_it_is_to_sign),
		cmocka_unit_test(a_path_cannot_break_out_of_its_lua_string),
		cmocka_unit_test(the_broker_balances_over_all_instances),
		cmocka_unit_test(a_clients_perhop_fields_do_not_reach_a_function),
		cmocka_unit_test(only_what_needs_a_master_process_has_one),
		cmocka_unit_test(the_record_gets_what_every_deployment_has),
		cmocka_unit_test(several_workers_have_a_socket_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
