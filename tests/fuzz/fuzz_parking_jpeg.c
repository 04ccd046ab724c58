/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots from anybody: a picture that is too large costs nothing, a plate is one or none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "workloads/parking/parking.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tjhandle decoder = tjInitDecompress();
	unsigned char *grey = malloc((size_t)DECODE_SIDE_MAX * DECODE_SIDE_MAX), *exact;
	char plate[PLATE_LENGTH + 1], name[PLATE_BYTES];
	unsigned width, height;
	int err, score;

	PROMISE(decoder && grey);
	err = snapshot_decode(decoder, data, size, grey, &width, &height);
	PROMISE(!err || err == -EBADMSG || err == -EFBIG);
	if (!err) {
		PROMISE(width >= 1 && width <= DECODE_SIDE_MAX);
		PROMISE(height >= 1 && height <= DECODE_SIDE_MAX);
		/* In memory of its own size, so that a pixel outside is seen. */
		exact = malloc((size_t)width * height);
		PROMISE(exact);
		memcpy(exact, grey, (size_t)width * height);
		score = plate_read(exact, width, height, plate);
		PROMISE(score == -ENOENT || (score >= 1 && score <= 100));
		if (score > 0)
			PROMISE(!text_take(name, sizeof(name), plate, strlen(plate), false));
		picture_name(exact, width, height, name);
		free(exact);
	}
	tjDestroy(decoder);
	free(grey);
	return 0;
}
