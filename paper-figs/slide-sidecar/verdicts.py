# SPDX-License-Identifier: BSD-2-Clause
"""The slides' sidecar table against this machine: what the library costs in parts of what NGINX costs."""
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from records import run_ids, select
from stats import Estimate, mean_interval
from verdicts import TREND, Published, Verdict, judge_ratio, missing, number, published, ratio_verdict

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sidecar import added  # noqa: E402

Rows = Sequence[Mapping[str, Any]]
POINTS = {"256B": "b256", "4KB": "b4096", "8KB": "b8192"}
METRICS = (("CPU cycles", "ccr_us", "CPU"), ("added delay", "latency_us.mean", "delay"))


def judge(records: Rows, reference: Sequence[Published]) -> list[Verdict]:
    """Library over NGINX, for CPU and delay at each message size; throughput with each over that without."""
    out = []
    for size, point in POINTS.items():
        for metric, key, word in METRICS:
            rows = tuple(published(reference, "slide-sidecar", f"{who} sidecar", metric, size)
                         for who in ("library", "nginx"))
            verdict = _ratio(f"{word} added by the library sidecar over NGINX's, {size}",
                             rows[0].number / rows[1].number, records, point, key)
            out.append(replace(verdict, rows=rows))
        out += _throughput(records, reference, size, point)
    return out


def _throughput(records: Rows, reference: Sequence[Published], size: str, point: str) -> list[Verdict]:
    """Throughput with either sidecar over that without one; at one message size, requests/s are MB/s."""
    none = published(reference, "slide-sidecar", "no sidecar", "throughput", size)
    out = []
    for who, name, system in (("library", "the library", "sure-library"), ("nginx", "an NGINX", "http-nginx")):
        row = published(reference, "slide-sidecar", f"{who} sidecar", "throughput", size)
        out.append(ratio_verdict("slide-sidecar", f"throughput with {name} sidecar over that without one, {size}",
                                 row.number / none.number, select(records, system=system, point=point),
                                 select(records, system="sure", point=point), "rps", size, rows=(row, none)))
    return out


def _bound(claim: str, text: str, a: Estimate, b: Estimate, ids: tuple[str, ...]) -> Verdict:
    """The library's cost is not told from noise: how large can it be? Less than NGINX's, or unknown."""
    if a.high is None or b.low is None or not 0 < a.high < b.low:
        return missing("slide-sidecar", claim, text, "The library's own cost is not told from noise here.")
    bound = f"below {100 * a.high / b.low:.2g} % (n = {min(a.n, b.n)})"
    return Verdict("slide-sidecar", claim, text, bound, TREND,
                   f"The library's cost is not told from noise: it is below {number(a.high)} µs a call, NGINX's "
                   f"above {number(b.low)} µs. That shows the direction, not the published size.", ids)


def _ratio(claim: str, expected: float, records: Rows, point: str, key: str) -> Verdict:
    """The ratio of two differences; its interval is the widest that their intervals allow."""
    text = f"{100 * expected:.2g} %"
    ours = added(records, "sure-library", point, key)
    theirs = added(records, "http-nginx", point, key)
    if not ours or not theirs:
        return missing("slide-sidecar", claim, text, "No runs of both sidecars at this size in this profile.")
    a, b = mean_interval(ours), mean_interval(theirs)
    if b.value <= 0 or (b.low is not None and b.low <= 0):
        return missing("slide-sidecar", claim, text, "NGINX's own cost is not told from noise here.")
    rows = [r for s in ("chain", "http", "http-nginx") for r in select(records, system=s, point=point)]
    # A difference below the noise, which may even come out negative, has no size: only a bound.
    if a.low is None or a.high is None or b.low is None or b.high is None or a.low <= 0:
        return _bound(claim, text, a, b, run_ids(rows))
    low, high = a.low / b.high, a.high / b.low
    e = Estimate(a.value / b.value, low, high, min(a.n, b.n), a.level, "quotient of intervals")
    measured = f"{100 * e.value:.2g} %"
    measured += f" ({100 * low:.2g} to {100 * high:.2g} %, n = {e.n})"
    sentence = (f"The library adds {number(a.value)} µs to a call, NGINX {number(b.value)} µs, each over the same "
                "pipeline without it, the library on the chain alone; here the library verifies HMAC tokens too.")
    return Verdict("slide-sidecar", claim, text, measured, judge_ratio(e, expected), sentence, run_ids(rows),
                   expected=expected, estimate=e)
