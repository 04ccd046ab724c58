/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc and clocks say of a process that need not be ours. */
#ifndef PERHOP_CHAIN_PROCESS_H
#define PERHOP_CHAIN_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_WORKERS = 64 };      /* more than any program that perhop starts has: nginx, 8 at most */

/* ns that process `pid`, with all its threads, has been on a CPU; 0 when there is no such process. */
uint64_t process_cpu_ns(pid_t pid);

/*
 * The children of all threads of `pid`, the first `max` of them to `child`. Returns how many were written; 0 also
 * where the kernel does not tell (CONFIG_PROC_CHILDREN).
 */
unsigned process_children(pid_t pid, pid_t *child, unsigned max);

#endif
