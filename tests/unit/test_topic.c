/* SPDX-License-Identifier: BSD-2-Clause */
/* Topics: the examples of MQTT's specification (§4.7), one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chain/topic.h"

static struct slice text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static bool matches(const char *filter, const char *name)
{
	return topic_matches(text(filter), text(name));
}

static void test_number_sign_takes_all_levels_below_and_its_parent(void **state)
{
	(void)state;
	assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1"));
	assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/ranking"));
	assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
	assert_true(matches("sport/#", "sport"));
	assert_true(matches("#", "a"));
	assert_true(matches("#", "/a/b"));
	assert_false(matches("sport/tennis/player1/#", "sport/tennis/player2"));
	assert_false(matches("sport/#", "sports"));
}

static void test_plus_takes_exactly_one_level(void **state)
{
	(void)state;
	assert_true(matches("sport/tennis/+", "sport/tennis/player1"));
	assert_true(matches("sport/tennis/+", "sport/tennis/player2"));
	assert_false(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
	assert_false(matches("sport/+", "sport"));
	assert_true(matches("sport/+", "sport/"));
	assert_true(matches("+/+", "/finance"));
	assert_true(matches("/+", "/finance"));
	assert_false(matches("+", "/finance"));
	assert_true(matches("+/tennis/#", "sport/tennis"));
	assert_true(matches("+/+/#", "a/b"));
	assert_false(matches("+/+/#", "a"));
}

static void test_dollar_topics_are_hidden_from_leading_wildcards(void **state)
{
	(void)state;
	assert_false(matches("#", "$SYS/uptime"));
	assert_false(matches("+/monitor/Clients", "$SYS/monitor/Clients"));
	assert_true(matches("$SYS/#", "$SYS/uptime"));
	assert_true(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
}

static void test_names_are_compared_byte_by_byte(void **state)
{
	(void)state;
	assert_false(matches("ACCOUNTS", "Accounts"));
	assert_true(matches("Accounts payable", "Accounts payable"));
	assert_false(matches("/finance", "finance"));
	assert_false(matches("a/b", "a"));
	assert_false(matches("a", "a/b"));
	assert_false(matches("a/", "a"));
	assert_true(matches("a//b", "a//b"));
}

static void test_wildcards_stand_alone_in_their_level(void **state)
{
	static const char *const good[] = { "#", "+", "sport/#", "sport/+/player1", "+/tennis/#", "/", "a b" };
	static const char *const bad[] = { "", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "+a", "a/+b",
					   "#/a" };

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(topic_filter_valid(text(good[i])));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(topic_filter_valid(text(bad[i])));
	assert_false(topic_filter_valid((struct slice){ "a\0b", 3 }));
}

static void test_nothing_is_published_to_a_wildcard(void **state)
{
	(void)state;
	assert_true(topic_name_valid(text("sensor/1/motion")));
	assert_false(topic_name_valid(text("")));
	assert_false(topic_name_valid(text("a/+")));
	assert_false(topic_name_valid(text("a#")));
	assert_false(topic_name_valid((struct slice){ "a\0", 2 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_sign_takes_all_levels_below_and_its_parent),
		cmocka_unit_test(test_plus_takes_exactly_one_level),
		cmocka_unit_test(test_dollar_topics_are_hidden_from_leading_wildcards),
		cmocka_unit_test(test_names_are_compared_byte_by_byte),
		cmocka_unit_test(test_wildcards_stand_alone_in_their_level),
		cmocka_unit_test(test_nothing_is_published_to_a_wildcard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
