# SPDX-License-Identifier: BSD-2-Clause
"""The report: one HTML file that needs nothing else, the same as Markdown, and the tables in LaTeX.

The same records give the same bytes: no clock and no host name of the reader gets in.
"""
from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import records as rec
from figures import Drawn
from report_page import CSS, SCRIPT
from runner import write_whole
from stats import steady_from
from tables import Table, point_table
from verdicts import KINDS, Verdict, counts, reference

MEANING = {
    "reproduced": "the ratio agrees with the published one",
    "trend-only": "the same direction, another size",
    "not-reproduced": "no difference, or the opposite",
    "not-applicable-here": "nothing to compare with here",
    "paper-inconsistent": "the number contradicts its own set-up",
}


@dataclass
class Report:
    """All that a report tells. Paths are relative to `folder`, where it is written."""

    folder: Path
    profile: str
    seed: int
    loaded: rec.Loaded
    drawn: Sequence[Drawn]
    problems: Sequence[str]     # of the whole: configuration files that could not be read

    @property
    def verdicts(self) -> list[Verdict]:
        """Of all experiments."""
        return [v for d in self.drawn for v in d.verdicts]

    def write(self) -> Path:
        """Write report.html, report.md and tables.tex; returns the HTML's path."""
        write_whole(self.folder / "report.md", markdown(self))
        write_whole(self.folder / "tables.tex", latex(self))
        write_whole(self.folder / "report.html", page(self))
        return self.folder / "report.html"


def recolour(svg: str, prefix: str) -> str:
    """An SVG file of style.save as an inline element: ids made unique, ink that follows the page's
    light or dark scheme, coordinates of two digits."""
    body = svg[svg.index("<svg"):]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", body)
    for colour, name in (("#1b1b1f", "ink"), ("#5c5e66", "quiet"), ("#d9dade", "rule"), ("#0072b2", "blue")):
        body = body.replace(colour, f"var(--{name})")
    # Outlines only: a transform's scale of 0.0156 must keep its digits.
    body = re.sub(r'\bd="[^"]*"', lambda d: re.sub(r"(\.\d\d)\d+", r"\1", d.group()), body)
    size = re.search(r'<svg[^>]*?\bwidth="([\d.]+)pt"', body)
    width = float(size.group(1)) * 4 / 3 if size else 480
    body = re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", body, count=1)
    return body.replace("<svg", f'<svg aria-hidden=true class={"wide" if width > 400 else "narrow"} style="width:{width * 1.35:.0f}px"', 1)


def published_table(d: Drawn) -> Table:
    """The published numbers of an experiment's artifacts."""
    table = Table(("Artifact", "System", "Condition", "Metric", "Published", "Source and note"), numeric=9)
    for row in reference():
        if row.artifact in d.experiment.artifacts:
            table.rows.append((row.artifact, row.system, row.condition or "–", row.metric,
                               f"{row.value} {row.unit}", row.source + (f"; {row.note}" if row.note else "")))
    return table


def points(d: Drawn) -> list[str]:
    """Load points that have records, in the order of experiment.conf."""
    there = set(rec.names(d.records, 2))
    return [p for p in d.experiment.points if p in there]


def host_table(records: Sequence[rec.Record]) -> Table:
    """Host and versions; a value that differs between records shows all of its forms."""
    hosts = [r["host"] for r in records if r["host"]]
    table = Table(("Host", ""), numeric=9)

    def add(name: str, values: Sequence[Any]) -> None:
        forms = sorted({"–" if v is None else str(v) for v in values})
        table.rows.append((name, "; ".join(forms[:4]) + (" …" if len(forms) > 4 else "")))

    if not hosts:
        return table
    for name, key in (("Kernel", "kernel"), ("CPU", "cpu_model"), ("CPUs", "cpus"), ("SMT", "smt"),
                      ("NUMA nodes", "numa_nodes"), ("Memory, KiB", "memory_kib"), ("Hypervisor", "hypervisor"),
                      ("Governor", "governor"), ("Clock source", "clocksource"), ("Compiler", "compiler"),
                      ("Flags", "cflags"), ("git", "git_sha"), ("Uncommitted changes", "git_dirty"),
                      ("libbpf", "libbpf"), ("Command line", "cmdline")):
        add(name, [h[key] for h in hosts])
    for name, key in (("Mitigations", "mitigations"), ("Hugepages", "hugepages"), ("Packages", "packages")):
        add(name, [pairs(h[key]) for h in hosts])
    return table


def pairs(mapping: Mapping[str, Any]) -> str:
    """'a 1, b 2' of a mapping."""
    return ", ".join(f"{k} {'–' if v is None else v}" for k, v in sorted(mapping.items())) or "–"


def checks(report: Report) -> list[str]:
    """What was checked about the runs, a sentence each."""
    rows = report.loaded.records
    ran = [r for r in rows if r["skipped"] is None]
    good = [r for r in ran if r["valid"]]
    out = [f"{len(rows)} records: {len(good)} valid, {len(ran) - len(good)} invalid, {len(rows) - len(ran)} skipped."]
    for reason, n in tally(reason for r in ran for reason in r["invalid_reasons"]):
        out.append(f"Invalid, {n} runs: {reason}")
    for reason, n in tally(r["skipped"] for r in rows if r["skipped"] is not None):
        out.append(f"Skipped, {n} runs: {reason}")
    for code, n in tally(m.split(":")[0] for r in ran for m in r["marks"]):
        out.append(f"Marked “{code}”, {n} runs; they count, the marks are in the records.")
    little = [r["little"]["valid"] for r in ran if r["little"] and r["little"]["valid"] is not None]
    if little:
        out.append(f"Little's law (N = X·R within 5 %) holds in {sum(little)} of {len(little)} runs.")
    unsteady = [r["run_id"] for r in good if not steady(r)]
    if unsteady:
        out.append(f"No steady part in the measured series of {len(unsteady)} runs: {', '.join(unsteady[:5])}"
                   + (" …" if len(unsteady) > 5 else "") + ".")
    out += [f"Records, {p}." for p in report.loaded.problems]
    out += list(report.problems)
    out += [f"{d.experiment.name}: {p}." for d in report.drawn for p in d.problems]
    return out


def steady(record: rec.Record) -> bool:
    """Whether throughput settled (MSER); a series too short to tell counts as steady."""
    if not record["series"]:
        return True
    step = record["series"]["step_ms"] / 1e3
    counts_ = [p[0] for p in record["series"]["points"][int(record["load"]["warmup_s"] / step):]]
    return len(counts_) < 8 or steady_from(counts_) is not None


def tally(items: Any) -> list[tuple[str, int]]:
    """Distinct texts with how often, most frequent first."""
    seen: dict[str, int] = {}
    for item in items:
        seen[item] = seen.get(item, 0) + 1
    return sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))


METHOD = (
    "Systems are interleaved and shuffled within each repetition; a new deployment is started for every run "
    "and nothing else runs beside it.",
    "The generator is a process of its own on the same machine. Response time counts from the intended start of "
    "a request, so it is free of coordinated omission.",
    "Intervals are 99 %: Student's t for means, a studentized bootstrap (seeded) for ratios. "
    "Outliers are flagged and kept.",
    "Verdicts compare ratios and orders: a ratio is reproduced when the published one lies in our interval or "
    "within 25 % of ours; times and throughputs of another machine are not compared.",
)


def page(report: Report) -> str:
    """The HTML page."""
    e = html.escape
    tally_ = counts(report.verdicts)
    part = [f"<!doctype html><html lang=en><head><meta charset=utf-8><title>perhop: {e(report.profile)} report</title>"
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            "<meta name=color-scheme content='light dark'><link rel=icon href='data:,'>"
            f"<style>{CSS}</style></head><body><main>",
            "<h1>What each hop costs: the papers' numbers, measured here</h1>",
            f"<p class=lead>Profile <b>{e(report.profile)}</b>, seed {report.seed}, "
            f"{e(checks(report)[0])} Verdicts name the records behind them. Raw: <a href=records.jsonl>records.jsonl</a>, "
            "<a href=plan.json>plan.json</a>.</p>"]
    for d in report.drawn:
        table = point_table(d.experiment, d.records, d.experiment.headline)
        if table.rows:
            part.append(f"<h2>{e(d.experiment.title)}</h2><p>{e(d.experiment.point_title(d.experiment.headline))}</p>"
                        + table.html())
    if report.verdicts:
        part.append("<h2>Verdicts</h2><div class=filters role=group aria-label='Show verdicts'>"
                    "<button type=button aria-pressed=true data-kind=''>all "
                    f"<b>{len(report.verdicts)}</b></button>")
        part += [f"<button type=button aria-pressed=false data-kind={k} title='{e(MEANING[k])}'>{k} "
                 f"<b>{n}</b></button>" for k, n in tally_.items() if n]
        part.append("</div><table class=verdicts><thead><tr><th>Verdict</th><th>Published</th><th>Measured</th>"
                    "<th>Why</th></tr></thead><tbody>")
        part += [_verdict(v) for v in report.verdicts]
        part.append("</tbody></table>")
    for d in report.drawn:
        part.append(f"<h2 id='{e(d.experiment.name)}'>{e(d.experiment.title)}: figures and published numbers</h2>")
        for i, (path, caption) in enumerate(d.figures):
            svg = recolour(path.read_text(encoding="utf-8"), f"{d.experiment.name}-{i}-")
            where = path.relative_to(report.folder).with_suffix("")
            part.append(f"<figure><div class='scroll plot' tabindex=0>{svg}</div><figcaption>{e(caption)} "
                        f"<a href='{e(str(where))}.pdf'>PDF</a> <a href='{e(str(where))}.png'>PNG</a> "
                        f"<a href='{e(str(where))}.svg'>SVG</a></figcaption></figure>")
        for point in points(d):
            part.append(f"<h3>{e(d.experiment.point_title(point))}</h3>"
                        + point_table(d.experiment, d.records, point).html())
        table = published_table(d)
        if table.rows:
            part.append("<h3>As published</h3>" + table.html())
    part.append("<h2>Checks</h2><ul>" + "".join(f"<li>{e(c)}</li>" for c in checks(report)) + "</ul>")
    part.append("<h2>Method</h2><ul>" + "".join(f"<li>{e(m)}</li>" for m in METHOD) + "</ul>")
    part.append("<h2>Host</h2>" + host_table(report.loaded.records).html())
    part.append(f"</main><script>{SCRIPT}</script></body></html>\n")
    return "\n".join(part)


def _verdict(v: Verdict) -> str:
    """One row; its records fold out."""
    e = html.escape
    ids = ""
    if v.run_ids:
        ids = (f"<details><summary>{len(v.run_ids)} records</summary><code>"
               + "</code> <code>".join(map(e, v.run_ids)) + "</code></details>")
    return (f"<tr data-kind={v.kind}><td data-h=Verdict><span class='badge {v.kind}'>{v.kind}</span></td>"
            f"<td data-h=Published><b>{e(v.published)}</b> {e(v.claim)} <small>{e(v.artifact)}</small></td>"
            f"<td data-h=Measured>{e(v.measured)}</td><td data-h=Why>{e(v.sentence)}{ids}</td></tr>")


def markdown(report: Report) -> str:
    """The same as Markdown."""
    out = ["# What each hop costs: the papers' numbers, measured here", "",
           f"Profile **{report.profile}**, seed {report.seed}. {checks(report)[0]} "
           "Raw: [records.jsonl](records.jsonl), [plan.json](plan.json).", ""]
    for d in report.drawn:
        table = point_table(d.experiment, d.records, d.experiment.headline)
        if table.rows:
            out += [f"## {d.experiment.title}", "", d.experiment.point_title(d.experiment.headline), "",
                    table.markdown()]
    if report.verdicts:
        table = Table(("Verdict", "Artifact", "Claim", "Published", "Measured", "Why", "Records"), numeric=9)
        table.rows = [(v.kind, v.artifact, v.claim, v.published, v.measured, v.sentence,
                       f"{len(v.run_ids)}" if v.run_ids else "–") for v in report.verdicts]
        tally_ = counts(report.verdicts)
        out += ["## Verdicts", "", ", ".join(f"{tally_[k]} {k} ({MEANING[k]})" for k in KINDS if tally_[k]) + ".", "",
                table.markdown()]
    for d in report.drawn:
        out += [f"## {d.experiment.title}: figures and published numbers", ""]
        for path, caption in d.figures:
            where = path.relative_to(report.folder).with_suffix(".png")
            out += [f"![{path.stem}]({where})", "", caption, ""]
        for point in points(d):
            out += [f"### {d.experiment.point_title(point)}", "",
                    point_table(d.experiment, d.records, point).markdown()]
        if published_table(d).rows:
            out += ["### As published", "", published_table(d).markdown()]
    out += ["## Checks", "", *(f"- {c}" for c in checks(report)), "", "## Method", "",
            *(f"- {m}" for m in METHOD), "", "## Host", "", host_table(report.loaded.records).markdown()]
    return "\n".join(out)


def latex(report: Report) -> str:
    """Headline and point tables (booktabs)."""
    out = ["% \\usepackage{booktabs,textcomp}"]
    for d in report.drawn:
        for point in points(d):
            out += [f"% {d.experiment.name}, {point}: {d.experiment.point_title(point)}",
                    point_table(d.experiment, d.records, point).latex()]
    return "\n".join(out)
