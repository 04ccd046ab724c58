# SPDX-License-Identifier: BSD-2-Clause
"""Drawing: loads the plot.py and verdicts.py of figure folders. What one of them does wrong stays with it.

A folder of paper-figs/ may hold
    plot.py      draw(records, out_dir) -> list of (file stem, caption); writes stem.pdf, .png, .svg
    verdicts.py  judge(records, reference) -> list of Verdict
Both get only the records of their experiment.
"""
from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Sequence

from experiment import Experiment
from records import Record, select
from verdicts import Verdict, reference


@dataclass
class Drawn:
    """What an experiment gave."""

    experiment: Experiment
    records: list[Record]
    figures: list[tuple[Path, str]] = field(default_factory=list)      # SVG, caption
    verdicts: list[Verdict] = field(default_factory=list)
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


def draw(experiment: Experiment, records: Sequence[Record], out: Path) -> Drawn:
    """Draw the figures of one experiment into `out` and judge its numbers. Never raises Exception."""
    mine = select(records, experiment.name, usable=False)
    drawn = Drawn(experiment, mine)
    plot, judge = experiment.folder / "plot.py", experiment.folder / "verdicts.py"
    if not select(mine):
        drawn.problems.append("no valid runs: nothing to draw")
    elif plot.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
            for stem, caption in load_module(plot).draw(mine, out):
                drawn.figures.append((out / f"{stem}.svg", caption))
        except Exception as error:          # a figure's own fault must not cost the others
            drawn.problems.append(_where("the figure could not be drawn", error))
    if judge.exists():
        try:
            drawn.verdicts = list(load_module(judge).judge(mine, reference()))
        except Exception as error:
            drawn.problems.append(_where("no verdicts", error))
    return drawn


def _where(what: str, error: Exception) -> str:
    """One sentence with the place in the code."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{what}: {type(error).__name__}: {error}{at}"
