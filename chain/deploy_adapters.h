/* SPDX-License-Identifier: BSD-2-Clause */
/* The adapters that a deployment begins with: the supervisor's part of them (see chain/gateway_ports.h). */
#ifndef PERHOP_CHAIN_DEPLOY_ADAPTERS_H
#define PERHOP_CHAIN_DEPLOY_ADAPTERS_H

#include "chain/deploy.h"

/* All closed: before anything else. */
void deploy_no_adapters(struct deployment *d);

/*
 * Open files and sockets here, in the caller's namespaces; the gateway inherits them, and so does the next
 * one. 0, or -errno with d->why.
 */
int deploy_open_adapters(struct deployment *d);

/* Let go of what the gateway has unloaded: as long as we hold a socket, its address is taken. */
void deploy_close_unloaded(struct deployment *d);

/* Close all: in a child that is not the gateway, and at the end. */
void deploy_close_adapters(struct deployment *d);

#endif
