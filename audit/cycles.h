/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU time: each component by segment, and the NET_RX softirq. */
#ifndef PERHOP_AUDIT_CYCLES_H
#define PERHOP_AUDIT_CYCLES_H

#include "audit/probe.h"

extern const struct probe probe_cycles;

#endif
