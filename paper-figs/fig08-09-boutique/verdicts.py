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
    out.append(_versus("fig8", "S-SPRIGHT's stable throughput over Knative's",
                       skmsg.number / knative.number, records, "skmsg", "knative", "rps", "c32"))
    out.append(_versus("fig8", "throughput of D-SPRIGHT over S-SPRIGHT's",
                       of("fig8", "dpdk", "throughput").number / skmsg.number, records, "dpdk", "skmsg", "rps",
                       "c32"))

    p95 = of("fig9", "knative", "p95 latency").number / of("fig9", "skmsg", "p95 latency").number
    out.append(_versus("fig9", "p95 latency of Knative over S-SPRIGHT's, 4,000 users", p95, records,
                       "knative", "skmsg", "response_us.p95", _users_point(records)))
    cpu = {users: of("fig9", "skmsg", "CPU", users).number for users in ("4K", "12K")}
    out.append(_versus("fig9", "CPU of Knative over S-SPRIGHT's, 4,000 users",
                       of("fig9", "knative", "CPU").number / cpu["4K"], records, "knative", "skmsg",
                       component_cpu, _users_point(records)))
    out.append(_growth(records, cpu["12K"] / cpu["4K"]))
    out.append(_versus("fig9", "p95 latency of D-SPRIGHT over S-SPRIGHT's, 4,000 users",
                       of("fig9", "dpdk", "p95 latency").number / of("fig9", "skmsg", "p95 latency").number,
                       records, "dpdk", "skmsg", "response_us.p95", _users_point(records)))
    out.append(_versus("fig9", "CPU of D-SPRIGHT over S-SPRIGHT's, 12,000 users",
                       of("fig9", "dpdk", "CPU").number / cpu["12K"], records, "dpdk", "skmsg",
                       component_cpu, _users_point(records)))

    out.append(_offered("slide-boutique", "SPRIGHT", of("slide-boutique", "skmsg", "throughput"), 25000,
                        records, "skmsg"))
    out.append(_versus("slide-boutique", "throughput of SPRIGHT over Knative's",
                       of("slide-boutique", "knative", "throughput ratio skmsg/knative").number, records,
                       "skmsg", "knative", "rps", "c32"))
    out.append(_versus("slide-boutique", "throughput of SPRIGHT over gRPC's",
                       of("slide-boutique", "grpc", "throughput ratio skmsg/grpc").number, records,
                       "skmsg", "grpc", "rps", "c32"))
    out.append(_versus("slide-boutique", "p95 latency of Knative over SPRIGHT's",
                       of("slide-boutique", "knative", "p95 latency ratio knative/skmsg").number, records,
                       "knative", "skmsg", "response_us.p95", "c32"))
    out.append(_versus("slide-boutique", "p95 latency of gRPC over SPRIGHT's",
                       of("slide-boutique", "grpc", "p95 latency ratio grpc/skmsg").number, records,
                       "grpc", "skmsg", "response_us.p95", "c32"))
    # "~3 cores, only 10 % of Knative and gRPC".
    out.append(_versus("slide-boutique", "CPU of Knative over SPRIGHT's (SPRIGHT: 3 cores, 10 %)", 10.0, records,
                       "knative", "skmsg", component_cpu, _users_point(records)))
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
            point: str) -> Verdict:
    """The ratio of two systems at one point."""
    for system in (over, under):
        if not select(records, system=system, usable=False):
            return missing(artifact, claim, f"{number(expected)}×",
                           f"No run of {system} belongs to this experiment.")
    ours = select(records, system=over, point=point)
    theirs = select(records, system=under, point=point)
    return ratio_verdict(artifact, claim, expected, ours, theirs, key, _where(ours or theirs))


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
                       "throughput is another, and absolute numbers are not compared.")
    return Verdict(artifact, claim, text, measured, INCONSISTENT,
                   f"{users:,} users with Locust's think time of U(1, 10) s offer {number(offered)} requests/s "
                   f"({OFFERED_PER_USER:.2f} per user): the number is the offered load, not a capacity.{ours}",
                   run_ids(runs))


def _growth(records: Rows, expected: float) -> Verdict:
    """CPU of S-SPRIGHT at 12,000 users over that at 4,000."""
    claim = "CPU of S-SPRIGHT, 12,000 users over 4,000"
    high = select(records, system="skmsg", point="users-12k")
    low = select(records, system="skmsg", point="users-4k")
    if not high or not low:
        return missing("fig9", claim, f"{number(expected)}×",
                       "4,000 and 12,000 users are run in the paper profile only.")
    return ratio_verdict("fig9", claim, expected, high, low, component_cpu, "12,000 over 4,000 users")
