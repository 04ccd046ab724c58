# SPDX-License-Identifier: BSD-2-Clause
"""experiment.conf: what one figure needs to be measured, and the plan made of several of them.

    [experiment]   title, artifact (published ones it reproduces), baseline and headline for tables;
                   essential: points without which nothing can be drawn (the headline, unless said)
    [system.NAME]  name (as printed), dataplane (its spec), overrides
    [point.NAME]   a load point: title, users, think_ms, model, rate, service…
    [profile.NAME] duration_s, warmup_s, reps, points, systems of smoke, quick and paper
    [profile.NAME.POINT]  what this profile changes at that point: load, repetitions, systems

Most cells are `perhop run`; `args` adds arguments to it that have no key here. Another sub-command is
declared by `command`, in [experiment] for all cells or in any other section for some of them:

    command = audit -d {dataplane} -w {workload} --reps 4 --seed {seed} --no-cost
    duration_s = 12         what it should take, for the plan; it is given up GRACE_S later

--json is added. Names in braces are the cell's settings. Each line of JSON that it prints goes into the
`output` of the cell's one record, see results/output.schema.json. `dataplane` and `workload` may then be
left out. Exit 0: valid; 1: kept but invalid; anything else: skipped, with the program's last words.

A folder of paper-figs/ with such a file is an experiment; nothing else has to know of it.
"""
from __future__ import annotations

import configparser
import hashlib
import json
import random
import re
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Mapping, Sequence

PROFILES = ("smoke", "quick", "paper")
NAME = re.compile(r"^[a-z0-9][a-z0-9.-]{0,47}$")
THINK = re.compile(r"^\d+(:\d+)?$")
CELL_MAX = 20000
OVERHEAD_S = 0.4            # deploy, stop and wait for a quiet machine, per cell, until the first cells tell better
FULL_REPS = 3               # repetitions that make an interval (stats.FEWEST)


@dataclass(frozen=True)
class Budget:
    """Seconds of a profile: in all, from the command to the report, and for drawing and the report."""

    whole: float
    drawing: float
    margin: float = 0.05    # of the rest: what the plan leaves free

    @property
    def runs(self) -> float:
        """For all runs; what does not fit when they turn out to be slow loses its repetitions."""
        return self.whole - self.drawing

    @property
    def planned(self) -> float:
        """For all runs, as planned."""
        return self.runs * (1 - self.margin)


# Building perhop (1 to 2 minutes on two cores) and installing packages come on top. paper has no limit.
BUDGETS: Mapping[str, Budget] = {"smoke": Budget(120.0, 20.0), "quick": Budget(1080.0, 75.0)}

# Key of a point -> how `perhop run` takes it. Values are checked by _settings.
FLAGS: Mapping[str, str] = {
    "users": "-c", "rate": "--rate", "think_ms": "--think", "spawn_per_sec": "--spawn",
    "service": "--service", "service_scale": "--service-scale", "warmup_s": "--warmup",
    "duration_s": "-t", "wait": "--wait", "placement": "--placement", "instances": "--instances",
    "idle_s": "--idle", "timeout_s": "--timeout",
}
DEFAULTS: Mapping[str, str] = {
    "model": "closed", "users": "1", "think_ms": "0", "keep_alive": "yes", "service": "none",
    "service_scale": "1", "warmup_s": "1", "duration_s": "3", "reps": "3",
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "model": ("closed", "constant", "poisson"), "keep_alive": ("yes", "no"),
    "service": ("none", "sleep", "spin"), "wait": ("spin", "block", "adaptive", "yield"),
    "placement": ("auto", "free", "same-core", "cross-core"),
}
NUMBERS: Mapping[str, tuple[float, float]] = {      # inclusive ranges
    "users": (1, 100000), "rate": (0.001, 1e8), "spawn_per_sec": (0, 1e6), "service_scale": (0, 1e6),
    "warmup_s": (0, 3600), "duration_s": (0.1, 86400), "reps": (1, 1000), "instances": (1, 64),
    "idle_s": (0, 3600), "timeout_s": (0.1, 3600),
}
WHOLE = ("users", "spawn_per_sec", "reps", "instances")


class ConfError(ValueError):
    """An experiment.conf that cannot be used; the message names file and section."""


@dataclass(frozen=True)
class Cell:
    """One run to do: a system at a load point, one repetition."""

    experiment: str
    system: str
    point: str
    rep: int
    dataplane: str
    workload: str
    settings: Mapping[str, str] = field(hash=False)
    command: tuple[str, ...] = ()       # of another sub-command than run; () is run
    args: tuple[str, ...] = ()          # more arguments for run

    @property
    def label(self) -> str:
        """experiment/system/point/rep: the cell's name in records and on resuming."""
        return f"{self.experiment}/{self.system}/{self.point}/{self.rep}"

    @property
    def load_s(self) -> float:
        """Seconds that the run lasts by its own account: idle part, warm-up and measured part."""
        parts = ("duration_s",) if self.command else ("idle_s", "warmup_s", "duration_s")
        return sum(float(self.settings.get(k, 0)) for k in parts)

    @property
    def cost_s(self) -> float:
        """Seconds to plan with: the load and what goes with it."""
        return self.load_s + OVERHEAD_S

    def arguments(self, seed: int) -> list[str]:
        """Arguments of `perhop`. The seed depends on the repetition alone: systems see the same
        requests, repetitions see different ones."""
        number = str(seed * 1000 + self.rep)
        if self.command:
            args = [number if word == "{seed}" else word for word in self.command]
            return args if "--json" in args else [*args, "--json"]
        args = ["run", "-d", self.dataplane, "-w", self.workload]
        for key, flag in FLAGS.items():
            if key in self.settings:
                args += [flag, self.settings[key]]
        if self.settings["model"] != "closed":
            args += ["--arrivals", self.settings["model"]]
        if self.settings["keep_alive"] == "no":
            args.append("--close")
        return args + ["--reps", "1", "--seed", number, "--label", self.label, *self.args, "--json"]


@dataclass(frozen=True)
class Experiment:
    """A parsed experiment.conf."""

    folder: Path
    title: str
    artifacts: tuple[str, ...]
    workload: str
    baseline: str               # system that ratios of the tables refer to
    headline: str               # point of the headline table
    systems: Mapping[str, Mapping[str, str]]
    points: Mapping[str, Mapping[str, str]]
    profiles: Mapping[str, Mapping[str, str]]
    overrides: Mapping[tuple[str, str], Mapping[str, str]]
    command: str = ""           # of cells whose sections name none; "": run
    essential: tuple[str, ...] = ()     # points that are taken first; (): the headline

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def system_name(self, system: str) -> str:
        """As printed in figures and tables."""
        return self.systems.get(system, {}).get("name", system)

    def point_title(self, point: str) -> str:
        """As printed in figures and tables."""
        body = self.points.get(point, {})
        if "title" not in body and point == f"c{body.get('users')}":
            return f"{body['users']} connection{'s' if body['users'] != '1' else ''}"
        return body.get("title", point)

    def cells(self, profile: str) -> list[Cell]:
        """Every run of a profile, unshuffled."""
        chosen = self.profiles.get(profile)
        if chosen is None:
            return []
        out = []
        for point in _words(chosen.get("points", "")) or list(self.points):
            own = self.overrides.get((profile, point), {})
            for system in _words(own.get("systems", "") or chosen.get("systems", "")) or list(self.systems):
                merged = {**DEFAULTS, "command": self.command, "workload": self.workload, **_loads(chosen),
                          **self.points[point], **self.systems[system], **_loads(own)}
                out += self._repeated(system, point, merged)
        return out

    def _repeated(self, system: str, point: str, merged: Mapping[str, str]) -> list[Cell]:
        """All repetitions of one cell. ConfError when its settings do not fit each other."""
        where = f"{self.name}: {system} at {point}"
        settings = _settings(merged, where)
        reps = int(settings.pop("reps"))
        dataplane, workload = merged.get("dataplane", ""), merged["workload"]
        command = merged["command"] if merged["command"] != "run" else ""
        if not command and not (dataplane and workload):
            raise ConfError(f"{where}: no {'workload' if dataplane else 'dataplane'}")
        if settings["model"] != "closed":
            for key in ("think_ms", "spawn_per_sec"):
                settings.pop(key, None)
            if "rate" not in settings:
                raise ConfError(f"{self.name}: point {point}: an open loop needs a rate")
        values = {**settings, "dataplane": dataplane, "workload": workload}
        words, args = (_fill(text, values, where) for text in (command, merged.get("args", "")))
        return [Cell(self.name, system, point, rep, dataplane, workload, settings, words, args)
                for rep in range(reps)]


def _fill(text: str, values: Mapping[str, str], where: str) -> tuple[str, ...]:
    """Split as a shell would; {NAME} becomes a setting of the cell, {seed} is filled in at the run."""
    def value(match: re.Match[str]) -> str:
        if match[1] != "seed" and not values.get(match[1]):
            raise ConfError(f"{where}: {match[0]} in '{text}' is no setting of this cell")
        return values.get(match[1], match[0])
    try:
        return tuple(re.sub(r"\{([a-z_]+)\}", value, word) for word in shlex.split(text))
    except ValueError as error:
        raise ConfError(f"{where}: '{text}': {error}") from error


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _loads(section: Mapping[str, str]) -> dict[str, str]:
    """The keys of a profile that are settings of its cells."""
    return {k: v for k, v in section.items() if k not in ("points", "systems")}


def _settings(merged: Mapping[str, str], where: str) -> dict[str, str]:
    """The load settings of a cell, checked. ConfError on a bad value."""
    out = {}
    for key in sorted({*FLAGS, *DEFAULTS} & set(merged)):
        value = merged[key]
        if key in CHOICES and value not in CHOICES[key]:
            raise ConfError(f"{where}: {key} = {value}: one of {', '.join(CHOICES[key])}")
        if key in NUMBERS:
            low, high = NUMBERS[key]
            try:
                number = float(value)
            except ValueError as error:
                raise ConfError(f"{where}: {key} = {value}: not a number") from error
            if not low <= number <= high or (key in WHOLE and number != int(number)):
                raise ConfError(f"{where}: {key} = {value}: {'a whole number ' if key in WHOLE else ''}"
                                f"from {low:g} to {high:g}")
        if key == "think_ms" and not THINK.match(value):
            raise ConfError(f"{where}: think_ms = {value}: whole milliseconds, or LO:HI")
        out[key] = value
    return out


def read(folder: Path) -> Experiment:
    """Parse folder/experiment.conf. ConfError with a sentence when it cannot be used."""
    path = folder / "experiment.conf"
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=("#",))
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise ConfError(f"{path}: {error}") from error
    if not parser.has_section("experiment"):
        raise ConfError(f"{path}: no [experiment] section")
    groups: dict[str, dict[str, dict[str, str]]] = {"system": {}, "point": {}, "profile": {}}
    overrides: dict[tuple[str, str], dict[str, str]] = {}
    known = {*FLAGS, *DEFAULTS, "title", "name", "dataplane", "workload", "points", "systems", "command",
             "args"}
    for section in parser.sections():
        kind, _, name = section.partition(".")
        body = dict(parser[section])
        unknown = set(body) - known
        if kind == "experiment" and not name:
            continue
        if kind not in groups or unknown:
            raise ConfError(f"{path}: [{section}]: "
                            + (f"unknown key {sorted(unknown)[0]}" if unknown else "unknown section"))
        profile, _, point = name.partition(".")
        if kind == "profile" and point:
            overrides[profile, point] = body
        elif not NAME.match(name):
            raise ConfError(f"{path}: [{section}]: a name is a-z, 0-9, . and -")
        else:
            groups[kind][name] = body
    return _checked(folder, dict(parser["experiment"]), groups, overrides)


def _checked(folder: Path, top: Mapping[str, str], groups: Mapping[str, dict[str, dict[str, str]]],
             overrides: Mapping[tuple[str, str], Mapping[str, str]]) -> Experiment:
    """Build the Experiment; every reference between sections must lead somewhere."""
    path = folder / "experiment.conf"
    systems, points, profiles = groups["system"], groups["point"], groups["profile"]
    for kind in ("system", "point", "profile"):
        if not groups[kind]:
            raise ConfError(f"{path}: no [{kind}.…] section")
    for name, body in profiles.items():
        if name not in PROFILES:
            raise ConfError(f"{path}: [profile.{name}]: profiles are {', '.join(PROFILES)}")
        for key, there in (("points", points), ("systems", systems)):
            for word in _words(body.get(key, "")):
                if word not in there:
                    raise ConfError(f"{path}: [profile.{name}]: {key} names {word}, which is not there")
    for (profile, point), body in overrides.items():
        if profile not in profiles or point not in points:
            raise ConfError(f"{path}: [profile.{profile}.{point}]: no such profile or point")
        if set(_words(body.get("systems", ""))) - set(systems):
            raise ConfError(f"{path}: [profile.{profile}.{point}]: systems names what is not there")
    experiment = Experiment(folder, top.get("title", folder.name), tuple(_words(top.get("artifact", ""))),
                            top.get("workload", ""), top.get("baseline", next(iter(systems))),
                            top.get("headline", next(iter(points))), systems, points, profiles, overrides,
                            top.get("command", ""), tuple(_words(top.get("essential", ""))))
    if experiment.baseline not in systems or {experiment.headline, *experiment.essential} - set(points):
        raise ConfError(f"{path}: [experiment]: baseline must name a system, headline and essential points")
    for profile in profiles:
        experiment.cells(profile)       # for its errors
    return experiment


def read_all(figures: Path, only: Sequence[str] = ()) -> tuple[list[Experiment], list[str]]:
    """All experiments under `figures` (those whose folder starts with one of `only`), and the
    sentences of those that could not be read: one bad folder stops nothing else."""
    found, problems = [], []
    for conf in sorted(figures.glob("*/experiment.conf")):
        if only and not any(conf.parent.name.startswith(o) for o in only):
            continue
        try:
            found.append(read(conf.parent))
        except ConfError as error:
            problems.append(str(error))
    return found, problems


@dataclass(frozen=True)
class Plan:
    """Cells in the order in which they run, and the hash by which a run is resumed."""

    profile: str
    seed: int
    cells: tuple[Cell, ...]
    hash: str
    left_out: tuple[str, ...] = ()      # what did not fit into the profile's time, a phrase each
    essential: Mapping[str, Sequence[str]] = field(default_factory=dict)    # of each experiment

    def as_json(self) -> dict[str, Any]:
        """For plan.json."""
        return {"hash": self.hash, "profile": self.profile, "seed": self.seed,
                "left_out": list(self.left_out), "cells": [{"label": c.label, **asdict(c)} for c in self.cells]}


def essentials(experiments: Sequence[Experiment]) -> dict[str, Sequence[str]]:
    """The points of each experiment without which nothing can be drawn."""
    return {e.name: e.essential or (e.headline,) for e in experiments}


def rank(cell: Cell, essential: Sequence[str]) -> int:
    """What goes first when time is short: 0 the essential points once, 1 every point once, 2 and 3 the
    same again up to FULL_REPS repetitions, 4 and on the further ones. The greatest is dropped first."""
    lesser = cell.point not in essential
    if cell.rep == 0:
        return int(lesser)
    return 2 + int(lesser) if cell.rep < FULL_REPS else 1 + cell.rep


def groups_of(essential: Mapping[str, Sequence[str]], cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells of each repetition of a load point, by what goes first; among equals the shortest.

    A load point is taken for all its systems or not at all: what cannot be compared says nothing.
    """
    groups: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.experiment, cell.point, cell.rep), []).append(cell)
    return sorted(groups.values(), key=lambda g: (rank(g[0], essential.get(g[0].experiment, ())), g[0].rep,
                                                  sum(c.cost_s for c in g), g[0].label))


def fit(experiments: Sequence[Experiment], profile: str) -> tuple[list[Cell], list[Cell]]:
    """The cells that fit into the profile's time, and those that do not."""
    groups = groups_of(essentials(experiments), [c for e in experiments for c in e.cells(profile)])
    room = BUDGETS[profile].planned if profile in BUDGETS else float("inf")
    taken: list[Cell] = []
    lost: list[Cell] = []
    for cells in groups:
        cost = sum(c.cost_s for c in cells)
        if cost <= room:
            room -= cost
            taken += cells
        else:
            lost += cells
    return taken, lost


def left_out(lost: Sequence[Cell], every: Sequence[Cell]) -> tuple[str, ...]:
    """A phrase for each load point that lost repetitions, or all of them."""
    def reps(cells: Sequence[Cell]) -> dict[tuple[str, str], set[int]]:
        found: dict[tuple[str, str], set[int]] = {}
        for cell in cells:
            found.setdefault((cell.experiment, cell.point), set()).add(cell.rep)
        return found
    planned = reps(every)
    return tuple(f"{name} at {point}" + (f": {len(gone)} of {len(planned[name, point])} repetitions"
                                         if len(gone) < len(planned[name, point]) else "")
                 for (name, point), gone in sorted(reps(lost).items()))


def make_plan(experiments: Sequence[Experiment], profile: str, seed: int, program: str) -> Plan:
    """Interleave and shuffle: every system gets its turn in every round, in a random order, so that
    a drift of the machine hits all alike. Repetition k of everything comes before k + 1.

    program: digest of the perhop binary; another binary is another plan.
    """
    rng = random.Random(seed)
    rounds: dict[int, list[Cell]] = {}
    fitting, lost = fit(experiments, profile)
    for cell in fitting:
        rounds.setdefault(cell.rep, []).append(cell)
    order: list[Cell] = []
    for rep in sorted(rounds):
        rng.shuffle(rounds[rep])
        order += rounds[rep]
    if len(order) > CELL_MAX:
        raise ConfError(f"{len(order)} runs planned; the limit is {CELL_MAX}")
    text = json.dumps([profile, seed, program, [asdict(c) for c in order]], sort_keys=True)
    return Plan(profile, seed, tuple(order), hashlib.sha256(text.encode()).hexdigest()[:16],
                left_out(lost, fitting + lost), essentials(experiments))
