/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a running deployment is told to load and unload adapters (`perhop adapter`): a Unix socket in the
 * abstract namespace, "perhop/PID" of the supervisor, so that nothing is left in any file system. Who asks
 * is known from the kernel (SO_PEERCRED): the user that the deployment runs as, and root; nobody else is
 * answered. The caller opens the adapter's file and its listening socket with its own privileges and passes
 * both, so the gateway needs neither the path nor the network namespace.
 *
 *     one message    load [fd of the file, fd of the socket]  |  unload NAME  |  list
 *     one answer     "ok\n" and text, or "error: " and a sentence
 */
#ifndef PERHOP_CHAIN_CONTROL_H
#define PERHOP_CHAIN_CONTROL_H

#include <stddef.h>
#include <sys/types.h>

struct ports;

enum { CONTROL_MESSAGE_MAX = 4096 };

/* The listening end, for the deployment of supervisor `pid`. A descriptor or -errno. */
int control_open(pid_t pid);

/* In the gateway: answer who waits. */
void control_serve(int listen_fd, struct ports *p);

/*
 * Ask the deployment of supervisor `pid`, passing `n_fds` (0 to 2) descriptors. The text of the answer goes
 * to `answer`. 0, or -errno with a sentence there.
 */
int control_ask(pid_t pid, const char *request, const int *fds, unsigned n_fds, char *answer, size_t room);

#endif
