# SPDX-License-Identifier: BSD-2-Clause
"""Data of plot.gp: time per transfer over message size, and of a chain over its length."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

from experiment import read
from lines import Panel, curve
from records import select

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from channel import request, shape, transfer  # noqa: E402

SIZE = 16384        # of the messages whose chains differ in length


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Two panels, a curve per system."""
    conf = read(HERE)
    there = {shape(p) for p in conf.points if select(records, point=p)}
    longest = {size: max(n for n, s in there if s == size) for _, size in there}
    lengths = sorted(n for n, size in there if size == SIZE)
    transfers = {conf.system_name(s): curve({size: transfer(records, s, n, size) for size, n in longest.items() if n > 1})
                 for s in conf.systems}
    chains = {conf.system_name(s): curve({n: request(records, s, n, SIZE).values() for n in lengths}) for s in conf.systems}
    return [Panel("µs per transfer", "message, bytes", transfers),
            Panel("µs per request, 16 KB", "functions in the chain", chains)]
