/* SPDX-License-Identifier: BSD-2-Clause */
/* The dataplanes there are. Adding one: its folder, and a line in each list here. */
#include <stddef.h>

#include "chain/dataplane.h"

extern const struct dataplane_ops dataplane_null;
extern const struct dataplane_ops dataplane_kernel;
extern const struct dataplane_ops dataplane_skmsg;
extern const struct dataplane_ops dataplane_dpdk;
extern const struct dataplane_ops dataplane_uds;
extern const struct dataplane_ops dataplane_futex;
extern const struct dataplane_ops dataplane_sure;

const struct dataplane_ops *const dataplanes[] = {
	&dataplane_null,
	&dataplane_kernel,
	&dataplane_skmsg,
	&dataplane_dpdk,
	&dataplane_uds,
	&dataplane_futex,
	&dataplane_sure,
	NULL,
};
