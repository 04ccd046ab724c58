/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *      ┌──────────────────────────┬─────┬─────────┐ 4 GiB
 *      │ segments, as they are to │ pad │ reset.S │
 *      │ lie from `to` on         │     │         │
 *      └──────────────────────────┴─────┴─────────┘
 *      from                             ROM_RESET
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplanes/sure/unikernel/rom.h"

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18, PADDED_MAX = 1 << 16 };  /* Xen, public/elfnote.h */

/* Names and descriptions of notes take multiples of four bytes. */
#define PADDED(n) (((size_t)(n) + 3) & ~(size_t)3)

/* Segment `i` of a sound header, or NULL when it does not lie in the file. */
static const Elf64_Phdr *segment(const Elf64_Ehdr *e, size_t bytes, unsigned i)
{
	const Elf64_Phdr *p = (const Elf64_Phdr *)((const char *)e + e->e_phoff) + i;

	return p->p_offset <= bytes && p->p_filesz <= bytes - p->p_offset ? p : NULL;
}

static const Elf64_Ehdr *header(const void *elf, size_t bytes)
{
	const Elf64_Ehdr *e = elf;

	if (bytes < sizeof(*e) || memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_type != ET_EXEC || e->e_machine != EM_X86_64 || e->e_phentsize != sizeof(Elf64_Phdr) ||
	    e->e_phoff > bytes || e->e_phoff % _Alignof(Elf64_Phdr) ||
	    e->e_phnum > (bytes - e->e_phoff) / sizeof(Elf64_Phdr))
		return NULL;
	return e;
}

/* The entry that segment `p`, of notes, names, or 0. */
static uint32_t entry_in(const Elf64_Ehdr *e, const Elf64_Phdr *p)
{
	const unsigned char *at = (const unsigned char *)e + p->p_offset, *end = at + p->p_filesz;
	uint32_t entry;
	Elf64_Nhdr n;

	while ((size_t)(end - at) >= sizeof(n)) {
		memcpy(&n, at, sizeof(n));
		at += sizeof(n);
		if (n.n_namesz > PADDED_MAX || n.n_descsz > PADDED_MAX ||
		    (size_t)(end - at) < PADDED(n.n_namesz) + PADDED(n.n_descsz))
			return 0;
		if (n.n_type == XEN_ELFNOTE_PHYS32_ENTRY && n.n_namesz == 4 && !memcmp(at, "Xen", 4) &&
		    n.n_descsz >= sizeof(entry)) {
			memcpy(&entry, at + PADDED(n.n_namesz), sizeof(entry));
			return entry;
		}
		at += PADDED(n.n_namesz) + PADDED(n.n_descsz);
	}
	return 0;
}

/* 0: there is none. */
static uint32_t entry_of(const Elf64_Ehdr *e, size_t bytes)
{
	uint32_t entry = 0;

	for (unsigned i = 0; i < e->e_phnum && !entry; i++) {
		const Elf64_Phdr *p = segment(e, bytes, i);

		if (p && p->p_type == PT_NOTE)
			entry = entry_in(e, p);
	}
	return entry;
}

/* Where all that is to be loaded begins and ends, if what it takes of RAM beyond that is there. 0 or -ENOEXEC. */
static int extent(const Elf64_Ehdr *e, size_t bytes, uint64_t ram_bytes, uint64_t *from, uint64_t *to)
{
	*from = UINT64_MAX;
	*to = 0;
	for (unsigned i = 0; i < e->e_phnum; i++) {
		const Elf64_Phdr *p = segment(e, bytes, i);

		if (!p || p->p_paddr > UINT32_MAX)
			return -ENOEXEC;
		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_filesz > p->p_memsz || p->p_memsz > ram_bytes || p->p_paddr > ram_bytes - p->p_memsz)
			return -ENOEXEC;
		if (!p->p_filesz)
			continue;
		*from = p->p_paddr < *from ? p->p_paddr : *from;
		*to = p->p_paddr + p->p_filesz > *to ? p->p_paddr + p->p_filesz : *to;
	}
	return *from < *to && *to - *from <= ROM_MAX - ROM_RESET_BYTES ? 0 : -ENOEXEC;
}

int rom_make(const void *elf, size_t bytes, uint64_t ram_bytes, unsigned char **rom, size_t *rom_bytes)
{
	const Elf64_Ehdr *e = header(elf, bytes);
	uint64_t from, to;
	int err = e ? extent(e, bytes, ram_bytes, &from, &to) : -ENOEXEC;
	struct rom_parcel parcel;
	uint32_t entry;

	if (err)
		return err;
	entry = entry_of(e, bytes);
	if (!entry || entry < from || entry >= to)
		return -ENOEXEC;
	*rom_bytes = (to - from + ROM_RESET_BYTES + ROM_UNIT - 1) / ROM_UNIT * ROM_UNIT;
	*rom = calloc(1, *rom_bytes);
	if (!*rom)
		return -ENOMEM;
	for (unsigned i = 0; i < e->e_phnum; i++) {
		const Elf64_Phdr *p = segment(e, bytes, i);

		if (p->p_type == PT_LOAD)
			memcpy(*rom + (p->p_filesz ? p->p_paddr - from : 0), (const char *)elf + p->p_offset, p->p_filesz);
	}
	parcel = (struct rom_parcel){ .from = -(uint32_t)*rom_bytes, .to = (uint32_t)from,
				      .words = (uint32_t)((to - from + 3) / 4), .entry = entry };
	memcpy(*rom + *rom_bytes - ROM_RESET_BYTES, unikernel_reset, ROM_RESET_BYTES);
	memcpy(*rom + *rom_bytes - ROM_RESET_BYTES, &parcel, sizeof(parcel));
	return 0;
}
