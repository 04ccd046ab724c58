# SPDX-License-Identifier: BSD-2-Clause
"""Do two runs agree? Compares their verdicts, number by number.

    agree.py results/runs/A results/runs/B [--least 95]

Every published number has a verdict in each run (see ledger.py). Exit: 0 they agree, 1 less than --least percent do,
2 nothing to compare.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Mapping, Sequence


def verdicts(folder: Path) -> Mapping[tuple[str, ...], Mapping[str, str]]:
    """Published number -> its verdict in a run. ValueError with a sentence when there is none."""
    path = folder / "verdicts.json"
    try:
        return {(v["artifact"], v["system"], v["condition"], v["metric"]): v
                for v in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Compare the verdicts of two runs of make reproduce.")
    parser.add_argument("a", type=Path, help="folder of a run")
    parser.add_argument("b", type=Path, help="another one")
    parser.add_argument("--least", type=float, default=95.0, help="percent that must agree (default 95)")
    args = parser.parse_args(argv)
    try:
        first, second = verdicts(args.a), verdicts(args.b)
    except ValueError as error:
        print(f"agree: {error}", file=sys.stderr)
        return 2
    shared = [key for key in first if key in second]
    if not shared:
        print("agree: the runs judged no common number", file=sys.stderr)
        return 2
    differ = [key for key in shared if first[key]["verdict"] != second[key]["verdict"]]
    for key in differ:
        a, b = first[key], second[key]
        print(f"{', '.join(filter(None, key))} ({a['published']}): {a['verdict']} at {a['measured']}; "
              f"{b['verdict']} at {b['measured']}")
    judged = [key for key in shared if first[key]["run_ids"] or second[key]["run_ids"]]
    share = 100.0 * (len(shared) - len(differ)) / len(shared)
    print(f"{len(shared) - len(differ)} of {len(shared)} verdicts agree ({share:.1f} %); of the {len(judged)} that rest on "
          f"measurements, {len(judged) - len(differ)}" + (f" ({100 - 100 * len(differ) / len(judged):.1f} %)" if judged else ""))
    return 0 if share >= args.least else 1


if __name__ == "__main__":
    sys.exit(main())
