/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What chain/ asks of the kernel, in a machine that has none. Three things are real:
 *
 *     clock_gettime      the host's clock (cpu.c)
 *     futex              wait: halt until the bell's word has changed or time is up
 *     write              to DOOR_FD + i: ring endpoint i's doorbell, one store to the device
 *
 * The rest is refused: no files, no mappings, no signals. Most of it is never called: it belongs to
 * paths that an instance does not take.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/sure/unikernel/guest/guest.h"

int *__errno_location(void)
{
	static int error;

	return &error;
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

/* ---- Time ------------------------------------------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *t)
{
	uint64_t ns = clock == CLOCK_REALTIME ? clock_realtime() : clock_monotonic();

	t->tv_sec = (time_t)(ns / NS_PER_SEC);
	t->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

time_t time(time_t *out)
{
	time_t now = (time_t)(clock_realtime() / NS_PER_SEC);

	if (out)
		*out = now;
	return now;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	(void)zone;
	t->tv_sec = time(NULL);
	t->tv_usec = 0;
	return 0;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/*
 * Interrupts are off: a doorbell that rings between the look at the word and the halt is pending,
 * and ends the halt at once.
 */
static long futex_wait(const _Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	uint64_t ns =
		timeout ? (uint64_t)timeout->tv_sec * NS_PER_SEC + (uint64_t)timeout->tv_nsec : 0;

	if (atomic_load(word) != value)
		return refuse(EAGAIN);
	if (timeout && !ns)
		return refuse(ETIMEDOUT);
	cpu_halt(ns);
	clock_learn(atomic_load_explicit(&machine.bell->rung_ns, memory_order_relaxed));
	return 0;
}

long syscall(long number, ...)
{
	const struct timespec *timeout;
	_Atomic uint32_t *word;
	uint32_t value;
	va_list ap;
	int op;

	if (number != SYS_futex)
		return refuse(ENOSYS);
	va_start(ap, number);
	word = va_arg(ap, _Atomic uint32_t *);
	op = va_arg(ap, int);
	value = va_arg(ap, uint32_t);
	timeout = va_arg(ap, const struct timespec *);
	va_end(ap);
	return op == FUTEX_WAIT ? futex_wait(word, value, timeout) : refuse(ENOSYS);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	(void)data;
	if (fd < DOOR_FD || fd >= DOOR_FD + INSTANCE_MAX)
		return refuse(EBADF);
	*machine.doorbell = (uint32_t)(fd - DOOR_FD) << 16;
	return (ssize_t)bytes;
}

/* There is nobody else here. */
int sched_yield(void)
{
	__builtin_ia32_pause();
	return 0;
}

int sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
	(void)pid;
	memset(set, 0, bytes);
	CPU_SET(0, set);
	return 0;
}

int __sched_cpucount(size_t bytes, const cpu_set_t *set)
{
	(void)bytes;
	return CPU_ISSET(0, set) ? 1 : 0;
}

/* ---- Harmless -------------------------------------------------------------------------------- */

/* runtime_open makes an epoll set, which a process that only waits for messages never looks at. */
int epoll_create1(int flags)
{
	(void)flags;
	return 3;
}

int close(int fd)
{
	(void)fd;
	return 0;
}

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	(void)sig, (void)act, (void)old;
	return 0;
}

int prctl(int what, ...)
{
	(void)what;
	return 0;
}

pid_t getpid(void)
{
	return 1;
}

struct lconv *localeconv(void)
{
	static struct lconv c = {.decimal_point = (char *)"."};

	return &c;
}

/* ---- Refused --------------------------------------------------------------------------------- */

int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	(void)set;
	(void)op;
	(void)fd;
	(void)event;
	return refuse(ENOSYS);
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout)
{
	(void)set;
	(void)events;
	(void)max;
	(void)timeout;
	return refuse(ENOSYS);
}

int epoll_pwait2(int set, struct epoll_event *events, int max, const struct timespec *timeout,
		 const sigset_t *mask)
{
	(void)set;
	(void)events;
	(void)max;
	(void)timeout;
	(void)mask;
	return refuse(ENOSYS);
}

ssize_t read(int fd, void *to, size_t bytes)
{
	(void)fd;
	(void)to;
	(void)bytes;
	return refuse(EBADF);
}

int open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	return refuse(ENOENT);
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
	(void)path;
	(void)mode;
	errno = ENOENT;
	return NULL;
}

FILE *stdin;

/* Without fopen there is no FILE that these could be given. */
int fclose(FILE *f)
{
	(void)f;
	return EOF;
}

char *fgets(char *restrict to, int room, FILE *restrict f)
{
	(void)to;
	(void)room;
	(void)f;
	return NULL;
}

int fgetc(FILE *f)
{
	(void)f;
	return EOF;
}

int feof(FILE *f)
{
	(void)f;
	return 1;
}

/* ---- What the compiler and fortified libraries call ------------------------------------------ */

_Noreturn void __stack_chk_fail(void);

_Noreturn void __assert_fail(const char *what, const char *file, unsigned line,
			     const char *function)
{
	guest_panic("%s:%u: %s: %s does not hold", file, line, function, what);
}

_Noreturn void __stack_chk_fail(void)
{
	guest_panic("stack smashing detected");
}
