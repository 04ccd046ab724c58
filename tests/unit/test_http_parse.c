/* SPDX-License-Identifier: BSD-2-Clause */
/* The promises of the head parser and the chunk decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chain/http.h"

struct sample {
	const char *text;
	int verdict;                /* 1: accepted, 0: incomplete, else minus a status */
};

#define H "Host: a\r\n"

/*
 * What is ambiguous, malformed or unsupported, and its status. Also the corpus of the packet test.
 */
static const struct sample requests[] = {
	{"GET / HTTP/1.1\r\n" H "\r\n", 1},
	{"GET / HTTP/1.0\r\n\r\n", 1},
	{"\r\nGET / HTTP/1.1\r\n" H "\r\n", 1},
	{"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", -400},
	{"GET /product/1?x=2&y HTTP/1.1\r\nhOsT: shop:80\r\nCookie: a=b; c=d\r\n\r\n", 1},
	{"POST /cart HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 1},
	{"POST /cart HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 1},
	{"POST /cart HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", 1},
	{"GET http://shop/cart?a HTTP/1.1\r\n" H "\r\n", 1},
	{"GET http://shop HTTP/1.1\r\n" H "\r\n", 1},
	{"OPTIONS * HTTP/1.1\r\n" H "\r\n", 1},
	{"GET / HTTP/1.2\r\n" H "\r\n", 1},
	{"GET / HTTP/1.1\r\n" H "X:\r\nY: \t \r\n\r\n", 1},
	{"GET / HTTP/1.1\r\n" H "X: \x80\xff tab\there\r\n\r\n", 1},
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 1},
	{"POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 1},
	{"", 0},
	{"GET", 0},
	{"GET / HTTP/1.1\r\n" H, 0},
	{"GET / HTTP/1.1\r\n" H "\r", 0},
	/* Smuggling: what one parser takes for the end of a message, another must not miss. */
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", -413},
	{"POST / HTTP/1.1\r\n" H "Content-Length : 5\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n", -400},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", -501},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", -501},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", -501},
	{"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	 -400},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H "X: a\r\n folded\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n X: a\r\n" H "\r\n", -400},
	{"GET / HTTP/1.1\n" H "\r\n", -400},
	{"GET / HTTP/1.1\r\nHost: a\n\n", -400},
	{"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H "X\x80: a\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H ": a\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H "no colon\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\n" H H "\r\n", -400},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", -400},
	{"GET / HTTP/1.1\r\nHost: a,b@c\r\n\r\n", -400},
	{"GET  / HTTP/1.1\r\n" H "\r\n", -400},
	{"GET /  HTTP/1.1\r\n" H "\r\n", -400},
	{"GET / HTTP/1.1 \r\n" H "\r\n", -400},
	{"GET /\r\n", -400},
	{"GET /#x HTTP/1.1\r\n", -400},
	{"GET /\x80 HTTP/1.1\r\n", -400},
	{"GET x HTTP/1.1\r\n" H "\r\n", -400},
	{"GET * HTTP/1.1\r\n" H "\r\n", -400},
	{"GET http:///x HTTP/1.1\r\n" H "\r\n", -400},
	{"GET http://a@b/x HTTP/1.1\r\n" H "\r\n", -400},
	{" GET / HTTP/1.1\r\n", -400},
	{"G\"T / HTTP/1.1\r\n", -400},
	{"get / HTTP/1.1\r\n", -501},
	{"BREW / HTTP/1.1\r\n", -501},
	{"CONNECT a:80 HTTP/1.1\r\n", -501},
	{"AAAAAAAAAAAAAAAAAAAAAAAAAAAA", -501},
	{"GET / HTTP/2.0\r\n", -505},
	{"GET / HTTP/1,1\r\n", -400},
	{"GET / http/1.1\r\n", -400},
	{"GET / HTTP/11\r\n", -400},
	{"\x16\x03\x01\x02", -400},
	{"POST / HTTP/1.1\r\n" H "Expect: cookies\r\n\r\n", -417},
};

#define N_REQUESTS (sizeof(requests) / sizeof(requests[0]))

/* The parser sees exactly `n` bytes on the heap: ASan guards the rest. */
static int parse(struct http_head *h, const char *text, size_t n)
{
	char *copy = malloc(n + !n);
	int rc;

	memcpy(copy, text, n);
	rc = http_parse_request(h, copy, n);
	free(copy);
	return rc;
}

static void gives_each_request_its_verdict(void **state)
{
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < N_REQUESTS; i++) {
		int rc = parse(&h, requests[i].text, strlen(requests[i].text));

		if (rc > 0)
			rc = 1;
		if (rc != requests[i].verdict)
			fail_msg("%d, not %d, for: %s", rc, requests[i].verdict, requests[i].text);
	}
}

static void verdict_does_not_depend_on_packets(void **state)
{
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < N_REQUESTS; i++) {
		const size_t n = strlen(requests[i].text);
		const int whole = parse(&h, requests[i].text, n);
		int rc = 0;

		for (size_t seen = 0; seen <= n && rc == 0; seen++)
			rc = parse(&h, requests[i].text, seen);
		if (rc != whole)
			fail_msg("%d byte by byte, %d whole: %s", rc, whole, requests[i].text);
	}
}

static void refuses_nul_everywhere(void **state)
{
	static const char text[] = "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n";
	char copy[sizeof(text)];
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		memcpy(copy, text, sizeof(text));
		copy[i] = '\0';
		assert_true(http_parse_request(&h, copy, sizeof(text) - 1) < 0);
	}
}

static void is(struct slice s, const char *text)
{
	assert_int_equal(s.length, strlen(text));
	assert_memory_equal(s.at, text, s.length);
}

static void reports_what_a_request_says(void **state)
{
	static const char text[] =
		"POST http://shop:8080/cart?a=1&b HTTP/1.1\r\nHost: other\r\nCOOKIE: s=1 \t\r\n"
		"content-type:application/x-www-form-urlencoded\r\nContent-Length: 007\r\n"
		"X-PERHOP-TYPE: 17\r\nx-perhop-topic: 3\r\nX-Perhop-Position: 4\r\n"
		"X-Perhop-Status: 200\r\nX-Perhop-Outcome: CALL\r\nX-Perhop-Token: 0f\r\nConnection: foo, Close\r\n"
		"Expect: 100-continue\r\n\r\nBODY";
	struct http_head h;
	const int rc = http_parse_request(&h, text, sizeof(text) - 1);

	(void)state;
	assert_int_equal(rc, sizeof(text) - 1 - 4);
	assert_int_equal(h.head_bytes, rc);
	assert_int_equal(h.method, HTTP_POST);
	assert_int_equal(h.minor, 1);
	is(h.target, "http://shop:8080/cart?a=1&b");
	is(h.path, "/cart");
	is(h.query, "a=1&b");
	is(h.host, "shop:8080");
	is(h.cookie, "s=1");
	is(h.content_type, "application/x-www-form-urlencoded");
	is(h.x_type, "17");
	is(h.x_topic, "3");
	is(h.x_position, "4");
	is(h.x_status, "200");
	is(h.x_outcome, "CALL");
	is(h.x_token, "0f");
	assert_true(h.has_length && !h.chunked && h.content_length == 7);
	assert_true(h.expect_continue && !h.keep_alive);
}

static void keeps_connections_as_the_version_says(void **state)
{
	static const struct {
		const char *text;
		bool keep;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n" H "\r\n", true },
		{ "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "Connection: keep-alive, close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "Connection: x\r\nConnection:\tclose \r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
	};
	struct http_head h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(http_parse_request(&h, cases[i].text, strlen(cases[i].text)) > 0);
		assert_int_equal(h.keep_alive, cases[i].keep);
	}
}

static char *repeat(size_t n, const char *before, char c, const char *after)
{
	char *s = malloc(strlen(before) + n + strlen(after) + 1);

	strcpy(s, before);
	memset(s + strlen(before), c, n);
	strcpy(s + strlen(before) + n, after);
	return s;
}

static int verdict(char *text)
{
	struct http_head h;
	const size_t n = strlen(text);
	const int whole = parse(&h, text, n);
	int rc = 0;

	for (size_t seen = 1; seen <= n && rc == 0; seen += seen < 4200 ? 1 : 97)
		rc = parse(&h, text, seen);
	if (rc)
		assert_int_equal(rc, whole);
	free(text);
	return whole > 0 ? 1 : whole;
}

static void holds_its_limits(void **state)
{
	static const char tail[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
	char many[HTTP_FIELDS_MAX * 8 + 100];
	size_t n;
	const size_t around = strlen("GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n");

	(void)state;
	assert_int_equal(verdict(repeat(HTTP_TARGET_MAX - 1, "GET /", 'a', tail)), 1);
	assert_int_equal(verdict(repeat(HTTP_TARGET_MAX, "GET /", 'a', tail)), -414);
	assert_int_equal(verdict(repeat(HTTP_TARGET_MAX, "GET /", 'a', "")), -414);
	assert_int_equal(verdict(repeat(HTTP_HEAD_MAX - around, "GET / HTTP/1.1\r\nHost: a\r\nX: ",
					'x', "\r\n\r\n")), 1);
	assert_int_equal(verdict(repeat(HTTP_HEAD_MAX - around + 1,
					"GET / HTTP/1.1\r\nHost: a\r\nX: ", 'x', "\r\n\r\n")),
			 -431);
	assert_int_equal(verdict(repeat(HTTP_HEAD_MAX, "GET / HTTP/1.1\r\n", 'x', "")), -431);

	n = (size_t)sprintf(many, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		n += (size_t)sprintf(many + n, "X: y\r\n");
	strcpy(many + n, "\r\n");
	assert_int_equal(verdict(strdup(many)), 1);
	strcpy(many + n, "X: y\r\n\r\n");
	assert_int_equal(verdict(strdup(many)), -431);
}

static void reads_responses(void **state)
{
	static const char text[] = "HTTP/1.1 302 Found\r\nLocation: /cart\r\nSet-Cookie: a=1\r\n"
				   "Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n";
	static const struct {
		const char *text;
		int verdict;
	} cases[] = {
		{"HTTP/1.1 200\r\n\r\n", 1},
		{"HTTP/1.1 200 \r\n\r\n", 1},
		{"HTTP/1.0 200 OK\r\n\r\n", 1},
		{"HTTP/1.1 20 OK\r\n\r\n", -400},
		{"HTTP/1.1 2000 OK\r\n\r\n", -400},
		{"HTTP/1.1 700 OK\r\n\r\n", -400},
		{"HTTP/2.0 200 OK\r\n\r\n", -505},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", -400},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		 -400},
		{"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
		{"HTTP/1.1 200 OK\r\n", 0},
	};
	struct http_head h;

	(void)state;
	assert_int_equal(http_parse_response(&h, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(h.status, 302);
	is(h.location, "/cart");
	is(h.set_cookie, "a=1");
	assert_true(h.has_length && h.keep_alive);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = http_parse_response(&h, cases[i].text, strlen(cases[i].text));

		assert_int_equal(rc > 0 ? 1 : rc, cases[i].verdict);
	}
	assert_true(http_parse_response(&h, "HTTP/1.1 204 No\r\n\r\n", 19) > 0);
	assert_true(h.has_length && h.content_length == 0);
}

static void walks_over_all_fields(void **state)
{
	static const char text[] =
		"GET / HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\nEmpty:\r\n\r\nbody: no\r\n";
	struct slice fields, name, value;
	struct http_head h;

	(void)state;
	assert_true(http_parse_request(&h, text, sizeof(text) - 1) > 0);
	fields = http_fields(text, h.head_bytes);
	assert_true(http_field_next(&fields, &name, &value));
	is(name, "Host");
	is(value, "a");
	assert_true(http_field_next(&fields, &name, &value));
	is(name, "X-Y");
	is(value, "z");
	assert_true(http_field_next(&fields, &name, &value));
	is(name, "Empty");
	is(value, "");
	assert_false(http_field_next(&fields, &name, &value));
}

/* Decode `text` in pieces of `piece` bytes into `out`; returns the verdict. */
static int dechunk(const char *text, size_t piece, char *out, size_t *made, size_t *used,
		   uint64_t limit)
{
	struct http_chunks c = { 0 };
	const size_t n = strlen(text);
	int rc = 0;

	*made = *used = 0;
	while (*used < n && rc == 0) {
		size_t take = n - *used < piece ? n - *used : piece, u, m;

		rc = http_dechunk(&c, text + *used, take, out + *made, &u, &m, limit);
		*used += u;
		*made += m;
	}
	return rc;
}

static void decodes_chunks_cut_anywhere(void **state)
{
	static const struct sample cases[] = {
		{"5\r\nhello\r\n6;ext=\"a b\"\r\n world\r\n0\r\n\r\nNEXT", 1},
		{"5\r\nhello\r\n006\r\n world\r\n0\r\nX: y\r\nZ:\r\n\r\nNEXT", 1},
		{"5\r\nhello\r\n", 0},
		{"5\r\nhel", 0},
		{"\r\n", -400},
		{"g\r\n", -400},
		{"-5\r\n", -400},
		{"0x5\r\n", -400},
		{"5 \r\nhello\r\n", -400},
		{"5\nhello\r\n", -400},
		{"5\r\nhello\n0\r\n\r\n", -400},
		{"5\r\nhelloX\r\n", -400},
		{"5\r\nhello\rX", -400},
		{";x\r\n", -400},
		{"5;\x01\r\n", -400},
		{"0\r\n folded\r\n\r\n", -400},
		{"0\r\n\n", -400},
		{"0\r\nX: y\n\r\n", -400},
		{"FFFFFFFFFFFFFFFF\r\n", -413},
		{"10000000000000005\r\nhello", -413},
		{"65\r\n", -413},
	};
	char whole[128], cut[128];
	size_t made, used, made_cut, used_cut;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int rc = dechunk(cases[i].text, 1000, whole, &made, &used, 100);

		if (rc != cases[i].verdict)
			fail_msg("%d, not %d, for %s", rc, cases[i].verdict, cases[i].text);
		for (size_t piece = 1; piece < 8; piece++) {
			assert_int_equal(
				dechunk(cases[i].text, piece, cut, &made_cut, &used_cut, 100), rc);
			assert_int_equal(made_cut, made);
			assert_int_equal(used_cut, used);
			assert_memory_equal(cut, whole, made);
		}
		if (rc == 1) {
			assert_int_equal(made, 11);
			assert_memory_equal(whole, "hello world", 11);
			assert_string_equal(cases[i].text + used, "NEXT");
		}
	}
}

static void bounds_chunk_extensions_and_trailers(void **state)
{
	char out[16];
	size_t made, used;
	char *text = repeat(300, "5;", 'x', "\r\nhello\r\n0\r\n\r\n");

	(void)state;
	assert_int_equal(dechunk(text, 1000, out, &made, &used, 10), -400);
	free(text);
	text = repeat(5000, "0\r\nX: ", 'x', "\r\n\r\n");
	assert_int_equal(dechunk(text, 1000, out, &made, &used, 10), -431);
	free(text);
	/* Many small chunks, each within the limit. */
	assert_int_equal(
		dechunk("4\r\nabcd\r\n4\r\nabcd\r\n4\r\nabcd\r\n", 3, out, &made, &used, 10), -413);
}

static void decodes_chunks_in_place(void **state)
{
	char text[] = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
	struct http_chunks c = { 0 };
	size_t used, made;

	(void)state;
	assert_int_equal(http_dechunk(&c, text, sizeof(text) - 1, text, &used, &made, 100), 1);
	assert_int_equal(used, sizeof(text) - 1);
	assert_int_equal(made, 7);
	assert_memory_equal(text, "abcdefg", 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_each_request_its_verdict),
		cmocka_unit_test(verdict_does_not_depend_on_packets),
		cmocka_unit_test(refuses_nul_everywhere),
		cmocka_unit_test(reports_what_a_request_says),
		cmocka_unit_test(keeps_connections_as_the_version_says),
		cmocka_unit_test(holds_its_limits),
		cmocka_unit_test(reads_responses),
		cmocka_unit_test(walks_over_all_fields),
		cmocka_unit_test(decodes_chunks_cut_anywhere),
		cmocka_unit_test(bounds_chunk_extensions_and_trailers),
		cmocka_unit_test(decodes_chunks_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
