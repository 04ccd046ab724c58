# SPDX-License-Identifier: BSD-2-Clause
"""A picture of a gate's history: how each count moved from commit to commit."""
from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

MOST = 12       # measures in a picture: those that moved most


def load(path: Path) -> list[dict[str, Any]]:
    """Lines of a history; lines that are no history are named and left out."""
    out = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            if entry["kind"] == "gate-history":
                out.append(entry)
        except (ValueError, KeyError, TypeError):
            print(f"{path}: line {number} is no line of history; left out", file=sys.stderr)
    return sorted(out, key=lambda e: e["time"])


def moved(entries: list[dict[str, Any]]) -> list[tuple[str, list[int], list[float]]]:
    """(measure, places, values as a share of the first), those that moved most first."""
    series: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for place, entry in enumerate(entries):
        for name, value in entry["values"].items():
            series[name][0].append(place)
            series[name][1].append(float(value))
    out = []
    for name, (places, values) in series.items():
        if len(values) > 1:
            first = values[0] if values[0] > 0 else 1.0
            out.append((name, places, [v / first for v in values]))
    return sorted(out, key=lambda s: -(max(s[2]) - min(s[2])))[:MOST]


def draw(history: Path, output: Path) -> int:
    """Draw it. 2 when there is nothing to draw."""
    entries = load(history)
    series = moved(entries)
    if not series:
        print(f"{history}: fewer than two gates with a measure in common", file=sys.stderr)
        return 2
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for name, places, values in series:
        axes.plot(places, values, marker="o", markersize=3, linewidth=1, label=name.replace("|", " · "))
    axes.set_xticks(range(len(entries)), [(e["commit"] or "?")[:7] for e in entries], rotation=60, fontsize=7)
    axes.set_ylabel("value / first value")
    axes.set_title("What moved most, gate by gate (1 = as in the first)")
    axes.axhline(1, color="0.7", linewidth=0.8)
    axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(output, dpi=150)
    return 0
