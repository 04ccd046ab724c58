/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The window as an instance sees it, be that in the unikernel or in a program on Linux: from a page of
 * the window to a deployment that chain/runtime.c can run.
 */
#ifndef PERHOP_DATAPLANES_SURE_UNIKERNEL_WINDOW_H
#define PERHOP_DATAPLANES_SURE_UNIKERNEL_WINDOW_H

#include "dataplanes/sure/unikernel/unikernel.h"

/* The hooks of such an instance: sure's, and signs of life in its page. */
extern const struct dataplane_ops window_hooks;

/*
 * Make a deployment, in memory of sure_reserve, of what the window at `window` holds for instance
 * `self`. `doors`: INSTANCE_MAX descriptors to ring the others, NULL: by futex, and the gateway not at
 * all. NULL with a sentence in `why`.
 */
struct deployment *window_deployment(unsigned char *window, instance_id self, const int *doors,
				     char *why, size_t why_bytes);

/* Note in its page how far the instance is. */
void window_stamp(unsigned char *window, instance_id self, enum unikernel_phase phase, uint64_t tsc);

/* Run the function of instance `self` until the deployment stops. 0 or -errno. */
int window_run(struct deployment *d, instance_id self);

#endif
