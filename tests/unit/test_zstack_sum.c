/* SPDX-License-Identifier: BSD-2-Clause */
/* The checksum that takes the place of lwIP's: the same sums, at every length and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dataplanes/sure/sure.h"

/* NULL without lwIP. `zstack` brings ours into this program, before the library's. */
extern uint16_t lwip_standard_chksum(const void *at, int n) __attribute__((weak));

static uint16_t by_words(const unsigned char *at, int n)
{
	uint32_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += (uint32_t)at[i] << 8 * (i % 2);
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

static void sums_are_those_of_rfc_1071(void **state)
{
	unsigned char bytes[1600];
	uint32_t random = 1;

	(void)state;
	if (!zstack.write || !lwip_standard_chksum)
		skip();
	for (size_t i = 0; i < sizeof(bytes); i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (unsigned char)(random >> 24);
	}
	for (int at = 0; at < 16; at++)
		for (int n = 0; n <= 1500; n += n < 80 ? 1 : 71)
			assert_int_equal(lwip_standard_chksum(bytes + at, n), by_words(bytes + at, n));
	memset(bytes, 0xff, sizeof(bytes));
	for (int n = 0; n <= 1500; n++)
		assert_int_equal(lwip_standard_chksum(bytes, n), by_words(bytes, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sums_are_those_of_rfc_1071) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
