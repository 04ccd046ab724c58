/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EAL without leaving anything behind. EAL wants files: a runtime directory, a socket per process,
 * hugepage files. They are made in a mount namespace of the primary, on a tmpfs and a hugetlbfs of
 * its own; the kernel drops both when the last process of the run is gone, kill -9 or not.
 *
 *   EAL_HUGEPAGES                              EAL_ANONYMOUS
 *   eal (primary): memzone in hugepages        supervisor: mmap(MAP_SHARED)
 *     └─ gateway, instances (secondaries)        └─ gateway, instances: each its own EAL, --no-huge
 */
#include <errno.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memzone.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chain/clock.h"
#include "dataplanes/dpdk/dpdk.h"

/* The directory that the run's own file systems are mounted over, in its mount namespace only. */
#define RUN_DIR "/mnt"
#define HUGE_DIR RUN_DIR "/huge"
#define MEMZONE "perhop-rings"

enum {
	PRIMARY_TIMEOUT_MS = 5000,
	ARGS_MAX = 16,
	NO_HUGE_MB = 8,             /* EAL's own needs; rings and buffers are not in it */
};

/* How far the primary is; one shared page. */
struct primary_state {
	_Atomic int ready;          /* 1: memory is there; < 0: -errno */
	char why[200];
};

/* A count of 2 MiB pages from sysfs; 0 when there is none. */
static size_t huge_pages(const char *which)
{
	char path[96];
	unsigned long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", which);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages;
}

size_t eal_hugepage_bytes(void)
{
	size_t unused = huge_pages("free_hugepages"), promised = huge_pages("resv_hugepages");

	return unused > promised ? (unused - promised) << 21 : 0;
}

/* A mount namespace of this process's own, with a tmpfs where EAL will put its files. 0 or -errno. */
static int own_file_system(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("perhop", RUN_DIR, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=0700") ||
	    setenv("RUNTIME_DIRECTORY", RUN_DIR, 1))
		return -errno;
	return 0;
}

/* rte_eal_init with the arguments of this run, `extra` (NULL-terminated) among them. 0 or -errno. */
static int init(const struct eal *e, const char *const *extra)
{
	char prefix[64], lcores[32], *argv[ARGS_MAX];
	cpu_set_t may;
	int argc = 0, cpu = 0, err = 0;

	if (sched_getaffinity(0, sizeof(may), &may))
		return -errno;
	while (!CPU_ISSET(cpu, &may))
		cpu++;
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", e->prefix);
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu);
	/* argv's strings may be permuted, not changed; EAL keeps the first. */
	argv[argc++] = (char *)"perhop";
	argv[argc++] = prefix;
	argv[argc++] = lcores;
	argv[argc++] = (char *)"--no-pci";
	argv[argc++] = (char *)"--no-telemetry";
	argv[argc++] = (char *)"--log-level=*:emergency";
	while (*extra && argc < ARGS_MAX - 1)
		argv[argc++] = (char *)*extra++;
	argv[argc] = NULL;
	if (rte_eal_init(argc, argv) < 0)
		err = rte_errno ? -rte_errno : -EIO;
	/* EAL pins its first lcore to one CPU; placement is the run's to choose. */
	sched_setaffinity(0, sizeof(may), &may);
	return err;
}

/* ---- The primary ------------------------------------------------------------------------------ */


static _Noreturn void primary_main(struct eal *e, struct primary_state *state,
				   void (*fill)(void *rings, void *arg), void *arg)
{
	char memory[16];
	const char *const extra[] = { "--proc-type=primary", "--huge-dir=" HUGE_DIR, "-m", memory,
				      NULL };
	const struct rte_memzone *zone;
	sigset_t term;
	int err = own_file_system(), sig;

	if (!err && (mkdir(HUGE_DIR, 0700) ||
		     mount("perhop", HUGE_DIR, "hugetlbfs", 0, "pagesize=2M")))
		err = -errno;

	snprintf(memory, sizeof(memory), "%zu", (e->bytes >> 20) + 8);
	if (err) {
		snprintf(state->why, sizeof(state->why), "cannot mount its file systems");
	} else {
		err = init(e, extra);
		if (err)
			snprintf(state->why, sizeof(state->why), "rte_eal_init");
	}
	if (!err) {
		zone = rte_memzone_reserve_aligned(MEMZONE, e->bytes, SOCKET_ID_ANY, 0, 64);
		if (zone) {
			fill(zone->addr, arg);
		} else {
			err = -rte_errno;
			snprintf(state->why, sizeof(state->why), "cannot reserve %zu bytes", e->bytes);
		}
	}
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	atomic_store(&state->ready, err ? err : 1);
	if (!err)
		sigwait(&term, &sig);
	_exit(err ? 1 : 0);
}

static int start_primary(struct eal *e, struct deployment *d,
			 void (*fill)(void *rings, void *arg), void *arg)
{
	struct primary_state *state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[64];
	pid_t pid;
	int err, ready = 0;

	if (state == MAP_FAILED)
		return -errno;
	pid = deploy_fork(d, "eal", COMPONENT_BROKER, INSTANCE_NONE);
	if (!pid)
		primary_main(e, state, fill, arg);
	for (int ms = 0; pid > 0 && !ready && ms < PRIMARY_TIMEOUT_MS; ms++) {
		nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MS }, NULL);
		ready = atomic_load(&state->ready);
	}
	err = pid < 0 ? (int)pid : ready == 1 ? 0 : ready ? ready : -ETIMEDOUT;
	if (err && pid > 0) {
		deploy_error(d, err, "EAL's primary process: %s: %s", state->why, strerror(-err));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		d->components--;            /* the last one: it was never part of the deployment */
	}
	munmap(state, sizeof(*state));
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	e->mount_fd = open(path, O_RDONLY | O_CLOEXEC);
	return e->mount_fd < 0 ? deploy_error(d, -errno, "%s: %s", path, strerror(errno)) : 0;
}

/* ---- All -------------------------------------------------------------------------------------- */

int eal_start(struct eal *e, struct deployment *d, void (*fill)(void *rings, void *arg), void *arg)
{
	snprintf(e->prefix, sizeof(e->prefix), "perhop-%d-%x", getpid(),
		 (unsigned)(clock_now_ns() / NS_PER_US));
	if (e->memory == EAL_HUGEPAGES)
		return start_primary(e, d, fill, arg);
	e->rings = mmap(NULL, e->bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (e->rings == MAP_FAILED) {
		e->rings = NULL;
		return deploy_error(d, -errno, "cannot map %zu bytes of rings: %s", e->bytes,
				    strerror(errno));
	}
	fill(e->rings, arg);
	return 0;
}

void eal_stop(struct eal *e)
{
	if (e->memory == EAL_ANONYMOUS && e->rings)
		munmap(e->rings, e->bytes);
	if (e->mount_fd >= 0)
		close(e->mount_fd);
	e->rings = NULL;
	e->mount_fd = -1;
}

int eal_enter(const struct eal *e)
{
	/* Where that is not allowed EAL makes an empty directory, which eal_join removes. */
	if (e->memory == EAL_ANONYMOUS) {
		(void)own_file_system();
		return 0;
	}
	if (setns(e->mount_fd, CLONE_NEWNS) || setenv("RUNTIME_DIRECTORY", RUN_DIR, 1))
		return -errno;
	return 0;
}

int eal_join(struct eal *e, struct deployment *d)
{
	char memory[16];
	const char *const secondary[] = { "--proc-type=secondary", "--huge-dir=" HUGE_DIR, NULL };
	const char *const alone[] = { "--no-huge", "--no-shconf", "-m", memory, NULL };
	const struct rte_memzone *zone;
	int err;

	snprintf(memory, sizeof(memory), "%d", NO_HUGE_MB);
	err = init(e, e->memory == EAL_HUGEPAGES ? secondary : alone);
	if (err)
		return deploy_error(d, err, "rte_eal_init: %s", strerror(-err));
	if (e->memory == EAL_ANONYMOUS) {
		(void)rmdir(rte_eal_get_runtime_dir());
		return 0;
	}
	zone = rte_memzone_lookup(MEMZONE);
	if (!zone)
		return deploy_error(d, -ENOENT, "the primary's memory cannot be found");
	e->rings = zone->addr;
	return 0;
}
