# SPDX-License-Identifier: BSD-2-Clause
"""overload.py PORT PID HOLDS CLIENTS: more clients than a stopped function PID may hold. Lines for tests/run."""
from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from typing import Sequence

SETTLE_S = 1.5      # all that can be answered without the function has been by then


async def ask(port: int) -> tuple[int, bytes]:
    """Status and body of one GET on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    raw = await reader.read()
    writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def report(name: str, good: bool, why: object) -> None:
    """One result."""
    print(f"ok - {name}" if good else f"not ok - {name} # {why}", flush=True)


async def flood(port: int, clients: int) -> tuple[list[asyncio.Task[tuple[int, bytes]]], Counter[int]]:
    """Start `clients` at once; returns those that are still waiting after a while, and the others' statuses."""
    tasks = [asyncio.create_task(ask(port)) for _ in range(clients)]
    done, waiting = await asyncio.wait(tasks, timeout=SETTLE_S)
    return list(waiting), Counter(t.result()[0] for t in done)


async def answered(port: int) -> bool:
    """Does one request succeed within 10 s? A function that is started again takes a moment."""
    for _ in range(100):
        try:
            if (await asyncio.wait_for(ask(port), 10))[0] == 200:
                return True
        except (OSError, ValueError, IndexError, asyncio.TimeoutError):
            pass
        await asyncio.sleep(0.1)
    return False


async def main(arguments: Sequence[str]) -> None:
    """Stop it, flood it, let it go on; again, and kill it."""
    port, pid, holds, clients = (int(a) for a in arguments)
    _, expected = await ask(port)
    os.kill(pid, signal.SIGSTOP)
    waiting, others = await flood(port, clients)
    report("a stopped function holds no more than it may; others get 503 at once",
           0 < len(waiting) <= holds and set(others) == {503},
           f"{len(waiting)} wait (at most {holds} may), others got {dict(others)}")
    os.kill(pid, signal.SIGCONT)
    late = await asyncio.wait_for(asyncio.gather(*waiting), 15)
    report("those that waited get their answer when it goes on",
           all(r == (200, expected) for r in late), Counter(r[0] for r in late))
    report("it serves as before", await answered(port), "no answer")
    os.kill(pid, signal.SIGSTOP)
    waiting, _ = await flood(port, clients)
    os.kill(pid, signal.SIGKILL)
    late = await asyncio.wait_for(asyncio.gather(*waiting), 15)
    report("those that waited get 502 when it is killed",
           bool(late) and {r[0] for r in late} == {502}, Counter(r[0] for r in late))
    report("a new one serves", await answered(port), "no answer")


asyncio.run(main(sys.argv[1:]))
