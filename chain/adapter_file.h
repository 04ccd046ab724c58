/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding an adapter's file, and opening the socket it will serve: what needs the caller's privileges. */
#ifndef PERHOP_CHAIN_ADAPTER_FILE_H
#define PERHOP_CHAIN_ADAPTER_FILE_H

#include <netinet/in.h>

#include "chain/adapter.h"

struct adapter_file {
	int fd;                     /* open for reading */
	char name[32], summary[128];
	uint32_t flags;             /* enum adapter_flags */
	uint16_t port;              /* the protocol's own */
};

/*
 * "mqtt": adapters/mqtt.so beside the program; anything with a '/' or ending in ".so": that file. 0 and an
 * open file->fd, or -errno with a sentence.
 */
int adapter_open(struct adapter_file *file, const char *name, char *why, size_t why_bytes);

/* A socket for it at `at`; *got is where it is. 0 and an open *fd, or -errno with a sentence. */
int adapter_listen(int *fd, const struct adapter_file *file, const struct sockaddr_in *at,
		   struct sockaddr_in *got, char *why, size_t why_bytes);

#endif
