/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for dpdk.c where libdpdk was not there when perhop was built. */
#include <errno.h>
#include <stdio.h>

#include "chain/dataplane.h"

static void absent_probe(const struct spec *spec, struct probe_report *report)
{
	(void)spec;
	report->ok = false;
	snprintf(report->reason, sizeof(report->reason),
		 "perhop was built without DPDK: install libdpdk-dev and build again");
}

static int absent_attach(struct endpoint *ep)
{
	(void)ep;
	return -ENOSYS;
}

const struct dataplane_ops dataplane_dpdk = {
	.version = DATAPLANE_VERSION,
	.name = "dpdk",
	.summary = "SPRIGHT's D-variant: rte_ring between EAL processes, polled",
	.modes = "",
	.flags = DP_SHARED_POOL | DP_ZERO_COPY | DP_POLLING,
	.probe = absent_probe,
	.attach = absent_attach,
};
