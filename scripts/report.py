# SPDX-License-Identifier: BSD-2-Clause
"""The report: one HTML file that needs nothing else, the same as Markdown, and the tables in LaTeX.

The same records give the same bytes: no clock and no host name of the reader gets in.
"""
from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import records as rec
from figures import Drawn
from markup import to_html, to_markdown
from report_page import CSS, SCRIPT
from runner import write_whole
from stats import remarks
from sweeps import crossing_sentences
from tables import Table, output_table, point_table
from verdicts import KINDS, Verdict, counts, reference

FINDINGS = rec.ROOT / "docs" / "findings.md"
MEANING = {
    "reproduced": "the ratio or count agrees with the published one",
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
    left_out: Sequence[str] = ()        # what did not fit into the profile's time
    findings: str = ""          # Markdown: what is known of the papers, whatever this run gave

    @property
    def verdicts(self) -> list[Verdict]:
        """Of all experiments."""
        return [v for d in self.drawn for v in d.verdicts]

    def write(self) -> Path:
        """Write report.html, report.md, tables.tex and verdicts.json; returns the HTML's path."""
        write_whole(self.folder / "verdicts.json", json.dumps([asdict(v) for v in self.verdicts], indent=1,
                                                              ensure_ascii=False) + "\n")
        write_whole(self.folder / "report.md", markdown(self))
        write_whole(self.folder / "tables.tex", latex(self))
        write_whole(self.folder / "report.html", page(self))
        return self.folder / "report.html"


def recolour(svg: str, prefix: str) -> str:
    """An SVG file of style.save as an inline element: ids made unique, ink that follows the page's
    light or dark scheme, coordinates of two digits."""
    body = svg[svg.index("<svg"):]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<(title|desc)>.*?</\1>", "", body, flags=re.S)         # gnuplot's
    body = re.sub(r"""\bid=(["'])""", rf"id=\g<1>{prefix}", body)
    body = re.sub(r"""(href=["']#|url\(#)""", rf"\g<1>{prefix}", body)
    for colour, name in (("rgb(0,   0,   0)", "ink"), ("rgb( 92,  94, 102)", "quiet"), ("rgb(217, 218, 222)", "rule"),
                         ("black", "ink"), ("#1b1b1f", "ink"), ("#5c5e66", "quiet"), ("#d9dade", "rule"), ("#0072b2", "blue")):
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


def sections(d: Drawn) -> list[tuple[str, Table]]:
    """(heading, table) of an experiment: its own tables, the load points of runs, other commands."""
    out = list(d.tables)
    for point in points(d):
        table = point_table(d.experiment, d.records, point)
        if table.rows:
            table.caption = ""      # said once, at the head
            out.append((d.experiment.point_title(point), table))
    table = output_table(d.experiment, d.records)
    if table.rows:
        out.append((f"Runs of {d.experiment.name}", table))
    return out


def headline(d: Drawn) -> tuple[str, Table]:
    """What goes to the head of the report: the experiment's first own table, or its headline point."""
    if d.tables:
        return d.tables[0]
    return (d.experiment.point_title(d.experiment.headline),
            point_table(d.experiment, d.records, d.experiment.headline))


def host_table(records: Sequence[rec.Record]) -> Table:
    """Host and versions; a value that differs between records shows all of its forms."""
    hosts = [r["host"] for r in records if r["host"] and rec.is_run(r)] or [r["host"] for r in records if r["host"]]
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
        add(name, [h.get(key) for h in hosts])
    for name, key in (("Mitigations", "mitigations"), ("Hugepages", "hugepages"), ("Packages", "packages")):
        add(name, [pairs(h.get(key) or {}) for h in hosts])
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
    out += [f"Left out, to keep the profile's time: {phrase}." for phrase in report.left_out]
    little = [r["little"]["valid"] for r in ran if r.get("little") and r["little"]["valid"] is not None]
    if little:
        out.append(f"Little's law (N = X·R within 5 %) holds in {sum(little)} of {len(little)} runs.")
    said: dict[str, list[str]] = {}
    for record in good:
        for remark in remarks(record):
            said.setdefault(remark.split(":")[0], []).append(record["run_id"])
    for remark, ids in sorted(said.items()):
        out.append(f"{REMARKS.get(remark, remark)} ({len(ids)} runs): {', '.join(ids[:4])}"
                   + (" …" if len(ids) > 4 else "") + ".")
    out += [f"Records, {p}." for p in report.loaded.problems]
    out += list(report.problems)
    out += [f"{d.experiment.name}: {p}." for d in report.drawn for p in d.problems]
    return out


def tally(items: Any) -> list[tuple[str, int]]:
    """Distinct texts with how often, most frequent first."""
    seen: dict[str, int] = {}
    for item in items:
        seen[item] = seen.get(item, 0) + 1
    return sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))


# What stats.remarks says of single runs, as it is said of many.
REMARKS = {
    "errors": "Valid, with some errors",
    "missed sends": "Valid, with sends that were missed",
    "at the offered ceiling": "Throughput is the offered load, not a capacity",
    "no steady part in the measured series": "Throughput never settled",
}

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
            "<a href=plan.json>plan.json</a>, <a href=verdicts.json>verdicts.json</a>. Also as <a href=report.md>Markdown</a> "
            "and <a href=tables.tex>LaTeX tables</a>.</p>"]
    for d in report.drawn:
        where, table = headline(d)
        if table.rows:
            part.append(f"<h2>{e(d.experiment.title)}</h2><p>{e(where)}</p>"
                        + table.html())
    if report.verdicts:
        part.append("<h2 id=verdicts>Verdicts</h2>" + _filters(report.verdicts, tally_))
        part.append("<table class=verdicts><thead><tr><th>Verdict</th><th>Published</th><th>Measured</th>"
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
        table = published_table(d)
        if table.rows:
            part.append("<h3>As published</h3>" + table.html())
        crossings = crossing_sentences(d.experiment, d.records)
        if crossings:
            part.append("<h3>Where the order changes</h3><ul>" + "".join(f"<li>{e(c)}</li>" for c in crossings)
                        + "</ul>")
        for heading, table in sections(d):
            part.append(f"<h3>{e(heading)}</h3>" + table.html())
    if report.findings:
        part.append("<h2 id=findings>What was found in the papers</h2>" + to_html(report.findings))
    part.append("<h2>Checks</h2><ul>" + "".join(f"<li>{e(c)}</li>" for c in checks(report)) + "</ul>")
    part.append("<h2>Method</h2><ul>" + "".join(f"<li>{e(m)}</li>" for m in METHOD) + "</ul>")
    part.append("<h2>Host</h2>" + host_table(report.loaded.records).html())
    part.append(f"</main><script>{SCRIPT}</script></body></html>\n")
    return "\n".join(part)


def _filters(verdicts: Sequence[Verdict], tally_: Mapping[str, int]) -> str:
    """Two rows of buttons, by kind and by artifact; they show themselves only where a script runs."""
    e = html.escape
    artifacts = dict.fromkeys(v.artifact for v in verdicts)
    rows = [("kind", [("", "all", len(verdicts), "")] + [(k, k, n, MEANING[k]) for k, n in tally_.items() if n])]
    if len(artifacts) > 1:
        rows.append(("artifact", [("", "every artifact", len(verdicts), "")]
                     + [(a, a, sum(v.artifact == a for v in verdicts), "") for a in artifacts]))
    out = []
    for name, buttons in rows:
        out.append(f"<div class=filters role=group aria-label='Verdicts by {name}' data-by={name} hidden>")
        out += [f"<button type=button aria-pressed={'false' if value else 'true'} data-value='{e(value)}'"
                + (f" title='{e(why)}'" if why else "") + f">{e(text)} <b>{n}</b></button>"
                for value, text, n, why in buttons]
        out.append("</div>")
    return "".join(out) + "<p class=shown role=status></p>"


def _verdict(v: Verdict) -> str:
    """One row; its records fold out."""
    e = html.escape
    ids = ""
    if v.run_ids:
        ids = (f"<details><summary>{len(v.run_ids)} records</summary><code>"
               + "</code> <code>".join(map(e, v.run_ids)) + "</code></details>")
    return (f"<tr data-kind={v.kind} data-artifact='{e(v.artifact)}'><td data-h=Verdict><span class='badge {v.kind}'>{v.kind}</span></td>"
            f"<td data-h=Published><b>{e(v.published)}</b> {e(v.claim)} <small>{e(v.artifact)}</small></td>"
            f"<td data-h=Measured>{e(v.measured)}</td><td data-h=Why>{e(v.sentence)}{ids}</td></tr>")


def markdown(report: Report) -> str:
    """The same as Markdown."""
    out = ["# What each hop costs: the papers' numbers, measured here", "",
           f"Profile **{report.profile}**, seed {report.seed}. {checks(report)[0]} "
           "Raw: [records.jsonl](records.jsonl), [plan.json](plan.json).", ""]
    for d in report.drawn:
        where, table = headline(d)
        if table.rows:
            out += [f"## {d.experiment.title}", "", where, "", table.markdown()]
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
        if published_table(d).rows:
            out += ["### As published", "", published_table(d).markdown()]
        crossings = crossing_sentences(d.experiment, d.records)
        if crossings:
            out += ["### Where the order changes", "", *(f"- {c}" for c in crossings), ""]
        for heading, table in sections(d):
            out += [f"### {heading}", "", table.markdown()]
    if report.findings:
        out += ["## What was found in the papers", "", to_markdown(report.findings), ""]
    out += ["## Checks", "", *(f"- {c}" for c in checks(report)), "", "## Method", "",
            *(f"- {m}" for m in METHOD), "", "## Host", "", host_table(report.loaded.records).markdown()]
    return "\n".join(out)


def latex(report: Report) -> str:
    """The verdicts and every table (booktabs)."""
    out = ["% \\usepackage{booktabs,textcomp,longtable}"]
    if report.verdicts:
        table = Table(("Artifact", "Claim", "Published", "Measured", "Verdict"), numeric=9)
        table.rows = [(v.artifact, v.claim, v.published, v.measured, v.kind) for v in report.verdicts]
        out += ["% verdicts", table.latex()]
    for d in report.drawn:
        for heading, table in sections(d):
            out += [f"% {d.experiment.name}: {heading}", table.latex()]
    return "\n".join(out)
