// SPDX-License-Identifier: BSD-2-Clause
/* The call gate against hostile functions, with every mechanism that this machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include <cmocka.h>

#include "tests/unit/sure_cases.h"

static void hostile_case(void **state)
{
	const unsigned i = (unsigned)(uintptr_t)*state;
	const char *why = sure_case_run(i, GATE_MPROTECT);
	char text[256];

	if (why)
		fail_msg("gate=mprotect: %s", why);
	if (gate_probe(GATE_MPK, text, sizeof(text)))
		return;
	why = sure_case_run(i, GATE_MPK);
	if (why)
		fail_msg("gate=mpk: %s", why);
}

static void forged_and_replayed_descriptors_are_refused(void **state)
{
	const char *why = sure_forged();

	(void)state;
	if (why)
		fail_msg("%s", why);
}

int main(void)
{
	struct CMUnitTest tests[SURE_CASES + 1] = { cmocka_unit_test(
		forged_and_replayed_descriptors_are_refused) };

	for (unsigned i = 0; i < SURE_CASES; i++)
		tests[i + 1] = (struct CMUnitTest){ sure_cases[i].name, hostile_case, NULL, NULL,
						    (void *)(uintptr_t)i };
	return _cmocka_run_group_tests("sure_gate", tests, SURE_CASES + 1, NULL, NULL);
}
