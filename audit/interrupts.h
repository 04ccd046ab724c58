/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupts: NET_RX softirq runs, IPIs at their sender, hard IRQs. */
#ifndef PERHOP_AUDIT_INTERRUPTS_H
#define PERHOP_AUDIT_INTERRUPTS_H

#include "audit/probe.h"

extern const struct probe probe_interrupts;

#endif
