# SPDX-License-Identifier: BSD-2-Clause
"""Tables once, in three forms: HTML, Markdown and LaTeX. And the tables that every experiment gets."""
from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Sequence

import records as rec
from experiment import Experiment
from stats import Estimate, outliers, dig, ratio_interval, summarise
from verdicts import number, with_half


@dataclass
class Table:
    """Cells are plain text. Columns from `numeric` on are flush right, but for a last one of words."""

    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    numeric: int = 1
    caption: str = ""
    words: bool = False     # the last column is text

    def right(self, column: int) -> bool:
        """Whether a column is set flush right."""
        return column >= self.numeric and not (self.words and column == len(self.head) - 1)

    def html(self) -> str:
        """A table inside its own scroll container, its caption below."""
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(
                f'<{tag}{" class=n" if self.right(i) else ""}>{html.escape(c)}</{tag}>'
                for i, c in enumerate(cells)) + "</tr>"
        caption = f"<p class=caption>{html.escape(self.caption)}</p>" if self.caption else ""
        return ("<div class=scroll tabindex=0><table><thead>" + row(self.head, "th") + "</thead><tbody>"
                + "".join(row(r, "td") for r in self.rows) + f"</tbody></table></div>{caption}")

    def markdown(self) -> str:
        """A pipe table."""
        def row(cells: Sequence[str]) -> str:
            return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"
        rule = ["---:" if self.right(i) else "---" for i in range(len(self.head))]
        lines = [row(self.head), row(rule), *(row(r) for r in self.rows)]
        return "\n".join(lines) + (f"\n\n{self.caption}" if self.caption else "") + "\n"

    def latex(self) -> str:
        """A booktabs tabular."""
        columns = "".join("r" if self.right(i) else "l" for i in range(len(self.head)))
        lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", " & ".join(map(tex, self.head)) + " \\\\",
                 "\\midrule", *(" & ".join(map(tex, r)) + " \\\\" for r in self.rows), "\\bottomrule",
                 "\\end{tabular}"]
        return "\n".join(lines) + "\n"


_TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
        "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "±": r"$\pm$",
        "µ": r"\textmu{}", "–": "--", "…": r"\ldots{}", "≤": r"$\le$", "≥": r"$\ge$"}


def tex(text: str) -> str:
    """Text for LaTeX."""
    return "".join(_TEX.get(c, c) for c in text)


def plus_minus(e: Estimate | None, scale: float = 1.0) -> str:
    """'1,234 ± 56', scaled; without an interval the mean alone; a dash when nothing was measured."""
    if e is None:
        return "–"
    if e.half_width is None:
        return number(e.value * scale)
    return with_half(e.value * scale, e.half_width * scale)


HEAD = ("System", "n", "RPS", "vs base", "p50 ms", "p95 ms", "p99 ms", "CCR µs", "CPU %", "Notes")


def point_table(experiment: Experiment, records: Sequence[rec.Record], point: str) -> Table:
    """All systems of an experiment at one load point: means with 99 % t intervals over repetitions."""
    table = Table(HEAD, words=True, caption="Mean ± half of the 99 % t interval over n runs; latency is response time "
                  "(from the intended start); no ± below 3 runs; CCR: CPU time of all components per request; CPU: whole node "
                  "less the generator, 100 % = one core; "
                  f"vs base: ratio to {experiment.system_name(experiment.baseline)}.")
    base = [r["rps"] for r in rec.select(records, system=experiment.baseline, point=point) if rec.is_run(r)]
    for system in experiment.systems:
        every = [r for r in rec.select(records, system=system, point=point, usable=False) if rec.is_run(r)]
        if not every:
            continue
        good = rec.select(every)
        rps = [r["rps"] for r in good]
        versus = "–"
        if rps and base:
            ratio = ratio_interval(rps, base)
            versus = f"{number(ratio.value)}×"
        table.rows.append((
            experiment.system_name(system), f"{len(good)}", plus_minus(summarise(good, "rps")), versus,
            *(plus_minus(summarise(good, f"response_us.{p}"), 1e-3) for p in ("p50", "p95", "p99")),
            plus_minus(summarise(good, "ccr_us")), plus_minus(summarise(good, "node_cpu_percent")),
            notes(every)))
    return table


def output_table(experiment: Experiment, records: Sequence[rec.Record]) -> Table:
    """Cells whose `command` is another one than run: how often, how long, and what to know."""
    table = Table(("System", "Load point", "n", "s per run", "Notes"), numeric=2, words=True)
    for system in experiment.systems:
        for point in experiment.points:
            every = [r for r in rec.select(records, system=system, point=point, usable=False) if not rec.is_run(r)]
            if every:
                good = rec.select(every)
                table.rows.append((experiment.system_name(system), experiment.point_title(point), f"{len(good)}",
                                   plus_minus(summarise(good, "elapsed_s")), notes(every)))
    return table


def notes(every: Sequence[rec.Record]) -> str:
    """What a reader must know about these runs: skipped, invalid, marked, outliers."""
    out = []
    reasons = sorted({r["skipped"] for r in every if r["skipped"] is not None})
    if reasons:
        out.append("skipped: " + "; ".join(reasons))
    invalid = [r for r in every if r["skipped"] is None and not r["valid"]]
    if invalid:
        why = sorted({reason for r in invalid for reason in r["invalid_reasons"]})
        out.append(f"{len(invalid)} invalid: {why[0]}" + (" …" if len(why) > 1 else ""))
    good = rec.select(every)
    marks = sorted({m.split(":")[0] for r in good for m in r["marks"]})
    if marks:
        out.append(f"{sum(bool(r['marks']) for r in good)} marked ({', '.join(marks)})")
    rps = [v for v in (dig(r, "rps") for r in good) if v is not None]
    flagged = len(outliers(rps)) if rps else 0
    if flagged:
        out.append(f"{flagged} outlier{'s' if flagged > 1 else ''} in RPS, kept")
    return "; ".join(out)
