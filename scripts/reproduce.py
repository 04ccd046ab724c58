# SPDX-License-Identifier: BSD-2-Clause
"""make reproduce: run the experiments of paper-figs/, draw the figures, judge the numbers, write the report.

    reproduce.py [--profile smoke|quick|paper] [--only fig08,…] [--seed N] [--resume DIR|no]
    reproduce.py --draw DIR      draw and report again from the records of a run; runs nothing
    reproduce.py --plan          say what would run and how long it should take; run nothing

Exit: 0 done, 1 done, but a run was invalid or a figure failed, 2 could not, 130 interrupted.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Iterator, Sequence

import records as rec
from experiment import BUDGETS, PROFILES, ConfError, Experiment, Plan, make_plan, read_all
from figures import Drawn, draw
from progress import Bar, duration
from report import FINDINGS, Report
from runner import Progress, Runner, Stopped, availability, claim, digest, open_folder

DISK_MIN = 64 << 20         # bytes: records of a quick run and its figures are below 20 MB


def announce(plan: Plan, runner: Runner, done: set[str], experiments: Sequence[Experiment]) -> None:
    """Say what will run, what not and why, and how long it should take."""
    left = [c for c in plan.cells if c.label not in done]
    for experiment in experiments:
        mine = [c for c in left if c.experiment == experiment.name]
        print(f"{experiment.name}: {experiment.title}"
              + (f" ({duration(runner.expected_s(mine))})" if mine else ""))
        for system in experiment.systems:
            cells = [c for c in mine if c.system == system]
            if not cells:
                continue
            reason = runner.unavailable.get(cells[0].dataplane)
            points = list(dict.fromkeys(c.point for c in cells))
            what = cells[0].dataplane or "perhop " + " ".join(cells[0].command[:1])
            print(f"  {experiment.system_name(system):<16} {what:<24} "
                  + (f"skipped: {reason}" if reason else f"{len(cells)} runs: {', '.join(points)}"))
    if plan.left_out:
        print(f"left out, to keep the time of the {plan.profile} profile: {'; '.join(plan.left_out)}")
    for note in limits_here():
        print(f"note: {note}")
    if done:
        print(f"{len(plan.cells) - len(left)} of {len(plan.cells)} runs are recorded already")
    print(f"about {duration(runner.expected_s(left))}, seed {plan.seed}, records in {runner.records}", flush=True)


def limits_here() -> Iterator[str]:
    """What this machine lacks that runs will suffer from without being skipped, a sentence each."""
    if len(os.sched_getaffinity(0)) == 1:
        yield ("one CPU: the load generator shares it with the chain, and dataplanes that poll starve it; read "
               "ratios with care")
    if os.geteuid() != 0:
        yield "not root: what needs eBPF, network namespaces or hugepages is skipped above, with its reason"


def write_report(folder: Path, profile: str, seed: int, experiments: Sequence[Experiment],
                 problems: Sequence[str], left_out: Sequence[str] = (),
                 gnuplot: bool = False, figures: Path = rec.ROOT / "paper-figs") -> tuple[Path, list[Drawn]]:
    """Draw everything and write the report of a run's folder."""
    path = folder / "records.jsonl"
    loaded = rec.load(path) if path.exists() else rec.Loaded(path)
    drawn = []
    for experiment in experiments:
        print(f"drawing {experiment.name}", flush=True)
        drawn.append(draw(experiment, loaded.records, folder / "figures" / experiment.name, gnuplot))
        for problem in drawn[-1].problems:
            print(f"  {problem}")
    findings = FINDINGS.read_text(encoding="utf-8") if FINDINGS.exists() else ""
    homes: dict[str, list[str]] = {}
    for experiment in read_all(figures)[0]:
        for artifact in experiment.artifacts:
            homes.setdefault(artifact, []).append(experiment.name)
    return Report(folder, profile, seed, loaded, drawn, problems, left_out, findings, homes).write(), drawn


def execute(args: argparse.Namespace, experiments: list[Experiment], problems: list[str]) -> int:
    """Plan, run, draw, report."""
    began = time.monotonic()
    program = Path(args.program)
    if not program.is_file():
        raise Stopped(f"there is no {program}: run `make` first")
    experiments = [e for e in experiments if args.profile in e.profiles]
    plan = make_plan(experiments, args.profile, args.seed, digest(program))
    if not plan.cells:
        raise Stopped(f"nothing to run: no experiment {'named ' + args.only if args.only else ''} in {args.figures} "
                      f"has a {args.profile} profile")
    unavailable = availability(program, {c.dataplane for c in plan.cells if c.dataplane})
    if args.plan:
        announce(plan, Runner(plan, Path(args.runs) / "…", program, lambda p: None, unavailable), set(), experiments)
        return 0
    folder, resumed = open_folder(Path(args.runs), plan, args.resume)
    claim(folder)
    free = shutil.disk_usage(folder).free
    if free < DISK_MIN:
        raise Stopped(f"{free >> 20} MB are free at {folder}; at least {DISK_MIN >> 20} MB are needed. Nothing was run")
    bar = Bar()
    # A slow machine takes longer than planned: repetitions are dropped then.
    limit = BUDGETS[args.profile].runs - (time.monotonic() - began) if args.profile in BUDGETS else None
    runner = Runner(plan, folder, program, bar, unavailable, limit_s=limit)
    if resumed:
        print(f"resuming {folder}")
    announce(plan, runner, runner.recorded(), experiments)
    interrupted = ""
    state = Progress(len(plan.cells))
    try:
        state = runner.run()
    except KeyboardInterrupt:
        interrupted = "interrupted"
    except Stopped as error:
        interrupted = str(error)
    except OSError as error:        # of its log
        interrupted = f"cannot write to {folder}: {error.strerror}"
    if interrupted:
        bar.end()
        print(f"reproduce: {interrupted}; the records so far are kept. Run the same command again to go on.",
              file=sys.stderr)
        return 130 if interrupted == "interrupted" else 2
    path, drawn = write_report(folder, args.profile, args.seed, experiments, problems, plan.left_out,
                               args.gnuplot, Path(args.figures))
    print(f"report: {path}")
    return 1 if state.failed or problems or any(d.problems for d in drawn) else 0


def redraw(args: argparse.Namespace, experiments: list[Experiment], problems: list[str]) -> int:
    """Report again from records."""
    folder = Path(args.draw)
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        profile, seed = str(plan["profile"]), int(plan["seed"])
        planned = {c["experiment"] for c in plan["cells"]}
        left_out = [str(phrase) for phrase in plan.get("left_out", [])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stopped(f"{folder} is not the folder of a run: {error}") from error
    path, _ = write_report(folder, profile, seed, [e for e in experiments if e.name in planned],
                           problems, left_out, args.gnuplot, Path(args.figures))
    print(f"report: {path}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and go."""
    parser = argparse.ArgumentParser(description="Run the experiments of paper-figs/, draw every figure, judge "
                                     "every published number, write the report.")
    parser.add_argument("--profile", choices=PROFILES, default="quick", help="how long and how often (default quick)")
    parser.add_argument("--only", default="", help="figure folders to take, by the start of their names: fig08,fig05")
    parser.add_argument("--seed", type=int, default=1, help="of the order and of the load (default 1)")
    parser.add_argument("--resume", help="folder of a run to go on with; 'no' starts anew "
                        "(default: the newest unfinished run of the same plan)")
    parser.add_argument("--plan", action="store_true", help="say what would run, and stop")
    parser.add_argument("--draw", metavar="DIR", help="draw and report from the records of this run")
    parser.add_argument("--gnuplot", action="store_true", help="draw by gnuplot (plot.gp) where a figure has one")
    parser.add_argument("--program", default=str(rec.ROOT / "build" / "perhop"), help="the perhop to run")
    parser.add_argument("--figures", default=str(rec.ROOT / "paper-figs"), help=argparse.SUPPRESS)
    parser.add_argument("--runs", default=str(rec.ROOT / "results" / "runs"), help="where runs are kept")
    args = parser.parse_args(argv)
    # Like Ctrl-C: stop the run that is under way and leave everything ready to resume.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    only = [word for word in args.only.replace(" ", ",").split(",") if word]
    try:
        experiments, problems = read_all(Path(args.figures), only)
        for problem in problems:
            print(f"reproduce: {problem}", file=sys.stderr)
        return (redraw if args.draw else execute)(args, experiments, problems)
    except (Stopped, ConfError, OSError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("reproduce: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
