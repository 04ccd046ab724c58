/* SPDX-License-Identifier: BSD-2-Clause */
/* Serialization and deserialization: our codecs by USDT, foreign programs by message turns. */
#ifndef PERHOP_AUDIT_SERDE_H
#define PERHOP_AUDIT_SERDE_H

#include "audit/probe.h"

extern const struct probe probe_serde;

#endif
