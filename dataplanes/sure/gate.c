/* SPDX-License-Identifier: BSD-2-Clause */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "dataplanes/sure/gate.h"
#include "dataplanes/sure/gate_entry.h"
#include "dataplanes/sure/gate_filter.h"

enum { ARG_MAX_BYTES = 4096, ALT_STACK_BYTES = 16 << 10 };

/*
 * The one global: what the gate believes must be where no caller can point elsewhere. The page is
 * written here and then read-only for the life of the process.
 */
struct gate_page gate_page __attribute__((aligned(4096)));

static unsigned char alt_stack[ALT_STACK_BYTES];    /* a violation may have spoiled the stack */

/* ---- What the machine can do ------------------------------------------------------------------ */

/* CPUID.7.0:ECX bit 4, OSPKE: the kernel has switched protection keys on. */
static bool has_pkeys(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & 1u << 4;
}

/* AT_HWCAP2 bit 1: user code may use WRFSBASE, so that it must be undone. */
static bool has_fsgsbase(void)
{
	return getauxval(AT_HWCAP2) & 1u << 1;
}

int gate_probe(enum gate_mode mode, char *why, size_t why_bytes)
{
	if (mode != GATE_MPK || has_pkeys())
		return 0;
	snprintf(why, why_bytes,
		 "this CPU has no memory protection keys (pku); gate=mprotect works everywhere, "
		 "`make check-mpk` tests gate=mpk on an emulated CPU");
	return -ENOTSUP;
}

/* ---- Violations ------------------------------------------------------------------------------- */

static char *put(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	return at;
}

static char *put_number(char *at, uint64_t v, unsigned base)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		*at++ = digits[--n];
	return at;
}

static char *put_what(char *at, int sig, const siginfo_t *si)
{
	uint64_t a = (uint64_t)(uintptr_t)si->si_addr;

	if (sig == SIGSYS)
		return put_number(put(at, "made the forbidden system call "), (uint64_t)si->si_syscall,
				  10);
	if (sig == SIGILL)
		return put(at, "entered the call gate from the side");
	at = put_number(put(at, "touched 0x"), a, 16);
	if (a >= gate_page.base && a < gate_page.buffers)
		at = put(at, " in trusted memory");
	else if (a >= gate_page.buffers && a < gate_page.end)
		at = put(at, " in a buffer that it does not hold");
	at = put(at, ", key ");
	return si->si_code == SEGV_PKUERR ? put_number(at, si->si_pkey, 10) : put(at, "none");
}

/* Say what happened and end the process, by the very signal: it is blocked, so the kernel sees to it. */
static void on_violation(int sig, siginfo_t *si, void *context)
{
	struct gate_violation *v = gate_page.violation;
	char text[256], *at = text;

	(void)context;
	if (v) {
		v->count++;
		v->address = sig == SIGSYS ? (uint64_t)si->si_syscall : (uint64_t)(uintptr_t)si->si_addr;
		v->instruction = (uint64_t)(uintptr_t)(sig == SIGSYS ? si->si_call_addr : si->si_addr);
		v->key = sig == SIGSEGV && si->si_code == SEGV_PKUERR ? (int32_t)si->si_pkey : -1;
		v->signal = sig;
	}
	at = put(put(put(at, "perhop: function "), gate_page.name), " violated its domain: ");
	at = put(put_what(at, sig, si), "; it is ended\n");
	(void)!write(STDERR_FILENO, text, (size_t)(at - text));
	for (;;) // every signal is blocked in here, so that a fault ends the process
		*(volatile char *)NULL = 0; // cppcheck-suppress nullPointer
}

static void on_term_exit(int sig)
{
	(void)sig;
	_exit(0);
}

static int watch_violations(void)
{
	stack_t alt = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) };
	struct sigaction sa = { .sa_sigaction = on_violation,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };
	const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGSYS };

	if (sigaltstack(&alt, NULL))
		return -errno;
	sigfillset(&sa.sa_mask);
	for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (sigaction(fatal[i], &sa, NULL))
			return -errno;
	/*
	 * A return from a signal handler loads all registers from memory that a function can write: the
	 * key register too. So there is none; to be told to end means to end.
	 */
	sa = (struct sigaction){ .sa_handler = on_term_exit, .sa_flags = SA_ONSTACK };
	return sigaction(SIGTERM, &sa, NULL) ? -errno : 0;
}

/* ---- Sealing ---------------------------------------------------------------------------------- */

/*
 * Two keys, and their numbers are constants in the gate's code: an immediate operand is what nobody
 * can change.
 */
static int take_keys(void)
{
	int trusted = (int)syscall(SYS_pkey_alloc, 0, 0), closed;

	if (trusted < 0)
		return -errno;
	closed = (int)syscall(SYS_pkey_alloc, 0, 1 /* PKEY_DISABLE_ACCESS */);
	if (closed < 0)
		return -errno;
	return trusted == GATE_KEY_TRUSTED && closed == GATE_KEY_CLOSED ? 0 : -EBUSY;
}

static int close_all(const struct gate_config *c)
{
	size_t trusted = (size_t)((char *)c->buffers - (char *)c->base);
	size_t buffers = (size_t)((char *)c->end - (char *)c->buffers);
	int err;

	if (c->mode == GATE_MPROTECT)
		return mprotect(c->buffers, buffers, PROT_NONE) ? -errno : 0;
	err = take_keys();
	if (err)
		return err;
	if (syscall(SYS_pkey_mprotect, c->base, trusted, PROT_READ | PROT_WRITE, GATE_KEY_TRUSTED) ||
	    syscall(SYS_pkey_mprotect, c->buffers, buffers, PROT_READ | PROT_WRITE, GATE_KEY_CLOSED))
		return -errno;
	return 0;
}

int gate_seal(const struct gate_config *c)
{
	struct gate_page *g = &gate_page;
	char why[256];
	int err = gate_probe(c->mode, why, sizeof(why));

	if (err)
		return err;
	*g = (struct gate_page){
		.base = (uint64_t)(uintptr_t)c->base,
		.buffers = (uint64_t)(uintptr_t)c->buffers,
		.end = (uint64_t)(uintptr_t)c->end,
		.user_stack = (uint64_t)(uintptr_t)c->user_stack,
		.mode = c->mode,
		.name = c->name,
		.violation = c->violation,
		.wrpkru_cycles = c->wrpkru_cycles,
		.pte_cycles = c->pte_cycles,
	};
	g->trusted_bytes = g->buffers - g->base;
	if (c->mode < GATE_MPROTECT)
		return 0;
	if (syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &g->fs_base))
		return -errno;
	g->restore_fs = has_fsgsbase();
	*(uint64_t *)c->base = GATE_MAGIC;
	err = watch_violations();
	if (!err)
		err = close_all(c);
	if (!err && mprotect(g, sizeof(*g), PROT_READ))
		err = -errno;
	return err || !c->seccomp ? err : gate_filter();
}

enum gate_mode gate_mode(void)
{
	return (enum gate_mode)gate_page.mode;
}

/* ---- Passing ---------------------------------------------------------------------------------- */

static void spin_cycles(uint32_t cycles)
{
	uint64_t start = __rdtsc();

	while (__rdtsc() - start < cycles)
		;
}

/* The argument has its place on the user's stack, below it a zero return address. */
static void *on_user_stack(const void *arg, size_t bytes)
{
	return memcpy((char *)(uintptr_t)gate_page.user_stack - ARG_MAX_BYTES, arg, bytes);
}

void gate_call(void (*run)(void *arg), void *arg, size_t bytes)
{
	void *copy;

	switch (gate_page.mode) {
	case GATE_MPROTECT:
		copy = on_user_stack(arg, bytes);
		gate_enter_mprotect(run, copy, copy);
		memcpy(arg, copy, bytes);
		break;
	case GATE_MPK:
		copy = on_user_stack(arg, bytes);
		gate_enter_mpk(run, copy, copy);
		memcpy(arg, copy, bytes);
		break;
	case GATE_MODEL:
		spin_cycles(gate_page.wrpkru_cycles);
		run(arg);
		spin_cycles(gate_page.wrpkru_cycles);
		break;
	default:
		run(arg);
	}
}

void gate_buffer(void *buffer, size_t bytes, bool open)
{
	switch (gate_page.mode) {
	case GATE_MPROTECT:
		gate_buffer_mprotect(buffer, bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
		break;
	case GATE_MPK:
		gate_buffer_mpk(buffer, bytes, PROT_READ | PROT_WRITE, open ? 0 : GATE_KEY_CLOSED);
		break;
	case GATE_MODEL:
		spin_cycles(gate_page.pte_cycles);
		break;
	default:
		break;
	}
}
