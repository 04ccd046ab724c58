/* SPDX-License-Identifier: BSD-2-Clause */
/* The CoAP adapter: messages as RFC 7252 draws them, and its refusals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chain/adapters/coap.h"

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static struct packet p;

static ssize_t parse(const uint8_t *in, size_t n)
{
	struct adapter_memo memo = { { 0 } };
	uint8_t *exact = malloc(n ? n : 1);
	ssize_t took = coap_parse(&memo, memcpy(exact, in, n), n, &p);

	free(exact);
	return took;
}

static void test_the_rfcs_first_example_is_a_request(void **state)
{
	(void)state;
	/* Figure 16: CON GET, MID 0x7d34, Uri-Path "temperature" (delta 11, length 11). */
	assert_int_equal(parse(BYTES(0x40, 1, 0x7d, 0x34, 0xbb, 't', 'e', 'm', 'p', 'e', 'r', 'a', 't', 'u', 'r',
				     'e')), 16);
	assert_int_equal(p.kind, PACKET_REQUEST);
	assert_true(p.confirmable);
	assert_int_equal(p.id, 0x7d34);
	assert_int_equal(p.method, HTTP_GET);
	assert_int_equal(p.topic.length, 11);
	assert_memory_equal(p.topic.at, "temperature", 11);
}

static void test_segments_of_the_path_make_the_topic(void **state)
{
	(void)state;
	/* NON PUT with a token; Uri-Path twice, Content-Format 50 and a payload. */
	assert_int_equal(parse(BYTES(0x52, 3, 0, 1, 0xab, 0xcd, 0xb1, 'a', 0x01, 'b', 0x11, 50, 0xff, '{', '}')), 15);
	assert_false(p.confirmable);
	assert_int_equal(p.method, HTTP_PUT);
	assert_int_equal(p.token_length, 2);
	assert_memory_equal(p.topic.at, "a/b", 3);
	assert_int_equal(p.payload.length, 2);
	assert_string_equal(p.type.at, "application/cloudevents+json");
}

static void test_extended_deltas_and_lengths(void **state)
{
	uint8_t in[4 + 2 + 20] = { 0x40, 2, 0, 1, 0xbd, 7 };    /* Uri-Path of 13 + 7 bytes */

	(void)state;
	memset(in + 6, 'x', 20);
	assert_int_equal(parse(in, sizeof(in)), sizeof(in));
	assert_int_equal(p.topic.length, 20);
	/* Elective option 11 + 269 + 2048, delta in two bytes: ignored. */
	assert_int_equal(parse(BYTES(0x40, 2, 0, 1, 0xb1, 'a', 0xe0, 8, 0x00)), 9);
}

static void refused(const uint8_t *in, size_t n, unsigned status)
{
	assert_int_equal(parse(in, n), -EPROTO);
	assert_int_equal(p.kind, PACKET_REQUEST);
	assert_int_equal(p.status, status);
}

static void test_what_is_not_offered_is_refused_with_its_code(void **state)
{
	(void)state;
	refused(BYTES(0x40, 2, 0, 1, 0xb1, 'a', 0xd1, 3, 0x08), 402);           /* Block1 */
	refused(BYTES(0x40, 1, 0, 1, 0xb1, 'a', 0xc1, 0x16), 402);              /* Block2, the second */
	refused(BYTES(0x40, 2, 0, 1, 0x10, 0xa1, 'a'), 402);                    /* If-Match */
	refused(BYTES(0x40, 7, 0, 1, 0xb1, 'a'), 405);                          /* iPATCH */
	refused(BYTES(0x40, 1, 0, 1, 0xb1, 'a', 0x61, 60), 406);                /* Accept: CBOR */
	refused(BYTES(0x40, 1, 0, 1, 0xd1, 22, 'x'), 505);                      /* Proxy-Uri */
	refused(BYTES(0x40, 1, 0, 1, 0xb3, 'a', '/', 'b'), 400);
	refused(BYTES(0x40, 1, 0, 1), 404);
	/* "No more than 16 bytes at a time": the first block is the whole answer. */
	assert_true(parse(BYTES(0x40, 1, 0, 1, 0xb1, 'a', 0xc1, 0x00)) > 0);
}

static void test_message_errors_reset_what_is_confirmable_and_ignore_the_rest(void **state)
{
	static const uint8_t bad[][6] = {
		{ 0x49, 1, 0, 1, 0, 0 },        /* token of 9 */
		{ 0x40, 1, 0, 1, 0xf0, 0 },     /* delta 15 */
		{ 0x40, 1, 0, 1, 0xb5, 'a' },   /* option beyond the message */
		{ 0x40, 1, 0, 1, 0xb0, 0xff },  /* a marker and no payload */
		{ 0x40, 0x45, 0, 1, 0, 0 },     /* an answer to no question of ours */
		{ 0x40, 0, 0, 1, 0, 0 },        /* empty, and bytes behind it */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t in[6];

		memcpy(in, bad[i], sizeof(in));
		assert_int_equal(parse(in, sizeof(in)), -EPROTO);
		assert_int_equal(p.kind, PACKET_RESET);
		in[0] |= 0x10;                  /* the same, not confirmable */
		assert_int_equal(parse(in, sizeof(in)), -EPROTO);
		assert_int_equal(p.kind, 0);
	}
	assert_int_equal(parse(BYTES(0x80, 1, 0, 1)), -EPROTO);         /* version 2: silence */
	assert_int_equal(p.kind, 0);
	for (size_t n = 0; n < 4; n++)
		assert_int_equal(parse((const uint8_t[4]){ 0x40, 1, 0, 1 }, n), -EPROTO);
}

static void test_an_empty_confirmable_message_is_a_ping(void **state)
{
	(void)state;
	assert_int_equal(parse(BYTES(0x40, 0, 0, 9)), 4);
	assert_int_equal(p.kind, PACKET_PING);
	assert_int_equal(p.id, 9);
}

static void written(const uint8_t *expected, size_t n)
{
	struct adapter_memo memo = { { 0 } };
	uint8_t out[256];

	assert_int_equal(coap_format(&memo, &p, out, sizeof(out)), n);
	assert_memory_equal(out, expected, n);
}

static void test_responses_are_written_as_the_rfc_has_them(void **state)
{
	(void)state;
	p = (struct packet){ .kind = PACKET_RESPONSE, .id = 0x7d34, .piggybacked = true, .method = HTTP_GET,
			     .status = 200, .type = { "text/plain; charset=utf-8", 25 }, .payload = { "22.3 C", 6 } };
	written(BYTES(0x60, 0x45, 0x7d, 0x34, 0xc0, 0xff, '2', '2', '.', '3', ' ', 'C'));
	p = (struct packet){ .kind = PACKET_RESPONSE, .id = 1, .method = HTTP_POST, .status = 204,
			     .token_length = 1, .token = { 0xaa } };
	written(BYTES(0x51, 0x44, 0, 1, 0xaa));         /* separate: NON 2.04 */
	p = (struct packet){ .kind = PACKET_RESPONSE, .id = 1, .piggybacked = true, .status = 503 };
	written(BYTES(0x60, 0xa3, 0, 1, 0xd1, 1, 1));
	p = (struct packet){ .kind = PACKET_EMPTY, .id = 2 };
	written(BYTES(0x60, 0, 0, 2));
	p = (struct packet){ .kind = PACKET_RESET, .id = 2 };
	written(BYTES(0x70, 0, 0, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_rfcs_first_example_is_a_request),
		cmocka_unit_test(test_segments_of_the_path_make_the_topic),
		cmocka_unit_test(test_extended_deltas_and_lengths),
		cmocka_unit_test(test_what_is_not_offered_is_refused_with_its_code),
		cmocka_unit_test(test_message_errors_reset_what_is_confirmable_and_ignore_the_rest),
		cmocka_unit_test(test_an_empty_confirmable_message_is_a_ping),
		cmocka_unit_test(test_responses_are_written_as_the_rfc_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
