/* SPDX-License-Identifier: BSD-2-Clause */
/* Which programs carry USDT points: looked up in the notes of their ELF files. */
#ifndef PERHOP_AUDIT_USDT_H
#define PERHOP_AUDIT_USDT_H

#include <stdbool.h>
#include <sys/types.h>

/* Has the program of `pid` a point of `provider`? False also when it cannot be read. */
bool usdt_has(pid_t pid, const char *provider);

/* Is the program of `pid` the file at `path`? */
bool usdt_same_file(const char *path, pid_t pid);

#endif
