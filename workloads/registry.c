/* SPDX-License-Identifier: BSD-2-Clause */
/* The workloads there are. Adding one: its folder, and a line in each list here. */
#include <stddef.h>

#include "chain/workload.h"

extern const struct workload workload_boutique;
extern const struct workload workload_echo;
extern const struct workload workload_motion;
extern const struct workload workload_parking;

const struct workload *const workloads[] = {
	&workload_boutique,
	&workload_echo,
	&workload_motion,
	&workload_parking,
	NULL,
};
