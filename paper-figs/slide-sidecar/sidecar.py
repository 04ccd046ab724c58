# SPDX-License-Identifier: BSD-2-Clause
"""What a sidecar adds to a function call: differences between two systems' runs of one point."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import select
from stats import dig

Rows = Sequence[Mapping[str, Any]]

# System with a sidecar -> the same without.
PAIRS = {"sure-library": "sure", "http-nginx": "http", "http-queue-proxy": "http"}
CALLS = 2           # functions per request, each behind its sidecar


def added(records: Rows, system: str, point: str, key: str) -> list[float]:
    """`key` (µs per request) with the sidecar less without, per function call; one value per repetition.

    Repetition k of all systems runs before k + 1 of any: the two of a pair saw the same machine.
    """
    without = {r["rep"]: dig(r, key) for r in select(records, system=PAIRS[system], point=point)}
    out = []
    for row in select(records, system=system, point=point):
        value, base = dig(row, key), without.get(row["rep"])
        if value is not None and base is not None:
            out.append((value - base) / CALLS)
    return out
