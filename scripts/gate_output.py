# SPDX-License-Identifier: BSD-2-Clause
"""A gate's verdict as a table for people, Markdown, JUnit XML, JSON, and a line of history."""
from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from typing import Any, Sequence
from xml.sax.saxutils import quoteattr

from gate_records import BETTER, NEW, OK, UNKNOWN, WORSE, Gate, Row

ORDER = (WORSE, UNKNOWN, BETTER, NEW, OK)


def exit_code(rows: Sequence[Row]) -> int:
    """1: a regression; 2: something could not be measured or decided, or nothing was judged; else 0."""
    verdicts = {r.verdict for r in rows}
    if WORSE in verdicts:
        return 1
    return 2 if UNKNOWN in verdicts or not rows else 0


def number(x: float | None) -> str:
    """As short as it can be read."""
    return "–" if x is None else f"{x:,.0f}" if abs(x) >= 10000 else f"{x:.4g}"


def shown(rows: Sequence[Row]) -> list[Row]:
    """Rows worth a line: what is not as before, and every measure of the soft tier; worst first."""
    kept = [r for r in rows if r.verdict != OK or r.tier != "hard"]
    return sorted(kept, key=lambda r: ORDER.index(r.verdict))


def headline(rows: Sequence[Row]) -> str:
    """One sentence."""
    code, count = exit_code(rows), Counter(r.verdict for r in rows)
    said = {0: "PASS", 1: "REGRESSION", 2: "COULD NOT DECIDE"}[code]
    parts = [f"{count[v]} {w}" for v, w in ((WORSE, "worse"), (UNKNOWN, "undecided"), (BETTER, "better"), (NEW, "new"),
                                            (OK, "as before")) if count[v]]
    return f"{said}: {', '.join(parts) or 'nothing was measured'}"


def against(gate: Gate) -> list[str]:
    """With what it was compared, and the commits in between."""
    plan = gate.plan
    what = f"base {plan['base']}" if plan["has_base"] else f"baseline {plan['baseline']}"
    if plan["from"] and plan["from"] != plan["base"]:
        what += f" of commit {plan['from'][:12]}"
    commits = [f"  {c}" for c in plan["commits"]]
    return [f"Compared with {what}; kernel class {plan['kernel_class']}",
            f"Commits since then{' (the last 20)' if len(commits) == 20 else ''}:" if commits else "No commits in between", *commits]


def text(gate: Gate, rows: Sequence[Row]) -> str:
    """The table for a terminal or a log."""
    lines = [headline(rows), *against(gate), ""]
    for r in shown(rows):
        change = f"{number(r.base)} → {number(r.now)}" if r.base is not None or r.now is not None else ""
        where = f" at {r.where}" if r.where else ""
        lines.append(f"{r.verdict:<11} {r.tier}  {r.cell}: {r.measure}{where}: {change}")
        if r.text:
            lines.append(f"{'':12}{r.text}")
    same = Counter(r.cell for r in rows if r.verdict == OK and r.tier == "hard")
    lines += [f"{'ok':<11} hard  {cell}: {n} counts as before" for cell, n in same.items()]
    if any(r.verdict == BETTER and r.tier == "hard" for r in rows) and not gate.plan["has_base"]:
        lines.append("Better than the baseline: `perhop gate --update-baseline` keeps it so.")
    if exit_code(rows) == 1 and not gate.plan["has_base"]:
        lines.append("If this is meant: `perhop gate --update-baseline` shows and writes the new counts; commit them with the change.")
    return "\n".join(lines) + "\n"


def markdown(gate: Gate, rows: Sequence[Row]) -> str:
    """For a comment on a change."""
    def cell(s: str) -> str:
        return s.replace("|", "\\|").replace("\n", " ")

    first, *commits = against(gate)
    out = [f"### perhop gate: {headline(rows)}", "", first, "",
           "| verdict | what | where | before | now | by how much |", "|---|---|---|---:|---:|---|"]
    for r in shown(rows):
        out.append("| " + " | ".join(cell(s) for s in (
            f"**{r.verdict}**" if r.verdict in (WORSE, UNKNOWN) else r.verdict, f"{r.cell}: {r.measure}", r.where, number(r.base),
            number(r.now), r.text)) + " |")
    out += ["", "<details><summary>Commits</summary>", "", *(f"* {c.strip()}" for c in commits[1:]), "", "</details>"]
    return "\n".join(out) + "\n"


def junit(rows: Sequence[Row]) -> str:
    """A test case for each measure: a regression is a failure, what could not be decided an error."""
    count = Counter(r.verdict for r in rows)
    out = ['<?xml version="1.0" encoding="UTF-8"?>',
           f'<testsuite name="perhop gate" tests="{len(rows)}" failures="{count[WORSE]}" errors="{count[UNKNOWN]}">']
    for r in rows:
        name = f"{r.measure} at {r.where}" if r.where else r.measure
        case = f"  <testcase classname={quoteattr(f'{r.tier}.{r.cell}')} name={quoteattr(f'{name} {r.key}'.strip())}"
        message = quoteattr(f"{number(r.base)} -> {number(r.now)}: {r.text}")
        if r.verdict in (WORSE, UNKNOWN):
            out.append(f"{case}><{'failure' if r.verdict == WORSE else 'error'} message={message}/></testcase>")
        else:
            out.append(f"{case}/>")
    return "\n".join([*out, "</testsuite>"]) + "\n"


def as_json(gate: Gate, rows: Sequence[Row]) -> dict[str, Any]:
    """Everything."""
    return {"schema_version": 1, "kind": "gate", "exit": exit_code(rows), "headline": headline(rows), "plan": gate.plan,
            "rows": [asdict(r) for r in rows]}


def history_line(gate: Gate, rows: Sequence[Row]) -> dict[str, Any]:
    """What a trend needs: each measure's value today."""
    shas = [j["record"]["host"]["git_sha"] for j in gate.records if j["side"] == "head" and j["record"] and "host" in j["record"]]
    return {"schema_version": 1, "kind": "gate-history", "time": gate.plan["started"], "commit": shas[0] if shas else None,
            "kernel_class": gate.plan["kernel_class"], "exit": exit_code(rows),
            "values": {f"{r.cell}: {r.key or r.measure}": r.now for r in rows if r.now is not None}}


def finish(gate: Gate, rows: Sequence[Row], args: argparse.Namespace) -> int:
    """Print the table, write the files. The exit code."""
    print(text(gate, rows), end="")
    if args.junit:
        args.junit.write_text(junit(rows))
    if args.json:
        args.json.write_text(json.dumps(as_json(gate, rows), indent=1, ensure_ascii=False) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(gate, rows))
    if args.history:
        with open(args.history, "a", encoding="utf-8") as file:
            file.write(json.dumps(history_line(gate, rows), ensure_ascii=False) + "\n")
    return exit_code(rows)
