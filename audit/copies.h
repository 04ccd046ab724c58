/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies: one per send and per receive of payload, and those in user space and within the kernel. */
#ifndef PERHOP_AUDIT_COPIES_H
#define PERHOP_AUDIT_COPIES_H

#include "audit/probe.h"

extern const struct probe probe_copies;

#endif
