/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots, drawn and read; and pictures that somebody means to harm with. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chain/clock.h"
#include "workloads/parking/parking.h"

struct bench {
	tjhandle encoder, decoder;
	unsigned char *grey, jpeg[SNAPSHOT_BYTES_MAX];
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->encoder = tjInitCompress();
	b->decoder = tjInitDecompress();
	b->grey = malloc((size_t)DECODE_SIDE_MAX * DECODE_SIDE_MAX);
	assert_non_null(b->grey);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tjDestroy(b->encoder);
	tjDestroy(b->decoder);
	free(b->grey);
	free(b);
	return 0;
}

static void every_plate_that_is_drawn_is_read(void **state)
{
	struct bench *b = *state;
	uint64_t random = 7;
	size_t total = 0;

	for (unsigned i = 0; i < 2000; i++) {
		char plate[PLATE_LENGTH + 1], read[PLATE_LENGTH + 1] = "";
		unsigned width, height;
		ssize_t n;

		plate_draw(plate, &random);
		if (i < 26)
			memset(plate, 'A' + (int)i, PLATE_LETTERS);
		if (i < 10)
			memset(plate + PLATE_LETTERS, '0' + (int)i, PLATE_LENGTH - PLATE_LETTERS);
		n = snapshot_draw(b->encoder, plate, &random, b->jpeg, sizeof(b->jpeg));
		assert_true(n > 0);
		total += (size_t)n;
		assert_int_equal(snapshot_decode(b->decoder, b->jpeg, (size_t)n, b->grey, &width,
						 &height), 0);
		assert_int_equal(width, SNAPSHOT_SIDE);
		assert_int_equal(height, SNAPSHOT_SIDE);
		assert_true(plate_read(b->grey, width, height, read) > 0);
		assert_string_equal(read, plate);
	}
	total /= 2000;
	assert_in_range(total, 2500, 3500);     /* about 3 KB, as published (§4.1) */
}

static void the_same_seed_draws_the_same_picture(void **state)
{
	struct bench *b = *state;
	unsigned char again[SNAPSHOT_BYTES_MAX];
	uint64_t one = 11, two = 11;
	ssize_t n = snapshot_draw(b->encoder, "ABC1234", &one, b->jpeg, sizeof(b->jpeg));

	assert_true(n > 0);
	assert_int_equal(snapshot_draw(b->encoder, "ABC1234", &two, again, sizeof(again)), n);
	assert_memory_equal(again, b->jpeg, (size_t)n);
	assert_int_equal(snapshot_draw(b->encoder, "ABC1234", &one, again, 100), -EMSGSIZE);
}

static void a_truncated_jpeg_is_refused_wherever_it_ends(void **state)
{
	struct bench *b = *state;
	unsigned width, height;
	uint64_t random = 3;
	ssize_t n = snapshot_draw(b->encoder, "ABC1234", &random, b->jpeg, sizeof(b->jpeg));

	assert_true(n > 0);
	/* Without the two bytes of its end marker all pixels are there: that is a warning too. */
	for (size_t i = 0; i < (size_t)n; i += 1 + i / 40)
		assert_int_equal(snapshot_decode(b->decoder, b->jpeg, i, b->grey, &width, &height),
				 -EBADMSG);
}

static void a_decompression_bomb_is_refused_before_it_is_decoded(void **state)
{
	struct bench *b = *state;
	unsigned width, height;
	uint64_t random = 3;
	ssize_t n = snapshot_draw(b->encoder, "ABC1234", &random, b->jpeg, sizeof(b->jpeg));
	unsigned char *frame = memmem(b->jpeg, (size_t)n, "\xff\xc0\x00\x11\x08", 5);

	assert_non_null(frame);
	memset(frame + 5, 0x7f, 4);             /* 32639×32639 */
	assert_int_equal(snapshot_decode(b->decoder, b->jpeg, (size_t)n, b->grey, &width, &height),
			 -EFBIG);
	memset(frame + 5, 0, 4);
	assert_int_equal(snapshot_decode(b->decoder, b->jpeg, (size_t)n, b->grey, &width, &height),
			 -EBADMSG);
}

static void a_picture_without_a_plate_has_none(void **state)
{
	struct bench *b = *state;
	char plate[PLATE_BYTES], again[PLATE_BYTES];
	uint64_t random = 5;

	for (unsigned side = 1; side <= 300; side += 23) {
		memset(b->grey, 255, (size_t)side * side);
		assert_int_equal(plate_read(b->grey, side, side, plate), -ENOENT);
		for (size_t i = 0; i < (size_t)side * side; i++)
			b->grey[i] = (unsigned char)random_next(&random);
		assert_int_equal(plate_read(b->grey, side, side, plate), -ENOENT);
		picture_name(b->grey, side, side, plate);
		picture_name(b->grey, side, side, again);
		assert_string_equal(plate, again);
		assert_int_equal(text_take(again, sizeof(again), plate, strlen(plate), false), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_plate_that_is_drawn_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_seed_draws_the_same_picture, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_truncated_jpeg_is_refused_wherever_it_ends, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_decompression_bomb_is_refused_before_it_is_decoded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_picture_without_a_plate_has_none, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
