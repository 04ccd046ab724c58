/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recogniser: finds the white box of a plate by its rows and columns, cuts it into seven
 * characters of 5×7 cells, and takes for each the character of the font that differs least.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "workloads/parking/parking.h"

enum {
	WHITE = 190,                /* grey level from which a pixel is the plate's ground */
	INK = 130,                  /* mean grey level of a cell below which it is ink */
	WRONG_MAX = 5,              /* cells of 35 that may be wrong in a character */
	MARGIN = 3,                 /* as drawn, for a white box of BOX_WIDTH × BOX_HEIGHT */
	CELL = 3,
	PITCH = 18,
	BOX_WIDTH = 129,
	BOX_HEIGHT = 27,
};

struct picture {
	const unsigned char *grey;
	unsigned width, height;
};

struct box {
	unsigned x, y, width, height;
};

int snapshot_decode(tjhandle decoder, const unsigned char *jpeg, size_t n, unsigned char *grey,
		    unsigned *width, unsigned *height)
{
	/* A JPEG that ends before its frame is one of tables only: no error, and no size. */
	int w = 0, h = 0, sampling, space;

	if (tjDecompressHeader3(decoder, jpeg, n, &w, &h, &sampling, &space) || w < 1 || h < 1)
		return -EBADMSG;
	if (w > DECODE_SIDE_MAX || h > DECODE_SIDE_MAX)
		return -EFBIG;
	/* A progressive JPEG can hold any number of scans in few bytes: LIMITSCANS bounds the work. */
	if (tjDecompress2(decoder, jpeg, n, grey, w, 0, h, TJPF_GRAY,
			  TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS))
		return -EBADMSG;
	*width = (unsigned)w;
	*height = (unsigned)h;
	return 0;
}

static unsigned white_in_row(const struct picture *p, unsigned y)
{
	const unsigned char *row = p->grey + (size_t)y * p->width;
	unsigned n = 0;

	for (unsigned x = 0; x < p->width; x++)
		n += row[x] >= WHITE;
	return n;
}

static unsigned white_in_column(const struct picture *p, unsigned x, unsigned y, unsigned height)
{
	unsigned n = 0;

	for (unsigned j = y; j < y + height; j++)
		n += p->grey[(size_t)j * p->width + x] >= WHITE;
	return n;
}

/*
 * The tallest run of rows with white in a tenth of the picture or more (a row of EEE5555 has not much
 * more between the ink), then its columns.
 */
static int find_box(const struct picture *p, struct box *b)
{
	unsigned from = 0, run = 0, left, right;

	*b = (struct box){ 0 };
	for (unsigned y = 0; y <= p->height; y++) {
		if (y < p->height && white_in_row(p, y) * 10 >= p->width) {
			if (!run++)
				from = y;
			continue;
		}
		if (run > b->height)
			*b = (struct box){ .y = from, .height = run };
		run = 0;
	}
	if (b->height < BOX_HEIGHT / 2)
		return -ENOENT;
	for (left = 0; left < p->width; left++)
		if (white_in_column(p, left, b->y, b->height) * 5 >= b->height * 4)
			break;
	for (right = p->width; right > left; right--)
		if (white_in_column(p, right - 1, b->y, b->height) * 5 >= b->height * 4)
			break;
	b->x = left;
	b->width = right - left;
	return b->width >= BOX_WIDTH / 2 ? 0 : -ENOENT;
}

/* Is cell (i, j) of character n ink? Its middle third counts: the rim is blurred by the JPEG. */
static bool is_ink(const struct picture *p, const struct box *b, unsigned n, unsigned i, unsigned j)
{
	/* The cell's middle in twice the pixels of the box as drawn, then in the picture's. */
	unsigned x2 = 2 * (MARGIN + n * PITCH + i * CELL) + CELL, y2 = 2 * (MARGIN + j * CELL) + CELL;
	unsigned x = b->x + x2 * b->width / (2 * BOX_WIDTH);
	unsigned y = b->y + y2 * b->height / (2 * BOX_HEIGHT), sum = 0, cells = 0;

	for (unsigned v = y ? y - 1 : 0; v <= y + 1 && v < p->height; v++)
		for (unsigned u = x ? x - 1 : 0; u <= x + 1 && u < p->width; u++, cells++)
			sum += p->grey[(size_t)v * p->width + u];
	return cells && sum < INK * cells;
}

/* The character that differs least from the cells of place n; how many differ is in *wrong. */
static char read_character(const struct picture *p, const struct box *b, unsigned n, unsigned *wrong)
{
	char first = n < PLATE_LETTERS ? 'A' : '0', last = n < PLATE_LETTERS ? 'Z' : '9', best = '?';
	unsigned row[GLYPH_HEIGHT] = { 0 };

	for (unsigned j = 0; j < GLYPH_HEIGHT; j++)
		for (unsigned i = 0; i < GLYPH_WIDTH; i++)
			row[j] = row[j] << 1 | is_ink(p, b, n, i, j);
	*wrong = GLYPH_WIDTH * GLYPH_HEIGHT;
	for (char c = first; c <= last; c++) {
		unsigned differ = 0;

		for (unsigned j = 0; j < GLYPH_HEIGHT; j++)
			differ += (unsigned)__builtin_popcount(row[j] ^ glyph_row(c, j));
		if (differ < *wrong) {
			*wrong = differ;
			best = c;
		}
	}
	return best;
}

int plate_read(const unsigned char *grey, unsigned width, unsigned height,
	       char plate[PLATE_LENGTH + 1])
{
	const struct picture p = { grey, width, height };
	unsigned worst = 0, wrong;
	struct box b;

	if (find_box(&p, &b))
		return -ENOENT;
	for (unsigned n = 0; n < PLATE_LENGTH; n++) {
		plate[n] = read_character(&p, &b, n, &wrong);
		worst = wrong > worst ? wrong : worst;
	}
	plate[PLATE_LENGTH] = '\0';
	if (worst > WRONG_MAX)
		return -ENOENT;
	return (int)(100 - worst * 100 / (GLYPH_WIDTH * GLYPH_HEIGHT));
}

void picture_name(const unsigned char *grey, unsigned width, unsigned height,
		  char plate[PLATE_BYTES])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (unsigned cell = 0; cell < 64; cell++) {
		unsigned x0 = cell % 8 * width / 8, x1 = (cell % 8 + 1) * width / 8;
		unsigned y0 = cell / 8 * height / 8, y1 = (cell / 8 + 1) * height / 8;
		unsigned sum = 0, n = (x1 - x0) * (y1 - y0);

		for (unsigned y = y0; y < y1; y++)
			for (unsigned x = x0; x < x1; x++)
				sum += grey[(size_t)y * width + x];
		hash = (hash ^ (n ? sum / n : 0)) * UINT64_C(0x100000001b3);
	}
	snprintf(plate, PLATE_BYTES, "X%016llX", (unsigned long long)hash);
}
