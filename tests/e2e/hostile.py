#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad clients: 100,000 requests that are malformed, oversized, cut off, slow, aborted or absurd.

    hostile.py HOST PORT REQUESTS SEED

Beside them one good client asks for the home page all the time and must not notice. Prints result
lines for tests/run.
"""

import random
import socket
import sys
import threading
import time
from collections import Counter
from typing import Callable

HEAD = "Host: shop\r\n"
Address = tuple[str, int]


def get(target: str, fields: str = "") -> bytes:
    """A GET of `target`."""
    return f"GET {target} HTTP/1.1\r\n{HEAD}{fields}\r\n".encode("latin-1")


def post(target: str, body: str, fields: str = "", length: int | None = None) -> bytes:
    """A POST of a form; `length` may lie."""
    n = len(body) if length is None else length
    return (f"POST {target} HTTP/1.1\r\n{HEAD}Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {n}\r\n{fields}\r\n{body}").encode("latin-1")


def chunked(body: bytes) -> bytes:
    """A POST whose body is `body`, said to be chunked."""
    return f"POST /cart HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + body


# name -> (bytes to send, statuses that are right). An empty set: any answer, or none, will do.
Bad = Callable[[random.Random], bytes]
FOURS = frozenset(range(400, 500))
REFUSED = FOURS | {500, 501, 503, 505}
CLASSES: dict[str, tuple[Bad, frozenset[int]]] = {
    "noise": (lambda r: r.randbytes(r.randint(1, 400)) + b"\r\n\r\n", REFUSED),
    "no version": (lambda r: b"GET /\r\n\r\n", REFUSED),
    "odd method": (lambda r: b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", REFUSED),
    "odd version": (lambda r: b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", REFUSED),
    "long target": (lambda r: get("/" + "a" * r.randint(5000, 15000)), REFUSED),
    "long field": (lambda r: get("/", f"Referer: {'/cart/checkout' * 3000}\r\n"), REFUSED),
    "many fields": (lambda r: get("/", "".join(f"X-{i}: 1\r\n" for i in range(300))), REFUSED),
    "folded field": (lambda r: get("/", "X-A: 1\r\n 2\r\n"), REFUSED),
    "NUL in a field": (lambda r: get("/", "X-A: 1\0 2\r\n"), REFUSED),
    "two lengths": (lambda r: post("/cart", "a=1", "Content-Length: 5\r\n"), REFUSED),
    "length and chunks": (lambda r: post("/cart", "0\r\n\r\n", "Transfer-Encoding: chunked\r\n"), REFUSED),
    "length not a number": (lambda r: b"POST /cart HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", REFUSED),
    "length beyond 64 bits": (lambda r: post("/cart", "", length=2 ** 65), REFUSED),
    "huge body": (lambda r: post("/cart", "x" * 1000, length=10 ** 9), REFUSED),
    "bad chunk size": (lambda r: chunked(b"zz\r\nabc\r\n0\r\n\r\n"), REFUSED),
    "chunk too long": (lambda r: chunked(b"ffffffffffffffff\r\nabc"), REFUSED),
    "chunk without end": (lambda r: chunked(b"3\r\nabcdef\r\n0\r\n\r\n"), REFUSED),
    "unknown page": (lambda r: get(f"/no/such/{r.randint(0, 9999)}"), FOURS),
    "unknown product": (lambda r: get(f"/product/{'Z' * r.randint(1, 900)}"), FOURS),
    "product without id": (lambda r: get("/product/"), FOURS),
    "path tricks": (lambda r: get("/product/../../etc/passwd%00"), FOURS),
    "absurd quantity": (lambda r: post("/cart", f"product_id=OLJCESPC7Z&quantity={2 * 10 ** r.randint(9, 30)}"), FOURS),
    "negative quantity": (lambda r: post("/cart", "product_id=OLJCESPC7Z&quantity=-5"), FOURS),
    "form of noise": (lambda r: post("/cart", r.randbytes(200).decode("latin-1")), FOURS),
    "bad escapes": (lambda r: post("/cart", "product_id=%zz%&quantity=%"), FOURS),
    "unknown currency": (lambda r: post("/setCurrency", "currency_code=" + "X" * r.randint(0, 300)), FOURS),
    "checkout of nothing": (lambda r: post("/cart/checkout", "email=a"), FOURS),
    "cookie of noise": (lambda r: get("/no", f"Cookie: {''.join(chr(r.randint(33, 126)) for _ in range(900))}\r\n"), FOURS),
}
CUT_OFF = ("cut off", "aborted", "slow", "reset")


def status_of(connection: socket.socket) -> int:
    """Status of the answer, 0 when the server closed without one."""
    data = b""
    while b"\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            return 0
        data += part
    return int(data.split(b" ", 2)[1])


class Attacker(threading.Thread):
    """A share of the bad requests, each on a connection of its own unless pipelined."""

    def __init__(self, address: Address, requests: int, seed: int) -> None:
        super().__init__()
        self.address, self.left, self.random = address, requests, random.Random(seed)
        self.sent: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.seen: dict[str, str] = {}

    def run(self) -> None:
        names = list(CLASSES)
        while self.left > 0:
            kind = self.random.random()
            if kind < 0.75:
                self.one(self.random.choice(names))
            elif kind < 0.80:
                self.pipelined()
            else:
                self.cut_off(self.random.choice(CUT_OFF))

    def connect(self) -> socket.socket:
        """A connection from one of many loopback addresses: 100,000 do not fit one's ports."""
        connection = socket.socket()
        connection.settimeout(15)
        connection.setsockopt(socket.IPPROTO_IP, 24, 1)     # IP_BIND_ADDRESS_NO_PORT
        connection.bind((f"127.0.1.{self.random.randint(1, 250)}", 0))
        connection.connect(self.address)
        return connection

    def count(self, name: str, n: int = 1) -> None:
        """`n` requests of a class have been sent."""
        self.sent[name] += n
        self.left -= n

    def one(self, name: str) -> None:
        """One bad request; its answer must be one that is right."""
        make, right = CLASSES[name]
        self.count(name)
        try:
            with self.connect() as connection:
                connection.sendall(make(self.random))
                connection.shutdown(socket.SHUT_WR)
                status = status_of(connection)
        except (ConnectionError, ValueError):
            return      # refused so early that our own bytes were still on their way
        except socket.timeout:
            status = -1
        if status and status not in right:
            self.wrong[name] += 1
            self.seen[name] = str(status) if status > 0 else "no answer in 15 s"

    def pipelined(self) -> None:
        """Well-formed but unanswerable requests in a row; every one must be answered."""
        n = self.random.randint(2, 40)
        self.count("pipelined", n)
        try:
            with self.connect() as connection:
                connection.sendall(get("/no/such/page") * (n - 1) + get("/no/such/page", "Connection: close\r\n"))
                data = b""
                while part := connection.recv(65536):
                    data += part
        except ConnectionError:
            return
        except socket.timeout:
            data = b""
        if data.count(b"HTTP/1.1 404") != n:
            self.wrong["pipelined"] += 1
            self.seen["pipelined"] = f"{data.count(b'HTTP/1.1 404')} of {n} answers were 404"

    def cut_off(self, how: str) -> None:
        """A request of which not all is sent, or whose answer nobody waits for."""
        self.count(how)
        whole = self.random.choice((get("/"), get("/product/OLJCESPC7Z"), post("/cart", "a=1&b=2")))
        try:
            with self.connect() as connection:
                if how == "cut off":
                    connection.sendall(whole[:self.random.randint(1, len(whole) - 1)])
                elif how == "slow":
                    for at in range(0, min(len(whole), 24), 8):
                        connection.sendall(whole[at:at + 8])
                        time.sleep(0.002)
                else:
                    connection.sendall(whole)
                    if how == "reset":  # close() then sends RST
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass


class Good(threading.Thread):
    """A client that does nothing wrong: every answer must be right and none late."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.address = address
        self.done = threading.Event()
        self.answers, self.slowest, self.failures = 0, 0.0, []  # type: int, float, list[str]

    def run(self) -> None:
        while not self.done.wait(0.01):
            started = time.monotonic()
            try:
                with socket.create_connection(self.address, timeout=15) as connection:
                    connection.sendall(get("/", "Connection: close\r\n"))
                    status = status_of(connection)
                    if status != 200:
                        self.failures.append(f"status {status}")
            except OSError as error:
                self.failures.append(str(error))
            self.answers += 1
            self.slowest = max(self.slowest, time.monotonic() - started)


def main() -> int:
    """Attack, then report."""
    address, requests, seed = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
    good = Good(address)
    good.start()
    attackers = [Attacker(address, requests // 4, seed * 100 + i) for i in range(4)]
    for attacker in attackers:
        attacker.start()
    for attacker in attackers:
        attacker.join()
    good.done.set()
    good.join()
    sent: Counter[str] = sum((a.sent for a in attackers), Counter())
    wrong: Counter[str] = sum((a.wrong for a in attackers), Counter())
    for name in sorted(sent):
        seen = next((a.seen[name] for a in attackers if name in a.seen), "")
        print(f"{'not ok' if wrong[name] else 'ok'} - hostile: {name} is refused ({sent[name]} sent) "
              f"# {wrong[name]} were not: {seen}")
    print(f"{'ok' if sum(sent.values()) >= requests else 'not ok'} - hostile: all were sent # {sum(sent.values())}")
    bad = good.failures or not good.answers
    print(f"{'not ok' if bad else 'ok'} - hostile: a good client beside them is served "
          f"# {len(good.failures)} of {good.answers} failed: {good.failures[:3]}, slowest {good.slowest:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
