/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplanes/sure/unikernel/rom.h"

enum { LINKED_AT = 0x200000, GAP = 3 * 4096, RAM = 64 << 20 };

/* Two segments, the second one some pages behind the first. */
struct image {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint32_t entry;
	} note;
	unsigned char code[100], data[7];
};

static struct image an_image(void)
{
	struct image i = { .e = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64 }, .e_type = ET_EXEC,
				  .e_machine = EM_X86_64, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 3,
				  .e_phoff = offsetof(struct image, p), .e_entry = LINKED_AT } };

	i.p[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = LINKED_AT, .p_filesz = sizeof(i.code), .p_memsz = sizeof(i.code),
			       .p_offset = offsetof(struct image, code) };
	i.p[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = LINKED_AT + GAP, .p_filesz = sizeof(i.data),
			       .p_offset = offsetof(struct image, data), .p_memsz = 1 << 20 };
	i.p[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_filesz = sizeof(i.note), .p_offset = offsetof(struct image, note) };
	i.note.head = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
	memcpy(i.note.name, "Xen", 4);
	i.note.entry = LINKED_AT + 20;
	memset(i.code, 0xc0, sizeof(i.code));
	memset(i.data, 0xda, sizeof(i.data));
	return i;
}

static void segments_lie_as_linked_before_the_reset_page(void **state)
{
	struct image i = an_image();
	struct rom_parcel parcel;
	unsigned char *rom;
	size_t bytes;

	(void)state;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), 0);
	assert_int_equal(bytes, ROM_UNIT);
	assert_memory_equal(rom, i.code, sizeof(i.code));
	assert_int_equal(rom[sizeof(i.code)], 0);
	assert_memory_equal(rom + GAP, i.data, sizeof(i.data));
	memcpy(&parcel, rom + bytes - ROM_RESET_BYTES, sizeof(parcel));
	assert_int_equal(parcel.from, -(uint32_t)bytes);
	assert_int_equal(parcel.to, LINKED_AT);
	assert_int_equal(parcel.words, (GAP + sizeof(i.data) + 3) / 4);
	assert_int_equal(parcel.entry, LINKED_AT + 20);
	/* The reset vector jumps. */
	assert_int_equal(rom[bytes - 16], 0xe9);
	free(rom);
}

static void what_is_no_program_is_refused(void **state)
{
	unsigned char *rom;
	struct image i;
	size_t bytes;

	(void)state;
	i = an_image();
	for (size_t n = 0; n < offsetof(struct image, data) + sizeof(i.data); n++)
		assert_int_equal(rom_make(&i, n, RAM, &rom, &bytes), -ENOEXEC);
	i.e.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.e.e_phoff = UINT64_MAX - 7;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.p[0].p_offset = UINT64_MAX;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.p[1].p_filesz = UINT64_MAX;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.p[1].p_paddr = LINKED_AT + ROM_MAX;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.note.entry = LINKED_AT + GAP + sizeof(i.data);
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.note.head.n_namesz = UINT32_MAX;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.note.head.n_type = 19;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	assert_int_equal(rom_make(&i, sizeof(i), LINKED_AT + GAP + 4096, &rom, &bytes), -ENOEXEC);
	i.p[0].p_memsz = sizeof(i.code) - 1;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.p[0].p_paddr = 0;
	i.note.head.n_type = 19;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
	i = an_image();
	i.e.e_phnum = 0;
	assert_int_equal(rom_make(&i, sizeof(i), RAM, &rom, &bytes), -ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_lie_as_linked_before_the_reset_page),
		cmocka_unit_test(what_is_no_program_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
