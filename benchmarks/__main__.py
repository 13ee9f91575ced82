"""`make bench`: one table of figures, as ratios within one run.

    python -m benchmarks [--only NAME] [--json FILE]

Absolute figures move with the machine and its load; trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks import memory
from benchmarks.rows import Row

BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    "memory": memory.rows,
    "memory_1m": lambda: memory.rows((100_000, 1_000_000)),
}
"""`memory_1m` is the short form, for when ten million rows take too long; it is run only when it is asked for."""

_ONLY_WHEN_ASKED = {"memory_1m"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--only", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = [options.only] if options.only else [name for name in BENCHMARKS if name not in _ONLY_WHEN_ASKED]
    found = []
    print(f"{'name':<14} {'value':>12} {'unit':<12} {'ratio':>7}  to")
    for name in names:
        for row in BENCHMARKS[name]():
            found.append(row)
            print(f"{row.name:<14} {row.value:>12,.0f} {row.unit:<12} {row.ratio:>7.2f}  {row.ratio_to}", flush=True)
    if options.json:
        document = {"machine": _machine(), "rows": [vars(row) for row in found]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _machine() -> dict[str, object]:
    packages = ("connect-campaigns", "duckdb", "pyarrow", "sqlalchemy", "python-liquid")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
