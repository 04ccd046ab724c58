# SPDX-License-Identifier: BSD-2-Clause
"""Data of plot.gp: throughput and latency with and without redirection, over connections that are kept alive."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from experiment import read
from lines import Panel, curve
from records import select
from stats import dig

KEPT = ("c1", "c8", "c32", "c64", "c128")


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Fig 12: two panels, a curve per system."""
    conf = read(Path(__file__).resolve().parent)
    return [Panel(title, "connections, kept alive",
                  {conf.system_name(s): curve({int(conf.points[p]["users"]): [dig(r, key) for r in
                                                                              select(records, system=s, point=p)]
                                               for p in KEPT}) for s in conf.systems}, log_y=False)
            for title, key in (("requests/s", "rps"), ("mean latency, µs", "latency_us.mean"))]
