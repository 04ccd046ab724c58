# SPDX-License-Identifier: BSD-2-Clause
"""Tables 3 to 6 and section 4.1 against what the workloads declare: inputs, so they must be equal.

Table 3 prints milliseconds; the authors' public configuration sleeps the same digits in microseconds. docs/findings.md
tells how that was found.
"""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import run_ids, select
from verdicts import INCONSISTENT, NOT_REPRODUCED, REPRODUCED, Published, Verdict, missing, number

Rows = Sequence[Mapping[str, Any]]

ARTIFACTS = ("table3", "table4", "table5", "table6", "sec4.1")
# The application that an artifact describes, and what we call a function that is published under another name.
SPEC = {"table3": "boutique:sequences", "table4": "boutique:sequences", "table5": "parking", "table6": "parking",
        "sec4.1": "motion"}
NAMES = {"product-catalog": "catalog"}
FUNCTIONS = {"table4": "table3", "table6": "table5"}        # whose rows number a sequence's functions


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """One verdict per row."""
    rows = select(records, usable=False)
    listed = next((r["output"][0] for r in rows if r["output"]), None)
    out = []
    for row in (r for r in reference if r.artifact in ARTIFACTS):
        claim = f"{row.metric} of {row.system}, {row.condition}"
        if listed is None:
            out.append(missing(row.artifact, claim, f"{row.value} {row.unit}", "perhop list did not run.", [row]))
            continue
        app = _application(listed, SPEC[row.artifact])
        judge_one = _sequence if row.artifact in FUNCTIONS else _service
        kind, measured, sentence = judge_one(row, app, reference)
        out.append(Verdict(row.artifact, claim, f"{row.value} {row.unit}", measured, kind, sentence, run_ids(rows),
                           (row,), is_input=True))
    return out


def _application(listed: Mapping[str, Any], spec: str) -> Mapping[str, Any]:
    """Functions and chains of a workload as `perhop list --json` prints them; empty when it has no such."""
    return next((a for w in listed["workloads"] for a in w["applications"] if a["spec"] == spec),
                {"functions": [], "chains": []})


def _service(row: Published, app: Mapping[str, Any], _: Sequence[Published]) -> tuple[str, str, str]:
    name = NAMES.get(row.system, row.system)
    ours = next((f["service_ns"] / 1e6 for f in app["functions"] if f["name"] == name), None)
    if ours is None:
        return NOT_REPRODUCED, "–", f"There is no function {name}."
    measured = f"{number(ours)} ms"
    if abs(ours - row.number) > 1e-6:
        return NOT_REPRODUCED, measured, "The workload has another service time."
    if row.artifact == "table3":
        return INCONSISTENT, measured, ("An input, and taken over as printed. But the authors' public configuration sleeps "
                                        "these digits in microseconds, a thousandth.")
    return REPRODUCED, measured, "An input, not a result: the workload has it."


def _sequence(row: Published, app: Mapping[str, Any], reference: Sequence[Published]) -> tuple[str, str, str]:
    numbered = {r.condition.rpartition(" ")[2]: NAMES.get(r.system, r.system) for r in reference
                if r.artifact == FUNCTIONS[row.artifact]}
    wanted = [numbered[n.strip()] for n in row.value.split(",")]
    ours = next((c["sequence"] for c in app["chains"] if c["name"].startswith(row.condition)), None)
    if ours is None:
        return NOT_REPRODUCED, "–", "The workload has no such chain."
    back = {name: n for n, name in numbered.items()}
    measured = ",".join(back.get(name, name) for name in ours)
    if ours == wanted:
        return REPRODUCED, measured, "An input, not a result: the workload has this sequence."
    return NOT_REPRODUCED, measured, "The workload has another sequence."
