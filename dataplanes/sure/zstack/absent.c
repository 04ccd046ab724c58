/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for the user-space stack where lwIP or libxdp was not there when perhop was built. */
#include <errno.h>
#include <stdio.h>

#include "chain/dataplane.h"
#include "dataplanes/sure/sure.h"

static void absent_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = false;
	snprintf(report->reason, sizeof(report->reason),
		 "perhop was built without lwIP and libxdp: install liblwip-dev and libxdp-dev and build again");
}

static int absent_open(void **priv, const struct peer_config *c, char *why, size_t why_bytes)
{
	(void)priv, (void)c;
	snprintf(why, why_bytes, "perhop was built without lwIP and libxdp");
	return -ENOSYS;
}

const struct peer_stack zstack = { .name = "zstack", .probe = absent_probe, .open = absent_open };
