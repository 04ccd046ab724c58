#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who else comes to the port of a node.

    stranger.py hear PORT FILE          be node b on the loopback: write the HELLO of the node a that connects into FILE
    stranger.py hello ADDR PORT FILE    connect to a node b with that HELLO: it answers with its own
    stranger.py refused ADDR PORT TEXT  connect and say TEXT (Python's escapes), no more: it hangs up
    stranger.py whole DEVICE            have frames leave there with checksums, as a card sends them

Exit: 0 so it was, 1 it was not.
"""
from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import sys

HEADER_BYTES, TIMEOUT_S = 64, 8
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


def take(connection: socket.socket, n: int) -> bytes:
    """`n` bytes, or fewer: it has ended."""
    got = b""
    try:
        while len(got) < n and (more := connection.recv(n - len(got))):
            got += more
    except TimeoutError:
        got += b"?"                             # neither
    except OSError:
        pass                                    # a reset is an end, too
    return got


def whole_checksums(device: str) -> None:
    """A veth leaves them to a card that is not there; lwIP, rightly, drops what comes without."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)) + bytes(16))


def main() -> int:
    """See the module."""
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "whole":
        whole_checksums(arguments[0])
        return 0
    if what == "hear":
        with socket.create_server(("127.0.0.1", int(arguments[0]))) as server:
            server.settimeout(TIMEOUT_S)
            connection, _ = server.accept()
            hello = take(connection, HEADER_BYTES)
            with open(arguments[1], "wb") as f:
                f.write(hello)
            return len(hello) != HEADER_BYTES
    try:
        with socket.create_connection((arguments[0], int(arguments[1])), TIMEOUT_S) as connection:
            if what == "hello":
                with open(arguments[2], "rb") as f:
                    connection.sendall(f.read())
                return len(take(connection, HEADER_BYTES)) != HEADER_BYTES
            connection.sendall(arguments[2].encode().decode("unicode_escape").encode("latin-1"))
            return take(connection, 1) != b""
    except (ConnectionResetError, BrokenPipeError):
        return what != "refused"                # at once, for another had come


if __name__ == "__main__":
    sys.exit(main())
