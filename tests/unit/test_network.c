/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "chain/netfilter.h"
#include "chain/network.h"

enum { BASE = 100u << 24 | 64u << 16 | 7u << 8 };

static bool can(const char *text, char *reason, size_t bytes)
{
	struct probe_report r = { 0 };
	struct spec s;
	char why[256];

	assert_int_equal(spec_parse(&s, text, why, sizeof(why)), 0);
	network_probe(&s, &r);
	snprintf(reason, bytes, "%s", r.reason);
	return r.ok;
}

static void without_options_nothing_is_made_and_anybody_may(void **state)
{
	struct network n;
	struct spec s;
	char why[256];

	(void)state;
	assert_true(can("null", why, sizeof(why)));
	assert_int_equal(spec_parse(&s, "null", why, sizeof(why)), 0);
	assert_int_equal(network_make(&n, &s, why, sizeof(why)), 0);
	assert_int_equal(n.node, -1);
	assert_int_equal(n.client, -1);
	assert_int_equal(network_listen_netns(&n), -1);
	network_drop(&n);
}

static void options_that_would_do_nothing_are_refused_with_the_reason(void **state)
{
	static const char *const bad[] = {
		"null,accel=xdp", "null,gateway=pod", "null,iptables-rules=5", "null,client=node,accel=tc",
		"null,client=node,gateway=host,accel=xdp",
	};
	char why[256];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(can(bad[i], why, sizeof(why)));
		assert_non_null(strstr(why, "need"));
	}
}

static unsigned lines_with(const char *text, const char *start)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, start)); at++)
		n += at == text || at[-1] == '\n';
	return n;
}

static void a_service_has_the_five_rules_that_kube_proxy_gives_it(void **state)
{
	char *text = netfilter_text(BASE, 1000);

	(void)state;
	assert_non_null(text);
	/* Two for each of 200 services, and the last one of the chain. */
	assert_int_equal(lines_with(text, "-A KUBE-SERVICES "), 401);
	assert_int_equal(lines_with(text, "-A KUBE-SVC-"), 200);
	assert_int_equal(lines_with(text, "-A KUBE-SEP-"), 400);
	assert_int_equal(lines_with(text, ":KUBE-SVC-"), 200);
	assert_non_null(strstr(text, "! -s 100.64.7.0/24 -d 10.96.0.1/32"));
	assert_null(strstr(text, "-d 100.64.7."));
	assert_int_equal(lines_with(text, "COMMIT"), 2);
	free(text);
}

static void rules_are_rounded_up_to_whole_services(void **state)
{
	char *text = netfilter_text(BASE, 6);

	(void)state;
	assert_int_equal(lines_with(text, "-A KUBE-SVC-"), 2);
	free(text);
}

static void addresses_stay_in_range_with_the_most_rules(void **state)
{
	char *text = netfilter_text(BASE, 20000);

	(void)state;
	assert_int_equal(lines_with(text, "-A KUBE-SVC-"), 4000);
	assert_non_null(strstr(text, "10.244.15.250:8080"));
	assert_null(strstr(text, "10.244.16."));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_options_nothing_is_made_and_anybody_may),
		cmocka_unit_test(options_that_would_do_nothing_are_refused_with_the_reason),
		cmocka_unit_test(a_service_has_the_five_rules_that_kube_proxy_gives_it),
		cmocka_unit_test(rules_are_rounded_up_to_whole_services),
		cmocka_unit_test(addresses_stay_in_range_with_the_most_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
