/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instance of one function as a small static program: what the unikernel is compared with. The same
 * objects, the same window, the same first request; below it is Linux.
 *
 *   function FD SELF          a process: the window is descriptor FD
 *   function FD zygote        a warm one, on standard input: SELF by SELF, it forks an instance each
 *   /init                     the only program of a virtual machine: the window is an ivshmem device
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include "chain/runtime.h"
#include "dataplanes/sure/unikernel/window.h"

/* ivshmem: 1af4:1110. The devices of bus 0 are tried; there are few. */
enum { SLOTS = 32, PATH_BYTES = 64, IV_POSITION = 8 };

void *sure_reserve(struct deployment *d, size_t bytes)
{
	(void)d;
	return calloc(1, bytes);
}

int deploy_error(struct deployment *d, int error, const char *format, ...)
{
	va_list ap;

	(void)d;
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	return error;
}

const char *deploy_instance_name(const struct deployment *d, instance_id id)
{
	return d->app->functions[d->board->line[id].function]->name;
}

static unsigned char *map_file(int fd)
{
	struct stat s;
	void *at;

	if (fd < 0 || fstat(fd, &s) || s.st_size <= 0)
		return NULL;
	at = mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

static int open_resource(unsigned slot, unsigned bar)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0/resource%u", slot, bar);
	return open(path, O_RDWR | O_CLOEXEC);
}

static bool is_ivshmem(unsigned slot)
{
	char path[PATH_BYTES], text[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0/device", slot);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return !strncmp(text, "0x1110", 6);
}

static void enable(unsigned slot)
{
	char path[PATH_BYTES];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:00:%02x.0/enable", slot);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) != 1)
		perror(path);
	if (fd >= 0)
		close(fd);
}

/* In a virtual machine: the device's memory, and this peer's number. */
static unsigned char *find_window(instance_id *self)
{
	unsigned char *registers;

	mkdir("/sys", 0755);
	if (mount("sysfs", "/sys", "sysfs", 0, NULL))
		perror("/sys");
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!is_ivshmem(slot))
			continue;
		enable(slot);
		registers = map_file(open_resource(slot, 0));
		if (registers)
			*self = (instance_id)*(volatile uint32_t *)(registers + IV_POSITION);
		return registers ? map_file(open_resource(slot, 2)) : NULL;
	}
	return NULL;
}

static struct deployment *open_or_end(unsigned char *window, instance_id self)
{
	char why[256] = "";
	struct deployment *d = window_deployment(window, self, NULL, why, sizeof(why));

	if (!d) {
		fprintf(stderr, "function: %s\n", why);
		exit(1);
	}
	return d;
}

/* Everything that does not depend on which instance it becomes is done before it is asked. */
static int zygote(unsigned char *window)
{
	struct deployment *d = open_or_end(window, 1);
	instance_id self;

	signal(SIGCHLD, SIG_IGN);
	while (read(STDIN_FILENO, &self, sizeof(self)) == sizeof(self)) {
		uint64_t entry;

		if (fork())
			continue;
		entry = __rdtsc();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		atomic_store(&d->board->line[self].pid, (uint32_t)getpid());
		window_stamp(window, self, UNIKERNEL_ENTRY, entry);
		window_stamp(window, self, UNIKERNEL_MAPPED, entry);
		return window_run(d, self) ? 1 : 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t entry = __rdtsc();
	instance_id self = 0;
	unsigned char *window;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	window = argc == 3 ? map_file(atoi(argv[1])) : find_window(&self);
	if (!window) {
		fprintf(stderr, "function: no window\n");
		return 1;
	}
	if (argc == 3 && !strcmp(argv[2], "zygote"))
		return zygote(window);
	if (argc == 3)
		self = (instance_id)atoi(argv[2]);
	window_stamp(window, self, UNIKERNEL_ENTRY, entry);
	window_stamp(window, self, UNIKERNEL_MAPPED, __rdtsc());
	return window_run(open_or_end(window, self), self) ? 1 : 0;
}
