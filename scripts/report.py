# SPDX-License-Identifier: BSD-2-Clause
"""The report: one HTML file that needs nothing else, the same as Markdown, and the tables in LaTeX.

The same records give the same bytes: no clock and no host name of the reader gets in.
"""
from __future__ import annotations

import json
import re
from functools import cached_property
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Mapping, Sequence

import records as rec
from figures import Drawn
from ledger import Entry, ledger
from markup import to_markdown
from runner import LATE, REPORT, write_whole
from stats import remarks
from sweeps import crossing_sentences
from tables import Table, output_table, point_table
from verdicts import KINDS, NOT_APPLICABLE, Verdict, counts, inputs_told, reference

FINDINGS = rec.ROOT / "docs" / "findings.md"
MEANING = {
    "reproduced": "the ratio, count or order is the published one",
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
    # artifact -> folders that reproduce it, of this run or not
    homes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def claims(self) -> list[Verdict]:
        """What the experiments judged."""
        return [v for d in self.drawn for v in d.verdicts]

    @cached_property
    def entries(self) -> list[Entry]:
        """Every published number with its one verdict."""
        return ledger(reference(), {d.experiment.name: d.verdicts for d in self.drawn}, self.homes)

    def write(self) -> Path:
        """Write report.html, report.md, tables.tex, verdicts.json and claims.json; returns the HTML's path."""
        from report_html import page        # it needs what is defined here
        for name, content in (("verdicts.json", [e.as_json() for e in self.entries]),
                              ("claims.json", [claim_json(v) for v in self.claims])):
            write_whole(self.folder / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        write_whole(self.folder / "report.md", markdown(self))
        write_whole(self.folder / "tables.tex", latex(self))
        write_whole(self.folder / REPORT, page(self))
        return self.folder / REPORT


def claim_json(v: Verdict) -> dict[str, Any]:
    """For claims.json."""
    keys = ("artifact", "claim", "published", "measured", "kind", "sentence", "run_ids", "expected")
    return {**{k: getattr(v, k) for k in keys}, "estimate": asdict(v.estimate) if v.estimate else None}


def artifact_title(artifact: str) -> str:
    """'Table 1', 'Fig 5', 'Slides, sidecar'… for an artifact's name."""
    match = re.fullmatch(r"(table|fig|sec)([\d.]+)", artifact)
    if match:
        return {"table": "Table", "fig": "Fig", "sec": "Section"}[match[1]] + f" {match[2]}"
    first, _, rest = artifact.replace("slide", "slides", 1).partition("-")
    return first.capitalize() + (f", {rest.replace('-', ' ')}" if rest else "")


def highlights(d: Drawn) -> list[Verdict]:
    """What of an experiment goes to the head of the report: what its verdicts.py flags, else its first
    ratios that could be judged, else the first three claims that could."""
    judged = [v for v in d.verdicts if v.kind != NOT_APPLICABLE]
    return [v for v in judged if v.headline] or [v for v in judged if v.estimate is not None][:3] or judged[:3]


def when(report: Report) -> str:
    """The day on which the first record was made; no other clock gets into a report."""
    times = sorted(r["time"] for r in report.loaded.records if r.get("time"))
    return times[0][:10] if times else ""


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


def claims_table(d: Drawn) -> Table:
    """What an experiment judged: published beside measured."""
    table = Table(("Artifact", "Claim", "Published", "Measured", "Verdict"), numeric=9)
    table.rows = [(artifact_title(v.artifact), v.claim, v.published, v.measured, v.kind) for v in d.verdicts]
    return table


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
    late = [r for r in rows if (r["skipped"] or "").startswith(LATE)]
    if report.left_out:
        out.append(f"Left out of the plan, to keep the profile's time: {'; '.join(report.left_out)}.")
    if late:
        cells = tally("/".join(r["label"].split("/")[:3:2]) for r in late)
        out.append("Dropped while running, for the same reason: " + ", ".join(f"{what} ({n} runs)" for what, n in cells) + ".")
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
    "Verdicts compare ratios and orders, never times and throughputs of another machine. A ratio is reproduced when its "
    "direction is shown, it is within a factor of 2 of the published one, and no difference of more than 25 % from that "
    "is shown at 99 %.",
)


def markdown(report: Report) -> str:
    """The same as Markdown."""
    out = ["# What each hop costs: the papers' numbers, measured here", "",
           f"Profile **{report.profile}**, seed {report.seed}. {checks(report)[0]} "
           "Raw: [records.jsonl](records.jsonl), [plan.json](plan.json), [verdicts.json](verdicts.json).", ""]
    shown = [(d, v) for d in report.drawn for v in highlights(d)]
    if shown:
        table = Table(("Claim", "Artifact", "Published", "Measured", "Verdict"), numeric=9)
        table.rows = [(v.claim, artifact_title(v.artifact), v.published, v.measured, v.kind) for _, v in shown]
        out += ["## In short", "", table.markdown()]
    table = Table(("Verdict", "Artifact", "System", "Condition", "Metric", "Published", "Compared as", "Measured", "Why",
                   "Records"), numeric=99)
    table.rows = [(e.kind, e.row.artifact, e.row.system or "–", e.row.condition or "–", e.row.metric,
                   f"{e.row.value} {e.row.unit}", e.claim or "–", e.measured, e.sentence,
                   f"{len(e.run_ids)}" if e.run_ids else "–") for e in report.entries]
    tally_ = counts(report.entries)
    out += ["## Verdicts", "", f"{len(report.entries)} published numbers: "
            + ", ".join(f"{tally_[k]} {k} ({MEANING[k]})" for k in KINDS if tally_[k])
            + ". " + " ".join(filter(None, (inputs_told(report.entries), "Records are named in verdicts.json."))),
            "", table.markdown()]
    for d in report.drawn:
        out += [f"## {d.experiment.title}: figures and published numbers", ""]
        for path, caption in d.figures:
            where = path.relative_to(report.folder).with_suffix(".png")
            out += [f"![{path.stem}]({where})", "", caption, ""]
        if d.verdicts:
            out += ["### Published and measured", "", claims_table(d).markdown()]
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
    for d in report.drawn:
        if d.verdicts:
            out += [f"% {d.experiment.name}: published and measured", claims_table(d).latex()]
    table = Table(("Artifact", "System", "Metric", "Published", "Verdict"), numeric=9)
    table.rows = [(e.row.artifact, e.row.system, e.row.metric, f"{e.row.value} {e.row.unit}", e.kind) for e in report.entries]
    out += ["% verdicts", table.latex()]
    for d in report.drawn:
        for heading, table in sections(d):
            out += [f"% {d.experiment.name}: {heading}", table.latex()]
    return "\n".join(out)
