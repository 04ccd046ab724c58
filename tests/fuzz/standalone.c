/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a fuzz target without a fuzzer's runtime: FILE..., each as it is and then in FUZZ_RUNS
 * (2000) random variations. What is found depends on FUZZ_SEED (1) and the file alone, so a failure
 * here is a failure everywhere. An input that breaks the target, or that it does not come back from before
 * somebody ends it, is left in PROGRAM.crash.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* For what runs when all is lost: the input in hand, and where to leave it. */
static struct {
	const uint8_t *data;
	size_t length;
	char path[4096];
} in_hand;

/* Async-signal-safe. */
static void save(void)
{
	const int fd = in_hand.data ? open(in_hand.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
	static const char says[] = "the input is in ";

	if (fd < 0 || write(fd, in_hand.data, in_hand.length) != (ssize_t)in_hand.length)
		return;
	close(fd);
	(void)!write(STDERR_FILENO, says, sizeof(says) - 1);
	(void)!write(STDERR_FILENO, in_hand.path, strlen(in_hand.path));
	(void)!write(STDERR_FILENO, "\n", 1);
}

static void on_signal(int sig)
{
	save();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Read by the sanitizers as they start: they abort, too, where a signal's handler can be. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
	return "abort_on_error=1";
}

/* A broken promise aborts as well; a suite that takes too long is terminated. */
static void save_when_it_breaks(const char *program)
{
	static const int signals[] = { SIGABRT, SIGTERM, SIGINT };

	snprintf(in_hand.path, sizeof(in_hand.path), "%s.crash", program);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], on_signal);
}

/* The target sees exactly `n` bytes of the heap: a sanitizer guards what is behind them. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n + !n);

	if (!copy)
		abort();
	memcpy(copy, data, n);
	in_hand.data = data;
	in_hand.length = n;
	LLVMFuzzerTestOneInput(copy, n);
	in_hand.data = NULL;
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
	save_when_it_breaks(argv[0]);
	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i], runs ? (unsigned)strtoul(runs, NULL, 10) : 2000,
				 seed ? strtoull(seed, NULL, 10) : 1);
	return failed;
}
