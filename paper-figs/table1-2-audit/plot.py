# SPDX-License-Identifier: BSD-2-Clause
"""Tables 1 and 2: the counts of every dataplane as stacked bars. The drawing is tables.py's."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from figures import load_module

HERE = Path(__file__).resolve().parent


def draw(records: Sequence[Mapping[str, Any]], out_dir: Path) -> list[tuple[str, str]]:
    """Bars of the first audit of each dataplane; tables.txt and tables.csv beside them."""
    tables = load_module(HERE / "tables.py")
    audits = [load_module(HERE / "verdicts.py").audit(r) for r in records]
    first = {a["dataplane"]: a for a in reversed([a for a in audits if a and a["counts"]])}
    if not first:
        return []
    shown = [first[name] for name in sorted(first, key=lambda n: -first[n]["counts"]["copies"]["round_trip"]["mean"])]
    (out_dir / "tables.txt").write_text(tables.text(shown), encoding="utf-8")
    tables.write_csv(shown, out_dir / "tables.csv")
    tables.bars(shown, out_dir)
    n = sorted({a["repetitions"] for a in shown})
    return [("audit-table",
             "Events per request by dataplane, one request at a time: means of the audit's "
             f"repetitions (n = {n[0]}{f' to {n[-1]}' if len(n) > 1 else ''}; intervals in tables.csv). Black marks: "
             "the published totals, which leave the way back out.")]
