/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate's instructions, and the page of constants that they trust. For gate*.c only.
 *
 * Everything here is what a function would want to jump into. The rule each entry keeps: between an
 * instruction that widens what can be reached and the next one that obeys the caller, stands a check
 * that only the rightful way passes.
 */
#ifndef PERHOP_DATAPLANES_SURE_GATE_ENTRY_H
#define PERHOP_DATAPLANES_SURE_GATE_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "dataplanes/sure/gate.h"

#define GATE_KEY_TRUSTED 1
#define GATE_KEY_CLOSED 2
#define GATE_MAGIC UINT64_C(0x7065726870676174)

/* Offsets are used by gate_entry.c's assembly and asserted there. */
struct gate_page {
	uint64_t base;              /*  0 */
	uint64_t trusted_bytes;     /*  8 */
	uint64_t buffers;           /* 16 */
	uint64_t end;               /* 24 */
	uint64_t fs_base;           /* 32 */
	uint64_t restore_fs;        /* 40 */
	uint64_t user_stack;
	const char *name;
	struct gate_violation *violation;
	uint32_t mode;              /* enum gate_mode */
	uint32_t wrpkru_cycles, pte_cycles;
	unsigned char rest[4096 - 84];      /* so that nothing else lives on the page */
};

/* Of trusted memory: its first words are the gate's. */
struct gate_root {
	uint64_t magic;             /* 0: GATE_MAGIC */
	uint64_t stack;             /* 8: where the trusted stack was left */
};

extern struct gate_page gate_page;

/* Run run(arg) on `stack` with trusted memory closed. */
void gate_enter_mprotect(void (*run)(void *arg), void *arg, void *stack);
void gate_enter_mpk(void (*run)(void *arg), void *arg, void *stack);

/* mprotect(2) and pkey_mprotect(2) for buffers, and for nothing else. */
void gate_buffer_mprotect(void *buffer, size_t bytes, int protection);
void gate_buffer_mpk(void *buffer, size_t bytes, int protection, int key);

/* The instructions after the gate's system calls: what the kernel sees as their address. */
extern const char gate_at_close[], gate_at_open[], gate_at_buffer[], gate_at_key[];

#endif
