# SPDX-License-Identifier: BSD-2-Clause
"""README's head: numbers and picture from a real run.

    headline.py results/runs/DIR        writes the block between README's headline marks, and docs/img/

Needs a run with fig08-09-boutique and table1-2-audit (`make reproduce`). Nothing in the block is written by hand, so
a new run replaces it whole.
"""
from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import records as rec
from stats import summarise
from tables import Table, plus_minus
from verdicts import KINDS, REPRODUCED

BOUTIQUE, AUDIT = "fig08-09-boutique", "table1-2-audit"
PICTURE = f"figures/{BOUTIQUE}/fig09-ccr.png"
MARKS = re.compile(r"<!-- headline.*?-->\n.*?<!-- /headline -->\n", re.S)
SYSTEMS = {     # of the boutique's experiment -> what they are
    "knative": "`kernel:knative`: nginx ingress, Lua broker, a sidecar per function",
    "grpc": "`kernel:grpc`: function to function, gRPC, no sidecar",
    "http": "`kernel:http`: function to function, kept-alive",
    "skmsg": "`skmsg`: shared memory, 16-byte descriptors by SK_MSG",
    "null": "`null`: all in one process, the bound",
}
COUNTS = (("copies", "copies"), ("context_switches", "context switches"), ("interrupts", "interrupts"),
          ("protocol_tasks", "protocol tasks"))


class Lacking(Exception):
    """The run has not what the block tells; the message says what."""


def boutique(records: Sequence[rec.Record]) -> str:
    """Capacity at 32 connections, a line per system."""
    table = Table(("", "RPS", "p99, ms", "CCR, µs of CPU per request"))
    sizes = set()
    for system, what in SYSTEMS.items():
        rows = rec.select(records, BOUTIQUE, system, "c32")
        if not rows:
            continue
        sizes.add(len(rows))
        table.rows.append((what, plus_minus(summarise(rows, "rps")), plus_minus(summarise(rows, "response_us.p99"), 1e-3),
                           plus_minus(summarise(rows, "ccr_us"))))
    if not table.rows:
        raise Lacking(f"no valid runs of {BOUTIQUE} at 32 connections")
    host = next(r["host"] for r in records if r["host"])
    times = min(r["time"] for r in records if rec.is_run(r))[:10]
    runs = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
    kernel = ".".join(re.findall(r"\d+", host["kernel"])[:2])
    return (f"Online Boutique, whole pages with all their calls, 32 connections, no think time. Means with 99 % intervals of "
            f"{runs}\ninterleaved runs on {host['cpus']} CPUs ({host['cpu_model']}{', a virtual machine' if host['hypervisor'] else ''}), "
            f"Linux {kernel}, {times}, load generator on the\nsame. Compare the ratios; the absolute numbers belong to that "
            "machine and hour. Placement was `auto`: the shared-memory chain\non one core, the others free.\n\n" + table.markdown())


def audit(records: Sequence[rec.Record], published: Sequence[Mapping[str, Any]]) -> str:
    """Counts as published and as counted, of the two pipelines."""
    table = Table(("", *(name for _, name in COUNTS)))
    for system, artifact, column, who in (("knative", "table1", "total", ("Knative-like, published", "`kernel:knative`, measured")),
                                          ("skmsg", "table2", "within", ("SK_MSG within the chain, published",
                                                                        "`skmsg` within the chain, measured"))):
        rows = [r for r in rec.select(records, AUDIT, system, usable=False) if r["output"]]
        if not rows:
            raise Lacking(f"no audit of {system}")
        counts = rows[0]["output"][0]["counts"]
        theirs = {v["metric"]: v["published"].split()[0] for v in published
                  if v["artifact"] == artifact and v["condition"].endswith(f"segment={column}")}
        table.rows.append((who[0], *(theirs[q] for q, _ in COUNTS)))
        table.rows.append((who[1], *(f"{counts[q][column]['mean']:.3g}" for q, _ in COUNTS)))
    return table.markdown()


def block(folder: Path) -> str:
    """The text between the marks, marks included."""
    records = rec.load(folder / "records.jsonl").records
    verdicts = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    profile = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["profile"]
    tally = ", ".join(f"{n} {k}" for k in KINDS if (n := sum(v["verdict"] == k for v in verdicts)))
    inputs = sum(v["verdict"] == REPRODUCED and v["input"] for v in verdicts)
    counted = sum(v["verdict"] == REPRODUCED and v["experiment"] == AUDIT for v in verdicts)
    return (f"<!-- headline: written by `make headline` from a run of `make reproduce PROFILE={profile}` -->\n"
            f"{boutique(records)}\n![CPU per request by component](docs/img/boutique-ccr.png)\n\n"
            "And what the paper counted by hand, counted by the kernel in the same run of `make reproduce` (per request, first to "
            "last\nfunction, as in Tables 1 and 2; all components on one core):\n\n"
            f"{audit(records, verdicts)}\nOf the {len(verdicts)} numbers that the papers and talks print, this run judged: {tally}.\n"
            f"Of those reproduced {counted} are counts of Tables 1 and 2, by segment, and {inputs} inputs that the workloads take over.\n"
            "Each verdict comes with its reason and the records behind it.\n<!-- /headline -->\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0, or 2 when the run has not what is needed."""
    parser = argparse.ArgumentParser(description="Write README's headline numbers and picture from a run's folder.")
    parser.add_argument("folder", type=Path, help="of make reproduce, in results/runs/")
    parser.add_argument("--readme", type=Path, default=rec.ROOT / "README.md", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    try:
        text = args.readme.read_text(encoding="utf-8")
        if len(MARKS.findall(text)) != 1:
            raise Lacking(f"{args.readme} has not exactly one pair of headline marks")
        new = block(args.folder)
        picture = args.readme.parent / "docs" / "img" / "boutique-ccr.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(args.folder / PICTURE, picture)
        args.readme.write_text(MARKS.sub(lambda _: new, text), encoding="utf-8")
    except (Lacking, OSError, ValueError, KeyError) as error:
        print(f"headline: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.readme} and {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
