/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.h on bare metal. Crossing is gate_entry.c's, the same instructions as in a process; what
 * takes a system call there, to give a buffer another key, is here the update of a few page table
 * entries.
 */
#include <errno.h>
#include <string.h>

#include "dataplanes/sure/gate_entry.h"
#include "dataplanes/sure/unikernel/guest/guest.h"

enum { ARG_MAX_BYTES = 4096 };

/*
 * Read while trusted memory is closed, on the way back: so it has key 0. In a process it is made
 * read-only after sealing; so it is here, by memory_protect.
 */
struct gate_page gate_page __attribute__((aligned(4096), section(".constants")));

int gate_seal(const struct gate_config *c)
{
	if (c->mode != GATE_NONE && c->mode != GATE_MPK)
		return -ENOTSUP;
	gate_page = (struct gate_page){
		.base = (uint64_t)c->base,
		.buffers = (uint64_t)c->buffers,
		.end = (uint64_t)c->end,
		.trusted_bytes = (uint64_t)c->buffers - (uint64_t)c->base,
		.user_stack = (uint64_t)c->user_stack,
		.mode = c->mode,
		.name = c->name,
		.violation = c->violation,
		.restore_fs = 1,
	};
	__asm__ volatile("rdfsbase %0" : "=r"(gate_page.fs_base));
	*(uint64_t *)c->base = GATE_MAGIC;
	memory_protect();
	return 0;
}

enum gate_mode gate_mode(void)
{
	return (enum gate_mode)gate_page.mode;
}

/* The argument has its place on the user's stack, below it a zero return address. */
void gate_call(void (*run)(void *arg), void *arg, size_t bytes)
{
	void *copy = (char *)gate_page.user_stack - ARG_MAX_BYTES;

	if (gate_page.mode != GATE_MPK) {
		run(arg);
		return;
	}
	memcpy(copy, arg, bytes);
	gate_enter_mpk(run, copy, copy);
	memcpy(arg, copy, bytes);
}

void gate_buffer(void *buffer, size_t bytes, bool open)
{
	uint64_t at = (uint64_t)buffer;

	if (gate_page.mode != GATE_MPK)
		return;
	for (uint64_t end = at + bytes; at < end; at += PAGE)
		memory_key(at, open ? KEY_NONE : KEY_CLOSED);
}
