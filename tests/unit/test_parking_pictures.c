/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots, drawn and read; and pictures that somebody means to harm with. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* ---- A directory of pictures ------------------------------------------------------------------- */

/* Make `path` below `root`, its directories too, holding `text`. */
static void put(const char *root, const char *path, const char *text)
{
	char at[512];
	FILE *f;

	snprintf(at, sizeof(at), "%s/%s", root, path);
	for (char *slash = at + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		assert_true(!mkdir(at, 0700) || errno == EEXIST);
	}
	f = fopen(at, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* What images_open finds: the pictures' texts in their order, or its error. */
static int found(const char *root, char *text, size_t room, char *why, size_t why_bytes)
{
	struct images *images;
	int err = images_open(&images, root, why, why_bytes);
	size_t n = 0;

	for (uint64_t i = 0; !err && i < 8 && n < room; i++) {
		ssize_t got = images_read(images, i, (unsigned char *)text + n, room - n - 1);

		assert_true(got > 0);
		n += (size_t)got;
	}
	text[n] = '\0';
	images_close(images);
	return err;
}

static void only_occupied_spots_of_a_dataset_are_posted(void **state)
{
	static const char *const bad[] = { "S_1.jpg\n", "S_1.jpg 2\n", "../../S_1.jpg 1\n", "/etc/S_1.jpg 1\n",
					   "S_1.txt 1\n", " 1\n" };
	char root[] = "/tmp/perhop-images-XXXXXX", text[64], why[512], line[700];

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(found(root, text, sizeof(text), why, sizeof(why)), -ENOENT);
	/* CNRPark's two classes; and what is no picture */
	put(root, "A/busy/20150703_1055_42.jpg", "a");
	put(root, "A/free/20150703_1055_43.jpg", "b");
	put(root, "B/busy/20150703_1425_32.JPG", "c");
	put(root, "B/busy/notes.txt", "d");
	put(root, "B/busy/empty.jpg", "");
	assert_int_equal(found(root, text, sizeof(text), why, sizeof(why)), 0);
	assert_string_equal(text, "acacacac");
	/* CNR-EXT's list decides, over what is there */
	put(root, "PATCHES/SUNNY/2015-11-12/camera1/S_2015-11-12_07.09_C01_184.jpg", "e");
	put(root, "PATCHES/SUNNY/2015-11-12/camera1/S_2015-11-12_07.09_C01_185.jpg", "f");
	put(root, "PATCHES/RAINY/2016-01-09/camera9/R_2016-01-09_09.27_C09_12.jpg", "g");
	put(root, "LABELS/all.txt", "SUNNY/2015-11-12/camera1/S_2015-11-12_07.09_C01_184.jpg 1\n"
	    "SUNNY/2015-11-12/camera1/S_2015-11-12_07.09_C01_185.jpg 0\n\n"
	    "SUNNY/2015-11-12/camera1/S_2015-11-12_07.09_C01_999.jpg 1\n"
	    "PATCHES/RAINY/2016-01-09/camera9/R_2016-01-09_09.27_C09_12.jpg 1\r\n");
	assert_int_equal(found(root, text, sizeof(text), why, sizeof(why)), 0);
	assert_string_equal(text, "egegegeg");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(root, "LABELS/all.txt", bad[i]);
		assert_int_equal(found(root, text, sizeof(text), why, sizeof(why)), -EBADMSG);
		assert_non_null(strstr(why, "line 1"));
	}
	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	put(root, "LABELS/all.txt", line);
	assert_int_equal(found(root, text, sizeof(text), why, sizeof(why)), -EBADMSG);
	assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
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
		cmocka_unit_test(only_occupied_spots_of_a_dataset_are_posted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
