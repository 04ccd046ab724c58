#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A car park under load, of which one function is killed midway: the clients' account and the ledger.

usage: parking.py URL SUPERVISOR_PID FUNCTION|- PICTURE...

Posts each snapshot under a key of its own until it is answered by 200 (a retry is the same request
again), from 8 threads, some of them twice. When half is done it kills the process FUNCTION below the
supervisor. Then prints "equal", or what differs. Exit code 0: equal; 1: not.
"""
import http.client
import json
import os
import signal
import sys
import threading
import time
import urllib.parse

REQUESTS, THREADS, PATIENCE_S = 400, 8, 30
FNV, PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def digest(receipt):
    """What the ledger's digest adds for a charge (workloads/parking/store.c)."""
    data = receipt["key"].encode() + b"\0" + receipt["plate"].encode() + b"\0"
    data += receipt["spot"].to_bytes(4, "little") + receipt["cents"].to_bytes(4, "little")
    h = FNV
    for byte in data:
        h = (h ^ byte) * PRIME & MASK
    return h


def ask(address, method, path, body=None):
    """(status, body) of one request on a connection of its own; (0, b"") without an answer."""
    c = http.client.HTTPConnection(*address, timeout=5)
    try:
        c.request(method, path, body)
        r = c.getresponse()
        return r.status, r.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        c.close()


def named(supervisor, name):
    """Pids below `supervisor` whose command is `name` (15 characters at most)."""
    found, look = [], [supervisor]
    while look:
        pid = look.pop()
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                children = [int(p) for p in f.read().split()]
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() == name[:15]:
                    found.append(pid)
        except OSError:
            continue
        look += children
    return found


class Clients:
    def __init__(self, address, pictures):
        self.address, self.pictures = address, pictures
        self.next, self.done, self.retries = 0, 0, 0
        self.lock = threading.Lock()
        self.receipts, self.errors = {}, []

    def post(self, i):
        path = f"/snapshot?spot={1 + i % 164}&key=e2e-{i}"
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            status, body = ask(self.address, "POST", path, self.pictures[i % len(self.pictures)])
            if status == 200:
                return json.loads(body)
            with self.lock:
                self.retries += 1
            if status not in (0, 502, 503, 504):
                raise ValueError(f"{path}: {status} {body[:80]!r}")
            time.sleep(0.02)
        raise ValueError(f"{path}: no receipt within {PATIENCE_S} s")

    def work(self):
        while True:
            with self.lock:
                i, self.next = self.next, self.next + 1
            if i >= REQUESTS:
                return
            try:
                first = self.post(i)
                if i % 5 == 0 and self.post(i) != first:
                    raise ValueError(f"key e2e-{i} has two receipts")
            except ValueError as e:
                self.errors.append(str(e))
                return
            with self.lock:
                self.receipts[first["key"]] = first
                self.done += 1


def main(url, supervisor, victim, files):
    parts = urllib.parse.urlsplit(url)
    address = (parts.hostname, parts.port)
    pictures = []
    for name in files:
        with open(name, "rb") as f:
            pictures.append(f.read())
    clients = Clients(address, pictures)
    threads = [threading.Thread(target=clients.work) for _ in range(THREADS)]
    for t in threads:
        t.start()
    if victim != "-":
        while clients.done < REQUESTS // 2 and any(t.is_alive() for t in threads):
            time.sleep(0.001)
        pids = named(int(supervisor), victim)
        if not pids:
            clients.errors.append(f"no process {victim} to kill")
        for pid in pids[:1]:
            os.kill(pid, signal.SIGKILL)
    for t in threads:
        t.join()
    own = clients.receipts.values()
    expected = {"charges": len(own), "cents": sum(r["cents"] for r in own),
                "vehicles": len({r["plate"] for r in own}),
                "digest": f"{sum(map(digest, own)) & MASK:016x}"}
    status, body = ask(address, "GET", "/ledger")
    ledger = json.loads(body) if status == 200 else {"status": status}
    for e in clients.errors:
        print(e)
    if clients.errors or ledger != expected or len(own) != REQUESTS:
        print(f"ledger {ledger}, clients {expected}, {clients.retries} retries")
        return 1
    print(f"equal after {clients.retries} retries")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
