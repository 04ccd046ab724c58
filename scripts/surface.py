# SPDX-License-Identifier: BSD-2-Clause
"""Cells of `perhop surface`: chains without a client, as an experiment's output records keep them.

A cell is one dataplane spec at one placement and load. Its lists `rps` and `ccr_us` have a value per
repetition; repetition k of all specs at a load ran one after the other, so that pairs saw the same machine.
"""
from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

Rows = Sequence[Mapping[str, Any]]
Cell = Mapping[str, Any]


def cells(records: Rows) -> Iterator[tuple[Mapping[str, Any], Cell]]:
    """(record, cell) of every cell that was measured, in the order of the records."""
    for record in records:
        if record.get("kind") != "output" or not record.get("valid"):
            continue
        for output in record.get("output") or []:
            if isinstance(output, dict) and output.get("kind") == "surface":
                yield from ((record, c) for c in output["cells"] if not c["skipped"])


def load_of(cell: Cell) -> str:
    """'32' for messages in flight, '1000/s' for a paced load."""
    return f"{cell['rate']:g}/s" if cell["rate"] else str(cell["in_flight"])


def samples(records: Rows, spec: str, placement: str, load: str, key: str, size: int | None = None) -> list[float | None]:
    """`key` (rps or ccr_us) of every repetition, all records one after the other; None where there is none.

    size: payload in bytes; None takes whatever there is.
    """
    return [v for _, c in cells(records)
            if (c["spec"], c["placement"], load_of(c)) == (spec, placement, load)
            and size in (None, c["payload_bytes"])
            for v in c[key]]


def pairs(records: Rows, a: str, b: str, placement: str, load: str, key: str,
          size: int | None = None) -> list[tuple[float, float]]:
    """(a's, b's) of the repetitions that both have."""
    return [(x, y) for x, y in zip(samples(records, a, placement, load, key, size),
                                   samples(records, b, placement, load, key, size))
            if x is not None and y is not None]


def ratios(records: Rows, a: str, b: str, placement: str, load: str, key: str) -> list[float]:
    """a / b, repetition by repetition; those where b is 0 are left out."""
    return [x / y for x, y in pairs(records, a, b, placement, load, key) if y > 0]
