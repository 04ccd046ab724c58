# SPDX-License-Identifier: BSD-2-Clause
"""What plot.py and verdicts.py share: a chain's time beyond that of a single function."""
from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from records import select
from stats import dig

Rows = Sequence[Mapping[str, Any]]
POINT = re.compile(r"l(\d+)-(\d+)$")
KEY = "latency_us.mean"


def shape(point: str) -> tuple[int, int]:
    """(functions, bytes) of a load point's name."""
    match = POINT.match(point)
    if match is None:
        raise ValueError(f"{point} is no point of this experiment")
    return int(match[1]), int(match[2])


def request(records: Rows, system: str, functions: int, size: int) -> dict[int, float]:
    """Repetition -> mean time of a whole request, µs."""
    rows = {r["rep"]: dig(r, KEY) for r in select(records, system=system, point=f"l{functions}-{size}")}
    return {rep: us for rep, us in rows.items() if us is not None}


def transfer(records: Rows, system: str, functions: int, size: int) -> list[float]:
    """µs per transfer from one function to the next, one value per repetition: the chain's time less that of
    one function alone, over the transfers between functions. [] where either was not run."""
    alone, chain = (request(records, system, n, size) for n in (1, functions))
    return [(chain[rep] - alone[rep]) / (functions - 1) for rep in sorted(chain) if rep in alone]
