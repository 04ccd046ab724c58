/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hostile functions, each in a process of its own, behind a gate of either mechanism. Used by
 * tests/unit/test_sure_gate.c, with what this machine has, and by tests/mpk/guest.c on an emulated CPU
 * with protection keys.
 */
#ifndef PERHOP_TESTS_SURE_CASES_H
#define PERHOP_TESTS_SURE_CASES_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/pool.h"
#include "dataplanes/sure/gate.h"
#include "dataplanes/sure/gate_entry.h"

enum { TRUSTED = 16 << 10, BUFFER = 4096, BUFFERS = 8, MINE = 2, NEXT = 3, STACK = 64 << 10 };

/* A domain in miniature: memory, and where its violations are reported. */
struct domain {
	unsigned char *base, *buffers;
	struct gate_violation *violation;
	enum gate_mode mode;
};

static unsigned char *buffer(const struct domain *d, unsigned i)
{
	return d->buffers + i * BUFFER;
}

static void make_domain(struct domain *d, enum gate_mode mode)
{
	const size_t bytes = TRUSTED + BUFFERS * BUFFER;

	d->mode = mode;
	d->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	d->buffers = d->base + TRUSTED;
	d->violation = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d->base == MAP_FAILED || d->violation == MAP_FAILED)
		exit(2);
	for (unsigned i = 0; i < BUFFERS; i++)
		memset(buffer(d, i), 'a' + (int)i, BUFFER);
}

static void enter_domain(const struct domain *d)
{
	unsigned char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);
	const struct gate_config c = {
		.mode = d->mode, .base = d->base, .buffers = d->buffers,
		.end = d->buffers + BUFFERS * BUFFER, .user_stack = stack + STACK, .name = "hostile",
		.violation = d->violation, .seccomp = true,
	};
	int err = gate_seal(&c);

	if (err) {
		fprintf(stderr, "gate_seal: %s\n", strerror(-err));
		_exit(3);
	}
	gate_buffer(buffer(d, MINE), BUFFER, true);
}

/* ---- Functions -------------------------------------------------------------------------------- */

static void honest(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	for (unsigned i = 0; i < BUFFER; i++)
		buffer(d, MINE)[i]++;
}

static void reads_next_buffer(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	_exit(*(volatile unsigned char *)buffer(d, NEXT) == 'd' ? 40 : 41);
}

static void writes_next_buffer(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	*(volatile unsigned char *)buffer(d, NEXT) = 0;
	_exit(40);
}

static void writes_trusted(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	*(volatile unsigned char *)(d->base + 4096) = 0;
	_exit(40);
}

static void reads_trusted(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	_exit(*(volatile unsigned char *)(d->base + 4096) ? 40 : 41);
}

static void touches_mine(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	*(volatile unsigned char *)buffer(d, MINE) = 0;
	_exit(40);
}

static void asks_for_next_buffer(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	if (!syscall(d->mode == GATE_MPK ? SYS_pkey_mprotect : SYS_mprotect, buffer(d, NEXT), BUFFER,
		     PROT_READ | PROT_WRITE, 0))
		_exit(40);
}

static void maps_code(void *arg)
{
	(void)arg;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	    MAP_FAILED)
		_exit(40);
}

/* Through the gate's front door, but not from trusted code. */
static void calls_buffer_gate(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	gate_buffer(buffer(d, NEXT), BUFFER, true);
	_exit(*(volatile unsigned char *)buffer(d, NEXT) == 'd' ? 40 : 41);
}

/* The gate's own system call, with trusted memory as the "buffer". */
static void opens_trusted_as_buffer(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	gate_buffer(d->base, TRUSTED, true);
	_exit(40);
}

static void jump(const void *to, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t rax)
{
	__asm__ volatile("xor %%ecx, %%ecx\n\tjmp *%0" : : "r"(to), "D"(rdi), "S"(rsi), "d"(rdx), "a"(rax)
			 : "rcx", "memory");
}

/* The SYSCALL instruction (two bytes) before a mark. */
static const void *before(const char *mark)
{
	return (const void *)((uintptr_t)mark - 2);
}

/* WRPKRU number `n` of the gate. */
static const unsigned char *find_wrpkru(unsigned n)
{
	const unsigned char *at = (const unsigned char *)(uintptr_t)gate_enter_mpk;

	for (;; at++)
		if (at[0] == 0x0f && at[1] == 0x01 && at[2] == 0xef && !n--)
			return at;
}

/* Into the middle: just before the change of reach, with a change of our own. */
static void jumps_before_close(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	if (d->mode == GATE_MPK)
		jump(find_wrpkru(0), 0, 0, 0, 0);
	jump(before(gate_at_close), (uint64_t)(uintptr_t)buffer(d, NEXT), BUFFER, 3, SYS_mprotect);
}

static void jumps_before_open(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	if (d->mode == GATE_MPK)
		jump(find_wrpkru(1), 0, 0, 0, 0);
	/* All of it: trusted memory would be open as it should, and so would every buffer. */
	jump(before(gate_at_open), (uint64_t)(uintptr_t)d->base, TRUSTED + BUFFERS * BUFFER, 3,
	     SYS_mprotect);
}

/* What must not work, but need not end the process. */
static void tries_doors(void *arg)
{
	struct domain *d = *(struct domain **)arg;

	if (open("/proc/self/mem", O_RDWR) >= 0 || !munmap(d->base, TRUSTED))
		_exit(40);
}

/* ---- Cases ------------------------------------------------------------------------------------ */

struct sure_case {
	const char *name;           /* the promise */
	void (*function)(void *arg);
	int signal;                 /* that ends it; 0: it returns */
	int buffer;                 /* where the touch was: a buffer, -1 trusted memory, -2 any */
	bool sent;                  /* the buffer it holds has been sent before */
};

static const struct sure_case sure_cases[] = {
	{ "a_function_reaches_the_buffer_that_it_holds", honest, 0, -2, false },
	{ "the_next_buffer_cannot_be_read", reads_next_buffer, SIGSEGV, NEXT, false },
	{ "the_next_buffer_cannot_be_written", writes_next_buffer, SIGSEGV, NEXT, false },
	{ "trusted_memory_cannot_be_read", reads_trusted, SIGSEGV, -1, false },
	{ "trusted_memory_cannot_be_written", writes_trusted, SIGSEGV, -1, false },
	{ "a_pointer_kept_after_send_is_dead", touches_mine, SIGSEGV, MINE, true },
	{ "a_function_cannot_change_protections_itself", asks_for_next_buffer, SIGSYS, -2, false },
	{ "a_function_cannot_map_code", maps_code, SIGSYS, -2, false },
	{ "calling_the_buffer_gate_from_outside_ends_it", calls_buffer_gate, SIGSEGV, -1, false },
	{ "the_buffer_gate_does_not_open_trusted_memory", opens_trusted_as_buffer, SIGILL, -2, false },
	{ "jumping_to_the_gate_before_it_closes_ends_it", jumps_before_close, SIGILL, -2, false },
	{ "jumping_to_the_gate_before_it_opens_ends_it", jumps_before_open, SIGILL, -2, false },
	{ "no_file_is_opened_and_nothing_unmapped", tries_doors, 0, -2, false },
};

enum { SURE_CASES = sizeof(sure_cases) / sizeof(sure_cases[0]) };

static int run_function(const struct domain *d, const struct sure_case *c)
{
	const struct domain *arg = d;

	enter_domain(d);
	if (c->sent)
		gate_buffer(buffer(d, MINE), BUFFER, false);
	gate_call(c->function, &arg, sizeof(arg));
	/* Back in trusted code: its memory is open, and only what it holds besides. */
	*(volatile unsigned char *)(d->base + 4096) = 1;
	return 0;
}

/* As sure.c has it: the handler dies by SIGSEGV; what it saw is in the violation. */
static const char *judge(const struct domain *d, const struct sure_case *c, int status)
{
	const struct gate_violation *v = d->violation;
	uint64_t at = v->address - (uint64_t)(uintptr_t)d->base;

	if (!c->signal)
		return WIFEXITED(status) && !WEXITSTATUS(status) && !v->count ? NULL : "it did not return";
	if (!WIFSIGNALED(status))
		return "it was not ended";
	if (v->count != 1 || v->signal != c->signal)
		return "it was not ended by the expected check";
	if (c->buffer == -1 && at >= TRUSTED)
		return "the address reported is not in trusted memory";
	if (c->buffer >= 0 && (at - TRUSTED) / BUFFER != (uint64_t)c->buffer)
		return "the address reported is not in that buffer";
	if (d->mode == GATE_MPK && c->signal == SIGSEGV && v->key != GATE_KEY_TRUSTED &&
	    v->key != GATE_KEY_CLOSED)
		return "the key reported is none of ours";
	return NULL;
}

/* Run case `i`. NULL, or what went wrong. */
static inline const char *sure_case_run(unsigned i, enum gate_mode mode)
{
	const struct sure_case *c = &sure_cases[i];
	const char *why;
	struct domain d;
	int status = 0;
	pid_t pid;

	make_domain(&d, mode);
	pid = fork();
	if (!pid)
		_exit(run_function(&d, c));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return "fork";
	why = judge(&d, c, status);
	munmap(d.base, TRUSTED + BUFFERS * BUFFER);
	munmap(d.violation, 4096);
	return why;
}

/* A descriptor made up by who does not own the buffer, or used twice, is refused. */
static inline const char *sure_forged(void)
{
	struct descriptor d, forged;
	struct message *m, *got;
	struct pool *p;
	const char *why = NULL;

	if (pool_create(&p, 8, 4096, POOL_SHARED))
		return "pool_create";
	m = pool_alloc(p, 1);
	forged = (struct descriptor){ .target = 2, .generation = 1, .offset = pool_index(p, m) * 4096,
				      .length = sizeof(*m) };
	for (uint32_t g = 0; g < 64 && !why; g++) {
		forged.generation = g;
		if (!pool_take(p, &forged, 2, &got))
			why = "a forged descriptor was taken";
	}
	if (!why && (pool_describe(p, m, 1, 2, &d) || pool_take(p, &d, 2, &got)))
		why = "a true one was refused";
	if (!why && !pool_take(p, &d, 2, &got))
		why = "a replayed one was taken";
	pool_destroy(p);
	return why;
}

#endif
