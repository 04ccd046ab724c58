/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls of the components. No quantity of the papers' tables; the gate watches them. */
#ifndef PERHOP_AUDIT_SYSCALLS_H
#define PERHOP_AUDIT_SYSCALLS_H

#include "audit/probe.h"

extern const struct probe probe_syscalls;

#endif
