/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop of every perhop process of a chain: takes messages from the dataplane, runs the
 * functions it hosts, acts on their outcomes, and serves `sleep` service times by timers so that one
 * thread holds many requests. An instance hosts one function; with DP_ONE_PROCESS the gateway's
 * process hosts all of them.
 */
#ifndef PERHOP_CHAIN_RUNTIME_H
#define PERHOP_CHAIN_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "chain/dataplane.h"
#include "chain/deploy.h"

struct runtime;

/* What else a process does in its loop; the gateway serves its clients here. */
struct runtime_guest {
	void *arg;
	/* A MESSAGE_REPLY for the gateway. The message is the guest's to free. */
	void (*reply)(void *arg, struct message *m);
	/* epoll said that a descriptor added with runtime_watch is ready. */
	void (*ready)(void *arg, void *data, uint32_t events);
	/* Once per loop turn, before flush. */
	void (*turn)(void *arg);
	/*
	 * Two nodes (chain/peer.h), both optional: a message for a function on the other node, which is the
	 * guest's after 0; and an answer to a caller there, which is the guest's.
	 */
	int (*abroad)(void *arg, struct message *m);
	void (*answer)(void *arg, struct message *m);
	/* Has something come that no descriptor tells of? Asked before a sleep; makes no system call. */
	bool (*pending)(void *arg);
	/* ns until `turn` must run again, or -1. */
	int64_t (*due)(void *arg);
};

/* Attach to the dataplane as `self`. 0 or -errno (d->why says more). */
int runtime_open(struct runtime **out, struct deployment *d, instance_id self,
		 const struct runtime_guest *guest);

/* Run until board->stop, SIGTERM or a fatal error. 0 or -errno. */
int runtime_loop(struct runtime *r);

void runtime_close(struct runtime *r);

struct endpoint *runtime_endpoint(struct runtime *r);

/* Add or change a descriptor in the loop's epoll set; `data` comes back in `ready`. 0 or -errno. */
int runtime_watch(struct runtime *r, int fd, uint32_t events, void *data, bool add);

/*
 * Start `m` on its way: pick an instance of m->function and send it as m->kind. On error the
 * message stays the caller's: -EAGAIN (503), -EPIPE (502), -EMSGSIZE (500).
 */
int runtime_dispatch(struct runtime *r, struct message *m);

/*
 * `m`, whose payload is an answer of `status` by now, goes to whoever waits for it: the innermost caller,
 * or with `reply`, or when there is none, the client.
 */
void runtime_answer(struct runtime *r, struct message *m, bool reply);

/* Make the payload of `m` an error of `status` with a text. */
void runtime_reason(struct message *m, uint16_t status, const char *reason);

/* CLOCK_MONOTONIC ns, read at most once per loop turn. */
uint64_t runtime_now(const struct runtime *r);

#endif
