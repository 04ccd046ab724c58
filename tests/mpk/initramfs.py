#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""initramfs.py PROGRAM OUTPUT: an initramfs (cpio, newc) with PROGRAM as /init and a console."""

import sys


def entry(name, mode, data=b"", device=(0, 0)):
    """One member of the archive: header of 8-digit hex fields, name, data, each padded to 4."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def main():
    with open(sys.argv[1], "rb") as f:
        program = f.read()
    with open(sys.argv[2], "wb") as f:
        f.write(entry("dev", 0o040755))
        f.write(entry("dev/console", 0o020600, device=(5, 1)))
        f.write(entry("init", 0o100755, program))
        f.write(entry("TRAILER!!!", 0))


if __name__ == "__main__":
    main()
