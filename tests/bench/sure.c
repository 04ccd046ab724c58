// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the parts of sure cost by themselves, ns each: a call gate's crossing (trusted memory closed and
 * opened), a buffer opened and closed, and the library sidecar with all handlers. `make bench-sure`. In a
 * deployment these differences drown in the machine's noise; here they are the median of many batches.
 *
 * The gate's domain has one mapping of trusted memory; a deployment's has six, which mprotect feels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/sure/gate.h"
#include "dataplanes/sure/sidecar/sidecar.h"

enum { BATCHES = 51, TRUSTED = 256 << 10, BUFFER = 64 << 10, BUFFERS = 64, STACK = 64 << 10 };

struct bench {
	unsigned char *base, *buffers;
	struct sidecar sidecar;
	struct sidecar_request request;
};

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median ns of one of `n` in a batch. */
static double median_ns(void (*one)(struct bench *), struct bench *b, unsigned n)
{
	double ns[BATCHES];

	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t begin = clock_now_ns();

		for (unsigned k = 0; k < n; k++)
			one(b);
		ns[i] = (double)(clock_now_ns() - begin) / n;
	}
	qsort(ns, BATCHES, sizeof(ns[0]), by_size);
	return ns[BATCHES / 2];
}

static void nothing(void *arg)
{
	(void)arg;
}

static void cross(struct bench *b)
{
	uint64_t arg = 0;

	(void)b;
	gate_call(nothing, &arg, sizeof(arg));
}

static void open_close(struct bench *b)
{
	gate_buffer(b->buffers + 2 * BUFFER, BUFFER, true);
	*(volatile unsigned char *)(b->buffers + 2 * BUFFER) = 1;
	gate_buffer(b->buffers + 2 * BUFFER, BUFFER, false);
}

/* As sure.c calls it: two looks at the clock are part of it. */
static void sidecar(struct bench *b)
{
	const char *why = NULL;
	uint64_t begin = clock_now_ns();

	if (!sidecar_before(&b->sidecar, &b->request, begin, &why))
		sidecar_after(&b->sidecar, &b->request, begin, clock_now_ns(), 200);
}

static void bench_gate(enum gate_mode mode, const char *name)
{
	const size_t bytes = TRUSTED + (size_t)BUFFERS * BUFFER;
	unsigned char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);
	struct bench b = { .base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	struct gate_config c = { .mode = mode, .name = name, .wrpkru_cycles = 23, .pte_cycles = 1105,
				 .seccomp = true };

	if (b.base == MAP_FAILED || stack == MAP_FAILED)
		exit(1);
	memset(b.base, 1, bytes);
	b.buffers = b.base + TRUSTED;
	c.base = b.base;
	c.buffers = b.buffers;
	c.end = b.base + bytes;
	c.user_stack = stack + STACK;
	if (gate_seal(&c))
		exit(1);
	printf("gate=%-9s crossing %7.0f ns   buffer open and close %7.0f ns\n", name,
	       median_ns(cross, &b, 1000), median_ns(open_close, &b, 1000));
	fflush(stdout);
	_exit(0);
}

static int bench_sidecar(void)
{
	struct sidecar_config c = { .rate = 1000000000, .timeout_ns = NS_PER_SEC * 30,
				    .breaker_failures = 5, .breaker_ns = NS_PER_SEC };
	struct sidecar_stats *stats = aligned_alloc(64, sizeof(*stats));
	uint8_t tag[SIDECAR_TAG_BYTES];
	struct bench b = { .request = { .id = 1, .tag = tag } };

	if (!stats || sidecar_parse(&c, "all"))
		return 1;
	memset(stats, 0, sizeof(*stats));
	sidecar_open(&b.sidecar, &c, stats);
	sidecar_tag(&b.sidecar, 1, 0, tag);
	b.request.born_ns = clock_now_ns();
	printf("sidecar=all, token included: %7.0f ns per call\n", median_ns(sidecar, &b, 10000));
	free(stats);
	return 0;
}

int main(void)
{
	static const struct {
		enum gate_mode mode;
		const char *name;
	} gates[] = { { GATE_NONE, "none" }, { GATE_MODEL, "model" }, { GATE_MPROTECT, "mprotect" },
		      { GATE_MPK, "mpk" } };
	char why[256];

	for (unsigned i = 0; i < sizeof(gates) / sizeof(gates[0]); i++) {
		pid_t pid;

		if (gate_probe(gates[i].mode, why, sizeof(why))) {
			printf("gate=%-9s skipped: %s\n", gates[i].name, why);
			continue;
		}
		fflush(stdout);
		pid = fork();
		if (!pid)
			bench_gate(gates[i].mode, gates[i].name);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	return bench_sidecar();
}
