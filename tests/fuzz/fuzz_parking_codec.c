/* SPDX-License-Identifier: BSD-2-Clause */
/* Sightings on the wire of a copying dataplane: what decodes is sound and encodes again. */
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "workloads/parking/parking.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char wire[512];
	struct sighting s, again;
	ssize_t n = parking_codec.decode(TYPE_SIGHTING, data, size, &s, sizeof(s));

	PROMISE(n == sizeof(s) || n == -EBADMSG);
	if (n < 0)
		return 0;
	PROMISE(!sighting_check(&s, sizeof(s)));
	n = parking_codec.encode(TYPE_SIGHTING, &s, sizeof(s), wire, sizeof(wire));
	PROMISE(n > 0);
	PROMISE(parking_codec.decode(TYPE_SIGHTING, wire, (size_t)n, &again, sizeof(again)) ==
		sizeof(again));
	PROMISE(!memcmp(&s, &again, sizeof(s)));
	return 0;
}
