/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Synthetic snapshots: asphalt, a car, and its plate. All that varies is drawn from a seed.
 *
 *     +---------------------------+
 *     |  asphalt, noise           |       The plate is white with a dark rim:
 *     |    +-----------------+    |
 *     |    |    car          |    |       | rim 2 | margin 3 | 7 × (5×7 cells of 3 px, gap 3) | …
 *     |    |  [ABC 1234]     |    |
 *     |    +-----------------+    |       2·(2+3) + 7·15 + 6·3 = 133 px wide, 31 px high
 *     +---------------------------+
 */
#include <errno.h>
#include <string.h>

#include "chain/clock.h"
#include "workloads/parking/parking.h"

enum {
	CELL = 3, GAP = 3, RIM = 2, MARGIN = 3,     /* px */
	FRAME = RIM + MARGIN,
	PLATE_WIDTH = 2 * FRAME + PLATE_LENGTH * GLYPH_WIDTH * CELL + (PLATE_LENGTH - 1) * GAP,
	PLATE_HEIGHT = 2 * FRAME + GLYPH_HEIGHT * CELL,
	QUALITY = 36,               /* of the JPEG: about 3 KB */
};

struct canvas {
	unsigned char rgb[SNAPSHOT_SIDE][SNAPSHOT_SIDE][3];
};

static void fill(struct canvas *c, unsigned x, unsigned y, unsigned w, unsigned h,
		 const unsigned char rgb[3])
{
	for (unsigned j = y; j < y + h; j++)
		for (unsigned i = x; i < x + w; i++)
			memcpy(c->rgb[j][i], rgb, 3);
}

static void draw_plate(struct canvas *c, unsigned x, unsigned y, const char *plate)
{
	static const unsigned char dark[3] = { 12, 12, 16 }, white[3] = { 250, 250, 246 };

	fill(c, x, y, PLATE_WIDTH, PLATE_HEIGHT, dark);
	fill(c, x + RIM, y + RIM, PLATE_WIDTH - 2 * RIM, PLATE_HEIGHT - 2 * RIM, white);
	for (unsigned n = 0; n < PLATE_LENGTH; n++) {
		unsigned left = x + FRAME + n * (GLYPH_WIDTH * CELL + GAP);

		for (unsigned j = 0; j < GLYPH_HEIGHT; j++)
			for (unsigned i = 0; i < GLYPH_WIDTH; i++)
				if (glyph_row(plate[n], j) >> (GLYPH_WIDTH - 1 - i) & 1)
					fill(c, left + i * CELL, y + FRAME + j * CELL, CELL, CELL,
					     dark);
	}
}

/* The camera's: a few grey levels up or down, in blocks of 2×2 pixels. */
static void add_noise(struct canvas *c, uint64_t *random)
{
	for (unsigned y = 0; y < SNAPSHOT_SIDE; y += 2) {
		uint64_t bits = 0;

		for (unsigned x = 0; x < SNAPSHOT_SIDE; x += 2) {
			int by;

			if (x % 32 == 0)
				bits = random_next(random);
			by = (int)(bits & 15) - 8;
			bits >>= 4;
			for (unsigned i = 0; i < 4; i++)
				for (unsigned k = 0; k < 3; k++) {
					unsigned char *v = &c->rgb[y + i / 2][x + i % 2][k];
					int to = *v + by;

					*v = (unsigned char)(to < 0 ? 0 : to > 255 ? 255 : to);
				}
		}
	}
}

ssize_t snapshot_draw(tjhandle encoder, const char *plate, uint64_t *random, unsigned char *out,
		      size_t room)
{
	struct canvas canvas;
	unsigned char jpeg[SNAPSHOT_SIDE * SNAPSHOT_SIDE * 4 + 4096], *to = jpeg;
	unsigned char asphalt[3], car[3];
	unsigned long n = sizeof(jpeg);
	uint64_t draw = random_next(random);
	unsigned grey = 60 + draw % 60, x, y;

	_Static_assert((int)PLATE_WIDTH < (int)SNAPSHOT_SIDE && SNAPSHOT_SIDE % 2 == 0, "it fits");
	for (unsigned k = 0; k < 3; k++) {
		asphalt[k] = (unsigned char)grey;
		car[k] = (unsigned char)(20 + (draw >> (8 + 8 * k)) % 140);
	}
	x = 2 + (draw >> 32) % (SNAPSHOT_SIDE - PLATE_WIDTH - 4);
	y = 60 + (draw >> 40) % 50;
	fill(&canvas, 0, 0, SNAPSHOT_SIDE, SNAPSHOT_SIDE, asphalt);
	fill(&canvas, 6, 20 + (draw >> 48) % 16, SNAPSHOT_SIDE - 12, 108, car);
	draw_plate(&canvas, x, y, plate);
	add_noise(&canvas, random);
	if (sizeof(jpeg) < tjBufSize(SNAPSHOT_SIDE, SNAPSHOT_SIDE, TJSAMP_420) ||
	    tjCompress2(encoder, &canvas.rgb[0][0][0], SNAPSHOT_SIDE, 0, SNAPSHOT_SIDE, TJPF_RGB,
			&to, &n, TJSAMP_420, QUALITY, TJFLAG_NOREALLOC))
		return -EIO;
	if (n > room)
		return -EMSGSIZE;
	memcpy(out, jpeg, n);
	return (ssize_t)n;
}
