/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunked bodies: the same in one piece, in pieces and in place; never more than the limit. */
#include "chain/http.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 200 };

static int decode(const char *in, size_t size, size_t piece, char *out, size_t *used, size_t *made)
{
	struct http_chunks c = { 0 };
	int rc = 0;

	*used = *made = 0;
	while (*used < size && rc == 0) {
		const size_t n = size - *used < piece ? size - *used : piece;
		size_t u, m;

		rc = http_dechunk(&c, in + *used, n, out + *made, &u, &m, LIMIT);
		PROMISE(u <= n && m <= u);
		PROMISE(rc != 0 || u == n);
		*used += u;
		*made += m;
		PROMISE(*made <= LIMIT && c.total == *made);
	}
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char whole[LIMIT], cut[LIMIT];
	size_t used, made, used_cut, made_cut;
	const int rc = decode((const char *)data, size, size + 1, whole, &used, &made);
	char *place = malloc(size + 1);

	for (size_t piece = 1; piece < 6; piece += 2) {
		PROMISE(decode((const char *)data, size, piece, cut, &used_cut, &made_cut) == rc);
		PROMISE(used_cut == used && made_cut == made && !memcmp(cut, whole, made));
	}
	if (place) {
		struct http_chunks c = { 0 };

		memcpy(place, data, size);
		PROMISE(http_dechunk(&c, place, size, place, &used_cut, &made_cut, LIMIT) == rc);
		PROMISE(made_cut == made && !memcmp(place, whole, made));
	}
	free(place);
	return 0;
}
