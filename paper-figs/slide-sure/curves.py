# SPDX-License-Identifier: BSD-2-Clause
"""Data of plot.gp: the boutique on one node and on two, over concurrency."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from experiment import read
from lines import Panel, curve
from records import select
from stats import dig

QUANTITIES = (("requests/s", "rps"), ("p99 latency, µs", "latency_us.p99"), ("CPU per request (CCR), µs", "ccr_us"))


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Two rows of three panels, a curve per system."""
    conf = read(Path(__file__).resolve().parent)
    rows = (("one node", [s for s in conf.systems if "-2" not in s]), ("two nodes", [s for s in conf.systems if "-2" in s]))
    return [Panel(f"{title}, {where}", "connections (closed loop)",
                  {conf.system_name(s): curve({int(body["users"]): [dig(r, key) for r in select(records, system=s, point=p)]
                                               for p, body in conf.points.items()}) for s in systems})
            for where, systems in rows for title, key in QUANTITIES]
