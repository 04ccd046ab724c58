#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""scan_pkru.py FILE...: refuse function objects that could write the protection key register.

gate=mpk holds as long as only the gate executes WRPKRU (0f 01 ef) or an XRSTOR (0f ae /5 with a memory
operand). Both are looked for at every byte of every executable section of x86-64 ELF files (objects,
archives are not read), aligned with an instruction or not: a jump does not care. As in ERIM
(Vahldiek-Oberwagner et al., USENIX Security 2019, section 4). Exit status: 0 none, 1 found, 2 cannot read.
"""

import struct
import sys
from collections.abc import Iterator

SHF_EXECINSTR = 4
SHT_PROGBITS = 1


def executable_sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(file offset, content) of each executable section; ValueError when it is no 64-bit ELF file."""
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        raise ValueError("not a little-endian 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    if size < 64 or table + size * count > len(data):
        raise ValueError("its section table is cut off")
    for i in range(count):
        _, kind, flags, _, at, length = struct.unpack_from("<IIQQQQ", data, table + i * size)
        if kind == SHT_PROGBITS and flags & SHF_EXECINSTR:
            if at + length > len(data):
                raise ValueError("a section is cut off")
            yield at, data[at:at + length]


def findings(code: bytes) -> Iterator[tuple[int, str]]:
    """(offset, instruction) of each forbidden sequence in `code`."""
    at = code.find(0x0f)
    while at >= 0:
        nxt = code[at + 1:at + 3]
        if nxt == b"\x01\xef":
            yield at, "WRPKRU"
        elif len(nxt) == 2 and nxt[0] == 0xae and nxt[1] >> 3 & 7 == 5 and nxt[1] >> 6 != 3:
            yield at, "XRSTOR"
        at = code.find(0x0f, at + 1)


def main(paths: list[str]) -> int:
    status = 0
    for path in paths:
        try:
            with open(path, "rb") as f:
                data = f.read()
            for start, code in executable_sections(data):
                for at, name in findings(code):
                    print(f"{path}: {name} at file offset {start + at:#x}: a function must not "
                          "be able to write PKRU", file=sys.stderr)
                    status = max(status, 1)
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
