/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PERHOP_CLI_SOCKMAP_CHECK_H
#define PERHOP_CLI_SOCKMAP_CHECK_H

#include <stdbool.h>

/* What a socket sees of a message that an SK_MSG program redirected to it. */
struct sockmap_sight {
	bool delivered;             /* recv returns it */
	bool woke;                  /* it ended an epoll_wait that was already blocked */
	int fionread;               /* bytes that FIONREAD reports; 16 were sent */
};

/*
 * Redirect 16 bytes between two TCP sockets of our own through a sockmap of our own, nothing of
 * which has a name or stays. `verdict`: with a no-op SK_SKB verdict program on the map as well.
 * 0, or -errno when the kernel does not let us (then *what says which step).
 */
int sockmap_check(bool verdict, struct sockmap_sight *sight, const char **what);

#endif
