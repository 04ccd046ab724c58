# SPDX-License-Identifier: BSD-2-Clause
"""The experiment runner: the one module of scripts/ that starts perhop.

It runs the cells of a plan one after another, appends each record to records.jsonl (flushed to the
disk before the next cell starts), and can be stopped at any point: a run with the same plan goes on
with the cells that have no record yet. What cannot run gets a record that says why.
"""
from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import secrets
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any, Callable, Mapping, Sequence

import records as rec
from experiment import OVERHEAD_S, Cell, Plan, groups_of, rank

REPORT = "report.html"      # the last file to be written: a folder without it is unfinished
LATE = "dropped while running: the"     # how the reason of such a record begins
TELLING = 12                # cells that must have run before their times are believed rather than the plan
GRACE_S = 60.0              # beyond its load time, before a cell is given up
STOP_S = 10.0               # between SIGTERM and SIGKILL
PR_SET_PDEATHSIG = 1        # <sys/prctl.h>
STEAL_LIMIT = 1.0           # percent of all CPU time
BUSY_LIMIT = 15.0           # percent of one core, just before a run
LOOK_S = 0.2                # how long a look at the machine takes
QUIET_WAIT_S = 3.0          # at most so long a wait for a quiet machine, per cell…
QUIET_SHARE = 0.05          # …and of the expected time in all: a shared machine may never be quiet


class Stopped(Exception):
    """The run cannot go on (disk full, program gone); the message says why."""


@dataclass
class Progress:
    """State of a run for whoever shows it."""

    total: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    left_s: float = 0.0
    now: str = ""


@dataclass
class Runner:
    """Runs a plan into a folder."""

    plan: Plan
    folder: Path
    program: Path
    show: Callable[[Progress], None]
    unavailable: Mapping[str, str] = field(default_factory=dict)    # dataplane spec -> reason
    overheads: dict[str, list[float]] = field(default_factory=dict)     # kind of cell -> seconds beyond its load
    patience_s: float = 0.0                                         # left for waiting
    limit_s: float | None = None        # for all that is left; None: no limit

    @property
    def records(self) -> Path:
        """The raw records."""
        return self.folder / "records.jsonl"

    def recorded(self) -> set[str]:
        """Labels of cells that have a record. Cuts an unfinished last line off first."""
        cut = rec.repair(self.records)
        if cut:
            self._log(f"cut {cut} bytes of an unfinished record off {self.records.name}")
        if not self.records.exists():
            return set()
        return {r["label"] for r in rec.load(self.records).records}

    def run(self) -> Progress:
        """Run what is left. KeyboardInterrupt and Stopped leave everything ready to resume."""
        there = self.recorded()
        left = [c for c in self.plan.cells if c.label not in there]
        progress = Progress(len(self.plan.cells), len(self.plan.cells) - len(left))
        self.patience_s = QUIET_SHARE * self.expected_s(left)
        until = None if self.limit_s is None else time.monotonic() + self.limit_s
        while left:
            for cell in self._drop(left, until):
                self._keep(skip(cell, self.plan.seed, f"{LATE} {self.plan.profile} profile's time would not have held it"),
                           progress)
            if not left:
                break
            progress.now, progress.left_s = left[0].label, self.expected_s(left)
            self.show(progress)
            self._keep(self._cell(left.pop(0)), progress)
        progress.now, progress.left_s = "", 0.0
        self.show(progress)
        return progress

    def expected_s(self, cells: Sequence[Cell]) -> float:
        """Seconds that `cells` should take; learns from the cells that have run."""
        every = [s for kind, seen in self.overheads.items() if not kind.startswith("!") for s in seen]
        typical = median(every) if every else OVERHEAD_S

        def cost(cell: Cell) -> float:
            seen = self.overheads.get(kind_of(cell))
            beyond = median(seen) if seen else OVERHEAD_S if cell.command else typical
            return max(0.0, cell.load_s + beyond)
        return sum(cost(c) for c in cells if c.dataplane not in self.unavailable)

    def _keep(self, record: rec.Record, progress: Progress) -> None:
        """Write a record and count it. Stopped when it cannot be written."""
        try:
            rec.append(self.records, record)
        except OSError as error:
            raise Stopped(f"cannot write {self.records}: {error.strerror}") from error
        progress.done += 1
        progress.skipped += record["skipped"] is not None
        progress.failed += record["skipped"] is None and not record["valid"]

    def _drop(self, left: list[Cell], until: float | None) -> list[Cell]:
        """Take out of `left` what there will be no time for, and return it.

        Repetitions go before load points, and further points before essential ones (see experiment.rank),
        each for all systems. The plan is believed until TELLING cells have run: the first ones of a busy
        minute say little. An essential point's first run is given up when the time is over, not before."""
        dropped: list[Cell] = []
        if until is None:
            return dropped
        room = until - time.monotonic()
        if room > 0 and sum(map(len, self.overheads.values())) < TELLING:
            return dropped
        while self.expected_s(left) > max(0.0, room):
            gone = groups_of(self.plan.essential, [c for c in left if c.dataplane not in self.unavailable])[-1]
            if room > 0 and rank(gone[0], self.plan.essential.get(gone[0].experiment, ())) == 0:
                break
            left[:] = [c for c in left if c not in gone]
            dropped += gone
        return dropped

    def _cell(self, cell: Cell) -> rec.Record:
        """Run one cell; whatever happens, the result is one record."""
        if cell.dataplane in self.unavailable:
            return skip(cell, self.plan.seed, self.unavailable[cell.dataplane])
        started = time.monotonic()
        busy = wait_for_quiet(min(QUIET_WAIT_S, self.patience_s))
        self.patience_s = max(0.0, self.patience_s - (time.monotonic() - started))
        # Waiting has a budget of its own: it is no sign of a slow machine.
        begun = time.monotonic() - LOOK_S
        before = cpu_times()
        status, out = self._spawn(cell)
        self.overheads.setdefault(kind_of(cell), []).append(time.monotonic() - begun - cell.load_s)
        steal = steal_percent(before, cpu_times())
        try:
            if cell.command:
                record = output_record(cell, self.plan.seed, out, status, time.monotonic() - started)
            else:
                record = last_record(out)
                record["label"], record["rep"] = cell.label, cell.rep
        except ValueError as error:
            said = self._last_words()
            what = cell.command[0] if cell.command else "run"
            return skip(cell, self.plan.seed, f"perhop {what} gave no record ({status}): {said or error}")
        if steal > STEAL_LIMIT:
            record["marks"].append(f"steal: {steal:.1f} % of CPU time was stolen by the hypervisor")
        if busy > BUSY_LIMIT:
            record["marks"].append(f"busy: other programs used {busy:.0f} % of a core just before the run")
        return record

    def _spawn(self, cell: Cell) -> tuple[str, str]:
        """Start perhop, wait with a limit. Returns (how it ended, its standard output)."""
        argv = [str(self.program), *cell.arguments(self.plan.seed)]
        self._log("$ " + " ".join(argv))
        with open(self.folder / "runner.log", "ab") as log:
            try:
                child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=log, start_new_session=True, preexec_fn=end_with(os.getpid()))
            except OSError as error:
                raise Stopped(f"cannot start {self.program}: {error.strerror}") from error
            try:
                out, _ = child.communicate(timeout=cell.load_s + GRACE_S)
                ended = f"exit {child.returncode}" if child.returncode >= 0 else \
                    f"killed by {signal.Signals(-child.returncode).name}"
            except subprocess.TimeoutExpired:
                out = stop(child)
                ended = f"still running {GRACE_S:.0f} s after its time; stopped"
            except BaseException:       # Ctrl-C: nothing may stay behind
                stop(child)
                raise
        return ended, out.decode("utf-8", "replace")

    def _last_words(self) -> str:
        """The last line that perhop printed on standard error for this cell; "" for none."""
        with open(self.folder / "runner.log", "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return "" if last.startswith("$ ") else last[-300:]

    def _log(self, line: str) -> None:
        with open(self.folder / "runner.log", "a", encoding="utf-8") as log:
            log.write(line + "\n")


def end_with(parent: int) -> Callable[[], None]:
    """What a child of `parent` is to call before it becomes perhop: when the runner is killed, the run ends in good
    order instead of going on beside the next one."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:      # it was killed before we asked
            os._exit(1)
    return ask


def kind_of(cell: Cell) -> str:
    """Cells of one kind take the same time beyond their load. A command's load is a guess: its kind is the
    cell without its repetition."""
    return "!" + cell.label.rpartition("/")[0] if cell.command else cell.dataplane.partition(",")[0]


def stop(child: "subprocess.Popen[bytes]") -> bytes:
    """End a child in good order, by force after STOP_S. Returns what it had printed."""
    child.send_signal(signal.SIGTERM)
    try:
        return child.communicate(timeout=STOP_S)[0] or b""
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0] or b""


def last_record(out: str) -> rec.Record:
    """The one record in what `perhop run --json` printed. ValueError with a sentence if it is not."""
    lines = [line for line in out.splitlines() if line.strip()]
    if not lines:
        raise ValueError("it printed nothing; runner.log has its messages")
    if len(lines) > 1:
        raise ValueError(f"it printed {len(lines)} lines where one was expected")
    return rec.parse(lines[0])


def output_base(cell: Cell, seed: int) -> rec.Record:
    """What is known of a cell with a `command` before it runs."""
    return {"schema_version": 1, "kind": "output", "run_id": "out-" + secrets.token_hex(8), "label": cell.label,
            "time": now(), "dataplane": cell.dataplane or None, "workload": cell.workload or None,
            "rep": cell.rep, "seed": seed * 1000 + cell.rep, "command": cell.arguments(seed), "elapsed_s": None,
            "output": None, "valid": False, "invalid_reasons": [], "skipped": None, "marks": [],
            "host": None}


def output_record(cell: Cell, seed: int, out: str, status: str, elapsed_s: float) -> rec.Record:
    """The record of a cell with a `command` from what it printed: JSON objects, one a line. ValueError
    with a sentence when there is none, or when the exit status says that it could not measure."""
    lines = [line for line in out.splitlines() if line.strip()]
    if not lines:
        raise ValueError("it printed nothing; runner.log has its messages")
    if status not in ("exit 0", "exit 1"):
        raise ValueError("what it printed is not used")
    output = [json.loads(line) for line in lines]
    record = output_base(cell, seed)
    first = output[0] if isinstance(output[0], dict) else {}
    record.update(elapsed_s=round(elapsed_s, 3), output=output, valid=status == "exit 0",
                  host=first.get("host"),
                  invalid_reasons=[] if status == "exit 0" else
                  [f"perhop {cell.command[0]} ended with exit 1: a check of its own failed"])
    rec.check(record)
    return record


def now() -> str:
    """The time as records have it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def skip(cell: Cell, seed: int, reason: str) -> rec.Record:
    """The record of a cell that did not run."""
    if cell.command:
        return {**output_base(cell, seed), "run_id": "skip-" + secrets.token_hex(8), "skipped": reason}
    s = cell.settings
    name = cell.dataplane.split(",")[0]
    open_loop = s["model"] != "closed"
    think = [float(t) for t in s.get("think_ms", "0").split(":")]
    number = {k: float(s[k]) for k in ("rate", "spawn_per_sec") if k in s}
    load = {"model": s["model"], "users": int(s["users"]), "rate": number.get("rate") if open_loop else None,
            "think_ms": None if open_loop else [think[0], think[-1]], "think_mean_ms": None,
            "keep_alive": s["keep_alive"] == "yes", "spawn_per_sec": number.get("spawn_per_sec"),
            "warmup_s": float(s["warmup_s"]), "duration_s": float(s["duration_s"]), "requests": None,
            "timeout_s": None}
    return rec.skipped_record({
        "run_id": "skip-" + secrets.token_hex(8), "label": cell.label,
        "time": now(),
        "dataplane": name, "dataplane_options": options_of(cell.dataplane),
        "workload": cell.workload.split(",")[0], "workload_options": options_of(cell.workload),
        "load": load, "concurrency": int(s["users"]), "rep": cell.rep, "seed": seed * 1000 + cell.rep,
        "service": {"mode": s["service"], "scale": float(s["service_scale"])}, "wait": s.get("wait"),
        "placement": s.get("placement", "auto"), "placed": None, "network": network_of(cell.dataplane),
        "instances": int(s.get("instances", "1")), "concurrency_limit": 32}, reason)


def network_of(spec: str) -> rec.Record:
    """The record's `network` of a cell that did not run: what its dataplane's options ask for."""
    options = options_of(spec)
    return {"client": options.get("client", "local"), "gateway": options.get("gateway", "host"),
            "accel": options.get("accel", "none"), "iptables_rules": int(options.get("iptables-rules", "0")),
            "iptables": None}


def options_of(spec: str) -> dict[str, str]:
    """The options given in `name[:mode][,key=value…]`."""
    return dict(part.partition("=")[::2] for part in spec.split(",")[1:])


def cpu_times() -> list[int]:
    """Jiffies of the whole machine since boot, by state (/proc/stat); [] where there is none."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            return [int(n) for n in file.readline().split()[1:]]
    except (OSError, ValueError):
        return []


def steal_percent(before: list[int], after: list[int]) -> float:
    """Percent of all CPU time between two cpu_times() that the hypervisor stole."""
    delta = [b - a for a, b in zip(before, after)]
    total = sum(delta[:8])
    return 100.0 * delta[7] / total if len(delta) > 7 and total > 0 else 0.0


def busy_percent(seconds: float = LOOK_S) -> float:
    """CPU that the machine uses right now, percent of one core. Takes `seconds`."""
    before = cpu_times()
    time.sleep(seconds)
    delta = [b - a for a, b in zip(before, cpu_times())]
    total = sum(delta[:8])
    if total <= 0:
        return 0.0
    return 100.0 * (os.cpu_count() or 1) * (total - delta[3] - delta[4]) / total


def wait_for_quiet(limit_s: float) -> float:
    """Wait, at most `limit_s`, until other programs are quiet. Returns what they use then (percent)."""
    until = time.monotonic() + limit_s
    while (busy := busy_percent()) > BUSY_LIMIT and time.monotonic() < until:
        pass
    return busy


def availability(program: Path, specs: set[str]) -> dict[str, str]:
    """Which of `specs` cannot run here and why, by `perhop list --json`. Stopped if that fails."""
    try:
        done = subprocess.run([str(program), "list", "--json"], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Stopped(f"cannot run {program} list: {error}") from error
    listed: dict[str, str | None] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        try:
            collect(json.loads(line), listed)
        except ValueError:
            continue
    if not listed:
        raise Stopped(f"{program} list --json named no dataplane (exit {done.returncode})")
    reasons = {}
    for spec in sorted(specs):
        name = spec.split(",")[0]
        key = name if name in listed else name.split(":")[0]
        reason = listed.get(key, f"this build has no dataplane called {key}")
        if reason is not None:
            reasons[spec] = reason
    return reasons


def collect(item: Any, into: dict[str, str | None]) -> None:
    """Take dataplane names and reasons (None: can run) out of what `perhop list --json` printed."""
    if isinstance(item, list):
        for each in item:
            collect(each, into)
    elif isinstance(item, dict):
        name, ok = item.get("spec") or item.get("name"), item.get("ok", item.get("available"))
        if isinstance(name, str) and isinstance(ok, bool):
            into[name] = None if ok else str(item.get("reason") or "it cannot run here")
        for key in ("dataplanes", "modes"):     # after the name: what is said of a mode holds for it
            if isinstance(item.get(key), list):
                collect(item[key], into)


def digest(path: Path) -> str:
    """SHA-256 of a file: another program makes another plan."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unfinished(runs: Path, plan_hash: str) -> Path | None:
    """The newest folder of `runs` with this plan and cells left to do, or the report."""
    for folder in sorted(runs.glob("*/"), reverse=True):
        try:
            plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
            labels = {c["label"] for c in plan["cells"]}
            if plan["hash"] != plan_hash:
                continue
        except (OSError, ValueError, KeyError, TypeError):
            continue
        path = folder / "records.jsonl"
        there = {r["label"] for r in rec.load(path).records} if path.exists() else set()
        if labels - there or not (folder / REPORT).exists():
            return folder
    return None


def open_folder(runs: Path, plan: Plan, resume: str | None) -> tuple[Path, bool]:
    """The folder to run in, and whether it is an old one. resume: a folder, "no", or None (newest).

    Raises Stopped when the folder asked for holds another plan.
    """
    if resume and resume != "no":
        folder = Path(resume)
        try:
            found = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["hash"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Stopped(f"{folder} is no run to resume: {error}") from error
        if found != plan.hash:
            raise Stopped(f"{folder} has another plan (other profile, seed, experiments or program); "
                          "its cells cannot be mixed with this one's. RESUME=no starts a new run")
        return folder, True
    old = None if resume == "no" else unfinished(runs, plan.hash)
    if old is not None:
        return old, True
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f".{i}" for i in range(1, 100))):
        folder = runs / f"{stamp}-{plan.profile}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise Stopped(f"cannot make {folder}: {error.strerror}") from error
        write_whole(folder / "plan.json", json.dumps(plan.as_json(), indent=1) + "\n")
        return folder, False
    raise Stopped(f"cannot make a folder in {runs}")


def claim(folder: Path) -> int:
    """Keep all others from running in this folder until the process ends: a file descriptor. Stopped when another
    one is at it, such as the runner of a `make` that was killed."""
    fd = os.open(folder / "plan.json", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise Stopped(f"another `make reproduce` is running in {folder}: wait for it, or end it") from error
    return fd


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all. Stopped when the disk is full."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise Stopped(f"cannot write {path}: {error.strerror}") from error
