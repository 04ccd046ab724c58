// SPDX-License-Identifier: BSD-2-Clause
/* The sidecar's handlers, one by one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "dataplanes/sure/sidecar/sidecar.h"

#define MS UINT64_C(1000000)

static struct sidecar_stats stats;

static struct sidecar sidecar(const char *handlers)
{
	struct sidecar_config c = { .rate = 1000, .timeout_ns = 10 * MS, .breaker_failures = 2,
				    .breaker_ns = 100 * MS };
	struct sidecar s;

	memset(c.key, 7, sizeof(c.key));
	memset(&stats, 0, sizeof(stats));
	assert_int_equal(sidecar_parse(&c, handlers), 0);
	sidecar_open(&s, &c, &stats);
	return s;
}

static void handlers_are_called_in_the_order_given(void **state)
{
	struct sidecar_config c;

	(void)state;
	assert_int_equal(sidecar_parse(&c, "none"), 0);
	assert_int_equal(c.n, 0);
	assert_int_equal(sidecar_parse(&c, "all"), 0);
	assert_int_equal(c.n, SIDECAR_HANDLERS);
	assert_int_equal(sidecar_parse(&c, "rate+auth"), 0);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.order[0], SIDECAR_RATE);
	assert_int_equal(c.order[1], SIDECAR_AUTH);
	for (const char *const *bad = (const char *const[]){ "", "+", "auth+", "auth+auth", "au", NULL };
	     *bad; bad++)
		assert_int_equal(sidecar_parse(&c, *bad), -EINVAL);
}

static void tokens_are_hmac_sha256_and_a_wrong_one_is_a_401(void **state)
{
	struct sidecar s = sidecar("auth");
	uint8_t tag[SIDECAR_TAG_BYTES], text[10], md[EVP_MAX_MD_SIZE];
	struct sidecar_request r = { .id = 0x0102030405060708, .topic = 3, .tag = tag };
	const char *why = NULL;
	unsigned n;

	(void)state;
	sidecar_tag(&s, r.id, r.topic, tag);
	memcpy(text, &r.id, 8);
	memcpy(text + 8, &r.topic, 2);
	assert_non_null(HMAC(EVP_sha256(), s.config.key, SIDECAR_KEY_BYTES, text, sizeof(text), md, &n));
	assert_memory_equal(tag, md, sizeof(tag));
	assert_int_equal(sidecar_before(&s, &r, 1, &why), 0);
	for (unsigned i = 0; i < sizeof(tag); i++) {
		tag[i] ^= 1;
		assert_int_equal(sidecar_before(&s, &r, 1, &why), 401);
		tag[i] ^= 1;
	}
	r.topic = 4;
	assert_int_equal(sidecar_before(&s, &r, 1, &why), 401);
	assert_int_equal(stats.refused[SIDECAR_AUTH], sizeof(tag) + 1);
}

static void the_rate_is_kept_over_time_and_the_rest_is_a_429(void **state)
{
	struct sidecar s = sidecar("rate");
	struct sidecar_request r = { 0 };
	const char *why;
	unsigned in = 0;

	(void)state;
	for (uint64_t now = 0; now < 1000 * MS; now += MS / 10)         /* ten times the rate */
		in += !sidecar_before(&s, &r, now, &why);
	assert_in_range(in, 1000, 1000 + 65);
	assert_int_equal(sidecar_before(&s, &r, 999 * MS, &why), 429);
	assert_int_equal(sidecar_before(&s, &r, 2000 * MS, &why), 0);
}

static void a_request_that_is_too_old_is_a_504(void **state)
{
	struct sidecar s = sidecar("timeout");
	struct sidecar_request r = { .born_ns = 5 * MS };
	const char *why;

	(void)state;
	assert_int_equal(sidecar_before(&s, &r, 15 * MS, &why), 0);
	assert_int_equal(sidecar_before(&s, &r, 15 * MS + 1, &why), 504);
	sidecar_after(&s, &r, 6 * MS, 16 * MS, 200);
	assert_int_equal(stats.late, 1);
}

static void the_breaker_opens_after_failures_in_a_row_tries_one_and_closes(void **state)
{
	struct sidecar s = sidecar("breaker");
	struct sidecar_request r = { 0 };
	const char *why;

	(void)state;
	sidecar_after(&s, &r, 0, 1, 500);
	sidecar_after(&s, &r, 0, 1, 200);
	sidecar_after(&s, &r, 0, 1, 500);
	assert_int_equal(sidecar_before(&s, &r, 1, &why), 0);
	sidecar_after(&s, &r, 0, 1, 502);
	assert_int_equal(sidecar_before(&s, &r, 2, &why), 503);
	assert_int_equal(stats.breaker_open, 1);
	assert_int_equal(sidecar_before(&s, &r, 200 * MS, &why), 0);    /* the trial */
	assert_int_equal(sidecar_before(&s, &r, 200 * MS, &why), 503);
	sidecar_after(&s, &r, 0, 201 * MS, 200);
	assert_int_equal(sidecar_before(&s, &r, 202 * MS, &why), 0);
	assert_int_equal(stats.breaker_open, 0);
}

static void metrics_spans_and_log_say_what_happened(void **state)
{
	struct sidecar s = sidecar("metrics+trace+log");
	struct sidecar_request r = { .topic = 2, .function = 1 };

	(void)state;
	for (unsigned i = 0; i < SIDECAR_ENTRIES + 3; i++) {
		r.id = i;
		sidecar_after(&s, &r, 1000, 3000, i % 2 ? 500 : 200);
	}
	assert_int_equal(stats.invocations, SIDECAR_ENTRIES + 3);
	assert_int_equal(stats.failed, (SIDECAR_ENTRIES + 3) / 2);
	assert_int_equal(stats.ewma_ns, 2000);
	assert_int_equal(stats.spans.next, SIDECAR_ENTRIES + 3);
	assert_int_equal(stats.spans.at[2].id, SIDECAR_ENTRIES + 2);
	assert_int_equal(stats.log.at[2].status, 200);
	assert_int_equal(stats.log.at[3].ns, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_are_called_in_the_order_given),
		cmocka_unit_test(tokens_are_hmac_sha256_and_a_wrong_one_is_a_401),
		cmocka_unit_test(the_rate_is_kept_over_time_and_the_rest_is_a_429),
		cmocka_unit_test(a_request_that_is_too_old_is_a_504),
		cmocka_unit_test(the_breaker_opens_after_failures_in_a_row_tries_one_and_closes),
		cmocka_unit_test(metrics_spans_and_log_say_what_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
