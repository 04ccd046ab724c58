# SPDX-License-Identifier: BSD-2-Clause
"""Reading records: JSON Lines, validated against results/schema.json, with every defect accounted for."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

import jsonschema

ROOT = Path(__file__).resolve().parent.parent
# kind of a record -> its schema. "output" wraps what a sub-command other than `perhop run` printed.
SCHEMAS = {"run": ROOT / "results" / "schema.json", "output": ROOT / "results" / "output.schema.json"}
LINE_MAX = 64 << 20     # bytes; a record with full histograms and series is below 1 MB

Record = dict[str, Any]


@dataclass
class Loaded:
    """What a file of records held: the good ones, and what was wrong with the rest."""

    path: Path
    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)   # a sentence each, with its line number
    corrupted: int = 0                                  # complete lines that are no valid record
    truncated: bool = False                             # the last line has no end: a writer was killed
    duplicates: int = 0                                 # lines whose run_id was there before: ignored


@lru_cache(maxsize=None)
def schema(kind: str = "run") -> Mapping[str, Any]:
    """The schema of a kind of record."""
    return json.loads(SCHEMAS[kind].read_text(encoding="utf-8"))


@lru_cache(maxsize=None)
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(kind))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def parse(line: str) -> Record:
    """One record from its line. ValueError with a sentence that says what is wrong and where."""
    try:
        record = json.loads(line, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    check(record)
    return record


def check(record: Any) -> None:
    """Raise ValueError with one sentence when `record` does not fit the schema."""
    kind = record.get("kind") if isinstance(record, dict) else None
    kind = kind if kind in SCHEMAS else "run"
    if isinstance(record, dict):
        version = record.get("schema_version")
        expected = schema(kind)["properties"]["schema_version"]["const"]
        if version != expected:
            raise ValueError(f"schema_version is {version!r}, this perhop reads {expected}")
    errors = sorted(_validator(kind).iter_errors(record), key=lambda e: len(e.path), reverse=True)
    if errors:
        first = errors[0]
        where = "/".join(str(p) for p in first.absolute_path) or "record"
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ValueError(f"{where}: {first.message[:200]}{more}")


def load(path: Path | str) -> Loaded:
    """Read a .jsonl file. Defects are reported, not raised; OSError when it cannot be read at all."""
    result = Loaded(Path(path))
    seen: set[str] = set()
    with open(path, "rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(LINE_MAX), b""), start=1):
            if not raw.endswith(b"\n"):
                result.truncated = True
                result.problems.append(
                    f"line {number}: cut off after {len(raw)} bytes (its writer was killed, or the "
                    "line is too long); ignored")
                break
            if not raw.strip():
                continue
            try:
                record = parse(raw.decode("utf-8"))
            except ValueError as error:     # UnicodeDecodeError is one
                result.corrupted += 1
                result.problems.append(f"line {number}: {error}")
                continue
            if record["run_id"] in seen:
                result.duplicates += 1
                result.problems.append(f"line {number}: run_id {record['run_id']} again; ignored")
                continue
            seen.add(record["run_id"])
            result.records.append(record)
    return result


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record and wait until the disk has it. OSError (disk full) leaves no partial line."""
    line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        before = os.fstat(fd).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(fd, line[written:])
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, before)
            raise
    finally:
        os.close(fd)


def repair(path: Path) -> int:
    """Cut an unfinished last line off, so that appending is safe. Returns the bytes removed."""
    if not path.exists():
        return 0
    with open(path, "rb+") as file:
        data = file.read()
        keep = data.rfind(b"\n") + 1
        if keep < len(data):
            file.truncate(keep)
            os.fsync(file.fileno())
    return len(data) - keep


def cell_of(record: Mapping[str, Any]) -> tuple[str, str, str, int] | None:
    """(experiment, system, point, rep) of a record of the experiment runner; None: not one of its."""
    parts = (record["label"] or "").split("/")
    if len(parts) != 4 or not parts[3].isdigit():
        return None
    return parts[0], parts[1], parts[2], int(parts[3])


def select(records: Iterable[Record], experiment: str | None = None, system: str | None = None,
           point: str | None = None, usable: bool = True) -> list[Record]:
    """Records of a cell, by repetition. `usable`: only those that ran and are valid."""
    found = []
    for record in records:
        cell = cell_of(record)
        if cell is None or (experiment is not None and cell[0] != experiment):
            continue
        if (system is not None and cell[1] != system) or (point is not None and cell[2] != point):
            continue
        if usable and (record["skipped"] is not None or not record["valid"]):
            continue
        found.append((cell, record))
    return [record for _, record in sorted(found, key=lambda pair: pair[0])]


def names(records: Iterable[Record], part: int) -> list[str]:
    """Distinct experiments (0), systems (1) or points (2) in order of appearance."""
    seen: dict[str, None] = {}
    for record in records:
        cell = cell_of(record)
        if cell is not None:
            seen[str(cell[part])] = None
    return list(seen)


def skipped_record(base: Mapping[str, Any], reason: str) -> Record:
    """A complete record of a run that did not take place: `base` sets what is known, the rest is null."""
    record: Record = {key: None for key in schema()["required"]}
    record.update(schema_version=schema()["properties"]["schema_version"]["const"], kind="run",
                  valid=False, skipped=reason, invalid_reasons=[], marks=[],
                  dataplane_options={}, workload_options={})
    record.update(base)
    check(record)
    return record


def is_run(record: Mapping[str, Any]) -> bool:
    """Whether `perhop run` made it, so that it has RPS, latency and the rest."""
    return record["kind"] == "run"


def run_ids(records: Sequence[Record]) -> tuple[str, ...]:
    """The ids by which a report cites these records."""
    return tuple(record["run_id"] for record in records)
