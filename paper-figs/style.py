# SPDX-License-Identifier: BSD-2-Clause
"""The one style sheet of all figures: sizes, colours, names of systems, and how files are written.

Sizes are those of ACM's two-column format, so that a PDF goes into a paper without scaling. Colours are
Okabe and Ito's, told apart by every common colour vision; lines differ in dash and marker as well.
The same records give the same bytes.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt                     # noqa: E402  (the backend comes first)
from matplotlib.axes import Axes                    # noqa: E402
from matplotlib.axis import Axis                    # noqa: E402
from matplotlib.figure import Figure                # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: E402

COLUMN = 3.33       # inches: width of one column
TEXT = 7.0          # inches: width of the text

# The report recolours these three for its dark mode; see scripts/report.py.
INK, QUIET, RULE = "#1b1b1f", "#5c5e66", "#d9dade"

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"

# system of experiment.conf -> colour, dash, marker. One system looks the same in every figure.
SYSTEMS: dict[str, tuple[str, object, str]] = {
    "knative": (VERMILION, "-", "o"),
    "http": (ORANGE, (0, (5, 1.5)), "s"),
    "grpc": (PURPLE, (0, (3, 1.2)), "v"),
    "skmsg": (BLUE, "-", "D"),
    "null": (GREEN, (0, (1.2, 1.2)), "^"),
    "dpdk": (SKY, (0, (5, 1.5, 1.2, 1.5)), "P"),
    "uds": (PURPLE, "-", "X"),
    "futex": (YELLOW, "-", "h"),
    "futex-adaptive": (ORANGE, "-", "*"),
}
_SPARE = [(PURPLE, "-", "X"), (SKY, "-", "*"), (ORANGE, "-", "h"), (GREEN, "-", "p")]


def look(system: str) -> tuple[str, object, str]:
    """(colour, dash, marker) of a system; those without an entry share four spare looks."""
    return SYSTEMS.get(system, _SPARE[sum(system.encode()) % len(_SPARE)])


def apply() -> None:
    """Set matplotlib up. Every plot.py calls it first."""
    plt.rcdefaults()
    plt.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": 7, "axes.titlesize": 7, "axes.labelsize": 7,
        "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "legend.fontsize": 6.5,
        "axes.titlelocation": "left", "axes.titlepad": 4, "axes.labelpad": 2.5, "axes.linewidth": 0.6,
        "axes.edgecolor": QUIET, "axes.labelcolor": INK, "axes.titlecolor": INK, "text.color": INK,
        "xtick.color": QUIET, "ytick.color": QUIET, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
        "xtick.major.size": 2.5, "ytick.major.size": 2.5, "xtick.minor.size": 1.5, "ytick.minor.size": 1.5,
        "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4, "xtick.major.pad": 2, "ytick.major.pad": 2,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": RULE,
        "grid.linewidth": 0.5, "axes.axisbelow": True, "lines.linewidth": 1.2, "lines.markersize": 3.5,
        "legend.frameon": False, "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.03, "figure.constrained_layout.w_pad": 0.03,
        "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path", "savefig.dpi": 300,
        "axes.unicode_minus": False, "path.simplify": True,
    })


def save(fig: Figure, out: Path, stem: str) -> None:
    """Write out/stem.pdf (fonts embedded), .png and .svg (transparent), without dates; close `fig`."""
    plt.rcParams["svg.hashsalt"] = stem
    engine = fig.get_layout_engine()
    if engine is not None:      # once for all three formats
        engine.execute(fig)
        fig.set_layout_engine("none")
    fig.savefig(out / f"{stem}.pdf", metadata={"CreationDate": None, "Creator": "perhop", "Producer": None})
    fig.savefig(out / f"{stem}.png", metadata={"Software": None}, facecolor="white")
    fig.savefig(out / f"{stem}.svg", metadata={"Date": None, "Creator": "perhop"}, transparent=True)
    plt.close(fig)


def short(value: float) -> str:
    """A number on an axis: 0.5, 20, 3k, 1.5M."""
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{suffix}"
    return f"{value:g}"


def axis_numbers(axis: Axis) -> None:
    """Label a linear axis by `short`."""
    axis.set_major_formatter(FuncFormatter(lambda v, _: short(round(v, 9))))


def log_axis(axis: Axis, low: float, high: float) -> None:
    """Logarithmic axis over whole steps of 1, 2, 5 around low…high; decades are labelled in plain
    numbers, and 2 and 5 as well when there are fewer than three decades."""
    ax: Axes = axis.axes
    name = axis.axis_name
    getattr(ax, f"set_{name}scale")("log")
    steps = [m * 10.0 ** e for e in range(-9, 13) for m in (1, 2, 5)]
    below = max(s for s in steps if s <= low * 1.0001)
    above = min(s for s in steps if s >= high * 0.9999)
    getattr(ax, f"set_{name}lim")(below, above)
    inside = [s for s in steps if below <= s <= above]
    decades = [s for s in inside if f"{s:e}"[0] == "1"]
    axis.set_major_locator(FixedLocator(decades if len(decades) >= 3 else inside))
    axis.set_major_formatter(FuncFormatter(lambda v, _: short(float(f"{v:.3g}"))))
    axis.set_minor_locator(LogLocator(subs=(2, 5)) if len(decades) >= 3 else NullLocator())
    axis.set_minor_formatter(NullFormatter())


def label_ends(ax: Axes, items: Iterable[tuple[float, float, str, str]], gap_pt: float = 4) -> None:
    """Name lines at their right ends: (x, y, text, colour) each, pushed apart where they would touch.

    Call it when the axes have their final limits and scale.
    """
    ax.figure.canvas.draw()
    height = 8.5 * ax.figure.dpi / 72
    placed = sorted(((ax.transData.transform((x, y))[1], x, y, text, colour)
                     for x, y, text, colour in items), key=lambda item: item[0])
    wanted = [item[0] for item in placed]
    at = spread(wanted, height)
    for (_, x, y, text, colour), want, got in zip(placed, wanted, at):
        ax.annotate(text, (x, y), xytext=(gap_pt, (got - want) * 72 / ax.figure.dpi),
                    textcoords="offset points", va="center", ha="left", color=colour, fontsize=6.5,
                    annotation_clip=False)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions at least `gap` apart and as near as can be to `wanted` (ascending)."""
    groups: list[list[float]] = []      # [sum of (wanted - index * gap), count]
    for i, w in enumerate(wanted):
        groups.append([w - i * gap, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    out: list[float] = []
    for total, count in groups:
        for _ in range(int(count)):
            out.append(total / count + len(out) * gap)
    return out


CUT = "An interval that reaches below a tenth of its value is cut there."     # for captions of interval_line's plots


def interval_line(ax: Axes, xs: Sequence[float], estimates: Sequence[Any], looks: tuple[str, object, str]) -> Any:
    """Estimates (value, low, high) over xs as one line for logarithmic axes; None where there are none."""
    if not estimates:
        return None
    colour, dash, marker = looks
    # A log axis has no room for an interval that reaches 0: it ends at a tenth of the value.
    low = [e.value - max(e.low if e.low is not None else e.value, e.value / 10) for e in estimates]
    high = [(e.high if e.high is not None else e.value) - e.value for e in estimates]
    return ax.errorbar(xs, [e.value for e in estimates], yerr=[low, high] if any(low) or any(high) else None,
                       color=colour, linestyle=dash, marker=marker, capsize=1.5, elinewidth=0.6, linewidth=1.0,
                       markersize=2.8)


def load_axis(ax: Axes, users: Sequence[float]) -> None:
    """x: connections, logarithmic, a tick at each that was run."""
    ax.set_xscale("log", base=2)
    if users:
        ax.set_xlim(users[0] / 1.3, users[-1] * 1.3)
        ax.set_xticks(users, [f"{u:g}" for u in users])
    ax.xaxis.set_tick_params(which="minor", length=0)


def legend_above(fig: Figure, handles: Sequence[object], names: Sequence[str], **more: object) -> None:
    """One legend in a strip of its own above all panels, in as many rows as its width takes; none where nothing was drawn."""
    if not handles:
        return
    renderer = fig.canvas.get_renderer()
    for columns in range(int(str(more.pop("ncol", len(names)))), 0, -1):
        legend = fig.legend(handles, names, **{"loc": "upper left", "bbox_to_anchor": (0, 1), "ncol": columns,
                                               "borderaxespad": 0.2, "columnspacing": 1.6, **more})
        if columns == 1 or legend.get_window_extent(renderer).width <= fig.bbox.width:
            break
        legend.remove()
    strip = (0.2 + 0.14 * (-(-len(names) // columns) - 1)) / fig.get_figheight()
    fig.get_layout_engine().set(rect=(0, 0, 1, 1 - strip))
