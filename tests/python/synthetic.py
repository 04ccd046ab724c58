# SPDX-License-Identifier: BSD-2-Clause
"""Synthetic records with known answers, for tests only.

Nothing here was measured. Every record says so in run_id, host.kernel and marks, and no program of
perhop outside tests/ imports this module.
"""
from __future__ import annotations

import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
for _folder in ("scripts", "paper-figs"):
    if str(ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(ROOT / _folder))

NOTICE = "synthetic: made by a test, never measured"
SUB = 128       # linear buckets per power of two, as in the load generator

# system: (dataplane, capacity at 32 connections, RPS; base response time at 1 connection, us)
SYSTEMS = {
    "knative": ("kernel:knative", 420.0, 9000.0),
    "http": ("kernel:http", 2600.0, 1500.0),
    "skmsg": ("skmsg", 31000.0, 110.0),
    "null": ("null", 92000.0, 24.0),
}
# How CPU per request splits over components.
SHARES = {
    "knative": {"ingress": .08, "broker": .30, "frontend": .10, "frontend/sidecar": .12, "currency": .09,
                "currency/sidecar": .13, "cart": .08, "cart/sidecar": .10},
    "http": {"gateway": .15, "frontend": .45, "currency": .25, "cart": .15},
    "skmsg": {"gateway": .30, "frontend": .40, "currency": .18, "cart": .12},
    "null": {"gateway": 1.0},
}
CHAINS = ("index", "setCurrency", "product", "viewCart", "addToCart", "checkout")


def buckets(sample_us: np.ndarray) -> list[list[int]]:
    """Sparse log-linear histogram of a sample in us, as [lo, hi, count] in ns."""
    out: dict[int, list[int]] = {}
    for ns in np.maximum(1, sample_us * 1e3).astype(np.int64):
        shift = max(0, int(ns).bit_length() - 8)
        lo = (int(ns) >> shift) << shift
        out.setdefault(lo, [lo, lo + (1 << shift), 0])[2] += 1
    return [out[lo] for lo in sorted(out)]


def distribution(sample_us: np.ndarray) -> dict[str, float]:
    """The schema's distribution of a sample in us."""
    p = np.percentile(sample_us, [50, 90, 95, 99, 99.9])
    keys = ("p50", "p90", "p95", "p99", "p999")
    return {"mean": float(sample_us.mean()), **{k: float(v) for k, v in zip(keys, p)},
            "max": float(sample_us.max()), "min": float(sample_us.min()), "stddev": float(sample_us.std())}


def host() -> dict[str, Any]:
    """A host that does not exist."""
    return {"kernel": "synthetic", "cmdline": None, "mitigations": {"spectre_v2": "none"},
            "cpu_model": "synthetic CPU", "cpus": 2, "smt": False, "numa_nodes": 1, "governor": None,
            "clocksource": "tsc", "hypervisor": None, "hugepages": {"2048kB_total": 0, "2048kB_free": 0},
            "memory_kib": 1 << 24, "compiler": "synthetic cc", "cflags": "-O2", "git_sha": "0" * 40,
            "git_dirty": False, "packages": {"nginx": None, "libbpf": "1.1.0"}, "libbpf": "1.1.0",
            "bpf_tags": {}, "boot_id": None, "config_hash": None}


def record(system: str = "skmsg", point: str = "c32", rep: int = 0, users: int = 32,
           think_ms: tuple[int, int] = (0, 0), experiment: str = "fig08-09-boutique",
           duration_s: float = 3.0, warmup_s: float = 1.0, noise: float = 0.03, seed: int = 7,
           rps: float | None = None, service: str = "none", samples: int = 3000) -> dict[str, Any]:
    """One record of a run that never was. `rps` overrides the model's throughput."""
    dataplane, capacity, base_us = SYSTEMS[system]
    rng = np.random.default_rng(abs(hash((seed, users, rep, sorted(SYSTEMS).index(system)))) % 2**32)
    wobble = 1 + noise * float(rng.standard_normal())
    mean_think = sum(think_ms) / 2
    ceiling = users / mean_think * 1e3 * 23 / 19 if mean_think else None
    if rps is None:
        rps = (min(ceiling, capacity) if ceiling else capacity * users / (users + 32 / 6)) * wobble
    mean_us = users / rps * 1e6 if not mean_think else base_us * 1.2
    sample = mean_us * rng.lognormal(-0.08, 0.4, samples)
    ccr = 1.7e6 / capacity / wobble
    chains, chain_hist = {}, {}
    for i, name in enumerate(CHAINS):
        part = sample[i::len(CHAINS)] * (0.5 + 0.35 * i)
        chain_hist[name] = buckets(part)
        d = distribution(part)
        chains[name] = {"requests": len(part), "errors": 0, "rps": rps / len(CHAINS),
                        **{f"{k}_us": d[k] for k in ("mean", "p50", "p95", "p99")}}
    step_s, ramp = 0.5, max(warmup_s, 0.01)
    times = np.arange(0, warmup_s + duration_s, step_s)
    shape = np.minimum(1, (times + step_s) / ramp) * (1 + 0.03 * rng.standard_normal(len(times)))
    percent = ccr * rps / 1e4
    requests = max(1, int(rps * duration_s))
    return {
        "schema_version": 2, "kind": "run", "run_id": f"synthetic-{system}-{point}-{rep}-{seed}",
        "label": f"{experiment}/{system}/{point}/{rep}", "time": "2000-01-01T00:00:00Z",
        "dataplane": dataplane, "dataplane_options": {}, "workload": "boutique:web", "workload_options": {},
        "load": {"model": "closed", "users": users, "rate": None, "think_ms": list(think_ms),
                 "think_mean_ms": mean_think, "keep_alive": True, "spawn_per_sec": 0, "warmup_s": warmup_s,
                 "duration_s": duration_s, "requests": None, "timeout_s": 10},
        "concurrency": users, "rep": rep, "seed": seed, "service": {"mode": service, "scale": 1},
        "wait": None, "placement": "auto", "placed": "free",
        "network": {"client": "local", "gateway": "host", "accel": "none", "iptables_rules": 0, "iptables": None},
        "instances": 1, "concurrency_limit": 32,
        "measured_s": duration_s, "requests": requests, "errors": 0,
        "errors_by_class": {k: 0 for k in ("transport", "1xx", "2xx", "3xx", "4xx", "5xx")},
        "rps": rps, "offered_ceiling_rps": ceiling, "missed": 0, "late": 0, "connects": users,
        "bytes_in": requests * 9000, "bytes_out": requests * 200,
        "latency_us": distribution(sample * 0.98), "response_us": distribution(sample),
        "inverse_rps_us": 1e6 / rps,
        "little": {"n": rps * mean_us / 1e6, "x": rps, "r": mean_us / 1e6, "ratio": 1.0, "valid": True},
        "ccr_us": ccr, "cpu_us": {k: ccr * v for k, v in SHARES[system].items()},
        "cpu_percent": {k: percent * v for k, v in SHARES[system].items()},
        "node_cpu_percent": percent * 1.1, "generator_cpu_percent": 20.0, "steal_percent": 0.0,
        "idle_cpu_percent": None, "chains": chains,
        "histogram": {"unit": "ns", "service": buckets(sample * 0.98), "response": buckets(sample),
                      "chains": chain_hist},
        "series": {"step_ms": step_s * 1e3, "points": [
            [int(rps * step_s * s), 0, mean_us, mean_us * 3, int(users * min(1, (t + step_s) / ramp))]
            for t, s in zip(times, shape)]},
        "cpu_series": {"step_ms": step_s * 1e3, "components": {
            k: [percent * v * float(s) for s in shape] for k, v in SHARES[system].items()}},
        "pool": None, "scaling": None, "layers": None, "valid": True, "invalid_reasons": [], "skipped": None, "marks": [NOTICE],
        "settings": [], "promises": None,
        "host": host(),
    }


def experiment_records(reps: int = 5, points: tuple[str, ...] = ("c1", "c8", "c32", "users"),
                       seed: int = 7, **more: Any) -> list[dict[str, Any]]:
    """Records of all cells of the boutique experiment."""
    load: dict[str, dict[str, Any]] = {
        "c1": {"users": 1}, "c8": {"users": 8}, "c32": {"users": 32},
        "users": {"users": 1000, "think_ms": (1000, 10000), "duration_s": 10.0, "warmup_s": 6.0,
                  "service": "sleep"},
    }
    out = [record(system, point, rep, seed=seed, **{**load[point], **more})
           for system in SYSTEMS for point in points for rep in range(min(reps, 2) if point == "users" else reps)]
    random.Random(seed).shuffle(out)
    return out


def surface(reps: int = 3) -> dict[str, Any]:
    """What `perhop surface` prints."""
    return {"kind": "surface", "cells": [
        {"spec": f"{dataplane},wait={wait}", "dataplane": dataplane, "wait": wait, "placement": placement,
         "payload_bytes": 256, "in_flight": n, "rate": None, "rps": [2e4 * n ** 0.5 + i for i in range(reps)],
         "ccr_us": [20.0 / n ** 0.5 + i / 9 for i in range(reps)], "failed": 0, "skipped": None}
        for dataplane in ("futex", "skmsg") for wait in ("block", "adaptive") for placement in ("same-core", "cross-core")
        for n in (1, 32)]}


def records_of(experiment: Any, reps: int = 2) -> list[dict[str, Any]]:
    """Records of all cells of an experiment's quick profile: longer chains and more bytes take longer."""
    out = []
    for cell in experiment.cells("quick"):
        if cell.rep >= reps:
            continue
        system = cell.system if cell.system in SYSTEMS else "skmsg"
        row = record(system, cell.point, cell.rep, int(cell.settings["users"]), experiment=cell.experiment, samples=50)
        longer = 1 + 0.2 * sum(int(n) for n in re.findall(r"length=(\d+)", cell.workload))
        row["latency_us"] = {k: v * longer for k, v in row["latency_us"].items()}
        row["ccr_us"] *= longer
        row.update(label=cell.label, run_id=f"synthetic-{cell.label}")
        if cell.command:
            row = {k: row[k] for k in ("schema_version", "run_id", "label", "time", "rep", "seed", "valid",
                                       "invalid_reasons", "skipped", "marks", "host")}
            row.update(kind="output", output=[surface()], command=list(cell.command))
        out.append(row)
    return out
