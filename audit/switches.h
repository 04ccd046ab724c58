/* SPDX-License-Identifier: BSD-2-Clause */
/* Context switches: switch-in and switch-out of a component's task. */
#ifndef PERHOP_AUDIT_SWITCHES_H
#define PERHOP_AUDIT_SWITCHES_H

#include "audit/probe.h"

extern const struct probe probe_switches;

#endif
