/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU as the process of an instance. An instance's process becomes QEMU by exec: its CPU time, its
 * signals and its death are the instance's own, as everywhere else.
 *
 * The ivshmem device expects a server that tells each newcomer its number, the shared memory, and
 * the doorbells of all peers (QEMU, docs/specs/ivshmem-spec). Who the peers are is known beforehand
 * here, so there is no server: what it would say is written into a socket pair before QEMU starts.
 *
 *      perhop ──► [ version · own number · -1 + memfd · peer 0 + eventfd · … ] ──► QEMU
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplanes/sure/unikernel/host.h"
#include "dataplanes/sure/unikernel/warm.h"

enum { IVSHMEM_VERSION = 0, IVSHMEM_MEMORY = -1, ARGUMENTS_MAX = 48, TEXT_BYTES = 160 };

/* ---- Is there hardware for it? --------------------------------------------------------------- */

/* A machine with one page, which holds a halt. */
static bool runs_halt(int vm, int cpu, size_t run_bytes)
{
	struct kvm_userspace_memory_region region = {.guest_phys_addr = 0x1000,
						     .memory_size = 4096};
	struct kvm_run *run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	unsigned char *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
	struct kvm_sregs sregs;
	bool works = false;

	if (run == MAP_FAILED || page == MAP_FAILED)
		goto out;
	page[0] = 0xf4;
	region.userspace_addr = (uint64_t)(uintptr_t)page;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) || ioctl(cpu, KVM_GET_SREGS, &sregs))
		goto out;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(cpu, KVM_SET_SREGS, &sregs) || ioctl(cpu, KVM_SET_REGS, &regs))
		goto out;
	works = !ioctl(cpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_HLT;
out:
	if (run != MAP_FAILED)
		munmap(run, run_bytes);
	if (page != MAP_FAILED)
		munmap(page, 4096);
	return works;
}

/*
 * /dev/kvm may be there without it: a kernel module that lets others run their guests without VMX
 * or SVM.
 */
static bool has_virtualization(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 5)
		return true;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 2;
}

bool qemu_kvm_works(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = -1, cpu = -1, bytes;
	bool works = false;

	if (kvm < 0)
		return false;
	if (!has_virtualization()) {
		close(kvm);
		return false;
	}
	bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm = bytes > 0 ? ioctl(kvm, KVM_CREATE_VM, 0) : -1;
	cpu = vm >= 0 ? ioctl(vm, KVM_CREATE_VCPU, 0) : -1;
	if (cpu >= 0)
		works = runs_halt(vm, cpu, (size_t)bytes);
	if (cpu >= 0)
		close(cpu);
	if (vm >= 0)
		close(vm);
	close(kvm);
	return works;
}

/* ---- The device's greeting ------------------------------------------------------------------- */

/* One message: eight bytes, little-endian, and maybe a descriptor. */
static int say(int to, int64_t number, int fd)
{
	struct iovec text = {&number, sizeof(number)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr m = {.msg_iov = &text, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS,
				      .cmsg_len = CMSG_LEN(sizeof(fd))};
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(number) ? 0 : -errno;
}

int ivshmem_greeting(const struct unikernel *u, instance_id id, unsigned n)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -errno;
	err = say(pair[1], IVSHMEM_VERSION, -1);
	if (!err)
		err = say(pair[1], id, -1);
	if (!err)
		err = say(pair[1], IVSHMEM_MEMORY, u->window_fd);
	for (unsigned i = 0; i < n && !err; i++)
		if (i != id)
			err = say(pair[1], i, u->doors[i]);
	if (!err)
		err = say(pair[1], id, u->doors[id]);
	if (err) {
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	/*
	 * The other end stays open in QEMU itself: to it, a server that hangs up is one that
	 * failed.
	 */
	return pair[0];
}

/* ---- The command line ------------------------------------------------------------------------ */

struct command_line {
	char *at[ARGUMENTS_MAX];
	unsigned n;
};

static void add(struct command_line *c, const char *argument)
{
	if (c->n < ARGUMENTS_MAX - 1)
		c->at[c->n++] = (char *)(uintptr_t)argument;
}

static void add_all(struct command_line *c, const char *const *arguments)
{
	while (*arguments)
		add(c, *arguments++);
}

/* Whatever a virtual machine may have and this one does not need. */
static const char *const bare[] = {
	"qemu-system-x86_64",
	"-nodefaults",
	"-no-user-config",
	"-display",
	"none",
	"-no-reboot",
	"-device",
	"isa-debug-exit,iobase=0x501,iosize=1",
	"-chardev",
	"file,id=text,path=/dev/fd/2,append=on",
	"-device",
	"isa-debugcon,chardev=text,iobase=0xe9",
	"-device",
	"ivshmem-doorbell,chardev=peers,vectors=1",
	NULL,
};

static const char *const machines[] = {
	[MACHINE_MICROVM] = "microvm,pcie=on,pit=off,pic=off,rtc=off,usb=off,isa-serial=off,"
			    "x-option-roms=off,auto-kernel-cmdline=off,memory-backend=ram",
	[MACHINE_Q35] = "q35,usb=off,memory-backend=ram",
};

/*
 * QEMU says on stderr that it was told to end, every time. So it is not told: its guest sees that
 * the deployment ends (port.c, sure_detach) and leaves by the exit port.
 */
static void block_sigterm(void)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
}

/* Become QEMU, which will find its ivshmem server at descriptor `peers`. Returns -errno only. */
static int become_qemu(const struct unikernel *u, int peers)
{
	char image[TEXT_BYTES], chardev[TEXT_BYTES], memory[TEXT_BYTES];
	struct command_line c = {.n = 0};

	if (fcntl(u->image_fd, F_SETFD, 0))
		return -errno;
	snprintf(image, sizeof(image), "/dev/fd/%d", u->image_fd);
	snprintf(chardev, sizeof(chardev), "socket,id=peers,fd=%d", peers);
	/*
	 * Shared memory, not anonymous: QEMU would ask for huge pages, and clear 2 MiB for every
	 * touch.
	 */
	snprintf(memory, sizeof(memory), "memory-backend-memfd,id=ram,size=%uM", u->memory_mib);
	add_all(&c, bare);
	add(&c, "-chardev");
	add(&c, chardev);
	add(&c, "-object");
	add(&c, memory);
	add(&c, "-M");
	add(&c, machines[u->machine]);
	add(&c, "-m");
	snprintf(memory + TEXT_BYTES / 2, TEXT_BYTES / 2, "%uM", u->memory_mib);
	add(&c, memory + TEXT_BYTES / 2);
	add_all(&c,
		u->kvm ? (const char *const[]){"-accel", "kvm", "-cpu", "host", NULL}
		       : (const char *const[]){"-accel", "tcg,tb-size=16", "-cpu", "max", NULL});
	add(&c, u->machine == MACHINE_MICROVM ? "-bios" : "-kernel");
	add(&c, image);
	c.at[c.n] = NULL;
	block_sigterm();
	execvp(c.at[0], c.at);
	return -errno;
}

int qemu_exec(const struct unikernel *u, instance_id id, unsigned n)
{
	int greeting = ivshmem_greeting(u, id, n);

	return greeting < 0 ? greeting : become_qemu(u, greeting);
}

/* ---- A warm one ------------------------------------------------------------------------------ */

int qemu_exec_warm(const struct unikernel *u, int preload, int control)
{
	int nothing = open("/dev/null", O_RDWR);
	char file[TEXT_BYTES];

	snprintf(file, sizeof(file), "/dev/fd/%d", preload);
	if (nothing < 0 || dup2(nothing, WARM_PEERS_FD) < 0 || dup2(control, WARM_CONTROL_FD) < 0 ||
	    fcntl(preload, F_SETFD, 0) || setenv("LD_PRELOAD", file, 1))
		return -errno;
	return become_qemu(u, WARM_PEERS_FD);
}

int qemu_ask_warm(const struct unikernel *u, int control, instance_id id, unsigned n)
{
	int greeting = ivshmem_greeting(u, id, n), err;

	if (greeting < 0)
		return greeting;
	err = say(control, id, greeting);
	close(greeting);
	return err;
}
