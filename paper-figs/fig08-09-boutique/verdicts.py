# SPDX-License-Identifier: BSD-2-Clause
"""What Figs 8 and 9 and the boutique slides print, against this machine's runs.

Capacity ratios are taken at 32 connections without think time; CPU ratios (of all components) at equal offered
load, that is, with the same users and think time, as published.
"""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import LEVEL, mean_interval
from verdicts import (INCONSISTENT, Published, Verdict, component_cpu, missing, number, published, ratio_verdict,
                      with_interval)

Rows = Sequence[Mapping[str, Any]]

# Locust's load of the boutique: a task, then a pause of U(1, 10) s. Weights and requests of the tasks:
# index 1×1, setCurrency 2×1, browseProduct 10×1, addToCart 2×2, viewCart 3×1, checkout 1×3.
REQUESTS_PER_TASK = (1 * 1 + 2 * 1 + 10 * 1 + 2 * 2 + 3 * 1 + 1 * 3) / (1 + 2 + 10 + 2 + 3 + 1)
MEAN_THINK_S = (1 + 10) / 2
OFFERED_PER_USER = REQUESTS_PER_TASK / MEAN_THINK_S        # 0.22 requests/s
OFFERED_TOLERANCE = 0.03        # the figures are printed with two digits

USERS = ("users-4k", "users", "users-12k")      # points with think time, the published one first


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Every published number of the three artifacts, in the order of the paper."""
    def of(artifact: str, system: str, metric: str, condition: str = "") -> Published:
        return published(reference, artifact, system, metric, condition)

    knative, skmsg = of("fig8", "knative", "throughput"), of("fig8", "skmsg", "throughput")
    out = [_offered("fig8", "Knative", knative, 4000, records, "knative"),
           _offered("fig8", "S-SPRIGHT", skmsg, 12000, records, "skmsg")]
    def versus(claim: str, expected: float, over: str, under: str, key: Any, point: str, *rows: Published) -> None:
        out.append(_versus(rows[0].artifact, claim, expected, records, over, under, key, point, rows))

    dpdk = of("fig8", "dpdk", "throughput")
    versus("S-SPRIGHT's stable throughput over Knative's", skmsg.number / knative.number, "skmsg", "knative", "rps",
           "c32", skmsg, knative)
    versus("throughput of D-SPRIGHT over S-SPRIGHT's", dpdk.number / skmsg.number, "dpdk", "skmsg", "rps", "c32",
           dpdk, skmsg)

    users = _users_point(records)
    p95 = {s: of("fig9", s, "p95 latency") for s in ("knative", "skmsg", "dpdk")}
    cpu = {at: of("fig9", "skmsg", "CPU", at) for at in ("4K", "12K")}
    versus("p95 latency of Knative over S-SPRIGHT's, 4,000 users", p95["knative"].number / p95["skmsg"].number,
           "knative", "skmsg", "response_us.p95", users, p95["knative"], p95["skmsg"])
    row = of("fig9", "knative", "CPU")
    versus("CPU of Knative over S-SPRIGHT's, 4,000 users", row.number / cpu["4K"].number, "knative", "skmsg",
           component_cpu, users, row, cpu["4K"])
    out.append(_growth(records, cpu["12K"], cpu["4K"]))
    versus("p95 latency of D-SPRIGHT over S-SPRIGHT's, 4,000 users", p95["dpdk"].number / p95["skmsg"].number,
           "dpdk", "skmsg", "response_us.p95", users, p95["dpdk"], p95["skmsg"])
    row = of("fig9", "dpdk", "CPU")
    versus("CPU of D-SPRIGHT over S-SPRIGHT's, 12,000 users", row.number / cpu["12K"].number, "dpdk", "skmsg",
           component_cpu, users, row, cpu["12K"])

    out.append(_offered("slide-boutique", "SPRIGHT", of("slide-boutique", "skmsg", "throughput"), 25000,
                        records, "skmsg"))
    for name, system, what, metric, key in (
            ("Knative", "knative", "throughput", "throughput ratio skmsg/knative", "rps"),
            ("gRPC", "grpc", "throughput", "throughput ratio skmsg/grpc", "rps"),
            ("Knative", "knative", "p95 latency", "p95 latency ratio knative/skmsg", "response_us.p95"),
            ("gRPC", "grpc", "p95 latency", "p95 latency ratio grpc/skmsg", "response_us.p95")):
        row = of("slide-boutique", system, metric)
        if what == "throughput":
            versus(f"throughput of SPRIGHT over {name}'s", row.number, "skmsg", system, key, "c32", row)
        else:
            versus(f"p95 latency of {name} over SPRIGHT's", row.number, system, "skmsg", key, "c32", row)
    # "~3 cores, only 10 % of Knative and gRPC".
    versus("CPU of Knative over SPRIGHT's (SPRIGHT: 3 cores, 10 %)", 10.0, "knative", "skmsg", component_cpu, users,
           of("slide-boutique", "skmsg", "CPU"))
    return out


def _users_point(records: Rows) -> str:
    """The think-time point with valid runs of both systems that is nearest to the published one."""
    for point in USERS:
        if all(select(records, system=s, point=point) for s in ("skmsg", "knative")):
            return point
    return "users"


def _where(rows: Rows) -> str:
    """The load point in words, from its records."""
    if not rows:
        return "this load point"
    load = rows[0]["load"]
    if load["think_ms"] and max(load["think_ms"]) > 0:
        return f"{load['users']:,} users with think time"
    return f"{load['users']:,} connections without think time"


def _versus(artifact: str, claim: str, expected: float, records: Rows, over: str, under: str, key: Any,
            point: str, rows: Sequence[Published]) -> Verdict:
    """The ratio of two systems at one point."""
    for system in (over, under):
        if not select(records, system=system, usable=False):
            return missing(artifact, claim, f"{number(expected)}×",
                           f"No run of {system} belongs to this experiment.", rows)
    ours = select(records, system=over, point=point)
    theirs = select(records, system=under, point=point)
    return ratio_verdict(artifact, claim, expected, ours, theirs, key, _where(ours or theirs), rows=rows)


def _offered(artifact: str, who: str, row: Published, users: int, records: Rows, system: str) -> Verdict:
    """A published throughput that is the load offered: inconsistent as a capacity.

    Checked by arithmetic on the published set-up, and by our own runs with think time, which sit on
    the offered load as well.
    """
    claim = f"throughput of {who}, {users:,} users"
    offered = OFFERED_PER_USER * users
    text = f"{number(row.number)} requests/s"
    same = abs(row.number / offered - 1) <= OFFERED_TOLERANCE
    runs = [r for p in USERS for r in select(records, system=system, point=p) if r["offered_ceiling_rps"]]
    measured, ours = "–", ""
    if runs:
        e = mean_interval([r["rps"] / r["offered_ceiling_rps"] for r in runs], LEVEL)
        measured = with_interval(e, " of the offered load")
        sits = abs(e.value - 1) <= 0.1
        ours = (f" Our runs of {system} with think time {'sit on' if sits else 'miss'} their offered load too: "
                "such a run measures the users, not the system." if sits else
                f" Our runs of {system} with think time reach {number(e.value)} of theirs.")
    if not same:
        return missing(artifact, claim, text, f"{users:,} users offer {number(offered)} requests/s; the published "
                       "throughput is another, and absolute numbers are not compared.", [row])
    return Verdict(artifact, claim, text, measured, INCONSISTENT,
                   f"{users:,} users with Locust's think time of U(1, 10) s offer {number(offered)} requests/s "
                   f"({OFFERED_PER_USER:.2f} per user): the number is the offered load, not a capacity.{ours}",
                   run_ids(runs), (row,))


def _growth(records: Rows, at_12k: Published, at_4k: Published) -> Verdict:
    """CPU of S-SPRIGHT at 12,000 users over that at 4,000."""
    claim, expected = "CPU of S-SPRIGHT, 12,000 users over 4,000", at_12k.number / at_4k.number
    rows = (at_12k, at_4k)
    high = select(records, system="skmsg", point="users-12k")
    low = select(records, system="skmsg", point="users-4k")
    if not high or not low:
        return missing("fig9", claim, f"{number(expected)}×",
                       "4,000 and 12,000 users are run in the paper profile only.", rows)
    return ratio_verdict("fig9", claim, expected, high, low, component_cpu, "12,000 over 4,000 users", rows=rows)
