# SPDX-License-Identifier: BSD-2-Clause
"""Line plots as data: panels of curves, for gnuplot (paper-figs/lines.gp) or any other program.

A folder of paper-figs/ that has a plot.gp may hold

    curves.py    panels(records) -> list of Panel; without it, the experiment's load points are the panels (sweeps.py)

It imports nothing that draws, so that it works where matplotlib is missing.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Sequence

from stats import Estimate, mean_interval

Curve = Sequence[tuple[float, Estimate]]


@dataclass(frozen=True)
class Panel:
    """One pair of axes. Empty curves are left out; so is a panel without curves."""

    title: str
    x: str                              # label of the x axis, with its unit
    curves: Mapping[str, Curve]         # name -> (x, estimate) in ascending x
    log_x: bool = True
    log_y: bool = True


def curve(values: Mapping[float, Iterable[float | None]],
          estimate: Callable[[Sequence[float]], Estimate] = mean_interval) -> Curve:
    """x -> values of the repetitions, as a curve. An x without a value is left out."""
    have = {x: [v for v in sample if v is not None] for x, sample in sorted(values.items())}
    return [(x, estimate(sample)) for x, sample in have.items() if sample]


def plain(points: Iterable[tuple[float, float]]) -> Curve:
    """Single values, without intervals."""
    return [(x, Estimate(y, None, None, 1, 0.0, "one value")) for x, y in points]


def write(panels: Sequence[Panel], folder: Path) -> bool:
    """Write folder/points.dat and folder/panels.gp. False: there is nothing to draw.

    points.dat has a block per curve, headed by its name: x, estimate, low, high, n; without an interval low and
    high are the estimate. panels.gp tells gnuplot which blocks belong to which panel.
    """
    shown = [(panel, kept) for panel in panels if (kept := _kept(panel))]
    if not shown:
        return False
    names = list(dict.fromkeys(name for _, kept in shown for name in kept))
    blocks: list[str] = []
    first, count, key = [], [], []
    told: set[str] = set()
    for panel, kept in shown:
        first.append(len(blocks))
        count.append(len(kept))
        key.append(int(not set(kept) <= told))
        told |= set(kept)
        blocks += [f"# {panel.title}\n" + _block(name, points, panel.log_y) for name, points in kept.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "points.dat").write_text("# x estimate low high n\n" + "\n\n\n".join(blocks) + "\n", encoding="utf-8")
    arrays: dict[str, Sequence[Any]] = {
        "TITLE": [p.title for p, _ in shown], "XLABEL": [p.x for p, _ in shown], "LOGX": [int(p.log_x) for p, _ in shown],
        "LOGY": [int(p.log_y) for p, _ in shown], "FIRST": first, "COUNT": count, "KEY": key,
        "LOOK": [names.index(name) for _, kept in shown for name in kept]}
    (folder / "panels.gp").write_text(
        f"PANELS = {len(shown)}\n" + "".join(f"array {name}[{len(v)}] = [{', '.join(map(_literal, v))}]\n"
                                             for name, v in arrays.items()), encoding="utf-8")
    return True


def _kept(panel: Panel) -> dict[str, Curve]:
    """Curves with something to draw on the panel's axes."""
    kept = {name: [(x, e) for x, e in points if (x > 0 or not panel.log_x) and (e.value > 0 or not panel.log_y)]
            for name, points in panel.curves.items()}
    return {name: points for name, points in kept.items() if points}


def _block(name: str, points: Curve, log_y: bool) -> str:
    lines = ['"' + name.replace('"', "'") + '"']
    for x, e in points:
        low, high = (e.value if end is None else end for end in (e.low, e.high))
        if log_y:       # a log axis has no room for an interval that reaches 0
            low = max(low, e.value / 10)
        lines.append(f"{x:.9g} {e.value:.6g} {low:.6g} {high:.6g} {e.n}")
    return "\n".join(lines)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
