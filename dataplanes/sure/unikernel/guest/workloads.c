/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workloads in the image. Parking is not among them: its functions are SQLite and libjpeg,
 * which want files and threads. A workload that needs no more of libc than the others: a line in
 * each list here, and its name in UNIKERNEL_WORKLOADS of the Makefile.
 */
#include <stddef.h>

#include "chain/workload.h"

extern const struct workload workload_boutique;
extern const struct workload workload_echo;
extern const struct workload workload_motion;

const struct workload *const workloads[] = {
	&workload_boutique,
	&workload_echo,
	&workload_motion,
	NULL,
};
