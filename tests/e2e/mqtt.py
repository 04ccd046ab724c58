#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients of the gateway's MQTT and CoAP adapters, well and badly behaved.

    mqtt.py hostile HOST MQTT_PORT COAP_PORT ATTACKS SEED
    mqtt.py kill HOST MQTT_PORT EVENTS PID

`hostile` sends what no client should and says for each class whether it was refused as it must be, while a
good client publishes at QoS 1 beside it. `kill` publishes at QoS 1 from several clients, kills PID midway,
and says whether every event that was acknowledged came out of the chain. Results are lines for tests/run.
"""
from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import sys
import threading
import time
from typing import Callable

Address = tuple[str, int]


def text(s: bytes | str) -> bytes:
    """A UTF-8 string with its length before it."""
    s = s.encode() if isinstance(s, str) else s
    return struct.pack(">H", len(s)) + s


def packet(first: int, body: bytes) -> bytes:
    """A control packet."""
    out, n = bytes([first]), len(body)
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return out + body


def connect(client: str, level: int = 4, flags: int = 2, keep: int = 0, extra: bytes = b"") -> bytes:
    """CONNECT."""
    return packet(0x10, text("MQTT") + bytes([level, flags]) + struct.pack(">H", keep) +
                  (b"\0" if level == 5 else b"") + text(client) + extra)


def publish(topic: bytes | str, payload: bytes, ident: int = 0, level: int = 4, flags: int = 0) -> bytes:
    """PUBLISH, at QoS 1 when it has an identifier."""
    return packet(0x30 | (2 if ident else 0) | flags, text(topic) + (struct.pack(">H", ident) if ident else b"") +
                  (b"\0" if level == 5 else b"") + payload)


def event(ident: str, at: int = 1) -> bytes:
    """A CloudEvent as the motion workload takes it."""
    return json.dumps({"specversion": "1.0", "id": ident, "source": "/sensor/7", "type": "org.perhop.motion",
                       "data": {"motion": "on", "at": at}}).encode()


class Client:
    """A connection, and packets as they come."""

    def __init__(self, address: Address, hello: bytes | None = None, timeout: float = 15) -> None:
        self.socket = socket.create_connection(address, timeout=timeout)
        self.data = b""
        if hello:
            self.send(hello)
            first, body = self.packet()
            if first != 0x20 or body[1]:
                raise ConnectionError(f"CONNACK {first:#x} {body.hex()}")

    def send(self, data: bytes) -> None:
        """All of it."""
        self.socket.sendall(data)

    def packet(self) -> tuple[int, bytes]:
        """The next packet: first byte and body. ConnectionError at the end."""
        while True:
            n = shift = 0
            for i, byte in enumerate(self.data[1:5]):
                n |= (byte & 127) << shift
                shift += 7
                if not byte & 128:
                    if len(self.data) >= 2 + i + n:
                        first, body = self.data[0], self.data[2 + i:2 + i + n]
                        self.data = self.data[2 + i + n:]
                        return first, body
                    break
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("closed")
            self.data += part

    def ending(self) -> tuple[int, int]:
        """What is said last before the end: (first byte, reason), (0, 0) when nothing is."""
        last = (0, 0)
        try:
            while True:
                first, body = self.packet()
                if first in (0x20, 0xe0):
                    last = (first, body[1] if first == 0x20 else body[0])
        except ConnectionError:
            return last

    def close(self) -> None:
        """Without a word."""
        self.socket.close()


V5 = connect("attacker5", 5)

# name -> (bytes after which the server must end the connection, what it says first: (packet, reason) or None)
Attack = Callable[[random.Random], bytes]
CLASSES: dict[str, tuple[Attack, tuple[int, int] | None]] = {
    "noise": (lambda r: bytes([r.randint(0x11, 255)]) + r.randbytes(r.randint(1, 400)), None),
    "HTTP": (lambda r: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
    "TLS": (lambda r: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + r.randbytes(500), None),
    "a length without an end": (lambda r: connect("a") + b"\x30\xff\xff\xff\xff\x7f", None),
    "a packet of 256 MiB": (lambda r: V5 + b"\x30\xff\xff\xff\x7f", (0xe0, 0x95)),
    "a length beyond its packet": (lambda r: V5 + packet(0x32, struct.pack(">H", 60000) + b"topic"), (0xe0, 0x81)),
    "a topic of 60,000 bytes": (lambda r: V5 + publish("t" * 60000, b"x", 1, 5), (0xe0, 0x95)),
    "a topic of 300 bytes": (lambda r: V5 + publish("t" * 300, b"x", 1, 5), (0xe0, 0x90)),
    "a wildcard topic": (lambda r: V5 + publish("sensor/#", b"x", 1, 5), (0xe0, 0x90)),
    "a topic of the server's": (lambda r: V5 + publish("$SYS/x", b"x", 1, 5), (0xe0, 0x90)),
    "a topic that is no text": (lambda r: V5 + publish(b"\xff\xfe", b"x", 1, 5), (0xe0, 0x81)),
    "an unknown alias": (lambda r: V5 + packet(0x30, text("") + b"\x03\x23\0\x08x"), (0xe0, 0x94)),
    "retained": (lambda r: V5 + publish("sensor/7/motion", b"x", 1, 5, 1), (0xe0, 0x9a)),
    "QoS 2": (lambda r: V5 + packet(0x34, text("a") + b"\0\1\0x"), (0xe0, 0x9b)),
    "QoS 3": (lambda r: V5 + packet(0x36, text("a") + b"\0\1\0x"), (0xe0, 0x81)),
    "a second CONNECT": (lambda r: V5 + V5, (0xe0, 0x82)),
    "an old protocol": (lambda r: packet(0x10, text("MQIsdp") + b"\x03\x02\0\0" + text("a")), (0x20, 1)),
    "no client identifier": (lambda r: connect("", 4, 0), (0x20, 2)),
    "a long client identifier": (lambda r: connect("c" * 5000, 5), (0x20, 0x85)),
    "a will that is kept": (lambda r: connect("w", 4, 0x26, 0, text("a") + text("b")), (0x20, 5)),
    "a subscription to nothing": (lambda r: V5 + packet(0x82, b"\0\1\0"), (0xe0, 0x82)),
    "identifier 0": (lambda r: V5 + publish("sensor/7/motion", b"x", 0, 5).replace(b"\x30", b"\x32", 1), (0xe0, 0x81)),
    "what only servers send": (lambda r: V5 + packet(r.choice((0x20, 0x90, 0xb0, 0xd0)), b"\0\0"), (0xe0, 0x82)),
}


def attack(address: Address, r: random.Random, name: str) -> str:
    """One of a class. What was wrong with the answer, or ""."""
    make, says = CLASSES[name]
    client = Client(address)
    try:
        client.send(make(r))
        last = client.ending()
    except socket.timeout:
        return "not refused in 15 s"
    except OSError:
        return ""       # refused while we were still sending
    finally:
        client.close()
    return "" if says is None or last == says or last == (0, 0) and says[0] == 0x20 else f"it said {last}"


def flood(address: Address, r: random.Random, name: str) -> None:
    """What is not wrong, but too much of it; nobody waits for the answers."""
    client = Client(address)
    try:
        if name == "cut off":
            whole = connect("cut") + publish("sensor/7/motion", event("cut"), 1)
            client.send(whole[:r.randint(1, len(whole) - 1)])
        elif name == "one identifier for all":
            client.send(connect("same") + packet(0xc0, b""))
        elif name == "subscriptions":
            client.send(connect(f"sub{r.random()}") + b"".join(
                packet(0x82, struct.pack(">H", i + 1) + text(f"{r.random()}/#") + b"\1") for i in range(64)))
        elif name == "sessions that stay":
            client.send(connect(f"stay{r.random()}", 4, 0) + packet(0x82, b"\0\1" + text("light/+") + b"\1"))
            client.packet()
        elif name == "wills":
            client.send(connect(f"will{r.random()}", 4, 0x0e, 0, text("nobody/hears") + text("x" * 4000)))
            client.packet()
        elif name == "events nobody waits for":
            client.send(connect(f"ev{r.random()}") + b"".join(
                publish("sensor/7/motion", b"no event", i + 1) for i in range(200)))
    except OSError:
        pass
    finally:
        client.close()


FLOODS = ("cut off", "one identifier for all", "subscriptions", "sessions that stay", "wills",
          "events nobody waits for")


def coap(address: Address, data: bytes) -> bytes:
    """One datagram and its answer; b"" when there is none within a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect(address)
        s.send(data)
        try:
            return s.recv(2048)
        except OSError:
            return b""


# name -> (datagram, first byte's type and the code of its answer; None: silence)
DATAGRAMS: dict[str, tuple[bytes, tuple[int, int] | None]] = {
    "a token of 9 bytes": (b"\x49\x01\0\x01", (3, 0)),
    "an option beyond the datagram": (b"\x40\x02\0\x02\xbd\xff", (3, 0)),
    "a reserved option": (b"\x40\x02\0\x03\xf0", (3, 0)),
    "a block": (b"\x40\x02\0\x04\xb6motion\xd1\x03\x08\xffx", (2, 0x82)),
    "an unknown method": (b"\x40\x1f\0\x05\xb6motion", (2, 0x85)),
    "an unknown critical option": (b"\x40\x02\0\x06\xb6motion\xe0\x08\x01", (2, 0x82)),
    "no event": (b"\x40\x02\0\x07\xb6motion\xffnonsense", (2, 0x80)),
    "no path": (b"\x40\x02\0\x08", (2, 0x84)),
    "an answer": (b"\x60\x45\0\x09\xffx", None),
    "another version": (b"\xc0\x01\0\x0a", None),
    "nothing": (b"", None),
}


class Good(threading.Thread):
    """A client that does nothing wrong: each of its events must be acknowledged."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.address = address
        self.done = threading.Event()
        self.acknowledged, self.failures = 0, []    # type: int, list[str]

    def run(self) -> None:
        try:
            client = Client(self.address, connect("good"))
            while not self.done.is_set():
                ident = 1 + self.acknowledged % 65535
                client.send(publish("sensor/7/motion", event(f"g{ident}"), ident))
                first, body = client.packet()
                if first != 0x40 or struct.unpack(">H", body[:2])[0] != ident:
                    self.failures.append(f"answer {first:#x} {body.hex()}")
                self.acknowledged += 1
                time.sleep(0.005)
        except OSError as error:
            self.failures.append(str(error))


def result(good: bool, name: str, why: object) -> None:
    """A line for tests/run."""
    print(f"{'ok' if good else 'not ok'} - {name} # {why}", flush=True)


def hostile(address: Address, coap_address: Address, attacks: int, seed: int) -> None:
    """All classes in turn, floods between them."""
    r = random.Random(seed)
    good = Good(address)
    good.start()
    wrong: dict[str, str] = {}
    slow = [Client(address) for _ in range(200)]
    for c in slow[:100]:
        c.send(connect("slow")[:7])
    for i in range(attacks):
        name = list(CLASSES)[i % len(CLASSES)]
        why = attack(address, r, name)
        if why:
            wrong[name] = why
        flood(address, r, FLOODS[i % len(FLOODS)])
    for name in CLASSES:
        result(name not in wrong, f"hostile MQTT: {name} is refused", wrong.get(name, ""))
    for name, (data, expected) in DATAGRAMS.items():
        answer = coap(coap_address, data)
        said = (answer[0] >> 4 & 3, answer[1]) if len(answer) >= 4 else None
        result(said == expected, f"hostile CoAP: {name} is answered as the RFC says", said)
    for c in slow:
        c.close()
    good.done.set()
    good.join()
    result(not good.failures and good.acknowledged > 10, "hostile MQTT: a good client beside them is served",
           f"{good.acknowledged} acknowledged, {good.failures[:3]}")


class Publisher(threading.Thread):
    """Publishes `events` at QoS 1, four at a time, and again after a reconnect what was not acknowledged."""

    def __init__(self, address: Address, name: str, events: int) -> None:
        super().__init__()
        self.address, self.name_, self.events = address, name, events
        self.acknowledged: set[str] = set()
        self.reconnects = -1

    def run(self) -> None:
        left = [f"{self.name_}-{i}" for i in range(self.events)]
        end = time.monotonic() + 40
        while left and time.monotonic() < end:
            try:
                self.reconnects += 1
                client = Client(self.address, connect(self.name_), timeout=5)
                while left:
                    batch = left[:4]
                    for i, ident in enumerate(batch):
                        client.send(publish("sensor/7/motion", event(ident), i + 1))
                    for _ in batch:
                        first, _body = client.packet()
                        if first != 0x40:
                            raise ConnectionError(f"{first:#x}")
                        self.acknowledged.add(left.pop(0))
            except OSError:
                time.sleep(0.05)


def kill(address: Address, events: int, victim: int) -> None:
    """Publish, kill, compare."""
    seen: set[str] = set()
    sub = Client(address, connect("listener"), timeout=100)
    sub.send(packet(0x82, b"\0\1" + text("light/#") + b"\0"))
    sub.packet()

    def listen() -> None:
        try:
            while True:
                first, body = sub.packet()
                if first >> 4 == 3:
                    n = struct.unpack(">H", body[:2])[0]
                    seen.add(json.loads(body[2 + n:])["id"])
        except OSError:
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    publishers = [Publisher(address, f"p{i}", events // 4) for i in range(4)]
    for p in publishers:
        p.start()
    while sum(len(p.acknowledged) for p in publishers) < events // 4:
        time.sleep(0.001)
    os.kill(victim, signal.SIGKILL)
    for p in publishers:
        p.join()
    time.sleep(0.3)
    sub.socket.shutdown(socket.SHUT_RDWR)
    listener.join()
    acknowledged = set().union(*(p.acknowledged for p in publishers))
    lost = acknowledged - seen
    done = len(acknowledged) == 4 * (events // 4)
    print(f"{'equal' if done and not lost else 'lost'} {len(acknowledged)} of {4 * (events // 4)} acknowledged, "
          f"{len(lost)} of these did not come out, {sum(p.reconnects for p in publishers)} reconnects")


def main() -> int:
    """As the first argument says."""
    address = (sys.argv[2], int(sys.argv[3]))
    if sys.argv[1] == "hostile":
        hostile(address, (sys.argv[2], int(sys.argv[4])), int(sys.argv[5]), int(sys.argv[6]))
    else:
        kill(address, int(sys.argv[4]), int(sys.argv[5]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
