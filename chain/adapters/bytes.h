/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing bytes in network order, with bounds: the first step over them is remembered,
 * and all that follows reads as zero and writes nothing. So a parser checks once, at its end.
 */
#ifndef PERHOP_ADAPTERS_BYTES_H
#define PERHOP_ADAPTERS_BYTES_H

#include "chain/adapter.h"

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static inline size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* The next `n` bytes; empty when there are not so many. */
static inline struct slice read_bytes(struct reader *r, size_t n)
{
	struct slice s = { (const char *)r->at, n };

	if (r->bad || n > left(r)) {
		r->bad = true;
		return (struct slice){ (const char *)r->at, 0 };
	}
	r->at += n;
	return s;
}

static inline uint32_t read_number(struct reader *r, unsigned bytes)
{
	const struct slice s = read_bytes(r, bytes);
	uint32_t n = 0;

	for (size_t i = 0; i < s.length; i++)
		n = n << 8 | (uint8_t)s.at[i];
	return n;
}

struct writer {
	uint8_t *at, *end;
	bool full;
};

static inline void write_bytes(struct writer *w, const void *bytes, size_t n)
{
	if (w->full || n > (size_t)(w->end - w->at)) {
		w->full = true;
		return;
	}
	if (n)
		memcpy(w->at, bytes, n);
	w->at += n;
}

static inline void write_number(struct writer *w, uint32_t value, unsigned bytes)
{
	uint8_t b[4];

	for (unsigned i = 0; i < bytes; i++)
		b[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	write_bytes(w, b, bytes);
}

#endif
