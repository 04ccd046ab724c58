/* SPDX-License-Identifier: BSD-2-Clause */
#include "chain/clock.h"

void clock_spin(uint64_t ns)
{
	uint64_t end = clock_cpu_ns() + ns;

	while (clock_cpu_ns() < end)
		for (int i = 0; i < 16; i++)
			__builtin_ia32_pause();
}
