/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are two programs the same but for the revision they say they are of? Then there is nothing to measure: a
 * commit that changes documents or scripts alone can never fail.
 */
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

#include "cli/gate.h"

/* git abbreviates a revision to no less. Other text that differs is seen to differ. */
enum { REVISION_MIN = 7 };

static bool is_hex(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Whether byte `at` belongs to a run of REVISION_MIN or more hexadecimal digits. */
static bool in_revision(const unsigned char *text, size_t length, size_t at)
{
	size_t first = at, end = at;

	while (first > 0 && is_hex(text[first - 1]))
		first--;
	while (end < length && is_hex(text[end]))
		end++;
	return end > at && end - first >= REVISION_MIN;
}

static bool same_bytes(const Elf_Data *a, const Elf_Data *b, bool text)
{
	const unsigned char *x = a->d_buf, *y = b->d_buf;

	if (a->d_size != b->d_size || !x != !y)
		return false;
	for (size_t i = 0; x && i < a->d_size; i++)
		if (x[i] != y[i] && !(text && in_revision(x, a->d_size, i) && in_revision(y, b->d_size, i)))
			return false;
	return true;
}

/* The next section that is loaded and is no note (a build id is one); NULL: there is none. */
static Elf_Scn *next_loaded(Elf *elf, Elf_Scn *section, GElf_Shdr *header)
{
	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && (header->sh_flags & SHF_ALLOC) && header->sh_type != SHT_NOTE)
			break;
	return section;
}

static bool same_sections(Elf *a, Elf *b)
{
	Elf_Scn *x = NULL, *y = NULL;
	unsigned found = 0;

	for (;; found++) {
		GElf_Shdr hx, hy;
		Elf_Data *dx, *dy;

		x = next_loaded(a, x, &hx);
		y = next_loaded(b, y, &hy);
		if (!x || !y)
			return found && !x && !y;
		if (hx.sh_flags != hy.sh_flags || hx.sh_type != hy.sh_type || hx.sh_size != hy.sh_size)
			return false;
		dx = elf_getdata(x, NULL);
		dy = elf_getdata(y, NULL);
		if (!dx || !dy || !same_bytes(dx, dy, !(hx.sh_flags & (SHF_EXECINSTR | SHF_WRITE))))
			return false;
	}
}

bool gate_same(const char *a, const char *b)
{
	int fa = open(a, O_RDONLY | O_CLOEXEC), fb = open(b, O_RDONLY | O_CLOEXEC);
	Elf *ea = NULL, *eb = NULL;
	bool same = false;

	if (fa >= 0 && fb >= 0 && elf_version(EV_CURRENT) != EV_NONE) {
		ea = elf_begin(fa, ELF_C_READ, NULL);
		eb = elf_begin(fb, ELF_C_READ, NULL);
		same = ea && eb && same_sections(ea, eb);
	}
	elf_end(ea);
	elf_end(eb);
	if (fa >= 0)
		close(fa);
	if (fb >= 0)
		close(fb);
	return same;
}
