# SPDX-License-Identifier: BSD-2-Clause
"""The gate's hard tier: counts that do not depend on the hour, against a baseline or a base revision.

A measure is (metric, component, segment) of the audit in `isolated` mode, or one of: buffers in use after the
load, instructions per request, bytes of the program. Its value is the median over repetitions; its bound is
how far repetitions lie apart, without the farthest on each side. Worse means: above the other value by more
than both bounds and ALLOWED. What varies by more than half an event per request is no count: where a
baseline has found that, it is not judged; a gate that meets it says that it cannot judge.
"""
from __future__ import annotations

import datetime
import json
from typing import Any, Mapping, Sequence

import numpy as np

from gate_callgrind import by_function
from gate_records import BETTER, NEW, OK, UNKNOWN, WORSE, Gate, Job, Row, cell_name

DATAPLANES = ("null", "kernel:http", "kernel:knative", "skmsg", "uds", "futex", "sure:process,wait=block")
WORKLOADS = ("echo,length=2",)
AUDIT = {"reps": 5, "requests": 100}
ATTEMPTS = 2            # a bad value counts only when measured twice, unless all repetitions agree on a whole event
NO_COUNT = 0.5          # events per request: what varies by more is none
EDGE = 0.1              # events per request that the edges of a window may cut off or add

# metric: (quantity, what it means when there is more of it, in words)
METRICS: dict[str, tuple[str, str]] = {
    "pool": ("buffers in use", "buffers are not given back: a leak"),
    "connects": ("connections", "the client had to connect again: keep-alive lost"),
    "stack_control": ("connections", "frames with SYN, FIN or RST: connections open and close, keep-alive lost"),
    "encode_payload": ("serializations", "payloads encoded by our codec"),
    "encode_http": ("serializations", "HTTP heads written"),
    "turn_out": ("serializations", "messages written by a foreign program"),
    "decode_payload": ("deserializations", "payloads decoded by our codec"),
    "decode_http": ("deserializations", "HTTP heads parsed"),
    "turn_in": ("deserializations", "messages read by a foreign program"),
    "copy_user": ("copies", "copies of payload in user space"),
    "copy_send": ("copies", "sends of payload"),
    "copy_recv": ("copies", "receives of payload"),
    "copy_kernel": ("copies", "skb_copy and the like within the kernel"),
    "descriptor_send": ("descriptors", "descriptors sent through the kernel"),
    "descriptor_recv": ("descriptors", "descriptors received through the kernel"),
    "stack_data": ("protocol tasks", "frames with payload that enter the network stack"),
    "wakeups": ("wake-ups", "times that it is woken"),
    "syscalls": ("system calls", "system calls entered"),
}
EXACT = 0.0005
# What has no frame of its own is attributed by the wake-up before it, so a window's first request may differ.
ALLOWED: dict[str, float] = {"wakeups": EDGE, "syscalls": EDGE, "descriptor_send": EDGE, "descriptor_recv": EDGE, "connects": 0.5}
INSTRUCTIONS_ALLOWED, SIZE_ALLOWED = 0.02, 0.05         # shares: any change of the code moves these a little

Measures = dict[str, dict[str, Any]]    # key: {"value", "bound", …}


# ---- From records to measures -------------------------------------------------------------------

def spread(values: Sequence[float]) -> float:
    """How far repetitions lie apart, without the farthest on each side (5 and more)."""
    x = sorted(values)
    return float(x[-2] - x[1]) if len(x) >= 5 else float(x[-1] - x[0])


def of_audit(record: Mapping[str, Any]) -> Measures:
    """The measures of one audit. ValueError with the reason when it has none."""
    if record.get("no_probes") or not record.get("counts"):
        raise ValueError("no probes: " + (record.get("no_probes") or "nothing was counted"))
    if "cells" not in record:
        raise ValueError("its audit keeps no cells for each repetition: this revision is too old to compare with")
    if record["errors"]:
        raise ValueError(f"{record['errors']} requests failed")
    steps = {s["number"]: s["step"] for s in record["segments"]}
    out: Measures = {}
    for cell in record["cells"]:
        metric, component, segment = cell["metric"], cell["component"], cell["segment"]
        if metric not in METRICS or component == "client" or (component == "elsewhere" and not segment):
            continue
        out[f"{metric}|{component}|{segment}"] = {
            "value": round(float(np.median(cell["n"])), 4), "bound": round(spread(cell["n"]), 4),
            "where": f"{component}, segment {segment} ({steps[segment]})" if segment else component}
    if record["pool"]:
        out["pool|pool|0"] = {"value": record["pool"]["in_use_after"], "bound": 0, "where": "the pool"}
    out["connects|client|0"] = {"value": record["connects"], "bound": 0, "where": "client"}
    return out


def of_callgrind(job: Job, gate: Gate) -> Measures:
    """Instructions per request, and by function, of one callgrind job."""
    counts = job["record"]["counts"]
    pairs = list(zip(counts[::2], counts[1::2]))
    each = [(b["instructions"] - a["instructions"]) / (b["requests"] - a["requests"]) for a, b in pairs]
    few, many = pairs[0]
    functions = by_function(gate.folder / few["file"], gate.folder / many["file"], many["requests"] - few["requests"])
    return {f"instructions|{job['workload']}": {
        "value": round(float(np.median(each)), 1), "bound": round(max(each) - min(each), 1),
        "where": f"gateway and functions in one process (null), {job['workload']}", "functions": functions}}


def of_size(record: Mapping[str, int]) -> Measures:
    """Bytes of the program, as loaded."""
    return {f"size|{part}": {"value": record[part], "bound": 0, "where": part} for part in ("code", "constants", "variables")}


def of_perf(record: Mapping[str, Any]) -> dict[str, float] | None:
    """Instructions per request by component, from hardware counters; None: there are none."""
    return record.get("perf", {}).get("instructions", {}).get("per_request")


def cells(gate: Gate) -> list[tuple[str, str]]:
    """(dataplane, workload) to measure: those asked for, else the baseline's, else the selection."""
    plan = gate.plan
    if gate.baseline and not plan["dataplanes"] and not plan["workloads"] and not plan["update"]:
        return [(c["dataplane"], c["workload"]) for c in gate.baseline["cells"].values() if "dataplane" in c]
    return [(d, w) for w in plan["workloads"] or WORKLOADS for d in plan["dataplanes"] or DATAPLANES]


def program_cells(gate: Gate) -> list[str]:
    """Workloads whose instructions are counted: not where the baseline has none."""
    workloads = sorted({w for _, w in cells(gate)})
    if gate.plan["has_base"] or gate.plan["update"] or gate.baseline is None:
        return workloads
    kept_measures = gate.baseline["cells"].get("program", {}).get("measures", {})
    return [w for w in workloads if f"instructions|{w}" in kept_measures]


def no_baseline(gate: Gate) -> str | None:
    """Why there is nothing to compare with; None: there is."""
    if gate.plan["has_base"] or gate.plan["update"]:
        return None
    path, kernel = gate.plan["baseline"], gate.plan["kernel_class"]
    if gate.baseline is None:
        return f"there is no baseline for this kernel's class, {kernel} ({path}): `perhop gate --update-baseline` makes one"
    if gate.baseline["kernel_class"] != kernel:
        return f"{path} is for {gate.baseline['kernel_class']}, this kernel is {kernel}"
    return None


# ---- What to measure ----------------------------------------------------------------------------

def jobs(gate: Gate) -> list[Job]:
    """Jobs of the hard tier that are still to be done."""
    if no_baseline(gate):
        return []
    out: list[Job] = []
    for side in gate.sides():
        if not any(gate.of("size", side)):
            out.append({"what": "size", "side": side})
        for dataplane, workload in cells(gate):
            done = list(gate.of("audit", side, dataplane=dataplane, workload=workload))
            if not done or (len(done) < ATTEMPTS and done[-1]["record"] is None and not cannot_run(done[-1])):
                out.append({"what": "audit", "side": side, "dataplane": dataplane, "workload": workload, **AUDIT})
    if out:
        return out
    counted = any(of_perf(r["record"]) for r in gate.of("audit") if r["record"])
    for side in gate.sides() if not counted else []:
        for workload in program_cells(gate):
            done = list(gate.of("callgrind", side, workload=workload))
            if not done or (len(done) < ATTEMPTS and done[-1]["record"] is None and len(list(gate.of("callgrind"))) < 6):
                out.append({"what": "callgrind", "side": side, "workload": workload, "reps": 3})
    if out or gate.plan["update"]:
        return out
    again = {row.cell for row in rows(gate) if row.verdict in (WORSE, UNKNOWN) and not row.detail.get("settled")}
    for dataplane, workload in cells(gate):
        if cell_name(dataplane, workload) not in again:
            continue
        for side in gate.sides():
            done = list(gate.of("audit", side, dataplane=dataplane, workload=workload))
            if len(done) < ATTEMPTS and done[-1]["record"] is not None:
                out.append({"what": "audit", "side": side, "dataplane": dataplane, "workload": workload, **AUDIT})
    return out


def cannot_run(job: Job) -> bool:
    """Whether it says itself that it cannot run here: trying again is of no use."""
    return job["exit"] == 2


# ---- Judging ------------------------------------------------------------------------------------

def best(gate: Gate, side: str, dataplane: str, workload: str) -> Measures:
    """Measures of a cell; of several attempts, each measure's smallest value. ValueError: none."""
    merged: Measures = {}
    why = "not measured"
    attempts = []
    for job in gate.of("audit", side, dataplane=dataplane, workload=workload):
        try:
            if job["record"] is None:
                raise ValueError(job["why"])
            attempts.append(of_audit(job["record"]))
        except ValueError as error:
            why = str(error)
    if not attempts:
        raise ValueError(why)
    for key in set().union(*attempts):
        zero = {"value": 0.0, "bound": 0.0, "where": next(a[key]["where"] for a in attempts if key in a)}
        merged[key] = min((a.get(key, zero) for a in attempts), key=lambda m: (m["bound"] > NO_COUNT, m["value"]))
    return merged


def judge(key: str, base: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, float]:
    """(verdict, what was allowed) of one count."""
    metric = key.split("|")[0]
    bound = max(base["bound"], now["bound"])
    if metric in ("instructions", "size"):
        allowed = max(bound, base["value"] * (INSTRUCTIONS_ALLOWED if metric == "instructions" else SIZE_ALLOWED))
    else:
        allowed = max(bound, ALLOWED.get(metric, EXACT))
        if bound > NO_COUNT and abs(now["value"] - base["value"]) <= max(2 * bound, 1):
            return UNKNOWN, bound
    change = now["value"] - base["value"]
    return (WORSE if change > allowed else BETTER if change < -allowed else OK), allowed


def rows(gate: Gate) -> list[Row]:
    """A row for each measure."""
    why = no_baseline(gate)
    if why:
        return [Row("hard", "baseline", "baseline", "", UNKNOWN, None, None, why)]
    out: list[Row] = []
    for dataplane, workload in cells(gate):
        out += cell_rows(gate, dataplane, workload)
    return out + program_rows(gate)


def cell_rows(gate: Gate, dataplane: str, workload: str) -> list[Row]:
    """Rows of a cell."""
    name = cell_name(dataplane, workload)
    try:
        now = best(gate, "head", dataplane, workload)
        base = best(gate, "base", dataplane, workload) if gate.plan["has_base"] else kept(gate, name)
        stop = None if gate.plan["has_base"] else changed_context(gate, name, dataplane, workload)
    except ValueError as error:
        return [Row("hard", name, "audit", "", UNKNOWN, None, None, str(error))]
    if stop:
        return [Row("hard", name, "audit", "", UNKNOWN, None, None, stop)]
    out = []
    for key in sorted(set(base) | set(now), key=lambda k: (list(METRICS).index(k.split("|")[0]), k)):
        metric = key.split("|")[0]
        zero = {"value": 0.0, "bound": 0.0}
        b, n = base.get(key, zero), now.get(key, zero)
        if b["bound"] > NO_COUNT:       # the baseline says so itself: it is no count
            continue
        verdict, allowed = judge(key, b, n)
        out.append(Row("hard", name, METRICS[metric][0], now.get(key, b)["where"], verdict, b["value"], n["value"],
                       explain(metric, b, n, verdict, allowed, base, now), key,
                       {"settled": max(b["bound"], n["bound"]) <= EDGE and n["value"] - b["value"] > NO_COUNT}))
    return out


def explain(metric: str, b: Mapping[str, Any], n: Mapping[str, Any], verdict: str, allowed: float, base: Measures, now: Measures) -> str:
    """By how much, and the probe's breakdown of the quantity."""
    if verdict == OK:
        return ""
    if verdict == UNKNOWN:
        return f"varies by {allowed:.2f} between repetitions: no count here"
    quantity = METRICS[metric][0]
    parts = []
    for other, (of, _) in METRICS.items():
        if of == quantity:
            x, y = (sum(m["value"] for k, m in side.items() if k.split("|")[0] == other) for side in (base, now))
            if x or y:
                parts.append(f"{other} {x:g}" if abs(x - y) < EDGE else f"{other} {x:.4g} → {y:.4g}")
    unit = "" if metric in ("pool", "connects") else " per request"
    return f"{n['value'] - b['value']:+.4g}{unit}: {METRICS[metric][1]}. All of this cell: {', '.join(parts)}"


def kept(gate: Gate, name: str) -> Measures:
    """A cell of the baseline. ValueError when it is not there."""
    assert gate.baseline is not None
    if name not in gate.baseline["cells"]:
        raise ValueError("it is not in the baseline: `perhop gate --update-baseline -d … -w …` adds it")
    measures: Measures = gate.baseline["cells"][name]["measures"]
    return measures


def attached(record: Mapping[str, Any]) -> list[str]:
    """What the probes could count."""
    return sorted({h["serves"] for h in record["hooks"] if h["attached"]})


def changed_context(gate: Gate, name: str, dataplane: str, workload: str) -> str | None:
    """Why counts of today cannot be compared with the baseline's; None: they can."""
    assert gate.baseline is not None
    cell = gate.baseline["cells"][name]
    record = [j["record"] for j in gate.of("audit", "head", dataplane=dataplane, workload=workload) if j["record"]][-1]
    for serves in sorted(set(cell["counted"]) - set(attached(record))):
        why = next((h["reason"] for h in record["hooks"] if h["serves"] == serves and h["reason"]), "")
        return f"the baseline has {serves}, which cannot be counted here: {why or 'no hook'}"
    if "knative" in dataplane or "nginx" in dataplane:
        then, today = (h["packages"].get("nginx") for h in (gate.baseline["host"], record["host"]))
        if then != today:
            return f"the baseline was made with nginx {then}, here is {today}"
    return None


def program_rows(gate: Gate) -> list[Row]:
    """Rows of what belongs to the program: instructions and size."""
    out = []
    now, missing = program_measures(gate, "head")
    if gate.plan["has_base"]:
        base, more = program_measures(gate, "base")
        missing, stop = missing + more, None
    else:
        base = gate.baseline["cells"].get("program", {}).get("measures", {}) if gate.baseline else {}
        base = {k: m for k, m in base.items() if not k.startswith("instructions|") or k.split("|")[1] in program_cells(gate)}
        stop = changed_build(gate)
    for why in missing:
        out.append(Row("hard", "program", "instructions", "", UNKNOWN, None, None, why))
    for key in sorted(set(base) | set(now)):
        metric, measure = key.split("|")[0], "instructions" if key.startswith("instr") else "bytes of the program"
        if key not in now:
            if not missing:
                out.append(Row("hard", "program", measure, base[key]["where"], UNKNOWN, base[key]["value"], None, "not measured", key))
            continue
        n = now[key]
        if key not in base:
            out.append(Row("hard", "program", measure, n["where"], NEW, None, n["value"], "not in the baseline", key))
        elif stop:
            out.append(Row("hard", "program", measure, n["where"], UNKNOWN, base[key]["value"], n["value"], stop, key))
        else:
            verdict, allowed = judge(key, base[key], n)
            text = "" if verdict == OK else f"{n['value'] / base[key]['value'] - 1:+.1%} (allowed: {allowed / base[key]['value']:.1%})"
            if verdict != OK and metric == "instructions":
                text += functions_text(base[key].get("functions", {}), n.get("functions", {}))
            out.append(Row("hard", "program", measure, n["where"], verdict, base[key]["value"], n["value"], text, key))
    return out


def functions_text(base: Mapping[str, float], now: Mapping[str, float]) -> str:
    """The functions that account for most of a change."""
    change = sorted(((now.get(f, 0) - base.get(f, 0), f) for f in {*base, *now}), key=lambda c: -abs(c[0]))[:3]
    return "; most of it in " + ", ".join(f"{f} {c:+.0f}" for c, f in change if abs(c) >= 1)


def program_measures(gate: Gate, side: str) -> tuple[Measures, list[str]]:
    """Measures of a program, and the reasons for those that are missing."""
    out: Measures = {}
    missing = []
    for job in gate.of("size", side):
        if job["record"]:
            out.update(of_size(job["record"]))
        else:
            missing.append(job["why"])
    for job in gate.of("audit", side):
        for component, n in ((job["record"] and of_perf(job["record"])) or {}).items():
            key = f"instructions|{cell_name(job['dataplane'], job['workload'])}|{component}"
            if key not in out or n < out[key]["value"]:
                out[key] = {"value": round(n, 1), "bound": 0, "where": f"{component} of {cell_name(job['dataplane'], job['workload'])}"}
    for workload in program_cells(gate):
        done = list(gate.of("callgrind", side, workload=workload))
        good = [j for j in done if j["record"]]
        if good:
            out.update(of_callgrind(good[-1], gate))
        elif done:
            missing.append(f"instructions of {workload}: no hardware counters, and callgrind: {done[-1]['why']}")
    return out, missing


def host_of(gate: Gate) -> dict[str, Any]:
    """What of the host makes counts comparable."""
    for job in gate.of("audit", "head"):
        if job["record"]:
            host = job["record"]["host"]
            return {k: host[k] for k in ("kernel", "cpu_model", "compiler", "cflags", "packages")}
    return {}


def changed_build(gate: Gate) -> str | None:
    """Why size and instructions cannot be compared with the baseline's."""
    assert gate.baseline is not None
    then, now = gate.baseline["host"], host_of(gate)
    for key in ("compiler", "cflags", "cpu_model"):
        if then.get(key) != now.get(key):
            return f"the baseline was made with another {key}: {then.get(key)}; here: {now.get(key)}"
    if then["packages"].get("libc6") != now["packages"].get("libc6"):
        return "the baseline was made with another libc"
    return None


# ---- The baseline -------------------------------------------------------------------------------

def make_baseline(gate: Gate) -> tuple[dict[str, Any], list[str]]:
    """A new baseline from the head's records; and what could not be measured."""
    missing: list[str] = []
    partial = bool(gate.plan["dataplanes"] or gate.plan["workloads"])
    made: dict[str, Any] = dict(gate.baseline["cells"]) if partial and gate.baseline else {}
    commit = None
    for dataplane, workload in cells(gate):
        name = cell_name(dataplane, workload)
        try:
            measures = best(gate, "head", dataplane, workload)
        except ValueError as error:
            missing.append(f"{name}: {error}")
            continue
        record = [j["record"] for j in gate.of("audit", "head", dataplane=dataplane, workload=workload) if j["record"]][-1]
        commit = record["host"]["git_sha"]
        made[name] = {"dataplane": dataplane, "workload": workload, "counted": attached(record),
                      "measures": dict(sorted(measures.items()))}
    program, more = program_measures(gate, "head")
    if program:
        made["program"] = {"measures": program}
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    return {"schema_version": 1, "kind": "baseline", "kernel_class": gate.plan["kernel_class"], "commit": commit,
            "made": today, "host": host_of(gate), "cells": made}, missing + more


def baseline_text(baseline: Mapping[str, Any]) -> str:
    """As JSON with a line for each measure, so that `git diff` shows what a change costs."""
    lines = ["{"]
    for key, value in baseline.items():
        if key != "cells":
            lines.append(f" {json.dumps(key)}: {json.dumps(value)},")
    lines.append(' "cells": {')
    for i, (name, cell) in enumerate(baseline["cells"].items()):
        lines.append(f"  {json.dumps(name)}: {{")
        for key, value in cell.items():
            if key != "measures":
                lines.append(f"   {json.dumps(key)}: {json.dumps(value)},")
        lines.append('   "measures": {')
        body = [f"    {json.dumps(k)}: {json.dumps(m, ensure_ascii=False)}" for k, m in cell["measures"].items()]
        lines.append(",\n".join(body))
        lines.append("   }\n  }" + ("," if i + 1 < len(baseline["cells"]) else ""))
    return "\n".join(lines) + "\n }\n}\n"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What a new baseline changes, a line each: beyond what the old one allows."""
    out = []
    for name in sorted({*old["cells"], *new["cells"]}):
        a, b = (x["cells"].get(name, {}).get("measures", {}) for x in (old, new))
        if not a or not b:
            out.append(f"{name}: {'added' if b else 'removed'}, {len(a) + len(b)} measures")
            continue
        zero = {"value": 0.0, "bound": 0.0}
        for key in sorted({*a, *b}):
            before, after = a.get(key, zero), b.get(key, zero)
            verdict, _ = judge(key, before, after)
            if verdict != OK:
                out.append(f"{name}: {key.replace('|', ' of ', 1).replace('|', ', segment ')}: {before['value']:g} → {after['value']:g} ({verdict})")
    return out
