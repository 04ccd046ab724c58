# SPDX-License-Identifier: BSD-2-Clause
"""What Figs 10 and 11 share: response time and CPU over time, a column per system."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

import style
from experiment import Experiment
from records import select
from verdicts import number

Rows = Sequence[Mapping[str, Any]]

GROUPS = {"gateway or ingress": style.BLUE, "broker": style.ORANGE, "activators, autoscaler": style.PURPLE,
          "sidecars": style.VERMILION, "functions": style.GREEN}


def group(component: str) -> str:
    """The part of the pipeline that a component belongs to."""
    if component.endswith("/sidecar"):
        return "sidecars"
    if component.startswith("activator/") or component == "autoscaler":
        return "activators, autoscaler"
    if component == "broker":
        return "broker"
    return "gateway or ingress" if component in ("gateway", "ingress") else "functions"


def draw(conf: Experiment, records: Rows, out: Path, point: str, stem: str) -> tuple[str, str] | None:
    """Draw the first run of each system at `point`. Returns (stem, caption), or None without runs."""
    runs = {s: next((r for r in select(records, system=s, point=point) if r["series"] and r["cpu_series"]), None)
            for s in conf.systems}
    runs = {s: r for s, r in runs.items() if r is not None}
    if not runs:
        return None
    fig, axes = plt.subplots(3, len(runs), figsize=(style.TEXT, 4.0), sharex=True, sharey="row", squeeze=False)
    seen: list[float] = []
    top, shown = 0.0, {}
    for column, (system, run) in enumerate(runs.items()):
        seen += _latency(axes[0][column], run, style.look(system)[0])
        top = max(top, _cpu(axes[1][column], run, shown))
        p95 = run["response_us"]["p95"]
        cpu = sum(v or 0.0 for v in run["cpu_percent"].values())
        axes[0][column].set_title(f"{conf.system_name(system)}: p95 {number((p95 or 0) / 1e3)} ms")
        axes[1][column].set_title(f"mean CPU {number(cpu)} %")
        _pods(axes[2][column], run)
        axes[2][column].set_xlabel("s since start")
    style.log_axis(axes[0][0].yaxis, min(seen) * 0.8, max(seen) * 1.2)
    axes[0][0].set_ylabel("response time, ms")
    axes[1][0].set_ylabel("CPU, % of one core")
    axes[1][0].set_ylim(0, top * 1.1 or 1)
    axes[2][0].set_ylabel("instances")
    axes[2][0].set_ylim(bottom=0)
    order = [n for n in GROUPS if n in shown]
    style.legend_above(fig, [shown[n] for n in order], order, handlelength=0.9, handleheight=0.9)
    style.save(fig, out, stem)
    scale = conf.points[point].get("service_scale", "1")
    return stem, (f"{conf.points[point]['title'].capitalize()}. Above: median (dot) and 99th percentile (line end) "
                  "of the response time in each step, from the moment a request was due. Below: CPU of the "
                  f"components. Below that: instances of all functions together (dark: such as take requests) and the "
                  "cold starts (marks: asked for by a request, by load, or by the schedule that pre-warms). The first run of "
                  f"each system; {_compressed(scale)}.")


def _compressed(scale: str) -> str:
    """How time was treated, for a caption."""
    if float(scale) == 1:
        return "in real time"
    return (f"time compressed {number(1 / float(scale))} times: the trace, service times and the autoscaler's times alike. "
            "The work of a cold start is not scaled: it takes that much longer in the trace's time")


GREY = "#777777"
CAUSES = {"request": ("v", style.VERMILION), "load": ("^", style.ORANGE), "prewarm": ("s", style.BLUE)}


def _pods(ax: Any, run: Mapping[str, Any]) -> None:
    """Instances over time, and when they were asked for."""
    scaling = run["scaling"]
    if not scaling:
        ax.text(0.5, 0.5, "kept warm", transform=ax.transAxes, ha="center", va="center", color=GREY)
        return
    steps = sorted((s[0], name, s[1], s[2]) for name, all_steps in scaling["instances"].items() for s in all_steps)
    up: dict[str, tuple[int, int]] = {}
    points = []
    for at, name, there, ready in steps:
        up[name] = (there, ready)
        points.append((max(at, 0.0), sum(v[0] for v in up.values()), sum(v[1] for v in up.values())))
    points.append((ax.get_xlim()[1], *points[-1][1:]))
    t, there, ready = zip(*points)
    ax.fill_between(t, there, step="post", color=GREY, alpha=0.35, linewidth=0)
    ax.fill_between(t, ready, step="post", color=style.GREEN, alpha=0.7, linewidth=0)
    for cause, (marker, colour) in CAUSES.items():
        at = [c["at_s"] for c in scaling["cold_starts"] if c["cause"] == cause and 0 <= c["at_s"] <= ax.get_xlim()[1]]
        ax.plot(at, [0.3] * len(at), marker, color=colour, markersize=3)


def _latency(ax: Any, run: Mapping[str, Any], colour: str) -> list[float]:
    """Median and 99th percentile of each step with an answer, ms. Returns what was drawn."""
    step = run["series"]["step_ms"] / 1e3
    points = [((i + 0.5) * step, p[2] / 1e3, p[3] / 1e3) for i, p in enumerate(run["series"]["points"])
              if p[2] and p[3]]
    if points:
        t, p50, p99 = (np.array(v) for v in zip(*points))
        ax.vlines(t, p50, p99, color=colour, linewidth=0.8, alpha=0.7)
        ax.plot(t, p50, ".", color=colour, markersize=3)
    return [v for p in points for v in p[1:]]


def _cpu(ax: Any, run: Mapping[str, Any], shown: dict[str, Any]) -> float:
    """Stack the components. Returns the highest sum, percent of one core."""
    series = run["cpu_series"]
    step = series["step_ms"] / 1e3
    length = max((len(v) for v in series["components"].values()), default=0)
    stacks = {name: np.zeros(length) for name in GROUPS}
    for name, values in series["components"].items():
        if name != "init":
            stacks[group(name)][:len(values)] += [v or 0.0 for v in values]
    stacks = {n: v for n, v in stacks.items() if v.any()}
    if not stacks:
        return 0.0
    areas = ax.stackplot((np.arange(length) + 0.5) * step, *stacks.values(), linewidth=0,
                         colors=[GROUPS[n] for n in stacks])
    for name, area in zip(stacks, areas):
        shown.setdefault(name, area)
    ax.set_xlim(0, length * step)
    return float(sum(stacks.values()).max())
