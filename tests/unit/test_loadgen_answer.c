/* SPDX-License-Identifier: BSD-2-Clause */
/* The generator's reading of answers, byte by byte and in any pieces; its timers; its digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "workloads/loadgen/answer.h"
#include "workloads/loadgen/digest.h"
#include "workloads/loadgen/timers.h"

#define TEXT(s) s, sizeof(s) - 1

static struct answer_store store;

static int release_store(void **state)
{
	(void)state;
	answer_store_free(&store);
	return 0;
}

/* An answer as it ended, copied out of the buffers. */
struct outcome {
	int result;                 /* of the last answer_feed or answer_eof */
	unsigned status;
	bool keep_alive;
	size_t used;                /* bytes of the input that were its own */
	size_t body_length;
	char body[256];
};

/* Feed `text` in pieces of `piece` bytes, as a shared receive buffer would hold them. */
static struct outcome read_answer(const char *text, size_t length, size_t piece, bool whole,
				  bool bodiless)
{
	struct outcome o = { 0 };
	struct answer a;
	char *buffer = malloc(piece);
	size_t at = 0;

	assert_non_null(buffer);
	answer_begin(&a, whole, bodiless);
	while (!o.result && at < length) {
		size_t n = length - at < piece ? length - at : piece, used = 0;

		memcpy(buffer, text + at, n);
		o.result = answer_feed(&a, &store, buffer, n, &used);
		assert_true(o.result < 0 || used <= n);
		assert_true(o.result || used == n);     /* nothing is left over before the end */
		at += n;
		o.used += used;
	}
	if (!o.result)
		o.result = answer_eof(&a);
	o.status = a.status;
	o.keep_alive = a.keep_alive;
	if (o.result == 1 && whole) {
		assert_memory_equal(a.head, "HTTP/1.", 7);
		assert_memory_equal(a.head + a.head_length - 4, "\r\n\r\n", 4);
		assert_true(a.body_length < sizeof(o.body));
		o.body_length = a.body_length;
		memcpy(o.body, a.body, a.body_length);
	}
	answer_end(&a, &store);
	free(buffer);
	return o;
}

static const struct sound {
	const char *text;
	size_t length;
	unsigned status;
	const char *body;
	bool keep_alive, bodiless;
} sound[] = {
	{ TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 200, "hello", true, false },
	{ TEXT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 200, "", true, false },
	{ TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n"
	       "0\r\nT: v\r\n\r\n"), 200, "hello", true, false },
	{ TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 200, "", true,
	  false },
	{ TEXT("HTTP/1.1 204 No Content\r\n\r\n"), 204, "", true, false },
	{ TEXT("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"), 304, "", true, false },
	{ TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), 200, "", true, true },
	{ TEXT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	       "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"), 201, "ok", true, false },
	{ TEXT("HTTP/1.1 200 OK\r\n\r\nuntil the end"), 200, "until the end", false, false },
	{ TEXT("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), 200, "ok", false, false },
	{ TEXT("HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"), 500, "no",
	  false, false },
};

static void an_answer_reads_the_same_however_it_is_cut_into_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sound) / sizeof(*sound); i++) {
		const struct sound *s = &sound[i];

		for (size_t piece = 1; piece <= s->length + 1; piece++) {
			for (int whole = 0; whole < 2; whole++) {
				struct outcome o = read_answer(s->text, s->length, piece, whole,
							       s->bodiless);

				assert_int_equal(o.result, 1);
				assert_int_equal(o.status, s->status);
				assert_int_equal(o.keep_alive, s->keep_alive);
				assert_int_equal(o.used, s->length);
				if (!whole)
					continue;
				assert_int_equal(o.body_length, strlen(s->body));
				assert_memory_equal(o.body, s->body, o.body_length);
			}
		}
	}
}

static void bytes_after_an_answer_are_left_over(void **state)
{
	static const char two[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200";
	struct outcome o = read_answer(TEXT(two), sizeof(two), true, false);

	(void)state;
	assert_int_equal(o.result, 1);
	assert_int_equal(o.used, 40);
}

static void a_truncated_answer_is_no_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sound) / sizeof(*sound); i++) {
		const struct sound *s = &sound[i];

		if (!strcmp(s->body, "until the end"))
			continue;
		for (size_t n = 0; n < s->length; n++)
			assert_int_equal(read_answer(s->text, n, 7, true, s->bodiless).result,
					 -ECONNRESET);
	}
}

static void malformed_answers_are_refused(void **state)
{
	static const char *const bad[] = {
		"SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		for (size_t piece = 1; piece < 100; piece += 3) {
			struct outcome o = read_answer(bad[i], strlen(bad[i]), piece, true, false);

			assert_int_equal(o.result, -EBADMSG);
		}
	}
}

/* Feed `head`, then `fill` in pieces, until the reader has enough. Returns its verdict. */
static int flood(const char *head, const char *fill, size_t fill_length, bool whole)
{
	struct answer a;
	char buffer[2048];
	size_t used, total = 0;
	int r;

	answer_begin(&a, whole, false);
	strcpy(buffer, head);
	r = answer_feed(&a, &store, buffer, strlen(head), &used);
	while (!r && total < 8 << 20) {
		memcpy(buffer, fill, fill_length);
		r = answer_feed(&a, &store, buffer, fill_length, &used);
		total += fill_length;
	}
	answer_end(&a, &store);
	assert_true(total <= ANSWER_BODY_MAX + HTTP_HEAD_MAX + sizeof(buffer));
	return r;
}

static void an_endless_answer_ends_at_a_limit(void **state)
{
	static char kilobyte[1024], chunk[1024 + 7];

	(void)state;
	memset(kilobyte, 'x', sizeof(kilobyte));
	memcpy(chunk, "400\r\n", 5);
	memset(chunk + 5, 'x', 1024);
	memcpy(chunk + 1029, "\r\n", 2);
	for (int whole = 0; whole < 2; whole++) {
		const char *chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
		const char *large = "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n";

		assert_int_equal(flood("HTTP/1.1 200 OK\r\n\r\n", kilobyte, 1024, whole),
				 -EMSGSIZE);
		assert_int_equal(flood(chunked, chunk, 1031, whole), -EMSGSIZE);
		assert_int_equal(flood("HTTP/1.1 200 OK\r\nX: ", kilobyte, 1024, whole), -EMSGSIZE);
		assert_int_equal(flood("HTTP/1.1 200 OK\r\n", "X: y\r\n", 6, whole), -EMSGSIZE);
		assert_int_equal(flood("", "HTTP/1.1 100 Continue\r\n\r\n", 25, whole), -EBADMSG);
		assert_int_equal(flood(large, "", 0, whole), -EMSGSIZE);
	}
}

static void mutated_answers_end_in_a_verdict_and_within_bounds(void **state)
{
	uint64_t random = 5;
	char text[256];

	(void)state;
	for (unsigned n = 0; n < 200000; n++) {
		const struct sound *s = &sound[random_next(&random) %
					       (sizeof(sound) / sizeof(*sound))];
		unsigned changes = (unsigned)(random_next(&random) % 4) + 1;

		memcpy(text, s->text, s->length);
		while (changes--)
			text[random_next(&random) % s->length] = (char)random_next(&random);
		read_answer(text, s->length, random_next(&random) % s->length + 1,
			    random_next(&random) & 1, s->bodiless);
	}
}

static void an_answer_whole_in_one_piece_takes_no_buffer(void **state)
{
	char buffer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			"5\r\nhello\r\n0\r\n\r\n";
	struct answer a;
	size_t used;

	(void)state;
	answer_begin(&a, true, false);
	assert_int_equal(answer_feed(&a, &store, buffer, sizeof(buffer) - 1, &used), 1);
	assert_null(a.kept);
	assert_ptr_equal(a.head, buffer);
	assert_true(a.body > buffer && a.body < buffer + sizeof(buffer));
	answer_end(&a, &store);
	assert_int_equal(store.spares, 0);
}

static void timers_come_out_in_order_and_not_before_their_time(void **state)
{
	enum { N = 25000 };
	struct timers t;
	struct timer out;
	uint64_t random = 3, last = 0;
	unsigned char *seen = calloc(N, 1);

	(void)state;
	assert_non_null(seen);
	assert_int_equal(timers_open(&t, N), 0);
	assert_false(timers_take(&t, UINT64_MAX, &out));
	for (uint32_t i = 0; i < N; i++)
		timers_add(&t, random_next(&random) % 1000, i);
	for (unsigned n = 0; n < 4 * N; n++) {          /* mixed with new ones */
		uint64_t due = timers_next(&t);

		assert_true(due >= last);
		assert_true(!due || !timers_take(&t, due - 1, &out));
		assert_true(timers_take(&t, due, &out));
		assert_int_equal(out.due_ns, due);
		last = due;
		if (n < 3 * N)
			timers_add(&t, due + random_next(&random) % 1000, out.user);
		else
			assert_int_equal(seen[out.user]++, 0);
	}
	assert_int_equal(t.count, 0);
	assert_true(timers_next(&t) == UINT64_MAX);
	timers_close(&t);
	free(seen);
}

static void sum(const char *head, const char *body, unsigned char out[32])
{
	struct digest *d;

	assert_int_equal(digest_open(&d), 0);
	assert_int_equal(digest_answer(d, head, strlen(head), body, strlen(body)), 0);
	assert_int_equal(digest_sum(d, out), 0);
	digest_close(d);
}

/* What must be the same, and what must not be. */
#define SAME(head, body) (sum(head, body, other), assert_memory_equal(base, other, 32))
#define DIFFERENT(head, body) (sum(head, body, other), assert_memory_not_equal(base, other, 32))

static void a_digest_holds_what_functions_decide_and_nothing_that_proxies_do(void **state)
{
	unsigned char base[32], other[32];

	(void)state;
	sum("HTTP/1.1 302 Found\r\nLocation: /cart\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
	    "Content-Type: text/html\r\nContent-Length: 1\r\n\r\n", "x", base);
	SAME("HTTP/1.1 302 Moved Temporarily\r\nServer: nginx\r\nDate: today\r\n"
	     "content-type: text/html\r\nLOCATION: http://10.0.0.1:8080/cart\r\nset-cookie: a=1\r\n"
	     "Set-Cookie:  b=2 \r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n", "x");
	DIFFERENT("HTTP/1.1 302 Found\r\nLocation: /cart\r\nSet-Cookie: b=2\r\nSet-Cookie: a=1\r\n"
		  "Content-Type: text/html\r\n\r\n", "x");
	DIFFERENT("HTTP/1.1 302 Found\r\nLocation: /carts\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		  "Content-Type: text/html\r\n\r\n", "x");
	DIFFERENT("HTTP/1.1 302 Found\r\nLocation: /cart\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		  "Content-Type: text/html\r\n\r\n", "y");
	DIFFERENT("HTTP/1.1 302 Found\r\nLocation: /cart\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		  "Content-Type: text/plain\r\n\r\n", "x");
	DIFFERENT("HTTP/1.1 301 Found\r\nLocation: /cart\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		  "Content-Type: text/html\r\n\r\n", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_reads_the_same_however_it_is_cut_into_pieces),
		cmocka_unit_test(bytes_after_an_answer_are_left_over),
		cmocka_unit_test(a_truncated_answer_is_no_answer),
		cmocka_unit_test(malformed_answers_are_refused),
		cmocka_unit_test(an_endless_answer_ends_at_a_limit),
		cmocka_unit_test(mutated_answers_end_in_a_verdict_and_within_bounds),
		cmocka_unit_test_setup(an_answer_whole_in_one_piece_takes_no_buffer, release_store),
		cmocka_unit_test(timers_come_out_in_order_and_not_before_their_time),
		cmocka_unit_test(a_digest_holds_what_functions_decide_and_nothing_that_proxies_do),
	};

	return cmocka_run_group_tests_name("loadgen_answer", tests, NULL, release_store);
}
