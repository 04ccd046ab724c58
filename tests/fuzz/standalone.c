/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target without a fuzzer's runtime: FILE..., each as it is and then in FUZZ_RUNS
 * (2000) random variations. What is found depends on FUZZ_SEED (1) and the file alone, so a failure
 * here is a failure everywhere. A crash leaves the variation in crash-input in FUZZ_CRASH_DIR, if
 * that is set.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/clock.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 64 << 10 };

/* Bytes and words that parsers care about. */
static const char *const tokens[] = {
	/* clang-format off */
	"\r\n", "\r", "\n", "\r\n\r\n", " ", "\t", ":", ";", ",", "=", "&", "%", "%00", "%zz",
	"+", "\"", "/", "?", "#", "0", "1", "-1", "ffffffffffffffff", "18446744073709551616",
	"HTTP/1.1", "HTTP/1.0", "GET ", "POST ", "HEAD ", "http://", "Host: a\r\n",
	"Content-Length: ", "content-length: 5\r\n", "Transfer-Encoding: chunked\r\n",
	"Connection: close\r\n", "Expect: 100-continue\r\n", "Cookie: ", "X-Perhop-Type: ",
	"0\r\n\r\n", "5\r\nhello\r\n",
	/* clang-format on */
};

static void save(const uint8_t *data, size_t n)
{
	const char *folder = getenv("FUZZ_CRASH_DIR");
	char path[4096];
	FILE *f;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/crash-input", folder);
	f = fopen(path, "wb");
	if (!f)
		return;
	fwrite(data, 1, n, f);
	fclose(f);
}

/* The target sees exactly `n` bytes of the heap: a sanitizer guards what is behind them. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n + !n);

	if (!copy)
		abort();
	memcpy(copy, data, n);
	save(data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static size_t insert(uint8_t *data, size_t n, size_t at, const void *bytes, size_t length)
{
	if (n + length > INPUT_MAX)
		return n;
	memmove(data + at + length, data + at, n - at);
	memcpy(data + at, bytes, length);
	return n + length;
}

static size_t mutate(uint8_t *data, size_t n, uint64_t *random)
{
	const size_t at = n ? random_next(random) % n : 0;
	const char *token = tokens[random_next(random) % (sizeof(tokens) / sizeof(tokens[0]))];
	size_t length;

	switch (random_next(random) % 7) {
	case 0:
		if (n)
			data[at] ^= (uint8_t)(1u << random_next(random) % 8);
		return n;
	case 1:
		if (n)
			data[at] = (uint8_t)random_next(random);
		return n;
	case 2:
		return insert(data, n, at, token, strlen(token));
	case 3:                                 /* remove */
		length = n ? 1 + random_next(random) % (n - at < 16 ? n - at : 16) : 0;
		memmove(data + at, data + at + length, n - at - length);
		return n - length;
	case 4:                                 /* cut off */
		return random_next(random) % 4 ? n : at;
	case 5:                                 /* repeat a piece */
		if (!n)
			return n;
		{
			uint8_t piece[256];

			length = 1 + random_next(random) %
					     (n - at < sizeof(piece) ? n - at : sizeof(piece));
			memcpy(piece, data + at, length);
			return insert(data, n, random_next(random) % n, piece, length);
		}
	default:                                /* a number's byte order and size, for structs */
		if (n >= at + 4) {
			static const uint32_t edges[] = {0,          1,          0x7fffffff,
							 0x80000000, 0xffffffff, 0xffff};

			memcpy(data + at, &edges[random_next(random) % 6], 4);
		}
		return n;
	}
}

static int replay(const char *path, unsigned runs, uint64_t seed)
{
	static uint8_t original[INPUT_MAX], data[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t n, m;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(original, 1, sizeof(original), f);
	fclose(f);
	run(original, n);
	for (unsigned i = 0; i < runs; i++) {
		memcpy(data, original, n);
		m = n;
		for (uint64_t k = 1 + random_next(&seed) % 8; k; k--)
			m = mutate(data, m, &seed);
		run(data, m);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *runs = getenv("FUZZ_RUNS"), *seed = getenv("FUZZ_SEED");
	int failed = argc < 2;

	if (failed)
		fprintf(stderr, "usage: %s FILE...    FUZZ_RUNS=N FUZZ_SEED=N\n", argv[0]);
	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i], runs ? (unsigned)strtoul(runs, NULL, 10) : 2000,
				 seed ? strtoull(seed, NULL, 10) : 1);
	return failed;
}
