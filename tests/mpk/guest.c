// SPDX-License-Identifier: BSD-2-Clause
/*
 * The only program of a virtual machine whose emulated CPU has protection keys: the hostile functions
 * behind gate=mpk, as init. Prints one line per test for tests/run, then powers off.
 */
#include <stdbool.h>
#include <sys/reboot.h>

#include "tests/unit/sure_cases.h"

static void say(const char *name, const char *why)
{
	if (why)
		printf("not ok - mpk: %s # %s\n", name, why);
	else
		printf("ok - mpk: %s\n", name);
	fflush(stdout);
}

int main(void)
{
	char why[256];

	printf("\n");          /* the firmware may have left the cursor in a line */
	if (gate_probe(GATE_MPK, why, sizeof(why))) {
		say("the_emulated_cpu_has_protection_keys", why);
	} else {
		for (unsigned i = 0; i < SURE_CASES; i++)
			say(sure_cases[i].name, sure_case_run(i, GATE_MPK));
		say("forged_and_replayed_descriptors_are_refused", sure_forged());
	}
	printf("guest is done\n");
	fflush(stdout);
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
