/* SPDX-License-Identifier: BSD-2-Clause */
/* A file system without a name. */
#ifndef PERHOP_PARKING_PRIVATE_FS_H
#define PERHOP_PARKING_PRIVATE_FS_H

#include <stddef.h>
#include <unistd.h>

/*
 * A tmpfs of up to `mb` MiB that is mounted nowhere: the descriptor of its root (close-on-exec), or
 * -errno with a sentence in `why`. It lives as long as somebody holds a descriptor of it or in it.
 * Without the privilege to make one, it is made in a user namespace.
 */
int private_fs(unsigned mb, char *why, size_t why_bytes);

#endif
