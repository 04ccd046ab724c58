#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tables 1 and 2 of the SPRIGHT paper, and its slides' variant, measured on every dataplane.

    tables.py measure -o DIR [--perhop BINARY] [--profile smoke|quick|paper]   run the audits
    tables.py draw DIR                                                         tables and figures

`measure` writes audits.jsonl (one record of results/audit-schema.json per line); `draw` makes of it
tables.txt, tables.csv, tables.tex, audit-table.pdf/.png (stacked bars) and audit-curve.pdf/.png (each
count over concurrency). Reads records, computes nothing that is not in them.
"""
from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

Record = Mapping[str, Any]

QUANTITIES = {
    "copies": "# of copies", "context_switches": "# of context switches",
    "interrupts": "# of interrupts", "protocol_tasks": "# of protocol processing tasks",
    "serializations": "# of serialization", "deserializations": "# of deserialization",
}
COLUMNS = ("external", "within", "total", "slide_total")
WORKLOAD = "echo,length=2"
DATAPLANES = ("kernel:knative", "kernel:http", "kernel:grpc", "skmsg", "uds", "futex", "dpdk", "null")
CURVED = ("kernel:knative", "skmsg")
# Table 1: isolated, one request at a time. The curve: as scheduled, no think time.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"reps": 3, "requests": 100, "modes": ("isolated",), "curve": ()},
    "quick": {"reps": 8, "requests": 200, "modes": ("isolated", "cross-core", "as-scheduled"),
              "curve": (1, 4, 16, 64)},
    "paper": {"reps": 20, "requests": 500, "modes": ("isolated", "cross-core", "as-scheduled"),
              "curve": (1, 2, 4, 8, 16, 32, 64)},
}


def measure(perhop: str, out: Path, profile: str) -> int:
    """Run every audit of the profile. Returns how many failed; those that cannot run here do not."""
    plan = PROFILES[profile]
    costed = profile != "smoke"
    jobs = [(d, ["--mode", m] + ([] if costed and m == "isolated" else ["--no-cost"]))
            for m in plan["modes"] for d in DATAPLANES]
    jobs += [(d, ["--mode", "as-scheduled", "--think", "0", "-c", str(c), "--no-cost"])
             for c in plan["curve"] for d in CURVED]
    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    with (out / "audits.jsonl").open("w") as file:
        for i, (dataplane, options) in enumerate(jobs):
            done = subprocess.run([perhop, "audit", "-d", dataplane, "-w", WORKLOAD, "--reps",
                                   str(plan["reps"]), "-n", str(plan["requests"]), "--json", *options],
                                  capture_output=True, text=True, timeout=600, check=False)
            print(f"[{i + 1}/{len(jobs)}] {dataplane} {' '.join(options)}: "
                  f"{'ok' if done.returncode == 0 else done.stderr.strip() or 'a check failed'}", flush=True)
            file.write(done.stdout)
            file.flush()
            failed += done.returncode == 1 and not done.stdout
    return failed


def load(folder: Path) -> list[Record]:
    """All records of a folder that have counts."""
    with (folder / "audits.jsonl").open() as file:
        records = [json.loads(line) for line in file if line.strip()]
    return [r for r in records if r["counts"]]


def is_table(record: Record) -> bool:
    """One request at a time, with think time: what the tables show; the rest is the curve."""
    return record["concurrency"] == 1 and record["think_us"] > 0


def cells(record: Record) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(quantity, column, cell) of a record: segments by number, then the sums."""
    out = []
    for q in QUANTITIES:
        for number, cell in record["counts"][q]["segments"].items():
            out.append((q, number, cell))
        for column in (*COLUMNS, "round_trip"):
            out.append((q, column, record["counts"][q][column]))
    return out


def short(x: float | None) -> str:
    """A count as in a table: whole where it is."""
    if x is None:
        return "-"
    return f"{x:.0f}" if abs(x - round(x)) < 0.005 else f"{x:.2f}"


def header(record: Record) -> list[str]:
    """Column titles of a record's table, in the paper's order."""
    by = {c: [s["number"] for s in record["segments"] if s["class"] == c]
          for c in ("external", "within", "return_chain", "return_external")}
    return ([str(n) for n in by["external"]] + ["external"] + [str(n) for n in by["within"]] +
            ["within", "total"] + [str(n) for n in by["return_chain"]] + ["slide_total"] +
            [str(n) for n in by["return_external"]] + ["round_trip"])


def cell_of(record: Record, quantity: str, column: str) -> Mapping[str, Any]:
    """The cell at a column title."""
    counts = record["counts"][quantity]
    return counts["segments"][column] if column.isdigit() else counts[column]


def text(records: Sequence[Record]) -> str:
    """All tables as plain text: measured, published, verdict, and one line why where it differs."""
    out = []
    for r in records:
        columns = header(r)
        out.append(f"{r['dataplane']}, {r['workload']}, {r['mode']}, {r['repetitions']} x "
                   f"{r['requests_per_repetition']} requests, hooks up to {r['tier']}")
        out += [f"  ({s['number']}) {s['step']}" for s in r["segments"]]
        out.append(f"{'':34}" + "".join(f"{'(' + c + ')' if c.isdigit() else c:>12}" for c in columns))
        reasons: dict[str, list[str]] = {}
        for q, title in QUANTITIES.items():
            line = [cell_of(r, q, c) for c in columns]
            out.append(f"{title:34}" + "".join(f"{short(c['mean']):>12}" for c in line))
            if any(c["published"] is not None for c in line):
                out.append(f"{'    published':34}" + "".join(f"{short(c['published']):>12}" for c in line))
                out.append(f"{'    verdict':34}" + "".join(f"{c['verdict'] or '-':>12}" for c in line))
            for c, column in zip(line, columns):
                if c["why"]:
                    reasons.setdefault(f"{title}: {c['why']}", []).append(column)
        out += [f"  {', '.join(where)}: {why}" for why, where in reasons.items()]
        bad = [c for c in r["checks"] if c["verdict"] == "fail"]
        out += [f"  CHECK FAILED {c['name']}: {c['text']}" for c in bad]
        out.append("")
    return "\n".join(out)


def write_csv(records: Sequence[Record], path: Path) -> None:
    """One line per cell of every table and of the curve."""
    with path.open("w", newline="") as file:
        w = csv.writer(file, lineterminator="\n")
        w.writerow(["dataplane", "mode", "concurrency", "think_us", "quantity", "column", "mean", "lo99",
                    "hi99", "cv", "published", "verdict", "why"])
        for r in records:
            for q, column, c in cells(r):
                w.writerow([r["dataplane"], r["mode"], r["concurrency"], r["think_us"], q, column,
                            c["mean"], *c["ci99"], c["cv"], c["published"], c["verdict"], c["why"]])


def latex(records: Sequence[Record]) -> str:
    """The isolated tables for a paper: measured, and published in grey where it differs."""
    out = ["% needs booktabs and xcolor"]
    for r in records:
        if r["mode"] != "isolated" and r["dataplane"] != "dpdk":
            continue
        columns = header(r)
        title = r["dataplane"].replace("_", r"\_")
        out += [r"\begin{table}", rf"\caption{{Overheads per request: {title}, {r['mode']}.}}",
                rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule",
                "& " + " & ".join(c.replace("_", " ") if not c.isdigit() else f"({c})" for c in columns) +
                r" \\", r"\midrule"]
        for q, name in QUANTITIES.items():
            row = []
            for c in (cell_of(r, q, column) for column in columns):
                paper = rf" \textcolor{{gray}}{{({short(c['published'])})}}" if c["verdict"] == "differs" else ""
                row.append(short(c["mean"]) + paper)
            out.append(name.replace("#", r"\#") + " & " + " & ".join(row) + r" \\")
        out += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(out)


def bars(records: Sequence[Record], folder: Path) -> None:
    """Stacked bars: each quantity per dataplane, split into external, within, and the way back."""
    import matplotlib.pyplot as plt
    import style
    style.apply()
    parts = (("external", style.SKY), ("within", style.VERMILION), ("way back", "#c9cad1"))
    fig, axes = plt.subplots(1, len(QUANTITIES), figsize=(style.TEXT, 2.1), sharey=True, layout="constrained")
    names = [r["dataplane"] for r in records]
    for ax, (q, title) in zip(axes, QUANTITIES.items()):
        left = [0.0] * len(records)
        for part, colour in parts:
            values = []
            for r in records:
                c = r["counts"][q]
                values.append(max(0.0, c["round_trip"]["mean"] - c["total"]["mean"]) if part == "way back"
                              else max(0.0, c[part]["mean"]))
            ax.barh(range(len(records)), values, left=left, color=colour, height=0.7, label=part)
            left = [a + b for a, b in zip(left, values)]
        for y, r in enumerate(records):
            paper = r["counts"][q]["total"]["published"]
            if paper is not None:
                ax.plot([paper, paper], [y - 0.42, y + 0.42], color=style.INK, lw=1.2,
                        label="published total" if y == 0 else None)
        # A poller's yields are switches, too, but of no request: they would hide all else.
        polite = [v for v, r in zip(left, records) if r["mode"] == "isolated"]
        papers = [r["counts"][q]["total"]["published"] or 0 for r in records]
        ax.set_xlim(0, 1.08 * max(polite + papers + [1]))
        ax.set_title(title.replace("# of ", "").replace(" processing", ""))
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(records)), names)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    style.legend_above(fig, handles, labels)
    fig.supxlabel("events per request (echo, two functions, concurrency 1)", fontsize=7)
    save(fig, folder, "audit-table")


def curve(records: Sequence[Record], folder: Path) -> None:
    """Each count, there and back, over concurrency."""
    import matplotlib.pyplot as plt
    import style
    style.apply()
    fig, axes = plt.subplots(1, len(QUANTITIES), figsize=(style.TEXT, 1.9), layout="constrained")
    for ax, (q, title) in zip(axes, QUANTITIES.items()):
        for dataplane in sorted({r["dataplane"] for r in records}):
            rows = sorted((r for r in records if r["dataplane"] == dataplane), key=lambda r: r["concurrency"])
            x = [r["concurrency"] for r in rows]
            cells_ = [r["counts"][q]["round_trip"] for r in rows]
            colour, dash, marker = style.look(dataplane.split(":")[-1])
            ax.plot(x, [c["mean"] for c in cells_], color=colour, ls=dash, marker=marker, ms=2.5, lw=1,
                    label=dataplane)
            ax.fill_between(x, [c["ci99"][0] for c in cells_], [c["ci99"][1] for c in cells_], color=colour,
                            alpha=0.2, lw=0)
        ax.set_xscale("log", base=2)
        ax.set_ylim(bottom=0)
        ax.set_title(title.replace("# of ", "").replace(" processing", ""))
        ax.set_xlabel("concurrency")
    handles, labels = axes[0].get_legend_handles_labels()
    style.legend_above(fig, handles, labels)
    save(fig, folder, "audit-curve")


def save(fig: Any, folder: Path, stem: str) -> None:
    """PDF, PNG and SVG without dates, so that the same records give the same bytes."""
    import style
    style.save(fig, folder, stem)


def draw(folder: Path) -> None:
    """Everything from audits.jsonl."""
    records = load(folder)
    tables = [r for r in records if is_table(r)]
    (folder / "tables.txt").write_text(text(tables))
    (folder / "tables.tex").write_text(latex(tables))
    write_csv(records, folder / "tables.csv")
    shown = {}
    for r in tables:                # isolated where there is one; pollers only come as scheduled
        if r["mode"] == "isolated" or r["dataplane"] not in shown:
            shown[r["dataplane"]] = r
    if shown:
        bars(list(shown.values()), folder)
    over = [r for r in records if r["think_us"] == 0]
    if over:
        curve(over, folder)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("measure", help="run the audits")
    one.add_argument("-o", "--out", type=Path, required=True)
    one.add_argument("--perhop", default="build/perhop")
    one.add_argument("--profile", choices=sorted(PROFILES), default="quick")
    two = commands.add_parser("draw", help="tables and figures from a folder's audits.jsonl")
    two.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.command == "draw":
        draw(args.folder)
        print((args.folder / "tables.txt").read_text())
        return 0
    return 1 if measure(args.perhop, args.out, args.profile) else 0


if __name__ == "__main__":
    sys.exit(main())
