# SPDX-License-Identifier: BSD-2-Clause
"""What a sidecar adds to a function call: differences between two systems' runs of one point."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import select
from stats import dig
from surface import pairs

Rows = Sequence[Mapping[str, Any]]

# System with a sidecar -> the same without.
PAIRS = {"sure-library": "sure", "http-nginx": "http", "http-queue-proxy": "http"}
CALLS = 2           # functions per request, each behind its sidecar
# The library's cost comes from the chain alone: with and without all handlers.
WITH, WITHOUT = "sure:process,wait=block,sidecar=all", "sure:process,wait=block"


def _library(records: Rows, point: str, key: str) -> list[float]:
    """CPU: at 8 messages in flight. Delay: the time of a lone message, 1/RPS."""
    size = int(point[1:])
    if key == "ccr_us":
        return [(x - y) / CALLS for x, y in pairs(records, WITH, WITHOUT, "same-core", "8", key, size)]
    return [(1e6 / x - 1e6 / y) / CALLS
            for x, y in pairs(records, WITH, WITHOUT, "same-core", "1", "rps", size) if x > 0 and y > 0]


def added(records: Rows, system: str, point: str, key: str) -> list[float]:
    """`key` (µs per request) with the sidecar less without, per function call; one value per repetition.

    Repetition k of all systems runs before k + 1 of any: the two of a pair saw the same machine.
    """
    if system == "sure-library":
        return _library(records, point, key)
    without = {r["rep"]: dig(r, key) for r in select(records, system=PAIRS[system], point=point)}
    out = []
    for row in select(records, system=system, point=point):
        value, base = dig(row, key), without.get(row["rep"])
        if value is not None and base is not None:
            out.append((value - base) / CALLS)
    return out
