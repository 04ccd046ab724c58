/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/usdt.h"

enum { STAPSDT_NOTE = 3, STAPSDT_ADDRESSES = 3 };

/* A note's description: three addresses, then provider, name and arguments, each NUL-ended. */
static bool note_is(const char *at, size_t bytes, const char *provider)
{
	const size_t skip = STAPSDT_ADDRESSES * sizeof(uint64_t), n = strlen(provider) + 1;

	return bytes >= skip + n && !memcmp(at + skip, provider, n);
}

static bool section_has(Elf_Data *data, const char *provider)
{
	size_t next = 0, name, desc;
	GElf_Nhdr note;

	while (data && (next = gelf_getnote(data, next, &note, &name, &desc)) > 0)
		if (note.n_type == STAPSDT_NOTE &&
		    note_is((const char *)data->d_buf + desc, note.n_descsz, provider))
			return true;
	return false;
}

bool usdt_has(pid_t pid, const char *provider)
{
	Elf_Scn *section = NULL;
	bool found = false;
	GElf_Shdr header;
	char path[32];
	Elf *elf;
	int fd;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	while (elf && !found && (section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE)
			found = section_has(elf_getdata(section, NULL), provider);
	elf_end(elf);
	close(fd);
	return found;
}

bool usdt_same_file(const char *path, pid_t pid)
{
	struct stat a, b;
	char other[32];

	snprintf(other, sizeof(other), "/proc/%d/exe", pid);
	return !stat(path, &a) && !stat(other, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
