# SPDX-License-Identifier: BSD-2-Clause
"""Data of plot.gp: what a hop costs over its payload."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

from experiment import read
from lines import Panel, curve
from stats import median_interval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from hops import PLACES, price, sizes  # noqa: E402


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Latency and CPU of a hop, a panel for each placement, a curve per system."""
    conf = read(HERE)
    return [Panel(f"{title} per hop, {name}", "payload, bytes",
                  {conf.system_name(s): curve({n: price(records, s, f"{place}-{n}", key) for n in sizes(conf, records, place)},
                                              median_interval) for s in conf.systems})
            for title, key in (("one way, µs", "latency_us.p50"), ("CPU, µs", "ccr_us")) for place, name in PLACES.items()]
