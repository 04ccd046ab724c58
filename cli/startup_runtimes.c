/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows of `perhop startup`. What is made before the clock runs: the shared memory, the program's
 * file, a zygote, a container's root file system (an image that has been pulled), an initramfs. What
 * runs on the clock: everything from the spawn on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/startup.h"

enum { LINUX_MIB = 128, WINDOW_FD = 3, TEXT_BYTES = 160 };

#define BUNDLE "/mnt/bundle"                /* on a tmpfs in a mount namespace of our own */
#define STATE "/mnt/state"

static int window_fd(const struct startup_world *w)
{
	const struct sure_plane *p = w->d.priv;

	return p->unikernel->window_fd;
}

/* `bytes` as an anonymous file. */
static int make_file(const char *name, const void *bytes, size_t n)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && write(fd, bytes, n) != (ssize_t)n) {
		close(fd);
		fd = -1;
		errno = EIO;
	}
	return fd < 0 ? -errno : fd;
}

static bool have_function(const struct startup_world *w, char *why, size_t why_bytes)
{
	(void)w;
	if (function_image_bytes)
		return true;
	snprintf(why, why_bytes, "the function could not be linked as a static program");
	return false;
}

static bool in_path(const char *program)
{
	const char *path = getenv("PATH"), *end;
	char file[512];

	for (path = path ? path : "/usr/bin"; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path, program);
		if (!access(file, X_OK))
			return true;
	}
	return false;
}

static int make_function(struct startup_world *w)
{
	const struct sure_plane *p = w->d.priv;

	for (instance_id id = 1; id <= w->n; id++)
		unikernel_write_page(p->unikernel, &w->d, id);
	w->function_fd = make_file("perhop-function", function_image, function_image_bytes);
	return w->function_fd < 0 ? w->function_fd : 0;
}

static void close_function(struct startup_world *w)
{
	if (w->function_fd >= 0)
		close(w->function_fd);
	w->function_fd = -1;
}

/* In a child: become the function, or a zygote. */
static _Noreturn void exec_function(const struct startup_world *w, const char *who)
{
	char fd[16];
	char *const argv[] = { (char *)(uintptr_t)"function", fd, (char *)(uintptr_t)who, NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(fd, sizeof(fd), "%d", window_fd(w));
	fcntl(window_fd(w), F_SETFD, 0);
	fexecve(w->function_fd, argv, environ);
	_exit(127);
}

static void name_of(instance_id id, char *text, size_t bytes)
{
	snprintf(text, bytes, "%u", id);
}

/* ---- Processes -------------------------------------------------------------------------------- */

static pid_t spawn_process(struct startup_world *w, instance_id id)
{
	char who[16];
	pid_t pid = fork();

	if (pid)
		return pid;
	name_of(id, who, sizeof(who));
	exec_function(w, who);
}

static int make_zygote(struct startup_world *w)
{
	int in[2], err = make_function(w);

	if (err || pipe2(in, O_CLOEXEC))
		return err ? err : -errno;
	w->zygote = fork();
	if (!w->zygote) {
		dup2(in[0], STDIN_FILENO);
		exec_function(w, "zygote");
	}
	close(in[0]);
	w->zygote_in = in[1];
	usleep(50000);          /* it is to be warm, and asleep */
	return w->zygote < 0 ? -errno : 0;
}

/* Its children are not ours: 0 says that there is nobody to wait for. */
static pid_t spawn_from_zygote(struct startup_world *w, instance_id id)
{
	return write(w->zygote_in, &id, sizeof(id)) == sizeof(id) ? 0 : -EPIPE;
}

static void end_zygote(struct startup_world *w)
{
	if (w->zygote_in >= 0)
		close(w->zygote_in);
	if (w->zygote > 0) {
		kill(w->zygote, SIGKILL);       /* its children die with it */
		waitpid(w->zygote, NULL, 0);
	}
	w->zygote = 0;
	w->zygote_in = -1;
	close_function(w);
}

static bool may_unshare(const struct startup_world *w, char *why, size_t why_bytes)
{
	if (!have_function(w, why, why_bytes))
		return false;
	if (!geteuid())
		return true;
	snprintf(why, why_bytes, "making namespaces needs root");
	return false;
}

static pid_t spawn_in_namespaces(struct startup_world *w, instance_id id)
{
	const unsigned long all = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
				  CLONE_NEWCGROUP | SIGCHLD;
	char who[16];
	pid_t pid = (pid_t)syscall(SYS_clone, all, NULL, NULL, NULL, 0UL);

	if (pid)
		return pid < 0 ? -errno : pid;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL))
		_exit(126);
	name_of(id, who, sizeof(who));
	exec_function(w, who);
}

/* ---- A container ------------------------------------------------------------------------------ */

static bool have_runc(const struct startup_world *w, char *why, size_t why_bytes)
{
	if (!may_unshare(w, why, why_bytes))
		return false;
	if (in_path("runc"))
		return true;
	snprintf(why, why_bytes, "runc is not installed (package runc)");
	return false;
}

static void container_name(pid_t owner, instance_id id, char *text, size_t bytes)
{
	snprintf(text, bytes, "perhop-startup-%d-%u", owner, id);
}

static int write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fputs(text, f);
	return fclose(f) ? -errno : 0;
}

/* OCI runtime specification 1.0: what `runc spec` writes, less what a function has no use for. */
static int write_config(pid_t owner, instance_id id)
{
	char path[TEXT_BYTES], name[64], text[2048];

	container_name(owner, id, name, sizeof(name));
	snprintf(text, sizeof(text),
		 "{\"ociVersion\":\"1.0.2\",\"hostname\":\"function\","
		 "\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/function\",\"%d\",\"%u\"],"
		 "\"env\":[\"PATH=/\"],\"cwd\":\"/\",\"noNewPrivileges\":true,\"capabilities\":{}},"
		 "\"root\":{\"path\":\"%s/rootfs\",\"readonly\":true},"
		 "\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}],"
		 "\"linux\":{\"cgroupsPath\":\"/%s\",\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},"
		 "{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}]}}\n",
		 WINDOW_FD, id, BUNDLE, name);
	snprintf(path, sizeof(path), "%s/%u", BUNDLE, id);
	if (mkdir(path, 0700))
		return -errno;
	snprintf(path, sizeof(path), "%s/%u/config.json", BUNDLE, id);
	return write_text(path, text);
}

static void run_quietly(char *const argv[])
{
	pid_t pid = fork();

	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void remove_containers(pid_t owner, unsigned n)
{
	char name[64];
	char *const argv[] = { (char *)(uintptr_t)"runc", (char *)(uintptr_t)"--root",
			       (char *)(uintptr_t)STATE, (char *)(uintptr_t)"delete",
			       (char *)(uintptr_t)"--force", name, NULL };

	for (instance_id id = 1; id <= n; id++) {
		container_name(owner, id, name, sizeof(name));
		run_quietly(argv);
	}
}

/*
 * Containers and their cgroups outlive who starts them. The guard does not: it waits until we are gone,
 * whatever ended us, removes them and ends.
 */
static int start_guard(struct startup_world *w)
{
	pid_t owner = getpid(), pid;
	ssize_t got;
	int line[2];
	char done;

	if (pipe2(line, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid) {
		close(line[0]);
		w->guard = pid;
		w->lifeline = line[1];
		return 0;
	}
	setsid();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, "perhop-guard");
	close(line[1]);
	do
		got = read(line[0], &done, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)                   /* nobody has said that all is removed */
		remove_containers(owner, w->n);
	_exit(0);
}

static int copy_function(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, function_image, function_image_bytes) != (ssize_t)function_image_bytes)
		err = -EIO;
	close(fd);
	return err;
}

static int make_bundles(struct startup_world *w)
{
	int err = make_function(w);

	if (err)
		return err;
	w->container = true;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("perhop", "/mnt", "tmpfs", 0, "mode=0755") || mkdir(BUNDLE, 0755) ||
	    mkdir(BUNDLE "/rootfs", 0755) || mkdir(BUNDLE "/rootfs/proc", 0755))
		return -errno;
	err = copy_function(BUNDLE "/rootfs/function");
	for (instance_id id = 1; id <= w->n && !err; id++)
		err = write_config(getpid(), id);
	return err ? err : start_guard(w);
}

static pid_t spawn_container(struct startup_world *w, instance_id id)
{
	char bundle[TEXT_BYTES], name[64];
	pid_t owner = getpid(), pid = fork();
	char *const argv[] = { (char *)(uintptr_t)"runc", (char *)(uintptr_t)"--root",
			       (char *)(uintptr_t)STATE, (char *)(uintptr_t)"run",
			       (char *)(uintptr_t)"--preserve-fds", (char *)(uintptr_t)"1",
			       (char *)(uintptr_t)"--bundle", bundle, name, NULL };

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(bundle, sizeof(bundle), "%s/%u", BUNDLE, id);
	container_name(owner, id, name, sizeof(name));
	if (window_fd(w) == WINDOW_FD)
		fcntl(WINDOW_FD, F_SETFD, 0);
	else
		dup2(window_fd(w), WINDOW_FD);
	execvp(argv[0], argv);
	_exit(127);
}

static void clear_containers(struct startup_world *w)
{
	if (w->lifeline >= 0) {
		remove_containers(getpid(), w->n);
		(void)!write(w->lifeline, "d", 1);
		close(w->lifeline);
		waitpid(w->guard, NULL, 0);
	}
	w->lifeline = -1;
	if (w->container)
		umount2("/mnt", MNT_DETACH);
	close_function(w);
}

/* ---- Virtual machines ------------------------------------------------------------------------- */

static bool have_unikernel(const struct startup_world *w, char *why, size_t why_bytes)
{
	return !unikernel_probe(&w->d.spec, why, why_bytes);
}

static pid_t spawn_unikernel(struct startup_world *w, instance_id id)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w->d.ops->live(&w->d, id, NULL);
	fprintf(stderr, "perhop startup: %s\n", w->d.why);
	_exit(127);
}

static int make_warm(struct startup_world *w)
{
	const struct sure_plane *p = w->d.priv;
	int pair[2], preload = make_file("perhop-warm", warm_image, warm_image_bytes);
	char ready;

	if (preload < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return preload < 0 ? preload : -errno;
	w->zygote = fork();
	if (!w->zygote) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fprintf(stderr, "perhop startup: %s\n", strerror(-qemu_exec_warm(p->unikernel, preload, pair[0])));
		_exit(127);
	}
	close(preload);
	close(pair[0]);
	w->zygote_in = pair[1];
	/* Ended before it said so: no byte. */
	return w->zygote < 0 ? -EAGAIN : recv(pair[1], &ready, 1, 0) == 1 ? 0 : -ECHILD;
}

static pid_t spawn_from_warm(struct startup_world *w, instance_id id)
{
	const struct sure_plane *p = w->d.priv;

	unikernel_write_page(p->unikernel, &w->d, id);
	errno = -qemu_ask_warm(p->unikernel, w->zygote_in, id, w->n + 1);
	return errno ? -1 : 0;
}

static bool have_linux(const struct startup_world *w, char *why, size_t why_bytes)
{
	if (!have_unikernel(w, why, why_bytes) || !have_function(w, why, why_bytes))
		return false;
	if (w->kernel)
		return true;
	snprintf(why, why_bytes, "no Linux kernel image in /boot; --kernel FILE names one (from a package "
				 "linux-image-cloud-amd64)");
	return false;
}

/* One member of a cpio archive (newc): a header of 8-digit hex fields, name, data, padded to 4. */
static void add_member(FILE *f, const char *name, unsigned mode, const void *data, size_t bytes,
		       unsigned major, unsigned minor)
{
	static const char zeros[4];
	size_t head = 110 + strlen(name) + 1;

	fprintf(f, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0, mode, 0, 0, 1, 0,
		(unsigned)bytes, 0, 0, major, minor, (unsigned)strlen(name) + 1, 0);
	fwrite(name, 1, strlen(name) + 1, f);
	fwrite(zeros, 1, -head & 3, f);
	fwrite(data, 1, bytes, f);
	fwrite(zeros, 1, -bytes & 3, f);
}

static int make_initramfs(struct startup_world *w)
{
	int err = make_function(w);
	FILE *f;

	if (err)
		return err;
	w->initrd_fd = memfd_create("perhop-initramfs", MFD_CLOEXEC);
	f = w->initrd_fd < 0 ? NULL : fdopen(dup(w->initrd_fd), "w");
	if (!f)
		return -errno;
	add_member(f, "dev", 040755, "", 0, 0, 0);
	add_member(f, "dev/console", 020600, "", 0, 5, 1);
	add_member(f, "init", 0100755, function_image, function_image_bytes, 0, 0);
	add_member(f, "TRAILER!!!", 0, "", 0, 0, 0);
	return fclose(f) ? -errno : 0;
}

/* Emulated, microvm has no clock that Debian's kernel could measure its own by: it waits for ever. */
static pid_t spawn_linux(struct startup_world *w, instance_id id)
{
	const struct sure_plane *p = w->d.priv;
	char chardev[TEXT_BYTES], memory[TEXT_BYTES], initrd[TEXT_BYTES], mib[16];
	const bool kvm = p->unikernel->kvm;
	const char *const argv[] = {
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", kvm ? "kvm" : "tcg,tb-size=64", "-cpu", kvm ? "host" : "max", "-M",
		kvm ? "microvm,pcie=on,rtc=off,usb=off,isa-serial=off,memory-backend=ram" :
		      "q35,usb=off,memory-backend=ram",
		"-m", mib, "-object", memory, "-chardev", chardev, "-device",
		"ivshmem-doorbell,chardev=peers,vectors=1", "-kernel", w->kernel, "-initrd", initrd,
		"-append", "quiet reboot=t panic=-1 mitigations=off", NULL,
	};
	pid_t pid = fork();
	int greeting;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	greeting = ivshmem_greeting(p->unikernel, id, w->n + 1);
	if (greeting < 0 || fcntl(w->initrd_fd, F_SETFD, 0))
		_exit(127);
	snprintf(chardev, sizeof(chardev), "socket,id=peers,fd=%d", greeting);
	snprintf(memory, sizeof(memory), "memory-backend-memfd,id=ram,size=%dM", LINUX_MIB);
	snprintf(initrd, sizeof(initrd), "/dev/fd/%d", w->initrd_fd);
	snprintf(mib, sizeof(mib), "%dM", LINUX_MIB);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void clear_linux(struct startup_world *w)
{
	if (w->initrd_fd >= 0)
		close(w->initrd_fd);
	w->initrd_fd = -1;
	close_function(w);
}

const struct startup_runtime startup_runtimes[] = {
	{ "zygote", "a process forked from a warm one", false, have_function, make_zygote,
	  spawn_from_zygote, end_zygote },
	{ "process", "fork and exec of a static program", false, have_function, make_function,
	  spawn_process, close_function },
	{ "namespaces", "the same in six namespaces of its own", false, may_unshare, make_function,
	  spawn_in_namespaces, close_function },
	{ "runc", "a container: runc, root file system on a tmpfs", false, have_runc, make_bundles,
	  spawn_container, clear_containers },
	{ "unikernel", "our library OS in QEMU", true, have_unikernel, NULL, spawn_unikernel,
	  NULL },
	{ "warm", "the same, QEMU forked from a warm one", true, have_unikernel, make_warm,
	  spawn_from_warm, end_zygote },
	{ "linux", "a Linux kernel in QEMU, the program as its init", true, have_linux,
	  make_initramfs, spawn_linux, clear_linux },
	{ .name = NULL },
};
