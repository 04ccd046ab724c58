# SPDX-License-Identifier: BSD-2-Clause
"""What the line plots of Figs 10 and 11 share: response time and CPU over time, as data (see lines.py)."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from experiment import Experiment
from lines import Curve, Panel, plain
from records import select

TITLES = ("median response time, ms", "99th percentile, ms", "CPU of all components, % of one core")


def panels(conf: Experiment, records: Sequence[Mapping[str, Any]], point: str) -> list[Panel]:
    """Three panels, a curve for the first run of each system at `point`; [] without runs."""
    runs = {s: next((r for r in select(records, system=s, point=point) if r["series"] and r["cpu_series"]), None)
            for s in conf.systems}
    curves = [(conf.system_name(s), _response(r, 2), _response(r, 3), _cpu(r)) for s, r in runs.items() if r is not None]
    return [Panel(title, "s since start", {c[0]: c[i] for c in curves}, log_x=False, log_y=i < 3)
            for i, title in enumerate(TITLES, start=1)] if curves else []


def _response(run: Mapping[str, Any], part: int) -> Curve:
    """part: 2 the median, 3 the 99th percentile of a step. Steps without an answer are left out."""
    step = run["series"]["step_ms"] / 1e3
    return plain(((i + 0.5) * step, p[part] / 1e3) for i, p in enumerate(run["series"]["points"]) if p[part])


def _cpu(run: Mapping[str, Any]) -> Curve:
    step = run["cpu_series"]["step_ms"] / 1e3
    parts = [v for name, v in run["cpu_series"]["components"].items() if name != "init"]
    return plain(((i + 0.5) * step, sum(v[i] or 0.0 for v in parts if i < len(v)))
                 for i in range(max(map(len, parts), default=0)))
