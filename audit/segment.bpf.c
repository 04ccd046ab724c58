/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps that all probes share, and nothing else: they are made here and reused by the probes. */
#include "audit/segment.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
