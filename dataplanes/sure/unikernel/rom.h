/* SPDX-License-Identifier: BSD-2-Clause */
/* A ROM that holds a unikernel: the machine starts it at once, without a firmware that would have to load it. */
#ifndef PERHOP_DATAPLANES_SURE_UNIKERNEL_ROM_H
#define PERHOP_DATAPLANES_SURE_UNIKERNEL_ROM_H

#define ROM_RESET 0xfffff000            /* physical address of reset.S */
#define ROM_RESET_BYTES 4096
#define ROM_UNIT 65536                  /* QEMU: a ROM is a multiple of it */
#define ROM_MAX (16 << 20)

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

/* The first bytes of reset.S: what to copy, and where to go on. Physical addresses. */
struct rom_parcel {
	uint32_t from, to, words, entry;
};

/*
 * Make the ROM of an ELF file whose segments are to lie at their physical addresses, in RAM of `ram_bytes`. It begins where
 * its note says that PVH does (XEN_ELFNOTE_PHYS32_ENTRY), in 32-bit mode; the start_info of PVH it does not get. *rom is
 * the caller's to free. 0; -ENOEXEC: not such a program, or it does not fit; -ENOMEM.
 */
int rom_make(const void *elf, size_t bytes, uint64_t ram_bytes, unsigned char **rom, size_t *rom_bytes);

/* reset.S, ROM_RESET_BYTES. */
extern const unsigned char unikernel_reset[];

#endif
#endif
