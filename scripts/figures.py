# SPDX-License-Identifier: BSD-2-Clause
"""Drawing: loads the plot.py and verdicts.py of figure folders. What one of them does wrong stays with it.

A folder of paper-figs/ may hold
    plot.py      draw(records, out_dir) -> list of (file stem, caption); writes stem.pdf, .png, .svg
    plot.gp      the lines of it by gnuplot, for machines without matplotlib; see paper-figs/lines.gp
    curves.py    panels(records) -> the data of plot.gp, see lines.py; without it, see sweeps.py
    verdicts.py  judge(records, reference) -> list of Verdict; and, where the common tables do not fit,
                 tables(records) -> list of (heading, Table)
All get only the records of their experiment.
"""
from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Sequence

import lines
from experiment import Experiment
from records import Record, select
from sweeps import panels
from tables import Table
from verdicts import Verdict, reference


@dataclass
class Drawn:
    """What an experiment gave."""

    experiment: Experiment
    records: list[Record]
    figures: list[tuple[Path, str]] = field(default_factory=list)      # SVG, caption
    verdicts: list[Verdict] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def load_module(path: Path) -> ModuleType:
    """Import a file under a name of its own; it may import from scripts/ and paper-figs/."""
    for folder in (path.parent.parent, Path(__file__).resolve().parent):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    name = "figure_" + "".join(c if c.isalnum() else "_" for c in f"{path.parent.name}_{path.stem}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def have_matplotlib() -> bool:
    """Whether plot.py files can run."""
    return importlib.util.find_spec("matplotlib") is not None


def write_lines(experiment: Experiment, records: Sequence[Record], out: Path) -> bool:
    """Write the data of the folder's line plot into `out`. False: it has none."""
    own = experiment.folder / "curves.py"
    return lines.write(load_module(own).panels(records) if own.exists() else panels(experiment, records), out)


def by_gnuplot(experiment: Experiment, records: Sequence[Record], out: Path) -> list[tuple[Path, str]]:
    """Run the folder's plot.gp. ValueError with a sentence when it cannot."""
    script = experiment.folder / "plot.gp"
    if shutil.which("gnuplot") is None:
        raise ValueError("gnuplot is not installed")
    stem = (out / f"{experiment.name}-gnuplot").resolve()
    if not write_lines(experiment, records, out):
        return []
    where = "; ".join(f"{name}='{str(path).replace(chr(39), chr(39) * 2)}'" for name, path in
                      (("dir", out.resolve()), ("stem", stem)))
    done = subprocess.run(["gnuplot", "-e", where, script.name], capture_output=True, cwd=script.parent, text=True,
                          timeout=60, check=False)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ["gnuplot failed"])[-1])
    caption = re.search(r"^#: (.*)$", script.read_text(encoding="utf-8"), re.M)
    return [(out / f"{stem.name}.svg", caption[1] if caption else experiment.title)]


def draw(experiment: Experiment, records: Sequence[Record], out: Path, gnuplot: bool = False) -> Drawn:
    """Draw the figures of one experiment into `out` and judge its numbers. Never raises Exception.

    gnuplot: use plot.gp even where matplotlib is there."""
    mine = select(records, experiment.name, usable=False)
    drawn = Drawn(experiment, mine)
    plot, judge = experiment.folder / "plot.py", experiment.folder / "verdicts.py"
    gnuplot = (gnuplot or not have_matplotlib() or not plot.exists()) and (experiment.folder / "plot.gp").exists()
    try:
        # Of another command's output that failed a check of its own, its folder says what still holds.
        if not select(mine) and not any(r.get("output") for r in mine):
            # What was left out of the plan, or skipped, is told as such, with its reasons.
            if any(r["skipped"] is None for r in mine):
                drawn.problems.append("no valid runs: nothing to draw")
        elif gnuplot:
            out.mkdir(parents=True, exist_ok=True)
            drawn.figures = by_gnuplot(experiment, mine, out)
        elif plot.exists():
            out.mkdir(parents=True, exist_ok=True)
            if (experiment.folder / "plot.gp").exists():
                write_lines(experiment, mine, out)
            for stem, caption in load_module(plot).draw(mine, out):
                drawn.figures.append((out / f"{stem}.svg", caption))
    except Exception as error:          # a figure's own fault must not cost the others
        drawn.problems.append(_where("the figure could not be drawn", error))
    if judge.exists():
        try:
            module = load_module(judge)
            drawn.verdicts = list(module.judge(mine, reference()))
            drawn.tables = list(module.tables(mine)) if hasattr(module, "tables") else []
        except Exception as error:
            drawn.problems.append(_where("no verdicts", error))
    return drawn


def _where(what: str, error: Exception) -> str:
    """One sentence with the place in the code."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{what}: {type(error).__name__}: {error}{at}"
