# SPDX-License-Identifier: BSD-2-Clause
"""What Fig 5 prints, against this machine's runs: throughput and CPU at 1 and 32 connections, as ratios.

DPDK stands as published (wait=spin) where there are CPUs for it, else as wait=yield; the sentence says which.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from records import select
from verdicts import INCONSISTENT, Published, Verdict, component_cpu, missing, number, published, ratio_verdict

Rows = Sequence[Mapping[str, Any]]

NAMES = {"knative": "Knative", "skmsg": "S-SPRIGHT", "dpdk": "D-SPRIGHT"}
SAME = 0.03         # latency and 1/RPS are printed with two digits


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Every published number of the figure."""
    def of(system: str, metric: str, condition: str) -> Published:
        return published(reference, "fig5", system, metric, condition)

    def ratio(what: str, ours: str, theirs: str, point: str, connections: int) -> Verdict:
        where = f"concurrency={connections}"
        load = f"{connections} connection{'s' if connections > 1 else ''}"
        metric, key = ("throughput", "rps") if what == "throughput" else ("CPU", component_cpu)
        rows = published_pair(reference, ours, theirs, metric, where)
        verdict = ratio_verdict("fig5", f"{what} of {NAMES[ours]} over {NAMES[theirs]}'s, {load}",
                                rows[0].number / rows[1].number, _runs(records, ours, point), _runs(records, theirs, point),
                                key, load, rows=rows)
        return _said(verdict, records, (ours, theirs), point)

    out = [_inverse(system, of(system, "mean latency", "concurrency=32"), of(system, "throughput", "concurrency=32"),
                    records) for system in ("dpdk", "skmsg", "knative")]
    for ours, theirs in (("skmsg", "knative"), ("dpdk", "skmsg")):
        out.append(ratio("throughput", ours, theirs, "c32", 32))
    for connections in (1, 32):
        for ours, theirs in (("knative", "skmsg"), ("dpdk", "skmsg")):
            out.append(ratio("CPU", ours, theirs, f"c{connections}", connections))
    out.append(missing("fig5", "CPU of S-SPRIGHT without traffic", f"{number(of('skmsg', 'CPU', 'no traffic').number)} %",
                       "No idle run belongs to this experiment; tests/e2e/idle.sh asserts it.",
                       rows=[of("skmsg", "CPU", "no traffic")]))
    return out


def published_pair(reference: Sequence[Published], ours: str, theirs: str, metric: str,
                   where: str) -> tuple[Published, Published]:
    """Two systems' published numbers at a concurrency. `where` must end the condition: 1 is part of 16."""
    found = [next(r for r in reference if (r.artifact, r.system, r.metric) == ("fig5", s, metric)
                  and r.condition.endswith(where)) for s in (ours, theirs)]
    return found[0], found[1]


def _runs(records: Rows, system: str, point: str) -> list[Mapping[str, Any]]:
    """Valid runs of a published system: dpdk spins, or yields where spinning was not run."""
    return (select(records, system="dpdk-spin", point=point) if system == "dpdk" else []) or \
        select(records, system=system, point=point)


def _said(verdict: Verdict, records: Rows, systems: Sequence[str], point: str) -> Verdict:
    """Add to the sentence how dpdk waited."""
    spun = select(records, system="dpdk-spin", point=point)
    if "dpdk" not in systems or spun or not select(records, system="dpdk", point=point):
        return verdict
    return replace(verdict, sentence=verdict.sentence
                   + " DPDK yields here instead of spinning, which wants a CPU per endpoint.")


def _inverse(system: str, row: Published, throughput: Published, records: Rows) -> Verdict:
    """A published latency that is 1/RPS: by Little's law, 32 requests in flight take 32 times that."""
    latency_ms, rps = row.number, throughput.number
    claim, text = f"mean latency of {NAMES[system]}, 32 connections", f"{number(latency_ms)} ms"
    runs = _runs(records, system, "c32")
    measured = "–"
    if runs:
        measured = f"{number(sum(r['latency_us']['mean'] for r in runs) / len(runs) / 1e3)} ms (n = {len(runs)})"
    if abs(latency_ms * rps / 1e3 - 1) > SAME:
        return missing("fig5", claim, text, "Absolute times of another machine are not compared.", rows=[row])
    return Verdict("fig5", claim, text, measured, INCONSISTENT,
                   f"It is 1/RPS ({number(rps)} requests/s). Little's law gives {number(32e3 / rps)} ms for 32 "
                   "connections in a closed loop.", tuple(r["run_id"] for r in runs), (row,))
