/* SPDX-License-Identifier: BSD-2-Clause */
#include "audit/syscalls.h"
#include "audit/syscalls.skel.h"

static const struct hook hooks[] = {
	/* Kernels without CONFIG_HAVE_SYSCALL_TRACEPOINTS lack it. */
	{ "entered", "sys_enter", TIER_TRACEPOINT, "system calls", "system calls" },
	{ 0 },
};

static void *syscalls_open(const struct probe_knobs *knobs, struct bpf_object **object)
{
	struct syscalls_bpf *s = syscalls_bpf__open();

	if (!s)
		return NULL;
	s->rodata->n_components = knobs->components;
	s->rodata->n_segments = knobs->segments;
	*object = s->obj;
	return s;
}

static void syscalls_destroy(void *skeleton)
{
	syscalls_bpf__destroy(skeleton);
}

const struct probe probe_syscalls = {
	.name = "syscalls",
	.summary = "system calls of the components",
	.hooks = hooks,
	.open = syscalls_open,
	.destroy = syscalls_destroy,
};
