/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "cli/spawn.h"

enum { OUTPUT_MAX = 64 << 20, GRACE_MS = 5000, STEP_MS = 10, EXEC_FAILED = 127 };

static void child(char *const argv[], int out, int err, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXEC_FAILED);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(EXEC_FAILED);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(EXEC_FAILED);
}

int spawn_start(struct spawned *s, char *const argv[])
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 };
	const pid_t parent = getpid();

	*s = (struct spawned){ .out = -1, .err = -1, .status = -1 };
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		goto failed;
	s->pid = fork();
	if (s->pid < 0)
		goto failed;
	if (!s->pid)
		child(argv, out[1], err[1], parent);
	close(out[1]);
	close(err[1]);
	s->out = out[0];
	s->err = err[0];
	return 0;
failed:
	s->pid = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (out[i] >= 0)
			close(out[i]);
		if (err[i] >= 0)
			close(err[i]);
	}
	return -errno;
}

/* What there is on the output. 1: the end; 0; or -errno. */
static int take_output(struct spawned *s)
{
	ssize_t n;
	char *more;

	if (s->room - s->bytes < 4096) {
		if (s->room >= OUTPUT_MAX)
			return -EFBIG;
		more = realloc(s->text, s->room + (64 << 10) + s->room / 2);
		if (!more)
			return -ENOMEM;
		s->text = more;
		s->room += (64 << 10) + s->room / 2;
	}
	n = read(s->out, s->text + s->bytes, s->room - s->bytes - 1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	s->bytes += (size_t)n;
	s->text[s->bytes] = '\0';
	return n == 0;
}

/* Keep the last line of what it complains about. */
static void take_error(struct spawned *s)
{
	char text[4096], *line;
	ssize_t n = read(s->err, text, sizeof(text) - 1);

	if (n <= 0) {
		if (n == 0 || errno != EINTR) {
			close(s->err);
			s->err = -1;
		}
		return;
	}
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	text[n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (line[0])
		snprintf(s->why, sizeof(s->why), "%.500s", line);
}

int spawn_read(struct spawned *s, bool line, int signals, double timeout_s)
{
	const uint64_t until = clock_now_ns() + (uint64_t)(timeout_s * 1e9);
	int err = 0;

	while (!err && s->out >= 0 && !(line && s->text && strchr(s->text, '\n'))) {
		struct pollfd p[] = { { s->out, POLLIN, 0 }, { s->err, POLLIN, 0 },
				      { signals, POLLIN, 0 } };
		const uint64_t now = clock_now_ns();

		if (now >= until) {
			s->timed_out = true;
			err = -ETIME;
			break;
		}
		if (poll(p, 3, (int)((until - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			err = -errno;
		if (p[2].revents)
			err = -EINTR;
		if (!err && p[1].revents)
			take_error(s);
		if (!err && p[0].revents)
			err = take_output(s);
		if (err == 1) {
			close(s->out);
			s->out = -1;
			err = 0;
		}
	}
	if (err)
		spawn_end(s);
	return err;
}

void spawn_drain(struct spawned *s)
{
	struct pollfd p = { .fd = s->err, .events = POLLIN };

	while (s->err >= 0 && poll(&p, 1, 0) > 0)
		take_error(s);
}

void spawn_end(struct spawned *s)
{
	const struct timespec step = { .tv_nsec = STEP_MS * (long)NS_PER_MS };
	int status;

	if (!s->pid)
		return;
	kill(s->pid, SIGTERM);
	for (unsigned ms = 0; waitpid(s->pid, &status, WNOHANG) == 0; ms += STEP_MS) {
		if (ms == GRACE_MS)
			kill(s->pid, SIGKILL);
		nanosleep(&step, NULL);
	}
	s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	s->pid = 0;
}

void spawn_free(struct spawned *s)
{
	spawn_end(s);
	if (s->out >= 0)
		close(s->out);
	if (s->err >= 0)
		close(s->err);
	free(s->text);
	s->text = NULL;
	s->out = s->err = -1;
}

int spawn_run(struct spawned *s, char *const argv[], int signals, double timeout_s)
{
	int err = spawn_start(s, argv), status;

	if (!err)
		err = spawn_read(s, false, signals, timeout_s);
	if (err)
		return err;
	/* Its output has ended; it may still say why it failed. */
	while (s->err >= 0)
		take_error(s);
	while (waitpid(s->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	s->pid = 0;
	return 0;
}
