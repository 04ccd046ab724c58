/* SPDX-License-Identifier: BSD-2-Clause */
/* The MQTT adapter: what it understands, what it refuses and with which reason, what it writes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chain/adapters/mqtt.h"

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static struct packet p;

static ssize_t parse(uint8_t version, const uint8_t *in, size_t n)
{
	struct adapter_memo memo = { { version } };
	uint8_t *exact = malloc(n ? n : 1);     /* the sanitizer sees a byte too far */
	ssize_t took;

	/* However it was cut: nothing until it is whole, and never another verdict. */
	for (size_t part = 0; part < n; part++) {
		memo.byte[0] = version;
		took = mqtt_parse(&memo, memcpy(exact, in, part), part, &p);
		assert_true(took == 0 || took == -EPROTO);
	}
	memo.byte[0] = version;
	took = mqtt_parse(&memo, memcpy(exact, in, n), n, &p);
	free(exact);
	return took;
}

static void refused(uint8_t version, const uint8_t *in, size_t n, uint8_t reason)
{
	assert_int_equal(parse(version, in, n), -EPROTO);
	assert_int_equal(p.reason, reason);
}

#define NAME 0, 4, 'M', 'Q', 'T', 'T'

static void test_connect_of_both_versions_is_understood(void **state)
{
	(void)state;
	assert_int_equal(parse(0, BYTES(0x10, 13, NAME, 4, 2, 0, 60, 0, 1, 'a')), 15);
	assert_int_equal(p.kind, PACKET_CONNECT);
	assert_true(p.clean);
	assert_int_equal(p.keep_alive_s, 60);
	assert_int_equal(p.expiry_s, 0);
	assert_int_equal(p.client.length, 1);
	/* 3.1.1 without Clean Session: kept until further notice. */
	assert_int_equal(parse(0, BYTES(0x10, 13, NAME, 4, 0, 0, 0, 0, 1, 'a')), 15);
	assert_int_equal(p.expiry_s, UINT32_MAX);
	/* 5, figure 3-6's properties: Session Expiry Interval 10; a Receive Maximum of 7. */
	assert_int_equal(parse(0, BYTES(0x10, 22, NAME, 5, 2, 0, 60, 8, 0x11, 0, 0, 0, 10, 0x21, 0, 7, 0, 1,
					'a')), 24);
	assert_int_equal(p.expiry_s, 10);
	assert_int_equal(p.receive_max, 7);
}

static void test_connect_with_will_user_and_password(void **state)
{
	(void)state;
	assert_int_equal(parse(0, BYTES(0x10, 27, NAME, 4, 0xce, 0, 10, 0, 1, 'a', 0, 1, 'w', 0, 3, 'b', 'y',
					'e', 0, 1, 'u', 0, 1, 'p')), 29);
	assert_true(p.will);
	assert_int_equal(p.will_qos, 1);
	assert_int_equal(p.will_payload.length, 3);
}

static void test_connect_that_cannot_be_served_says_why(void **state)
{
	(void)state;
	refused(0, BYTES(0x10, 13, NAME, 3, 2, 0, 60, 0, 1, 'a'), REASON_VERSION);
	refused(0, BYTES(0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 60, 0, 1, 'a'), REASON_VERSION);
	refused(0, BYTES(0x10, 12, NAME, 4, 0, 0, 60, 0, 0), REASON_CLIENT_ID);
	refused(0, BYTES(0x10, 13, NAME, 4, 3, 0, 60, 0, 1, 'a'), REASON_MALFORMED);    /* reserved flag */
	refused(0, BYTES(0x10, 13, NAME, 4, 0x42, 0, 60, 0, 1, 'a'), REASON_MALFORMED); /* password, no user */
	refused(0, BYTES(0x10, 13, NAME, 4, 0x12, 0, 60, 0, 1, 'a'), REASON_MALFORMED); /* QoS of no will */
	refused(0, BYTES(0x10, 19, NAME, 4, 0x16, 0, 0, 0, 1, 'a', 0, 1, 'w', 0, 1, 'x'), REASON_NO_QOS);
	refused(0, BYTES(0x10, 19, NAME, 4, 0x26, 0, 0, 0, 1, 'a', 0, 1, 'w', 0, 1, 'x'), REASON_NO_RETAIN);
	refused(0, BYTES(0x10, 18, NAME, 5, 2, 0, 60, 4, 0x15, 0, 1, 'x', 0, 1, 'a'), REASON_AUTH_METHOD);
	refused(0, BYTES(0x10, 14, NAME, 4, 2, 0, 60, 0, 1, 'a', 0), REASON_MALFORMED); /* a byte too many */
	refused(0, BYTES(0x10, 20, NAME, 5, 2, 0, 60, 6, 0x21, 0, 1, 0x21, 0, 1, 0, 1, 'a'), REASON_PROTOCOL);
	refused(0, BYTES(0x10, 17, NAME, 5, 2, 0, 60, 3, 0x21, 0, 0, 0, 1, 'a'), REASON_PROTOCOL);
}

static void test_what_comes_before_connect_is_refused_by_its_first_byte(void **state)
{
	(void)state;
	refused(0, BYTES('G'), REASON_PROTOCOL);
	refused(0, BYTES(0xc0, 0), REASON_PROTOCOL);
	refused(0, BYTES(0x16, 3, 1), REASON_PROTOCOL);         /* a TLS client */
	refused(4, BYTES(0x10, 13, NAME, 4, 2, 0, 60, 0, 1, 'a'), REASON_PROTOCOL);
}

static void test_publish_is_understood(void **state)
{
	(void)state;
	/* The non-normative example of 3.1.1 §3.3.2: topic a/b, packet identifier 10. */
	assert_int_equal(parse(4, BYTES(0x32, 9, 0, 3, 'a', '/', 'b', 0, 10, 'h', 'i')), 11);
	assert_int_equal(p.qos, 1);
	assert_int_equal(p.id, 10);
	assert_int_equal(p.payload.length, 2);
	assert_string_equal(p.type.at, "application/cloudevents+json");
	assert_int_equal(parse(4, BYTES(0x30, 5, 0, 3, 'a', '/', 'b')), 7);
	assert_int_equal(p.payload.length, 0);
}

static void test_publish_of_version_5_brings_cloudevents_attributes(void **state)
{
	(void)state;
	assert_int_equal(parse(5, BYTES(0x30, 25, 0, 1, 't', 20, 0x26, 0, 2, 'i', 'd', 0, 1, '7', 3, 0, 3, 'a',
					'/', 'b', 0x26, 0, 1, 'X', 0, 0, 'p')), 27);
	assert_int_equal(p.type.length, 3);
	assert_int_equal(p.event.length, strlen("ce-id: 7\r\n"));
	assert_memory_equal(p.event.at, "ce-id: 7\r\n", 10);
	/* A line end in a value would become a field of its own. */
	assert_int_equal(parse(5, BYTES(0x30, 14, 0, 1, 't', 10, 0x26, 0, 2, 'i', 'd', 0, 3, 'a', '\r', '\n')),
			 -EPROTO);
}

static void test_publish_that_is_not_offered_is_refused_with_its_reason(void **state)
{
	(void)state;
	refused(5, BYTES(0x34, 7, 0, 1, 't', 0, 1, 0, 'p'), REASON_NO_QOS);
	refused(4, BYTES(0x31, 4, 0, 1, 't', 'p'), REASON_NO_RETAIN);
	refused(4, BYTES(0x36, 6, 0, 1, 't', 0, 1, 'p'), REASON_MALFORMED);     /* QoS 3 */
	refused(4, BYTES(0x38, 4, 0, 1, 't', 'p'), REASON_MALFORMED);           /* DUP at QoS 0 */
	refused(4, BYTES(0x32, 6, 0, 1, 't', 0, 0, 'p'), REASON_MALFORMED);     /* identifier 0 */
	refused(4, BYTES(0x30, 4, 0, 1, '#', 'p'), REASON_TOPIC);
	refused(4, BYTES(0x30, 7, 0, 4, '$', 'S', 'Y', 'S', 'p'), REASON_TOPIC);
	refused(4, BYTES(0x30, 2, 0, 0), REASON_TOPIC);
	refused(4, BYTES(0x30, 3, 0, 1, 0), REASON_MALFORMED);                  /* U+0000 */
	refused(4, BYTES(0x30, 5, 0, 3, 0xed, 0xa0, 0x80), REASON_MALFORMED);   /* a surrogate */
	refused(4, BYTES(0x30, 4, 0, 2, 0xc0, 0x80), REASON_MALFORMED);         /* overlong */
	refused(4, BYTES(0x30, 4, 0, 9, 't', 'p'), REASON_MALFORMED);           /* topic beyond the packet */
	refused(5, BYTES(0x30, 7, 0, 1, 't', 3, 0x23, 0, 9), REASON_ALIAS);
	refused(5, BYTES(0x30, 3, 0, 0, 0), REASON_PROTOCOL);                   /* neither topic nor alias */
	refused(5, BYTES(0x30, 6, 0, 1, 't', 2, 0x0b, 1), REASON_MALFORMED);    /* subscription identifier */
}

static void test_lengths_are_bounded(void **state)
{
	(void)state;
	refused(4, BYTES(0x30, 0xff, 0xff, 0xff, 0xff, 1), REASON_MALFORMED);
	refused(4, BYTES(0x30, 0x80, 0x80, 1), REASON_TOO_LARGE);       /* 16384 and a header */
	refused(4, BYTES(0x30, 0xff, 0xff, 0xff, 0x7f), REASON_TOO_LARGE);
}

static void test_subscribe_and_unsubscribe(void **state)
{
	(void)state;
	/* The example of 3.1.1 §3.8.3.1: a/b at QoS 1, c/d at QoS 2. */
	assert_int_equal(parse(4, BYTES(0x82, 14, 0, 10, 0, 3, 'a', '/', 'b', 1, 0, 3, 'c', '/', 'd', 2)), 16);
	assert_int_equal(p.filters, 2);
	assert_int_equal(p.filter[0].qos, 1);
	assert_int_equal(p.filter[1].qos, 2);
	assert_int_equal(parse(4, BYTES(0xa2, 12, 0, 10, 0, 3, 'a', '/', 'b', 0, 3, 'c', '/', 'd')), 14);
	assert_int_equal(p.filters, 2);
	assert_int_equal(parse(5, BYTES(0x82, 15, 0, 1, 0, 0, 9, '$', 's', 'h', 'a', 'r', 'e', '/', 'g', '/', 1)),
			 17);
	assert_int_equal(p.filter[0].reason, REASON_NO_SHARED);
	refused(4, BYTES(0x80, 6, 0, 10, 0, 1, 'a', 1), REASON_MALFORMED);      /* flags */
	refused(4, BYTES(0x82, 2, 0, 10), REASON_PROTOCOL);                     /* no filter */
	refused(4, BYTES(0x82, 6, 0, 10, 0, 1, 'a', 3), REASON_MALFORMED);      /* QoS 3 */
	refused(4, BYTES(0x82, 6, 0, 0, 0, 1, 'a', 1), REASON_MALFORMED);       /* identifier 0 */
	refused(5, BYTES(0x82, 9, 0, 1, 2, 0x0b, 1, 0, 1, 'a', 1), REASON_NO_SUBSCRIPTION_ID);
}

static void test_what_only_a_server_or_qos_2_sends_is_refused(void **state)
{
	static const uint8_t types[] = { 0x20, 0x50, 0x62, 0x70, 0x90, 0xb0, 0xd0, 0xf0, 0x00 };

	(void)state;
	for (unsigned i = 0; i < sizeof(types); i++) {
		const uint8_t in[] = { types[i], 2, 0, 1 };

		assert_int_equal(parse(5, in, sizeof(in)), -EPROTO);
	}
	refused(4, BYTES(0xc0, 1, 0), REASON_MALFORMED);
	refused(4, BYTES(0xe0, 1, 0), REASON_MALFORMED);
}

static void written(uint8_t version, const uint8_t *expected, size_t n)
{
	struct adapter_memo memo = { { version } };
	uint8_t out[512];

	assert_int_equal(mqtt_format(&memo, &p, out, sizeof(out)), n);
	assert_memory_equal(out, expected, n);
	for (size_t room = 0; room < n; room++)
		assert_int_equal(mqtt_format(&memo, &p, out, room), -EMSGSIZE);
}

static void test_answers_are_written_as_the_specification_has_them(void **state)
{
	(void)state;
	p = (struct packet){ .kind = PACKET_CONNACK, .present = true };
	written(4, BYTES(0x20, 2, 1, 0));
	p = (struct packet){ .kind = PACKET_CONNACK, .reason = REASON_VERSION, .present = true };
	written(4, BYTES(0x20, 2, 0, 1));
	p = (struct packet){ .kind = PACKET_PUBACK, .id = 0x1234 };
	written(4, BYTES(0x40, 2, 0x12, 0x34));
	written(5, BYTES(0x40, 2, 0x12, 0x34));
	p = (struct packet){ .kind = PACKET_PONG };
	written(4, BYTES(0xd0, 0));
	p = (struct packet){ .kind = PACKET_SUBACK, .id = 1, .filters = 2,
			     .filter = { { .reason = 1 }, { .reason = REASON_QUOTA } } };
	written(4, BYTES(0x90, 4, 0, 1, 1, 0x80));
	written(5, BYTES(0x90, 5, 0, 1, 0, 1, 0x97));
	p = (struct packet){ .kind = PACKET_PUBLISH, .qos = 1, .id = 2, .dup = true, .topic = { "a/b", 3 },
			     .type = { "t", 1 }, .payload = { "x", 1 } };
	written(4, BYTES(0x3a, 8, 0, 3, 'a', '/', 'b', 0, 2, 'x'));
	written(5, BYTES(0x3a, 13, 0, 3, 'a', '/', 'b', 0, 2, 4, 3, 0, 1, 't', 'x'));
}

static void test_connack_of_version_5_says_what_is_not_offered(void **state)
{
	struct adapter_memo memo = { { 5 } };
	static const uint8_t maximum_qos[] = { 0x24, 1 }, retain[] = { 0x25, 0 }, shared[] = { 0x2a, 0 };
	uint8_t out[512];
	ssize_t n;

	(void)state;
	p = (struct packet){ .kind = PACKET_CONNACK, .receive_max = 64, .expiry_s = 9 };
	n = mqtt_format(&memo, &p, out, sizeof(out));
	assert_true(n > 0);
	assert_non_null(memmem(out, (size_t)n, maximum_qos, 2));
	assert_non_null(memmem(out, (size_t)n, retain, 2));
	assert_non_null(memmem(out, (size_t)n, shared, 2));
}

static void test_only_version_5_is_told_why_it_is_disconnected(void **state)
{
	struct adapter_memo memo = { { 4 } };
	uint8_t out[128];

	(void)state;
	p = (struct packet){ .kind = PACKET_DISCONNECT, .reason = REASON_TAKEN_OVER };
	assert_int_equal(mqtt_format(&memo, &p, out, sizeof(out)), 0);
	memo.byte[0] = 5;
	assert_true(mqtt_format(&memo, &p, out, sizeof(out)) > 0);
	assert_int_equal(out[2], REASON_TAKEN_OVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_of_both_versions_is_understood),
		cmocka_unit_test(test_connect_with_will_user_and_password),
		cmocka_unit_test(test_connect_that_cannot_be_served_says_why),
		cmocka_unit_test(test_what_comes_before_connect_is_refused_by_its_first_byte),
		cmocka_unit_test(test_publish_is_understood),
		cmocka_unit_test(test_publish_of_version_5_brings_cloudevents_attributes),
		cmocka_unit_test(test_publish_that_is_not_offered_is_refused_with_its_reason),
		cmocka_unit_test(test_lengths_are_bounded),
		cmocka_unit_test(test_subscribe_and_unsubscribe),
		cmocka_unit_test(test_what_only_a_server_or_qos_2_sends_is_refused),
		cmocka_unit_test(test_answers_are_written_as_the_specification_has_them),
		cmocka_unit_test(test_connack_of_version_5_says_what_is_not_offered),
		cmocka_unit_test(test_only_version_5_is_told_why_it_is_disconnected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
