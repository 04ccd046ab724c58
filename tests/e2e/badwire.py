#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A wire that loses, doubles and reorders frames, where the kernel has no netem: it passes them between two devices of
this network namespace.

    badwire.py DEVICE DEVICE SEED

Ends at SIGTERM, with the counts as one line of JSON.
"""
from __future__ import annotations

import json
import random
import select
import signal
import socket
import sys

ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 3, 263, 15, 4
LOST, DOUBLED, LATE = 0.03, 0.03, 0.10
FRAME_MAX = 70000


def device(name: str) -> socket.socket:
    """All frames that come in there. Each is preceded by what the sender has left to a card (virtio's header): passed on."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    s.bind((name, ETH_P_ALL))
    s.setblocking(False)
    return s


def main() -> None:
    """See the module."""
    ends = [device(name) for name in sys.argv[1:3]]
    dice = random.Random(int(sys.argv[3]))
    count = {"passed": 0, "lost": 0, "doubled": 0, "late": 0}
    held: dict[int, bytes] = {}         # by the end it goes to: waits for the frame after it
    ended = [False]
    signal.signal(signal.SIGTERM, lambda *_: ended.__setitem__(0, True))
    print("ready", flush=True)
    while not ended[0]:
        ready, _, _ = select.select(ends, [], [], 0.002)
        for to in list(held) if not ready else []:
            ends[to].send(held.pop(to))     # nothing came after it
        for source in ready:
            frame, address = source.recvfrom(FRAME_MAX)
            if address[2] == PACKET_OUTGOING:
                continue
            to = 1 - ends.index(source)
            roll = dice.random()
            if roll < LOST:
                count["lost"] += 1
                continue
            if roll < LOST + LATE and to not in held:
                count["late"] += 1
                held[to] = frame
                continue
            count["passed"] += 1
            ends[to].send(frame)
            if roll > 1 - DOUBLED:
                count["doubled"] += 1
                ends[to].send(frame)
            if to in held:
                ends[to].send(held.pop(to))
    print(json.dumps(count))


if __name__ == "__main__":
    main()
