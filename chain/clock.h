/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks, the calibrated spin and the random stream: one definition each for the whole project. */
#ifndef PERHOP_CHAIN_CLOCK_H
#define PERHOP_CHAIN_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

/* CLOCK_MONOTONIC, ns. Through the vDSO: ~25 ns, no syscall. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* CPU time this thread has used, ns. */
static inline uint64_t clock_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Burn `ns` of this thread's own CPU time (time spent preempted does not count). */
void clock_spin(uint64_t ns);

/* splitmix64 (Steele, Lea, Flood 2014): a random stream in 8 bytes of state. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#endif
