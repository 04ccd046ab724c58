/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "chain/clock.h"
#include "chain/process.h"

uint64_t process_cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

unsigned process_children(pid_t pid, pid_t *child, unsigned max)
{
	const struct dirent *thread;
	unsigned n = 0;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = opendir(path);
	while (threads && (thread = readdir(threads))) {
		FILE *f = NULL;

		if (thread->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, thread->d_name);
		f = fopen(path, "re");
		while (f && n < max && fscanf(f, "%d", &child[n]) == 1)
			n++;
		if (f)
			fclose(f);
	}
	if (threads)
		closedir(threads);
	return n;
}
