/* SPDX-License-Identifier: BSD-2-Clause */
/* Motion: CloudEvents in both content modes, lights, and traces. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/chain_driver.h"
#include "workloads/motion/motion.h"

struct house {
	struct application app;
	struct driver d;
	char request[64 << 10];
};

static int open_house(void **state, const char *spec, bool coded)
{
	struct house *h = calloc(1, sizeof(*h));
	const struct workload *w;
	char why[256] = "";

	assert_non_null(h);
	assert_int_equal(application_open(&h->app, &w, spec, why, sizeof(why)), 0);
	driver_open(&h->d, &h->app, 1, coded);
	*state = h;
	return 0;
}

static int setup(void **state)
{
	return open_house(state, "motion", false);
}

static int setup_coded(void **state)
{
	return open_house(state, "motion", true);
}

static int setup_structured(void **state)
{
	return open_house(state, "motion,event=structured", true);
}

static int teardown(void **state)
{
	struct house *h = *state;

	driver_close(&h->d);
	workload_motion.release(&h->app);
	free(h);
	return 0;
}

static void post(struct house *h, const char *fields, const char *body)
{
	int n = snprintf(h->request, sizeof(h->request), "POST /motion HTTP/1.1\r\nHost: h\r\n%s"
			 "Content-Length: %zu\r\n\r\n%s", fields, strlen(body), body);

	driver_request(&h->d, h->request, (size_t)n);
}

static void move(struct house *h, unsigned sensor, const char *motion, unsigned at_ms)
{
	char fields[256], body[64];

	snprintf(fields, sizeof(fields), "ce-specversion: 1.0\r\nce-type: org.perhop.motion\r\n"
		 "ce-source: /sensor/%u\r\nce-id: e%u\r\nContent-Type: application/json\r\n", sensor,
		 at_ms);
	snprintf(body, sizeof(body), "{\"motion\":\"%s\",\"at\":%u}", motion, at_ms);
	post(h, fields, body);
	assert_int_equal(h->d.status, 200);
}

static void shows(const struct house *h, const char *text)
{
	if (!strstr(h->d.body, text))
		print_message("%s is not in %s", text, h->d.body);
	assert_non_null(strstr(h->d.body, text));
}

static void motion_turns_the_light_on_and_silence_turns_it_off(void **state)
{
	struct house *h = *state;

	move(h, 1, "on", 1000);
	shows(h, "\"zone\":1,\"light\":\"on\",\"switched\":true,\"on\":1,\"off\":0");
	move(h, 4, "on", 2000);                 /* a neighbour in the same zone */
	shows(h, "\"zone\":1,\"light\":\"on\",\"switched\":false,\"on\":1,\"off\":0");
	move(h, 5, "on", 2000);
	shows(h, "\"zone\":2,\"light\":\"on\",\"switched\":true");
	move(h, 1, "off", 2000 + OFF_AFTER_MS - 1);
	shows(h, "\"light\":\"on\",\"switched\":false,\"on\":1,\"off\":0");
	move(h, 1, "off", 2000 + 2 * OFF_AFTER_MS);
	shows(h, "\"light\":\"off\",\"switched\":false,\"on\":1,\"off\":1");
	move(h, 1, "on", 3000 + 2 * OFF_AFTER_MS);
	shows(h, "\"light\":\"on\",\"switched\":true,\"on\":2,\"off\":1");
}

static void a_late_event_changes_nothing(void **state)
{
	struct house *h = *state;

	move(h, 1, "on", 500000);
	move(h, 2, "on", 1000);
	shows(h, "\"switched\":false,\"on\":1,\"off\":0");
	move(h, 2, "on", 500001);
	shows(h, "\"switched\":false,\"on\":1,\"off\":0");
}

static void both_content_modes_mean_the_same(void **state)
{
	struct house *h = *state;
	char first[256];

	post(h, "CE-Id: a b\r\nX-Other: 1\r\nCe-Specversion:1.0\r\nContent-Type: application/json; "
	     "charset=utf-8\r\nce-extension: x\r\nCE-TYPE: org.perhop.motion\r\n"
	     "ce-source:  /sensor/4096 \r\n", "{\"motion\":\"on\",\"at\":5,\"more\":[1]}");
	assert_int_equal(h->d.status, 200);
	shows(h, "{\"id\":\"a b\",\"zone\":1024,");
	snprintf(first, sizeof(first), "%s", h->d.body);
	driver_close(&h->d);
	driver_open(&h->d, &h->app, 1, true);
	post(h, "Content-Type: application/cloudevents+json; charset=UTF-8\r\n",
	     "{\"specversion\":\"1.0\",\"id\":\"a b\",\"source\":\"/sensor/4096\",\"type\":"
	     "\"org.perhop.motion\",\"data\":{\"motion\":\"on\",\"at\":5}}");
	assert_int_equal(h->d.status, 200);
	assert_string_equal(h->d.body, first);
}

#define S "Content-Type: application/cloudevents+json\r\n"
#define B "Content-Type: application/json\r\n"
#define FINE "{\"motion\":\"on\",\"at\":5}"
#define EVENT(version, id, source, type, data) "{\"specversion\":" version ",\"id\":" id \
	",\"source\":" source ",\"type\":" type ",\"data\":" data "}"
#define V "\"1.0\""
#define I "\"i\""
#define O "\"/sensor/1\""
#define T "\"org.perhop.motion\""

static void events_that_are_none_are_refused_with_a_reason(void **state)
{
	static const char *const bad[][2] = {
		{ "", FINE }, { S, "" }, { S, "{" }, { S, "[]" }, { S, "null" },
		{ S, EVENT("\"0.3\"", I, O, T, FINE) }, { S, EVENT("1.0", I, O, T, FINE) },
		{ S, EVENT(V, "\"\"", O, T, FINE) }, { S, EVENT(V, "\"a\\u0000b\"", O, T, FINE) },
		{ S, EVENT(V, "\"a\\\"b\"", O, T, FINE) }, { S, EVENT(V, "\"\xc3\xa9\"", O, T, FINE) },
		{ S, EVENT(V, "17", O, T, FINE) }, { S, EVENT(V, I, "\"/sensor/0\"", T, FINE) },
		{ S, EVENT(V, I, "\"/sensor/4097\"", T, FINE) },
		{ S, EVENT(V, I, "\"/sensor/\"", T, FINE) }, { S, EVENT(V, I, "\"/sensor/1x\"", T, FINE) },
		{ S, EVENT(V, I, "\"/sensor/00000000001\"", T, FINE) },
		{ S, EVENT(V, I, O, "\"x\"", FINE) }, { S, EVENT(V, I, O, T, "5") },
		{ S, EVENT(V, I, O, T, "{\"motion\":\"dim\",\"at\":5}") },
		{ S, EVENT(V, I, O, T, "{\"motion\":\"on\",\"at\":-5}") },
		{ S, EVENT(V, I, O, T, "{\"motion\":\"on\",\"at\":5.5}") },
		{ S, EVENT(V, I, O, T, "{\"motion\":\"on\",\"at\":99999999999999999999}") },
		{ S, "{\"specversion\":\"1.0\",\"specversion\":\"1.0\"}" },
		{ B, FINE }, { B "Ce-Specversion: 1.0\r\nCe-Id: i\r\nCe-Type: org.perhop.motion\r\n", FINE },
		{ B "Ce-Specversion: 1.0\r\nCe-Id: i\r\nCe-Id: j\r\nCe-Type: org.perhop.motion\r\n"
		  "Ce-Source: /sensor/1\r\n", FINE },
	};
	struct house *h = *state;
	char *deep = malloc(8000);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		post(h, bad[i][0], bad[i][1]);
		assert_int_equal(h->d.status, 400);
		assert_int_equal(h->d.m->type, TYPE_REASON);
	}
	assert_non_null(deep);
	for (unsigned n = 4000; n <= 5000; n += 1000) {         /* within the limit, and beyond */
		memset(deep, '[', n);
		deep[n] = '\0';
		post(h, S, deep);
		assert_int_equal(h->d.status, 400);
	}
	free(deep);
	driver_request(&h->d, "GET /motion HTTP/1.1\r\nHost: h\r\n\r\n",
		       strlen("GET /motion HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_int_equal(h->d.status, 405);
	move(h, 1, "on", 1000);                 /* it has survived all that */
}

static void users_replay_the_trace_in_its_time(void **state)
{
	struct house *h = *state;
	const struct motion_app *app = h->app.private;
	struct motion_user user = { 0 };
	uint64_t random = 3, before = 0, length = app->trace.length_ms * 1000000;

	for (size_t i = 0; i < 2 * app->trace.count; i++) {
		struct user_request rq = { .out = h->request, .room = sizeof(h->request),
					   .app = &h->app };
		bool ok = false;

		assert_int_equal(motion_next(&user, &random, &rq), 0);
		assert_true(rq.due_ns >= before);
		before = rq.due_ns;
		driver_request(&h->d, rq.out, rq.length);
		motion_response(&user, "", 0, h->d.body, h->d.body_length, h->d.status, &ok);
		assert_true(ok);
	}
	assert_true(before >= 2 * length && before < 2 * length + 1000000000);
}

static void a_drawn_trace_is_bursty_has_long_silences_and_is_its_seeds(void **state)
{
	struct trace t, same, other;
	unsigned close = 0, silent = 0;
	uint64_t longest = 0;

	(void)state;
	assert_int_equal(trace_synthesize(&t, 1, 3600000), 0);
	assert_int_equal(trace_synthesize(&same, 1, 3600000), 0);
	assert_int_equal(trace_synthesize(&other, 2, 3600000), 0);
	assert_int_equal(t.count, same.count);
	assert_memory_equal(t.events, same.events, t.count * sizeof(*t.events));
	assert_true(t.count != other.count ||
		    memcmp(t.events, other.events, t.count * sizeof(*t.events)));
	assert_int_equal(t.events[0].at_ms, 0);
	for (size_t i = 1; i < t.count; i++) {
		uint64_t gap = t.events[i].at_ms - t.events[i - 1].at_ms;

		assert_true(t.events[i].at_ms >= t.events[i - 1].at_ms);
		assert_true(t.events[i].at_ms < 3600000);
		close += gap < 4000;
		silent += gap > 30000;          /* the published grace period: scaled to zero */
		longest = gap > longest ? gap : longest;
	}
	assert_true(close > t.count * 3 / 4);
	assert_true(silent >= 5);
	assert_true(longest > 120000);
	trace_free(&t);
	trace_free(&same);
	trace_free(&other);
}

static int load(const char *text, struct trace *t, char *why, size_t why_bytes)
{
	char path[] = "/tmp/perhop-trace-XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = trace_load(t, path, why, why_bytes);
	unlink(path);
	return err;
}

static void a_trace_file_is_read_or_its_bad_line_named(void **state)
{
	static const char *const bad[] = {
		"1 2 3\nx\n", "1 2 3\n1 2\n", "1 2 3\n1 5 4\n", "1 2 3\n0 1 2\n", "1 2 3\n4097 1 2\n",
		"1 2 3\n-1 1 2\n", "1 2 3\n1 99999999999999999999 2\n", "1 2 3\n1 2x 3\n",
	};
	struct trace t;
	char why[256], line[400];

	(void)state;
	/* Four columns, as the dataset has them; two of its sensors, at the time it gives as an example. */
	assert_int_equal(load("418 1154697071000 1154697072203 1\n421 1154697073000 1154697074101 0.5\n", &t, why,
			      sizeof(why)), 0);
	assert_int_equal(t.events[0].sensor, 418);
	assert_int_equal(t.events[1].at_ms, 1203);
	assert_int_equal(t.events[2].sensor, 421);
	trace_free(&t);
	assert_int_equal(load("7 1142000002000 1142000003000 1.0\n\n3\t1142000001000  1142000001500\r\n",
			      &t, why, sizeof(why)), 0);
	assert_int_equal(t.count, 4);
	assert_int_equal(t.events[0].sensor, 3);
	assert_int_equal(t.events[0].at_ms, 0);
	assert_int_equal(t.events[3].sensor, 7);
	assert_int_equal(t.events[3].on, 0);
	assert_int_equal(t.events[3].at_ms, 2000);
	trace_free(&t);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(load(bad[i], &t, why, sizeof(why)), -EBADMSG);
		assert_non_null(strstr(why, "line 2"));
	}
	memset(line, '1', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(load(line, &t, why, sizeof(why)), -EBADMSG);
	assert_int_equal(load("\n\n", &t, why, sizeof(why)), -ENODATA);
	assert_int_equal(trace_load(&t, "/nowhere/at/all", why, sizeof(why)), -ENOENT);
}

#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(motion_turns_the_light_on_and_silence_turns_it_off, setup),
		WITH(motion_turns_the_light_on_and_silence_turns_it_off, setup_coded),
		WITH(a_late_event_changes_nothing, setup),
		WITH(both_content_modes_mean_the_same, setup_coded),
		WITH(events_that_are_none_are_refused_with_a_reason, setup),
		WITH(users_replay_the_trace_in_its_time, setup),
		WITH(users_replay_the_trace_in_its_time, setup_structured),
		cmocka_unit_test(a_drawn_trace_is_bursty_has_long_silences_and_is_its_seeds),
		cmocka_unit_test(a_trace_file_is_read_or_its_bad_line_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
