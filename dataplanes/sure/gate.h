/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The call gate: user code and the runtime share a process, but not its memory.
 *
 *          trusted memory                      buffers                       everything else
 *    +----------------------------+----------------------------------+  +----------------------+
 *    | stack, runtime, board,     | closed | closed | OPEN  | closed |  | user stack, heap,    |
 *    | rings, sidecar, pool tags  |        |        |(held) |        |  | libc, code           |
 *    +----------------------------+----------------------------------+  +----------------------+
 *    base                         buffers                            end
 *
 *    trusted code runs:  reachable      those it holds                       reachable
 *    user code runs:     no             those it holds                       reachable
 *
 * gate_call closes the trusted memory, switches to the user's stack, runs user code, opens the trusted
 * memory and switches back. gate_buffer opens a buffer after recv and closes it before send.
 *
 * Two mechanisms, as in SURE: `mprotect` works on every CPU; with `mpk` the trusted memory has a
 * protection key of its own (WRPKRU, no system call) and a buffer gets a key by an update of its page
 * table entry (pkey_mprotect). `model` protects nothing: it spins for as long as the above is
 * said to take.
 *
 * Nothing a function can jump to helps it. After each instruction that changes what is reachable, the
 * gate compares what was asked for with constants and traps on a difference (as ERIM does, Vahldiek-Oberwagner et al.,
 * USENIX Security 2019); where trusted memory has become reachable the next thing is the switch to the
 * trusted stack and code; where a buffer has, the trusted memory is touched, which kills a
 * process that came here with it closed. The system calls that could change mappings are
 * accepted by the kernel from the gate's own instructions only (seccomp, by address).
 */
#ifndef PERHOP_DATAPLANES_SURE_GATE_H
#define PERHOP_DATAPLANES_SURE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gate_mode { GATE_NONE, GATE_MODEL, GATE_MPROTECT, GATE_MPK };

/* What a violation looked like; in memory shared with the supervisor. */
struct gate_violation {
	uint64_t count;
	uint64_t address;           /* touched; of a system call: its number */
	uint64_t instruction;
	int32_t key;                /* protection key that forbade it, or -1 */
	int32_t signal;             /* SIGSEGV, SIGSYS, SIGILL */
};

struct gate_config {
	enum gate_mode mode;
	void *base;                 /* of trusted memory, page-aligned; its first 64 bytes are the gate's */
	void *buffers, *end;        /* where it ends and buffers begin, and their end */
	void *user_stack;           /* end (highest address) of the stack for user code */
	const char *name;           /* of the function, for reports; kept by reference */
	struct gate_violation *violation;   /* or NULL */
	uint32_t wrpkru_cycles, pte_cycles; /* model: per opening or closing, by TSC */
	bool seccomp;               /* filter system calls; off only where a test must show its worth */
};

/* Can `mode` work on this machine? 0, or -errno with a sentence in `why`. */
int gate_probe(enum gate_mode mode, char *why, size_t why_bytes);

/*
 * Seal the process: from here on buffers are closed, violations are reported and fatal, and system
 * calls are filtered. Trusted memory stays open until gate_call. Once per process. 0 or -errno.
 */
int gate_seal(const struct gate_config *c);

/*
 * Run run(arg) behind the gate. `arg` (`bytes`, at most 4096) is copied to the user's stack and back.
 * Before gate_seal, or with GATE_NONE, just runs it.
 */
void gate_call(void (*run)(void *arg), void *arg, size_t bytes);

/* Make `bytes` (whole pages) at `buffer` reachable for user code, or unreachable for all. */
void gate_buffer(void *buffer, size_t bytes, bool open);

/* Run body(arg) on the stack that ends at `stack`; returns what it returns. */
int gate_on_stack(int (*body)(void *arg), void *arg, void *stack);

/* The mode that is in force. */
enum gate_mode gate_mode(void);

#endif
