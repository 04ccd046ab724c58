/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions that misbehave, once for two programs: the test deploys them by name, the guest's image
 * runs them. A chain per function, at its name.
 */
#ifndef PERHOP_UNIKERNEL_CASES_H
#define PERHOP_UNIKERNEL_CASES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "chain/codec.h"
#include "chain/workload.h"

enum { GOOD, PEEK, KEEP, SCRIBBLE, SPIN, NOWHERE, CODE, FALL, TRIPLE, CLOCK, N_FUNCTIONS };

static inline enum outcome answer(struct invocation *inv, const char *text)
{
	inv->length = (uint32_t)strlen(text);
	memcpy(inv->payload, text, inv->length);
	inv->type = TYPE_BYTES;
	inv->status = 200;
	return REPLY;
}

static inline enum outcome good(struct invocation *inv)
{
	return answer(inv, "good");
}

/* Reads what is next to its buffer, on either side: one of them is inside the pool. */
static inline enum outcome peek(struct invocation *inv)
{
	volatile const char *m = (const char *)inv->message;
	const size_t bytes = sizeof(struct message) + inv->message->capacity;

	return answer(inv, m[bytes] + m[-1] ? "saw something" : "saw nothing");
}

struct kept {
	volatile char *payload;
};

/* Touches, at every request, the payload of the one before. */
static inline enum outcome keep(struct invocation *inv)
{
	struct kept *k = inv->state;
	char first = k->payload ? *k->payload : 0;

	k->payload = inv->payload;
	return answer(inv, first ? "saw the old one" : "kept it");
}

/* Writes all over the header, as if to have the answer go elsewhere. */
static inline enum outcome scribble(struct invocation *inv)
{
	memset(inv->message, 0xff, sizeof(*inv->message));
	return answer(inv, "good");
}

static inline enum outcome spin(struct invocation *inv)
{
	volatile bool forever = true;

	while (forever)
		;
	return answer(inv, "it has returned");
}

/* A null pointer, and the one place that no program has. */
static inline enum outcome nowhere(struct invocation *inv)
{
	char *volatile null = NULL;

	return answer(inv, *null ? "saw something" : "saw nothing");
}

/* Writes to code: its own will do. */
static inline enum outcome code(struct invocation *inv)
{
	*(volatile char *)(uintptr_t)good = 0;
	return answer(inv, "it has been changed");
}

/* Recurses until its stack is used up, and writes on. */
static inline enum outcome fall(struct invocation *inv)
{
	volatile char room[4096];
	volatile bool forever = true;

	room[0] = (char)inv->length;
	if (forever)
		inv->length += (uint32_t)(fall(inv) + room[0]);
	return REPLY;
}

/* Takes the CPU's interrupt table away and faults: the virtual machine resets. */
static inline enum outcome triple(struct invocation *inv)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} none = {0, 0};

	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
	return answer(inv, "it has survived");
}

/* Asks for the time, as any function may. */
static inline enum outcome clock_of(struct invocation *inv)
{
	return answer(inv, time(NULL) > 1600000000 ? "late enough" : "too early");
}

static const struct function f_good = {.name = "good", .handle = good};
static const struct function f_peek = {.name = "peek", .handle = peek};
static const struct function f_keep = {
	.name = "keep", .handle = keep, .state_bytes = sizeof(struct kept)};
static const struct function f_scribble = {.name = "scribble", .handle = scribble};
static const struct function f_spin = {.name = "spin", .handle = spin};
static const struct function f_nowhere = {.name = "nowhere", .handle = nowhere};
static const struct function f_code = {.name = "code", .handle = code};
static const struct function f_fall = {.name = "fall", .handle = fall};
static const struct function f_triple = {.name = "triple", .handle = triple};
static const struct function f_clock = {.name = "clock", .handle = clock_of};
static const struct function *const functions[] = {&f_good,   &f_peek,    &f_keep, &f_scribble,
						   &f_spin,   &f_nowhere, &f_code, &f_fall,
						   &f_triple, &f_clock};
static const function_id ids[] = {GOOD,    PEEK, KEEP, SCRIBBLE, SPIN,
				  NOWHERE, CODE, FALL, TRIPLE,   CLOCK};
static const struct chain chains[] = {
	{"good", "/good", &ids[GOOD], 1, NULL},       {"peek", "/peek", &ids[PEEK], 1, NULL},
	{"keep", "/keep", &ids[KEEP], 1, NULL},       {"scribble", "/scribble", &ids[SCRIBBLE], 1, NULL},
	{"spin", "/spin", &ids[SPIN], 1, NULL},       {"nowhere", "/nowhere", &ids[NOWHERE], 1, NULL},
	{"code", "/code", &ids[CODE], 1, NULL},       {"fall", "/fall", &ids[FALL], 1, NULL},
	{"triple", "/triple", &ids[TRIPLE], 1, NULL}, {"clock", "/clock", &ids[CLOCK], 1, NULL},
};

#endif
