# SPDX-License-Identifier: BSD-2-Clause
"""Figs 8 and 9 of SPRIGHT on this machine: throughput, latency of each chain, CPU by component."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import style
from experiment import Experiment, read
from records import select
from stats import cdf, mean_interval, merge_buckets, summarise
from verdicts import number

Rows = Sequence[Mapping[str, Any]]
HERE = Path(__file__).resolve().parent
CAPACITY = ("c1", "c8", "c32")
USERS = ("users", "users-4k", "users-12k")

# What a component of a record is drawn as, and in which colour.
GROUPS = {"gateway or ingress": style.BLUE, "broker": style.ORANGE, "sidecars": style.VERMILION,
          "functions": style.GREEN, "rest of the node": "#9a9ca5"}


def draw(records: Rows, out_dir: Path) -> list[tuple[str, str]]:
    """Draw what the records allow. Returns (file stem, caption) of each figure."""
    style.apply()
    conf = read(HERE)
    done = [_capacity(conf, records, out_dir)]
    for point in USERS:
        if select(records, point=point):
            done.append(_over_time(conf, records, out_dir, point))
    for point in ("c32", *USERS):
        if select(records, point=point):
            done.append(_cdf(conf, records, out_dir, point))
    done.append(_per_request(conf, records, out_dir))
    for point in USERS:
        if select(records, point=point):
            done.append(_cpu_over_time(conf, records, out_dir, point))
    return [d for d in done if d is not None]


def group(component: str) -> str:
    """The part of the pipeline that a component belongs to."""
    if component.endswith("/sidecar"):
        return "sidecars"
    if component == "broker":
        return "broker"
    return "gateway or ingress" if component in ("gateway", "ingress") else "functions"


def _present(conf: Experiment, records: Rows, point: str) -> list[str]:
    return [s for s in conf.systems if select(records, system=s, point=point)]


def _n(conf: Experiment, records: Rows, points: Sequence[str]) -> str:
    """'n = 5', or a range where systems differ."""
    sizes = {len(select(records, system=s, point=p)) for p in points for s in _present(conf, records, p)}
    return f"n = {min(sizes)}" if len(sizes) == 1 else f"n = {min(sizes)} to {max(sizes)}"


def _capacity(conf: Experiment, records: Rows, out: Path) -> tuple[str, str] | None:
    """Throughput over connections, no think time: log-log lines with intervals and every run."""
    points = [p for p in CAPACITY if select(records, point=p)]
    if not points:
        return None
    fig, ax = plt.subplots(figsize=(style.COLUMN, 2.3))
    ends, every = [], []
    for i, system in enumerate(conf.systems):
        colour, dash, marker = style.look(system)
        aside = 1.035 ** (i - (len(conf.systems) - 1) / 2)      # so that intervals do not cover each other
        xs, ys, low, high = [], [], [], []
        for point in points:
            rows = select(records, system=system, point=point)
            if not rows:
                continue
            values = [r["rps"] for r in rows]
            e = mean_interval(values)
            x = rows[0]["concurrency"] * aside
            xs.append(x)
            ys.append(e.value)
            # A log axis has no room for an interval that reaches 0: it ends at a tenth of the mean.
            low.append(e.value - max(e.low if e.low is not None else e.value, e.value / 10))
            high.append((e.high if e.high is not None else e.value) - e.value)
            every += values
            ax.plot([x] * len(values), values, ".", color=colour, alpha=0.45, markersize=2.5, zorder=2)
        if xs:
            shown = [low, high] if any(low) or any(high) else None
            ax.errorbar(xs, ys, yerr=shown, color=colour, linestyle=dash, marker=marker, capsize=2,
                        elinewidth=0.8, zorder=3)
            ends.append((xs[-1] / aside, ys[-1], conf.system_name(system), colour))
    style.log_axis(ax.yaxis, min(every) * 0.8, max(every) * 1.2)
    users = [float(conf.points[p]["users"]) for p in points]
    ax.set_xscale("log", base=2)
    room = 1.25 if len(users) > 1 else 3
    ax.set_xlim(users[0] / room, users[-1] * room)
    ax.set_xticks(users, [f"{u:g}" for u in users])
    ax.xaxis.set_tick_params(which="minor", length=0)
    ax.set_xlabel("connections (closed loop, no think time)")
    ax.set_ylabel("requests/s")
    style.label_ends(ax, ends, gap_pt=12)
    style.save(fig, out, "fig08-capacity")
    return ("fig08-capacity",
            "Capacity: throughput without think time and without service time. Lines: means of "
            f"{_n(conf, records, points)} runs with 99 % t intervals (from 3 runs on); dots: every run; points "
            "stand a little beside each other. Both axes are logarithmic.")


def _small_multiples(systems: Sequence[str], height: float) -> tuple[Any, list[Axes]]:
    fig, axes = plt.subplots(1, len(systems), figsize=(style.TEXT, height), sharey=True, sharex=True,
                             squeeze=False)
    return fig, list(axes[0])


def _over_time(conf: Experiment, records: Rows, out: Path, point: str) -> tuple[str, str] | None:
    """Throughput over time, one panel per system, with the load that the users offer."""
    systems = [s for s in _present(conf, records, point)
               if any(r["series"] for r in select(records, system=s, point=point))]
    if not systems:
        return None
    fig, axes = _small_multiples(systems, 1.95)
    top, offered = 0.0, None
    for ax, system in zip(axes, systems):
        rows = [r for r in select(records, system=system, point=point) if r["series"]]
        colour = style.look(system)[0]
        warm = rows[0]["load"]["warmup_s"]
        ax.axvspan(0, warm, color=style.RULE, alpha=0.5, linewidth=0)
        for row in rows:
            step = row["series"]["step_ms"] / 1e3
            width = max(1, round(1 / step))         # of a moving sum: one second
            counts = np.array([p[0] - p[1] for p in row["series"]["points"]], dtype=float) / step
            if len(counts) < 2 * width:
                width = 1
            smooth = np.convolve(counts, np.ones(width) / width, "valid")
            t = (np.arange(len(smooth)) + width) * step
            ax.plot(t, smooth, color=colour, linewidth=1.0, alpha=0.85)
            top = max(top, float(smooth.max()))
        offered = rows[0]["offered_ceiling_rps"]
        if offered:
            line = ax.axhline(offered, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))
        mean = summarise(rows, "rps")
        ax.set_title(f"{conf.system_name(system)}: {number(mean.value)} requests/s" if mean else system)
        ax.set_xlabel("s since start")
    axes[0].set_ylabel("requests/s")
    axes[0].set_ylim(0, 1.22 * max(top, offered or 0))
    axes[0].set_xlim(left=0)
    style.axis_numbers(axes[0].yaxis)
    if offered:
        style.legend_above(fig, [line], [f"offered load: {number(offered)} requests/s"], handlelength=2.6)
    axes[0].annotate("warm-up", (0, 1), xycoords="axes fraction", xytext=(3, -3),
                     textcoords="offset points", va="top", fontsize=6, color=style.QUIET)
    stem = f"fig08-rps-{point}"
    style.save(fig, out, stem)
    who = f"{rows[0]['concurrency']:,} users with think time 1–10 s"
    return stem, (f"Throughput over time, {who}: one line per run ({_n(conf, records, [point])}), moving mean "
                  "over 1 s. Dashed: the load these users offer. A system that keeps up sits on it; that is "
                  "no capacity.")


def _cdf(conf: Experiment, records: Rows, out: Path, point: str) -> tuple[str, str] | None:
    """Response time by chain: one panel per chain, one line per system, all repetitions merged."""
    systems = _present(conf, records, point)
    rows = {s: [r for r in select(records, system=s, point=point) if r["histogram"]] for s in systems}
    chains = list(dict.fromkeys(c for s in systems for r in rows[s] for c in r["histogram"]["chains"]))
    curves = {}
    for chain in chains:
        for system in systems:
            x, y = cdf(merge_buckets([r["histogram"]["chains"].get(chain, []) for r in rows[system]]))
            if len(x):
                curves[chain, system] = (x / 1e6, y)
    chains = [c for c in chains if any((c, s) in curves for s in systems)][:9]
    if not chains:
        return None
    columns = min(3, len(chains))
    lines = -(-len(chains) // columns)
    fig, axes = plt.subplots(lines, columns, figsize=(style.TEXT, 0.5 + 1.3 * lines), sharex=True,
                             sharey=True, squeeze=False)
    flat = list(axes.flat)
    for ax, chain in zip(flat, chains):
        for system in systems:
            if (chain, system) in curves:
                colour, dash, _ = style.look(system)
                x, y = curves[chain, system]
                ax.step(x, y, where="post", color=colour, linestyle=dash, label=conf.system_name(system))
        ax.set_title(chain)
    for ax in flat[len(chains):]:
        ax.set_visible(False)
    # The axis leaves out the extreme 0.1 % on both sides: single stragglers would squeeze the rest.
    low = min(float(np.interp(0.001, y, x)) for x, y in curves.values())
    high = max(float(np.interp(0.999, y, x)) for x, y in curves.values())
    style.log_axis(flat[0].xaxis, max(low, 1e-4), max(high, 2e-4))
    flat[0].set_ylim(0, 1.02)
    for ax in flat[max(0, len(chains) - columns):len(chains)]:
        ax.set_xlabel("response time, ms")
        ax.tick_params(labelbottom=True)
    for line in axes:
        line[0].set_ylabel("share of requests")
    handles, names = flat[0].get_legend_handles_labels()
    style.legend_above(fig, handles, names, handlelength=2.6)
    stem = f"fig09-cdf-{point}"
    style.save(fig, out, stem)
    where = conf.point_title(point) if point != "users" else \
        f"{rows[systems[0]][0]['concurrency']:,} {conf.point_title(point)}"
    return stem, (f"Response time (from the intended start) by chain, {where}; histograms of "
                  f"{_n(conf, records, [point])} runs merged, buckets at most 0.8 % wide. The "
                  "outermost 0.1 % on each side may lie beyond the axis.")


def _groups_of(rows: Rows) -> dict[str, float]:
    """Mean CPU per request by group, us; the node's CPU beyond the components' is its rest."""
    total = dict.fromkeys(GROUPS, 0.0)
    for row in rows:
        for name, us in row["cpu_us"].items():
            total[group(name)] += (us or 0.0) / len(rows)
        if row["node_cpu_percent"] is not None and row["ccr_us"] is not None:
            node = row["node_cpu_percent"] * 1e4 / row["rps"]
            total["rest of the node"] += max(0.0, node - row["ccr_us"]) / len(rows)
    return total


def _per_request(conf: Experiment, records: Rows, out: Path) -> tuple[str, str] | None:
    """CPU per request by component, stacked bars from zero."""
    point = "c32"
    systems = [s for s in _present(conf, records, point)
               if any(r["ccr_us"] for r in select(records, system=s, point=point))]
    if not systems:
        return None
    fig, ax = plt.subplots(figsize=(style.COLUMN, 0.75 + 0.3 * len(systems)))
    longest = 0.0
    used: dict[str, bool] = {}
    for y, system in enumerate(systems):
        left = 0.0
        for name, us in _groups_of(select(records, system=system, point=point)).items():
            if us > 0:
                ax.barh(y, us, left=left, height=0.62, color=GROUPS[name], linewidth=0,
                        label=None if name in used else name)
                used[name] = True
                left += us
        ax.annotate(f"{number(left)} µs", (left, y), xytext=(3, 0), textcoords="offset points", va="center",
                    fontsize=6.5)
        longest = max(longest, left)
    ax.set_yticks(range(len(systems)), [conf.system_name(s) for s in systems])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)          # every bar carries its value
    ax.spines["left"].set_visible(False)
    ax.invert_yaxis()
    ax.set_xlim(0, longest * 1.2)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    style.axis_numbers(ax.xaxis)
    ax.set_xlabel("CPU per request, µs")
    handles, names = ax.get_legend_handles_labels()
    order = [names.index(n) for n in GROUPS if n in names]
    ax.legend([handles[i] for i in order], [names[i] for i in order], loc="lower right", handlelength=0.9,
              handleheight=0.9, borderaxespad=0.2, labelspacing=0.3)
    style.save(fig, out, "fig09-ccr")
    return ("fig09-ccr",
            f"CPU per request at 32 connections, mean of {_n(conf, records, [point])} runs (intervals in the "
            "table). Components by their CPU clocks; rest: what the node used beyond them, softirq "
            "and other programs. The generator is left out.")


def _cpu_over_time(conf: Experiment, records: Rows, out: Path, point: str) -> tuple[str, str] | None:
    """CPU by group over time, one panel per system, first repetition."""
    rows = {s: next((r for r in select(records, system=s, point=point) if r["cpu_series"]), None)
            for s in _present(conf, records, point)}
    systems = [s for s in rows if rows[s] is not None]
    if not systems:
        return None
    fig, axes = _small_multiples(systems, 1.95)
    top, shown = 0.0, {}
    for ax, system in zip(axes, systems):
        series = rows[system]["cpu_series"]
        step = series["step_ms"] / 1e3
        length = max((len(v) for v in series["components"].values()), default=0)
        stacks = {name: np.zeros(length) for name in GROUPS if name != "rest of the node"}
        for name, values in series["components"].items():
            stacks[group(name)][:len(values)] += [v or 0.0 for v in values]
        stacks = {n: v for n, v in stacks.items() if v.any()}
        t = (np.arange(length) + 0.5) * step
        if stacks:
            for name, area in zip(stacks, ax.stackplot(t, *stacks.values(), linewidth=0,
                                                       colors=[GROUPS[n] for n in stacks])):
                shown.setdefault(name, area)
            top = max(top, float(sum(stacks.values()).max()))
        mean = sum(v or 0.0 for v in rows[system]["cpu_percent"].values())
        ax.set_title(f"{conf.system_name(system)}: {number(mean)} %")
        ax.set_xlabel("s since start")
        ax.set_xlim(0, length * step)
    axes[0].set_ylim(0, top * 1.1 or 1)
    axes[0].set_ylabel("CPU, % of one core")
    order = [n for n in GROUPS if n in shown]
    style.legend_above(fig, [shown[n] for n in order], order, handlelength=0.9, handleheight=0.9)
    stem = f"fig09-cpu-{point}"
    style.save(fig, out, stem)
    users = rows[systems[0]]["concurrency"]
    return stem, (f"CPU of the components over time, {users:,} users with think time 1–10 s: the first of "
                  f"{_n(conf, records, [point])} runs; in the titles its mean over the measured part. Without "
                  "time that belongs to no process.")
