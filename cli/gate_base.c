/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder of one gate and, in it, the base revision. Both are removed at the end, whatever the end is: a
 * guard process waits on a pipe that only closes with us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/gate.h"
#include "cli/spawn.h"

enum { COMMITS_MAX = 20, REMOVE_TRIES = 20 };

#define GIT_TIMEOUT_S 60
#define BUILD_TIMEOUT_S 1800

static void run_quietly(const char *const argv[])
{
	struct spawned s;

	spawn_run(&s, (char *const *)argv, -1, GIT_TIMEOUT_S);
	spawn_free(&s);
}

/* Everything goes; what still writes into it (a compiler that was orphaned) may need some tries. */
static void remove_folder(const char *folder)
{
	const char *const rm[] = { "rm", "-rf", "--", folder, NULL };
	const char *const prune[] = { "git", "worktree", "prune", NULL };

	for (unsigned i = 0; i < REMOVE_TRIES && !access(folder, F_OK); i++) {
		run_quietly(rm);
		if (!access(folder, F_OK))
			usleep(200000);
	}
	run_quietly(prune);
}

static int start_guard(struct gate *g)
{
	int end[2];
	char byte;

	if (pipe2(end, O_CLOEXEC))
		return -errno;
	g->guard = fork();
	if (g->guard < 0) {
		g->guard = 0;
		return -errno;
	}
	if (!g->guard) {
		close(end[1]);
		setsid();               /* a Ctrl-C is not for us */
		signal(SIGHUP, SIG_IGN);
		while (read(end[0], &byte, 1) < 0 && errno == EINTR)
			;
		remove_folder(g->folder);
		_exit(0);
	}
	close(end[0]);
	g->guard_pipe = end[1];
	return 0;
}

int gate_open(struct gate *g, char *why, size_t why_bytes)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];
	int err;

	snprintf(g->folder, sizeof(g->folder), "%s/perhop-gate.XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(g->folder)) {
		snprintf(why, why_bytes, "%s: %s", g->folder, strerror(errno));
		g->folder[0] = '\0';
		return -EIO;
	}
	err = start_guard(g);
	snprintf(path, sizeof(path), "%s/records.jsonl", g->folder);
	g->records = err ? NULL : fopen(path, "ae");
	if (!g->records)
		snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
	return g->records ? 0 : -EIO;
}

void gate_close(struct gate *g)
{
	if (g->records)
		fclose(g->records);
	if (g->guard) {
		close(g->guard_pipe);
		waitpid(g->guard, NULL, 0);
	} else if (g->folder[0]) {
		remove_folder(g->folder);
	}
	g->records = NULL;
	g->guard = 0;
	g->folder[0] = '\0';
}

/* Run a step of the build. *why gets what it complained about. */
static int step(struct gate *g, char *const argv[], double timeout_s, const char *what, char *why,
		size_t why_bytes)
{
	struct spawned s;
	int err = spawn_run(&s, argv, g->signals, timeout_s);

	if (!err && s.status)
		err = -EIO;
	if (err)
		snprintf(why, why_bytes, "%s: %s", what, err == -EINTR ? "interrupted" :
			 err == -ETIME ? "not done in time" : s.why[0] ? s.why : strerror(-err));
	spawn_free(&s);
	return err;
}

int gate_build(struct gate *g, const char *revision, char *why, size_t why_bytes)
{
	char tree[PATH_MAX - 32], commit[300], jobs[24];
	char *const add[] = { "git", "worktree", "add", "--quiet", "--detach", tree, commit, NULL };
	char *const make[] = { "make", "-s", "-C", tree, jobs, "B=build", "all", NULL };
	int err;

	snprintf(tree, sizeof(tree), "%s/base", g->folder);
	/* ^{commit} also keeps a revision that begins with '-' from being taken for an option. */
	snprintf(commit, sizeof(commit), "%.280s^{commit}", revision);
	snprintf(jobs, sizeof(jobs), "-j%ld", sysconf(_SC_NPROCESSORS_ONLN));
	/* Not those of the make that may have started us. */
	unsetenv("MAKEFLAGS");
	unsetenv("MFLAGS");
	unsetenv("MAKELEVEL");
	err = step(g, add, GIT_TIMEOUT_S, "checking the base revision out", why, why_bytes);
	if (!err)
		err = step(g, make, BUILD_TIMEOUT_S, "building the base revision", why, why_bytes);
	if (!err)
		snprintf(g->base, sizeof(g->base), "%s/build/perhop", tree);
	return err;
}

json_t *gate_commits(struct gate *g, const char *from)
{
	char range[300];
	char *const argv[] = { "git", "log", "--format=%h %s", "-n", "20", range, "--", NULL };
	json_t *list = json_array();
	struct spawned s;
	char *rest, *line;

	snprintf(range, sizeof(range), "%.280s..HEAD", from);
	if (from[0] != '-' && !spawn_run(&s, argv, g->signals, GIT_TIMEOUT_S) && !s.status && s.text) {
		rest = s.text;
		while ((line = strsep(&rest, "\n")))
			if (line[0] && json_array_size(list) < COMMITS_MAX)
				json_array_append_new(list, json_stringn_nocheck(line, strlen(line)));
	}
	if (from[0] != '-')
		spawn_free(&s);
	return list;
}
