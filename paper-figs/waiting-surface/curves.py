# SPDX-License-Identifier: BSD-2-Clause
"""Data of plot.gp: throughput and CPU of each way of waiting over the messages in flight."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from lines import Panel, curve
from stats import median_interval
from surface import cells

QUANTITIES = (("requests/s", "rps"), ("CPU per request, µs", "ccr_us"))


def panels(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """A panel for each quantity, mechanism and placement, a curve per way of waiting. Paced loads are left out."""
    found: dict[tuple[str, str], dict[str, dict[float, Mapping[str, Any]]]] = {}
    for _, cell in cells(records):
        if not cell["rate"]:
            ways = found.setdefault((cell["dataplane"], cell["placement"]), {})
            ways.setdefault(cell["wait"] or "as it is", {})[cell["in_flight"]] = cell
    return [Panel(f"{title}: {dataplane}, {placement}", "messages in flight",
                  {way: curve({n: cell[key] for n, cell in loads.items()}, median_interval) for way, loads in ways.items()})
            for title, key in QUANTITIES for (dataplane, placement), ways in found.items()]
