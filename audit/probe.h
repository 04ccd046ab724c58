/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One probe = one triple X.bpf.c X.c X.h. Its C side is a row: the hooks it would like, in order of
 * preference, and how to open its object. audit.c does the rest, the same for all.
 */
#ifndef PERHOP_AUDIT_PROBE_H
#define PERHOP_AUDIT_PROBE_H

#include <stdbool.h>

#include <bpf/libbpf.h>

/* What a kernel must allow for a hook. Lower tiers are there on more machines. */
enum probe_tier {
	TIER_TRACEPOINT,            /* T0: static tracepoints of every kernel since 5.10 */
	TIER_TRACEPOINT_NEW,        /* T1: static tracepoints that came later (6.3, 6.4) */
	TIER_USER,                  /* T2: USDT, that is uprobes */
	TIER_TRAMPOLINE,            /* T3: fentry and fexit; locked or patched kernels refuse them */
};

struct hook {
	const char *program;        /* its name in the object; NULL ends a table */
	const char *target;         /* tracepoint or function of the kernel, or name of the USDT point */
	enum probe_tier tier;
	const char *serves;         /* what it counts: the first hook of this name that attaches wins */
	const char *without;        /* what is missing without any; NULL: nothing that matters */
};

/* Sizes of the cells' array. */
struct probe_knobs {
	unsigned components, segments;
};

struct probe {
	const char *name, *summary;
	const struct hook *hooks;
	/* Open the object, set its knobs. NULL with errno set. */
	void *(*open)(const struct probe_knobs *knobs, struct bpf_object **object);
	void (*destroy)(void *skeleton);
};

#endif
