/* SPDX-License-Identifier: BSD-2-Clause */
#include "chain/clock.h"
#include "workloads/boutique/boutique.h"

/* RFC 9562 §5.4: 122 random bits, version 4, variant 10. */
void uuid_format(char *out, uint64_t *random)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t half[2] = { random_next(random), random_next(random) };

	half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
	half[1] = (half[1] & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
	for (unsigned i = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			*out++ = '-';
		*out++ = hex[half[i / 16] >> (60 - i % 16 * 4) & 15];
	}
	*out = '\0';
}
