/* SPDX-License-Identifier: BSD-2-Clause */
/* Protocol tasks: traversals of the stack by frames of the chain. */
#ifndef PERHOP_AUDIT_PROTOCOL_H
#define PERHOP_AUDIT_PROTOCOL_H

#include "audit/probe.h"

extern const struct probe probe_protocol;

#endif
