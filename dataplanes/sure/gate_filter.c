/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Written by hand and not with libseccomp, which cannot compare the instruction pointer.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplanes/sure/gate_entry.h"
#include "dataplanes/sure/gate_filter.h"

enum { PROGRAM_MAX = 112, UPROBE_NR = 336, URETPROBE_NR = 335 };

/*
 * read, write and close are on descriptors that the runtime has: none can be opened. brk serves malloc.
 * uprobe and uretprobe are how the kernel's own probes (the audit's) come back.
 */
static const int plain[] = {
	SYS_futex, SYS_clock_gettime, SYS_sched_yield, SYS_brk, SYS_write, SYS_read, SYS_close,
	SYS_epoll_pwait, SYS_epoll_wait, SYS_clock_nanosleep, SYS_restart_syscall, SYS_exit_group,
	SYS_exit, SYS_getpid, SYS_gettid, SYS_gettimeofday, SYS_time, SYS_getrandom,
	SYS_sched_getaffinity, SYS_newfstatat, SYS_fstat, SYS_lseek, URETPROBE_NR, UPROBE_NR,
#ifdef SYS_epoll_pwait2
	SYS_epoll_pwait2,
#endif
};

/* These fail without ending the process. */
static const int futile[] = { SYS_munmap, SYS_madvise, SYS_openat, SYS_open, SYS_ioctl };

struct program {
	struct sock_filter at[PROGRAM_MAX];
	unsigned short n;
};

static void add(struct program *p, struct sock_filter f)
{
	if (p->n < PROGRAM_MAX)
		p->at[p->n] = f;
	p->n++;
}

static void load(struct program *p, size_t offset)
{
	add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void answer(struct program *p, uint32_t action)
{
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Go on with the next instruction if the accumulator equals `value`, else skip `skip` of them. */
static void unless_equal(struct program *p, uint32_t value, uint8_t skip)
{
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}

/* Allow `number` from the instruction before `from`, without PROT_EXEC. 9 instructions. */
static void allow_gate(struct program *p, int number, const char *from)
{
	uint64_t ip = (uint64_t)(uintptr_t)from;

	load(p, offsetof(struct seccomp_data, nr));
	unless_equal(p, (uint32_t)number, 7);
	load(p, offsetof(struct seccomp_data, instruction_pointer));
	unless_equal(p, (uint32_t)ip, 5);
	load(p, offsetof(struct seccomp_data, instruction_pointer) + 4);
	unless_equal(p, (uint32_t)(ip >> 32), 3);
	load(p, offsetof(struct seccomp_data, args[2]));
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
					    ~(uint32_t)(PROT_READ | PROT_WRITE), 1, 0));
	answer(p, SECCOMP_RET_ALLOW);
}

/*
 * AddressSanitizer asks where the alternate stack is before every call that does not return, and insists on
 * an answer. It may ask (the first argument is NULL); nobody may move that stack.
 */
static void allow_sanitizer(struct program *p)
{
#ifdef __SANITIZE_ADDRESS__
	load(p, offsetof(struct seccomp_data, nr));
	unless_equal(p, SYS_sigaltstack, 5);
	load(p, offsetof(struct seccomp_data, args[0]));
	unless_equal(p, 0, 3);
	load(p, offsetof(struct seccomp_data, args[0]) + 4);
	unless_equal(p, 0, 1);
	answer(p, SECCOMP_RET_ALLOW);
#else
	(void)p;
#endif
}

int gate_filter(void)
{
	struct program p = { .n = 0 };
	struct sock_fprog prog;

	load(&p, offsetof(struct seccomp_data, arch));
	unless_equal(&p, AUDIT_ARCH_X86_64, 1);
	add(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0));
	answer(&p, SECCOMP_RET_KILL_PROCESS);
	if (gate_page.mode == GATE_MPK) {
		allow_gate(&p, SYS_pkey_mprotect, gate_at_key);
	} else {
		allow_gate(&p, SYS_mprotect, gate_at_close);
		allow_gate(&p, SYS_mprotect, gate_at_open);
		allow_gate(&p, SYS_mprotect, gate_at_buffer);
	}
	allow_sanitizer(&p);
	load(&p, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		unless_equal(&p, (uint32_t)plain[i], 1);
		answer(&p, SECCOMP_RET_ALLOW);
	}
	/* free may try to give memory back, libc to read its locale; they do not mind that they cannot. */
	for (unsigned i = 0; i < sizeof(futile) / sizeof(futile[0]); i++) {
		unless_equal(&p, (uint32_t)futile[i], 1);
		answer(&p, SECCOMP_RET_ERRNO | EACCES);
	}
	answer(&p, SECCOMP_RET_TRAP);
	if (p.n > PROGRAM_MAX)
		return -E2BIG;
	/* All of malloc's memory from brk: what cannot be unmapped is not to be mapped. */
	mallopt(M_MMAP_MAX, 0);
	prog = (struct sock_fprog){ .len = p.n, .filter = p.at };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return -errno;
	return 0;
}
