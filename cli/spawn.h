/* SPDX-License-Identifier: BSD-2-Clause */
/* Other programs, run with what they print kept, and never outliving us. */
#ifndef PERHOP_CLI_SPAWN_H
#define PERHOP_CLI_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct spawned {
	pid_t pid;
	int out, err;               /* pipes; -1 when closed */
	char *text;                 /* standard output so far, ends with NUL; spawn_free */
	size_t bytes, room;
	char why[512];              /* the last line of standard error */
	int status;                 /* exit code; 128 + signal */
	bool timed_out;
};

/*
 * Start argv[0] (found by PATH). It gets SIGTERM should this process die. 0 or -errno; spawn_free in any
 * case.
 */
int spawn_start(struct spawned *s, char *const argv[]);

/*
 * Read until it ends, or, with `line`, until it has printed a whole line. After `timeout_s` it is ended.
 * 0; -ETIME; -EINTR when `signals` (signals_open's) became readable: it has been ended; or -errno.
 */
int spawn_read(struct spawned *s, bool line, int signals, double timeout_s);

/* Take what it has written to standard error so far: for who waits for something else, lest it block. */
void spawn_drain(struct spawned *s);

/* End it with SIGTERM, SIGKILL after 5 s; wait; set `status`. Nothing to do when it has ended. */
void spawn_end(struct spawned *s);
void spawn_free(struct spawned *s);

/* Start, read to the end, wait. As spawn_read; the exit code is in s->status. */
int spawn_run(struct spawned *s, char *const argv[], int signals, double timeout_s);

#endif
