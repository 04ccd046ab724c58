/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into QEMU (LD_PRELOAD), makes it a warm one: half of what QEMU does before its guest runs is loading
 * and relocating itself and 50 libraries. It stops before main(), makes all classes, and forks a virtual machine for each request
 * that comes on WARM_CONTROL_FD; its pages are shared, copy on write.
 *
 *     perhop ── who, and its ivshmem greeting (host.h)  ──> warm QEMU ── fork ──> main()
 *            <── a byte: ready ──────────────────────────────┘
 *
 * QEMU starts a thread before main(), for RCU, and starts it anew in a child (util/rcu.c).
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplanes/sure/unikernel/warm.h"

typedef int main_function(int argc, char **argv, char **envp);
typedef int start_function(main_function *entry, int argc, char **argv, void (*init)(void), void (*fini)(void),
			   void (*linker_fini)(void), void *stack_end);

start_function __libc_start_main;       /* of the C library, as its start files call it */

static main_function *qemu_main;

/* The next greeting; -1: nobody will ask any more. */
static int next(void)
{
	int64_t who;
	struct iovec text = { &who, sizeof(who) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(WARM_CONTROL_FD, &m, 0) <= 0)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/*
 * To find its machine QEMU makes the classes of all devices that it knows, the same ones each time: done once here, as it does
 * it itself (softmmu/vl.c: qemu_init_subsystems, select_machine). What has been made is not made again.
 */
static void make_classes(void)
{
	enum { MODULE_INIT_QOM = 3 };           /* include/qemu/module.h, since QEMU 5.0 */
	void (*init)(int) = (void (*)(int))(uintptr_t)dlsym(RTLD_DEFAULT, "module_call_init");
	void *(*list)(const char *, bool) =
		(void *(*)(const char *, bool))(uintptr_t)dlsym(RTLD_DEFAULT, "object_class_get_list");
	void *(*known)(const char *) = (void *(*)(const char *))(uintptr_t)dlsym(RTLD_DEFAULT, "object_class_by_name");

	if (!init || !list || !known)
		return;
	init(MODULE_INIT_QOM);
	if (known("machine"))
		(void)list("machine", false);
}

static int warm_main(int argc, char **argv, char **envp)
{
	int fd;

	unsetenv("LD_PRELOAD");
	make_classes();
	signal(SIGCHLD, SIG_IGN);               /* nobody waits for them */
	(void)!write(WARM_CONTROL_FD, "r", 1);
	while ((fd = next()) >= 0) {
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			signal(SIGCHLD, SIG_DFL);
			dup2(fd, WARM_PEERS_FD);
			close(fd);
			close(WARM_CONTROL_FD);
			return qemu_main(argc, argv, envp);
		}
		close(fd);
	}
	_exit(0);
}

int __libc_start_main(main_function *entry, int argc, char **argv, void (*init)(void), void (*fini)(void),
		      void (*linker_fini)(void), void *stack_end)
{
	start_function *real = (start_function *)(uintptr_t)dlsym(RTLD_NEXT, "__libc_start_main");

	qemu_main = entry;
	return real(warm_main, argc, argv, init, fini, linker_fini, stack_end);
}
