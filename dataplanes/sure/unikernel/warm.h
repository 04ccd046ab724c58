/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of a warm QEMU (preload/warm.c). */
#ifndef PERHOP_DATAPLANES_SURE_UNIKERNEL_WARM_H
#define PERHOP_DATAPLANES_SURE_UNIKERNEL_WARM_H

enum {
	WARM_CONTROL_FD = 100,      /* requests come here */
	WARM_PEERS_FD = 101,        /* where QEMU's command line has its ivshmem server */
};

#endif
