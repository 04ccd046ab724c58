/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel accepts from a function's process: the gate's own changes of protection, by the
 * address of the instruction that asks, and the few system calls that the runtime and libc need to serve requests.
 * No file can be opened, nothing mapped executable or at a chosen address, no thread or process
 * started, no handler replaced. Everything else ends the process, reported.
 */
#ifndef PERHOP_DATAPLANES_SURE_GATE_FILTER_H
#define PERHOP_DATAPLANES_SURE_GATE_FILTER_H

/* Install the filter for good. 0 or -errno. */
int gate_filter(void);

#endif
