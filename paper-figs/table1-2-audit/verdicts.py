# SPDX-License-Identifier: BSD-2-Clause
"""Every count that Tables 1 and 2 and the slides print, against the audit's. Counts are compared as numbers:
they depend on the code that runs and not on how fast the machine is."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import select
from tables import Table
from verdicts import NOT_REPRODUCED, REPRODUCED, Published, Verdict, missing, number

Rows = Sequence[Mapping[str, Any]]

TITLES = {"copies": "copies", "context_switches": "context switches", "interrupts": "interrupts",
          "protocol_tasks": "protocol tasks", "serializations": "serializations",
          "deserializations": "deserializations"}
ARTIFACTS = {"table1": "knative", "table2": "skmsg", "slide-audit-existing": "knative", "slide-audit-spright": "skmsg"}
HEAD = ("copies", "context_switches", "interrupts", "protocol_tasks")      # go to the head of the report
OF_THE_SCHEDULE = ("context_switches", "interrupts")    # the rest depends on the code alone, whoever polls
HALF = 0.5      # a measured mean stands for the whole number that is nearest


def audit(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The audit's own JSON in a record; None: it did not run."""
    return record["output"][0] if record["output"] else None


def _first(records: Rows, system: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """(record, its audit) of a system; those whose self-checks all held come first."""
    rows = sorted(select(records, system=system, usable=False), key=lambda r: (not r["valid"], r["rep"]))
    return next(((r, audit(r)) for r in rows if audit(r) and audit(r)["counts"]), None)


def _doubt(counted: Mapping[str, Any], metric: str) -> str:
    """What makes a count useless, in words: a poller, or a self-check of the audit that failed; "": nothing.

    "copies: no variance" speaks of one quantity; unanswered requests and events without a segment, of all.
    """
    if counted["mode"] != "isolated" and metric in OF_THE_SCHEDULE:
        return f"{counted['mode']}: a poller's switches and interrupts belong to no request"
    for check in counted["checks"]:
        name = check["name"].partition(":")[0]
        if check["verdict"] == "fail" and (metric.startswith(name) or name in ("answers", "attribution")):
            return f"{check['name']}: {check['text']}"
    return ""


def _cell(counts: Mapping[str, Any], column: str) -> Mapping[str, Any] | None:
    """The audit's cell for a segment or sum of a published row."""
    cell = counts["segments"].get(column, counts.get(column))
    return cell if isinstance(cell, dict) and cell.get("mean") is not None else None


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """One verdict for each published count of the dataplanes that we audit."""
    out = []
    for row in reference:
        system = ARTIFACTS.get(row.artifact)
        if system is None or row.metric not in TITLES:
            continue
        column = row.condition.rpartition("segment=")[2]
        claim = f"{TITLES[row.metric]}, {row.system}, {'segment ' if column.isdigit() else ''}{column}"
        if row.system != system:
            out.append(missing(row.artifact, claim, row.value, f"{row.system} is not audited in this experiment.", [row]))
            continue
        found = _first(records, system)
        if found is None:
            reasons = sorted({r["skipped"] for r in select(records, system=system, usable=False) if r["skipped"]})
            out.append(missing(row.artifact, claim, row.value, "No audit: " + (reasons[0] if reasons else
                                                                              "none was run") + ".", [row]))
            continue
        out.append(_compare(row, claim, column, *found))
    return out


def _compare(row: Published, claim: str, column: str, record: Mapping[str, Any], counted: Mapping[str, Any]) -> Verdict:
    """The verdict on one count."""
    slide = row.artifact.startswith("slide")
    cell = _cell(counted["counts"][row.metric], "slide_total" if slide and column == "total" else column)
    if cell is None:
        return missing(row.artifact, claim, row.value, "The audit has no such segment for this dataplane.", [row])
    doubt = _doubt(counted, row.metric)
    if doubt:
        return missing(row.artifact, claim, f"{row.value} per request", "Too noisy to tell: the audit's self-check "
                       f"does not hold ({doubt}).", [row])
    low, high = cell["ci99"]
    try:
        expected = row.number
    except ValueError:
        return missing(row.artifact, claim, row.value, "Printed as a range or sequence.", [row])
    same = abs(cell["mean"] - expected) < HALF or (low is not None and low <= expected <= high)
    failed = [c["name"] for c in counted["checks"] if c["verdict"] == "fail"]
    sentence = "Counted the same." if same else cell["why"] or f"Counted {number(cell['mean'])}."
    if failed:
        sentence += f" (Self-checks of this audit that did not hold: {', '.join(failed)}.)"
    interval = f" ({number(low)} to {number(high)})" if low is not None and high - low > 0.005 else ""
    return Verdict(row.artifact, claim, f"{row.value} per request",
                   f"{cell['mean']:.3g}{interval}", REPRODUCED if same else NOT_REPRODUCED, sentence,
                   (record["run_id"],), (row,),
                   headline=(row.artifact, column) in (("table1", "total"), ("table2", "within")) and row.metric in HEAD)


def tables(records: Rows) -> list[tuple[str, Table]]:
    """Totals of every dataplane, as Table 1 counts them."""
    names = list(dict.fromkeys(r["label"].split("/")[1] for r in records))
    table = Table(("Events per request", *TITLES.values()),
                  caption="Client to last function, without the way back, as in Tables 1 and 2; one request at a time. "
                  "A dash: a self-check of the audit did not hold, or the count is of the schedule and a component polls.")
    for system in names:
        found = _first(records, system)
        if found:
            counts = found[1]["counts"]
            table.rows.append((found[1]["dataplane"], *("–" if _doubt(found[1], q) else f"{counts[q]['total']['mean']:.4g}" for q in TITLES)))
    return [("Totals per request", table)] if table.rows else []
