# SPDX-License-Identifier: BSD-2-Clause
"""Startup by runtime: time to the first answer, alone and ten at a time, its phases, and memory."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

import style
from experiment import read
from stats import median_interval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from startup import PHASES, emulated, outputs, values  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
COLOURS = {"cold": style.BLUE, "ten": style.SKY}
PARTS = (style.VERMILION, style.ORANGE, style.YELLOW, style.GREEN, style.BLUE)


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw three panels over the runtimes. Returns (file stem, caption)."""
    style.apply()
    conf = read(HERE)
    systems = [s for s in conf.systems if values(records, s, "cold")]
    if not systems:
        return []
    fig, axes = plt.subplots(1, 3, figsize=(style.TEXT, 2.5), sharey=True)
    names = [conf.system_name(s) + ("\n(emulated)" if emulated(records, s) else "") for s in systems]
    _times(axes[0], conf, records, systems)
    _phases(axes[1], records, systems)
    _memory(axes[2], records, systems)
    axes[0].set_yticks(range(len(systems)), names)
    axes[0].invert_yaxis()
    style.save(fig, out_dir, "slide-startup")
    return [("slide-startup",
             "From spawn to first answer. Left: medians with their exact 99 % interval, from the first spawn to the "
             "last answer. Middle: where the time goes, one instance, means of run medians. Right: memory of "
             "one instance: resident, of which others map it too; of a virtual machine all of QEMU, and its "
             "guest's RAM. What is emulated (no VMX or SVM here) is drawn to be complete, and not judged.")]


def _times(ax: Any, conf: Any, records: Rows, systems: Sequence[str]) -> None:
    for i, point in enumerate(COLOURS):
        for y, system in enumerate(systems):
            sample = values(records, system, point)
            if not sample:
                continue
            e = median_interval(sample)
            at = y + (i - 0.5) * 0.38
            ax.barh(at, e.value, 0.36, color=COLOURS[point],
                    label=str(conf.points[point].get("title", point)) if y == 0 else None)
            ax.text(e.value * 1.08, at, f"{e.value:.3g}", va="center", fontsize=5)
            if e.low is not None and e.high is not None:
                ax.plot([e.low, e.high], [at, at], color=style.INK, linewidth=0.7)
    _log(ax)
    ax.set_title("spawn to answer, ms")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncol=2, fontsize=5.5, borderaxespad=0)


def _log(ax: Any) -> None:
    """A logarithmic x axis with room for the numbers at the bars' ends."""
    widths = [bar.get_width() for bar in ax.patches if bar.get_width() > 2e-3]
    if widths:
        style.log_axis(ax.xaxis, min(widths) * 0.5, max(widths) * 3)


def _mean(rows: Sequence[Mapping[str, Any]], get: Any) -> float:
    found = [v for v in map(get, rows) if v is not None]
    return float(np.mean(found)) if found else 0.0


def _phases(ax: Any, records: Rows, systems: Sequence[str]) -> None:
    for y, system in enumerate(systems):
        rows = outputs(records, system, "cold")
        parts = [_mean(rows, lambda o, p=phase: o["phases_ms"][p]) for phase in PHASES]
        total, left = sum(parts) or 1.0, 0.0
        for part, colour, label in zip(parts, PARTS, PHASES.values()):
            ax.barh(y, 100 * part / total, 0.6, left=left, color=colour, label=label if y == 0 else None)
            left += 100 * part / total
    ax.set_title("share of the phases, %")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncol=2, fontsize=5, columnspacing=0.8, handlelength=1.2, borderaxespad=0)


def _memory(ax: Any, records: Rows, systems: Sequence[str]) -> None:
    for y, system in enumerate(systems):
        rows = outputs(records, system, "cold")
        bars = (("resident", "rss_kib", style.SKY), ("shared with others", "shared_kib", style.BLUE),
                ("guest's RAM", "guest_kib", style.VERMILION))
        for i, (label, key, colour) in enumerate(bars):
            value = _mean(rows, lambda o, k=key: o[k]) / 1024
            ax.barh(y + (i - 1) * 0.26, max(value, 1e-3), 0.24, color=colour, label=label if y == 0 else None)
            if value:
                ax.text(value * 1.08, y + (i - 1) * 0.26, f"{value:.3g}", va="center", fontsize=4.5)
    _log(ax)
    ax.set_title("memory of one, MiB")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncol=2, fontsize=5, columnspacing=0.8, handlelength=1.2, borderaxespad=0)
