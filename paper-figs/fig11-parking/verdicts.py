# SPDX-License-Identifier: BSD-2-Clause
"""What Fig 11 and section 4.3.2 print about the parking workload, against this machine's runs.

Knative's pods are started 20 s before each burst and taken away after it, as published. What a start costs here is
namespace, veth, process and sidecar: the published pods also start containers.
"""
from __future__ import annotations

from typing import Any, Mapping, Sequence

from records import select
from verdicts import Published, Verdict, component_cpu, missing, number, published, ratio_verdict

Rows = Sequence[Mapping[str, Any]]
POINTS = ("published", "bursts")
WHERE = {"published": "164 snapshots every 240 s, Knative's pods pre-warmed",
         "bursts": "164 snapshots every 4 s, all times scaled alike, Knative's pods pre-warmed"}
KNATIVE = {"published": "knative-published", "bursts": "knative"}


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Every published number of the artifact."""
    def of(system: str, metric: str) -> Published:
        return published(reference, "fig11", system, metric)

    point = next((p for p in POINTS if all(select(records, system=s, point=p) for s in ("skmsg", KNATIVE[p]))),
                 POINTS[-1])
    ours = select(records, system="skmsg", point=point)
    theirs = select(records, system=KNATIVE[point], point=point)
    latency = 1 - of("skmsg", "latency reduction vs pre-warmed knative").number
    cpu = 1 - of("skmsg", "CPU reduction vs knative").number
    out = [ratio_verdict("fig11", f"{what} response time of SK_MSG over pre-warmed Knative's", latency, ours, theirs,
                         key, WHERE[point], rows=[of("skmsg", "latency reduction vs pre-warmed knative")]) for what, key in (("mean", "response_us.mean"), ("p95", "response_us.p95"))]
    out.append(ratio_verdict("fig11", "CPU of SK_MSG over Knative's", cpu, ours, theirs, component_cpu,
                             WHERE[point], rows=[of("skmsg", "CPU reduction vs knative")]))
    out.append(missing("fig11", "time until Knative's pods have ended, after the grace period",
                       f"{number(of('knative', 'time to terminate after grace').number)} s",
                       "An input here (terminate=80s), so that pods are there as long as the published ones; by itself a "
                       "drained pod ends within milliseconds.",
                       [of("knative", "time to terminate after grace")]))
    return out
