# SPDX-License-Identifier: BSD-2-Clause
"""What Fig 10 and section 4.3.2 print about the motion workload, against this machine's runs."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import LEVEL, mean_interval
from verdicts import (NOT_REPRODUCED, REPRODUCED, TREND, Published, Verdict, missing, number, published, with_interval)

Rows = Sequence[Mapping[str, Any]]
IDLE_LIMIT = 0.1        # percent of one core that still is the paper's "negligible"


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Every published number of the artifact."""
    worst = published(reference, "fig10", "knative", "max latency")
    return [_worst(records, worst), _idle(records, published(reference, "fig10", "skmsg", "idle CPU"))]


def _worst(records: Rows, row: Published) -> Verdict:
    claim, value = "longest response time of Knative with scale to zero", f"{number(row.number)} s"
    runs = [r for s in ("knative-hour", "knative") for r in select(records, system=s)
            if r["scaling"] and r["scaling"]["cold_starts"]]
    if not runs:
        return missing("fig10", claim, value, "No run with a cold start.", [row])
    warm = [r for p in ("hour", "trace") for r in select(records, system="skmsg", point=p)]
    longest = max(r["response_us"]["max"] for r in runs) / 1e3
    total = [c["ms"]["total"] for r in runs for c in r["scaling"]["cold_starts"] if c["ms"]["total"] is not None]
    kept = f", of SK_MSG, kept warm, {number(max(r['response_us']['max'] for r in warm) / 1e3)} ms" if warm else ""
    scale = runs[0]["scaling"]["config"]["time_scale"]
    return Verdict("fig10", claim, value, f"{number(longest)} ms", TREND,
                   f"{len(total)} cold starts of {number(sum(total) / max(len(total), 1))} ms on average (namespace, veth, "
                   f"process, sidecar; no image, no container runtime, no Kubernetes){kept}. The trace ran "
                   f"{number(1 / scale)} times as fast, a cold start at its real speed.", run_ids((*runs, *warm)), (row,))


def idle_cpu(run: Mapping[str, Any]) -> float | None:
    """CPU of all components in steps without an answer in them or in the one before, percent of one core."""
    if not run["series"] or not run["cpu_series"] or run["series"]["step_ms"] != run["cpu_series"]["step_ms"]:
        return None
    requests = [p[0] for p in run["series"]["points"]]
    components = run["cpu_series"]["components"].values()
    sums = [sum(v[i] or 0.0 for v in components if i < len(v)) for i in range(1, len(requests))
            if not requests[i] and not requests[i - 1]]
    return sum(sums) / len(sums) if sums else None


def _idle(records: Rows, row: Published) -> Verdict:
    claim, value = "CPU of SK_MSG without requests", f"{number(row.number)} % of a core"
    runs = [r for p in ("hour", "trace") for r in select(records, system="skmsg", point=p)]
    idle = [v for v in map(idle_cpu, runs) if v is not None]
    if not idle:
        return missing("fig10", claim, value, "No run has a step without requests.", [row])
    e = mean_interval(idle, LEVEL)
    kind = REPRODUCED if e.value <= IDLE_LIMIT else NOT_REPRODUCED
    return Verdict("fig10", claim, value, with_interval(e, " %"), kind,
                   f"Gateway and functions use {'no more' if kind == REPRODUCED else 'more'} than {IDLE_LIMIT} % of "
                   "a core in the trace's silences.", run_ids(runs), (row,))
