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


class Wire:
    """Two ends, and one frame at most held back on its way to either."""

    def __init__(self, ends: list[socket.socket], seed: int) -> None:
        self.ends, self.dice, self.held = ends, random.Random(seed), dict[int, bytes]()
        self.count = {"passed": 0, "lost": 0, "doubled": 0, "reordered": 0}

    def send(self, to: int, frame: bytes) -> bool:
        """A full queue loses it, as on any wire."""
        try:
            self.ends[to].send(frame)
            return True
        except OSError:
            self.count["lost"] += 1
            return False

    def release(self, to: int, overtaken: bool) -> None:
        if to in self.held and self.send(to, self.held.pop(to)) and overtaken:
            self.count["reordered"] += 1

    def pass_on(self, to: int, frame: bytes) -> None:
        roll = self.dice.random()
        if roll < LOST:
            self.count["lost"] += 1
        elif roll < LOST + LATE and to not in self.held:
            self.held[to] = frame
        else:
            self.count["passed"] += self.send(to, frame)
            if roll > 1 - DOUBLED:
                self.count["doubled"] += self.send(to, frame)
            self.release(to, overtaken=True)


def main() -> None:
    """See the module."""
    ends = [device(name) for name in sys.argv[1:3]]
    wire = Wire(ends, int(sys.argv[3]))
    ended: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("ready", flush=True)
    while not ended:
        ready, _, _ = select.select(ends, [], [], 0.002)
        if not ready:
            for to in list(wire.held):          # nothing came after it
                wire.release(to, overtaken=False)
        for source in ready:
            try:
                frame, address = source.recvfrom(FRAME_MAX)
            except OSError:
                continue                        # the device is down
            if address[2] != PACKET_OUTGOING:
                wire.pass_on(1 - ends.index(source), frame)
    print(json.dumps(wire.count))


if __name__ == "__main__":
    main()
