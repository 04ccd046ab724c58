# SPDX-License-Identifier: BSD-2-Clause
"""The gate's soft tier: times of two builds, run in turns in one job (gate_stats.py has the rule).

Screening first, then, for each cell where a measure looked worse, a confirmation with runs of its own: only
what is worse in both is a regression. The budget is split between the two; each block of runs is a base, a
head and a base run again in random order.
"""
from __future__ import annotations

import random
from typing import Any, Callable, Mapping

import gate_stats
from gate_records import BETTER, OK, UNKNOWN, WORSE, Gate, Job, Row, cell_name

CELLS = (("skmsg", "echo,length=2"), ("kernel:http", "echo,length=2"))
USERS, MILLISECONDS = 8, 300
SCREENING = 0.5         # of the budget
BLOCKS_MAX = 60         # per cell and stage
BATCH = 4               # blocks of a cell between two looks
WEAK = 0.05             # p of a confirmation that neither confirms nor refutes
BLIND = 0.5             # a cell none of whose CPU measures could see less than this was not measured

TIMES: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "CPU per request (CCR), us": lambda r: r["ccr_us"],
    "time per request at full load (1/RPS), us": lambda r: 1e6 / r["rps"] if r["rps"] else None,
    "response p50, us": lambda r: r["response_us"]["p50"],
    "response p99, us": lambda r: r["response_us"]["p99"],
}


def cells(gate: Gate) -> list[tuple[str, str]]:
    """(dataplane, workload) to compare."""
    plan = gate.plan
    if not plan["dataplanes"] and not plan["workloads"]:
        return list(CELLS)
    return [(d, w) for w in plan["workloads"] or [CELLS[0][1]] for d in plan["dataplanes"] or [c[0] for c in CELLS]]


def spent(gate: Gate, stage: str) -> float:
    """Seconds that a stage has taken."""
    return sum(j["elapsed_s"] for j in gate.of("run", stage=stage))


def block_jobs(dataplane: str, workload: str, stage: str, block: int, rng: random.Random) -> list[Job]:
    """A block: base, head, base again, in random order, with one seed."""
    seed = rng.randrange(1, 1 << 31)
    out = [{"what": "run", "side": side, "dataplane": dataplane, "workload": workload, "users": USERS,
            "milliseconds": MILLISECONDS, "seed": seed, "stage": stage, "block": block, "place": place}
           for place, side in enumerate(("base", "head", "base"))]
    rng.shuffle(out)
    return out


def blocks_of(gate: Gate, dataplane: str, workload: str, stage: str) -> list[list[Mapping[str, Any]]]:
    """Complete blocks: the records (base, head, base) of each."""
    found: dict[int, dict[int, Mapping[str, Any]]] = {}
    for job in gate.of("run", dataplane=dataplane, workload=workload, stage=stage):
        if job["record"] and job["record"]["valid"]:
            found.setdefault(job["block"], {})[job["place"]] = job["record"]
    return [[b[0], b[1], b[2]] for b in found.values() if len(b) == 3]


def compare(gate: Gate, dataplane: str, workload: str, stage: str) -> dict[str, gate_stats.Comparison]:
    """Every measure of a cell in a stage."""
    blocks = blocks_of(gate, dataplane, workload, stage)
    out = {}
    for name, value in TIMES.items():
        values = [tuple(value(r) or 0.0 for r in block) for block in blocks]
        comparison = gate_stats.compare(values)
        if comparison:
            out[name] = comparison
    # A run too short to have seen a component on the CPU drops its block, not the measure.
    blocks = [b for b in blocks if all(v and v > 0 for r in b for v in r["cpu_us"].values())]
    for component, comparison in gate_stats.relative([[r["cpu_us"] for r in block] for block in blocks]).items():
        out[f"CPU of {component} relative to the others, us"] = comparison
    return out


def suspects(gate: Gate, dataplane: str, workload: str) -> list[str]:
    """Measures that looked worse in the screening."""
    return [name for name, c in compare(gate, dataplane, workload, "screening").items() if c.is_worse(gate.plan["effect"])]


def broken(gate: Gate, dataplane: str, workload: str) -> str | None:
    """Why a cell cannot be run; None: it can."""
    for side in ("head", "base"):
        jobs = list(gate.of("run", side, dataplane=dataplane, workload=workload))
        bad = [j for j in jobs if not j["record"] or not j["record"]["valid"]]
        if jobs and len(bad) > len(jobs) / 2:
            record = bad[-1]["record"]
            reasons = [bad[-1]["why"]] if not record else [record["skipped"], *record["invalid_reasons"]]
            return f"{side}: {'; '.join(r for r in reasons if r)}"
    return None


def jobs(gate: Gate, rng: random.Random) -> list[Job]:
    """Jobs of the soft tier that are still to be done, within the budget."""
    budget = gate.plan["budget_s"]
    alive = [c for c in cells(gate) if not broken(gate, *c)]
    confirming = bool(list(gate.of("run", stage="confirmation")))
    out: list[Job] = []
    if not confirming and spent(gate, "screening") < SCREENING * budget:
        for cell in alive:
            done = len({j["block"] for j in gate.of("run", dataplane=cell[0], workload=cell[1], stage="screening")})
            for block in range(done, min(done + BATCH, BLOCKS_MAX)):
                out += block_jobs(*cell, "screening", block, rng)
    if out:
        return out
    if spent(gate, "screening") + spent(gate, "confirmation") >= budget:
        return []
    for cell in alive:
        wanted = len(blocks_of(gate, *cell, "screening"))
        if not suspects(gate, *cell):
            continue
        done = len({j["block"] for j in gate.of("run", dataplane=cell[0], workload=cell[1], stage="confirmation")})
        for block in range(done, min(done + BATCH, wanted)):
            out += block_jobs(*cell, "confirmation", block, rng)
    return out


def rows(gate: Gate) -> list[Row]:
    """A row for each measure."""
    out = []
    for dataplane, workload in cells(gate):
        name = cell_name(dataplane, workload)
        why = broken(gate, dataplane, workload)
        screened = compare(gate, dataplane, workload, "screening")
        if why or not screened:
            out.append(Row("soft", name, "runs", "", UNKNOWN, None, None, why or "not one whole block in the budget"))
            continue
        sharpest = min(c.resolution for m, c in screened.items() if m.startswith("CPU"))
        if sharpest > BLIND:
            out.append(Row("soft", name, "CPU", "", UNKNOWN, None, None, f"too noisy here: less than {sharpest:.0%} could not be seen"))
        confirmed = compare(gate, dataplane, workload, "confirmation")
        for measure, first in screened.items():
            verdict, text = judge(first, confirmed.get(measure), gate.plan["effect"])
            where = measure.split()[2] if measure.startswith("CPU of") else "whole chain"
            last = confirmed.get(measure, first) if verdict == WORSE else first
            out.append(Row("soft", name, measure, where, verdict, last.value_a, last.value_b, text,
                           detail={"screening": vars(first), "confirmation": vars(confirmed[measure]) if measure in confirmed else None}))
    return out


def judge(first: gate_stats.Comparison, second: gate_stats.Comparison | None, effect: float) -> tuple[str, str]:
    """(verdict, by how much and how sure)."""
    def words(c: gate_stats.Comparison) -> str:
        return (f"{c.ratio - 1:+.1%} [{c.low - 1:+.1%}, {c.high - 1:+.1%}], p = {c.p:.4f}, A/A floor {c.floor:.1%}, "
                f"n = {c.n} blocks")

    if first.n < gate_stats.FEWEST:
        return UNKNOWN, f"only {first.n} blocks in the budget, {gate_stats.FEWEST} are needed: {words(first)}"
    if not first.is_worse(effect):
        if first.high < 1 and 1 - first.ratio > max(first.floor, effect):
            return BETTER, words(first)
        return OK, f"{words(first)}; less than {first.resolution:.1%} could not have been seen"
    if second is None or second.n < gate_stats.FEWEST:
        return UNKNOWN, f"looked worse, and the budget ended before the confirmation: {words(first)}"
    both = f"{words(second)}; before that {words(first)}"
    if second.is_worse(effect):
        return WORSE, both
    if second.p < WEAK and second.ratio - 1 > effect:
        return UNKNOWN, f"looked worse, weakly confirmed (a larger --budget decides): {both}"
    return OK, f"looked worse once, not confirmed: {both}"
