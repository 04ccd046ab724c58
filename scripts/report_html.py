# SPDX-License-Identifier: BSD-2-Clause
"""The report as one HTML page that needs nothing else."""
from __future__ import annotations

import html
import math
import re
from typing import Iterator, Mapping, Sequence

from figures import Drawn
from ledger import Entry
from markup import to_html
from report import (MEANING, METHOD, Report, artifact_title, checks, highlights, host_table, published_table, sections,
                    when)
from report_page import CSS, SCRIPT
from sweeps import crossing_sentences
from verdicts import KINDS, NOT_APPLICABLE, Verdict, counts, inputs_told

e = html.escape


def page(report: Report) -> str:
    """The whole page."""
    return "\n".join([
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f"<title>perhop: {e(report.profile)} report</title>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        "<meta name=color-scheme content='light dark'><link rel=icon href='data:,'>",
        f"<style>{CSS}</style></head><body><div class=sheet>", _contents(report), "<main>",
        *_masthead(report), *_in_short(report), *_ledger(report),
        *(part for d in report.drawn for part in _experiment(report, d)),
        *_rest(report), f"</main></div><script>{SCRIPT}</script></body></html>\n"])


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


def chip(kind: str) -> str:
    """A verdict as it is shown everywhere."""
    return f"<span class='chip {kind}'>{kind.replace('-', ' ')}</span>"


def bar(tally: Mapping[str, int]) -> str:
    """The share of each kind, as one bar."""
    return "<span class=bar aria-hidden=true>" + "".join(
        f"<i class={k} style='flex:{tally[k]}'></i>" for k in KINDS if tally[k]) + "</span>"


def _contents(report: Report) -> str:
    """The list of sections beside the page, on wide screens."""
    figures = "".join(f"<li><a href='#{e(d.experiment.name)}'>{e(d.experiment.title)}</a></li>" for d in report.drawn)
    rest = [("findings", "Findings")] * bool(report.findings) + [("checks", "Checks"), ("method", "Method"), ("host", "Host")]
    return ("<nav aria-label=Contents><ol><li><a href='#short'>In short</a></li><li><a href='#verdicts'>Every number</a></li></ol>"
            f"<p class=sub>Experiments</p><ol>{figures}</ol><p class=sub>More</p><ol>"
            + "".join(f"<li><a href='#{at}'>{name}</a></li>" for at, name in rest) + "</ol></nav>")


def _masthead(report: Report) -> Iterator[str]:
    tally = counts(report.entries)
    rows = report.loaded.records
    ran = [r for r in rows if r["skipped"] is None]
    host = next((r["host"] for r in rows if r["host"]), None) or {}
    yield "<header><h1>What each hop costs: the papers’ numbers, measured here</h1>"
    yield (f"<p class=lead>{len(report.entries)} numbers that papers and talks print on serverless dataplanes, each with a "
           "verdict from runs on this machine. Ratios, orders and counts are compared; another machine’s times are not.</p>")
    facts = [("profile", report.profile), ("measured", when(report) or "–"), ("runs", f"{len(ran)} of {len(rows)}"),
             ("CPUs", f"{host.get('cpus', '–')} × {host.get('cpu_model') or 'unknown'}"),
             ("Linux", host.get("kernel") or "–"), ("seed", str(report.seed))]
    yield "<ul class=meta>" + "".join(f"<li>{name} <b>{e(str(value))}</b></li>" for name, value in facts) + "</ul>"
    yield bar(tally)
    yield "<ul class=tally>" + "".join(
        f"<li><b>{tally[k]}</b>{chip(k)}<small>{e(MEANING[k])}</small></li>" for k in KINDS) + "</ul>"
    if inputs_told(report.entries):
        yield f"<p class=quiet>{e(inputs_told(report.entries))}</p>"
    yield ("<p class=quiet>Raw data: <a href=records.jsonl>records</a>, <a href=plan.json>plan</a>, "
           "<a href=verdicts.json>verdicts</a>, <a href=claims.json>claims</a>. The same as <a href=report.md>Markdown</a> "
           "and <a href=tables.tex>LaTeX tables</a>.</p></header>")


def _in_short(report: Report) -> Iterator[str]:
    """The headline table: what each experiment says, published beside measured."""
    shown = [(d, v) for d in report.drawn for v in highlights(d)]
    if not shown:
        return
    yield "<h2 id=short>In short</h2>"
    yield _claims([v for _, v in shown], {id(v): d.experiment.name for d, v in shown})


def _claims(verdicts: Sequence[Verdict], homes: Mapping[int, str]) -> str:
    """Published beside measured, with a picture of both where they are ratios."""
    axis = Axis.of(verdicts)
    out = ["<table class='stack claims'><thead><tr><th>Claim</th><th>Published</th><th>Measured here</th>"
           + (f"<th aria-hidden=true>{axis.head()}</th>" if axis else "") + "<th>Verdict</th></tr></thead><tbody>"]
    for v in verdicts:
        where = homes.get(id(v))
        source = f"<a href='#{e(where)}'>{e(artifact_title(v.artifact))}</a>" if where else e(artifact_title(v.artifact))
        picture = f"<td aria-hidden=true>{axis.draw(v)}</td>" if axis else ""
        out.append(f"<tr><td class=what>{e(v.claim)} <small>{source}</small></td><td class=num data-h=published>{e(v.published)}</td>"
                   f"<td class=measured data-h=measured>{e(v.measured)}</td>{picture}<td>{chip(v.kind)}</td></tr>")
    out.append("</tbody></table>")
    if axis:
        out.append("<p class=key aria-hidden=true><span><svg viewBox='0 0 24 12' class=forest><path class=pub d='M12 1l5 5-5 5-5-5z'/></svg>"
                   "published</span><span><svg viewBox='0 0 24 12' class=forest><path class=ci d='M1 6H23'/><circle class=our cx=12 "
                   "cy=6 r=3.5 /></svg>measured, 99 % interval</span><span>dashed: equal (1×)</span></p>")
    return "".join(out)


class Axis:
    """A logarithmic axis that all ratios of a table share."""

    WIDTH, EDGE = 208, 8

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = math.log10(low), math.log10(high)

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "Axis | None":
        """Over all ratios of `verdicts` and 1; None when there is none."""
        values = [x for v in verdicts if v.estimate is not None and v.expected for x in (v.expected, v.estimate.value) if x > 0]
        return cls(min(*values, 1) / 1.6, max(*values, 1) * 1.6) if values else None

    def x(self, value: float) -> float:
        """Where a ratio lies, clipped to the axis."""
        share = (math.log10(max(value, 1e-9)) - self.low) / (self.high - self.low)
        return round(self.EDGE + min(1.0, max(0.0, share)) * (self.WIDTH - 2 * self.EDGE), 1)

    def head(self) -> str:
        """The powers of ten that lie on the axis."""
        whole = range(math.ceil(self.low), math.floor(self.high) + 1)
        every = max(1, math.ceil(len(whole) / 5))
        return (f"<svg class=forest viewBox='0 0 {self.WIDTH} 14'>" + "".join(
            f"<text x={self.x(10.0 ** p)} y=11 text-anchor=middle>{10.0 ** p:g}×</text>" for p in whole if p % every == 0) + "</svg>")

    def draw(self, v: Verdict) -> str:
        """One row: interval, value, published; "" where there is no ratio."""
        if v.estimate is None or not v.expected:
            return ""
        at, pub = self.x(v.estimate.value), self.x(v.expected)
        ci = ""
        if v.estimate.low is not None and v.estimate.high is not None:
            ci = f"<path class=ci d='M{self.x(v.estimate.low)} 12H{self.x(v.estimate.high)}'/>"
        return (f"<svg class=forest viewBox='0 0 {self.WIDTH} 24' preserveAspectRatio='xMinYMid meet'>"
                f"<path class=axis d='M{self.EDGE} 12H{self.WIDTH - self.EDGE}'/><path class=one d='M{self.x(1)} 3V21'/>{ci}"
                f"<circle class=our cx={at} cy=12 r=4 /><path class=pub d='M{pub} 6.5l5.5 5.5-5.5 5.5-5.5-5.5z'/></svg>")


def _ledger(report: Report) -> Iterator[str]:
    """Every published number, folded by artifact; filters show themselves only where a script runs."""
    tally = counts(report.entries)
    total = len(report.entries)
    yield "<h2 id=verdicts>Every published number</h2>"
    yield ("<p class=quiet>One verdict each, in the order of the sources. A number stands with the claim that it was judged in: "
           "most are ratios of two.</p>")
    kinds = [("", "all", total, "")] + [(k, k.replace("-", " "), tally[k], MEANING[k]) for k in KINDS if tally[k]]
    yield ("<div class=filters role=group aria-label='Verdicts by kind' hidden>" + "".join(
        f"<button type=button data-kind='{k}' aria-pressed={'false' if k else 'true'}"
        + (f" title='{e(why)}'" if why else "") + f">{e(text)} <b>{n}</b></button>" for k, text, n, why in kinds)
        + "</div><div class=filters hidden><input class=search type=search placeholder='Search: skmsg, latency, fig 5…' "
        "aria-label='Search the published numbers'><button type=button class=fold>Unfold all</button></div>"
        "<p class='shown quiet' role=status></p>")
    groups: dict[str, list[Entry]] = {}
    for entry in report.entries:
        groups.setdefault(entry.row.artifact, []).append(entry)
    for artifact, entries in groups.items():
        mine = counts(entries)
        said = ", ".join(f"{mine[k]} {k.replace('-', ' ')}" for k in KINDS if mine[k])
        title = artifact_title(artifact)
        yield (f"<details class=group data-name='{e(title)} {e(artifact)}'><summary><b>{e(title)}</b>{bar(mine)}"
               f"<small class=quiet>{len(entries)} numbers: {said}</small></summary><table class=stack><thead><tr><th>Verdict</th>"
               "<th>Published</th><th>Measured here</th><th>Why</th></tr></thead><tbody>")
        yield from map(_entry, entries)
        yield "</tbody></table></details>"


def _entry(entry: Entry) -> str:
    row = entry.row
    what = ", ".join(p for p in (row.system, row.condition) if p)
    ids = ""
    if entry.run_ids:
        ids = (f"<details class=ids><summary>{len(entry.run_ids)} record{'s' if len(entry.run_ids) > 1 else ''}</summary><code>"
               + "</code> <code>".join(map(e, entry.run_ids)) + "</code></details>")
    claim = f"<br><small>{e(entry.claim)}</small>" if entry.claim else ""
    return (f"<tr data-verdict={entry.kind}><td>{chip(entry.kind)}</td><td data-h=published><b>{e(row.value)} {e(row.unit)}</b> "
            f"{e(row.metric)}<br><small>{e(what)}</small></td><td data-h=measured>{e(entry.measured)}{claim}</td>"
            f"<td>{e(entry.sentence)}{ids}</td></tr>")


def _experiment(report: Report, d: Drawn) -> Iterator[str]:
    """Figures, what was published, what was measured."""
    artifacts = ", ".join(artifact_title(a) for a in d.experiment.artifacts)
    yield (f"<section id='{e(d.experiment.name)}'><h2>{e(d.experiment.title)}</h2><p class=quiet>{e(artifacts)} · "
           f"<code>make reproduce ONLY={e(d.experiment.name)}</code></p>")
    for problem in d.problems:
        yield f"<p class=quiet>{e(problem)}.</p>"
    for i, (path, caption) in enumerate(d.figures):
        svg = recolour(path.read_text(encoding="utf-8"), f"{d.experiment.name}-{i}-")
        where = e(str(path.relative_to(report.folder).with_suffix("")))
        yield (f"<figure><div class='scroll plot' tabindex=0 role=img aria-label='{e(path.stem)}'>{svg}</div><figcaption>{e(caption)} "
               + " ".join(f"<a href='{where}.{s}'>{s.upper()}</a>" for s in ("pdf", "png", "svg")) + "</figcaption></figure>")
    judged = [v for v in d.verdicts if v.kind != NOT_APPLICABLE]
    if 0 < len(judged) <= 24:
        yield "<h3>Published and measured</h3>" + _claims(judged, {})
    tables = sections(d)
    for index, (heading, table) in enumerate(tables):
        inner = f"<h3>{e(heading)}</h3>{table.html()}" if index == 0 else \
            f"<details class=more><summary>{e(heading)}</summary>{table.html()}</details>"
        yield inner
    crossings = crossing_sentences(d.experiment, d.records)
    if crossings:
        yield "<details class=more><summary>Where the order changes</summary>" + _list(crossings) + "</details>"
    table = published_table(d)
    if table.rows:
        yield f"<details class=more><summary>As published: {len(table.rows)} numbers</summary>{table.html()}</details>"
    yield "</section>"


def _list(items: Sequence[str]) -> str:
    return "<ul class=plain>" + "".join(f"<li>{e(item)}</li>" for item in items) + "</ul>"


def _rest(report: Report) -> Iterator[str]:
    if report.findings:
        yield f"<section class=prose><h2 id=findings>What was found in the papers</h2>{to_html(report.findings)}</section>"
    yield "<h2 id=checks>Checks</h2>" + _list(checks(report))
    yield "<h2 id=method>Method</h2>" + _list(METHOD)
    yield "<h2 id=host>Host</h2>" + host_table(report.loaded.records).html()

