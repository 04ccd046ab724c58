# SPDX-License-Identifier: BSD-2-Clause
"""The surface as two tables in colour: what adaptive makes of the better of block and spin, and what it costs."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.colors import TwoSlopeNorm

import style
from stats import median_interval
from surface import cells, load_of, pairs

Rows = Sequence[Mapping[str, Any]]
NAMES = {"futex": "ring + futex", "skmsg": "SK_MSG", "uds": "Unix socket", "dpdk": "DPDK ring"}
WITHIN = 0.1        # what adaptive promises: no more than a tenth off


def draw(records: Rows, out_dir: Any) -> list[tuple[str, str]]:
    """Draw both tables. Returns (file stem, caption)."""
    style.apply()
    found = [c for _, c in cells(records)]
    rows = list(dict.fromkeys((c["dataplane"], c["placement"]) for c in found))
    loads = list(dict.fromkeys(load_of(c) for c in found))
    if not rows:
        return []
    reps = max(len(c["rps"]) for c in found)
    fig, axes = plt.subplots(1, 2, figsize=(style.TEXT, 0.7 + 0.27 * len(rows)))
    _table(axes[0], rows, loads, lambda d, p, l: _throughput(records, d, p, l),
           "requests/s: adaptive / better of block and spin", higher_is_better=True)
    _table(axes[1], rows, loads, lambda d, p, l: _cpu(records, d, p, l),
           "CPU per request: adaptive / block", higher_is_better=False)
    axes[1].set_yticklabels([])
    style.save(fig, out_dir, "waiting-surface")
    return [("waiting-surface",
             "How well wait=adaptive does, by mechanism and placement (rows) and load (columns: messages in flight, "
             f"or requests per second): medians of the ratios of {reps} neighbouring runs. Left, an adaptive chain's "
             "throughput over the better of blocking and spinning; right, its CPU per request over blocking. Bold: "
             f"worse by more than {WITHIN:.0%}. No client and no HTTP: the chain alone.")]


def _ratio(records: Rows, dataplane: str, wait: str, placement: str, load: str, key: str) -> float | None:
    """Median of adaptive / wait, run by run; None without runs, or where `wait` hardly moved."""
    both = pairs(records, f"{dataplane},wait=adaptive", f"{dataplane},wait={wait}", placement, load, key)
    values = [x / y for x, y in both if y > 0]
    return median_interval(values).value if values else None


def _throughput(records: Rows, dataplane: str, placement: str, load: str) -> float | None:
    """Over the better of block and spin: the smaller of the two ratios."""
    values = [_ratio(records, dataplane, wait, placement, load, "rps") for wait in ("block", "spin")]
    return min((v for v in values if v is not None), default=None)


def _cpu(records: Rows, dataplane: str, placement: str, load: str) -> float | None:
    return _ratio(records, dataplane, "block", placement, load, "ccr_us")


def _table(ax: Any, rows: Sequence[tuple[str, str]], loads: Sequence[str], value: Any, title: str,
           higher_is_better: bool) -> None:
    """One coloured cell per row and load, its number written into it."""
    colours = plt.get_cmap("RdYlGn" if higher_is_better else "RdYlGn_r")
    norm = TwoSlopeNorm(1.0, 0.5, 2.0)
    ax.grid(False)
    for y, (dataplane, placement) in enumerate(rows):
        for x, load in enumerate(loads):
            v = value(dataplane, placement, load)
            if v is None:
                continue
            worse = v < 1 - WITHIN if higher_is_better else v > 1 + WITHIN
            ax.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, linewidth=0.6, edgecolor="white",
                                       facecolor=colours(norm(min(max(v, 0.5), 2.0))), alpha=0.75))
            ax.text(x, y, f"{v:.2f}", ha="center", va="center", fontsize=6, color="#1b1b1f",
                    fontweight="bold" if worse else "normal")
    ax.set_xlim(-0.5, len(loads) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(loads)), loads)
    ax.set_yticks(range(len(rows)), [f"{NAMES.get(d, d)}, {p}" for d, p in rows])
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_title(title)
