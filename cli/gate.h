/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate: is this build worse than a baseline, or than the build of a base revision? C measures and keeps
 * records, scripts/gate.py says what to measure next and what it all means:
 *
 *     gate.c        command line; asks `gate.py next` for jobs until there are none, then for the verdict
 *     gate_base.c   folder for records, the base revision's worktree and build, and their removal
 *     gate_same.c   whether two programs differ in more than the revision they name
 *     gate_job.c    one job: an audit, a run, instructions by callgrind, the program's size
 */
#ifndef PERHOP_CLI_GATE_H
#define PERHOP_CLI_GATE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct gate {
	char folder[PATH_MAX - 128];    /* plan.json, records.jsonl, callgrind.*, base/ */
	char head[PATH_MAX];        /* the program that is judged… */
	char base[PATH_MAX];        /* …and the one it is compared with; "": none */
	char script[PATH_MAX];      /* scripts/gate.py */
	int signals;
	FILE *records;
	pid_t guard;                /* removes the folder, also when we are killed */
	int guard_pipe;
	unsigned jobs;              /* done so far */
};

/* Make the folder and its guard. 0 or -errno, with a sentence in `why`. gate_close in any case. */
int gate_open(struct gate *g, char *why, size_t why_bytes);
void gate_close(struct gate *g);

/* Check `revision` out beside us and build it; sets g->base. 0 or -errno, with a sentence in `why`. */
int gate_build(struct gate *g, const char *revision, char *why, size_t why_bytes);

/* Whether what is loaded of two programs is the same, revisions in their text aside. False when in doubt. */
bool gate_same(const char *a, const char *b);

/* "abc1234 subject" of each commit from `from` to HEAD, newest first, 20 at most. [] when unknown. */
json_t *gate_commits(struct gate *g, const char *from);

/*
 * Do one job of gate.py's and append its record: the job, and `exit`, `why` (null: it went well),
 * `elapsed_s`, `record` (null: there is none). 0; -EINTR; or -errno when the record could not be written.
 */
int gate_job(struct gate *g, json_t *job);

#endif
