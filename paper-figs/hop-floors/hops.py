# SPDX-License-Identifier: BSD-2-Clause
"""What plot.py and curves.py share: the price of a hop."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from experiment import Experiment
from records import select
from stats import dig

Rows = Sequence[Mapping[str, Any]]
HOPS = 4                # the longer chain has so many more than the shorter one
PLACES = {"same": "same-core", "cross": "cross-core"}


def sizes(conf: Experiment, records: Rows, place: str) -> list[int]:
    """Payloads in bytes that were run at a placement, ascending."""
    return sorted({int(p.split("-")[1]) for p in conf.points
                   if p.startswith(f"{place}-") and select(records, point=p)})


def price(records: Rows, system: str, point: str, key: str) -> list[float]:
    """Price of a hop, one value per repetition that has both chains. point: PLACE-SIZE."""
    short = {r["rep"]: dig(r, key) for r in select(records, system=system, point=f"{point}-short")}
    out = []
    for r in select(records, system=system, point=f"{point}-long"):
        a, b = short.get(r["rep"]), dig(r, key)
        if a is not None and b is not None:
            out.append((b - a) / HOPS)
    return out
