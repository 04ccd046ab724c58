/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What layers.bpf.c and layers.c share. */
#ifndef PERHOP_AUDIT_LAYERS_SHARED_H
#define PERHOP_AUDIT_LAYERS_SHARED_H

enum {
	LAYERS_DEPTH = 48,          /* frames of a stack */
	LAYERS_STACKS = 1 << 15,    /* different ones */
	LAYERS_USER = -1,           /* in place of a stack: in user mode */
	LAYERS_UNKNOWN = -2,        /* in the kernel, without a stack */
};

struct layers_key {
	unsigned int tgid, netns;
	int stack;                  /* its id, or one of the above */
};

#endif
