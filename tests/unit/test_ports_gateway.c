/* SPDX-License-Identifier: BSD-2-Clause */
/* The gateway's ports: what is acknowledged and when, what is kept, who is let go. The chains are the test. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "chain/adapters/coap.h"
#include "chain/adapters/mqtt.h"
#include "chain/clock.h"
#include "chain/gateway_session.h"

enum { HELD_MAX = 256, LEAVES = 32 };

static const function_id sequence[] = { 0 };
static const struct chain chains[] = {
	{ .name = "a", .path = "/a", .sequence = sequence, .length = 1, .topics = "in/+" },
	{ .name = "b", .path = "/b", .sequence = sequence, .length = 1, .topics = "in/both|other" },
};
static const struct application app = { .chains = chains, .n_chains = 2 };
static const struct adapter_ops mqtt = { .version = ADAPTER_VERSION, .name = "mqtt", .summary = "",
					 .parse = mqtt_parse, .format = mqtt_format };

struct bench {
	struct ports *p;
	int epfd, listen_fd;
	struct sockaddr_un at;
	socklen_t at_length;
	uint64_t now;
	int refuse;                 /* what submit says */
	struct {
		struct ticket t;
		unsigned chain;
		char body[16];
	} held[HELD_MAX];
	unsigned n;
};

static int on_watch(void *arg, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data.u64 = data };

	return epoll_ctl(((struct bench *)arg)->epfd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static unsigned on_find(void *arg, struct slice path)
{
	(void)arg;
	return path.length == 2 && !memcmp(path.at, "/a", 2) ? 0 : TOPIC_MAX;
}

static int on_submit(void *arg, struct ticket t, unsigned chain, const struct http_head *h, struct slice body)
{
	struct bench *b = arg;

	assert_int_equal(h->content_length, body.length);
	if (b->refuse)
		return b->refuse;
	assert_true(b->n < HELD_MAX);
	b->held[b->n].t = t;
	b->held[b->n].chain = chain;
	snprintf(b->held[b->n].body, sizeof(b->held[b->n].body), "%.*s", (int)body.length, body.at);
	b->n++;
	return 0;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	const struct ports_host host = { .arg = b, .app = &app, .leaves = LEAVES, .retry_ns = 10 * NS_PER_SEC,
					 .watch = on_watch, .find = on_find, .submit = on_submit };
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	char why[256];

	b->epfd = epoll_create1(0);
	b->now = 1000 * NS_PER_SEC;
	b->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(b->listen_fd, (const struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(b->listen_fd, 128), 0);
	b->at_length = sizeof(b->at);
	getsockname(b->listen_fd, (struct sockaddr *)&b->at, &b->at_length);
	assert_int_equal(ports_create(&b->p, &host), 0);
	ports_set_now(b->p, b->now);
	assert_int_equal(ports_add(b->p, &mqtt, NULL, b->listen_fd, why, sizeof(why)), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	ports_destroy(b->p);
	close(b->epfd);
	free(b);
	return 0;
}

/* Let `ms` pass and all happen that will. */
static void run(struct bench *b, unsigned ms)
{
	struct epoll_event e[16];
	int n;

	b->now += ms * NS_PER_MS;
	for (int turns = 0; turns < 6; turns++) {
		ports_set_now(b->p, b->now);
		n = epoll_wait(b->epfd, e, 16, 0);
		for (int i = 0; i < n; i++)
			ports_ready(b->p, e[i].data.u64, e[i].events);
		ports_turn(b->p);
	}
}

static void answer(struct bench *b, unsigned i, unsigned status)
{
	static const char fields[] = "Topic: out/1\r\n";
	const struct answer a = { .status = status, .fields = { fields, sizeof(fields) - 1 },
				  .body = { "done", 4 } };

	ports_answer(b->p, b->held[i].t, &a);
}

static void answer_all(struct bench *b, unsigned status)
{
	const unsigned n = b->n;

	for (unsigned i = 0; i < n; i++)
		answer(b, i, status);
	memmove(b->held, b->held + n, (b->n - n) * sizeof(b->held[0]));
	b->n -= n;
}

/* ---- Clients ---------------------------------------------------------------------------------- */

static void say(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static int dial(struct bench *b, const char *id, uint8_t version, bool clean, uint8_t keep_alive, bool will)
{
	uint8_t out[64] = { 0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', version,
			    (uint8_t)((clean ? 2 : 0) | (will ? 12 : 0)), 0, keep_alive };
	size_t n = 12;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&b->at, b->at_length), 0);
	if (version == 5) {
		memcpy(out + n, (uint8_t[]){ 5, 0x11, 0, 0, 0, 100 }, 6);
		n += 6;
	}
	out[n++] = 0;
	out[n++] = (uint8_t)strlen(id);
	memcpy(out + n, id, strlen(id));
	n += strlen(id);
	if (will) {
		memcpy(out + n, "\0\4in/w\0\4gone", 12);
		n += 12;
	}
	out[1] = (uint8_t)(n - 2);
	say(fd, out, n);
	run(b, 1);
	return fd;
}

static size_t hear(int fd, uint8_t *in, size_t room)
{
	ssize_t n = recv(fd, in, room, MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

/* The next bytes are these and no others. */
static void hears(int fd, const void *expected, size_t n)
{
	uint8_t in[4096];

	assert_int_equal(hear(fd, in, sizeof(in)), n);
	assert_memory_equal(in, expected, n);
}

static void hears_nothing(int fd)
{
	uint8_t in[64];

	assert_int_equal(hear(fd, in, sizeof(in)), 0);
}

static bool is_closed(int fd)
{
	uint8_t in[512];
	ssize_t n;

	while ((n = recv(fd, in, sizeof(in), MSG_DONTWAIT)) > 0)
		;
	return !n || errno != EAGAIN;
}

static int client(struct bench *b, const char *id)
{
	int fd = dial(b, id, 4, true, 0, false);

	hears(fd, "\x20\2\0\0", 4);
	return fd;
}

static void publish(int fd, uint8_t id, const char *topic, const char *body, bool qos, bool five)
{
	const size_t t = strlen(topic), n = strlen(body);
	uint8_t out[64] = { (uint8_t)(0x30 | qos << 1), (uint8_t)(2 + t + (qos ? 2 : 0) + five + n), 0, (uint8_t)t };
	size_t at = 4;

	memcpy(out + at, topic, t);
	at += t;
	if (qos) {
		out[at++] = 0;
		out[at++] = id;
	}
	at += five;
	memcpy(out + at, body, n);
	say(fd, out, at + n);
}

static void subscribe(struct bench *b, int fd, const char *filter)
{
	const size_t n = strlen(filter);
	uint8_t out[64] = { 0x82, (uint8_t)(2 + 2 + n + 1), 0, 9, 0, (uint8_t)n };

	memcpy(out + 6, filter, n);
	out[6 + n] = 1;
	say(fd, out, 7 + n);
	run(b, 1);
	hears(fd, "\x90\3\0\x09\1", 5);
}

/* ---- Events ----------------------------------------------------------------------------------- */

static void test_puback_comes_when_all_chains_have_answered(void **state)
{
	struct bench *b = *state;
	int fd = client(b, "a");

	publish(fd, 7, "in/both", "x", true, false);
	run(b, 1);
	assert_int_equal(b->n, 2);      /* both chains' filters match */
	hears_nothing(fd);
	answer(b, 0, 200);
	run(b, 1);
	hears_nothing(fd);
	answer(b, 1, 200);
	run(b, 1);
	hears(fd, "\x40\2\0\7", 4);
	close(fd);
}

static void test_pubacks_leave_in_the_order_of_their_publishes(void **state)
{
	struct bench *b = *state;
	int fd = client(b, "a");

	for (uint8_t i = 1; i <= 3; i++)
		publish(fd, i, "in/1", "x", true, false);
	run(b, 1);
	answer(b, 2, 200);
	answer(b, 1, 200);
	run(b, 1);
	hears_nothing(fd);
	answer(b, 0, 200);
	run(b, 1);
	hears(fd, "\x40\2\0\1\x40\2\0\2\x40\2\0\3", 12);
	close(fd);
}

static void test_an_event_that_died_with_an_instance_is_given_again(void **state)
{
	struct bench *b = *state;
	int fd = client(b, "a");

	publish(fd, 1, "in/both", "again", true, false);
	run(b, 1);
	answer(b, 0, 502);
	answer(b, 1, 200);
	b->n = 0;
	run(b, 1000);
	hears_nothing(fd);
	assert_int_equal(b->n, 1);      /* that chain only */
	assert_int_equal(b->held[0].chain, 0);
	assert_string_equal(b->held[0].body, "again");
	answer(b, 0, 200);
	run(b, 1);
	hears(fd, "\x40\2\0\1", 4);
	close(fd);
}

static void test_an_event_that_cannot_be_delivered_is_the_clients_again(void **state)
{
	struct bench *b = *state;
	uint8_t in[128];
	int fd = dial(b, "a", 5, true, 0, false);

	assert_true(hear(fd, in, sizeof(in)) > 0);
	publish(fd, 1, "in/1", "x", true, true);
	b->refuse = -EPIPE;
	for (int s = 0; s < 12; s++)
		run(b, 1000);
	assert_true(hear(fd, in, sizeof(in)) > 2);
	assert_int_equal(in[0], 0xe0);  /* no PUBACK, but DISCONNECT: server unavailable */
	assert_int_equal(in[2], 0x88);
	assert_true(is_closed(fd));
	close(fd);
}

static void test_a_refused_event_is_acknowledged_with_the_reason(void **state)
{
	struct bench *b = *state;
	uint8_t in[128];
	int fd = dial(b, "a", 5, true, 0, false), old = client(b, "b");

	assert_true(hear(fd, in, sizeof(in)) > 0);
	publish(fd, 1, "in/1", "x", true, true);
	publish(old, 2, "in/1", "x", true, false);
	run(b, 1);
	answer_all(b, 400);
	run(b, 1);
	assert_true(hear(fd, in, sizeof(in)) > 4);
	assert_memory_equal(in + 2, "\0\1\x99", 3);
	hears(old, "\x40\2\0\2", 4);    /* 3.1.1 has no words for it */
	close(fd);
	close(old);
}

static void test_a_full_chain_holds_up_and_loses_nothing(void **state)
{
	struct bench *b = *state;
	unsigned sent = 0, got = 0, acknowledged = 0;
	uint8_t in[4096];
	int fd[3];

	fd[0] = client(b, "a");
	fd[1] = client(b, "b");
	fd[2] = client(b, "c");
	b->refuse = -EAGAIN;
	for (uint8_t i = 1; i <= 60; i++)
		for (int c = 0; c < 3; c++, sent++)
			publish(fd[c], i, "in/1", "x", true, false);
	for (int i = 0; i < 50; i++)
		run(b, 1);
	assert_int_equal(b->n, 0);
	assert_int_equal(b->p->events_held, LEAVES / 2);
	b->refuse = 0;
	for (int i = 0; i < 200; i++) {
		run(b, 1);
		got += b->n;
		answer_all(b, 200);
		for (int c = 0; c < 3; c++)
			acknowledged += (unsigned)hear(fd[c], in, sizeof(in)) / 4;
	}
	assert_int_equal(got, sent);
	assert_int_equal(acknowledged, sent);
	assert_int_equal(b->p->leaves_held, 0);
	for (int c = 0; c < 3; c++)
		close(fd[c]);
}

static void test_qos_0_is_tried_and_not_answered(void **state)
{
	struct bench *b = *state;
	int fd = client(b, "a");

	publish(fd, 0, "in/1", "x", false, false);
	say(fd, "\xc0\0", 2);
	run(b, 1);
	hears_nothing(fd);              /* PINGREQ is answered in its turn */
	answer_all(b, 502);
	run(b, 1);
	assert_int_equal(b->n, 0);
	hears(fd, "\xd0\0", 2);
	close(fd);
}

/* ---- Subscribers ------------------------------------------------------------------------------ */

static void test_answers_go_to_every_subscriber_once(void **state)
{
	static const char message[] = "\x32\x0d\0\5out/1\0\1done";
	struct bench *b = *state;
	int one = client(b, "s1"), two = client(b, "s2"), fd = client(b, "p");

	subscribe(b, one, "out/+");
	subscribe(b, one, "#");         /* both match: one message */
	subscribe(b, two, "out/#");
	publish(fd, 1, "in/1", "x", true, false);
	run(b, 1);
	answer_all(b, 200);
	run(b, 1);
	uint8_t in[256];
	/* `#` hears the event itself too, before its answer. */
	assert_int_equal(hear(one, in, sizeof(in)), 11 + 15);
	hears(two, message, 15);
	say(two, "\x40\2\0\1", 4);
	run(b, 1);
	close(one);
	close(two);
	close(fd);
}

static void test_a_persistent_session_gets_what_it_has_missed(void **state)
{
	struct bench *b = *state;
	int sub = dial(b, "s", 4, false, 0, false), fd = client(b, "p");

	hears(sub, "\x20\2\0\0", 4);
	subscribe(b, sub, "out/1");
	publish(fd, 1, "in/1", "x", true, false);
	run(b, 1);
	answer_all(b, 200);
	run(b, 1);
	hears(sub, "\x32\x0d\0\5out/1\0\1done", 15);
	close(sub);                     /* without a PUBACK */
	run(b, 1);
	publish(fd, 2, "in/1", "x", true, false);
	run(b, 1);
	answer_all(b, 200);
	run(b, 1);
	sub = dial(b, "s", 4, false, 0, false);
	/* Session present; the first again, with DUP; then what came meanwhile. */
	hears(sub, "\x20\2\1\0\x3a\x0d\0\5out/1\0\1done\x32\x0d\0\5out/1\0\2done", 34);
	say(sub, "\x40\2\0\1\x40\2\0\2", 8);
	run(b, 1);
	assert_int_equal(b->p->leaves_held, 0);
	close(sub);
	close(fd);
}

static void test_a_subscriber_that_does_not_keep_up_is_let_go(void **state)
{
	struct bench *b = *state;
	int sub = client(b, "s"), fd = client(b, "p");

	subscribe(b, sub, "out/1");
	for (unsigned i = 0; i < 3 * PORTS_QUEUE; i++) {
		publish(fd, (uint8_t)(1 + i % 100), "in/1", "x", true, false);
		run(b, 1);
		answer_all(b, 200);
		run(b, 1);
	}
	assert_true(is_closed(sub));
	assert_int_equal(b->p->leaves_held, 0);
	assert_int_equal(b->p->stats.acknowledged, 3 * PORTS_QUEUE);
	close(sub);
	close(fd);
}

static void test_messages_of_who_has_unsubscribed_do_not_hold_up_the_others(void **state)
{
	struct bench *b = *state;
	int sub = client(b, "s"), fd = client(b, "p");

	subscribe(b, sub, "free");     /* no chain's: an event is at once a message */
	for (uint8_t i = 1; i <= 2 * LEAVES; i++) {
		publish(fd, i, i <= LEAVES ? "free" : "in/1", "x", true, false);
		run(b, 1);
		answer_all(b, 200);
		run(b, 1);
		if (i == LEAVES)
			say(sub, "\xa2\x08\0\1\0\4free", 10);
	}
	assert_int_equal(b->p->stats.acknowledged, 2 * LEAVES);
	close(sub);
	close(fd);
}

static void test_a_flood_of_subscriptions_is_bounded(void **state)
{
	struct bench *b = *state;
	int fd = client(b, "a");
	uint8_t in[4096];
	unsigned refused = 0;

	for (unsigned i = 0; i < 100; i++) {
		uint8_t out[] = { 0x82, 8, 0, 1, 0, 3, 'f', (uint8_t)('0' + i / 10), (uint8_t)('0' + i % 10), 1 };

		say(fd, out, sizeof(out));
		run(b, 1);
		assert_int_equal(hear(fd, in, sizeof(in)), 5);
		refused += in[4] == 0x80;
	}
	assert_int_equal(refused, 100 - PORTS_FILTERS);
	assert_int_equal(b->p->filters, PORTS_FILTERS);
	close(fd);
	run(b, 1);
	assert_int_equal(b->p->filters, 0);
}

/* ---- Connections ------------------------------------------------------------------------------ */

static void test_a_client_identifier_is_taken_over(void **state)
{
	struct bench *b = *state;
	uint8_t in[128];
	int old = dial(b, "same", 5, true, 0, false), new;

	assert_true(hear(old, in, sizeof(in)) > 0);
	new = client(b, "same");
	assert_true(hear(old, in, sizeof(in)) > 2);
	assert_int_equal(in[0], 0xe0);
	assert_int_equal(in[2], REASON_TAKEN_OVER);
	assert_true(is_closed(old));
	say(new, "\xc0\0", 2);
	run(b, 1);
	hears(new, "\xd0\0", 2);
	close(old);
	close(new);
}

static void test_silence_beyond_the_keep_alive_ends_a_connection(void **state)
{
	struct bench *b = *state;
	int quiet = dial(b, "q", 4, true, 4, false), fd = client(b, "forever");

	hears(quiet, "\x20\2\0\0", 4);
	run(b, 5000);
	assert_false(is_closed(quiet));
	run(b, 2000);
	assert_true(is_closed(quiet));
	assert_false(is_closed(fd));
	close(quiet);
	close(fd);
}

static void test_who_never_finishes_a_packet_is_let_go(void **state)
{
	struct bench *b = *state;
	int fd[2] = { socket(AF_UNIX, SOCK_STREAM, 0), client(b, "half") };

	assert_int_equal(connect(fd[0], (struct sockaddr *)&b->at, b->at_length), 0);
	say(fd[0], "\x10\x20\0", 3);
	say(fd[1], "\x32\x20\0", 3);
	for (int s = 0; s < 40; s++)
		run(b, 1000);
	assert_true(is_closed(fd[0]) && is_closed(fd[1]));
	assert_int_equal(b->p->open, 0);
	close(fd[0]);
	close(fd[1]);
}

static void test_a_will_is_published_for_who_goes_without_a_word(void **state)
{
	struct bench *b = *state;
	int fd = dial(b, "w", 4, true, 0, true);

	hears(fd, "\x20\2\0\0", 4);
	close(fd);
	run(b, 1);
	assert_int_equal(b->n, 1);
	assert_string_equal(b->held[0].body, "gone");
	answer_all(b, 200);
	fd = dial(b, "w", 4, true, 0, true);
	say(fd, "\xe0\0", 2);
	run(b, 1);
	assert_int_equal(b->n, 0);
	assert_true(is_closed(fd));
	close(fd);
	run(b, 2000);
	assert_int_equal(b->p->leaves_held, 0);
}

static void test_nothing_is_left_of_a_client_that_leaves_with_events_under_way(void **state)
{
	struct bench *b = *state;
	int fd = client(b, "a");

	publish(fd, 1, "in/1", "x", true, false);
	run(b, 1);
	close(fd);
	run(b, 1);
	answer_all(b, 200);
	run(b, 1);
	assert_int_equal(b->p->leaves_held, 0);
	assert_int_equal(b->p->open, 0);
}

static void test_an_adapter_is_replaced_under_its_clients(void **state)
{
	static struct adapter_ops newer;
	struct bench *b = *state;
	int fd = client(b, "a");
	char why[256];

	newer = mqtt;
	assert_int_equal(ports_add(b->p, &newer, NULL, -1, why, sizeof(why)), 0);
	say(fd, "\xc0\0", 2);
	run(b, 1);
	hears(fd, "\xd0\0", 2);
	assert_int_equal(ports_unload(b->p, "mqtt", why, sizeof(why)), 0);
	assert_true(is_closed(fd));
	assert_int_equal(ports_unload(b->p, "mqtt", why, sizeof(why)), -ENOENT);
	close(fd);
}

/* ---- Datagrams -------------------------------------------------------------------------------- */

static void test_a_repeated_datagram_runs_once(void **state)
{
	static const struct adapter_ops coap = { .version = ADAPTER_VERSION, .flags = ADAPTER_DATAGRAM,
						 .name = "coap", .summary = "", .parse = coap_parse,
						 .format = coap_format };
	static const uint8_t post[] = { 0x40, 2, 0, 5, 0xb1, 'a', 0xff, 'x' };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct bench *b = *state;
	socklen_t n = sizeof(at);
	uint8_t in[128], again[128];
	char why[256];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), door = socket(AF_INET, SOCK_DGRAM, 0);
	size_t length;

	assert_int_equal(bind(door, (struct sockaddr *)&at, n), 0);
	getsockname(door, (struct sockaddr *)&at, &n);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(ports_add(b->p, &coap, NULL, door, why, sizeof(why)), 0);
	say(fd, post, sizeof(post));
	run(b, 1);
	assert_int_equal(b->n, 1);
	say(fd, post, sizeof(post));    /* while it is under way: acknowledged, not run again */
	run(b, 1);
	assert_int_equal(b->n, 1);
	hears(fd, "\x60\0\0\5", 4);
	answer_all(b, 200);
	length = hear(fd, in, sizeof(in));
	assert_int_equal(in[0] >> 4, 5);        /* so the answer comes by itself */
	assert_int_equal(in[1], 0x44);
	say(fd, post, sizeof(post));
	run(b, 1);
	assert_int_equal(b->n, 0);
	assert_int_equal(hear(fd, again, sizeof(again)), length);
	assert_memory_equal(again, in, length);
	close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_puback_comes_when_all_chains_have_answered),
		CASE(test_pubacks_leave_in_the_order_of_their_publishes),
		CASE(test_an_event_that_died_with_an_instance_is_given_again),
		CASE(test_an_event_that_cannot_be_delivered_is_the_clients_again),
		CASE(test_a_refused_event_is_acknowledged_with_the_reason),
		CASE(test_a_full_chain_holds_up_and_loses_nothing),
		CASE(test_qos_0_is_tried_and_not_answered),
		CASE(test_answers_go_to_every_subscriber_once),
		CASE(test_a_persistent_session_gets_what_it_has_missed),
		CASE(test_a_subscriber_that_does_not_keep_up_is_let_go),
		CASE(test_messages_of_who_has_unsubscribed_do_not_hold_up_the_others),
		CASE(test_a_flood_of_subscriptions_is_bounded),
		CASE(test_a_client_identifier_is_taken_over),
		CASE(test_silence_beyond_the_keep_alive_ends_a_connection),
		CASE(test_who_never_finishes_a_packet_is_let_go),
		CASE(test_a_will_is_published_for_who_goes_without_a_word),
		CASE(test_nothing_is_left_of_a_client_that_leaves_with_events_under_way),
		CASE(test_an_adapter_is_replaced_under_its_clients),
		CASE(test_a_repeated_datagram_runs_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
